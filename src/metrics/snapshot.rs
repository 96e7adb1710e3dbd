//! What a core has counted, as a copy that may travel; copies of all cores merge into the process's own.

use hdrhistogram::Histogram;

use super::catalog::{Counter, Phase};
use crate::limits;

/// Counts and times of one core, or of several.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    // Invariant: one cell for each row of the catalog, in its order.
    pub(super) counts: Vec<u64>,
    // Invariant: likewise; values are microseconds, all histograms have the same bounds.
    pub(super) times: Vec<Histogram<u64>>,
}

impl Snapshot {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Self {
            counts: vec![0; Counter::ALL.len()],
            times: vec![histogram(); Phase::ALL.len()],
        }
    }

    /// Adds what another core has counted.
    pub fn merge(&mut self, other: &Self) {
        for (cell, more) in self.counts.iter_mut().zip(&other.counts) {
            *cell = cell.saturating_add(*more);
        }
        for (time, more) in self.times.iter_mut().zip(&other.times) {
            if more.is_empty() {
                continue;
            }
            time.add(more).expect("all histograms have the same bounds");
        }
    }

    /// Everything back to zero, for the next collection.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        for time in &mut self.times {
            // Most phases of most collections are empty, and a histogram is larger than a look at its length.
            if !time.is_empty() {
                time.reset();
            }
        }
    }

    /// The value of a counter.
    pub fn total(&self, counter: Counter) -> u64 {
        self.counts[counter.index()]
    }

    /// The times of a phase, in microseconds.
    pub fn times(&self, phase: Phase) -> &Histogram<u64> {
        &self.times[phase.index()]
    }
}

impl Default for Snapshot {
    fn default() -> Self {
        Self::new()
    }
}

fn histogram() -> Histogram<u64> {
    // Both bounds are below 2^32 microseconds.
    let (low, high) = (
        limits::HISTOGRAM_MIN.as_micros() as u64,
        limits::HISTOGRAM_MAX.as_micros() as u64,
    );
    Histogram::new_with_bounds(low, high, limits::HISTOGRAM_DIGITS)
        .expect("limits.rs checks the bounds")
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proptest::prelude::*;

    use super::super::Recorder;
    use super::*;

    fn send<T: Send>(_: &T) {}

    #[test]
    fn times_beyond_reach_stand_at_the_ends() {
        let mut recorder = Recorder::new();
        recorder.observe(Phase::Login, Duration::ZERO);
        recorder.observe(Phase::Login, Duration::MAX);
        let snapshot = recorder.snapshot();
        send(&snapshot);
        assert_eq!(snapshot.times(Phase::Login).len(), 2);
        assert_eq!(snapshot.times(Phase::Login).min(), 1);
        assert!(snapshot.times(Phase::Login).max() >= 3_600_000_000);
    }

    #[test]
    fn counts_stop_at_the_end_instead_of_beginning_again() {
        let mut recorder = Recorder::new();
        recorder.add(Counter::UploadBytes, u64::MAX);
        recorder.count(Counter::UploadBytes);
        assert_eq!(recorder.total(Counter::UploadBytes), u64::MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// What cores count apart and merge is what one core would have counted.
        #[test]
        fn merging_is_counting_together(events in proptest::collection::vec((0..4_usize, 0..64_usize, 0..u32::MAX), 0..200)) {
            let mut cores: Vec<Recorder> = (0..4).map(|_| Recorder::new()).collect();
            let mut one = Recorder::new();
            for (core, kind, value) in events {
                let counter = Counter::ALL[kind % Counter::ALL.len()];
                let phase = Phase::ALL[kind % Phase::ALL.len()];
                for recorder in [&mut cores[core], &mut one] {
                    recorder.add(counter, u64::from(value));
                    recorder.observe(phase, Duration::from_micros(u64::from(value)));
                }
            }
            let mut merged = Snapshot::new();
            for core in &cores {
                merged.merge(&core.snapshot());
            }
            prop_assert_eq!(merged, one.snapshot());
        }
    }
}
