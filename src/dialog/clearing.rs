//! TLS taken off control connections again: CCC on either leg, and REIN, which begins the session anew.

use super::action::{Action, Blame, Note, Protection, Side};
use super::phase::{Backend, BackendStage, Chosen, ClearStep as Step, Work};
use super::timers::Timer;
use super::{Dialog, Turn};
use crate::ftp::{Class, Command, Reply, ReplyLine, Verb, occasion};
use crate::policy::{BackendCcc, ClientCcc, ClientTls};

impl Dialog {
    /// CCC (RFC 4217 section 5): 200 in TLS, then clear text. What PROT has said stays.
    pub(super) fn ccc(&mut self, turn: &mut Turn) {
        let (code, text) = if !self.client.secure || self.client.cleared {
            (
                occasion::PROTECTION_DENIED,
                "The control connection is not protected",
            )
        } else if self.rules.client_ccc == ClientCcc::Refuse {
            (
                occasion::REFUSED_BY_POLICY,
                "The control connection stays protected",
            )
        } else if !self.client.logged_in {
            // Only who has shown who it is may have TLS for nothing (RFC 4217 section 15.3).
            (occasion::REFUSED_BY_POLICY, "CCC comes after login")
        } else if !self.inbox.is_empty() {
            (occasion::BAD_SEQUENCE, BEHIND)
        } else {
            turn.answer(&Reply::new(occasion::OKAY, "Clear text from here on"));
            self.client.cleared = true;
            return self.clear(turn, Side::Client);
        };
        turn.answer(&Reply::new(code, text));
    }

    /// REIN (RFC 959 section 4.1.1, RFC 4217 section 13): all is as it was when the client came, TLS and HOST included. The
    /// next USER reaches a backend again, and the next AUTH begins TLS sessions of its own.
    pub(super) fn rein(&mut self, turn: &mut Turn) {
        let is_private = self.client.secure && !self.client.cleared;
        if self.rules.client_tls == ClientTls::Implicit {
            let text = "Behind implicit TLS a session begins anew with a new connection";
            return turn.answer(&Reply::new(occasion::NOT_OFFERED, text));
        }
        if is_private && !self.inbox.is_empty() {
            return turn.answer(&Reply::new(occasion::BAD_SEQUENCE, BEHIND));
        }
        if self.plan.take().is_some() {
            turn.push(Action::ClosePassive(Side::Client));
            turn.push(Action::ClosePassive(Side::Backend));
        }
        match self.client.host {
            Chosen::Nobody => self.release_backend(turn),
            Chosen::Said(_) | Chosen::Shown(_) => self.choose(turn, None),
        }
        self.client = self.client.anew();
        self.timers
            .arm_once(Timer::Login, turn.now + self.rules.patience.login);
        turn.answer(&Reply::new(occasion::GREETING, "Ready for a new user"));
        if is_private {
            self.clear(turn, Side::Client);
        }
    }

    /// Lets the backend go; another one may be reached.
    pub(super) fn release_backend(&mut self, turn: &mut Turn) {
        if self.backend.stage == BackendStage::There {
            turn.ask(&Command::new(Verb::Quit, ""));
            turn.push(Action::ReleaseBackend);
        }
        self.backend = Backend::default();
    }

    fn clear(&self, turn: &mut Turn, side: Side) {
        turn.push(Action::Clear(side));
        turn.note(Note::Cleared(side));
    }

    /// Behind a login, where the pool wants its control connections clear. PROT comes first: behind CCC a server takes none.
    pub(super) fn clear_backend(&mut self, turn: &mut Turn) {
        let is_wanted = self.rules.backend_ccc != BackendCcc::Off;
        if !is_wanted || !self.backend.secure || self.backend.cleared {
            return;
        }
        let is_protected = self.backend.protection == Some(self.wanted_protection());
        match (is_protected, self.backend.pbsz) {
            (true, _) => self.ask_to_clear(turn, Step::Ccc),
            (false, true) => self.ask_to_clear(turn, Step::Prot),
            (false, false) => self.ask_to_clear(turn, Step::Pbsz),
        }
    }

    fn ask_to_clear(&mut self, turn: &mut Turn, step: Step) {
        turn.ask(&match (step, self.wanted_protection()) {
            (Step::Pbsz, _) => Command::new(Verb::Pbsz, "0"),
            (Step::Prot, Protection::Private) => Command::new(Verb::Prot, "P"),
            (Step::Prot, Protection::Clear) => Command::new(Verb::Prot, "C"),
            (Step::Ccc, _) => Command::new(Verb::Ccc, ""),
        });
        self.timers
            .arm(Timer::Work, turn.now + self.rules.patience.backend_reply);
        self.work = Work::ClearingBackend(step);
    }

    pub(super) fn clearing_replied(&mut self, turn: &mut Turn, step: Step, line: &ReplyLine) {
        if !line.last || line.code.class() == Class::Preliminary {
            return;
        }
        if line.code == occasion::CLOSING {
            return self.lose_backend(turn, "backend said 421");
        }
        let is_done = line.code.class() == Class::Completion;
        match step {
            // Some servers do not know PBSZ; PROT tells whether it matters.
            Step::Pbsz => {
                self.backend.pbsz = true;
                self.ask_to_clear(turn, Step::Prot);
            }
            Step::Prot => {
                if is_done {
                    self.backend.protection = Some(self.wanted_protection());
                }
                self.ask_to_clear(turn, Step::Ccc);
            }
            Step::Ccc if is_done => {
                self.backend.cleared = true;
                self.clear(turn, Side::Backend);
                self.rest();
            }
            Step::Ccc if self.rules.backend_ccc == BackendCcc::Required => {
                let text = "The server keeps its control connection private";
                self.leave_closing(turn, text, Blame::Backend, "backend refused CCC");
            }
            Step::Ccc => {
                turn.note(Note::ClearRefused(line.code));
                self.rest();
            }
        }
    }
}

/// A client that does not wait for the answer cannot know in what its next words are to be said.
const BEHIND: &str = "Nothing may be sent behind it before its answer";
