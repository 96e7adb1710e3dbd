//! The bell of a core: rung once, heard by every session at its own next moment.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::task::{Context, Poll, Waker};

/// Tells all sessions of a core at once that the process is to stop.
#[derive(Default)]
pub struct Bell {
    rung: Cell<bool>,
    /// One entry for each session that waits, by the session's number.
    listeners: RefCell<HashMap<u64, Waker>>,
}

impl Bell {
    /// Rings; whoever listens now or later hears it.
    pub fn ring(&self) {
        self.rung.set(true);
        for (_, waker) in self.listeners.borrow_mut().drain() {
            waker.wake();
        }
    }

    /// Whether it has been rung.
    #[must_use]
    pub fn has_rung(&self) -> bool {
        self.rung.get()
    }

    /// Ready once it has been rung.
    pub fn poll(&self, id: u64, cx: &mut Context<'_>) -> Poll<()> {
        if self.rung.get() {
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
