//! One TCP connection: read, write, half-close, reset.

mod kernel;
mod splice;

use std::io::{self, Read as _};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use glommio::net::Readiness;
use socket2::Socket;

use super::Ends;
use crate::sys::sockopt;
use kernel::Kernel;
pub use kernel::Opened;

/// A connected TCP stream of this core: non-blocking, closed on exec, without Nagle's delay.
///
/// **How it ends is said, never implied.** A stream that was `finish`ed (FIN is behind the last byte) is simply
/// closed when dropped. A stream dropped before that is reset: whoever forgets it, by an early return or a panic,
/// must not make the peer believe in a clean end. Nothing waits for the ring: a poll that is still armed holds the
/// file after `close`, but FIN and RST have left by then. The same holds when the process dies.
///
/// **An error is never an end.** The kernel tells a socket's error once, and says end of file from then on. The first
/// error is kept, and every later read that has no bytes gives it again.
///
/// **It asks before it waits, and once.** Reads and writes are tried at once; the ring is told only of what waits, and
/// tells events of the reading side for as long as the stream lives (edge-triggered).
pub struct Stream {
    // Before the socket, as it must not outlive it.
    readable: Readiness,
    /// Made when a write first finds no room.
    writable: Option<Readiness>,
    socket: Socket,
    peer: SocketAddr,
    local: SocketAddr,
    finished: bool,
    /// What is written may wait in the kernel for what follows it.
    holds: bool,
    /// When the last read left nothing behind: reading needs no buffer before the ring tells something.
    waiting: bool,
    /// When an end or an error was told to somebody who did not read.
    has_last: bool,
    /// When the last write found no room.
    full: bool,
    /// Invariant: set by the first error of either direction and never cleared.
    broken: Option<io::ErrorKind>,
    /// What the kernel does with TLS records here, if it does.
    kernel: Option<Box<Kernel>>,
}

impl Stream {
    /// What every socket of a stream has, and inherits from its listener.
    pub(super) fn prepare(socket: &Socket) -> io::Result<()> {
        socket.set_tcp_nodelay(true)?;
        // Until `finish`: also when the process is killed, the kernel must not say FIN for a stream that is not whole.
        socket.set_linger(Some(Duration::ZERO))
    }

    /// Takes over a socket that is prepared and connected.
    pub(super) fn new(socket: Socket, peer: SocketAddr, local: SocketAddr) -> Self {
        Self {
            readable: Readiness::to_read(socket.as_raw_fd()),
            writable: None,
            socket,
            peer,
            local,
            finished: false,
            holds: false,
            waiting: false,
            has_last: false,
            full: false,
            broken: None,
            kernel: None,
        }
    }

    /// Reads what is there, at most `buffer.len()` bytes; `Ok(0)` is the peer's FIN. For records: with fewer bytes than
    /// asked for there are no more, unless the peer has set an urgent mark among them, and then it waits for its own next
    /// byte.
    ///
    /// # Errors
    /// Whatever ended the connection other than a FIN, again and again.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        debug_assert!(!buffer.is_empty(), "an empty read would look like an end");
        loop {
            ready!(self.poll_told(cx));
            let got = (&self.socket).read(buffer);
            if let Some(got) = self.settle_read(got) {
                if got
                    .as_ref()
                    .is_ok_and(|got| (1..buffer.len()).contains(got))
                {
                    self.settle_drained();
                }
                return Poll::Ready(got);
            }
        }
    }

    /// As `poll_read`, appending at most `max` bytes to `into`; takes no memory before there is something to read.
    ///
    /// # Errors
    /// As `poll_read`.
    pub fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_told(cx));
            let got = sockopt::receive(self.socket.as_fd(), into, max);
            if let Some(got) = self.settle_read(got) {
                return Poll::Ready(got);
            }
        }
    }

    /// Where the last read has left nothing behind, waits for news: bytes, the end, an error, or nothing after all.
    pub fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting {
            let _events = ready!(self.readable.poll(cx));
            self.waiting = false;
        }
        Poll::Ready(())
    }

    /// Waits until a read would give something: bytes or the end.
    ///
    /// # Errors
    /// The connection's error; it is kept, so that nobody can mistake what follows for an end.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_told(cx));
            // A read of no bytes takes nothing, and fails where there is nothing.
            match (&self.socket).read(&mut []) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_anew(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(self.keep(error))),
                Ok(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Ready when the connection has broken and nothing is left to read, for whoever does not read yet. A FIN, and bytes, stay
    /// for the next read.
    pub fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let events = ready!(self.readable.poll(cx));
            self.waiting = false;
            self.has_last |= events & LAST_EVENTS != 0;
            self.readable.clear();
            if events & BREAK_EVENTS != 0
                && let Err(error) = (&self.socket).read(&mut [])
                && error.kind() != io::ErrorKind::WouldBlock
            {
                self.keep(error);
                return Poll::Ready(());
            }
        }
    }

    /// Writes what the socket takes of `bytes`.
    ///
    /// # Errors
    /// The connection's error; reads give what was received before it, then the same error.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(kind) = self.broken {
            return Poll::Ready(Err(kind.into()));
        }
        loop {
            ready!(self.poll_room(cx));
            // Under the kernel's TLS it would hold back a record, for what may never follow.
            let sent = if self.holds && self.kernel.is_none() {
                sockopt::send_more(self.socket.as_fd(), bytes)
            } else {
                self.socket.send(bytes)
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.full = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => {
                    let sent = sent.inspect(|&sent| self.wrote(sent));
                    return Poll::Ready(sent.map_err(|error| self.keep(error)));
                }
            }
        }
    }

    /// Where the last write found no room, waits for some.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.full {
            let writable = self
                .writable
                .get_or_insert_with(|| Readiness::to_write(self.socket.as_raw_fd()));
            let _events = ready!(writable.poll(cx));
            writable.clear();
            self.full = false;
        }
        Poll::Ready(())
    }

    /// The end of what is written from here on waits in the kernel, to leave in one packet with what is written next or with
    /// our FIN. One or the other, or `release`, is to follow at once.
    pub const fn hold(&mut self) {
        self.holds = true;
    }

    /// Nothing follows at once after all: what has waited leaves.
    pub fn release(&mut self) {
        if std::mem::take(&mut self.holds) {
            // Setting it, even once more, sends what has waited (tcp(7), TCP_NODELAY). A connection that is gone says so
            // elsewhere.
            self.socket.set_tcp_nodelay(true).ok();
        }
    }

    /// Sends FIN behind what was written. Reading goes on. A second call does nothing.
    ///
    /// # Errors
    /// When the connection is gone already.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.finished {
            return Ok(());
        }
        if let Some(kind) = self.broken {
            return Err(kind.into());
        }
        let finished = self
            .socket
            .set_linger(None)
            .and_then(|()| self.socket.shutdown(Shutdown::Write));
        finished.map_err(|error| self.keep(error))?;
        self.finished = true;
        Ok(())
    }

    /// Resets the connection: the peer's reads and writes fail from now on. What was not yet sent is dropped, a FIN that
    /// was waiting behind it as well.
    pub fn abort(self) {
        self.reset();
    }

    /// As `abort`, for whoever has the connection on loan only; nothing can be done with it any more.
    pub fn reset(&self) {
        if self.kernel.is_some() {
            return self.reset_at_close();
        }
        // The reset is sent by the descriptor, at once; what drop does after it finds a dead socket.
        sockopt::abort(self.socket.as_fd());
    }

    /// Has the kernel acknowledge what comes next without its usual delay.
    ///
    /// Some clients (lftp) send the end of a handshake in two writes with Nagle's algorithm on: the second one leaves when
    /// the first is acknowledged, 40 ms later by default, with every single transfer (tcp(7), TCP_QUICKACK).
    pub fn acknowledge_at_once(&self) {
        // A refusal costs time, nothing else.
        self.socket.set_tcp_quickack(true).ok();
    }

    /// Bytes that were written and wait in the kernel for the peer to make room.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn unsent(&self) -> io::Result<usize> {
        sockopt::unsent(self.socket.as_fd())
    }

    /// Whether the last read left nothing behind, so that a buffer is better taken after `poll_told`.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Whether our FIN is sent.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.finished
    }

    /// The address of the other end.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address of our end.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Both, as a client has them that nobody has passed on.
    #[must_use]
    pub fn ends(&self) -> Ends {
        let (client, reached) = (self.peer, self.local);
        Ends { client, reached }.canonical()
    }

    /// What one read has come to; nothing where it has to be asked again.
    fn settle_read(&mut self, got: io::Result<usize>) -> Option<io::Result<usize>> {
        match &got {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.wait_anew();
                return None;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return None,
            _ => {}
        }
        Some(self.judge_read(got))
    }

    /// Behind a read that has taken all there was. What comes from now on is told; an end or an error that was told
    /// together with the bytes is not told again.
    fn settle_drained(&mut self) {
        if self.readable.events() & LAST_EVENTS == 0 && !self.has_last {
            self.wait_anew();
        }
    }

    /// Nothing is there: the next read waits for the ring, which tells also of what has come before it is asked.
    pub(super) fn wait_anew(&mut self) {
        self.readable.clear();
        self.waiting = true;
    }

    fn judge_read(&mut self, got: io::Result<usize>) -> io::Result<usize> {
        match (got, self.broken) {
            (Ok(0), Some(kind)) => Err(kind.into()),
            (Ok(got), _) => Ok(got),
            (Err(error), _) => Err(self.keep(error)),
        }
    }

    fn keep(&mut self, error: io::Error) -> io::Error {
        // The kernel says EPIPE after it has told the true reason once: the first one stands.
        match self.broken {
            Some(kind) => kind.into(),
            None => {
                self.broken = Some(error.kind());
                error
            }
        }
    }
}

impl AsFd for Stream {
    /// For splice and socket options; whoever reads from it directly must look for errors with `poll_readable`.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.finished {
            self.reset();
        }
    }
}

/// Events behind which no others may come.
const LAST_EVENTS: u32 = libc::POLLRDHUP as u32 | BREAK_EVENTS;

/// Events of a connection that has broken, and of one that has ended both ways.
const BREAK_EVENTS: u32 = (libc::POLLHUP | libc::POLLERR) as u32;
