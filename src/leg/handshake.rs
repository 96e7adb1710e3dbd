//! The handshake of a leg: ours is sent as it goes, and the last of it perhaps with what follows.

use std::task::{Context, Poll, ready};

use super::{Fault, Leg};
use crate::limits;

impl Leg {
    /// Ready once the handshake is complete and our part of it sent; on a plain leg, once what was queued is sent.
    ///
    /// # Errors
    /// `Closed` when the peer ended the connection first (with `received_any` false: bare); `Tls`, `Reset`, `Io`.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        ready!(self.poll_shaken(cx))?;
        match &self.tls {
            Some(tls) if tls.tickets_wait() => Poll::Ready(Ok(())),
            _ => self.poll_flush(cx),
        }
    }

    /// As `poll_handshake`, but our last flight may still be queued: for whoever flushes at once, with the words that
    /// follow it where there are some.
    ///
    /// # Errors
    /// As `poll_handshake`.
    pub fn poll_shaken(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let Some(tls) = &mut self.tls else {
            return Poll::Ready(Ok(()));
        };
        // What came last has brought no flight of ours: there must be more of theirs.
        let mut is_partial = false;
        loop {
            let handshaking = tls.process_handshake();
            if handshaking == Ok(false) {
                return Poll::Ready(Ok(()));
            }
            let has_answered = tls.queued() > 0;
            // A fault's alert is in the queue by now: send what the socket takes of it, then tell the fault.
            let flushed = Self::flush(&mut self.stream, &mut self.queue, Some(tls), cx);
            let _still = handshaking?;
            if let Poll::Ready(Err(fault)) = flushed {
                return Poll::Ready(Err(fault));
            }
            if is_partial && !has_answered {
                self.stream.acknowledge_at_once();
            }
            if ready!(tls.poll_fill(&mut self.stream, cx, limits::TLS_RECORD_BYTES_MAX))?.0 == 0 {
                return Poll::Ready(Err(Fault::Closed));
            }
            self.received_any = true;
            is_partial = true;
        }
    }
}
