//! From AUTH to a logged-in client, on both legs: the client's own TLS, and reaching and securing a backend for USER.

use super::action::{Action, Blame, Note, Protection};
use super::loss::Failing;
use super::phase::{BackendStage, ReachStep as Step, Reaching, Work};
use super::timers::Timer;
use super::{Dialog, Turn};
use crate::ftp::{Class, Code, Command, Reply, ReplyLine, Verb, occasion};
use crate::limits::LOGIN_ATTEMPTS_MAX;
use crate::policy::{BackendTls, ClientIdentity, ClientProtection, ClientTls, Pbsz};

impl Dialog {
    /// The first words, and on an implicit listener TLS before or behind them.
    pub(super) fn welcome(&mut self, turn: &mut Turn) {
        let patience = &self.rules.patience;
        self.timers.arm(Timer::Login, turn.now + patience.login);
        let is_implicit = self.rules.client_tls == ClientTls::Implicit;
        if self.rules.speaks_first() {
            self.greet(turn);
        }
        if is_implicit {
            self.secure_client(turn);
        }
    }

    fn greet(&self, turn: &mut Turn) {
        turn.answer(&Reply::new(occasion::GREETING, self.rules.banner.as_str()));
    }

    fn secure_client(&mut self, turn: &mut Turn) {
        self.client.identity = None;
        turn.push(Action::SecureClient);
        self.timers
            .arm(Timer::Work, turn.now + self.rules.patience.handshake);
        self.work = Work::SecuringClient;
    }

    /// AUTH (RFC 4217 section 4): TLS and its synonyms; SSL and TLS-P also ask for private data connections.
    pub(super) fn auth(&mut self, turn: &mut Turn, mechanism: &[u8]) {
        let is = |name: &str| mechanism.eq_ignore_ascii_case(name.as_bytes());
        let implies_private = is("SSL") || is("TLS-P");
        if !implies_private && !is("TLS") && !is("TLS-C") {
            return turn.answer(&Reply::new(
                occasion::NOT_THIS_PARAMETER,
                "Only AUTH TLS is offered",
            ));
        }
        if self.client.secure || self.client.logged_in {
            return turn.answer(&Reply::new(
                occasion::BAD_SEQUENCE,
                "AUTH comes once, and before login",
            ));
        }
        if !self.inbox.is_empty() {
            turn.note(Note::Injected(super::Side::Client));
            // Nothing of TLS has begun, so a last word in clear text can still be read.
            let text = "Nothing may follow AUTH in clear text";
            return self.leave_closing(turn, text, Blame::Client, "clear text behind AUTH");
        }
        if implies_private {
            self.client.pbsz = true;
            self.client.protection = Protection::Private;
        }
        turn.answer(&Reply::new(occasion::SECURING, "Start TLS now"));
        self.secure_client(turn);
    }

    pub(super) fn client_secured(&mut self, turn: &mut Turn) {
        self.client.secure = true;
        turn.note(Note::ClientSecured);
        if self.rules.assume_private {
            self.client.pbsz = true;
            self.client.protection = Protection::Private;
        }
        if !self.rules.speaks_first() {
            self.greet(turn);
        }
        self.rest();
    }

    /// PBSZ (RFC 4217 section 8): the only size that TLS knows is 0.
    pub(super) fn pbsz(&mut self, turn: &mut Turn) {
        if !self.client.secure {
            return turn.answer(&Reply::new(occasion::BAD_SEQUENCE, "PBSZ comes after AUTH"));
        }
        if self.client.cleared {
            let text = "PBSZ stays as it was at CCC";
            return turn.answer(&Reply::new(occasion::BAD_SEQUENCE, text));
        }
        self.client.pbsz = true;
        turn.answer(&Reply::new(occasion::OKAY, "PBSZ=0"));
    }

    /// PROT (RFC 4217 section 9).
    pub(super) fn prot(&mut self, turn: &mut Turn, level: &[u8]) {
        let (code, text) = match level.to_ascii_uppercase().as_slice() {
            _ if !self.client.secure => (occasion::BAD_SEQUENCE, "PROT comes after AUTH"),
            _ if self.client.cleared => (occasion::BAD_SEQUENCE, "PROT stays as it was at CCC"),
            _ if !self.client.pbsz && self.rules.pbsz == Pbsz::Expected => {
                (occasion::BAD_SEQUENCE, "PROT comes after PBSZ")
            }
            b"P" => {
                self.client.protection = Protection::Private;
                (occasion::OKAY, "Data connections are private")
            }
            b"C" if self.rules.client_protection == ClientProtection::Private => (
                occasion::REFUSED_BY_POLICY,
                "Data connections must be private: PROT P",
            ),
            b"C" => {
                self.client.protection = Protection::Clear;
                (occasion::OKAY, "Data connections are clear")
            }
            b"S" | b"E" => (occasion::NO_SUCH_PROTECTION, "TLS knows PROT C and PROT P"),
            _ => (occasion::NOT_THIS_PARAMETER, "PROT takes C or P"),
        };
        turn.answer(&Reply::new(code, text));
    }

    /// USER: the first one reaches the backend.
    pub(super) fn user(&mut self, turn: &mut Turn, command: Command) {
        if !self.may_be(&command.argument) {
            turn.note(Note::OtherUser);
            let text = "Your certificate does not name this user";
            turn.answer(&Reply::new(occasion::NOT_LOGGED_IN, text));
            // It counts as a login that failed, and takes back none that has succeeded.
            return self.login_failed(turn);
        }
        self.client.user.clone_from(&command.argument);
        if self.backend.stage == BackendStage::There {
            return self.forward(turn, &command);
        }
        turn.push(Action::ConnectBackend);
        self.connecting(turn);
        self.work = Work::Reaching(Reaching {
            user: command,
            step: Step::Connecting,
            last: None,
        });
    }

    /// Whether the client may log in by this name, as far as its certificate has a say in it.
    fn may_be(&self, user: &[u8]) -> bool {
        let identity = self.client.identity.as_ref();
        self.rules.client_identity == ClientIdentity::Ignore
            || identity.is_some_and(|identity| identity.is(user))
    }

    /// PASS and ACCT belong to a USER.
    pub(super) fn credential(&mut self, turn: &mut Turn, command: &Command) {
        if self.backend.stage == BackendStage::There {
            self.forward(turn, command);
        } else {
            turn.answer(&Reply::new(occasion::BAD_SEQUENCE, "USER comes first"));
        }
    }

    pub(super) fn backend_reached(&mut self, turn: &mut Turn) {
        if self.rules.backend_tls == BackendTls::Implicit && !self.rules.backend_banner_first {
            return self.secure_backend(turn);
        }
        self.await_greeting(turn);
    }

    fn await_greeting(&mut self, turn: &Turn) {
        // The greeting has a deadline of its own: a server that accepts and says nothing is no server.
        self.timers
            .arm(Timer::Work, turn.now + self.rules.patience.backend_connect);
        self.reach(Step::Greeting);
    }

    pub(super) fn reaching_replied(&mut self, turn: &mut Turn, line: &ReplyLine) {
        let Work::Reaching(Reaching { step, .. }) = &self.work else {
            return;
        };
        // 120: it will be ready in some minutes; the deadline decides whether we are.
        if !line.last || line.code.class() == Class::Preliminary {
            return;
        }
        match step {
            Step::Greeting if line.code == occasion::GREETING => self.backend_greeted(turn),
            Step::Greeting => {
                let failing = Failing::Refused(line.raw.clone());
                self.pass_over(turn, failing, "backend refused the session");
            }
            Step::AskedAuth if line.code == occasion::SECURING => self.secure_backend(turn),
            // Never a silent fall-back to clear text.
            Step::AskedAuth => {
                let failing = Failing::NoTls(line.raw.clone());
                self.pass_over(turn, failing, "backend refused AUTH TLS");
            }
            Step::Connecting | Step::Securing => self.unsolicited(turn, line),
        }
    }

    fn backend_greeted(&mut self, turn: &mut Turn) {
        self.backend.stage = BackendStage::There;
        let wants_tls = match self.rules.backend_tls {
            BackendTls::Explicit => true,
            BackendTls::Implicit if !self.backend.secure => return self.secure_backend(turn),
            BackendTls::Implicit => false,
            BackendTls::Off => false,
            BackendTls::Match => self.client.secure,
        };
        if !wants_tls {
            return self.say_user(turn);
        }
        turn.ask(&Command::new(Verb::Auth, "TLS"));
        self.timers
            .arm(Timer::Work, turn.now + self.rules.patience.backend_reply);
        self.reach(Step::AskedAuth);
    }

    fn secure_backend(&mut self, turn: &mut Turn) {
        turn.push(Action::SecureBackend);
        self.timers
            .arm(Timer::Work, turn.now + self.rules.patience.handshake);
        self.reach(Step::Securing);
    }

    pub(super) fn backend_secured(&mut self, turn: &mut Turn) {
        self.backend.secure = true;
        if self.rules.backend_tls == BackendTls::Implicit {
            self.backend.protection = None;
        }
        match self.backend.stage {
            BackendStage::There => self.say_user(turn),
            // Implicit TLS comes before the greeting, as a rule.
            BackendStage::Absent | BackendStage::Lost => self.await_greeting(turn),
        }
    }

    fn say_user(&mut self, turn: &mut Turn) {
        if let Some(user) = self.work.take_waiting() {
            self.timers.disarm(Timer::Member);
            turn.note(Note::BackendReady);
            self.forward(turn, &user);
        }
    }

    fn reach(&mut self, next: Step) {
        if let Work::Reaching(Reaching { step, .. }) = &mut self.work {
            *step = next;
        }
    }

    /// What the backend's final reply to USER, PASS or ACCT means; it has been passed on already.
    pub(super) fn login_replied(&mut self, turn: &mut Turn, code: Code) {
        match code.class() {
            _ if code == occasion::LOGGED_IN || code == occasion::LOGGED_IN_SECURELY => {
                self.client.logged_in = true;
                self.client.failed_logins = 0;
                self.timers.disarm(Timer::Login);
                turn.note(Note::LoggedIn(std::mem::take(&mut self.client.user)));
                self.clear_backend(turn);
            }
            // More is needed: whoever was logged in before is not any more.
            Class::Intermediate => self.client.logged_in = false,
            Class::Transient | Class::Permanent => self.login_failed(turn),
            _ => {}
        }
        if !self.client.logged_in && self.ending.is_none() {
            self.timers
                .arm_once(Timer::Login, turn.now + self.rules.patience.login);
        }
    }

    fn login_failed(&mut self, turn: &mut Turn) {
        turn.note(Note::LoginFailed);
        self.client.failed_logins += 1;
        if self.client.failed_logins >= LOGIN_ATTEMPTS_MAX {
            let text = "Too many failed logins";
            self.leave_closing(turn, text, Blame::Client, "too many failed logins");
        }
    }
}
