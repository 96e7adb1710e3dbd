//! TLS taken off a connection that goes on in clear text (CCC and REIN, RFC 4217 sections 5 and 13).

use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::secure::Secure;
use super::{Fault, Leg, Read};
use crate::limits;
use crate::net::{Alarm, Buffer};
use crate::sys::clock;
use crate::tls::TlsFacts;

/// TLS that is being taken off a leg, or has been.
pub(super) struct Parting {
    /// Kept: its tickets stay good for data connections, which are measured by what it was.
    tls: Box<Secure>,
    /// Our own close_notify is still to be said, and when it is at the latest.
    owed: Option<Alarm>,
    /// The peer has ended it too: what comes is clear text.
    is_over: bool,
}

impl Parting {
    /// Says our end of TLS if it is still to be said, behind all that was said in it.
    pub(super) fn end_ours(&mut self, queue: &mut Buffer) -> Result<(), Fault> {
        match self.owed.take() {
            Some(_) => self.tls.seal_last(queue),
            None => Ok(()),
        }
    }

    pub(super) fn facts(&self) -> Option<TlsFacts> {
        self.tls.facts()
    }

    pub(super) fn renew_ticket(&mut self) -> Result<(), Fault> {
        self.tls.renew_ticket()
    }
}

impl Leg {
    /// Ends TLS: what was queued leaves in it, and what is queued from now on goes out in clear text behind our close_notify.
    /// Where the peer may end it first, it has `pause` for that: clients take a close_notify in the same breath with the
    /// answer to their CCC for the end of the connection (lftp), or end nothing before they have it (curl).
    ///
    /// The peer's own end is waited for by reading: what comes in TLS up to its close_notify must say nothing, and behind
    /// that, or from the first byte on that cannot begin a record, it is clear text. Nothing happens on a plain leg.
    ///
    /// # Errors
    /// `Tls`: the connection is broken.
    pub fn clear(&mut self, pause: Option<Duration>) -> Result<(), Fault> {
        let Some(mut tls) = self.tls.take() else {
            return Ok(());
        };
        tls.hand_over(&mut self.queue);
        let mut alarm = Alarm::new();
        alarm.set(pause.map(|pause| clock::now() + pause));
        let mut parting = Parting {
            tls,
            owed: Some(alarm),
            is_over: false,
        };
        if pause.is_none() {
            parting.end_ours(&mut self.queue)?;
        }
        self.parting = Some(Box::new(parting));
        Ok(())
    }

    pub(super) fn end_parting(&mut self) -> Result<(), Fault> {
        match &mut self.parting {
            Some(parting) => parting.end_ours(&mut self.queue),
            None => Ok(()),
        }
    }

    pub(super) fn is_parting(&self) -> bool {
        let parting = self.parting.as_ref();
        parting.is_some_and(|parting| !parting.is_over)
    }

    /// Reads over the border.
    pub(super) fn poll_parting(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
        max: usize,
    ) -> Poll<Result<Read, Fault>> {
        for _ in 0..limits::SILENT_READS_PER_TURN_MAX {
            let Some(parting) = &mut self.parting else {
                break;
            };
            if let Some(clear) = parting.tls.part()? {
                parting.is_over = true;
                if parting.tls.peer_closed() {
                    parting.end_ours(&mut self.queue)?;
                } else {
                    // A peer that has done with TLS without a word would read ours as clear text.
                    parting.owed = None;
                }
                // An error shows in the reads to come.
                let _told_by_reads = Self::flush(&mut self.stream, &mut self.queue, None, cx);
                if clear.is_empty() {
                    return self.poll_read(cx, into, max);
                }
                into.extend_from_slice(&clear);
                return Poll::Ready(Ok(Read::Bytes(clear.len())));
            }
            if let Some(alarm) = &mut parting.owed
                && alarm.poll(cx).is_ready()
            {
                parting.end_ours(&mut self.queue)?;
                let _told_by_reads = Self::flush(&mut self.stream, &mut self.queue, None, cx);
            }
            if ready!(parting.tls.poll_fill(&mut self.stream, cx, max))?.0 == 0 {
                return Poll::Ready(match parting.tls.is_amid_record() {
                    true => Err(Fault::CutOff),
                    false => Ok(Read::Fin),
                });
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
