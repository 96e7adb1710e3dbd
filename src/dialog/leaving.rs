//! The end of a session: whoever ends it, the client hears a last word where it can still hear one (rule 13 of the contract).

use super::action::{Action, Blame, Ending};
use super::phase::{BackendStage, Work};
use super::settling::note_transfer;
use super::timers::Timers;
use super::{Dialog, Turn};
use crate::ftp::{Command, Reply, ReplyLine, Verb, occasion};

impl Dialog {
    /// Passes a line of the backend on, and remembers whether the client waits for more of the same reply.
    pub(super) fn pass_on(&mut self, turn: &mut Turn, line: &ReplyLine) {
        self.client.passing = (!line.last).then_some(line.code);
        turn.push(Action::ToClient(line.wire()));
    }

    /// Ends a reply whose rest is not coming: within it, no other reply would be seen as one (RFC 959 section 4.2).
    pub(super) fn cut_short(&mut self, turn: &mut Turn) {
        if let Some(code) = self.client.passing.take() {
            turn.answer(&Reply::new(code, "The server's reply was cut short"));
        }
    }

    /// The backend leaves of its own accord. One that has said how a transfer went owes nothing more: what it has called a
    /// success is still completed with the client (rule 1 of the contract), and the session ends behind that.
    pub(super) fn backend_ended(&mut self, turn: &mut Turn, why: &'static str) {
        match &self.work {
            Work::Transferring(transfer) if !transfer.is_owed() => {
                self.backend.stage = BackendStage::Lost;
            }
            _ => self.lose_backend(turn, why),
        }
    }

    /// The backend cannot be used any more: the client hears it as 421, whatever it waits for.
    pub(super) fn lose_backend(&mut self, turn: &mut Turn, why: &'static str) {
        self.backend.stage = BackendStage::Lost;
        self.leave_closing(
            turn,
            "The connection to the server is lost",
            Blame::Backend,
            why,
        );
    }

    pub(super) fn leave_closing(
        &mut self,
        turn: &mut Turn,
        text: &str,
        by: Blame,
        why: &'static str,
    ) {
        self.leave(turn, Some(&Reply::new(occasion::CLOSING, text)), by, why);
    }

    /// Ends the session, with last words where the client can still hear them.
    pub(super) fn leave(
        &mut self,
        turn: &mut Turn,
        words: Option<&Reply>,
        by: Blame,
        why: &'static str,
    ) {
        if let Work::Transferring(_) = self.work {
            turn.push(Action::CloseData);
        }
        if let Some(words) = words {
            self.cut_short(turn);
            turn.answer(words);
        }
        if let Work::Transferring(transfer) = &self.work {
            note_transfer(turn, transfer, words.map(|words| words.code), true);
        }
        if self.backend.stage == BackendStage::There {
            turn.ask(&Command::new(Verb::Quit, ""));
        }
        turn.push(Action::Close);
        self.work = Work::Idle;
        self.timers = Timers::default();
        self.ending = Some(Ending { by, why });
    }
}
