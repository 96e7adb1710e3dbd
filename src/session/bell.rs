//! The bell of a core: each ring is heard by every session at its own next moment.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::task::{Context, Poll, Waker};

/// Tells all sessions of a core at once that the process is to stop: rung once when it would like to, and once more
/// when it does.
#[derive(Default)]
pub struct Bell {
    rings: Cell<u32>,
    /// One entry for each session that waits, by the session's number.
    listeners: RefCell<HashMap<u64, Waker>>,
}

impl Bell {
    /// Rings; whoever listens now or later hears it.
    pub fn ring(&self) {
        self.rings.set(self.rings.get() + 1);
        for (_, waker) in self.listeners.borrow_mut().drain() {
            waker.wake();
        }
    }

    /// Ready once it has been rung more often than `heard`.
    pub fn poll(&self, id: u64, heard: u32, cx: &mut Context<'_>) -> Poll<()> {
        if self.rings.get() > heard {
            return Poll::Ready(());
        }
        let mut listeners = self.listeners.borrow_mut();
        let waker = listeners.entry(id).or_insert_with(|| cx.waker().clone());
        if !waker.will_wake(cx.waker()) {
            waker.clone_from(cx.waker());
        }
        Poll::Pending
    }

    /// A session has gone.
    pub fn forget(&self, id: u64) {
        self.listeners.borrow_mut().remove(&id);
    }
}
