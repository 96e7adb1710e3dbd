//! What the journal hears of a session: its events as they come, and of each transfer one record when it is over.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Backend, Session};
use crate::audit::{self, Event, Refusal};
use crate::dialog::{Account, Blame, DataPlan, End, Ending, Phase, Protection, Side, Target};
use crate::ftp::{Code, Verb};
use crate::leg::{Fault, Leg};
use crate::limits::JOURNAL_REFUSALS_PER_SESSION_MAX;
use crate::policy::{OnEmpty, OnUnfinished, PeerIdentity};
use crate::sys::clock;
use crate::tls::TlsFacts;

/// What is kept for the records to come.
#[derive(Default)]
pub(super) struct Chronicle {
    /// Who has logged in, as the client said it.
    user: Vec<u8>,
    transfers: u64,
    bytes: u64,
    refusals: u64,
    draft: Option<Box<Draft>>,
    has_ended: bool,
}

/// The transfer under way.
struct Draft {
    plan: DataPlan,
    began: Instant,
    /// The data legs that came about, client's and backend's.
    legs: [Option<LegFacts>; 2],
    moved: u64,
    strangers: u64,
    policies: Vec<&'static str>,
}

/// A data leg that came about.
#[derive(Clone)]
pub(super) struct LegFacts {
    peer: SocketAddr,
    pub(super) tls: Option<TlsFacts>,
}

impl LegFacts {
    pub(super) fn of(leg: &Leg) -> Self {
        Self {
            peer: leg.peer(),
            tls: leg.facts(),
        }
    }
}

impl Chronicle {
    /// A transfer begins.
    pub(super) fn begin(&mut self, plan: DataPlan) {
        self.draft = Some(Box::new(Draft {
            plan,
            began: clock::now(),
            legs: [None, None],
            moved: 0,
            strangers: 0,
            policies: Vec::new(),
        }));
    }

    /// Its data connections are no more.
    pub(super) fn closed(&mut self, legs: [Option<LegFacts>; 2], moved: u64, strangers: u64) {
        if let Some(draft) = &mut self.draft {
            (draft.legs, draft.moved, draft.strangers) = (legs, moved, strangers);
        }
    }

    /// A policy has decided something about it.
    pub(super) fn policy(&mut self, policy: &'static str) {
        if let Some(draft) = &mut self.draft {
            draft.policies.push(policy);
        }
    }

    /// Bytes that have moved although the dialog has not been told of them: a session can end amid a transfer.
    pub(super) fn moved(&self) -> u64 {
        self.draft.as_ref().map_or(0, |draft| draft.moved)
    }
}

impl Session {
    /// Tells the journal, if there is one.
    pub(super) fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(journal) = &self.core.journal {
            journal.put(self.id, event());
        }
    }

    pub(super) fn tell_opened(&self) {
        self.tell(|| Event::Opened {
            listener: self.site.name.clone(),
            client: self.ends.client,
            local: self.ends.reached,
            cpu: self.core.cpu,
        });
    }

    pub(super) fn tell_secured(&self, side: Side, facts: &TlsFacts) {
        let identity = self.identity.as_deref().filter(|_| side == Side::Client);
        self.tell(|| Event::Secured {
            leg: side.word(),
            tls: tls(facts),
            identity: identity.map(identified),
        });
    }

    pub(super) fn tell_login(&mut self, user: &[u8]) {
        self.chronicle.user = user.to_vec();
        self.tell(|| Event::LoggedIn {
            user: user.to_vec(),
        });
    }

    /// Something was refused; the first ones are told, all are counted: nobody drives evidence out of the files that are
    /// kept by asking again and again.
    pub(super) fn tell_refused(
        &mut self,
        verb: Option<Verb>,
        code: Option<Code>,
        what: &'static str,
    ) {
        self.chronicle.refusals += 1;
        if self.chronicle.refusals > JOURNAL_REFUSALS_PER_SESSION_MAX {
            return;
        }
        self.tell(|| {
            Event::Refused(Refusal {
                what,
                verb,
                code,
                ..Refusal::default()
            })
        });
    }

    /// The policy that an unfinished stream of this side fell under.
    pub(super) fn tell_unfinished(&mut self, side: Side, policy: OnUnfinished) {
        self.chronicle.policy(match (side, policy) {
            (Side::Client, OnUnfinished::Mirror) => "client unfinished: mirror",
            (Side::Client, OnUnfinished::Repair) => "client unfinished: repair",
            (Side::Client, OnUnfinished::Reject) => "client unfinished: reject",
            (Side::Backend, OnUnfinished::Mirror) => "backend unfinished: mirror",
            (Side::Backend, OnUnfinished::Repair) => "backend unfinished: repair",
            (Side::Backend, OnUnfinished::Reject) => "backend unfinished: reject",
        });
    }

    /// An empty download was completed.
    pub(super) fn tell_completed(&mut self) {
        self.chronicle.policy(match self.site.rules.on_empty {
            OnEmpty::Complete => "empty: complete",
            OnEmpty::Verify => "empty: verify",
            OnEmpty::Reject => "empty: reject",
        });
    }

    pub(super) fn tell_transfer(&mut self, account: Account, outcome: &'static str) {
        self.chronicle.transfers += 1;
        self.chronicle.bytes += account.bytes;
        let Some(draft) = self.chronicle.draft.take() else {
            return;
        };
        let draft = *draft;
        let [client, backend] = draft.legs;
        let plan = draft.plan;
        let leg = |protection, target: Target, server_is_ours, opened: Option<LegFacts>, end| {
            let is_awaited = target == Target::Awaited;
            audit::Leg {
                // Who listens on the client's leg is the gate; on the backend's it is the backend.
                mode: if is_awaited == server_is_ours {
                    "passive"
                } else {
                    "active"
                },
                protection: match protection {
                    Protection::Clear => "clear",
                    Protection::Private => "private",
                },
                peer: opened.as_ref().map(|opened| opened.peer),
                tls: opened.and_then(|opened| opened.tls).as_ref().map(tls),
                end: word_of_end(end),
            }
        };
        self.tell(|| {
            Event::Transferred(Box::new(audit::Transfer {
                verb: account.verb,
                path: account.path,
                direction: account.direction,
                bytes: account.bytes,
                offset: account.offset,
                ascii: account.ascii,
                duration: clock::now() - draft.began,
                code: account.code,
                outcome,
                is_complete: outcome == "completed",
                policies: draft.policies,
                user: self.chronicle.user.clone(),
                peer: self.ends.client,
                strangers: draft.strangers,
                client: leg(
                    plan.client,
                    plan.client_target,
                    true,
                    client,
                    account.client,
                ),
                backend: leg(
                    plan.backend,
                    plan.backend_target,
                    false,
                    backend,
                    account.backend,
                ),
            }))
        });
    }

    /// The last record of a session; once, however it ends.
    pub(super) fn tell_ended(&mut self, by: &'static str, why: &'static str) {
        if std::mem::replace(&mut self.chronicle.has_ended, true) {
            return;
        }
        self.tell(|| Event::Ended {
            by,
            why,
            duration: clock::now() - self.card.opened,
            transfers: self.chronicle.transfers,
            bytes: self.chronicle.bytes,
            refusals: self.chronicle.refusals,
        });
    }

    pub(super) fn tell_ending(&mut self, ending: Ending) {
        let by = match ending.by {
            Blame::Client => "client",
            Blame::Backend => "backend",
            Blame::Clock => "clock",
            Blame::Operator => "operator",
        };
        self.tell_ended(by, ending.why);
    }

    pub(super) fn tell_handshake(&self, fault: &Fault) {
        self.tell(|| {
            Event::Refused(Refusal {
                what: "TLS handshake",
                detail: Some(fault.to_string()),
                ..Refusal::default()
            })
        });
    }

    pub(super) fn tell_reached(&self) {
        if let Backend::There(there) = &self.backend {
            let backend = there.leg.leg().peer();
            self.tell(|| Event::Reached { backend });
        }
    }
}

/// How a leg ended: the words of the contract.
pub(super) const fn word_of_end(end: End) -> &'static str {
    match end {
        End::Clean => "clean",
        End::Unfinished => "unfinished",
        End::Bare => "bare",
        End::Reset => "reset",
        End::Refused => "refused",
        End::NotTaken => "not taken",
        End::HandshakeFailed => "handshake failed",
        End::NotResumed => "not resumed",
        End::OtherCertificate => "other certificate",
        End::TimedOut(Phase::Connect) => "timed out: connect",
        End::TimedOut(Phase::Handshake) => "timed out: handshake",
        End::TimedOut(Phase::FirstByte) => "timed out: first byte",
        End::TimedOut(Phase::Stall) => "timed out: stall",
        End::TimedOut(Phase::Completion) => "timed out: completion",
        End::Aborted => "aborted",
    }
}

pub(super) fn tls(facts: &TlsFacts) -> audit::Tls {
    audit::Tls {
        version: facts.version.as_str(),
        suite: facts.suite,
        group: facts.group,
        resumed: facts.resumed,
        alpn: facts.alpn.as_deref().map(<[u8]>::to_vec),
        certificate: facts.peer.map(|pin| pin.to_string()),
    }
}

pub(super) fn identified(identity: &PeerIdentity) -> audit::Identity {
    audit::Identity {
        subject: identity.subject.clone(),
        issuer: identity.issuer.clone(),
        serial: identity.serial.clone(),
        names: identity.alternatives.clone(),
    }
}
