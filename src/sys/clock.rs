//! The one place that reads time.

use std::time::Instant;

/// The time now, for the pure floors that take it as an argument.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the function that everybody else must ask"
)]
pub fn now() -> Instant {
    Instant::now()
}
