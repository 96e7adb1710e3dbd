//! The end of a transfer: doing what the facts ask for, giving up, answering, and getting the replies back in step.

use super::action::{Action, Blame, Close, End, Note, Phase, Side};
use super::facts::{Leg, Proof, Resync, Transfer, Why};
use super::phase::{BackendStage, Work};
use super::timers::Timer;
use super::verdict::{Next, Settled};
use super::{Dialog, Turn};
use crate::ftp::{Code, Command, Direction, Reply, ReplyLine, Verb, occasion};

impl Dialog {
    /// Does what the facts ask for until they ask for nothing more.
    pub(super) fn drive(&mut self, turn: &mut Turn) {
        while let Work::Transferring(transfer) = &mut self.work {
            match transfer.next(&self.rules) {
                Next::Wait => return self.timers.disarm(Timer::Final),
                Next::AwaitFinal => {
                    let at = turn.now + self.rules.patience.data_completion;
                    return self.timers.arm_once(Timer::Final, at);
                }
                Next::AwaitSource => {
                    let at = turn.now + self.rules.patience.linger;
                    return self.timers.arm_once(Timer::Final, at);
                }
                Next::Verify => {
                    transfer.proof = Proof::Asked;
                    // Another reply is waited for, with a deadline of its own.
                    self.timers.disarm(Timer::Final);
                    turn.ask(&Command::new(Verb::Size, transfer.command.argument.clone()));
                }
                Next::End(side, close) => {
                    transfer.set(side, Leg::Ending(close));
                    self.timers.disarm(Timer::open(side));
                    turn.push(Action::EndData(side, close));
                }
                Next::Fail(why) => self.fail(turn, why),
                Next::Settle(settled) => return self.settle(turn, settled),
            }
        }
    }

    /// The gate's own verdict: it failed. A backend that still owes its reply is told to stop, so that it does not
    /// commit what it has, and marked where its replies are in step again.
    pub(super) fn fail(&mut self, turn: &mut Turn, why: Why) {
        let Work::Transferring(transfer) = &mut self.work else {
            return;
        };
        if transfer.failure.is_some() {
            return;
        }
        transfer.failure = Some(why);
        if transfer.is_owed() {
            turn.ask(&Command::new(Verb::Abor, ""));
            turn.ask(&Command::new(Verb::Pwd, ""));
            transfer.resync = Some(Resync::default());
        }
        self.timers.disarm(Timer::Work);
    }

    fn settle(&mut self, turn: &mut Turn, settled: Settled) {
        let Work::Transferring(transfer) = std::mem::replace(&mut self.work, Work::Idle) else {
            return;
        };
        self.timers.disarm(Timer::Final);
        self.timers.disarm(Timer::Work);
        turn.push(Action::CloseData);
        let (code, wire) = settled.into_reply();
        self.cut_short(turn);
        turn.push(Action::ToClient(wire));
        if transfer.abor {
            turn.answer(&Reply::new(occasion::DATA_CLOSED, "Aborted"));
        }
        note_transfer(turn, &transfer, Some(code), false);
        if code == occasion::CLOSING {
            return self.leave(turn, None, Blame::Backend, "backend said 421");
        }
        if self.backend.stage == BackendStage::Lost {
            return self.lose_backend(turn, "backend left behind its transfer");
        }
        // The gate's own verdict came first, but the backend has said its last word all the same.
        if transfer
            .reply
            .is_some_and(|reply| reply.code == occasion::CLOSING)
        {
            return self.lose_backend(turn, "backend said 421");
        }
        if let Some(resync) = transfer.resync {
            self.work = Work::Resyncing(resync);
            self.timers
                .arm(Timer::Work, turn.now + self.rules.patience.backend_reply);
        }
    }

    pub(super) fn resync_replied(&mut self, turn: &mut Turn, line: &ReplyLine) {
        if line.last && line.code == occasion::CLOSING {
            return self.lose_backend(turn, "backend said 421");
        }
        let Work::Resyncing(resync) = &mut self.work else {
            return;
        };
        if resync.hears(line) {
            turn.note(Note::Resynchronised);
            self.rest();
        }
    }

    pub(super) fn preliminary_overran(&mut self, turn: &mut Turn) {
        let Work::Transferring(transfer) = &self.work else {
            return;
        };
        if transfer.is_flowing() {
            // The bytes speak for the backend; when they stop, its final reply has a deadline.
            return;
        }
        self.fail(turn, Why::Silence);
        self.drive(turn);
    }

    pub(super) fn leg_overran(&mut self, turn: &mut Turn, side: Side) {
        let Work::Transferring(transfer) = &mut self.work else {
            return;
        };
        let Leg::Opening { connected } = transfer.leg(side) else {
            return;
        };
        // The backend has refused it, and that is what the client hears: this leg is about to be ended (rule 7), or was
        // waited for in vain.
        if transfer.is_refused() {
            if side == Side::Client && transfer.may_have_received() {
                transfer.set(side, Leg::Ending(Close::Unfinished));
                turn.push(Action::EndData(side, Close::Unfinished));
            }
            return self.drive(turn);
        }
        // The backend has called it a success: what is left of its source is only to be cleared away (rule 2).
        // An upload that it never took is no success, whatever it says.
        let is_source = side == Side::source(transfer.direction);
        if side == Side::Backend && is_source && transfer.reply.is_some() {
            return self.end_source(turn);
        }
        let phase = if connected {
            Phase::Handshake
        } else {
            Phase::Connect
        };
        turn.note(Note::Overran(side, phase));
        self.fail(turn, Why::Leg(side, End::TimedOut(phase)));
        self.drive(turn);
    }

    pub(super) fn final_overran(&mut self, turn: &mut Turn) {
        let Work::Transferring(transfer) = &self.work else {
            return;
        };
        if transfer.is_owed() {
            self.fail(turn, Why::Silence);
            return self.drive(turn);
        }
        self.end_source(turn);
    }

    /// The final reply is there and the source's own end is not coming.
    fn end_source(&mut self, turn: &mut Turn) {
        let Work::Transferring(transfer) = &mut self.work else {
            return;
        };
        let source = Side::source(transfer.direction);
        if transfer.leg(source).is_open() {
            transfer.set(source, Leg::Ending(Close::Reset));
            turn.push(Action::EndData(source, Close::Reset));
        }
        self.drive(turn);
    }
}

/// A transfer is over; whether because its session is (`cut`), and what the client has heard of it.
pub(super) fn note_transfer(turn: &mut Turn, transfer: &Transfer, code: Option<Code>, cut: bool) {
    let account = transfer.account(code, cut);
    let is_success = code.is_some_and(|code| !code.is_failure());
    match account.direction {
        Direction::Download if account.bytes == 0 && is_success => {
            turn.note(Note::EmptyCompleted(account.backend));
        }
        Direction::Upload
            if account.bytes == 0
                && matches!(transfer.failure, Some(Why::Leg(Side::Client, _))) =>
        {
            turn.note(Note::FalseEmptyRefused(account.client));
        }
        _ => {}
    }
    turn.note(Note::Transferred(account));
}
