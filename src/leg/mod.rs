//! One connection to a peer, plain or TLS, as bytes both ways and ends that are told apart.
//! Used by `data` and `relay` for the streams of transfers, by `session` and `upstream` for control connections.
//! It never decides what an end means for the other leg, and never turns an error into an end.

mod control;
mod ended;
mod fault;
mod handshake;
mod kernel;
mod parting;
mod pass;
mod secure;
mod splice;

pub use control::{ControlLeg, Heard};
pub use ended::Ended;
pub use fault::Fault;
pub use pass::Broken;

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use crate::limits;
use crate::net::{Buffer, Stream};
use crate::policy::PeerIdentity;
use crate::tls::{Progress, Records, TlsFacts};
use parting::Parting;
use secure::Secure;

/// One leg's connection.
///
/// Dropping a leg that was not `finish`ed resets it, as `net::Stream` does. Nothing here waits for both directions:
/// reading flushes what TLS itself has to say as far as the socket takes it, and goes on.
pub struct Leg {
    stream: Stream,
    /// Plain bytes for the peer on a plain leg; TLS has its own queue.
    queue: Buffer,
    tls: Option<Box<Secure>>,
    /// TLS that was taken off, or is about to be.
    parting: Option<Box<Parting>>,
    received_any: bool,
    /// The last read has filled what it was given.
    has_filled: bool,
    /// Bytes that `poll_end` has read for nothing.
    dropped: usize,
}

/// What one read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many plain bytes were appended; never 0.
    Bytes(usize),
    /// The peer's close_notify: the authentic end of a private leg. Given again and again.
    CloseNotify,
    /// The peer's FIN: the end of a plain leg; on a private leg without close_notify before it, an unfinished end.
    Fin,
}

impl Leg {
    /// A plain leg over a connection.
    #[must_use]
    pub const fn new(stream: Stream) -> Self {
        Self {
            stream,
            queue: Buffer::new(),
            tls: None,
            parting: None,
            received_any: false,
            has_filled: false,
            dropped: 0,
        }
    }

    /// Goes on in TLS, as the server. What was queued before leaves in the clear, first (the 234 of AUTH).
    ///
    /// # Errors
    /// `Tls`: the configuration does not fit.
    pub fn secure_as_server(&mut self, config: Arc<ServerConfig>) -> Result<(), Fault> {
        self.secure(Records::accept(config)?)
    }

    /// Goes on in TLS, as the client.
    ///
    /// # Errors
    /// `Tls`: the configuration does not fit.
    pub fn secure_as_client(
        &mut self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<(), Fault> {
        self.secure(Records::connect(config, name)?)
    }

    pub(crate) fn secure(&mut self, records: Records) -> Result<(), Fault> {
        assert!(self.tls.is_none(), "a leg is private already");
        if self.is_parting() {
            return Err(Fault::Injected);
        }
        self.parting = None;
        self.tls = Some(Box::new(Secure::new(records)));
        // From here on it tells whether the peer has begun TLS at all.
        self.received_any = false;
        Ok(())
    }

    /// Reads once, into a buffer of `max` bytes, and appends what they say to `into`.
    ///
    /// # Errors
    /// Whatever is not an end: a reset, a bad record. The same fault again and again.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
        max: usize,
    ) -> Poll<Result<Read, Fault>> {
        if self.is_parting() {
            return self.poll_parting(cx, into, max);
        }
        if self.is_opened_by_kernel() {
            return self.poll_opened(cx, into, max);
        }
        if self.tls.is_some() {
            return self.poll_records(cx, max, |tls| {
                let before = into.len();
                let progress = tls.process(into);
                (into.len() - before, progress)
            });
        }
        let got = ready!(self.stream.poll_receive(cx, into, max))?;
        self.received_any |= got > 0;
        self.has_filled = got == max;
        Poll::Ready(Ok(if got == 0 {
            Read::Fin
        } else {
            Read::Bytes(got)
        }))
    }

    /// Reads off a private leg until `process` has found plain bytes, of which it tells how many, or their end.
    fn poll_records<E: From<Fault>>(
        &mut self,
        cx: &mut Context<'_>,
        max: usize,
        mut process: impl FnMut(&mut Secure) -> (usize, Result<Progress, E>),
    ) -> Poll<Result<Read, E>> {
        let Some(tls) = &mut self.tls else {
            return Poll::Ready(Err(Fault::Closed.into()));
        };
        for _ in 0..limits::SILENT_READS_PER_TURN_MAX {
            let (plain, progress) = process(tls);
            if tls.is_urgent() {
                // An answer to a key update, or the alert of a fault. An error shows in the reads to come.
                let _told_by_reads = Self::flush(&mut self.stream, &mut self.queue, Some(tls), cx);
            }
            if plain > 0 {
                return Poll::Ready(Ok(Read::Bytes(plain)));
            }
            match progress? {
                Progress::Closed => return Poll::Ready(Ok(Read::CloseNotify)),
                Progress::Open => {}
            }
            let (got, has_filled) = ready!(tls.poll_fill(&mut self.stream, cx, max))?;
            self.has_filled = has_filled;
            if got == 0 {
                // Within a record it is no end, not even a careless one: bytes are missing for certain.
                return Poll::Ready(match tls.is_amid_record() {
                    true => Err(Fault::CutOff.into()),
                    false => Ok(Read::Fin),
                });
            }
            self.received_any = true;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready when the connection has broken and the peer has left nothing to read, for whoever does not read yet.
    pub fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.tls {
            Some(tls) if tls.has_unread() => Poll::Pending,
            _ => self.stream.poll_broken(cx),
        }
    }

    /// Queues plain bytes for the peer; on a private leg they are sealed at once, in as few records as there can be.
    ///
    /// # Errors
    /// `Tls`: before the handshake is complete, after our close_notify, or when TLS is broken.
    pub fn queue(&mut self, plain: &[u8]) -> Result<(), Fault> {
        match &mut self.tls {
            Some(tls) if tls.records.is_sealed_by_kernel() => self.queue_for_kernel(plain),
            Some(tls) => tls.seal(plain),
            None => {
                self.end_parting()?;
                self.queue.append(plain);
                Ok(())
            }
        }
    }

    /// Bytes that wait for the socket.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len() + self.tls.as_ref().map_or(0, |tls| tls.queued())
    }

    /// Ready when nothing is queued any more.
    ///
    /// # Errors
    /// `Reset`, `Io`.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Self::flush(
            &mut self.stream,
            &mut self.queue,
            self.tls.as_deref_mut(),
            cx,
        )
    }

    fn flush(
        stream: &mut Stream,
        queue: &mut Buffer,
        tls: Option<&mut Secure>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        while !queue.is_empty() {
            let sent = ready!(stream.poll_write(cx, queue.filled()))?;
            queue.discard(sent);
        }
        match tls {
            Some(tls) => tls.poll_flush(stream, cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Queues our close_notify, once; nothing on a plain leg or before the handshake is complete.
    ///
    /// # Errors
    /// `Tls`: the connection is broken.
    pub fn queue_close_notify(&mut self) -> Result<(), Fault> {
        match &mut self.tls {
            Some(tls) => tls.seal_close_notify(),
            None => self.end_parting(),
        }
    }

    /// What is flushed from here on may wait in the kernel for what follows at once: more, our FIN, or `release`.
    pub const fn hold(&mut self) {
        self.stream.hold();
    }

    /// Nothing follows at once after all: what has waited leaves.
    pub fn release(&mut self) {
        self.stream.release();
    }

    /// Sends FIN. Flush first: what is still queued is not sent.
    ///
    /// # Errors
    /// `Reset`: the connection is gone.
    pub fn finish(&mut self) -> Result<(), Fault> {
        debug_assert_eq!(self.queued(), 0, "flush, then finish");
        Ok(self.stream.finish()?)
    }

    fn renew_ticket(&mut self) -> Result<(), Fault> {
        match (&mut self.tls, &mut self.parting) {
            (Some(tls), _) => tls.renew_ticket(),
            (None, Some(parting)) => parting.renew_ticket(),
            (None, None) => Ok(()),
        }
    }

    /// Bytes that have left the queue and wait in the kernel for the peer to make room.
    ///
    /// # Errors
    /// `Reset`, `Io`: the connection is gone.
    pub fn unsent(&self) -> Result<usize, Fault> {
        Ok(self.stream.unsent()?)
    }

    /// Resets the connection now.
    pub fn abort(self) {
        self.stream.abort();
    }

    /// As `abort`, for whoever has the leg on loan only.
    pub fn reset(&self) {
        self.stream.reset();
    }

    /// The address of the other end.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.stream.peer()
    }

    /// The address of our end.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.stream.local()
    }

    /// Whether this leg is TLS, be it only beginning.
    #[must_use]
    pub const fn is_private(&self) -> bool {
        self.tls.is_some()
    }

    /// What the handshake has agreed on, once it is complete; also behind the end of TLS.
    #[must_use]
    pub fn facts(&self) -> Option<TlsFacts> {
        match (&self.tls, &self.parting) {
            (Some(tls), _) => tls.facts(),
            (None, Some(parting)) => parting.facts(),
            (None, None) => None,
        }
    }

    /// Who a client is by the certificate it has shown, if it has.
    #[must_use]
    pub fn identity(&self) -> Option<PeerIdentity> {
        self.tls.as_ref().and_then(|tls| tls.identity())
    }

    /// Whether the peer's close_notify has come: there are no more plain bytes than those that were read.
    #[must_use]
    pub fn has_closed(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.peer_closed())
    }

    /// Whether any byte at all has come, on a private leg since TLS was to begin: a close without one is bare.
    #[must_use]
    pub const fn received_any(&self) -> bool {
        self.received_any
    }

    /// Whether the last read has filled its buffer, so that there may be more at once.
    #[must_use]
    pub const fn has_filled(&self) -> bool {
        self.has_filled
    }

    /// Whether our FIN is sent.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.stream.is_finished()
    }
}

impl AsFd for Leg {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod border_tests;
#[cfg(test)]
mod tests;
