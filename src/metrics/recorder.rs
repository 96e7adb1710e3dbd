//! One core's cells: plain numbers, because nobody else touches them.

use core::time::Duration;

use hdrhistogram::Histogram;

use super::catalog::{Counter, Phase};
use super::snapshot::Snapshot;
use crate::limits;

/// Whether this build counts and times at all. One without is made by `perf/recording` and for nothing else: what recording costs is
/// the difference of the two. Who times something asks before he looks at the clock.
pub const IS_RECORDING: bool = option_env!("SLUICEGATE_UNRECORDED").is_none();

/// Counts and observes for one core.
#[derive(Debug)]
pub struct Recorder {
    // Invariant: one cell for each row of the catalog, in its order.
    counts: Vec<u64>,
    // Invariant: likewise; values are microseconds.
    times: Vec<Histogram<u64>>,
}

impl Recorder {
    /// Cells at zero.
    pub fn new() -> Self {
        let empty = Snapshot::new();
        Self {
            counts: empty.counts,
            times: empty.times,
        }
    }

    /// Counts one.
    pub fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts many: bytes.
    pub fn add(&mut self, counter: Counter, many: u64) {
        if !IS_RECORDING {
            return;
        }
        let cell = &mut self.counts[counter.index()];
        *cell = cell.saturating_add(many);
    }

    /// Notes how long a phase took; what is shorter or longer than a histogram reaches stands at its end.
    pub fn observe(&mut self, phase: Phase, took: Duration) {
        if !IS_RECORDING {
            return;
        }
        let reach = limits::HISTOGRAM_MIN.as_micros()..=limits::HISTOGRAM_MAX.as_micros();
        let micros = took.as_micros().clamp(*reach.start(), *reach.end());
        self.times[phase.index()].saturating_record(u64::try_from(micros).unwrap_or(u64::MAX));
    }

    /// What was counted so far.
    pub fn total(&self, counter: Counter) -> u64 {
        self.counts[counter.index()]
    }

    /// A copy that may leave the core.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            counts: self.counts.clone(),
            times: self.times.clone(),
        }
    }

    /// Hands over what was counted since the last time, and goes on with `empty`: no cell is copied on the core.
    pub fn collect(&mut self, mut empty: Snapshot) -> Snapshot {
        std::mem::swap(&mut self.counts, &mut empty.counts);
        std::mem::swap(&mut self.times, &mut empty.times);
        empty
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}
