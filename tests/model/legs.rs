//! The data side of a transfer: two legs that may do at each moment what the floors below the dialog would let them do.

use std::collections::VecDeque;

use sluicegate::dialog::{Close, DataNews, DataPlan, End, Phase, Protection, Side};

/// How far a leg is, seen from its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Waiting,
    Connected,
    Up,
    /// Being ended as ordered.
    Ending,
    Over(End),
}

/// One leg, and what the gate has ordered for its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Half {
    pub(crate) stage: Stage,
    pub(crate) ordered: Option<Close>,
    is_private: bool,
}

impl Half {
    const fn new(protection: Protection) -> Self {
        Self {
            stage: Stage::Waiting,
            ordered: None,
            is_private: matches!(protection, Protection::Private),
        }
    }

    pub(crate) const fn end(&self) -> Option<End> {
        match self.stage {
            Stage::Over(end) => Some(end),
            _ => None,
        }
    }
}

/// Something that a peer, the network or the relay's own clock does to the legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LegEvent {
    Connect(Side),
    Secure(Side),
    /// A leg that fails before it is up.
    Fail(Side, End),
    /// The bytes stop because this leg ended.
    Stop {
        side: Side,
        end: End,
        bytes: u64,
    },
    /// What was ordered is done, or went wrong.
    Finish(Side, End),
}

/// The legs of the running transfer, and the news of them that the dialog has not heard yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Legs {
    pub(crate) plan: DataPlan,
    pub(crate) client: Half,
    pub(crate) backend: Half,
    /// Bytes moved, and the leg whose end stopped them.
    pub(crate) flowed: Option<(u64, Side)>,
    pub(crate) news: VecDeque<DataNews>,
}

impl Legs {
    pub(crate) const fn open(plan: DataPlan) -> Self {
        Self {
            client: Half::new(plan.client),
            backend: Half::new(plan.backend),
            plan,
            flowed: None,
            news: VecDeque::new(),
        }
    }

    pub(crate) const fn half(&self, side: Side) -> &Half {
        match side {
            Side::Client => &self.client,
            Side::Backend => &self.backend,
        }
    }

    const fn half_mut(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.client,
            Side::Backend => &mut self.backend,
        }
    }

    pub(crate) const fn source(&self) -> &Half {
        self.half(Side::source(self.plan.direction))
    }

    pub(crate) const fn sink(&self) -> &Half {
        self.half(Side::sink(self.plan.direction))
    }

    pub(crate) const fn are_over(&self) -> bool {
        self.client.end().is_some() && self.backend.end().is_some()
    }

    fn is_flowing(&self) -> bool {
        self.flowed.is_none() && self.client.stage == Stage::Up && self.backend.stage == Stage::Up
    }

    /// The floors below see to it themselves that something comes: the relay's deadlines, and those of closing.
    pub(crate) fn is_bounded(&self) -> bool {
        let is_ending = |half: &Half| half.stage == Stage::Ending;
        !self.news.is_empty()
            || self.is_flowing()
            || is_ending(&self.client)
            || is_ending(&self.backend)
    }

    /// All that can happen now, while the dialog is no more than so many news behind.
    pub(crate) fn events(&self, lag_max: usize, events: &mut Vec<LegEvent>) {
        if self.news.len() > lag_max {
            return;
        }
        for side in [Side::Client, Side::Backend] {
            let half = self.half(side);
            match (half.stage, half.ordered) {
                (Stage::Waiting, _) => {
                    events.push(LegEvent::Connect(side));
                    events.push(LegEvent::Fail(side, End::Refused));
                }
                (Stage::Connected, _) => events.extend([
                    LegEvent::Secure(side),
                    LegEvent::Fail(side, End::Bare),
                    LegEvent::Fail(side, End::HandshakeFailed),
                    LegEvent::Fail(side, End::NotResumed),
                ]),
                (Stage::Ending, Some(order)) => {
                    let done = match order {
                        Close::Clean => End::Clean,
                        Close::Unfinished if half.is_private => End::Unfinished,
                        Close::Unfinished => End::Clean,
                        Close::Reset => End::Aborted,
                    };
                    events.push(LegEvent::Finish(side, done));
                    if order != Close::Reset {
                        events.push(LegEvent::Finish(side, End::Reset));
                        events.push(LegEvent::Finish(side, End::TimedOut(Phase::Completion)));
                    }
                }
                _ => {}
            }
        }
        if self.is_flowing() {
            self.stops(events);
        }
    }

    fn stops(&self, events: &mut Vec<LegEvent>) {
        let (source, sink) = (
            Side::source(self.plan.direction),
            Side::sink(self.plan.direction),
        );
        for bytes in [0, 1] {
            let stop = |side, end| LegEvent::Stop { side, end, bytes };
            events.push(stop(source, End::Clean));
            if self.source().is_private {
                events.push(stop(source, End::Unfinished));
            }
            events.push(stop(source, End::Reset));
            events.push(stop(sink, End::Reset));
        }
        events.push(LegEvent::Stop {
            side: source,
            end: End::TimedOut(Phase::FirstByte),
            bytes: 0,
        });
        events.push(LegEvent::Stop {
            side: source,
            end: End::TimedOut(Phase::Stall),
            bytes: 1,
        });
    }

    pub(crate) fn happen(&mut self, event: LegEvent) {
        match event {
            LegEvent::Connect(side) => {
                let half = self.half_mut(side);
                // Without TLS, connected is up.
                let (stage, news) = if half.is_private {
                    (Stage::Connected, DataNews::Connected(side))
                } else {
                    (Stage::Up, DataNews::Up(side))
                };
                half.stage = stage;
                self.news.push_back(news);
            }
            LegEvent::Secure(side) => {
                self.half_mut(side).stage = Stage::Up;
                self.news.push_back(DataNews::Up(side));
            }
            LegEvent::Fail(side, end) | LegEvent::Finish(side, end) => {
                self.half_mut(side).stage = Stage::Over(end);
                self.news.push_back(DataNews::Ended(side, end));
            }
            LegEvent::Stop { side, end, bytes } => self.stop(side, end, bytes),
        }
    }

    fn stop(&mut self, side: Side, end: End, bytes: u64) {
        self.half_mut(side).stage = Stage::Over(end);
        self.flowed = Some((bytes, side));
        self.news.push_back(DataNews::Flowed { bytes, side, end });
    }

    /// The gate ends a leg; one that is over already says so in news that are on their way.
    pub(crate) fn order(&mut self, side: Side, close: Close) {
        let is_flowing = self.is_flowing();
        let half = self.half_mut(side);
        match half.stage {
            Stage::Over(_) | Stage::Ending => return,
            _ => half.ordered = Some(close),
        }
        match half.stage {
            Stage::Waiting => self.happen(LegEvent::Finish(side, End::Refused)),
            Stage::Connected => self.happen(LegEvent::Finish(side, End::Bare)),
            _ if is_flowing => self.stop(side, End::Aborted, 1),
            _ => half.stage = Stage::Ending,
        }
    }
}
