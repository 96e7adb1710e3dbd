//! This core's buffers for plain bytes: taken for one read, given back when it is sealed, none held while nothing moves.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::limits::BUFFERS_KEPT_BYTES_MAX;

thread_local! {
    static KEPT: RefCell<Kept> = const {
        RefCell::new(Kept {
            buffers: Vec::new(),
            bytes: 0,
        })
    };
}

struct Kept {
    buffers: Vec<Vec<u8>>,
    /// Of all of them together.
    bytes: usize,
}

/// An empty buffer with memory of an earlier turn; gives itself back.
pub(super) struct BufferLease(Vec<u8>);

pub(super) fn take() -> BufferLease {
    let kept = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        let buffer = kept.buffers.pop()?;
        kept.bytes -= buffer.capacity();
        Some(buffer)
    });
    BufferLease(kept.ok().flatten().unwrap_or_default())
}

/// Bytes that are kept for the next turns.
pub(super) fn kept_bytes() -> usize {
    KEPT.try_with(|kept| kept.borrow().bytes).unwrap_or(0)
}

impl Deref for BufferLease {
    type Target = Vec<u8>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for BufferLease {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Drop for BufferLease {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        // At the thread's end the others may be gone before the last lease: then it is simply freed.
        let _kept = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if buffer.capacity() > 0 && kept.bytes + buffer.capacity() <= BUFFERS_KEPT_BYTES_MAX {
                kept.bytes += buffer.capacity();
                kept.buffers.push(buffer);
            }
        });
    }
}
