//! Why a member was passed over: the closed set that logs, metrics and `/backends` tell.

use std::sync::Arc;
use std::time::Instant;

/// Why a member was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The gate could not even try: it had no descriptor, no port or no memory for another connection.
    Ours,
    /// Nobody listens there.
    Refused,
    /// There is no way to it, or none for us.
    Unreachable,
    /// TCP did not stand in time.
    Timeout,
    /// It closed before it was ready for a login.
    Closed,
    /// Its connection broke before that.
    Reset,
    /// Its greeting, its answer to AUTH or its handshake did not come in time.
    Silent,
    /// It greeted with a refusal.
    Greeting,
    /// It speaks no FTP.
    Protocol,
    /// It refused AUTH TLS.
    Auth,
    /// The TLS handshake with it failed.
    Handshake,
    /// Its certificate did not stand the pool's checks.
    Certificate,
    /// Bytes in clear text stood where its TLS begins.
    Injection,
}

impl Failure {
    /// Each of them.
    pub const ALL: [Self; 13] = [
        Self::Ours,
        Self::Refused,
        Self::Unreachable,
        Self::Timeout,
        Self::Closed,
        Self::Reset,
        Self::Silent,
        Self::Greeting,
        Self::Protocol,
        Self::Auth,
        Self::Handshake,
        Self::Certificate,
        Self::Injection,
    ];

    /// The word for it in what is counted.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ours => "gate",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Silent => "silent",
            Self::Greeting => "greeting",
            Self::Protocol => "protocol",
            Self::Auth => "auth",
            Self::Handshake => "handshake",
            Self::Certificate => "certificate",
            Self::Injection => "injection",
        }
    }

    /// Whether a member is tried behind the others for a while because of it. One that says no is well, and has said it at
    /// once: what it says may be about its load, or about this client alone. And what we lack says nothing of a member.
    #[must_use]
    pub const fn rests(self) -> bool {
        !matches!(self, Self::Greeting | Self::Ours)
    }
}

/// How often a member was passed over, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures([u64; Failure::ALL.len()]);

impl Failures {
    /// One more.
    pub(super) const fn count(&mut self, failure: Failure) {
        self.0[failure as usize] += 1;
    }

    /// How often because of this.
    #[must_use]
    pub const fn of(&self, failure: Failure) -> u64 {
        self.0[failure as usize]
    }

    /// How often in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// What two cores have counted.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (count, other) in self.0.iter_mut().zip(other.0) {
            *count += other;
        }
        self
    }
}

/// The last time that a member was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastFailure {
    /// When.
    pub at: Instant,
    /// Why, of the closed set.
    pub failure: Failure,
    /// Why, in a phrase that is fit for a log.
    pub why: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_place_and_its_word() {
        let mut words = std::collections::HashSet::new();
        for (place, failure) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(failure as usize, place);
            assert!(words.insert(failure.word()), "{failure:?}");
        }
    }

    #[test]
    fn failures_are_counted_by_why_and_summed_over_cores() {
        let (mut one, mut other) = (Failures::default(), Failures::default());
        one.count(Failure::Silent);
        other.count(Failure::Silent);
        other.count(Failure::Injection);
        let both = one.and(&other);
        assert_eq!(both.of(Failure::Silent), 2);
        assert_eq!(both.of(Failure::Injection), 1);
        assert_eq!(both.of(Failure::Refused), 0);
        assert_eq!(both.total(), 3);
    }
}
