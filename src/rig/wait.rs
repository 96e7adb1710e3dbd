//! Polls as futures, none without a bound.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::net::Alarm;
use crate::sys::clock;

/// What `poll` gives within `limit`; nothing when that has passed.
pub(super) async fn within<T>(
    limit: Duration,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let mut alarm = Alarm::new();
    alarm.set(Some(clock::now() + limit));
    poll_fn(|cx| match poll(cx) {
        Poll::Ready(got) => Poll::Ready(Some(got)),
        Poll::Pending => alarm.poll(cx).map(|()| None),
    })
    .await
}
