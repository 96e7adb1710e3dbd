//! When units are to begin in an open loop: at a rate, whether or not the ones before have ended.

use std::time::Duration;

/// The rate of a whole run, and how it is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    /// Units a second, above 0.
    pub(super) rate: f64,
    /// For how long the rate grows from nothing to that.
    pub(super) ramp: Duration,
}

impl Pace {
    /// When the unit of this number (from 0) begins, from the start of the run.
    ///
    /// In the ramp the rate at `t` is `rate * t / ramp`, so that `rate * t² / (2 * ramp)` units have begun by then.
    pub(super) fn offset(self, number: u64) -> Duration {
        let (number, ramp) = (number as f64, self.ramp.as_secs_f64());
        let in_ramp = self.rate * ramp / 2.0;
        let seconds = if number < in_ramp {
            (2.0 * ramp * number / self.rate).sqrt()
        } else {
            ramp + (number - in_ramp) / self.rate
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_at_the_rate_and_a_ramp_leads_to_it() {
        let steady = Pace {
            rate: 100.0,
            ramp: Duration::ZERO,
        };
        assert_eq!(steady.offset(0), Duration::ZERO);
        assert_eq!(steady.offset(250), Duration::from_millis(2500));
        let ramped = Pace {
            rate: 100.0,
            ramp: Duration::from_secs(2),
        };
        // Half of what comes at full rate in the time of the ramp.
        assert_eq!(ramped.offset(100), Duration::from_secs(2));
        assert_eq!(ramped.offset(200), Duration::from_secs(3));
        assert_eq!(ramped.offset(25), Duration::from_secs(1));
        let offsets: Vec<_> = (0..300).map(|number| ramped.offset(number)).collect();
        assert!(offsets.is_sorted());
    }
}
