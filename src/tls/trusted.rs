//! Chains of backends that lead to an authority: found out once on each core, and not again for every connection.
//!
//! Whether a chain leads to an authority depends on its bytes, on the authorities, and on the time. The first two are what is looked
//! up here; by time an answer holds from when it was found until the first certificate of the chain expires. Names, pins, and the
//! signature by which a peer shows that it has the key are no part of it: those are checked each time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::{CertificateDer, UnixTime};

use super::certs;
use crate::limits::{CHAIN_KNOWN_BYTES_MAX, CHAINS_KNOWN_MAX};

/// Of one set of authorities; no other has it, as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(u64);

impl Id {
    /// Of a set that has just been made.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

struct Known {
    by: Id,
    /// The end entity first.
    chain: Vec<CertificateDer<'static>>,
    /// In seconds since 1970.
    holds: RangeInclusive<u64>,
}

thread_local! {
    /// The newest last.
    static KNOWN: RefCell<VecDeque<Known>> = const { RefCell::new(VecDeque::new()) };
}

/// Whether exactly this chain was found to lead to one of these authorities, and it still holds.
pub(super) fn is_known(
    by: Id,
    end_entity: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    now: UnixTime,
) -> bool {
    let is_this = |known: &Known| {
        let chain = known.chain.iter().map(|one| &**one);
        let shown = std::iter::once(end_entity).chain(others).map(|one| &**one);
        known.by == by && known.holds.contains(&now.as_secs()) && chain.eq(shown)
    };
    KNOWN.with_borrow(|known| known.iter().any(is_this))
}

/// Remembers what was found; the oldest is forgotten for it.
pub(super) fn learn(
    by: Id,
    end_entity: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    now: UnixTime,
) {
    let chain = || std::iter::once(end_entity).chain(others);
    let bytes: usize = chain().map(|one| one.len()).sum();
    let Some(end) = certs::earliest_end(chain()).and_then(|end| u64::try_from(end).ok()) else {
        return;
    };
    if bytes > CHAIN_KNOWN_BYTES_MAX {
        return;
    }
    let chain = chain().map(|one| one.clone().into_owned()).collect();
    KNOWN.with_borrow_mut(|known| {
        if known.len() == CHAINS_KNOWN_MAX {
            known.pop_front();
        }
        known.push_back(Known {
            by,
            chain,
            holds: now.as_secs()..=end,
        });
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    const YEAR_2030: u64 = 1_893_456_000;

    fn certificate(ends: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["inside".to_owned()]).unwrap();
        params.not_after = date_time_ymd(ends, 1, 1);
        let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        own.der().clone()
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn what_was_found_holds_for_these_bytes_and_authorities_and_for_no_longer_than_the_chain() {
        let (leaf, above) = (certificate(2040), certificate(2030));
        let others = [above.clone()];
        let by = Id::new();
        let now = YEAR_2030 - 1000;
        assert!(!is_known(by, &leaf, &others, at(now)));
        learn(by, &leaf, &others, at(now));
        assert!(is_known(by, &leaf, &others, at(now)));
        assert!(is_known(by, &leaf, &others, at(YEAR_2030)));
        assert!(
            !is_known(by, &leaf, &others, at(YEAR_2030 + 1)),
            "one of them has expired"
        );
        assert!(
            !is_known(by, &leaf, &others, at(now - 1)),
            "the clock was set back"
        );
        assert!(
            !is_known(Id::new(), &leaf, &others, at(now)),
            "other authorities"
        );
        assert!(!is_known(by, &leaf, &[], at(now)));
        assert!(!is_known(by, &above, std::slice::from_ref(&leaf), at(now)));
        let mut other = leaf.to_vec();
        *other.last_mut().unwrap() ^= 1;
        assert!(!is_known(by, &other.into(), &others, at(now)));
    }

    #[test]
    fn only_so_many_are_remembered_and_none_that_cannot_be_read_or_is_too_long() {
        let leaf = certificate(2040);
        let now = at(YEAR_2030);
        let first = Id::new();
        learn(first, &leaf, &[], now);
        for _ in 0..CHAINS_KNOWN_MAX {
            assert!(KNOWN.with_borrow(VecDeque::len) <= CHAINS_KNOWN_MAX);
            learn(Id::new(), &leaf, &[], now);
        }
        assert!(!is_known(first, &leaf, &[], now));
        let garbage = [CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])];
        learn(first, &leaf, &garbage, now);
        assert!(!is_known(first, &leaf, &garbage, now));
        let many = vec![leaf.clone(); 1 + CHAIN_KNOWN_BYTES_MAX / leaf.len()];
        learn(first, &leaf, &many, now);
        assert!(!is_known(first, &leaf, &many, now));
    }
}
