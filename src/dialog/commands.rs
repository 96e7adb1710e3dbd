//! The client's commands in their turn: who may, who answers, and what is passed on as it is.

use super::action::{Blame, Note};
use super::phase::Work;
use super::timers::Timer;
use super::{Dialog, Turn, answers};
use crate::ftp::{Answer, Command, Malformed, Reply, ReplyLine, Stage, Verb, occasion};
use crate::limits::{UNKNOWN_COMMANDS_MAX, UNSOLICITED_REPLIES_MAX};
use crate::policy::ClientTls;

impl Dialog {
    /// Takes waiting commands while nothing else is going on, and arms the idle clock when none is left.
    pub(super) fn advance(&mut self, turn: &mut Turn) {
        self.answer_during(turn);
        while self.ending.is_none() && matches!(self.work, Work::Idle) {
            if self.draining {
                let text = "The gate is being stopped";
                self.leave_closing(turn, text, Blame::Operator, "drain");
                return;
            }
            let Some(command) = self.inbox.pop_front() else {
                if self.client.logged_in {
                    // A backend that chatters does not keep an idle client alive.
                    self.timers
                        .arm_once(Timer::Idle, turn.now + self.rules.patience.idle);
                }
                return;
            };
            self.timers.disarm(Timer::Idle);
            self.backend.unsolicited = 0;
            match command {
                Ok(command) => self.admit(turn, command),
                Err(malformed) => self.refuse_malformed(turn, malformed),
            }
        }
    }

    /// May it, now? Then whoever answers the verb gets it.
    fn admit(&mut self, turn: &mut Turn, command: Command) {
        if let Some(refusal) = self.refusal(&command) {
            return turn.refuse(command.verb, &refusal);
        }
        match command.verb.row().answer {
            Answer::Gate => self.answer_own(turn, command),
            Answer::Backend => self.forward(turn, &command),
            Answer::Transfer(direction) => self.begin_transfer(turn, command, direction),
            Answer::Refused => turn.refuse(command.verb, &answers::refused(command.verb)),
        }
    }

    fn refusal(&self, command: &Command) -> Option<Reply> {
        let verb = command.verb;
        let wants_tls = self.rules.client_tls != ClientTls::Optional;
        let must_secure = wants_tls && !self.client.secure;
        let is_login = matches!(verb, Verb::User | Verb::Pass | Verb::Acct);
        if is_login && (wants_tls && self.client.cleared || self.backend.cleared) {
            return Some(Reply::new(
                occasion::BAD_SEQUENCE,
                "The control connection is clear: REIN comes before another login",
            ));
        }
        if must_secure && (is_login || verb.row().stage == Stage::Inside) {
            return Some(Reply::new(
                occasion::NOT_LOGGED_IN,
                "Secure the connection first: AUTH TLS",
            ));
        }
        if verb.row().stage == Stage::Inside && !self.client.logged_in {
            return Some(Reply::new(
                occasion::NOT_LOGGED_IN,
                "Log in first: USER and PASS",
            ));
        }
        let opens_otherwise = matches!(
            verb,
            Verb::Pasv | Verb::Port | Verb::Eprt | Verb::Lpsv | Verb::Lprt
        );
        if self.client.epsv_all && opens_otherwise {
            return Some(Reply::new(
                occasion::BAD_SEQUENCE,
                "EPSV ALL was given: only EPSV opens data connections",
            ));
        }
        None
    }

    fn refuse_malformed(&mut self, turn: &mut Turn, malformed: Malformed) {
        if matches!(malformed, Malformed::Foreign) {
            return self.leave_closing(turn, "This is FTP", Blame::Client, "another protocol");
        }
        if matches!(malformed, Malformed::Unknown) {
            self.client.unknown += 1;
            if self.client.unknown > UNKNOWN_COMMANDS_MAX {
                let text = "Too many unknown commands";
                return self.leave_closing(turn, text, Blame::Client, "too many unknown commands");
            }
        }
        turn.refuse(None, &answers::malformed(malformed));
    }

    /// Passes a command on; everything the backend replies to it goes to the client.
    pub(super) fn forward(&mut self, turn: &mut Turn, command: &Command) {
        turn.ask(command);
        turn.note(Note::Forwarded);
        self.timers
            .arm(Timer::Work, turn.now + self.rules.patience.backend_reply);
        if command.verb == Verb::Type {
            let kind = command.argument.first().map(u8::to_ascii_uppercase);
            self.client.asked_ascii = matches!(kind, Some(b'A' | b'E'));
        }
        self.work = Work::Forwarding(command.verb);
    }

    /// TYPE counts when the backend has taken it (RFC 959 section 5.4).
    fn type_replied(&mut self, verb: Verb, line: &ReplyLine) {
        if verb == Verb::Type && !line.code.is_failure() {
            self.client.ascii = self.client.asked_ascii;
        }
    }

    pub(super) fn forwarded_replied(&mut self, turn: &mut Turn, verb: Verb, line: &ReplyLine) {
        self.pass_on(turn, line);
        if !line.last || line.code.class() == crate::ftp::Class::Preliminary {
            return;
        }
        self.rest();
        turn.note(Note::Answered);
        self.type_replied(verb, line);
        if verb == Verb::Rest && line.code.is_failure() {
            self.client.offset = 0;
        }
        if matches!(verb, Verb::User | Verb::Pass | Verb::Acct) {
            self.login_replied(turn, line.code);
        }
        if line.code == occasion::CLOSING && self.ending.is_none() {
            self.leave(turn, None, Blame::Backend, "backend said 421");
        }
    }

    pub(super) fn unsolicited(&mut self, turn: &mut Turn, line: &ReplyLine) {
        self.backend.is_astray = !line.last;
        if !line.last {
            return;
        }
        turn.note(Note::Unsolicited(line.code));
        self.backend.unsolicited += 1;
        if line.code == occasion::CLOSING {
            self.backend_ended(turn, "backend said 421");
        } else if self.backend.unsolicited > UNSOLICITED_REPLIES_MAX {
            self.lose_backend(turn, "backend does not stop talking");
        }
    }
}
