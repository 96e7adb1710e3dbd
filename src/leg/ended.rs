//! The end of a leg: the peer's direction read out, and the whole of a polite close.

use std::os::fd::AsFd as _;
use std::task::{Context, Poll, ready};

use super::{Fault, Leg, Read};
use crate::limits;
use crate::sys::sockopt;

/// How the peer's direction ended, read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As far as the leg can vouch for it: FIN, on a private leg behind close_notify.
    Clean,
    /// FIN on a private leg without close_notify.
    Unfinished,
}

impl Leg {
    /// Whether bytes wait in the kernel, whatever the ring has told of them so far.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        sockopt::unread(self.as_fd()).is_ok_and(|bytes| bytes > 0)
    }

    /// Reads the peer's direction to its end and drops it, as must be done before a close: bytes left unread would
    /// make the kernel send a reset after our close_notify. TLS goes on (tickets are kept).
    ///
    /// # Errors
    /// `Overlong` after `DRAIN_BYTES_MAX`; whatever is not an end.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Ended, Fault>> {
        let mut scrap = Vec::new();
        while self.dropped <= limits::DRAIN_BYTES_MAX {
            scrap.clear();
            let read = match ready!(self.poll_read(cx, &mut scrap, limits::TLS_RECORD_BYTES_MAX)) {
                // The alert must arrive, and a client of TLS 1.3 may have said its first words before it hears that its
                // certificate will not do: they are left to nobody, as a reset could overtake the alert.
                Err(fault @ Fault::Tls(_)) if self.facts().is_none() => {
                    let max = limits::TLS_RECORD_BYTES_MAX;
                    match ready!(self.stream.poll_receive(cx, &mut scrap, max))? {
                        0 => return Poll::Ready(Err(fault)),
                        len => self.dropped += len,
                    }
                    continue;
                }
                read => read?,
            };
            match read {
                Read::Bytes(len) => self.dropped += len,
                Read::Fin if self.is_private() => return Poll::Ready(Ok(Ended::Unfinished)),
                Read::Fin => return Poll::Ready(Ok(Ended::Clean)),
                Read::CloseNotify => {
                    // Mostly the FIN alone.
                    let max = limits::CONTROL_READ_BYTES;
                    match ready!(self.stream.poll_receive(cx, &mut scrap, max))? {
                        0 => return Poll::Ready(Ok(Ended::Clean)),
                        len => self.dropped += len,
                    }
                }
            }
        }
        Poll::Ready(Err(Fault::Overlong))
    }

    /// The whole of a polite close: close_notify on a private leg, everything flushed, FIN, and the peer's direction read
    /// to its end. May be begun at any time and polled again and again; only a deadline bounds how long the peer takes.
    ///
    /// # Errors
    /// As the steps: a fault after our FIN says nothing about what the peer has received before.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<Ended, Fault>> {
        if !self.is_finished() {
            self.queue_close_notify()?;
            self.hold();
            ready!(self.poll_settled(cx))?;
            self.finish()?;
        }
        self.poll_end(cx)
    }
}
