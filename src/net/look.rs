//! The end of a turn: a task that could go on lets its core look for events first.

use std::future::poll_fn;
use std::task::{Context, Poll};

use glommio::Courtesy;

/// What a task that always has something to do waits for between two of its turns.
///
/// A task that simply wakes itself keeps its core from its ring: glommio runs tasks for as long as there are any, until
/// its preemption timer ends that. One that asks for a look is woken behind everybody that the ring has news for, and one
/// such task at a time: a neighbour's event waits for what is left of one turn, however many have turns without end.
///
/// Invariant of every `Poll::Pending` from here up: what it waits for has this very poll's waker, be it a socket's direction
/// or an alarm; or it has no reason to wait, and asks for a look (a bare `wake_by_ref` only where it cannot repeat).
#[derive(Default)]
pub struct Look(Courtesy);

impl Look {
    /// Wakes the task when its neighbours have had their turn and its core has looked for events; not before `cx`'s task
    /// has returned.
    pub fn ask(&mut self, cx: &mut Context<'_>) {
        self.0.ask(cx);
    }

    /// Whether the neighbours still have their turn; then the task is woken when it is over, by this poll's waker.
    pub fn is_pending(&mut self, cx: &mut Context<'_>) -> bool {
        let is_pending = self.0.is_asked();
        if is_pending {
            self.0.ask(cx);
        }
        is_pending
    }
}

/// Waits until the neighbours have had their turn and the core has looked for events.
pub async fn look() {
    let mut look = Look::default();
    let mut is_asked = false;
    poll_fn(|cx| {
        if !is_asked {
            is_asked = true;
            look.ask(cx);
            return Poll::Pending;
        }
        if look.is_pending(cx) {
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}
