//! What socket2 lacks on sockets: accept with a whole outcome, an immediate reset.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What one `accept4` gave.
#[derive(Debug)]
pub enum Accept {
    /// A connection: non-blocking, closed on exec.
    Connection(OwnedFd, SocketAddr),
    /// Nobody is waiting.
    Empty,
    /// When somebody was waiting and left, or the network beneath him failed (accept(2), "Error handling"): go on.
    Gone,
    /// When the process, the system or its memory is out of descriptors: the connection still waits, so back off.
    Exhausted(io::Error),
    /// When the listener itself is broken.
    Broken(io::Error),
}

/// Takes one waiting connection off a non-blocking listener.
pub fn accept(listener: BorrowedFd<'_>) -> Accept {
    // SAFETY: all-zero bytes are a valid sockaddr_storage, of the family AF_UNSPEC.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: the pointers are to live locals, and `length` says how much the kernel may write.
    let fd = unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            (&raw mut storage).cast(),
            &raw mut length,
            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
        )
    };
    if fd >= 0 {
        // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        return match address_of(&storage) {
            Some(peer) => Accept::Connection(fd, peer),
            None => Accept::Gone,
        };
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error().unwrap_or(0) {
        libc::EAGAIN => Accept::Empty,
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM => Accept::Exhausted(error),
        libc::EINTR
        | libc::ECONNABORTED
        | libc::EPERM
        | libc::EPROTO
        | libc::ENOPROTOOPT
        | libc::ENETDOWN
        | libc::ENETUNREACH
        | libc::EHOSTDOWN
        | libc::EHOSTUNREACH
        | libc::ENONET => Accept::Gone,
        _ => Accept::Broken(error),
    }
}

/// Ends a TCP connection with a reset that leaves now: what was not yet sent is dropped, and the peer's reads fail.
///
/// Dissolving the association by AF_UNSPEC works at once, while SO_LINGER 0 waits for the last holder of the file to
/// let go, and a ring with a poll on it is such a holder. An error means that the connection was dead already.
pub fn abort(socket: BorrowedFd<'_>) {
    // SAFETY: all-zero bytes are a valid sockaddr.
    let mut address: libc::sockaddr = unsafe { mem::zeroed() };
    address.sa_family = libc::AF_UNSPEC as libc::sa_family_t;
    let length = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: connect reads `length` bytes of a live local.
    let _ = unsafe { libc::connect(socket.as_raw_fd(), &raw const address, length) };
}

/// Makes a bind to port 0 take the address only, and leaves the port to connect: one source address can then reach each
/// destination by every port, not all destinations together (ip(7), IP_BIND_ADDRESS_NO_PORT).
///
/// # Errors
/// Those of setsockopt(2).
pub fn bind_address_only(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: setsockopt reads `length` bytes of a live local.
    let refused = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            length,
        )
    };
    if refused == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Receives at most `max` bytes behind what `into` holds, without clearing memory first, and without waiting.
///
/// # Errors
/// Those of recv(2); `WouldBlock` where nothing is there.
pub fn receive(socket: BorrowedFd<'_>, into: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    into.reserve(max);
    let room = &mut into.spare_capacity_mut()[..max];
    // SAFETY: `room` is `max` writable bytes; the kernel only writes.
    let got = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            room.as_mut_ptr().cast(),
            max,
            libc::MSG_DONTWAIT,
        )
    };
    let Ok(got) = usize::try_from(got) else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: the kernel has written the first `got` bytes of the spare capacity, and `got` is at most `max`.
    unsafe { into.set_len(into.len() + got) };
    Ok(got)
}

/// Sends what there is room for of `bytes`, without waiting, and lets the kernel keep back the last packet, if it is not full, for
/// what follows (send(2), MSG_MORE).
///
/// # Errors
/// Those of send(2); `WouldBlock` where there is no room.
pub fn send_more(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and the length are those of a live slice, which the kernel only reads.
    let sent = unsafe {
        libc::send(
            socket.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_DONTWAIT | libc::MSG_MORE | libc::MSG_NOSIGNAL,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// How many bytes the kernel has taken and not yet put on the wire (tcp(7) has SIOCOUTQ; this is its half that waits
/// for the peer's window). What is said on another connection once this is 0 does not overtake them.
///
/// # Errors
/// When the descriptor is no TCP socket any more.
pub fn unsent(socket: BorrowedFd<'_>) -> io::Result<usize> {
    queue(socket, SIOCOUTQNSD)
}

/// <linux/sockios.h>; libc has it for other systems only.
const SIOCOUTQNSD: libc::Ioctl = 0x894B;

/// Whether the next read would begin at an urgent mark (tcp(7), SIOCATMARK): the last one has stopped there, whatever
/// stands behind it. Where it cannot be asked, it might be.
pub fn is_at_mark(socket: BorrowedFd<'_>) -> bool {
    let mut is_at: libc::c_int = 1;
    // SAFETY: SIOCATMARK writes one int through a pointer to a live one.
    let refused = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCATMARK, &raw mut is_at) };
    refused != 0 || is_at != 0
}

/// <asm-generic/sockios.h>; libc has it for other systems only.
const SIOCATMARK: libc::c_ulong = 0x8905;

/// Bytes that have arrived and were not read (tcp(7), SIOCINQ, which is FIONREAD).
///
/// # Errors
/// When the descriptor is no TCP socket any more.
pub fn unread(socket: BorrowedFd<'_>) -> io::Result<usize> {
    queue(socket, libc::FIONREAD)
}

/// How many bytes TCP has taken over in all, sent or not, give or take one that is the same at every call.
///
/// # Errors
/// `WouldBlock` where acknowledgements come too fast to tell; otherwise when the connection is gone.
pub fn taken(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut acknowledged = info(socket)?.tcpi_bytes_acked;
    for _ in 0..TAKEN_TRIES_MAX {
        let queued = queue(socket, libc::TIOCOUTQ)? as u64;
        let before = mem::replace(&mut acknowledged, info(socket)?.tcpi_bytes_acked);
        // What is acknowledged between the two would be missing in the sum, or twice in it.
        if before == acknowledged {
            return Ok(acknowledged + queued);
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Acknowledgements come milliseconds apart, and two system calls take microseconds.
const TAKEN_TRIES_MAX: usize = 8;

fn queue(socket: BorrowedFd<'_>, request: libc::Ioctl) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: each of these requests writes one int through a pointer to a live one.
    let refused = unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut bytes) };
    if refused != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// Whether the peer's FIN has arrived, read or not (tcp(7), TCP_INFO); also when the connection is over altogether.
///
/// # Errors
/// Those of getsockopt(2).
pub fn peer_has_finished(socket: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(FIN_RECEIVED.contains(&info(socket)?.tcpi_state))
}

fn info(socket: BorrowedFd<'_>) -> io::Result<libc::tcp_info> {
    // SAFETY: all-zero bytes are a valid tcp_info, which is numbers only.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: getsockopt writes at most `length` bytes to a live local.
    let refused = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    if refused != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(info)
}

/// States of a socket behind the peer's FIN or its end: TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, CLOSING.
///
/// The numbers are the kernel's (include/net/tcp_states.h); the C library has no names for them in Rust.
const FIN_RECEIVED: [u8; 5] = [6, 7, 8, 9, 11];

/// The address that the kernel has written; none for a family we do not speak.
fn address_of(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that these bytes are a sockaddr_in, and the storage is aligned for every family.
            let v4 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for sockaddr_in6.
            let v6 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}
