//! Listening: service ports shared by all cores, data ports owned by one transfer.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::io::AsyncRead;
use glommio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Fault, Stream};
use crate::limits;
use crate::sys::sockopt::{self, Accept};

/// A listening socket of this core.
pub struct Listener {
    socket: Socket,
    local: SocketAddr,
    /// A duplicate of the listener on which the ring polls; see `poll_accept`.
    probe: Option<TcpStream>,
}

impl Listener {
    /// Listens on a service port beside the other cores' listeners of the same address.
    ///
    /// With `cpu` the kernel hands a connection to the listener whose CPU has taken its packet (SO_INCOMING_CPU,
    /// honoured among shared listeners since Linux 6.2); without, or where that CPU has none, it hashes.
    ///
    /// # Errors
    /// The port is taken, privileged, or the address not ours.
    pub fn listen_shared(address: SocketAddr, cpu: Option<usize>) -> io::Result<Self> {
        let socket = unbound(address)?;
        socket.set_reuse_port(true)?;
        // Connections inherit it. A client that says ABOR with Telnet's Synch (RFC 854) sends a byte as urgent; outside the
        // stream, that byte would be missing from the sequence that is to be stripped.
        socket.set_out_of_band_inline(true)?;
        if let Some(cpu) = cpu {
            socket.set_cpu_affinity(cpu)?;
        }
        Self::listen(socket, address)
    }

    /// Whether a service port can be had, and nobody outside this process has it: the listeners of another process of the
    /// same user would stand beside ours, and take every other connection.
    ///
    /// # Errors
    /// As `listen_shared`.
    pub fn try_alone(address: SocketAddr) -> io::Result<()> {
        unbound(address)?.bind(&address.into())
    }

    /// Listens on a data port, alone: a port that anybody else listens on is refused.
    ///
    /// # Errors
    /// As `listen_shared`; `AddrInUse` is the ordinary one.
    pub fn listen_passive(address: SocketAddr) -> io::Result<Self> {
        Self::listen(unbound(address)?, address)
    }

    fn listen(socket: Socket, address: SocketAddr) -> io::Result<Self> {
        socket.bind(&address.into())?;
        socket.listen(limits::LISTEN_BACKLOG)?;
        let local = socket.local_addr()?.as_socket();
        let local = local.ok_or(io::ErrorKind::Unsupported)?;
        Ok(Self {
            socket,
            local,
            probe: None,
        })
    }

    /// The next connection. Nothing is lost when the caller stops polling: what nobody has taken waits in the kernel.
    ///
    /// # Errors
    /// `OutOfDescriptors`: wait a little and poll again; anything else is final.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stream, Fault>> {
        loop {
            match sockopt::accept(self.socket.as_fd()) {
                Accept::Connection(fd, peer) => {
                    // An error here: gone before its first option could be set, as if it had never come.
                    if let Ok(stream) = Stream::adopt(fd, peer) {
                        return Poll::Ready(Ok(stream));
                    }
                }
                Accept::Gone => {}
                Accept::Empty => ready!(self.poll_ready(cx))?,
                Accept::Exhausted(error) => {
                    return Poll::Ready(Err(Fault::OutOfDescriptors(error)));
                }
                Accept::Broken(error) => return Poll::Ready(Err(Fault::Broken(error))),
            }
        }
    }

    /// A connection that waits already, whatever the ring has told of it so far.
    pub fn take_waiting(&mut self) -> Option<Stream> {
        loop {
            match sockopt::accept(self.socket.as_fd()) {
                Accept::Connection(fd, peer) => {
                    if let Ok(stream) = Stream::adopt(fd, peer) {
                        return Some(stream);
                    }
                }
                Accept::Gone => {}
                Accept::Empty | Accept::Exhausted(_) | Accept::Broken(_) => return None,
            }
        }
    }

    /// Where it listens; the port is known here even when 0 was asked for.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Waits until accepting is worth a try.
    ///
    /// glommio cannot wait for a listener without accepting in the ring, which loses connections when dropped (decision
    /// 1). But a *new* stream arms a poll on whatever descriptor it is given; its first read waits for that
    /// poll and then fails, as a listener cannot be read: that failure is the news. It arms no second time, so every
    /// wait takes a new duplicate: one dup and one close for each burst of connections.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let probe = match &mut self.probe {
            Some(probe) => probe,
            empty => {
                let duplicate =
                    self.socket
                        .try_clone()
                        .map_err(|error| match error.raw_os_error() {
                            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => {
                                Fault::OutOfDescriptors(error)
                            }
                            _ => Fault::Broken(error),
                        })?;
                empty.insert(sockopt::adopt(OwnedFd::from(duplicate)))
            }
        };
        let _not_readable = ready!(Pin::new(probe).poll_read(cx, &mut []));
        self.probe = None;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The poll in the ring holds the socket until the executor has cancelled it. Shutting it down stops the
        // listening now and resets who still waits in it; the port can be bound again at once (SO_REUSEADDR).
        self.socket.shutdown(Shutdown::Both).ok();
    }
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
