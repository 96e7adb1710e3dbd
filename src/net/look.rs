//! The end of a turn: a task that could go on lets its core look for events first.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use glommio::timer::Timer;

use crate::limits::CORE_HOLD_MAX;

/// What a task that always has something to do waits for between two of its turns.
///
/// A task that simply wakes itself keeps its core from its rings: glommio runs tasks for as long as there are any, until
/// its preemption timer ends that. It is a timer that has passed already which is waited for here: glommio comes to it
/// when every other task has had its turn, and asks its rings before it.
///
/// Invariant of every `Poll::Pending` from here up: what it waits for has this very poll's waker, be it a socket's direction
/// or an alarm; or it has no reason to wait, and asks for a look (a bare `wake_by_ref` only where it cannot repeat).
#[derive(Default)]
pub struct Look(Option<Timer>);

impl Look {
    /// Wakes the task when its neighbours have had their turn and its core has looked for events; not before `cx`'s task
    /// has returned, and not if this is dropped.
    pub fn ask(&mut self, cx: &mut Context<'_>) {
        let timer = match &mut self.0 {
            Some(timer) => {
                timer.reset(CORE_HOLD_MAX);
                timer
            }
            empty => empty.insert(Timer::new(CORE_HOLD_MAX)),
        };
        if Pin::new(&mut *timer).poll(cx).is_ready() {
            // The core was held up between these two lines for all that time.
            cx.waker().wake_by_ref();
        }
        // A timer that has passed when it is first polled says so, and waits for nothing: it passes now that it waits.
        timer.reset(Duration::ZERO);
    }
}

/// Waits until the neighbours have had their turn and the core has looked for events.
pub async fn look() {
    let mut look = Look::default();
    let mut is_asked = false;
    poll_fn(|cx| {
        if is_asked {
            return Poll::Ready(());
        }
        is_asked = true;
        look.ask(cx);
        Poll::Pending
    })
    .await;
}
