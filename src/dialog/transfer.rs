//! A transfer under way: both legs opened at once, news and replies taken down as facts as they come in.

use super::action::{Action, Close, DataNews, DataPlan, End, Note, Protection, Side, Target};
use super::answers::read_offset;
use super::facts::{FinalReply, Leg, Preliminary, Proof, Transfer, Why};
use super::phase::Work;
use super::timers::Timer;
use super::{Dialog, Turn};
use crate::ftp::{Class, Command, Direction, Reply, ReplyLine, occasion};
use crate::limits::REPLY_HELD_BYTES_MAX;
use crate::policy::{ClientProtection, OnUnfinished};

impl Dialog {
    /// RETR, LIST, NLST, MLSD, STOR, APPE, STOU: both data legs and the command at once (rule 8 of the contract).
    pub(super) fn begin_transfer(
        &mut self,
        turn: &mut Turn,
        command: Command,
        direction: Direction,
    ) {
        let wants_private = self.rules.client_protection == ClientProtection::Private;
        if wants_private && self.client.protection == Protection::Clear {
            let text = "Data connections must be private: PROT P";
            let reply = Reply::new(occasion::WRONG_PROTECTION, text);
            return turn.refuse(command.verb, &reply);
        }
        let Some(plan) = self.plan.take() else {
            let text = "Use EPSV, PASV, EPRT or PORT first";
            let reply = Reply::new(occasion::NO_DATA_CONNECTION, text);
            return turn.refuse(command.verb, &reply);
        };
        let backend_target = match plan.backend {
            Ok(target) => target,
            Err(why) => {
                if plan.client == Target::Awaited {
                    turn.push(Action::ClosePassive(Side::Client));
                }
                let text = format!("No data connection: {why}");
                let reply = Reply::new(occasion::NO_DATA_CONNECTION, text);
                return turn.refuse(command.verb, &reply);
            }
        };
        let backend_protection = self.wanted_protection();
        if self.backend.protection != Some(backend_protection) {
            self.inbox.push_front(Ok(command));
            return self.protect(turn, plan.client, backend_target);
        }
        turn.push(Action::OpenData(DataPlan {
            direction,
            client: self.client.protection,
            backend: backend_protection,
            client_target: plan.client,
            backend_target,
        }));
        turn.ask(&command);
        let patience = &self.rules.patience;
        self.timers
            .arm(Timer::Work, turn.now + patience.backend_reply);
        for (side, target) in [(Side::Client, plan.client), (Side::Backend, backend_target)] {
            // A peer that connects by itself may do so only after its 150.
            if target != Target::Awaited {
                self.timers
                    .arm(Timer::open(side), turn.now + patience.data_connect);
            }
        }
        self.work = Work::Transferring(Box::new(Transfer {
            command,
            direction,
            client_protection: self.client.protection,
            client_target: plan.client,
            backend_target,
            client: Leg::Opening { connected: false },
            backend: Leg::Opening { connected: false },
            moved: 0,
            flowed: None,
            preliminary: Preliminary::Awaited,
            held: Vec::new(),
            reply: None,
            proof: Proof::NotAsked,
            failure: None,
            resync: None,
            abor: false,
            mode_z: self.client.mode_z,
            offset: std::mem::take(&mut self.client.offset),
            ascii: self.client.ascii,
        }));
    }

    pub(super) fn hear_data(&mut self, turn: &mut Turn, news: DataNews) {
        let Work::Transferring(transfer) = &mut self.work else {
            return;
        };
        match news {
            DataNews::Connected(side) => {
                // A leg that is being ended stays so, whatever it still reports.
                if transfer.leg(side).is_open() {
                    transfer.set(side, Leg::Opening { connected: true });
                    self.watch_opening(turn, side);
                }
            }
            DataNews::Up(side) => {
                if transfer.leg(side).is_open() {
                    transfer.set(side, Leg::Up);
                    self.timers.disarm(Timer::open(side));
                }
            }
            DataNews::Moved(bytes) => transfer.moved = bytes,
            DataNews::Ended(side, end) => self.leg_ended(turn, side, end),
            DataNews::Flowed { bytes, side, end } => {
                transfer.flowed = Some(bytes);
                self.leg_ended(turn, side, end);
            }
        }
        self.drive(turn);
    }

    /// Each phase of opening has its deadline; TLS may wait for the 150, and so may TCP that is awaited.
    fn watch_opening(&mut self, turn: &Turn, side: Side) {
        let Work::Transferring(transfer) = &self.work else {
            return;
        };
        let told = transfer.preliminary == Preliminary::Told;
        let patience = &self.rules.patience;
        let bound = match transfer.leg(side) {
            Leg::Opening { connected: true } if told => patience.data_handshake,
            // What we connect to is bounded from the command on.
            Leg::Opening { connected: false } if !transfer.is_awaited(side) => return,
            Leg::Opening { connected: false } if told => patience.data_connect,
            _ => return self.timers.disarm(Timer::open(side)),
        };
        self.timers.arm(Timer::open(side), turn.now + bound);
    }

    fn leg_ended(&mut self, turn: &mut Turn, side: Side, end: End) {
        self.timers.disarm(Timer::open(side));
        let Work::Transferring(transfer) = &mut self.work else {
            return;
        };
        let ordered = match transfer.leg(side) {
            Leg::Ending(close) => Some(close),
            _ => None,
        };
        transfer.set(side, Leg::Ended(end));
        if end == End::Unfinished && ordered.is_none() {
            turn.note(Note::Unfinished(side));
        }
        if let End::TimedOut(phase) = end {
            turn.note(Note::Overran(side, phase));
        }
        let why = Why::Leg(side, end);
        let is_source = side == Side::source(transfer.direction);
        let is_refused = transfer.is_refused();
        let is_accepted = match (side, end) {
            // The backend's own refusal is what the client hears, however its legs end now (rule 7 of the contract).
            _ if is_refused => true,
            _ if ordered == Some(Close::Reset) => true,
            // A sink's end is right if it is the one that was ordered.
            _ if !is_source => matches!(
                (ordered, end),
                (Some(Close::Clean), End::Clean)
                    | (Some(Close::Unfinished), End::Clean | End::Unfinished)
            ),
            (_, End::Clean) => true,
            (_, End::TimedOut(_)) => false,
            // What the backend's own end means, its reply decides (rule 2 of the contract).
            (Side::Backend, _) => true,
            (Side::Client, End::Unfinished) => self.rules.client_unfinished != OnUnfinished::Reject,
            (Side::Client, End::Bare) => self.rules.bare_uploads,
            (Side::Client, _) => false,
        };
        // A backend that ends its leg of an upload may be about to say why.
        let backend_may_explain = side == Side::Backend && !matches!(end, End::TimedOut(_));
        if !is_accepted && !backend_may_explain {
            self.fail(turn, why);
        }
    }

    pub(super) fn transfer_replied(&mut self, turn: &mut Turn, line: &ReplyLine) {
        let Work::Transferring(transfer) = &mut self.work else {
            return;
        };
        if let Some(resync) = &mut transfer.resync {
            // What comes now answers our own ABOR; the first cause has been recorded.
            if line.last && line.code == occasion::CLOSING {
                self.lose_backend(turn, "backend said 421");
            } else if resync.hears(line) {
                transfer.resync = None;
                turn.note(Note::Resynchronised);
            }
            return;
        }
        match (line.code.class(), transfer.preliminary) {
            _ if transfer.reply.is_some() => self.proof_replied(turn, line),
            // Its replies are in step again: nothing more belongs to this transfer.
            _ if transfer.failure.is_some() => self.unsolicited(turn, line),
            (Class::Preliminary, Preliminary::Awaited | Preliminary::Passing) => {
                transfer.preliminary = Preliminary::Passing;
                self.pass_on(turn, line);
                if line.last {
                    self.preliminary_told(turn);
                }
            }
            // One 1xx is all that a client expects.
            (Class::Preliminary, Preliminary::Told) => {}
            _ => self.final_replied(turn, line),
        }
        self.drive(turn);
    }

    fn final_replied(&mut self, turn: &mut Turn, line: &ReplyLine) {
        let Work::Transferring(transfer) = &mut self.work else {
            return;
        };
        if line.last || transfer.held.len() + line.raw.len() <= REPLY_HELD_BYTES_MAX {
            transfer.held.extend_from_slice(&line.wire());
        }
        if !line.last {
            return;
        }
        let wire = std::mem::take(&mut transfer.held);
        transfer.reply = Some(FinalReply {
            code: line.code,
            wire,
        });
        let must_tell =
            transfer.preliminary != Preliminary::Told && line.code.class() == Class::Completion;
        self.timers.disarm(Timer::Work);
        if must_tell {
            turn.answer(&Reply::new(
                occasion::OPENING_DATA,
                "Opening data connection",
            ));
            self.preliminary_told(turn);
        }
    }

    fn preliminary_told(&mut self, turn: &Turn) {
        let Work::Transferring(transfer) = &mut self.work else {
            return;
        };
        transfer.preliminary = Preliminary::Told;
        self.timers.disarm(Timer::Work);
        self.watch_opening(turn, Side::Client);
        self.watch_opening(turn, Side::Backend);
    }

    fn proof_replied(&mut self, turn: &mut Turn, line: &ReplyLine) {
        let Work::Transferring(transfer) = &mut self.work else {
            return;
        };
        if transfer.proof != Proof::Asked {
            return self.unsolicited(turn, line);
        }
        if !line.last || line.code.class() == Class::Preliminary {
            return;
        }
        if line.code == occasion::CLOSING {
            return self.lose_backend(turn, "backend said 421");
        }
        // What cannot be read proves nothing; neither does a size that REST has skipped.
        let first = line.text().split(|&byte| byte == b' ').next();
        let size = first
            .and_then(read_offset)
            .filter(|_| line.code == occasion::SIZE);
        transfer.proof = if size.is_some_and(|size| size > transfer.offset) {
            Proof::NotEmpty
        } else {
            Proof::Empty
        };
    }
}
