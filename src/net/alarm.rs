//! The one deadline of whoever polls it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use glommio::timer::Timer;

use crate::sys::clock;

/// A deadline that can be moved at no cost.
///
/// Moving it later touches no timer: the one that is armed fires early, sees that it is early, and is armed once
/// more. So a stall deadline may be moved with every byte.
#[derive(Default)]
pub struct Alarm {
    deadline: Option<Instant>,
    armed: Option<Armed>,
}

struct Armed {
    timer: Timer,
    at: Instant,
    wakes: Waker,
}

impl Alarm {
    /// An alarm that is off.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            deadline: None,
            armed: None,
        }
    }

    /// Moves the deadline; `None` turns the alarm off. Takes effect with the next poll.
    pub const fn set(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// The deadline it is set to.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Ready once the deadline has passed, and again and again until it is set anew. Off: never.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let now = clock::now();
        if now >= deadline {
            return Poll::Ready(());
        }
        if let Some(armed) = &self.armed
            && now < armed.at
            && armed.at <= deadline
            && armed.wakes.will_wake(cx.waker())
        {
            return Poll::Pending;
        }
        let duration = deadline - now;
        let mut timer = match self.armed.take() {
            Some(mut armed) => {
                armed.timer.reset(duration);
                armed.timer
            }
            None => Timer::new(duration),
        };
        if Pin::new(&mut timer).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let wakes = cx.waker().clone();
        self.armed = Some(Armed {
            timer,
            at: deadline,
            wakes,
        });
        Poll::Pending
    }
}
