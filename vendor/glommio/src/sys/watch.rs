//! Readiness of descriptors, as the ring tells it: one poll of the ring for as long as a descriptor is watched.
//! What is woken is whoever has asked last. It never reads, and never takes an error off a socket.

use std::{
    cell::{Cell, RefCell},
    os::unix::io::RawFd,
    rc::Rc,
    task::{Poll, Waker},
};

use super::uring::{ReactorQueue, UringDescriptor, UringOpDescriptor};
use crate::{
    free_list::{FreeList, Idx},
    iou::{sqe::SubmissionFlags, CQE},
    uring_sys,
};

/// Marks the completions of watches among those of sources.
const WATCH: u64 = 1 << 63;

pub(crate) fn is_watch(user_data: u64) -> bool {
    user_data & WATCH != 0
}

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Bytes, an end or an error, again and again.
    Reading,
    /// Room, or an error, once for each time that it is waited for.
    Writing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is in the ring.
    Idle,
    /// On its way into the ring.
    Queued,
    /// The ring polls.
    Armed,
    /// No longer wanted, and still on its way in or out.
    Stopping,
}

/// A descriptor, and what the ring has told of it.
#[derive(Debug)]
struct Watched {
    raw: RawFd,
    interest: Interest,
    phase: Cell<Phase>,
    events: Cell<u32>,
    waker: RefCell<Option<Waker>>,
}

type Slot = Idx<Rc<Watched>>;

/// All that one ring watches.
pub(crate) struct Watches {
    list: RefCell<FreeList<Rc<Watched>>>,
    queue: ReactorQueue,
    /// Whether the kernel can keep back completions that say nothing.
    can_skip: bool,
}

/// One descriptor under watch. It has to stay open for as long as this lives.
pub(crate) struct Watch {
    watches: Rc<Watches>,
    watched: Rc<Watched>,
    slot: Slot,
}

impl Watches {
    pub(super) fn new(queue: ReactorQueue, can_skip: bool) -> Rc<Self> {
        Rc::new(Watches {
            list: RefCell::default(),
            queue,
            can_skip,
        })
    }

    /// Whether a queued request still has to go into the ring. Where it has not, it is over with this.
    pub(super) fn is_wanted(&self, descriptor: &UringDescriptor) -> bool {
        if let UringOpDescriptor::Cancel(_) = descriptor.args {
            return true;
        }
        let slot = slot_of(descriptor.user_data);
        let mut list = self.list.borrow_mut();
        let is_wanted = list[slot].phase.get() != Phase::Stopping;
        if !is_wanted {
            list.dealloc(slot);
        }
        is_wanted
    }

    /// Writes a request that is wanted into the ring.
    ///
    /// # Safety
    /// The entry is to be submitted as it is then.
    pub(super) unsafe fn fill(
        &self,
        descriptor: &UringDescriptor,
        sqe: &mut uring_sys::io_uring_sqe,
    ) {
        let user_data = descriptor.user_data;
        if let UringOpDescriptor::Cancel(_) = descriptor.args {
            // Not a removal of the poll: that is refused while an event of it is being told. That it has ended is said by
            // the last completion of the watch itself.
            uring_sys::io_uring_prep_cancel(sqe, user_data as _, 0);
            sqe.user_data = 0;
            if self.can_skip {
                sqe.flags |= uring_sys::IOSQE_CQE_SKIP_SUCCESS;
            }
            return;
        }
        let list = self.list.borrow();
        let watched = &list[slot_of(user_data)];
        let (events, len) = match watched.interest {
            Interest::Reading => (
                libc::POLLIN | libc::POLLPRI | libc::POLLRDHUP,
                uring_sys::IORING_POLL_ADD_MULTI,
            ),
            Interest::Writing => (libc::POLLOUT, 0),
        };
        uring_sys::io_uring_prep_poll_add(sqe, watched.raw, events);
        sqe.len = len;
        sqe.user_data = user_data;
        watched.phase.set(Phase::Armed);
    }

    /// Takes what a completion tells; says whether that has woken anybody.
    pub(super) fn told(&self, cqe: &CQE) -> bool {
        let slot = slot_of(cqe.user_data());
        let watched = self.list.borrow()[slot].clone();
        let is_last = cqe.raw_flags() & uring_sys::IORING_CQE_F_MORE == 0;
        if watched.phase.get() == Phase::Stopping {
            if is_last {
                self.list.borrow_mut().dealloc(slot);
            }
            return false;
        }
        if is_last {
            watched.phase.set(Phase::Idle);
        }
        // Whoever reads or writes is told the error itself.
        let events = u32::try_from(cqe.raw_result()).unwrap_or(libc::POLLERR as u32);
        watched.events.set(watched.events.get() | events);
        let waker = watched.waker.borrow_mut().take();
        match waker {
            Some(waker) => {
                wake!(waker);
                true
            }
            None => false,
        }
    }
}

impl Watch {
    pub(crate) fn new(watches: Rc<Watches>, raw: RawFd, interest: Interest) -> Self {
        let watched = Rc::new(Watched {
            raw,
            interest,
            phase: Cell::new(Phase::Idle),
            events: Cell::new(0),
            waker: RefCell::new(None),
        });
        let slot = watches.list.borrow_mut().alloc(watched.clone());
        Watch {
            watches,
            watched,
            slot,
        }
    }

    /// What the ring has told since it was last forgotten; without anything, waits for it.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<u32> {
        let watched = &*self.watched;
        if watched.events.get() != 0 {
            return Poll::Ready(watched.events.get());
        }
        let mut waits = watched.waker.borrow_mut();
        if !waits.as_ref().is_some_and(|waits| waits.will_wake(waker)) {
            *waits = Some(waker.clone());
        }
        if watched.phase.get() == Phase::Idle {
            watched.phase.set(Phase::Queued);
            self.queue(UringOpDescriptor::PollAdd(nix::poll::PollFlags::empty()));
        }
        Poll::Pending
    }

    /// What the ring has told since it was last forgotten.
    pub(crate) fn events(&self) -> u32 {
        self.watched.events.get()
    }

    /// Forgets what was told. What happens from now on is told; what has happened and was told is not told again.
    pub(crate) fn clear(&self) {
        self.watched.events.set(0);
    }

    fn queue(&self, args: UringOpDescriptor) {
        let cancels = matches!(args, UringOpDescriptor::Cancel(_));
        let descriptor = UringDescriptor {
            args,
            fd: self.watched.raw,
            flags: SubmissionFlags::empty(),
            user_data: WATCH | self.slot.to_raw() as u64,
        };
        let mut queue = self.watches.queue.borrow_mut();
        match cancels {
            true => queue.cancellations.push_back(descriptor),
            false => queue.submissions.push_back(descriptor),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watched.waker.borrow_mut().take();
        let phase = self.watched.phase.replace(Phase::Stopping);
        match phase {
            Phase::Idle => drop(self.watches.list.borrow_mut().dealloc(self.slot)),
            Phase::Armed => self.queue(UringOpDescriptor::Cancel(0)),
            // It is dropped on its way in.
            Phase::Queued | Phase::Stopping => {}
        }
    }
}

fn slot_of(user_data: u64) -> Slot {
    Slot::from_raw((user_data & !WATCH) as usize)
}
