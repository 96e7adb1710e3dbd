//! The TLS half of a leg: a record layer and the socket it fills from and flushes to.

use std::cell::RefCell;
use std::task::{Context, Poll, ready};

use super::Fault;
use crate::limits;
use crate::net::{Buffer, Stream};
use crate::policy::PeerIdentity;
use crate::tls::{self, Progress, Records, TlsFacts};

/// A record layer, and the plain bytes that came with the end of its handshake.
pub(super) struct Secure {
    pub(super) records: Records,
    early: Vec<u8>,
    /// Tickets wait for our first byte or our end. A client that knows its file to be empty closes right after its
    /// handshake (curl does): tickets that reach it then, unread, make its kernel reset a leg that has done all it had to.
    tickets_wait: bool,
    /// The last read has filled its buffer.
    has_much: bool,
    /// Records that were sealed with the key that the kernel has, where it has one, or more than that.
    pub(super) sealed: u64,
}

thread_local! {
    /// What a read takes where nothing says that there is much, for all legs of a core: ciphertext.
    static LITTLE: RefCell<[u8; limits::LITTLE_READ_BYTES]> =
        const { RefCell::new([0; limits::LITTLE_READ_BYTES]) };
}

impl Secure {
    pub(super) const fn new(records: Records) -> Self {
        Self {
            records,
            early: Vec::new(),
            tickets_wait: false,
            has_much: false,
            sealed: 0,
        }
    }

    /// Goes on with the handshake as far as the bytes that have come reach; says whether it still goes on.
    pub(super) fn process_handshake(&mut self) -> Result<bool, Fault> {
        self.records.process(&mut self.early)?;
        self.tickets_wait = self.records.has_only_tickets();
        Ok(self.records.is_handshaking())
    }

    /// Decrypts all whole records that have come.
    pub(super) fn process(&mut self, into: &mut Vec<u8>) -> Result<Progress, Fault> {
        into.append(&mut self.early);
        self.early = Vec::new();
        Ok(self.records.process(into)?)
    }

    /// Whether something has come along with the handshake: words, a part of a record, or their end.
    pub(super) fn has_unread(&self) -> bool {
        !self.early.is_empty() || self.records.waiting() > 0 || self.peer_closed()
    }

    pub(super) const fn passes_to(&self, sink: &Self) -> bool {
        self.records.passes_to(&sink.records)
    }

    /// As `process`, and `seal` at the sink; says how many plain bytes there were.
    pub(super) fn pass(&mut self, sink: &mut Self) -> (usize, Result<Progress, tls::Broken>) {
        let early = std::mem::take(&mut self.early);
        if let Err(fault) = sink.records.seal(&early) {
            return (0, Err(tls::Broken::Sink(fault)));
        }
        let (moved, progress) = self.records.pass(&mut sink.records);
        let moved = early.len() + moved;
        sink.tickets_wait &= moved == 0;
        (moved, progress)
    }

    /// Reads ciphertext once, into a buffer of `size` bytes in which the start of a record may stand already; 0 is the FIN.
    /// Says also whether the buffer is full now. Memory is taken only when there is much: mostly a little is all there is.
    pub(super) fn poll_fill(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        size: usize,
    ) -> Poll<Result<(usize, bool), Fault>> {
        ready!(stream.poll_told(cx));
        let least = size.min(limits::TLS_RECORD_BYTES_MAX);
        let max = size.saturating_sub(self.records.waiting()).max(least);
        let mut got = 0;
        if !self.has_much {
            let records = &mut self.records;
            let polled = LITTLE.with_borrow_mut(|little| {
                let little = &mut little[..limits::LITTLE_READ_BYTES.min(max)];
                stream.poll_read(cx, little).map_ok(|got| {
                    if got == little.len() {
                        // Where the rest is to stand, if there is any.
                        records.space(max);
                    }
                    records.feed(&little[..got]);
                    (got, got == little.len())
                })
            });
            (got, self.has_much) = ready!(polled)?;
            if !self.has_much || got == max {
                return Poll::Ready(Ok((got, got == max)));
            }
        }
        let rest = stream.poll_read(cx, &mut self.records.space(max - got)[..max - got]);
        if let Poll::Ready(Ok(len)) = rest {
            self.records.fill(len);
            got += len;
        }
        self.records.unfill(); // a FIN has brought nothing
        self.has_much = got == max;
        match rest {
            // An error behind bytes is kept by the stream, and told by the next read.
            _ if got > 0 => Poll::Ready(Ok((got, self.has_much))),
            rest => rest.map_ok(|_| (0, false)).map_err(Fault::from),
        }
    }

    /// Reads at most `max` bytes of ciphertext behind what stands there already; 0 is the FIN.
    pub(super) fn poll_take(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        max: usize,
    ) -> Poll<Result<usize, Fault>> {
        let got = stream.poll_read(cx, &mut self.records.space(max)[..max]);
        if let Poll::Ready(Ok(len)) = got {
            self.records.fill(len);
        }
        self.records.unfill();
        got.map_err(Fault::from)
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
        if let Some(word) = self.records.word() {
            ready!(stream.poll_say(cx, tls::ALERT, &word))?;
            self.records.word_said();
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn seal(&mut self, plain: &[u8]) -> Result<(), Fault> {
        self.tickets_wait = false;
        Ok(self.records.seal(plain)?)
    }

    /// Seals our close_notify, and hands over all that is still to be sent, for clear text to follow.
    pub(super) fn seal_last(&mut self, into: &mut Buffer) -> Result<(), Fault> {
        self.records.seal_close_notify()?;
        self.hand_over(into);
        Ok(())
    }

    /// Hands over all that is still to be sent.
    pub(super) fn hand_over(&mut self, into: &mut Buffer) {
        into.append(self.records.outgoing());
        self.records.advance(self.records.outgoing().len());
    }

    pub(super) const fn peer_closed(&self) -> bool {
        self.records.peer_closed()
    }

    /// Goes on to the peer's end of TLS as far as the bytes that have come reach; then gives those behind it.
    pub(super) fn part(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let mut late = std::mem::take(&mut self.early);
        let clear = self.records.part(&mut late)?;
        // Whose line would it be that began in TLS and ended outside of it?
        if late.is_empty() {
            Ok(clear)
        } else {
            Err(Fault::Injected)
        }
    }

    pub(super) fn seal_close_notify(&mut self) -> Result<(), Fault> {
        Ok(self.records.seal_close_notify()?)
    }

    /// Whether something is to be sent now, not only with our next bytes.
    pub(super) fn is_urgent(&self) -> bool {
        self.queued() > 0 && !self.tickets_wait
    }

    pub(super) const fn tickets_wait(&self) -> bool {
        self.tickets_wait
    }

    pub(super) fn renew_ticket(&mut self) -> Result<(), Fault> {
        Ok(self.records.renew_ticket()?)
    }

    /// Whether the start of a record, and not the whole of it, has come.
    pub(super) const fn is_amid_record(&self) -> bool {
        self.records.is_amid_record()
    }

    pub(super) fn queued(&self) -> usize {
        self.records.outgoing().len() + self.records.word().map_or(0, |word| word.len())
    }

    pub(super) fn identity(&self) -> Option<PeerIdentity> {
        self.records.identity()
    }

    pub(super) fn facts(&self) -> Option<TlsFacts> {
        self.records.facts()
    }
}
