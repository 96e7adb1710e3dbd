//! Readiness of a descriptor that somebody else reads and writes.

use std::{
    fmt,
    os::unix::io::RawFd,
    task::{Context, Poll},
};

use crate::sys::{Interest, Watch};

/// Tells whether a descriptor is worth a read, or a write: what `poll(2)` would, without asking again and again.
///
/// Events are told as they happen (edge-triggered): whoever waits has found nothing there before, be it by a read that
/// would block or by [`clear`](Self::clear) behind one that has taken everything. Bytes that are there when the first
/// wait begins are told. An event may be told that somebody has dealt with already.
///
/// The descriptor has to stay open until this is dropped.
pub struct Readiness(Watch);

impl Readiness {
    /// Watches for bytes, an end, or an error.
    pub fn to_read(raw: RawFd) -> Self {
        Self::new(raw, Interest::Reading)
    }

    /// Watches for room, or an error. Asks the ring once for each wait: for those who seldom wait.
    pub fn to_write(raw: RawFd) -> Self {
        Self::new(raw, Interest::Writing)
    }

    fn new(raw: RawFd, interest: Interest) -> Self {
        Self(crate::executor().reactor().sys.watch(raw, interest))
    }

    /// The events told since the last [`clear`](Self::clear), as bits of `poll(2)`; waits where there are none. Whoever
    /// has asked last is woken.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<u32> {
        self.0.poll(cx.waker())
    }

    /// As [`poll`](Self::poll), without waiting; 0 where nothing was told.
    pub fn events(&self) -> u32 {
        self.0.events()
    }

    /// Forgets the events that were told.
    pub fn clear(&self) {
        self.0.clear();
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Readiness { .. }")
    }
}
