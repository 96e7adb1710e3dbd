//! This core's pipes: one is held only while bytes are in it, and what still holds some when it is let go is closed.

use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut};

use crate::limits::{PIPE_BYTES, PIPES_PER_SHARD_MAX};
use crate::sys::pipe::Pipe;

thread_local! {
    static IDLE: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
    /// Pipes there are, idle and lent.
    static OPEN: Cell<usize> = const { Cell::new(0) };
    /// What all of them can hold together.
    static OPEN_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// An empty pipe at first; gives itself back.
pub(super) struct PipeLease(Option<Pipe>);

/// None where this core has as many as it may, or the process has no descriptors for another.
pub(super) fn take() -> Option<PipeLease> {
    if let Ok(Some(pipe)) = IDLE.try_with(|idle| idle.borrow_mut().pop()) {
        return Some(PipeLease(Some(pipe)));
    }
    let open = OPEN.get();
    if open >= PIPES_PER_SHARD_MAX {
        return None;
    }
    let pipe = Pipe::open(&PIPE_BYTES).ok()?;
    OPEN.set(open + 1);
    OPEN_BYTES.set(OPEN_BYTES.get() + pipe.capacity());
    Some(PipeLease(Some(pipe)))
}

/// Pipes that are lent just now.
pub(super) fn lent() -> usize {
    OPEN.get() - idle()
}

/// Pipes that wait for bytes.
pub(super) fn idle() -> usize {
    IDLE.try_with(|idle| idle.borrow().len()).unwrap_or(0)
}

/// What all pipes, idle and lent, can hold together.
pub(super) fn bytes() -> usize {
    OPEN_BYTES.get()
}

impl Deref for PipeLease {
    type Target = Pipe;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl DerefMut for PipeLease {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for PipeLease {
    fn drop(&mut self) {
        let capacity = self.capacity();
        // Bytes of one transfer must never reach another. At the thread's end the others may be gone before this one.
        let kept = self
            .0
            .take_if(|pipe| pipe.is_empty())
            .is_some_and(|pipe| IDLE.try_with(|idle| idle.borrow_mut().push(pipe)).is_ok());
        if !kept {
            OPEN.set(OPEN.get() - 1);
            OPEN_BYTES.set(OPEN_BYTES.get() - capacity);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::sys::splice;

    #[test]
    fn a_pipe_with_bytes_in_it_is_never_lent_again() {
        let first = take().unwrap();
        let size = first.capacity();
        drop(first);
        assert_eq!((idle(), lent(), bytes()), (1, 0, size));
        let (mut from, ours) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        from.write_all(b"secret").unwrap();
        let mut used = take().unwrap();
        assert_eq!(used.capacity(), size);
        splice::draw(ours.as_fd(), &mut used).unwrap();
        assert_eq!((idle(), lent(), bytes()), (0, 1, size));
        drop(used);
        assert_eq!((idle(), lent(), bytes()), (0, 0, 0));
    }

    #[test]
    fn there_are_only_so_many() {
        let all: Vec<_> = std::iter::from_fn(take).collect();
        assert_eq!(all.len(), PIPES_PER_SHARD_MAX);
        drop(all);
        assert!(take().is_some());
        assert_eq!(OPEN.get(), PIPES_PER_SHARD_MAX);
    }
}
