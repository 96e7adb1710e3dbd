//! What a client says while its transfer runs (rule 12 of the contract): ABOR acts at once, NOOP and STAT are answered at once,
//! and everything else waits for its turn.

use super::facts::{Preliminary, Transfer, Why};
use super::phase::Work;
use super::{Dialog, Turn, answers};
use crate::ftp::{Command, Reply, Verb, occasion};

impl Dialog {
    /// Answers NOOP, and STAT without an argument, where they are the next to be answered (RFC 959 section 4.1.3).
    ///
    /// Replies come in the order of the commands, so what stands behind a command that waits is not taken before it. And
    /// the transfer's 1xx comes first: a client takes the first other reply that it sees for its transfer's last one.
    pub(super) fn answer_during(&mut self, turn: &mut Turn) {
        while let Work::Transferring(transfer) = &self.work {
            // ABOR that has acted is still to be answered.
            if transfer.preliminary != Preliminary::Told || transfer.abor {
                return;
            }
            let reply = match self.inbox.front() {
                Some(Ok(command)) if command.verb == Verb::Noop => answers::noop(),
                Some(Ok(command)) if command.verb == Verb::Stat && command.argument.is_empty() => {
                    transfer.status()
                }
                _ => return,
            };
            self.inbox.pop_front();
            turn.answer(&reply);
        }
    }

    /// ABOR while data flows (RFC 959 section 4.1.3): 426 for the transfer, 226 for itself.
    ///
    /// It acts at once; it is answered at once only where no other command waits for its reply before it.
    pub(super) fn abort_transfer(&mut self, turn: &mut Turn, command: Command) {
        let Work::Transferring(transfer) = &mut self.work else {
            return;
        };
        if transfer.abor || !self.inbox.is_empty() {
            self.inbox.push_back(Ok(command));
        } else {
            transfer.abor = true;
        }
        self.fail(turn, Why::Abor);
        self.drive(turn);
    }
}

impl Transfer {
    /// For a STAT amid it: one line, so that nothing of it can be taken for a line of another reply.
    fn status(&self) -> Reply {
        let verb = self.command.verb.word();
        let text = match self.flowed {
            Some(bytes) => format!("{verb}: {bytes} bytes moved, and its end is awaited"),
            None => format!("{verb}: {} bytes so far", self.moved),
        };
        Reply::new(occasion::STATUS, text)
    }
}
