//! Connecting, without blocking and without a task.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _};
use std::task::{Context, Poll, ready};

use glommio::net::Readiness;
use socket2::{Domain, Protocol, Socket, Type};

use super::Stream;
use crate::sys::sockopt;

/// A connection on its way. Dropping it gives up; the kernel forgets it.
pub struct Dial {
    /// Made when it turns out that there is something to wait for; before the socket, as it must not outlive it.
    connected: Option<Readiness>,
    /// Invariant: some until the outcome was given.
    socket: Option<Socket>,
    peer: SocketAddr,
    speaks_first: bool,
}

impl Dial {
    /// Sends the first packet, from `source` where given.
    ///
    /// # Errors
    /// When no socket can be made, or the kernel knows at once that this address cannot be reached.
    pub fn start(peer: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
        Self::start_to(peer, source, false)
    }

    /// As `start`, where the first word is ours and follows at once: it takes the last packet of TCP's handshake along, which
    /// otherwise waits for 200 ms at most (tcp(7), TCP_QUICKACK), and nothing is read before there is news.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_to_speak(peer: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
        Self::start_to(peer, source, true)
    }

    fn start_to(peer: SocketAddr, source: Option<IpAddr>, speaks_first: bool) -> io::Result<Self> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(peer), kind, Some(Protocol::TCP))?;
        if let Some(source) = source {
            // Only the address is wanted: without this, binding would also take a port for all destinations.
            sockopt::bind_address_only(socket.as_fd())?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        if speaks_first {
            // A refusal costs a packet, nothing else.
            socket.set_tcp_quickack(false).ok();
        }
        match socket.connect(&peer.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        Stream::prepare(&socket)?;
        Ok(Self {
            connected: None,
            socket: Some(socket),
            peer,
            speaks_first,
        })
    }

    /// The connection, once it is there.
    ///
    /// # Errors
    /// Why it will never be; also when asked again after the outcome was given.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let Some(socket) = &self.socket else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        loop {
            if let Some(connected) = &self.connected {
                let _events = ready!(connected.poll(cx));
                connected.clear();
            }
            // A write of no bytes says exactly this: connected, not yet, or the reason why not.
            match socket.send(&[]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let wait = || Readiness::to_write(socket.as_raw_fd());
                    self.connected.get_or_insert_with(wait);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return Poll::Ready(self.connected(outcome)),
            }
        }
    }

    fn connected(&mut self, outcome: io::Result<usize>) -> io::Result<Stream> {
        self.connected = None;
        let socket = self.socket.take().ok_or(io::ErrorKind::NotConnected)?;
        outcome?;
        let local = socket.local_addr()?.as_socket();
        let local = local.ok_or(io::ErrorKind::Unsupported)?;
        let mut stream = Stream::new(socket, self.peer, local);
        if self.speaks_first {
            stream.wait_anew();
        }
        Ok(stream)
    }

    /// Whether the peer has been there by now, whatever the ring has told of it so far; it may have gone again.
    #[must_use]
    pub fn has_met(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        self.socket.as_ref().is_some_and(|socket| {
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
