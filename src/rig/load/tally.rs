//! What a run comes to: times by phase, counts, and failures by reason.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::limits;

/// What is timed. In a closed loop a unit counts from when it began; in an open loop from when it should have begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The whole unit.
    Unit,
    /// In an open loop: from when it should have begun to when it did.
    Late,
    /// TCP to the target.
    Connect,
    /// TLS on that connection, AUTH included.
    Secure,
    /// From the greeting or the end of TLS to the last reply of the login.
    Login,
    /// EPSV.
    Plan,
    /// TCP to the data port.
    Open,
    /// TLS on the data connection.
    Handshake,
    /// From then on to the end of the data.
    Flow,
    /// From there to the final reply.
    Settle,
}

impl Phase {
    /// All of them, in the order in which they happen, and their names.
    pub const ALL: [(Self, &str); 10] = [
        (Self::Unit, "unit"),
        (Self::Late, "late"),
        (Self::Connect, "connect"),
        (Self::Secure, "secure"),
        (Self::Login, "login"),
        (Self::Plan, "plan"),
        (Self::Open, "open"),
        (Self::Handshake, "handshake"),
        (Self::Flow, "flow"),
        (Self::Settle, "settle"),
    ];
}

/// One core's counts, or those of all.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Units that were completed while it was measured.
    pub units: u64,
    /// Bytes of content moved while it was measured, both ways together.
    pub bytes: u64,
    /// Private data connections that resumed a session.
    pub resumed: u64,
    /// Private data connections that did not.
    pub full: u64,
    /// Streams in TLS whose other end closed without close_notify.
    pub unfinished: u64,
    /// Sessions or connections that were open when it began.
    pub links: u64,
    /// What went wrong at any time, and how often.
    pub failures: BTreeMap<String, u64>,
    /// Nanoseconds; of phases that never happened nothing.
    times: [Option<Box<Histogram<u64>>>; Phase::ALL.len()],
}

impl Tally {
    /// Notes how long a phase took.
    pub fn observe(&mut self, phase: Phase, took: Duration) {
        let histogram = self.times[phase as usize].get_or_insert_with(empty);
        histogram.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The times of a phase, in nanoseconds.
    #[must_use]
    pub fn times(&self, phase: Phase) -> Option<&Histogram<u64>> {
        self.times[phase as usize].as_deref()
    }

    /// Counts a failure.
    pub fn fail(&mut self, reason: String) {
        *self.failures.entry(reason).or_default() += 1;
    }

    /// All failures.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Adds what another core has counted.
    pub fn add(&mut self, other: Self) {
        self.units += other.units;
        self.bytes += other.bytes;
        self.resumed += other.resumed;
        self.full += other.full;
        self.unfinished += other.unfinished;
        self.links += other.links;
        for (reason, many) in other.failures {
            *self.failures.entry(reason).or_default() += many;
        }
        for (own, other) in self.times.iter_mut().zip(other.times) {
            let Some(other) = other else { continue };
            own.get_or_insert_with(empty)
                .add(*other)
                .expect("all histograms have the same range");
        }
    }
}

fn empty() -> Box<Histogram<u64>> {
    let longest = u64::try_from(limits::HISTOGRAM_MAX.as_nanos()).unwrap_or(u64::MAX);
    let histogram = Histogram::new_with_bounds(SHORTEST_NANOS, longest, limits::HISTOGRAM_DIGITS);
    Box::new(histogram.expect("the bounds are constants in their order"))
}

/// What is told from nothing: below the shortest phase, and above what a clock costs.
const SHORTEST_NANOS: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_add_up() {
        let mut one = Tally::default();
        one.observe(Phase::Unit, Duration::from_micros(100));
        one.fail("reset".to_owned());
        one.units = 1;
        let mut other = one.clone();
        other.observe(Phase::Plan, Duration::from_secs(7200));
        other.fail("silence".to_owned());
        one.add(other);
        assert_eq!((one.units, one.failed()), (2, 3));
        assert_eq!(one.failures["reset"], 2);
        assert_eq!(one.times(Phase::Unit).unwrap().len(), 2);
        assert!(one.times(Phase::Plan).unwrap().max() <= 3_610_000_000_000);
        assert!(one.times(Phase::Flow).is_none());
    }

    #[test]
    fn the_list_of_phases_is_in_the_order_of_the_phases() {
        for (at, (phase, _)) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, at);
        }
    }
}
