//! One transfer as its script plays it: take the connection, make it private, move the bytes, end it, say so.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use super::Shared;
use super::misbehave::{Ending, Flow, Preliminary, Script, Taking, Verdict};
use super::record::{Ended, OwnEnd, Record};
use super::tree::{Content, Node};
use crate::leg::{self, Leg, Read};
use crate::limits;
use crate::net::{self, Listener, Stream};
use crate::rig::wait::within;
use crate::rig::{Crc, Handshake, Source};
use crate::sys::clock;

/// A reply as it goes out, without its line end.
pub(super) type Said = Cow<'static, str>;

/// One transfer and what it needs. It runs beside its control connection, to which it speaks through `says`.
pub(super) struct Job<'a> {
    pub(super) shared: &'a Shared,
    pub(super) script: Script,
    /// Given up when the connection is there; what is left of it afterwards goes back to the session.
    pub(super) listener: Option<Listener>,
    /// The only address whose connection is taken.
    pub(super) client: IpAddr,
    /// Nothing: in the clear.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) began: Instant,
    pub(super) record: &'a RefCell<Record>,
    pub(super) says: &'a RefCell<VecDeque<Said>>,
}

/// What is moved.
pub(super) enum Cargo {
    /// To the client, from an offset on.
    Download(Source, u64),
    /// From the client, behind what is there already (APPE, REST).
    Upload(Vec<u8>),
}

/// Whether the control connection outlives the transfer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Played {
    Done,
    ControlLost,
}

/// Why a step of a transfer failed.
enum Broken {
    Leg,
    TimedOut,
}

impl From<leg::Fault> for Broken {
    fn from(_: leg::Fault) -> Self {
        Self::Leg
    }
}

impl Job<'_> {
    /// Plays it to its end.
    pub(super) async fn run(&mut self, cargo: Cargo) -> Played {
        let script = self.script;
        if script.preliminary == Preliminary::Hang {
            return pending().await;
        }
        if script.taking == Taking::Refused {
            self.listener = None;
            self.conclude("550 No such file.");
            return Played::Done;
        }
        let early = self.shared.options.early_preliminary || script.taking == Taking::Never;
        if early {
            self.begin(Preliminary::Usual);
        }
        if script.taking == Taking::Never {
            // The listener stays as it is: what the kernel has taken, nobody ever answers.
            self.conclude(COMPLETE);
            return Played::Done;
        }
        let Some(stream) = self.accept().await else {
            self.conclude("425 Nobody came for the data.");
            return Played::Done;
        };
        self.listener = None;
        self.record.borrow_mut().established = Some(self.elapsed());
        if !early {
            self.begin(Preliminary::Usual);
        }
        let Some(stream) = self.end_bare(stream).await else {
            return Played::Done;
        };
        let Some(mut leg) = self.secure(stream).await else {
            return Played::Done;
        };
        self.begin(Preliminary::Late);
        if script.taking == Taking::Hang {
            return pending().await;
        }
        if script.verdict == Verdict::Early {
            self.conclude(COMPLETE);
        }
        let moved = match cargo {
            Cargo::Download(source, from) => self.send(&mut leg, &source, from).await,
            Cargo::Upload(before) => self.receive(&mut leg, before).await,
        };
        self.end(leg, moved).await
    }

    /// The client's connection; strangers are closed.
    async fn accept(&mut self) -> Option<Stream> {
        let (client, patience) = (self.client, self.shared.options.patience);
        let listener = self.listener.as_mut()?;
        let taken = within(patience, |cx| take(listener, client, cx)).await?;
        taken.ok()
    }

    /// The ends that need no TLS; gives back the connection where the script knows none.
    async fn end_bare(&self, mut stream: Stream) -> Option<Stream> {
        match self.script.taking {
            Taking::BareReset => {
                stream.abort();
                self.record.borrow_mut().own_end = OwnEnd::Reset;
            }
            Taking::BareClose => {
                // An error: the client was gone already, and what is said of it stays the same.
                let _gone = stream.finish();
                self.record.borrow_mut().own_end = OwnEnd::Fin;
                self.conclude(COMPLETE);
                // A close with bytes unread would be a reset: the client's first flight is read away.
                let mut leg = Leg::new(stream);
                self.look_on(&mut leg).await;
                return None;
            }
            Taking::HangBare => {
                let _held = stream;
                return pending().await;
            }
            _ => return Some(stream),
        }
        self.conclude(COMPLETE);
        None
    }

    /// The handshake, and the demand that it resumes the control connection's session.
    async fn secure(&self, stream: Stream) -> Option<Leg> {
        let mut leg = Leg::new(stream);
        let Some(tls) = self.tls.clone() else {
            return Some(leg);
        };
        let begun = clock::now();
        let shaken = match leg.secure_as_server(tls) {
            Ok(()) => self.bounded(|cx| leg.poll_handshake(cx)).await,
            Err(fault) => Err(fault.into()),
        };
        let facts = leg.facts().filter(|_| shaken.is_ok());
        let Some(facts) = facts else {
            self.record.borrow_mut().ended = match (shaken, leg.received_any()) {
                (Err(Broken::TimedOut), _) => Ended::Unknown,
                (_, false) => Ended::Bare,
                (_, true) => Ended::Broken,
            };
            self.conclude("425 The data connection did not become private.");
            return None;
        };
        let handshake = Handshake::new(&facts, clock::now() - begun);
        self.record.borrow_mut().handshake = Some(handshake);
        if self.shared.options.demand_resumption && !handshake.resumed {
            // As vsftpd and ProFTPD do it: only after a complete handshake, and with a clean close.
            let _refused_anyway = within(limits::LINGER_TIMEOUT, |cx| leg.poll_close(cx)).await;
            self.conclude(
                "522 The data connection must resume the TLS session of the control connection.",
            );
            return None;
        }
        Some(leg)
    }

    async fn send(&self, leg: &mut Leg, source: &Source, from: u64) -> Result<bool, Broken> {
        let left = source.len().saturating_sub(from);
        let end = match self.script.flow {
            Flow::Whole => from + left,
            Flow::Half => from + left / 2,
        };
        let mut at = from.min(end);
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let piece = source.piece(at, left.min(limits::RELAY_CHUNK_BYTES));
            leg.queue(piece)?;
            self.bounded(|cx| leg.poll_flush(cx)).await?;
            at += piece.len() as u64;
            self.record.borrow_mut().bytes = at - from;
            glommio::yield_if_needed().await;
        }
        Ok(self.script.flow == Flow::Whole)
    }

    /// Takes what comes and says whether it was whole; only then it becomes a file.
    async fn receive(&self, leg: &mut Leg, before: Vec<u8>) -> Result<bool, Broken> {
        let room = self.shared.tree.borrow().room();
        let mut kept = Some(before);
        let mut crc = Crc::default();
        let mut len = 0;
        let mut buffer = Vec::new();
        let ended = loop {
            let got = self.bounded(|cx| leg.poll_read(cx, &mut buffer, limits::RELAY_CHUNK_BYTES));
            match got.await? {
                Read::Bytes(_) => {
                    crc.update(&buffer);
                    len += buffer.len() as u64;
                    kept = kept.filter(|kept| kept.len() + buffer.len() <= room);
                    if let Some(kept) = &mut kept {
                        kept.extend_from_slice(&buffer);
                    }
                    buffer.clear();
                    let mut record = self.record.borrow_mut();
                    (record.bytes, record.crc) = (len, Some(crc.value()));
                    if self.script.flow == Flow::Half {
                        return Ok(false);
                    }
                }
                Read::CloseNotify => break Ended::Clean,
                Read::Fin if leg.is_private() => break Ended::Unfinished,
                Read::Fin => break Ended::Clean,
            }
            glommio::yield_if_needed().await;
        };
        let mut record = self.record.borrow_mut();
        (record.ended, record.crc) = (ended, Some(crc.value()));
        if ended != Ended::Clean && self.script.verdict != Verdict::Success {
            return Ok(false);
        }
        let content = match kept {
            Some(kept) => Content::Bytes(Source::Bytes(kept.into())),
            None => Content::Counted {
                len,
                crc: crc.value(),
            },
        };
        let mut tree = self.shared.tree.borrow_mut();
        tree.put(record.path.clone(), Node::File(content));
        Ok(true)
    }

    /// Ends our direction as the script wants it, says the verdict, and looks on until the client has ended its own.
    async fn end(&self, mut leg: Leg, moved: Result<bool, Broken>) -> Played {
        let ending = match moved {
            Ok(_) => self.script.ending,
            Err(_) => Ending::Reset,
        };
        let whole = matches!(moved, Ok(true));
        if ending == Ending::Reset {
            let mut record = self.record.borrow_mut();
            if record.ended == Ended::Unknown && moved.is_err() {
                record.ended = Ended::Broken;
            }
            record.own_end = OwnEnd::Reset;
            drop(record);
            leg.abort();
            return self.judge(whole);
        }
        let said = self.say_end(&mut leg, ending).await.is_ok();
        // An upload that has come whole stays whole, whether or not its client waits for our end: lftp does not.
        let whole = whole && (said || self.record.borrow().ended == Ended::Clean);
        if ending == Ending::Unfinished {
            let played = self.judge(whole);
            if played == Played::Done {
                self.look_on(&mut leg).await;
            }
            return played;
        }
        // Replies and FIN take different connections, and a FIN behind much data is the slower one. The client's own end
        // proves that it has ours.
        self.look_on(&mut leg).await;
        self.judge(whole)
    }

    async fn say_end(&self, leg: &mut Leg, ending: Ending) -> Result<(), Broken> {
        if ending != Ending::Unfinished {
            leg.queue_close_notify()?;
        }
        self.bounded(|cx| leg.poll_flush(cx)).await?;
        if ending == Ending::Patient {
            let mut scrap = Vec::new();
            self.bounded(|cx| read_end(leg, &mut scrap, cx)).await?;
        }
        leg.finish()?;
        self.record.borrow_mut().own_end = match ending {
            Ending::Clean | Ending::Patient if leg.is_private() => OwnEnd::CloseNotify,
            _ => OwnEnd::Fin,
        };
        Ok(())
    }

    /// Says how it went.
    fn judge(&self, whole: bool) -> Played {
        self.record.borrow_mut().complete = whole;
        match (self.script.verdict, whole) {
            (Verdict::Lost, _) => return Played::ControlLost,
            (Verdict::Honest, true) | (Verdict::Success, _) => self.conclude(COMPLETE),
            (Verdict::Early, _) => {}
            (Verdict::Broken, _) | (Verdict::Honest, false) => {
                self.conclude("426 The transfer broke off.");
            }
        }
        Played::Done
    }

    /// Reads the client's direction to its end, for a short while: closing earlier could reset what it still reads.
    async fn look_on(&self, leg: &mut Leg) {
        let ended = within(limits::LINGER_TIMEOUT, |cx| leg.poll_end(cx)).await;
        let mut record = self.record.borrow_mut();
        if record.ended == Ended::Unknown {
            record.ended = match ended {
                None => Ended::Unknown,
                Some(Ok(leg::Ended::Clean)) => Ended::Clean,
                Some(Ok(leg::Ended::Unfinished)) => Ended::Unfinished,
                Some(Err(_)) => Ended::Broken,
            };
        }
    }

    /// The 150, if this is its moment.
    fn begin(&self, moment: Preliminary) {
        if self.script.preliminary == moment {
            let text = "150 Here it comes.";
            self.says.borrow_mut().push_back(text.into());
        }
    }

    /// The final reply, once.
    fn conclude(&self, reply: &'static str) {
        let mut record = self.record.borrow_mut();
        if record.reply == 0 {
            record.reply = reply[..3].parse().unwrap_or(0);
            self.says.borrow_mut().push_back(reply.into());
        }
    }

    async fn bounded<T>(
        &self,
        poll: impl FnMut(&mut Context<'_>) -> Poll<Result<T, leg::Fault>>,
    ) -> Result<T, Broken> {
        match within(self.shared.options.patience, poll).await {
            Some(outcome) => Ok(outcome?),
            None => Err(Broken::TimedOut),
        }
    }

    fn elapsed(&self) -> Duration {
        clock::now() - self.began
    }
}

const COMPLETE: &str = "226 Transfer complete.";

fn take(
    listener: &mut Listener,
    client: IpAddr,
    cx: &mut Context<'_>,
) -> Poll<Result<Stream, net::Fault>> {
    loop {
        match listener.poll_accept(cx) {
            Poll::Ready(Ok(stream)) if stream.peer().ip() != client => stream.abort(),
            other => return other,
        }
    }
}

/// Ready when the peer has said the end of its direction; bytes before it are of no interest.
fn read_end(
    leg: &mut Leg,
    scrap: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), leg::Fault>> {
    loop {
        scrap.clear();
        match leg.poll_read(cx, scrap, limits::TLS_RECORD_BYTES_MAX) {
            Poll::Ready(Ok(Read::Bytes(_))) => {}
            Poll::Ready(Ok(_)) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
            Poll::Pending => return Poll::Pending,
        }
    }
}
