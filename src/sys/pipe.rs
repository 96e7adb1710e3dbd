//! A pipe that carries bytes from socket to socket without bringing them into the process.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A pipe, and how many bytes are in it.
#[derive(Debug)]
pub struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    /// Invariant: as many bytes as the kernel holds; nobody else has the descriptors.
    held: usize,
    capacity: usize,
}

impl Pipe {
    /// An empty pipe of the first of these sizes that the kernel grants, or of its own default.
    ///
    /// An unprivileged user has so many pages for all his pipes (pipe(7), pipe-user-pages-soft) and gets small ones, or
    /// none larger than the default, beyond that: slower, not wrong.
    ///
    /// # Errors
    /// Those of pipe2(2): out of descriptors.
    pub fn open(sizes: &[usize]) -> io::Result<Self> {
        let mut ends: [libc::c_int; 2] = [-1; 2];
        // SAFETY: pipe2 writes two descriptors to a live array of two.
        let refused = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) };
        if refused != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us these two, and nobody else knows them.
        let [reader, writer] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        let granted = sizes.iter().find_map(|&size| {
            let size = libc::c_int::try_from(size).ok()?;
            // SAFETY: F_SETPIPE_SZ takes a number, no pointer.
            let granted = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, size) };
            usize::try_from(granted).ok()
        });
        Ok(Self {
            reader,
            writer,
            held: 0,
            capacity: granted.unwrap_or(DEFAULT_BYTES),
        })
    }

    /// Most bytes that it can hold.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Most pieces that it can hold, whatever their size: one for each page of its capacity.
    #[must_use]
    pub fn pieces(&self) -> usize {
        // SAFETY: sysconf takes a number and gives one.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(page).map_or(0, |page| self.capacity / page)
    }

    /// Bytes in it.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes bytes out into the process.
    ///
    /// # Errors
    /// Those of read(2); `WouldBlock` where it is empty.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // SAFETY: read writes at most `into.len()` bytes to a live slice.
        let got = unsafe {
            libc::read(
                self.reader.as_raw_fd(),
                into.as_mut_ptr().cast(),
                into.len(),
            )
        };
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        self.took(got);
        Ok(got)
    }

    pub(super) fn reader(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    pub(super) fn writer(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }

    pub(super) const fn put(&mut self, bytes: usize) {
        self.held += bytes;
    }

    pub(super) fn took(&mut self, bytes: usize) {
        assert!(bytes <= self.held, "more came out of a pipe than went in");
        self.held -= bytes;
    }
}

/// What a pipe has that nobody asked for more (pipe(7)); an unprivileged user beyond his pages gets less, and then only
/// the number of bytes asked for is too high.
const DEFAULT_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::sys::splice;

    #[test]
    fn the_first_size_that_is_granted_is_taken() {
        let pipe = Pipe::open(&[usize::MAX, 1 << 16]).unwrap();
        assert_eq!(pipe.capacity(), 1 << 16);
        assert_eq!(Pipe::open(&[]).unwrap().capacity(), DEFAULT_BYTES);
    }

    #[test]
    fn what_goes_in_comes_out_and_is_counted() {
        let (mut from, ours) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut pipe = Pipe::open(&[1 << 16]).unwrap();
        let nothing = splice::draw(ours.as_fd(), &mut pipe).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        from.write_all(b"hello, there").unwrap();
        assert_eq!(splice::draw(ours.as_fd(), &mut pipe).unwrap(), 12);
        let mut word = [0; 5];
        assert_eq!(pipe.read(&mut word).unwrap(), 5);
        assert_eq!((&word, pipe.held()), (b"hello", 7));
        let (to, theirs) = UnixStream::pair().unwrap();
        to.set_nonblocking(true).unwrap();
        assert_eq!(splice::pour(&mut pipe, to.as_fd()).unwrap(), 7);
        assert!(pipe.is_empty());
        drop(from);
        assert_eq!(splice::draw(ours.as_fd(), &mut pipe).unwrap(), 0);
        drop(theirs);
    }
}
