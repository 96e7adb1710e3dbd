//! How many sessions a core holds: a permit each, given back when the session is gone.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// The permits of one core.
pub(super) struct Permits {
    max: usize,
    taken: Cell<usize>,
    /// Whoever waits for all to be back.
    waiting: RefCell<Option<Waker>>,
}

/// The right to hold one session.
pub(super) struct Permit(Rc<Permits>);

impl Permits {
    pub(super) const fn new(max: usize) -> Self {
        Self {
            max,
            taken: Cell::new(0),
            waiting: RefCell::new(None),
        }
    }

    /// A permit, if one is left.
    pub(super) fn take(self: &Rc<Self>) -> Option<Permit> {
        let taken = self.taken.get();
        (taken < self.max).then(|| {
            self.taken.set(taken + 1);
            Permit(Rc::clone(self))
        })
    }

    pub(super) const fn taken(&self) -> usize {
        self.taken.get()
    }

    /// When all permits are back.
    pub(super) fn idle(&self) -> impl Future<Output = ()> {
        poll_fn(|cx| {
            if self.taken.get() == 0 {
                return Poll::Ready(());
            }
            self.waiting.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.taken.set(self.0.taken.get() - 1);
        if self.0.taken.get() == 0
            && let Some(waker) = self.0.waiting.take()
        {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_bounded_and_come_back() {
        let permits = Rc::new(Permits::new(2));
        let one = permits.take();
        let two = permits.take();
        assert!(one.is_some() && two.is_some() && permits.take().is_none());
        drop(one);
        assert_eq!(permits.taken(), 1);
        assert!(permits.take().is_some());
    }
}
