//! A stream whose TLS records the kernel opens, or seals: what differs in waiting, in reading and in ending.

use std::io;
use std::os::fd::AsFd as _;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Stream;
use crate::limits::UNSENT_LOOK;
use crate::net::Alarm;
use crate::sys::ktls::{self, Half, Received, RecordKey};
use crate::sys::pipe::Pipe;
use crate::sys::{clock, sockopt, splice};

/// What a stream has where the kernel has taken over a direction of its TLS.
#[derive(Default)]
pub(super) struct Kernel {
    seals: Option<Sealing>,
    /// When to look again whether nothing is held back: no event tells it.
    look: Alarm,
}

/// What has been given to the kernel to be sealed.
struct Sealing {
    key_bytes: usize,
    /// The number of the first record.
    first: u64,
    /// Plain bytes, alerts included.
    plain: u64,
    /// What TCP had taken over before.
    taken: u64,
}

/// What a socket whose records the kernel opens has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// So many bytes, appended: of data, or all of another record, by its kind (RFC 8446 section 5.1).
    Record(u8, usize),
    /// The peer's FIN, and whether the start of a record stands before it. Whoever has heard no close_notify has to think
    /// of it as no proper end: the kernel tells no difference.
    Fin {
        /// As far as the kernel tells: from Linux 6.0 on it does, but for a socket that was short of memory.
        is_amid_record: bool,
    },
}

impl Kernel {
    /// Asks for another look a little later.
    fn look_later(&mut self, cx: &mut Context<'_>) {
        let now = clock::now();
        if self.look.deadline().is_none_or(|at| at <= now) {
            self.look.set(Some(now + UNSENT_LOOK));
        }
        if self.look.poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

impl Stream {
    /// Puts TLS between the socket and us, to no effect before there is a key. It cannot be taken off again.
    ///
    /// # Errors
    /// When the kernel will not: everything is as it was.
    pub fn attach_kernel(&mut self) -> io::Result<()> {
        ktls::attach(self.as_fd())?;
        // From here on it is another kind of socket, with a key or without.
        self.kernel.get_or_insert_default();
        Ok(())
    }

    /// Has the kernel open what comes from here on: the next byte begins a record.
    ///
    /// # Errors
    /// When it will not: everything is as it was.
    pub fn open_by_kernel(&mut self, key: &RecordKey<'_>) -> io::Result<()> {
        self.hand_over(Half::Opening, key).map(|_| ())
    }

    /// Has the kernel seal what is written from here on: nothing of an earlier record is to be written any more.
    ///
    /// # Errors
    /// When it will not: everything is as it was.
    pub fn seal_by_kernel(&mut self, key: &RecordKey<'_>) -> io::Result<()> {
        let taken = sockopt::taken(self.as_fd())?;
        self.hand_over(Half::Sealing, key)?.seals = Some(Sealing {
            key_bytes: key.key.len(),
            first: key.sequence,
            plain: 0,
            taken,
        });
        Ok(())
    }

    fn hand_over(&mut self, half: Half, key: &RecordKey<'_>) -> io::Result<&mut Kernel> {
        let kernel = self.kernel.as_mut().ok_or(io::ErrorKind::Unsupported)?;
        ktls::install(self.socket.as_fd(), half, key)?;
        Ok(kernel)
    }

    /// As `poll_draw`, where the kernel opens records: as many as there are and the pipe has room for, and only data. Nothing
    /// where `poll_receive_opened` has to be asked instead: before a record of another kind, an empty one, or an end.
    ///
    /// # Errors
    /// As `poll_receive_opened`.
    pub fn poll_draw_opened(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<Option<usize>>> {
        let first = loop {
            ready!(self.poll_told(cx));
            match splice::draw(self.socket.as_fd(), pipe) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_anew(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                drawn => break drawn,
            }
        };
        match first {
            Ok(0) => return Poll::Ready(Ok(None)),
            Err(error) if is_for_receive(&error) => return Poll::Ready(Ok(None)),
            Err(error) => return Poll::Ready(Err(self.keep(error))),
            Ok(_) => {}
        }
        // Each call brings one record, in a few pieces. A pipe without room for all of them would lose the rest, as kernels
        // of 2022 and 2023 forget what did not fit.
        for _ in 1..pipe.capacity() / PIPE_RECORD_ROOM_BYTES {
            match splice::draw_more(self.socket.as_fd(), pipe) {
                Ok(1..) => {}
                Err(error) if !is_for_receive(&error) => {
                    // It is told once: the reads to come tell it again, when these bytes are done with.
                    self.keep(error);
                    break;
                }
                _ => break,
            }
        }
        Poll::Ready(Ok(Some(pipe.held())))
    }

    /// As `poll_receive`, where the kernel opens records, and whatever comes next; `max` is at least a record.
    ///
    /// # Errors
    /// `InvalidData` when a record does not verify or is none, and as `poll_receive`; again and again.
    pub fn poll_receive_opened(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
        max: usize,
    ) -> Poll<io::Result<Opened>> {
        loop {
            ready!(self.poll_told(cx));
            match ktls::receive(self.socket.as_fd(), into, max) {
                Ok(Received::Record(kind, bytes)) => {
                    return Poll::Ready(Ok(Opened::Record(kind, bytes)));
                }
                Ok(Received::Fin) => {
                    self.judge_read(Ok(0))?;
                    let is_amid_record = sockopt::unread(self.socket.as_fd())? > 0;
                    return Poll::Ready(Ok(Opened::Fin { is_amid_record }));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_anew(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Not kept: the kernel says it again. It would also refuse to tell the peer, unless this is taken from it.
                Err(error) if is_about_records(&error) => {
                    self.socket.take_error()?;
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                Err(error) => return Poll::Ready(Err(self.keep(error))),
            }
        }
    }

    /// Says a record of this kind behind all that was written, where the kernel seals.
    ///
    /// # Errors
    /// As `poll_write`.
    pub fn poll_say(
        &mut self,
        cx: &mut Context<'_>,
        kind: u8,
        content: &[u8],
    ) -> Poll<io::Result<()>> {
        if let Some(kind) = self.broken {
            return Poll::Ready(Err(kind.into()));
        }
        loop {
            ready!(self.poll_room(cx));
            match ktls::send(self.socket.as_fd(), kind, content) {
                Ok(()) => {
                    self.wrote(content.len());
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.full = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(self.keep(error))),
            }
        }
    }

    /// Ready when TCP has taken over all that was written; at once where the kernel does not seal. It may have accepted bytes
    /// that it holds back, sealed, until TCP has room, and a FIN would come before them.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.socket.as_fd();
        let Some(kernel) = &mut self.kernel else {
            return Poll::Ready(Ok(()));
        };
        let Some(sealing) = &kernel.seals else {
            return Poll::Ready(Ok(()));
        };
        let records = ktls::sealed(socket, sealing.key_bytes)? - sealing.first;
        let sealed = sealing.plain + records * RECORD_OVERHEAD_BYTES;
        match sockopt::taken(socket) {
            Ok(taken) if taken - sealing.taken >= sealed => return Poll::Ready(Ok(())),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                return Poll::Ready(Err(error));
            }
            _ => kernel.look_later(cx),
        }
        Poll::Pending
    }

    /// The number of the next record that the kernel seals; none where it does not.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn sealed(&self) -> io::Result<Option<u64>> {
        let sealing = self
            .kernel
            .as_ref()
            .and_then(|kernel| kernel.seals.as_ref());
        sealing
            .map(|sealing| ktls::sealed(self.as_fd(), sealing.key_bytes))
            .transpose()
    }

    /// Has been written, whoever seals it.
    pub(super) fn wrote(&mut self, bytes: usize) {
        if let Some(sealing) = self
            .kernel
            .as_mut()
            .and_then(|kernel| kernel.seals.as_mut())
        {
            sealing.plain += bytes as u64;
        }
    }

    /// As `reset`, where the association cannot be dissolved: newer kernels refuse that under TLS, and older ones had better
    /// done so. The reset leaves when the descriptor is closed, and the ring has let go of it.
    pub(super) fn reset_at_close(&self) {
        // A refusal means that the connection was dead already.
        self.socket.set_linger(Some(Duration::ZERO)).ok();
    }
}

/// Whether it is `receive` that has the answer: nothing whole is there, a record that is no data, or a bad one.
fn is_for_receive(error: &io::Error) -> bool {
    let is_passing = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR));
    is_passing || is_about_records(error)
}

/// Whether it is a record that is wrong, or wrong for splice(2), and not the connection.
fn is_about_records(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EBADMSG | libc::EMSGSIZE | libc::EINVAL | libc::EIO)
    )
}

/// What a record is longer than its plain bytes: header, kind and tag (RFC 8446 section 5.2).
const RECORD_OVERHEAD_BYTES: u64 = 5 + 1 + 16;

/// Room in a pipe for a record: a pipe has a place for each 4 KiB, however little is put there, and a record that was opened
/// lies in five pages at most.
const PIPE_RECORD_ROOM_BYTES: usize = 32 * 1024;
