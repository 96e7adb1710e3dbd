//! Connecting, without blocking and without a task.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::io::AsyncWrite;
use glommio::net::TcpStream;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::Stream;
use crate::sys::sockopt::{self, Lender};

/// A connection on its way. Dropping it gives up; the kernel forgets it.
pub struct Dial {
    /// Invariant: some until the outcome was given.
    inner: Option<Lender<TcpStream>>,
    peer: SocketAddr,
}

impl Dial {
    /// Sends the first packet, from `source` where given.
    ///
    /// # Errors
    /// When no socket can be made, or the kernel knows at once that this address cannot be reached.
    pub fn start(peer: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(peer), kind, Some(Protocol::TCP))?;
        if let Some(source) = source {
            // Only the address is wanted: without this, binding would also take a port for all destinations.
            sockopt::bind_address_only(socket.as_fd())?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&peer.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let inner = Some(Lender(sockopt::adopt(OwnedFd::from(socket))));
        Ok(Self { inner, peer })
    }

    /// The connection, once it is there.
    ///
    /// # Errors
    /// Why it will never be; also when asked again after the outcome was given.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        // A write of no bytes waits for exactly this: connected, or the reason why not.
        let outcome = ready!(Pin::new(&mut inner.0).poll_write(cx, &[]));
        let inner = self.inner.take();
        outcome?;
        let inner = inner.ok_or(io::ErrorKind::NotConnected)?;
        Poll::Ready(Stream::from_connected(inner, self.peer))
    }

    /// Whether the peer has been there by now, whatever the ring has told of it so far; it may have gone again.
    #[must_use]
    pub fn has_met(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        self.inner.as_ref().is_some_and(|inner| {
            let socket = SockRef::from(inner);
            let error = socket.take_error().ok().flatten();
            socket.peer_addr().is_ok()
                || error.is_some_and(|error| matches!(error.kind(), ConnectionReset | BrokenPipe))
        })
    }

    /// Where to.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }
}
