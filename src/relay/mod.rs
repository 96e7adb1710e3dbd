//! Moving bytes from the source leg to the sink leg, and ending legs: the loop that knows no FTP.
//! `session` polls a [`Relay`], or a [`Duplex`] for both directions, while both legs are up, and a [`Closing`] for each that is ended.
//! It never decides how a sink may end, never calls an error an end of file, and never keeps the core beyond its turn.

mod buffers;
mod chunk;
mod closing;
mod duplex;
mod in_place;
mod kernel;
mod pipes;
mod sealed;
mod spliced;
mod step;
mod way;

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::dialog::{End, Phase, Side};
use crate::ftp::Direction;
use crate::leg::{Fault, Leg, Read};
use crate::limits::{
    DRAIN_BYTES_MAX, KERNEL_TLS_AFTER_BYTES, RELAY_READ_BYTES, RELAY_TURN_BYTES,
    TLS_RECORD_BYTES_MAX,
};
use crate::net::{self, Alarm, Look};
use crate::sys::clock;
use kernel::Kernel;
use step::Step;
use way::Way;

pub use closing::{Closed, Closing};
pub use duplex::{Duplex, Flow, Outcome};

/// What a running stream may take in time; the bytes of a turn are bounded in `limits`.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// From both legs up to the first byte or the end.
    pub first_byte: Duration,
    /// Between two bytes.
    pub stall: Duration,
}

/// How the bytes stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Plain bytes moved.
    pub bytes: u64,
    /// The leg that ended them.
    pub side: Side,
    /// How that leg ended.
    pub end: End,
    /// From both legs up to the first byte, if one came.
    pub first_byte: Option<Duration>,
}

/// What this core's streams hold, and what is kept for the next ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Bytes of buffers that streams hold.
    pub lent_bytes: usize,
    /// Bytes of buffers that are kept for the next ones.
    pub kept_bytes: usize,
    /// Pipes with bytes in them.
    pub lent_pipes: usize,
    /// Pipes that wait for some.
    pub idle_pipes: usize,
    /// What all these pipes can hold together.
    pub pipe_bytes: usize,
}

/// What is held on the core that asks.
#[must_use]
pub fn held() -> Held {
    let (lent_bytes, kept_bytes) = net::lent_and_kept();
    Held {
        lent_bytes,
        kept_bytes: kept_bytes + buffers::kept_bytes(),
        lent_pipes: pipes::lent(),
        idle_pipes: pipes::idle(),
        pipe_bytes: pipes::bytes(),
    }
}

/// How the bytes of one stream go; chosen once, by the legs it has, and by the kernel where it takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Both legs in the clear: within the kernel.
    Spliced,
    /// TLS on a leg or both: opened, and sealed for the other.
    Sealed,
    /// TLS 1.3 on both: opened and sealed in the buffer they came in.
    InPlace,
    /// TLS 1.3 on a leg or both: opened and sealed by the kernel, but for the beginning.
    Kernel,
}

/// Bytes under way between two legs.
pub struct Relay {
    source: Leg,
    sink: Leg,
    way: Way,
    direction: Direction,
    budget: Budget,
    began: Instant,
    first_byte: Option<Duration>,
    moved: u64,
    /// How the source ended, while the sink still has to be flushed.
    source_end: Option<End>,
    /// Bytes of ours wait for the sink's socket.
    unsent: bool,
    /// The sink's own direction: read only to notice a reset and to take TLS messages out of the way.
    sink_heard: usize,
    sink_silent: bool,
    alarm: Alarm,
    /// Its neighbours' turn, and the core's to hear their events, between two of its own.
    look: Look,
}

/// A read, or a send, that is a turn by itself.
const LONG_STEP_BYTES_MIN: usize = RELAY_TURN_BYTES / 2;

/// What a step takes of a turn.
const fn share(bytes: usize) -> usize {
    match bytes {
        LONG_STEP_BYTES_MIN.. => RELAY_TURN_BYTES,
        _ => bytes + RELAY_READ_BYTES,
    }
}

/// Whether the loop can go on at once.
enum Pace {
    /// So many bytes were read, or sent.
    Moved(usize),
    Blocked,
    Done(Report),
}

impl Relay {
    /// Takes both legs; `client` and `backend` are told apart by `direction`.
    #[must_use]
    pub fn new(client: Leg, backend: Leg, direction: Direction, budget: Budget) -> Self {
        let (source, sink) = match direction {
            Direction::Download => (backend, client),
            Direction::Upload => (client, backend),
        };
        let way = Way::between(&source, &sink);
        let began = clock::now();
        let mut alarm = Alarm::new();
        alarm.set(Some(began + budget.first_byte));
        Self {
            source,
            sink,
            way,
            direction,
            budget,
            began,
            first_byte: None,
            moved: 0,
            source_end: None,
            unsent: false,
            sink_heard: 0,
            sink_silent: false,
            alarm,
            look: Look::default(),
        }
    }

    /// Lets the kernel take over TLS when the stream turns out to be long, where it offers that.
    #[must_use]
    pub fn through_kernel(self) -> Self {
        self.through_kernel_after(KERNEL_TLS_AFTER_BYTES)
    }

    fn through_kernel_after(mut self, bytes: usize) -> Self {
        if let Some(kernel) = Kernel::between(&self.source, &self.sink, bytes) {
            self.way = Way::Kernel(kernel);
        }
        self
    }

    /// Moves what can be moved; ready, once, when the bytes have stopped.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Report> {
        if self.look.is_pending(cx) {
            // Woken by something else of the session: what its neighbours wait for is not made longer by that.
            return Poll::Pending;
        }
        let mut turn = 0;
        loop {
            match self.step(cx) {
                Pace::Done(report) => return Poll::Ready(report),
                Pace::Moved(bytes) => {
                    turn += share(bytes);
                    if turn >= RELAY_TURN_BYTES {
                        self.look.ask(cx);
                        return Poll::Pending;
                    }
                }
                Pace::Blocked => return self.poll_blocked(cx),
            }
        }
    }

    /// Plain bytes taken from the source so far.
    #[must_use]
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// How the bytes go.
    #[must_use]
    pub const fn path(&self) -> Path {
        self.way.path()
    }

    /// Gives the legs back as (source, sink), when the bytes have stopped or are to be stopped.
    #[must_use]
    pub fn into_legs(mut self) -> (Leg, Leg) {
        self.way.leave(&mut self.sink);
        (self.source, self.sink)
    }

    /// How many bytes were moved, and from when on, if they are to be stopped now.
    #[must_use]
    pub const fn stopped(&self, end: End) -> Report {
        self.report(Side::source(self.direction), end)
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Pace {
        let mut sent = 0;
        if self.unsent {
            let waiting = self.waiting();
            let flushed = self.way.poll_flush(&mut self.sink, cx);
            match flushed {
                Poll::Ready(Ok(())) => {
                    self.unsent = false;
                    self.progressed();
                    sent = waiting;
                }
                Poll::Ready(Err(_)) => return self.done(Side::sink(self.direction), End::Reset),
                Poll::Pending => {
                    if self.waiting() < waiting {
                        self.progressed();
                    }
                    return Pace::Blocked;
                }
            }
        }
        if let Some(end) = self.source_end {
            return self.done(Side::source(self.direction), end);
        }
        match sent {
            LONG_STEP_BYTES_MIN.. => Pace::Moved(sent),
            _ => self.read(sent, cx),
        }
    }

    /// Reads behind what has been sent in the same step.
    fn read(&mut self, sent: usize, cx: &mut Context<'_>) -> Pace {
        let Poll::Ready(step) = self.way.poll_read(&mut self.source, &mut self.sink, cx) else {
            return Pace::Blocked;
        };
        match step {
            Step::Moved(bytes) => {
                self.moved += bytes as u64;
                if self.first_byte.is_none() {
                    self.first_byte = Some(clock::now() - self.began);
                }
                self.progressed();
                self.unsent = true;
                if self.source.has_closed() {
                    // How the sink is to end is mostly known by now, and then goes with it.
                    self.sink.hold();
                }
                return Pace::Moved(sent + bytes);
            }
            Step::SinkBroken => return self.done(Side::sink(self.direction), End::Reset),
            Step::Ended(Some(Read::Fin)) if self.source.is_private() => {
                self.source_end = Some(End::Unfinished);
            }
            Step::Ended(Some(_)) => self.source_end = Some(End::Clean),
            // A reset, a record that does not verify or is not whole, an alert: all that came before is all there is.
            Step::Ended(None) => self.source_end = Some(End::Reset),
        }
        Pace::Moved(sent)
    }

    /// Bytes that were read and wait for the sink's socket.
    fn waiting(&self) -> usize {
        self.way.held() + self.sink.queued()
    }

    /// Nothing moves just now: has the sink gone, or has it been too long?
    fn poll_blocked(&mut self, cx: &mut Context<'_>) -> Poll<Report> {
        let waiting = self.waiting();
        if self.sink_has_broken(cx) {
            return Poll::Ready(self.report(Side::sink(self.direction), End::Reset));
        }
        if self.waiting() < waiting {
            // Hearing a leg flushes it. There was room meanwhile, and nobody will wake us for it a second time.
            cx.waker().wake_by_ref();
        }
        if self.alarm.poll(cx).is_pending() {
            return Poll::Pending;
        }
        let phase = match self.first_byte {
            None => Phase::FirstByte,
            Some(_) => Phase::Stall,
        };
        // Bytes that wait for the sink are the sink's to take.
        let side = match self.unsent {
            true => Side::sink(self.direction),
            false => Side::source(self.direction),
        };
        Poll::Ready(self.report(side, End::TimedOut(phase)))
    }

    fn sink_has_broken(&mut self, cx: &mut Context<'_>) -> bool {
        let mut scrap = Vec::new();
        while !self.sink_silent {
            scrap.clear();
            match self.sink.poll_read(cx, &mut scrap, TLS_RECORD_BYTES_MAX) {
                Poll::Pending => return false,
                Poll::Ready(Err(Fault::Reset)) => return true,
                // Its end, or an alert that may be a late close_notify of a kind: writing tells whether it still takes bytes.
                Poll::Ready(Ok(Read::CloseNotify | Read::Fin) | Err(_)) => self.sink_silent = true,
                Poll::Ready(Ok(Read::Bytes(bytes))) => {
                    self.sink_heard += bytes;
                    self.sink_silent = self.sink_heard > DRAIN_BYTES_MAX;
                }
            }
        }
        false
    }

    fn progressed(&mut self) {
        self.alarm.set(Some(clock::now() + self.budget.stall));
    }

    const fn done(&self, side: Side, end: End) -> Pace {
        Pace::Done(self.report(side, end))
    }

    const fn report(&self, side: Side, end: End) -> Report {
        Report {
            bytes: self.moved,
            side,
            end,
            first_byte: self.first_byte,
        }
    }
}

/// Moves the bytes of one transfer from end to end and gives back the legs, as (source, sink).
pub async fn run(
    client: Leg,
    backend: Leg,
    direction: Direction,
    budget: Budget,
) -> ((Leg, Leg), Report) {
    let mut relay = Relay::new(client, backend, direction, budget);
    let report = poll_fn(|cx| relay.poll(cx)).await;
    (relay.into_legs(), report)
}

#[cfg(test)]
mod duplex_tests;
#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod tests;
