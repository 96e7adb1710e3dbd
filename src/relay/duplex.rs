//! Both directions between two legs at once, for streams that are no transfer: each end is carried through by itself.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::step::Step;
use super::way::Way;
use super::{LONG_STEP_BYTES_MIN, Path, share};
use crate::dialog::{End, Phase, Side};
use crate::leg::{Leg, Read};
use crate::limits::RELAY_TURN_BYTES;
use crate::net::{Alarm, Look};
use crate::sys::clock;

/// Two legs and the bytes between them, both ways.
///
/// A clean end of one side (close_notify, FIN of a plain leg) is passed on as a clean end of the other leg's kind, and the
/// other direction goes on. An end that vouches for nothing (FIN without close_notify) is passed on as just that to a
/// private leg, and ends everything where the other leg is plain, whose FIN would vouch for it, unless it is `lenient`.
/// Whatever is not an end ends everything.
pub struct Duplex {
    /// The client's and the backend's.
    legs: [Leg; 2],
    /// From the client, and from the backend.
    lanes: [Lane; 2],
    idle: Duration,
    stall: Duration,
    is_lenient: bool,
    /// When a byte was last read or taken.
    moved_at: Instant,
    alarm: Alarm,
    look: Look,
}

/// One direction.
struct Lane {
    way: Way,
    moved: u64,
    /// Something of ours waits for the sink's socket.
    unsent: bool,
    state: State,
    is_unfinished: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Flowing,
    /// Our end for the sink is on its way to the socket.
    Finishing,
    Over,
}

/// How both directions stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The side that ended them; the client where both have ended cleanly.
    pub side: Side,
    /// How: `Clean` only if both directions have ended so.
    pub end: End,
    /// Whether our end has left on both legs; they are to be read to their end, and reset otherwise.
    pub is_closed: bool,
}

/// What one direction has moved, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Plain bytes.
    pub bytes: u64,
    /// The way they went.
    pub path: Path,
}

enum Pace {
    Moved(usize),
    Blocked,
    Done(Side, End),
}

/// The sides in the order of the legs, and of the lanes that they are the source of.
const SIDES: [Side; 2] = [Side::Client, Side::Backend];

impl Duplex {
    /// Takes both legs, with their handshakes complete. `idle` bounds the time without a byte either way, `stall` that in
    /// which a peer takes none of what waits for it.
    #[must_use]
    pub fn new(client: Leg, backend: Leg, idle: Duration, stall: Duration) -> Self {
        let lane = |source, sink| Lane {
            way: Way::between(source, sink),
            moved: 0,
            unsent: false,
            state: State::Flowing,
            is_unfinished: false,
        };
        let lanes = [lane(&client, &backend), lane(&backend, &client)];
        Self {
            legs: [client, backend],
            lanes,
            idle,
            stall,
            is_lenient: false,
            moved_at: clock::now(),
            alarm: Alarm::new(),
            look: Look::default(),
        }
    }

    /// Whether the end of a private leg that nobody vouches for becomes the FIN of a plain one.
    #[must_use]
    pub const fn lenient(mut self, is_lenient: bool) -> Self {
        self.is_lenient = is_lenient;
        self
    }

    /// Moves what can be moved; ready, once, when both directions have stopped.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        if self.look.is_pending(cx) {
            return Poll::Pending;
        }
        let mut turn = 0;
        loop {
            let mut is_blocked = true;
            let mut waiting = 0;
            for from in 0..2 {
                match self.step(from, cx) {
                    Pace::Moved(bytes) => {
                        turn += share(bytes);
                        is_blocked = false;
                        self.moved_at = clock::now();
                    }
                    Pace::Blocked => {}
                    Pace::Done(side, end) => return Poll::Ready(broken(side, end)),
                }
                if from == 0 {
                    waiting = self.waiting(0);
                }
            }
            if self.lanes.iter().all(|lane| lane.state == State::Over) {
                return Poll::Ready(self.closed());
            }
            // Reading the backend may flush what the client's lane has queued there: nobody wakes us for that room again.
            let is_flushed = waiting > self.waiting(0);
            if is_blocked && !is_flushed {
                return self.poll_alarm(cx);
            }
            if turn >= RELAY_TURN_BYTES {
                self.look.ask(cx);
                return Poll::Pending;
            }
        }
    }

    /// What went from the client, and from the backend.
    #[must_use]
    pub fn flows(&self) -> [Flow; 2] {
        self.lanes.each_ref().map(|lane| Flow {
            bytes: lane.moved,
            path: lane.way.path(),
        })
    }

    /// How the client's leg and the backend's have ended, when everything has ended so.
    #[must_use]
    pub fn ends(&self, outcome: Outcome) -> [End; 2] {
        let of = |at: usize| match (outcome.is_closed, self.lanes[at].is_unfinished) {
            (true, true) => End::Unfinished,
            (true, false) => End::Clean,
            (false, _) if outcome.side == SIDES[at] => outcome.end,
            (false, _) => End::Aborted,
        };
        [of(0), of(1)]
    }

    /// Resets both legs now.
    pub fn reset(self) {
        self.legs.into_iter().for_each(Leg::abort);
    }

    /// The client's leg and the backend's.
    #[must_use]
    pub fn into_legs(self) -> [Leg; 2] {
        self.legs
    }

    /// One step of the lane from this leg to the other.
    fn step(&mut self, from: usize, cx: &mut Context<'_>) -> Pace {
        let [client, backend] = &mut self.legs;
        let (source, sink) = match from {
            0 => (client, backend),
            _ => (backend, client),
        };
        let (source_side, sink_side) = (SIDES[from], SIDES[1 - from]);
        let lane = &mut self.lanes[from];
        let mut sent = 0;
        if lane.unsent {
            let waiting = lane.way.held() + sink.queued();
            match lane.way.poll_flush(sink, cx) {
                Poll::Ready(Ok(())) => {
                    lane.unsent = false;
                    sent = waiting;
                    self.moved_at = clock::now();
                }
                Poll::Ready(Err(_)) => return Pace::Done(sink_side, End::Reset),
                Poll::Pending => {
                    if lane.way.held() + sink.queued() < waiting {
                        self.moved_at = clock::now();
                    }
                    return Pace::Blocked;
                }
            }
        }
        match lane.state {
            State::Over => return Pace::Blocked,
            State::Finishing => {
                lane.state = State::Over;
                return match sink.finish() {
                    Ok(()) => Pace::Moved(0),
                    Err(_) => Pace::Done(sink_side, End::Reset),
                };
            }
            State::Flowing if sent >= LONG_STEP_BYTES_MIN => return Pace::Moved(sent),
            State::Flowing => {}
        }
        let Poll::Ready(step) = lane.way.poll_read(source, sink, cx) else {
            return Pace::Blocked;
        };
        match step {
            Step::Moved(bytes) => {
                lane.moved += bytes as u64;
                lane.unsent = true;
                return Pace::Moved(sent + bytes);
            }
            Step::SinkBroken => return Pace::Done(sink_side, End::Reset),
            Step::Ended(Some(Read::Fin)) if source.is_private() => {
                if !sink.is_private() && !self.is_lenient {
                    return Pace::Done(source_side, End::Unfinished);
                }
                lane.is_unfinished = true;
            }
            Step::Ended(Some(_)) if sink.queue_close_notify().is_err() => {
                return Pace::Done(sink_side, End::Reset);
            }
            Step::Ended(Some(_)) => {}
            // A reset, a record that does not verify or is not whole, an alert.
            Step::Ended(None) => return Pace::Done(source_side, End::Reset),
        }
        (lane.state, lane.unsent) = (State::Finishing, true);
        Pace::Moved(sent)
    }

    /// Bytes that were read from this leg and wait for the other's socket.
    fn waiting(&self, from: usize) -> usize {
        self.lanes[from].way.held() + self.legs[1 - from].queued()
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        // Bytes that wait for a sink are the sink's to take.
        let (side, bound) = match self.lanes.iter().position(|lane| lane.unsent) {
            Some(from) => (SIDES[1 - from], self.stall),
            None => (Side::Client, self.idle),
        };
        self.alarm.set(Some(self.moved_at + bound));
        if self.alarm.poll(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(broken(side, End::TimedOut(Phase::Stall)))
    }

    fn closed(&self) -> Outcome {
        let unfinished = self.lanes.iter().position(|lane| lane.is_unfinished);
        Outcome {
            side: unfinished.map_or(Side::Client, |from| SIDES[from]),
            end: unfinished.map_or(End::Clean, |_| End::Unfinished),
            is_closed: true,
        }
    }
}

const fn broken(side: Side, end: End) -> Outcome {
    Outcome {
        side,
        end,
        is_closed: false,
    }
}
