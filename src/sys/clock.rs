//! The one place that reads time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The time now, for the pure floors that take it as an argument.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the function that everybody else must ask"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// The time of day in microseconds since 1970 (UTC), for records; 0 where the clock is set before that.
#[must_use]
pub fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}
