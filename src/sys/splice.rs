//! splice(2) between a socket and a pipe, never waiting.
//!
//! Always the plain call: the ring's own splice runs on other threads, off the core that owns the session.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::pipe::Pipe;

/// Moves what a non-blocking socket has received into an empty pipe, as much as fits; 0 is the peer's FIN.
///
/// # Errors
/// Those of splice(2); `WouldBlock` where nothing is there that can be spliced.
pub fn draw(socket: BorrowedFd<'_>, pipe: &mut Pipe) -> io::Result<usize> {
    debug_assert!(
        pipe.is_empty(),
        "a full pipe says the same as an idle socket"
    );
    draw_more(socket, pipe)
}

/// As `draw`, behind what the pipe holds. It says `WouldBlock` also where the pipe has no room: the caller leaves some.
///
/// # Errors
/// As `draw`.
pub fn draw_more(socket: BorrowedFd<'_>, pipe: &mut Pipe) -> io::Result<usize> {
    let moved = splice(socket, pipe.writer(), pipe.capacity())?;
    pipe.put(moved);
    Ok(moved)
}

/// Moves what the pipe holds to a non-blocking socket, as much as it takes; the pipe holds something.
///
/// # Errors
/// Those of splice(2); `WouldBlock` where the socket has no room.
pub fn pour(pipe: &mut Pipe, socket: BorrowedFd<'_>) -> io::Result<usize> {
    debug_assert!(
        !pipe.is_empty(),
        "an empty pipe says the same as a full socket"
    );
    let moved = splice(pipe.reader(), socket, pipe.held())?;
    pipe.took(moved);
    Ok(moved)
}

fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, len: usize) -> io::Result<usize> {
    // SAFETY: both descriptors are open for the length of the call, and there are no offsets.
    let moved = unsafe {
        libc::splice(
            from.as_raw_fd(),
            ptr::null_mut(),
            to.as_raw_fd(),
            ptr::null_mut(),
            len,
            libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK,
        )
    };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}
