//! What happened, for those who count and record: the dialog's notes become counters, histograms and log lines.

use std::time::{Duration, Instant};

use super::{Backend, Core, Session};
use crate::audit::Event;
use crate::dialog::{Account, End, Note, Side};
use crate::ftp::{Code, Direction, Verb, escape, occasion};
use crate::metrics::{Counter, IS_RECORDING, Phase};
use crate::policy::{OnUnfinished, PeerIdentity};
use crate::sys::clock;
use crate::tls::{TlsFacts, TlsVersion};

/// When what is being timed began.
#[derive(Default)]
pub(super) struct Stamps {
    /// Inputs taken without a pause; see `next_input`.
    pub(super) inputs_in_turn: u32,
    /// When the input that is being worked on was taken.
    pub(super) taken: Option<Instant>,
    /// What a command has cost the gate so far.
    share: Duration,
    started: [Option<Instant>; Phase::ALL.len()],
}

impl Stamps {
    pub(super) fn start(&mut self, phase: Phase) {
        if IS_RECORDING {
            self.began(phase, clock::now());
        }
    }

    /// As `start`, for what began earlier.
    pub(super) fn began(&mut self, phase: Phase, at: Instant) {
        self.started[phase as usize] = Some(at);
    }

    fn forwarded(&mut self) {
        if !IS_RECORDING {
            return;
        }
        let now = clock::now();
        self.began(Phase::Command, now);
        self.share = self.worked(now);
    }

    /// How long the input at hand has been worked on.
    fn worked(&self, now: Instant) -> Duration {
        self.taken.map_or(Duration::ZERO, |taken| now - taken)
    }

    fn take(&mut self, phase: Phase) -> Option<Instant> {
        self.started[phase as usize].take()
    }
}

impl Session {
    /// Records how long a phase took, if it was begun.
    pub(super) fn observe(&mut self, phase: Phase) {
        if let Some(started) = self.stamps.take(phase) {
            self.core
                .recorder
                .borrow_mut()
                .observe(phase, clock::now() - started);
        }
    }

    /// A command has had its final reply.
    fn answered(&mut self) {
        if !IS_RECORDING {
            return;
        }
        self.observe(Phase::Command);
        let share = self.stamps.share + self.stamps.worked(clock::now());
        let mut recorder = self.core.recorder.borrow_mut();
        recorder.observe(Phase::CommandGate, share);
    }

    pub(super) fn count(&self, counter: Counter) {
        self.core.recorder.borrow_mut().count(counter);
    }

    pub(super) fn note(&mut self, note: Note) {
        let session = self.id;
        match note {
            Note::ClientSecured => {
                self.secured(Side::Client);
                if let Some(identity) = &self.identity {
                    tell_identity(session, identity);
                }
            }
            Note::BackendReady => self.backend_ready(),
            Note::Forwarded => self.stamps.forwarded(),
            Note::Answered => self.answered(),
            Note::LoggedIn(user) => self.logged_in(&user),
            Note::LoginFailed => {
                self.count(Counter::LoginsFailed);
                self.tell(|| Event::LoginFailed);
                tracing::info!(session, client = %self.ends.client.ip(), "login failed");
            }
            Note::OtherUser => {
                self.count(Counter::OtherUsersRefused);
                self.tell_refused(Some(Verb::User), None, "user not named by the certificate");
                tracing::warn!(session, client = %self.client.leg().peer().ip(), "the client's certificate does not name this user");
            }
            Note::Refused(verb, code) => self.tell_refused(verb, Some(code), "command"),
            Note::Transferred(account) => self.transferred(account),
            Note::EmptyCompleted(backend) => {
                self.tell_completed();
                if backend != End::Clean {
                    tally(&self.core, Counter::EmptyUnfinished, &[backend.word()]);
                    tracing::info!(session, ?backend, "empty stream completed for the client");
                }
            }
            Note::FalseEmptyRefused(client) => {
                self.count(Counter::FalseEmptiesRefused);
                self.chronicle.policy("false empty: refused");
                tracing::info!(session, ?client, "not passed on as an empty file");
            }
            Note::Unfinished(side) => {
                let (counter, policy) = self.unfinished(side);
                self.count(counter);
                self.tell_unfinished(side, policy);
                tracing::info!(session, ?side, ?policy, "stream without close_notify");
            }
            Note::Injected(side) => {
                self.count(Counter::InjectionsRefused);
                self.tell_refused(None, None, "clear text behind the start of TLS");
                tracing::warn!(
                    session,
                    ?side,
                    "injection: bytes behind the start or the end of TLS"
                );
            }
            Note::Overran(..)
            | Note::Cleared(_)
            | Note::ClearRefused(_)
            | Note::Resynchronised
            | Note::Unsolicited(_) => self.remark(&note),
        }
    }

    fn logged_in(&mut self, user: &[u8]) {
        self.tell_login(user);
        self.observe(Phase::Login);
        self.count(Counter::LoginsOk);
        let user = escape(user);
        tracing::info!(session = self.id, user, "logged in");
        *self.card.user.borrow_mut() = Some(user);
    }

    /// What nobody counts and the log tells.
    fn remark(&self, note: &Note) {
        let session = self.id;
        match note {
            Note::Overran(side, phase) => {
                tracing::info!(session, ?side, ?phase, "data leg overran")
            }
            Note::Cleared(side) => {
                tracing::info!(session, ?side, "TLS taken off the control connection");
            }
            Note::ClearRefused(code) => {
                let code = code.number();
                tracing::warn!(session, code, "the backend refuses CCC and stays private");
            }
            Note::Resynchronised => tracing::debug!(session, "backend's replies are in step again"),
            Note::Unsolicited(code) => {
                tracing::info!(
                    session,
                    code = code.number(),
                    "reply that belongs to no command"
                );
            }
            // The others are counted, and told where they are.
            _ => {}
        }
    }

    /// A control connection is private.
    pub(super) fn secured(&self, side: Side) {
        let (session, leg) = (
            self.id,
            match (side, &self.backend) {
                (Side::Client, _) => self.client.leg(),
                (Side::Backend, Backend::There(there)) => there.leg.leg(),
                (Side::Backend, _) => return,
            },
        );
        let Some(facts) = leg.facts() else {
            return;
        };
        self.count(match (side, facts.is_hybrid()) {
            (Side::Client, true) => Counter::ClientKeysHybrid,
            (Side::Client, false) => Counter::ClientKeysClassical,
            (Side::Backend, true) => Counter::BackendKeysHybrid,
            (Side::Backend, false) => Counter::BackendKeysClassical,
        });
        let card = match side {
            Side::Client => &self.card.client_tls,
            Side::Backend => &self.card.backend_tls,
        };
        *card.borrow_mut() = Some(facts.clone());
        self.tell_secured(side, &facts);
        self.count(match (side, facts.version) {
            (Side::Client, TlsVersion::V12) => Counter::ClientTls12,
            (Side::Client, TlsVersion::V13) => Counter::ClientTls13,
            (Side::Backend, TlsVersion::V12) => Counter::BackendTls12,
            (Side::Backend, TlsVersion::V13) => Counter::BackendTls13,
        });
        self.count_choices(side, &facts);
        let pool_tls = self.inside().tls.as_ref();
        if side == Side::Backend && pool_tls.is_some_and(|tls| !tls.is_verified) {
            self.count(Counter::BackendsUnverified);
        }
        let (version, suite, group) = (facts.version.as_str(), facts.suite, facts.group);
        // What is written out stands within: nobody writes it where nobody reads it.
        tracing::debug!(
            session,
            ?side,
            version,
            suite,
            group,
            alpn = facts.alpn.as_deref().map(escape),
            certificate = facts.peer.map(|pin| pin.to_string()),
            "control leg secured"
        );
    }

    /// What TLS on a control connection has agreed on.
    fn count_choices(&self, side: Side, facts: &TlsFacts) {
        if facts.resumed {
            tally(&self.core, Counter::ClientControlResumed, &[side.word()]);
        }
        let group = facts.group.unwrap_or("none");
        for (family, value) in [
            (Counter::ClientSuiteTls13Aes128GcmSha256, facts.suite),
            (Counter::ClientGroupX25519mlkem768, group),
        ] {
            let known = family.variant(&[side.word(), value]);
            let counter = known.or_else(|| family.variant(&[side.word(), "other"]));
            if let Some(counter) = counter {
                self.count(counter);
            }
        }
    }

    /// The policy that an unfinished stream of this side falls under, and where it is counted.
    fn unfinished(&self, side: Side) -> (Counter, OnUnfinished) {
        let rules = &self.site.rules;
        let policy = match side {
            Side::Client => rules.client_unfinished,
            Side::Backend => rules.backend_unfinished,
        };
        let counter = match (side, policy) {
            (Side::Client, OnUnfinished::Mirror) => Counter::ClientUnfinishedMirrored,
            (Side::Client, OnUnfinished::Repair) => Counter::ClientUnfinishedRepaired,
            (Side::Client, OnUnfinished::Reject) => Counter::ClientUnfinishedRejected,
            (Side::Backend, OnUnfinished::Mirror) => Counter::BackendUnfinishedMirrored,
            (Side::Backend, OnUnfinished::Repair) => Counter::BackendUnfinishedRepaired,
            (Side::Backend, OnUnfinished::Reject) => Counter::BackendUnfinishedRejected,
        };
        (counter, policy)
    }

    fn transferred(&mut self, mut account: Account) {
        account.bytes = account.bytes.max(self.chronicle.moved());
        self.observe(Phase::Transfer);
        self.observe(Phase::FinalReply);
        let (bytes, outcomes) = match account.direction {
            Direction::Download => (Counter::DownloadBytes, DOWNLOADS),
            Direction::Upload => (Counter::UploadBytes, UPLOADS),
        };
        let mut recorder = self.core.recorder.borrow_mut();
        recorder.add(bytes, account.bytes);
        let outcome = outcome(&account);
        recorder.count(outcomes[outcome as usize]);
        drop(recorder);
        let completed = match outcome {
            Outcome::Completed => "completed",
            _ => "failed",
        };
        let verb = account.verb.word();
        tally(&self.core, Counter::RetrCompleted, &[verb, completed]);
        for (side, end) in [
            (Side::Client, account.client),
            (Side::Backend, account.backend),
        ] {
            tally(
                &self.core,
                Counter::ClientEndClean,
                &[side.word(), end.word()],
            );
        }
        let session = self.id;
        if account.client == End::NotResumed {
            self.count(Counter::UnresumedRefused);
            let client = self.ends.client.ip();
            tracing::warn!(
                session,
                %client,
                "data connection refused: it does not resume its control connection's TLS session"
            );
        }
        if account.client == End::OtherCertificate || account.backend == End::OtherCertificate {
            self.count(Counter::OtherCertificatesRefused);
            let (client, backend) = (account.client, account.backend);
            tracing::warn!(
                session,
                ?client,
                ?backend,
                "data connection refused: it has not the certificate of its control connection"
            );
        }
        let code = account.code.map(Code::number);
        let (client, backend, bytes) = (account.client, account.backend, account.bytes);
        tracing::info!(session, verb, bytes, code, ?client, ?backend, "transfer");
        self.tell_transfer(account, WORDS[outcome as usize]);
    }
}

/// Counts one in the variant of a metric that these words set apart, given its first row; at events, never for each byte.
pub(super) fn tally(core: &Core, family: Counter, words: &[&str]) {
    if !IS_RECORDING {
        return;
    }
    let counter = family.variant(words);
    debug_assert!(counter.is_some(), "no row of {family:?} for {words:?}");
    if let Some(counter) = counter {
        core.recorder.borrow_mut().count(counter);
    }
}

/// Who a client is: what an authority has written is escaped all the same.
fn tell_identity(session: u64, identity: &PeerIdentity) {
    let shown = |text: &String| escape(text.as_bytes());
    let names: Vec<String> = identity.alternatives.iter().map(shown).collect();
    tracing::info!(
        session,
        subject = shown(&identity.subject),
        names = names.join(", "),
        issuer = shown(&identity.issuer),
        serial = identity.serial,
        sha256 = identity.fingerprint,
        "client identified"
    );
}

/// What became of a transfer; the order of the counters' tables.
#[derive(Clone, Copy)]
enum Outcome {
    Completed,
    Refused,
    Unestablished,
    Broken,
    Aborted,
}

/// The same, as metrics and journal write it.
const WORDS: [&str; 5] = ["completed", "refused", "unestablished", "broken", "aborted"];

const DOWNLOADS: [Counter; 5] = [
    Counter::DownloadsCompleted,
    Counter::DownloadsRefused,
    Counter::DownloadsUnestablished,
    Counter::DownloadsBroken,
    Counter::DownloadsAborted,
];

const UPLOADS: [Counter; 5] = [
    Counter::UploadsCompleted,
    Counter::UploadsRefused,
    Counter::UploadsUnestablished,
    Counter::UploadsBroken,
    Counter::UploadsAborted,
];

fn outcome(account: &Account) -> Outcome {
    let Some(code) = account.code.filter(|_| !account.cut) else {
        return Outcome::Broken;
    };
    match code {
        _ if account.aborted => Outcome::Aborted,
        code if !code.is_failure() => Outcome::Completed,
        occasion::NOT_RESUMED
            if matches!(account.client, End::NotResumed | End::OtherCertificate) =>
        {
            Outcome::Unestablished
        }
        occasion::NO_DATA_CONNECTION => Outcome::Unestablished,
        occasion::TRANSFER_ABORTED | occasion::LOCAL_ERROR => Outcome::Broken,
        _ => Outcome::Refused,
    }
}
