//! Kernel TLS: the kernel opens or seals the records of an established connection (Documentation/networking/tls.rst).
//!
//! TLS 1.3 with AES only. In TLS 1.2 the kernel counts explicit nonces from where it is told to, rustls makes them otherwise,
//! and the two together would use one twice; ChaCha20 was measured to be dearer in the kernel than in the process.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The key of one direction, as it is for the next record.
pub struct RecordKey<'k> {
    /// Of 16 bytes (AES-128-GCM) or 32 (AES-256-GCM).
    pub key: &'k [u8],
    /// What the numbers of records are added to, to make nonces (RFC 8446 section 5.3).
    pub iv: &'k [u8; 12],
    /// The number of the next record.
    pub sequence: u64,
}

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// What comes is opened.
    Opening,
    /// What leaves is sealed.
    Sealing,
}

/// What one `receive` gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes of records of this kind (RFC 8446 section 5.1), of several only where they are data.
    Record(u8, usize),
    /// The peer's FIN, with close_notify before it or without.
    Fin,
}

/// Whether this kernel has TLS for sockets; asking loads its module, where the process may do that.
///
/// # Errors
/// Why not; `NotFound` where the kernel does not know it.
pub fn offered() -> io::Result<()> {
    // SAFETY: a plain system call without pointers.
    let fd = unsafe {
        libc::socket(
            libc::AF_INET,
            libc::SOCK_STREAM | libc::SOCK_CLOEXEC,
            libc::IPPROTO_TCP,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    match attach(std::os::fd::AsFd::as_fd(&socket)) {
        // It is known, and asks for a connection, as it must.
        Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => Ok(()),
        other => other,
    }
}

/// Puts TLS between a connected socket and its user. Nothing changes before a key is there; it cannot be taken off again.
///
/// # Errors
/// Those of setsockopt(2): the connection is as it was.
pub fn attach(socket: BorrowedFd<'_>) -> io::Result<()> {
    let name = b"tls";
    match set(socket, libc::IPPROTO_TCP, libc::TCP_ULP, name) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        attached => attached,
    }
}

/// Has the kernel open or seal what moves in one direction of an attached socket from here on, whose next byte begins a
/// record. This cannot be taken back.
///
/// # Errors
/// Those of setsockopt(2): the direction is as it was.
pub fn install(socket: BorrowedFd<'_>, half: Half, key: &RecordKey<'_>) -> io::Result<()> {
    let Some(mut info) = Info::of(key) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    set(socket, libc::SOL_TLS, half.option(), info.filled())
}

/// The number of the next record that the kernel seals with the key that was installed.
///
/// # Errors
/// Those of getsockopt(2).
pub fn sealed(socket: BorrowedFd<'_>, key_bytes: usize) -> io::Result<u64> {
    let mut info = Info::empty(key_bytes).ok_or(io::ErrorKind::Unsupported)?;
    let room = info.filled();
    let mut length = room.len() as libc::socklen_t;
    // SAFETY: getsockopt writes at most `length` bytes to a live slice.
    let refused = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_TLS,
            libc::TLS_TX,
            room.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    match (refused, room.last_chunk()) {
        (0, Some(sequence)) => Ok(u64::from_be_bytes(*sequence)),
        (0, None) => Err(io::ErrorKind::InvalidData.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Receives at most `max` bytes that the kernel has opened, behind what `into` holds, with their kind, without waiting.
///
/// # Errors
/// Those of recvmsg(2): `WouldBlock` where there is no whole record; EBADMSG, again and again, where one does not verify.
pub fn receive(socket: BorrowedFd<'_>, into: &mut Vec<u8>, max: usize) -> io::Result<Received> {
    into.reserve(max);
    let room = &mut into.spare_capacity_mut()[..max];
    let mut control = Control::default();
    let mut part = libc::iovec {
        iov_base: room.as_mut_ptr().cast(),
        iov_len: max,
    };
    let mut message = control.message(&mut part);
    // SAFETY: the message names `max` writable bytes and a control buffer of its own; both live through the call.
    let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has written the first `got` bytes of the spare capacity, and `got` is at most `max`.
    unsafe { into.set_len(into.len() + got) };
    // SAFETY: the kernel has left a well-formed control buffer, of the length that it has written into the message.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message).as_ref() };
    Ok(match header {
        Some(header)
            if header.cmsg_level == libc::SOL_TLS
                && header.cmsg_type == libc::TLS_GET_RECORD_TYPE =>
        {
            // SAFETY: a header of this type has one byte behind it.
            let kind = unsafe { *libc::CMSG_DATA(header) };
            Received::Record(kind, got)
        }
        _ if got == 0 => Received::Fin,
        _ => Received::Record(APPLICATION_DATA, got),
    })
}

/// Has the kernel seal a record of this kind behind all that was written, without waiting.
///
/// # Errors
/// Those of sendmsg(2): nothing of it was taken; `WouldBlock` where there is no room.
pub fn send(socket: BorrowedFd<'_>, kind: u8, content: &[u8]) -> io::Result<()> {
    let mut control = Control::default();
    let mut part = libc::iovec {
        // The kernel only reads what is sent.
        iov_base: content.as_ptr().cast_mut().cast(),
        iov_len: content.len(),
    };
    let message = control.message(&mut part);
    // SAFETY: the control buffer has room for one header with one byte, so there is a first header.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_TLS;
        (*header).cmsg_type = libc::TLS_SET_RECORD_TYPE;
        (*header).cmsg_len = libc::CMSG_LEN(1) as usize;
        *libc::CMSG_DATA(header) = kind;
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the message names live bytes to read and a control buffer that was filled above.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags) };
    match usize::try_from(sent) {
        Ok(sent) if sent == content.len() => Ok(()),
        // An alert or a handshake message of ours fits one record, which is taken whole or not at all.
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

impl Half {
    const fn option(self) -> libc::c_int {
        match self {
            Self::Opening => libc::TLS_RX,
            Self::Sealing => libc::TLS_TX,
        }
    }
}

/// What the kernel takes and gives as `tls12_crypto_info_aes_gcm_…`: version and cipher, the nonce's end, the key, the
/// nonce's beginning, the number. Bytes only, so the two that there are differ in length alone. Cleared when dropped.
struct Info {
    bytes: [u8; INFO_BYTES_MAX],
    length: usize,
}

impl Info {
    fn empty(key_bytes: usize) -> Option<Self> {
        let cipher = match key_bytes {
            16 => libc::TLS_CIPHER_AES_GCM_128,
            32 => libc::TLS_CIPHER_AES_GCM_256,
            _ => return None,
        };
        let mut bytes = [0; INFO_BYTES_MAX];
        bytes[..2].copy_from_slice(&libc::TLS_1_3_VERSION.to_ne_bytes());
        bytes[2..4].copy_from_slice(&cipher.to_ne_bytes());
        Some(Self {
            bytes,
            length: INFO_BYTES_MAX - 32 + key_bytes,
        })
    }

    fn of(key: &RecordKey<'_>) -> Option<Self> {
        let mut info = Self::empty(key.key.len())?;
        let (salt, nonce) = key.iv.split_at(4);
        let sequence = key.sequence.to_be_bytes();
        let mut at = 4;
        for part in [nonce, key.key, salt, &sequence] {
            info.bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Some(info)
    }

    fn filled(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl Drop for Info {
    fn drop(&mut self) {
        // SAFETY: explicit_bzero writes to a live array of this length; unlike a plain store it is never left out.
        unsafe { libc::explicit_bzero(self.bytes.as_mut_ptr().cast(), self.bytes.len()) };
    }
}

/// Room for one control message of one byte; as numbers, so that it is aligned for its header.
#[derive(Default)]
struct Control([u64; 4]);

impl Control {
    /// A message of one part, with this for its control buffer.
    fn message(&mut self, part: &mut libc::iovec) -> libc::msghdr {
        // SAFETY: all-zero bytes are a valid msghdr: no name, no parts, no control buffer.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_iov = part;
        message.msg_iovlen = 1;
        message.msg_control = self.0.as_mut_ptr().cast();
        // SAFETY: arithmetic on a length.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(1) } as usize;
        message
    }
}

fn set(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: &[u8],
) -> io::Result<()> {
    let length = value.len() as libc::socklen_t;
    // SAFETY: setsockopt reads `length` bytes of a live slice.
    let refused = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            value.as_ptr().cast(),
            length,
        )
    };
    if refused == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// `tls12_crypto_info_aes_gcm_256`: 4 bytes of numbers, 12 of nonce and salt, the key, 8 of sequence.
const INFO_BYTES_MAX: usize = 4 + 12 + 32 + 8;

/// What a record without a kind of its own is (RFC 8446 section 5.1).
const APPLICATION_DATA: u8 = 23;

const _: () = assert!(
    size_of::<libc::tls12_crypto_info_aes_gcm_256>() == INFO_BYTES_MAX
        && size_of::<libc::tls12_crypto_info_aes_gcm_128>() == INFO_BYTES_MAX - 16,
    "the layout is the kernel's"
);
const _: () = assert!(
    // As CMSG_SPACE(1) has it: a header, and a byte with its padding.
    size_of::<Control>() >= size_of::<libc::cmsghdr>() + size_of::<usize>(),
    "one control message fits"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_is_told_is_laid_out_as_it_reads_it() {
        let key = [7; 16];
        let iv = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let sequence = 0x0102_0304_0506_0708;
        let mut info = Info::of(&RecordKey {
            key: &key,
            iv: &iv,
            sequence,
        })
        .unwrap();
        let bytes = info.filled();
        assert_eq!(bytes.len(), 40);
        assert_eq!(bytes[..4], [0x04, 0x03, 51, 0]);
        assert_eq!(bytes[4..12], iv[4..]);
        assert_eq!(bytes[12..28], key);
        assert_eq!(bytes[28..32], iv[..4]);
        assert_eq!(bytes[32..], [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_key_of_another_cipher_is_refused() {
        let key = RecordKey {
            key: &[0; 24],
            iv: &[0; 12],
            sequence: 0,
        };
        assert!(Info::of(&key).is_none());
    }
}
