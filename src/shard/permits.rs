//! How many sessions the process holds: a permit each, given back when the session is gone.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};

/// The permits of one core.
///
/// The bound is the process's, not a share of it for each core: the kernel does not spread connections evenly, least of all
/// when it follows the CPUs, and nobody may be turned away while the process has room. It is counted once a session,
/// so the cores' common counter costs nothing.
pub(super) struct Permits {
    max: Cell<usize>,
    /// Of all cores.
    everywhere: Arc<AtomicUsize>,
    /// Of this core.
    taken: Cell<usize>,
    /// Whoever waits for all to be back.
    waiting: RefCell<Option<Waker>>,
}

/// The right to hold one session.
pub(super) struct Permit(Rc<Permits>);

impl Permits {
    pub(super) const fn new(max: usize, everywhere: Arc<AtomicUsize>) -> Self {
        Self {
            max: Cell::new(max),
            everywhere,
            taken: Cell::new(0),
            waiting: RefCell::new(None),
        }
    }

    /// A permit, if one is left.
    pub(super) fn take(self: &Rc<Self>) -> Option<Permit> {
        let max = self.max.get();
        let one_more = |taken| (taken < max).then_some(taken + 1);
        self.everywhere
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .ok()?;
        self.taken.set(self.taken.get() + 1);
        Some(Permit(Rc::clone(self)))
    }

    /// Another bound from now on; nobody who is in has to go.
    pub(super) fn bound(&self, max: usize) {
        self.max.set(max);
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
        self.0.everywhere.fetch_sub(1, Ordering::Relaxed);
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
    fn permits_are_bounded_over_all_cores_and_come_back() {
        let everywhere = Arc::default();
        let core = || Rc::new(Permits::new(3, Arc::clone(&everywhere)));
        let (here, there) = (core(), core());
        let one = here.take();
        let two = here.take();
        let three = here.take();
        assert!(one.is_some() && two.is_some() && three.is_some());
        assert!(here.take().is_none() && there.take().is_none());
        drop(one);
        assert_eq!((here.taken(), there.taken()), (2, 0));
        assert!(there.take().is_some());
        here.bound(1);
        assert!(here.take().is_none(), "two are in, and stay");
        drop((two, three));
        assert!(here.take().is_some());
    }
}
