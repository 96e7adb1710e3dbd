//! The two data legs of a transfer, as the floors below the dialog will drive them: the contract of `DataNews` in small.

use sluicegate::dialog::{Close, DataNews, DataPlan, End, Phase, Protection, Side, Target};
use sluicegate::limits::{DATA_FIRST_BYTE_TIMEOUT, DATA_STALL_TIMEOUT};

use crate::chance::Chance;

/// When a peer does something on its leg, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// So long after it could.
    After(u64),
    /// So long after the 150: seen by the client, said by the backend.
    After150(u64),
    Never,
}

/// What becomes of TLS on a private leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secure {
    Done(When),
    /// The peer closes, or resets, before any byte of a handshake.
    Bare(u64),
    Fails(u64),
    /// Is done, and resumes no session of its own control connection.
    Foreign(u64),
}

/// What a peer does on its data leg.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conduct {
    pub(crate) connect: When,
    pub(crate) refused: bool,
    pub(crate) secure: Secure,
    /// As a source: this many bytes, this long, and then this end; a `TimedOut` is silence.
    pub(crate) bytes: u64,
    pub(crate) lasts: u64,
    pub(crate) end: End,
    /// As a sink or a source: breaks so long after it was up, in the middle of whatever is going on.
    pub(crate) breaks: Option<(u64, End)>,
    /// What comes of our own clean close.
    pub(crate) closed: End,
    /// An end without bytes is noticed although the other leg is not up.
    pub(crate) noticed: bool,
    /// Too late for a deadline of the gate.
    pub(crate) is_late: bool,
    /// It is there already when the gate gives it up, and the gate has not looked.
    pub(crate) unseen: bool,
    /// The gate cannot take it: no descriptor, or too many strangers before it.
    pub(crate) crowded_out: bool,
}

impl Conduct {
    pub(crate) fn good(chance: &mut Chance) -> Self {
        let connect = When::After(chance.delay(3000));
        Self {
            connect,
            refused: false,
            secure: Secure::Done(if chance.percent(50) {
                When::After(chance.delay(3000))
            } else {
                When::After150(chance.delay(3000))
            }),
            bytes: chance.pick(&[0, 0, 1, 5000, 10_000_000]),
            lasts: chance.delay(20_000),
            end: End::Clean,
            breaks: None,
            closed: End::Clean,
            noticed: chance.percent(50),
            is_late: false,
            unseen: chance.percent(10),
            crowded_out: chance.percent(1),
        }
    }

    /// The same peer, met in this way.
    fn meeting(self, target: Target) -> Self {
        match (target, self.connect) {
            // Nobody can refuse a connection that he has to open himself.
            (Target::Awaited, _) if self.refused => Self {
                refused: false,
                connect: When::Never,
                ..self
            },
            // It listens already, and its kernel takes the connection whatever it has heard.
            (Target::Port(_) | Target::Address(_), When::After150(delay)) => Self {
                connect: When::After(delay),
                ..self
            },
            _ => self,
        }
    }

    /// Whether the gate could complete it if everybody else did well.
    pub(crate) fn is_good(&self, is_private: bool) -> bool {
        let secures = matches!(self.secure, Secure::Done(when) if when != When::Never);
        let ends = matches!(self.end, End::Clean | End::Unfinished);
        !self.is_late
            && !self.refused
            && self.connect != When::Never
            && !self.crowded_out
            && (secures || !is_private)
            && ends
            && self.breaks.is_none()
            && self.closed == End::Clean
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Connected,
    Up,
    Ending,
    Over,
}

#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) conduct: Conduct,
    stage: Stage,
    pub(crate) is_private: bool,
    waits_for_150: bool,
    pub(crate) ordered: Option<Close>,
    pub(crate) ended: Option<End>,
}

/// Something that will happen on the data legs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DataEvent {
    Connect(Side),
    Secure(Side),
    EndEarly(Side, End),
    Break(Side, End),
    Flow(End),
    Stopped(Side),
    Finished(Side, End),
}

/// What is to come, and in how many milliseconds.
pub(crate) type Coming = Vec<(u64, DataEvent)>;

#[derive(Debug)]
pub(crate) struct Legs {
    pub(crate) id: u64,
    pub(crate) plan: DataPlan,
    client: Leg,
    backend: Leg,
    pub(crate) flowed: Option<(u64, Side, End)>,
    told: [bool; 2],
}

impl Legs {
    pub(crate) fn open(
        id: u64,
        plan: DataPlan,
        client: Conduct,
        backend: Conduct,
    ) -> (Self, Coming) {
        let leg = |conduct: Conduct, protection, target| Leg {
            conduct: match (protection, conduct.end) {
                // Without TLS there is no close_notify to be missed.
                (Protection::Clear, End::Unfinished) => Conduct {
                    end: End::Clean,
                    ..conduct
                },
                _ => conduct,
            }
            .meeting(target),
            stage: Stage::Waiting,
            is_private: protection == Protection::Private,
            waits_for_150: false,
            ordered: None,
            ended: None,
        };
        let mut legs = Self {
            id,
            plan,
            client: leg(client, plan.client, plan.client_target),
            backend: leg(backend, plan.backend, plan.backend_target),
            flowed: None,
            told: [false; 2],
        };
        let mut coming = Vec::new();
        for side in [Side::Client, Side::Backend] {
            let connect = legs.leg(side).conduct.connect;
            legs.wait(side, connect, DataEvent::Connect(side), &mut coming);
        }
        (legs, coming)
    }

    pub(crate) const fn leg(&self, side: Side) -> &Leg {
        match side {
            Side::Client => &self.client,
            Side::Backend => &self.backend,
        }
    }

    fn leg_mut(&mut self, side: Side) -> &mut Leg {
        match side {
            Side::Client => &mut self.client,
            Side::Backend => &mut self.backend,
        }
    }

    pub(crate) fn source(&self) -> Side {
        Side::source(self.plan.direction)
    }

    pub(crate) fn is_over(&self, side: Side) -> bool {
        self.leg(side).stage == Stage::Over
    }

    fn is_flowing(&self) -> bool {
        self.flowed.is_none() && self.client.stage == Stage::Up && self.backend.stage == Stage::Up
    }

    fn wait(&mut self, side: Side, when: When, event: DataEvent, coming: &mut Coming) {
        match when {
            When::After(delay) => coming.push((delay, event)),
            When::After150(delay) if self.told[side as usize] => coming.push((delay, event)),
            When::After150(_) => self.leg_mut(side).waits_for_150 = true,
            When::Never => {}
        }
    }

    /// The 150 has been seen on this side.
    pub(crate) fn told(&mut self, side: Side) -> Coming {
        self.told[side as usize] = true;
        let mut coming = Vec::new();
        if std::mem::take(&mut self.leg_mut(side).waits_for_150) {
            let conduct = self.leg(side).conduct;
            match (self.leg(side).stage, conduct.secure) {
                (Stage::Waiting, _) => {
                    self.wait(side, conduct.connect, DataEvent::Connect(side), &mut coming);
                }
                (Stage::Connected, Secure::Done(when)) => {
                    self.wait(side, when, DataEvent::Secure(side), &mut coming);
                }
                _ => {}
            }
        }
        coming
    }

    /// The gate ends a leg.
    pub(crate) fn order(&mut self, side: Side, close: Close) -> Result<Coming, String> {
        let (is_flowing, source) = (self.is_flowing(), self.source());
        let leg = self.leg_mut(side);
        let is_up = leg.stage == Stage::Up;
        if matches!(leg.stage, Stage::Over | Stage::Ending) {
            return Err(format!("a leg that is over is ended again: {side:?}"));
        }
        if close == Close::Clean && !is_up {
            return Err(format!("a leg that is not up cannot end clean: {side:?}"));
        }
        let is_there = !leg.conduct.refused && leg.conduct.connect != When::Never;
        let given_up = match (leg.stage, leg.conduct.secure) {
            // A TLS server says nothing of a file before it has heard from us: what it was is known all the same.
            (Stage::Waiting, _) if leg.conduct.unseen && is_there => match side {
                Side::Backend if leg.is_private => End::Bare,
                _ => End::NotTaken,
            },
            (Stage::Connected, Secure::Fails(_) | Secure::Foreign(_)) => End::HandshakeFailed,
            (Stage::Connected, _) => End::Bare,
            _ => End::Refused,
        };
        leg.ordered = Some(close);
        leg.stage = Stage::Ending;
        if is_flowing {
            return if side == source {
                Ok(vec![(5, DataEvent::Stopped(side))])
            } else {
                Err("the sink is ended while bytes flow to it".to_owned())
            };
        }
        let end = match close {
            _ if !is_up => given_up,
            Close::Reset => End::Aborted,
            Close::Clean => leg.conduct.closed,
            Close::Unfinished if leg.conduct.closed != End::Clean => leg.conduct.closed,
            Close::Unfinished if leg.is_private => End::Unfinished,
            Close::Unfinished => End::Clean,
        };
        Ok(vec![(
            leg.conduct.lasts % 700,
            DataEvent::Finished(side, end),
        )])
    }

    /// Something happens now: the news of it, and what follows.
    pub(crate) fn fire(&mut self, event: DataEvent) -> (Option<DataNews>, Coming) {
        let mut coming = Vec::new();
        let news = match event {
            DataEvent::Connect(side) => self.connect(side, &mut coming),
            DataEvent::Secure(side) => self.secure(side, &mut coming),
            DataEvent::EndEarly(side, end) | DataEvent::Break(side, end)
                if self.is_flowing() && matches!(event, DataEvent::Break(..)) =>
            {
                let bytes = self.leg(self.source()).conduct.bytes / 2;
                Some(self.stop(bytes, side, end))
            }
            DataEvent::EndEarly(side, end) | DataEvent::Break(side, end) => {
                let is_open = matches!(self.leg(side).stage, Stage::Connected | Stage::Up);
                (is_open && !self.is_flowing()).then(|| self.over(side, end))
            }
            DataEvent::Flow(end) => {
                let source = self.source();
                let bytes = self.leg(source).conduct.bytes;
                self.is_flowing().then(|| self.stop(bytes, source, end))
            }
            DataEvent::Stopped(side) => {
                let bytes = self.leg(side).conduct.bytes / 2;
                Some(self.stop(bytes, side, End::Aborted))
            }
            DataEvent::Finished(side, end) => Some(self.over(side, end)),
        };
        (news, coming)
    }

    fn connect(&mut self, side: Side, coming: &mut Coming) -> Option<DataNews> {
        let conduct = self.leg(side).conduct;
        match self.leg(side).stage {
            Stage::Waiting if conduct.refused => return Some(self.over(side, End::Refused)),
            Stage::Waiting if conduct.crowded_out => return Some(self.over(side, End::NotTaken)),
            Stage::Waiting => self.leg_mut(side).stage = Stage::Connected,
            // What had happened before the order is still told.
            Stage::Ending => return Some(DataNews::Connected(side)),
            _ => return None,
        }
        match conduct.secure {
            _ if !self.leg(side).is_private => coming.push((0, DataEvent::Secure(side))),
            Secure::Done(when) => self.wait(side, when, DataEvent::Secure(side), coming),
            Secure::Bare(delay) => coming.push((delay, DataEvent::EndEarly(side, End::Bare))),
            Secure::Fails(delay) => {
                coming.push((delay, DataEvent::EndEarly(side, End::HandshakeFailed)));
            }
            Secure::Foreign(delay) => {
                coming.push((delay, DataEvent::EndEarly(side, End::NotResumed)));
            }
        }
        Some(DataNews::Connected(side))
    }

    fn secure(&mut self, side: Side, coming: &mut Coming) -> Option<DataNews> {
        let conduct = self.leg(side).conduct;
        if self.leg(side).stage != Stage::Connected {
            return None;
        }
        self.leg_mut(side).stage = Stage::Up;
        if let Some((delay, end)) = conduct.breaks {
            coming.push((delay, DataEvent::Break(side, end)));
        }
        let source = self.source();
        let from = self.leg(source).conduct;
        let is_empty = from.bytes == 0 && !matches!(from.end, End::TimedOut(_));
        if self.is_flowing() {
            let silence = match from.end {
                End::TimedOut(Phase::FirstByte) => DATA_FIRST_BYTE_TIMEOUT,
                End::TimedOut(_) => DATA_STALL_TIMEOUT,
                _ => std::time::Duration::ZERO,
            };
            let silence = u64::try_from(silence.as_millis()).expect("a short time");
            coming.push((from.lasts + silence, DataEvent::Flow(from.end)));
        } else if side == source && is_empty && from.noticed {
            coming.push((from.lasts, DataEvent::EndEarly(side, from.end)));
        }
        Some(DataNews::Up(side))
    }

    fn stop(&mut self, bytes: u64, side: Side, end: End) -> DataNews {
        self.flowed = Some((bytes, side, end));
        self.over(side, end);
        DataNews::Flowed { bytes, side, end }
    }

    fn over(&mut self, side: Side, end: End) -> DataNews {
        let leg = self.leg_mut(side);
        leg.stage = Stage::Over;
        leg.ended = Some(end);
        DataNews::Ended(side, end)
    }
}
