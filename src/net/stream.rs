//! One TCP connection: read, write, half-close, reset.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use socket2::SockRef;

use super::Ends;
use crate::sys::pipe::Pipe;
use crate::sys::sockopt::{self, Lender};
use crate::sys::splice;

/// A connected TCP stream of this core: non-blocking, closed on exec, without Nagle's delay.
///
/// **How it ends is said, never implied.** A stream that was `finish`ed (FIN is behind the last byte) is simply
/// closed when dropped. A stream dropped before that is reset: whoever forgets it, by an early return or a panic,
/// must not make the peer believe in a clean end. Nothing waits for the ring: a poll that is still armed holds the
/// file after `close`, but FIN and RST have left by then. The same holds when the process dies.
///
/// **An error is never an end.** The kernel tells a socket's error once, and says end of file from then on. The first
/// error is kept, and every later read that has no bytes gives it again.
pub struct Stream {
    inner: Lender<TcpStream>,
    peer: SocketAddr,
    local: SocketAddr,
    finished: bool,
    /// When the last read found nothing: reading needs no buffer before the ring says readable.
    waiting: bool,
    /// Invariant: set by the first error of either direction and never cleared.
    broken: Option<io::ErrorKind>,
}

impl Stream {
    /// Takes over an accepted socket.
    pub(super) fn adopt(fd: OwnedFd, peer: SocketAddr) -> io::Result<Self> {
        Self::from_connected(Lender(sockopt::adopt(fd)), peer)
    }

    /// Takes over a socket that glommio has already and that is connected by now.
    pub(super) fn from_connected(inner: Lender<TcpStream>, peer: SocketAddr) -> io::Result<Self> {
        let socket = SockRef::from(&inner);
        socket.set_tcp_nodelay(true)?;
        // Until `finish`: also when the process is killed, the kernel must not say FIN for a stream that is not whole.
        socket.set_linger(Some(Duration::ZERO))?;
        let local = socket.local_addr()?.as_socket();
        let local = local.ok_or(io::ErrorKind::Unsupported)?;
        Ok(Self {
            inner,
            peer,
            local,
            finished: false,
            waiting: false,
            broken: None,
        })
    }

    /// Reads what is there, at most `buffer.len()` bytes; `Ok(0)` is the peer's FIN.
    ///
    /// # Errors
    /// Whatever ended the connection other than a FIN, again and again.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        debug_assert!(!buffer.is_empty(), "an empty read would look like an end");
        let got = Pin::new(&mut self.inner.0).poll_read(cx, buffer);
        self.waiting = got.is_pending();
        let got = ready!(got);
        Poll::Ready(self.judge_read(got))
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
            if self.waiting {
                ready!(self.poll_readable(cx))?;
            }
            match sockopt::receive(self.inner.as_fd(), into, max) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.waiting = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                got => return Poll::Ready(self.judge_read(got)),
            }
        }
    }

    /// Waits until a read would give something: bytes or the end.
    ///
    /// # Errors
    /// The connection's error; it is kept, so that nobody can mistake what follows for an end.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // glommio has no public readiness: a read of no bytes returns at once when there is something.
        let got = Pin::new(&mut self.inner.0).poll_read(cx, &mut []);
        self.waiting = got.is_pending();
        Poll::Ready(match ready!(got) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.keep(error)),
        })
    }

    /// As `poll_receive`, into an empty pipe. Nothing where there is something that cannot be spliced: what stands before
    /// an urgent mark (tcp(7)) has to be received.
    ///
    /// # Errors
    /// As `poll_read`.
    pub fn poll_draw(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<Option<usize>>> {
        let mut is_readable = false;
        loop {
            if self.waiting {
                ready!(self.poll_readable(cx))?;
                is_readable = true;
            }
            match splice::draw(self.inner.as_fd(), pipe) {
                // Never asked again here: the two would contradict each other for ever.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && is_readable => {
                    return Poll::Ready(Ok(None));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.waiting = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                got => return Poll::Ready(self.judge_read(got).map(Some)),
            }
        }
    }

    /// Writes what the socket takes at once out of a pipe that holds something.
    ///
    /// # Errors
    /// `WouldBlock` where it takes nothing; no readiness is waited for. Otherwise as `poll_write`.
    pub fn pour(&mut self, pipe: &mut Pipe) -> io::Result<usize> {
        if let Some(kind) = self.broken {
            return Err(kind.into());
        }
        match splice::pour(pipe, self.inner.as_fd()) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(self.keep(error)),
            poured => poured,
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
        let wrote = ready!(Pin::new(&mut self.inner.0).poll_write(cx, bytes));
        Poll::Ready(wrote.map_err(|error| self.keep(error)))
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
        let socket = SockRef::from(&self.inner);
        let finished = socket
            .set_linger(None)
            .and_then(|()| socket.shutdown(Shutdown::Write));
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
        // The reset is sent by the descriptor, at once; what drop does after it finds a dead socket.
        sockopt::abort(self.inner.as_fd());
    }

    /// Has the kernel acknowledge what comes next without its usual delay.
    ///
    /// Some clients (lftp) send the end of a handshake in two writes with Nagle's algorithm on: the second one leaves when
    /// the first is acknowledged, 40 ms later by default, with every single transfer (tcp(7), TCP_QUICKACK).
    pub fn acknowledge_at_once(&self) {
        // A refusal costs time, nothing else.
        SockRef::from(&self.inner).set_tcp_quickack(true).ok();
    }

    /// Bytes that were written and wait in the kernel for the peer to make room.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn unsent(&self) -> io::Result<usize> {
        sockopt::unsent(self.inner.as_fd())
    }

    /// Whether bytes wait in the kernel, whatever the ring has told of them so far.
    #[must_use]
    pub fn holds_bytes(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        // The socket does not block; an end and an error are no bytes.
        SockRef::from(&self.inner)
            .peek(&mut byte)
            .is_ok_and(|got| got > 0)
    }

    /// Whether the last read found nothing, so that a buffer is better taken after `poll_readable`.
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
        self.inner.as_fd()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.finished {
            sockopt::abort(self.inner.as_fd());
        }
    }
}
