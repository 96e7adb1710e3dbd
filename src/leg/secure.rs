//! The TLS half of a leg: a record layer and the socket it fills from and flushes to.

use std::task::{Context, Poll, ready};

use super::Fault;
use crate::net::Stream;
use crate::tls::{Progress, Records, TlsFacts};

/// A record layer, and the plain bytes that came with the end of its handshake.
pub(super) struct Secure {
    records: Records,
    early: Vec<u8>,
}

impl Secure {
    pub(super) const fn new(records: Records) -> Self {
        Self {
            records,
            early: Vec::new(),
        }
    }

    /// Goes on with the handshake as far as the bytes that have come reach; says whether it still goes on.
    pub(super) fn process_handshake(&mut self) -> Result<bool, Fault> {
        self.records.process(&mut self.early)?;
        Ok(self.records.is_handshaking())
    }

    /// Decrypts all whole records that have come.
    pub(super) fn process(&mut self, into: &mut Vec<u8>) -> Result<Progress, Fault> {
        into.append(&mut self.early);
        self.early = Vec::new();
        Ok(self.records.process(into)?)
    }

    /// Reads ciphertext once, at most `max` bytes; 0 is the FIN. Memory is taken only when there is something.
    pub(super) fn poll_fill(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        max: usize,
    ) -> Poll<Result<usize, Fault>> {
        if stream.is_waiting() {
            ready!(stream.poll_readable(cx))?;
        }
        let got = stream.poll_read(cx, &mut self.records.space(max)[..max]);
        match got {
            Poll::Ready(Ok(len)) => {
                self.records.fill(len);
                self.records.unfill(); // a FIN has brought nothing
                Poll::Ready(Ok(len))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => {
                self.records.unfill();
                Poll::Pending
            }
        }
    }

    pub(super) fn poll_flush(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        while !self.records.outgoing().is_empty() {
            let sent = ready!(stream.poll_write(cx, self.records.outgoing()))?;
            self.records.advance(sent);
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn seal(&mut self, plain: &[u8]) -> Result<(), Fault> {
        Ok(self.records.seal(plain)?)
    }

    pub(super) fn seal_close_notify(&mut self) -> Result<(), Fault> {
        Ok(self.records.seal_close_notify()?)
    }

    pub(super) fn renew_ticket(&mut self) -> Result<(), Fault> {
        Ok(self.records.renew_ticket()?)
    }

    pub(super) fn queued(&self) -> usize {
        self.records.outgoing().len()
    }

    pub(super) fn facts(&self) -> Option<TlsFacts> {
        self.records.facts()
    }
}
