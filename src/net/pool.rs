//! This core's large pieces of memory: a bulk transfer takes and gives one with every turn.

use std::cell::RefCell;

use crate::limits::{
    BUFFER_POOLED_BYTES_MIN, BUFFER_SLACK_BYTES, BUFFERS_KEPT_BYTES_MAX, BUFFERS_LENT_BYTES_MAX,
    RELAY_CHUNK_BYTES_MAX, RELAY_CHUNK_BYTES_MIN,
};

/// How many sizes are kept: the smallest chunk, and each its double, up to the largest.
const SIZES: usize = (RELAY_CHUNK_BYTES_MAX / RELAY_CHUNK_BYTES_MIN).trailing_zeros() as usize + 1;

struct Pool {
    idle: [Vec<Vec<u8>>; SIZES],
    kept: usize,
    lent: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const {
        RefCell::new(Pool {
            idle: [const { Vec::new() }; SIZES],
            kept: 0,
            lent: 0,
        })
    };
}

const fn bytes_of(size: usize) -> usize {
    (RELAY_CHUNK_BYTES_MIN << size) + BUFFER_SLACK_BYTES
}

/// At least `len` initialised bytes. Small ones are of that length, others have one of the kept sizes, the largest
/// again their own.
pub(super) fn take(len: usize) -> Vec<u8> {
    let Some(size) = (0..SIZES).find(|&size| bytes_of(size) >= len) else {
        return vec![0; len];
    };
    if len < BUFFER_POOLED_BYTES_MIN {
        return vec![0; len];
    }
    // At the thread's end the pool may be gone before the last buffer: then memory is simply made and freed.
    let idle = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        pool.lent += bytes_of(size);
        let idle = pool.idle[size].pop()?;
        pool.kept -= bytes_of(size);
        Some(idle)
    });
    idle.ok()
        .flatten()
        .unwrap_or_else(|| vec![0; bytes_of(size)])
}

/// Takes back what `take` has given, at its length.
pub(super) fn give(bytes: Vec<u8>) {
    let Some(size) = (0..SIZES).find(|&size| bytes_of(size) == bytes.len()) else {
        return;
    };
    let _kept = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        pool.lent -= bytes.len();
        if pool.kept + bytes.len() <= BUFFERS_KEPT_BYTES_MAX {
            pool.kept += bytes.len();
            pool.idle[size].push(bytes);
        }
    });
}

/// Bytes that this core has lent, and bytes that it keeps to lend again.
#[must_use]
pub fn lent_and_kept() -> (usize, usize) {
    POOL.try_with(|pool| {
        let pool = pool.borrow();
        (pool.lent, pool.kept)
    })
    .unwrap_or_default()
}

/// Whether this core has lent so little that a stream may have a larger buffer than before.
pub fn is_ample() -> bool {
    POOL.try_with(|pool| pool.borrow().lent < BUFFERS_LENT_BYTES_MAX)
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_kept_apart_and_all_memory_within_its_bound() {
        for len in [
            BUFFER_POOLED_BYTES_MIN,
            RELAY_CHUNK_BYTES_MIN,
            100_000,
            RELAY_CHUNK_BYTES_MAX,
        ] {
            let taken = take(len);
            assert!(taken.len() >= len && taken.len() <= 2 * len + BUFFER_SLACK_BYTES);
            let at = taken.as_ptr();
            give(taken);
            let again = take(len);
            assert_eq!(again.as_ptr(), at);
            give(again);
        }
        // Beyond its bound it still lends, but not more than it must.
        let mut lent = Vec::new();
        while is_ample() {
            lent.push(take(RELAY_CHUNK_BYTES_MAX));
        }
        let whole: usize = lent.iter().map(Vec::len).sum();
        assert_eq!(lent_and_kept().0, whole);
        lent.push(take(RELAY_CHUNK_BYTES_MAX));
        lent.into_iter().for_each(give);
        assert!(is_ample());
        POOL.with_borrow(|pool| {
            let held = pool.idle.iter().flatten().map(Vec::len).sum::<usize>();
            assert_eq!((pool.lent, pool.kept), (0, held));
            assert!(held <= BUFFERS_KEPT_BYTES_MAX);
        });
    }

    #[test]
    fn an_outlier_does_not_stay() {
        let before = POOL.with_borrow(|pool| pool.kept);
        give(take(3 * RELAY_CHUNK_BYTES_MAX));
        assert_eq!(POOL.with_borrow(|pool| pool.kept), before);
    }
}
