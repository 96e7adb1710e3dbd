//! How the times of a phase are spread, in the two forms that Prometheus knows: a few buckets with fixed bounds, and many
//! with exponential ones. Both come from the same histogram.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// Upper bounds of the classic buckets, in seconds: the gate's own work takes tens of microseconds, two handshakes on one core
/// are well below a millisecond, a command takes what the inside takes, and a transfer takes hours.
pub const CLASSIC_BOUNDS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
];

/// The resolution of native buckets: 2^4 of them from one power of two to the next, each 4.4 % wider than the one before. What
/// the histogram adds to that error is at most 0.1 %.
pub const NATIVE_SCHEMA: i32 = 4;

const PER_OCTAVE: f64 = 16.0;

/// Microseconds in a second.
const MICROS: f64 = 1e6;

/// Sum and count, and how many fell into each native bucket: bucket `n` ends at `2^(n / 2^schema)` seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Native {
    /// Buckets that are not empty.
    pub buckets: BTreeMap<i32, u64>,
}

/// The sum of all times in seconds, and the classic buckets: upper bound in seconds, and the times in the bucket itself.
///
/// The last bound is infinite. Times are rounded up to whole microseconds, so none stands in a bucket too low.
#[must_use]
pub fn classic(times: &Histogram<u64>) -> (f64, Vec<(f64, u64)>) {
    let mut buckets: Vec<(f64, u64)> = CLASSIC_BOUNDS.iter().map(|&bound| (bound, 0)).collect();
    buckets.push((f64::INFINITY, 0));
    let mut sum = 0.0;
    for cell in times.iter_recorded() {
        let (seconds, count) = (in_seconds(cell.value_iterated_to()), cell.count_at_value());
        sum += seconds * count as f64;
        let at = CLASSIC_BOUNDS.partition_point(|&bound| bound < seconds);
        buckets[at].1 += count;
    }
    (sum, buckets)
}

/// The native buckets.
#[must_use]
pub fn native(times: &Histogram<u64>) -> Native {
    let mut buckets = BTreeMap::new();
    for cell in times.iter_recorded() {
        let index = (in_seconds(cell.value_iterated_to()).log2() * PER_OCTAVE).ceil();
        // At most 12 hours and at least a microsecond: a few hundred buckets.
        *buckets.entry(index as i32).or_insert(0) += cell.count_at_value();
    }
    Native { buckets }
}

impl Native {
    /// As the exposition wants them: runs of buckets without a gap (their distance from the run before, and their length), and
    /// each bucket's difference from the one before.
    #[must_use]
    pub fn spans_and_deltas(&self) -> (Vec<(i32, u32)>, Vec<i64>) {
        let (mut spans, mut deltas) = (Vec::<(i32, u32)>::new(), Vec::new());
        let (mut next, mut before) = (0, 0);
        for (&index, &count) in &self.buckets {
            match spans.last_mut() {
                Some((_, length)) if index == next => *length += 1,
                _ => spans.push((index - next, 1)),
            }
            next = index + 1;
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            deltas.push(count - before);
            before = count;
        }
        (spans, deltas)
    }
}

fn in_seconds(micros: u64) -> f64 {
    micros as f64 / MICROS
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proptest::prelude::*;

    use super::super::{Phase, Recorder};
    use super::*;

    #[test]
    fn runs_are_told_apart_by_their_gaps() {
        let native = Native {
            buckets: BTreeMap::from([(-3, 2), (-2, 5), (4, 1)]),
        };
        let (spans, deltas) = native.spans_and_deltas();
        assert_eq!(spans, [(-3, 2), (5, 1)]);
        assert_eq!(deltas, [2, 3, -4]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Nothing is lost, and every time stands in the bucket whose bounds are around it.
        #[test]
        fn both_forms_hold_every_time(micros in proptest::collection::vec(1..3_600_000_000_u64, 1..100)) {
            let mut recorder = Recorder::new();
            for &micros in &micros {
                recorder.observe(Phase::Login, Duration::from_micros(micros));
            }
            let snapshot = recorder.snapshot();
            let times = snapshot.times(Phase::Login);
            let (sum, buckets) = classic(times);
            let exact: f64 = micros.iter().map(|&micros| in_seconds(micros)).sum();
            prop_assert!((sum - exact).abs() <= exact * 0.002, "{sum} for {exact}");
            for &(bound, _) in &buckets[..buckets.len() - 1] {
                let told: u64 = buckets.iter().filter(|(upper, _)| *upper <= bound).map(|(_, count)| count).sum();
                let below = |slack: f64| micros.iter().filter(|&&micros| in_seconds(micros) <= bound * slack).count() as u64;
                prop_assert!(below(0.998) <= told && told <= below(1.002), "{told} up to {bound}");
            }
            let native = native(times);
            prop_assert_eq!(native.buckets.values().sum::<u64>(), micros.len() as u64);
            let widest = *native.buckets.keys().last().expect("there is a time");
            let longest = in_seconds(*micros.iter().max().expect("there is a time"));
            let upper = 2_f64.powf(f64::from(widest) / PER_OCTAVE);
            prop_assert!(longest <= upper * 1.002 && upper <= longest * 1.05, "{longest} in {upper}");
        }
    }
}
