//! Listening: service ports shared by all cores, data ports owned by one transfer.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _};
use std::task::{Context, Poll, Waker, ready};

use glommio::net::Readiness;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Fault, Stream};
use crate::limits;
use crate::sys::sockopt::{self, Accept};

/// A listening socket of this core.
pub struct Listener {
    // Before the socket, as it must not outlive it.
    readable: Readiness,
    socket: Socket,
    local: SocketAddr,
    /// When nobody was waiting.
    waiting: bool,
}

/// A service port that is open and belongs to no core yet: whoever connects waits in its queue.
pub struct OpenPort {
    socket: Socket,
    local: SocketAddr,
}

impl OpenPort {
    /// Listens on a service port beside the other cores' listeners of the same address.
    ///
    /// With `cpu` the kernel hands a connection to the listener whose CPU has taken its packet (SO_INCOMING_CPU,
    /// honoured among shared listeners since Linux 6.2); without, or where that CPU has none, it hashes.
    ///
    /// # Errors
    /// The port is taken, privileged, or the address not ours.
    pub fn listen(address: SocketAddr, cpu: Option<usize>) -> io::Result<Self> {
        let socket = unbound(address)?;
        socket.set_reuse_port(true)?;
        // Connections inherit it. A client that says ABOR with Telnet's Synch (RFC 854) sends a byte as urgent; outside the
        // stream, that byte would be missing from the sequence that is to be stripped.
        socket.set_out_of_band_inline(true)?;
        if let Some(cpu) = cpu {
            socket.set_cpu_affinity(cpu)?;
        }
        let local = bind(&socket, address)?;
        Ok(Self { socket, local })
    }

    /// Where it listens; the port is known here even when 0 was asked for.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Listener {
    /// Takes connections from a service port, on this core.
    #[must_use]
    pub fn adopt(open: OpenPort) -> Self {
        Self::of(open.socket, open.local)
    }

    /// Listens on a service port at once, on this core.
    ///
    /// # Errors
    /// As `OpenPort::listen`.
    pub fn listen_shared(address: SocketAddr, cpu: Option<usize>) -> io::Result<Self> {
        OpenPort::listen(address, cpu).map(Self::adopt)
    }

    /// Whether a service port can be had, and nobody outside this process has it: the listeners of another process of the
    /// same user would stand beside ours, and take every other connection.
    ///
    /// # Errors
    /// As `OpenPort::listen`.
    pub fn try_alone(address: SocketAddr) -> io::Result<()> {
        unbound(address)?.bind(&address.into())
    }

    /// Listens on a data port, alone: a port that anybody else listens on is refused.
    ///
    /// # Errors
    /// As `OpenPort::listen`; `AddrInUse` is the ordinary one.
    pub fn listen_passive(address: SocketAddr) -> io::Result<Self> {
        let socket = unbound(address)?;
        let local = bind(&socket, address)?;
        Ok(Self::of(socket, local))
    }

    fn of(socket: Socket, local: SocketAddr) -> Self {
        Self {
            readable: Readiness::to_read(socket.as_raw_fd()),
            local,
            socket,
            waiting: false,
        }
    }

    /// The next connection. Nothing is lost when the caller stops polling: what nobody has taken waits in the kernel.
    ///
    /// # Errors
    /// `OutOfDescriptors`: wait a little and poll again; anything else is final.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stream, Fault>> {
        loop {
            if self.waiting {
                let _events = ready!(self.readable.poll(cx));
                self.waiting = false;
            }
            match sockopt::accept(self.socket.as_fd()) {
                Accept::Connection(fd, peer) => {
                    let socket = Socket::from(fd);
                    // An error here: gone before anything could be asked of it, as if it had never come.
                    if let Ok(local) = self.local_of(&socket) {
                        return Poll::Ready(Ok(Stream::new(socket, peer, local)));
                    }
                }
                Accept::Gone => {}
                Accept::Empty => {
                    self.readable.clear();
                    self.waiting = true;
                }
                Accept::Exhausted(error) => {
                    return Poll::Ready(Err(Fault::OutOfDescriptors(error)));
                }
                Accept::Broken(error) => return Poll::Ready(Err(Fault::Broken(error))),
            }
        }
    }

    /// A connection that waits already, whatever the ring has told of it so far.
    ///
    /// # Errors
    /// As `poll_accept`.
    pub fn take_waiting(&mut self) -> Result<Option<Stream>, Fault> {
        self.waiting = false;
        match self.poll_accept(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(stream) => stream.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// Where it listens; the port is known here even when 0 was asked for.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Our end of a connection: where it listens, unless that is everywhere.
    fn local_of(&self, socket: &Socket) -> io::Result<SocketAddr> {
        match self.local.ip().is_unspecified() {
            true => local_of(socket),
            false => Ok(self.local),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The poll in the ring holds the socket until the executor has cancelled it. Shutting it down stops the
        // listening now and resets who still waits in it; the port can be bound again at once (SO_REUSEADDR).
        self.socket.shutdown(Shutdown::Both).ok();
    }
}

/// Listens at an address; gives it, with the port where 0 was asked for.
fn bind(socket: &Socket, address: SocketAddr) -> io::Result<SocketAddr> {
    Stream::prepare(socket)?;
    socket.bind(&address.into())?;
    socket.listen(limits::LISTEN_BACKLOG)?;
    match address.port() {
        0 => local_of(socket),
        _ => Ok(address),
    }
}

fn local_of(socket: &Socket) -> io::Result<SocketAddr> {
    let local = socket.local_addr()?.as_socket();
    Ok(local.ok_or(io::ErrorKind::Unsupported)?)
}

fn unbound(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    // Connections of the last minute in TIME_WAIT must not keep the gate or a data port from coming back.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // 0.0.0.0 and [::] are two listeners; no IPv4 client ever appears under a mapped address.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}
