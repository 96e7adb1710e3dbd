//! A leg whose TLS records the kernel opens, or seals: handed over amid a stream, one direction at a time, and never back.
//!
//! What TLS has to say beside data stays here: tickets, alerts, and when a key is used up.

use std::io;
use std::task::{Context, Poll, ready};

use super::{Fault, Leg, Read};
use crate::limits::{SILENT_READS_PER_TURN_MAX, TLS_RECORD_BYTES_MAX};
use crate::net::Opened;
use crate::sys::pipe::Pipe;
use crate::tls::{APPLICATION_DATA, Progress};

impl Leg {
    /// Whether the kernel may be asked for this leg's TLS; it may still refuse.
    #[must_use]
    pub fn is_for_kernel(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_some_and(|tls| tls.records.is_for_kernel())
    }

    /// Reads up to where a record begins, and nothing behind: gives what is read on the way as `poll_read` does, and nothing
    /// once it is there.
    ///
    /// # Errors
    /// As `poll_read`.
    pub fn poll_border(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
    ) -> Poll<Result<Option<Read>, Fault>> {
        let Some(tls) = &mut self.tls else {
            return Poll::Ready(Ok(None));
        };
        for _ in 0..SILENT_READS_PER_TURN_MAX {
            let before = into.len();
            let progress = tls.process(into);
            if tls.is_urgent() {
                // As for every read: an error shows in those to come.
                let _told_by_reads = Self::flush(&mut self.stream, &mut self.queue, Some(tls), cx);
            }
            if into.len() > before {
                return Poll::Ready(Ok(Some(Read::Bytes(into.len() - before))));
            }
            if progress? == Progress::Closed {
                return Poll::Ready(Ok(Some(Read::CloseNotify)));
            }
            let missing = tls.records.missing();
            if missing == 0 {
                return Poll::Ready(Ok(None));
            }
            if ready!(tls.poll_take(&mut self.stream, cx, missing))? == 0 {
                return Poll::Ready(Err(Fault::CutOff));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Puts the kernel's TLS beneath a leg that is private, to no effect yet. It refuses, for one, where the peer's FIN is there
    /// already; then all goes on as before, as it does for a leg without TLS.
    pub fn attach_kernel(&mut self) -> bool {
        self.tls.is_none() || self.stream.attach_kernel().is_ok()
    }

    /// Has the kernel open what comes from here on, where a record begins (`poll_border`). Says whether what comes is plain
    /// now: a leg without TLS has been so before, and one of which the kernel will not have it goes on as it was.
    pub fn open_by_kernel(&mut self) -> bool {
        let Some(tls) = &mut self.tls else {
            return true;
        };
        let opens = match tls.records.opener_for_kernel() {
            Some(key) => self.stream.open_by_kernel(&key).is_ok(),
            None => false,
        };
        if opens {
            tls.records.opened_by_kernel();
        }
        opens
    }

    /// Has the kernel seal what is queued from here on, when all that was sealed before is flushed. As `open_by_kernel`.
    pub fn seal_by_kernel(&mut self) -> bool {
        let Some(tls) = &mut self.tls else {
            return true;
        };
        let Some(key) = tls.records.sealer_for_kernel() else {
            return false;
        };
        let before = key.sequence;
        let seals = self.stream.seal_by_kernel(&key).is_ok();
        if seals {
            tls.sealed = before;
            tls.records.sealed_by_kernel();
        }
        seals
    }

    /// Ready when nothing is queued any more, and nothing waits that TCP has not taken over: only then may FIN follow.
    ///
    /// # Errors
    /// As `poll_flush`.
    pub fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        ready!(self.poll_flush(cx))?;
        self.stream.poll_settled(cx).map_err(Fault::from)
    }

    pub(super) fn is_opened_by_kernel(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_some_and(|tls| tls.records.is_opened_by_kernel())
    }

    pub(super) fn is_sealed_by_kernel(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_some_and(|tls| tls.records.is_sealed_by_kernel())
    }

    /// As `poll_read`, where the kernel opens.
    pub(super) fn poll_opened(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
        max: usize,
    ) -> Poll<Result<Read, Fault>> {
        let Some(tls) = &mut self.tls else {
            return Poll::Ready(Err(Fault::Closed));
        };
        // A record that is no data has to be received whole.
        let max = max.max(TLS_RECORD_BYTES_MAX);
        for _ in 0..SILENT_READS_PER_TURN_MAX {
            if tls.records.heard()? == Progress::Closed {
                return Poll::Ready(Ok(Read::CloseNotify));
            }
            let before = into.len();
            // The outcome of each stands in `heard`, for this read and all that follow.
            let _heard = match ready!(self.stream.poll_receive_opened(cx, into, max)) {
                Ok(Opened::Record(APPLICATION_DATA, bytes)) => {
                    self.received_any = true;
                    self.has_filled = bytes == max;
                    return Poll::Ready(Ok(Read::Bytes(bytes)));
                }
                Ok(Opened::Record(kind, _)) => {
                    let content = into.split_off(before);
                    tls.records.hear_opened(Some((kind, &content)))
                }
                Ok(Opened::Fin { is_amid_record }) => {
                    return Poll::Ready(match is_amid_record {
                        true => Err(Fault::CutOff),
                        false => Ok(Read::Fin),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tls.records.hear_opened(None)
                }
                Err(error) => return Poll::Ready(Err(error.into())),
            };
            if tls.is_urgent() {
                let _told_by_reads = Self::flush(&mut self.stream, &mut self.queue, Some(tls), cx);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// As `poll_draw`, where the kernel opens.
    pub(super) fn poll_draw_opened(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Result<Option<Read>, Fault>> {
        if let Some(tls) = &self.tls
            && tls.records.heard()? == Progress::Closed
        {
            return Poll::Ready(Ok(Some(Read::CloseNotify)));
        }
        let drawn = ready!(self.stream.poll_draw_opened(cx, pipe))?;
        self.received_any |= drawn.is_some();
        Poll::Ready(Ok(drawn.map(Read::Bytes)))
    }

    /// Queues plain bytes for the kernel to seal.
    pub(super) fn queue_for_kernel(&mut self, plain: &[u8]) -> Result<(), Fault> {
        self.wear(plain.len())?;
        self.queue.append(plain);
        Ok(())
    }

    /// So many bytes are about to be sealed by the kernel: may they? It is asked for its true count only when ours, which is
    /// never too low, says that its key is used up. Nothing happens where the kernel does not seal.
    pub(super) fn wear(&mut self, bytes: usize) -> Result<(), Fault> {
        let Some(tls) = self
            .tls
            .as_mut()
            .filter(|tls| tls.records.is_sealed_by_kernel())
        else {
            return Ok(());
        };
        let records = (bytes / RECORD_PLAIN_BYTES + 2) as u64;
        tls.sealed += records;
        if tls.records.may_seal(tls.sealed).is_err() {
            tls.sealed = self
                .stream
                .sealed()?
                .unwrap_or(u64::MAX)
                .saturating_add(records);
            tls.records.may_seal(tls.sealed)?;
        }
        Ok(())
    }
}

/// Most plain bytes in one record (RFC 8446 section 5.1).
const RECORD_PLAIN_BYTES: usize = 16 * 1024;
