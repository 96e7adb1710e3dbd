//! The rules of the data channel, as what must hold in every state; written from the contract, not from the code.

use sluicegate::dialog::{Close, End, Phase, Side};
use sluicegate::ftp::Direction;
use sluicegate::policy::{OnEmpty, OnUnfinished, SiteRules};

use crate::legs::{Half, Legs, Stage};
use crate::peers::Kind;

/// A rule; its name says what is promised.
pub(crate) type Rule = &'static str;

pub(crate) const COMPLETED: Rule = "rule 1: what everybody completed is a success";
pub(crate) const SINK: Rule = "rule 1: a success only if the sink ended as ordered";
pub(crate) const EMPTY: Rule = "rule 2: an empty stream is completed only where that is allowed";
pub(crate) const FALSE_EMPTY: Rule = "rule 3: no upload is ended clean that the client did not end";
pub(crate) const SURVIVES: Rule = "rule 4: no session ends without a cause";
pub(crate) const WATCHED: Rule = "rule 4: somebody watches the clock";
pub(crate) const CLEAN: Rule = "rule 5: no clean end without a clean source";
pub(crate) const STOPPED: Rule = "rule 5: a backend that owes its reply is told to stop";
pub(crate) const WAITS: Rule = "rule 7: the final reply waits for both legs";
pub(crate) const SAID: Rule = "rule 7: a success only if the backend said so";
pub(crate) const REFUSAL: Rule = "rule 7: the backend's own refusal is passed on";
pub(crate) const DELIVERED: Rule =
    "rule 7: a client that was told to come gets what came before a refusal";
pub(crate) const OWN: Rule = "rule 7: each reply belongs to its own command";
pub(crate) const ONE: Rule = "rule 7: one final reply for each command, in order";
pub(crate) const BEGUN: Rule = "rule 8: one 1xx, and before a success";
pub(crate) const LEVEL: Rule = "rule 9: a leg is as private as its side agreed";
pub(crate) const ABORTED: Rule = "rule 12: what was aborted is no success";
pub(crate) const AMID: Rule =
    "rule 12: an answer amid a transfer comes behind its 1xx and in its turn";
pub(crate) const LINES: Rule = "rule 12: no answer stands between the lines of another reply";
pub(crate) const QUIT: Rule = "rule 12: QUIT comes behind everything that was asked before it";
pub(crate) const WORD: Rule = "rule 13: nobody is left in silence";
pub(crate) const LEFT: Rule = "rule 14: nothing of a transfer remains";
pub(crate) const LAST: Rule = "machine: nothing comes after Close";
pub(crate) const BOUNDED: Rule = "machine: a step has bounded actions";
pub(crate) const SECRET: Rule = "RFC 4217: no name and no password before TLS";
pub(crate) const CLEARED: Rule =
    "RFC 4217: TLS is taken off only behind a yes that was said in it, and nothing is behind";
pub(crate) const ANEW: Rule =
    "RFC 959: behind REIN there is no backend and no login but of a new USER";
pub(crate) const HOSTED: Rule = "RFC 7151: a backend is reached for the host that was chosen";

pub(crate) const CHOSEN: Rule = "RFC 4217: who has heard of the client is not passed over";

/// A command of the client that has not had its final reply.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pending {
    pub(crate) kind: Kind,
    pub(crate) number: u8,
    pub(crate) is_begun: bool,
    pub(crate) is_aborted: bool,
    /// A deadline has fired since it began.
    pub(crate) is_late: bool,
    pub(crate) is_stopped: bool,
    pub(crate) is_opened: bool,
    /// What the backend said to it in the end.
    pub(crate) backend_code: Option<u16>,
    /// Its refusal came while the gate had nothing to complain of.
    pub(crate) is_refused_first: bool,
    pub(crate) size: u64,
    /// The legs when they were closed.
    pub(crate) closed: Option<Legs>,
}

const fn is_success(code: u16) -> bool {
    code >= 200 && code < 300
}

impl Pending {
    pub(crate) const fn new(kind: Kind, number: u8) -> Self {
        Self {
            kind,
            number,
            is_begun: false,
            is_aborted: false,
            is_late: false,
            is_stopped: false,
            is_opened: false,
            backend_code: None,
            is_refused_first: false,
            size: 0,
            closed: None,
        }
    }

    /// The gate is about to end a leg clean: may it (rules 2, 3, 5)?
    pub(crate) fn may_end_clean(&self, rules: &SiteRules, legs: &Legs, side: Side) -> Option<Rule> {
        if side != Side::sink(legs.plan.direction) {
            return Some(CLEAN);
        }
        let end = legs.source().end();
        if legs.plan.direction == Direction::Upload {
            return match end {
                Some(End::Clean) => None,
                Some(End::Unfinished) if rules.client_unfinished == OnUnfinished::Repair => None,
                Some(End::Bare) if rules.bare_uploads => None,
                Some(End::Unfinished) => Some(CLEAN),
                _ => Some(FALSE_EMPTY),
            };
        }
        if !self.backend_code.is_some_and(is_success) {
            return Some(CLEAN);
        }
        self.source_forbids(rules, legs)
    }

    /// The gate is about to end a leg: does it throw away what a backend has sent before it refused (rule 7)?
    pub(crate) fn gives_up_bytes(&self, legs: &Legs) -> bool {
        let has_refused = self
            .backend_code
            .is_some_and(|code| code >= 400 && code != 421);
        let is_calm = !self.is_aborted && !self.is_late && !self.is_stopped;
        let is_download = legs.plan.direction == Direction::Download;
        let is_coming = matches!(legs.client.stage, Stage::Waiting | Stage::Connected);
        // What the dialog has heard of: news that are on their way could not be waited for.
        let is_known = legs.news.is_empty() && legs.backend.stage == Stage::Up;
        has_refused && is_calm && is_download && is_coming && is_known && self.is_begun
    }

    /// What speaks against a clean end of a download whose backend has said 2xx.
    fn source_forbids(&self, rules: &SiteRules, legs: &Legs) -> Option<Rule> {
        let bytes = legs.flowed.map_or(0, |(bytes, _)| bytes);
        let is_repaired = rules.backend_unfinished == OnUnfinished::Repair;
        match (legs.source().end(), bytes) {
            (Some(End::Clean), 1..) => None,
            (Some(End::Unfinished), 1..) if is_repaired => None,
            (None, _) | (_, 1..) => Some(CLEAN),
            (Some(End::Clean), 0) if rules.on_empty == OnEmpty::Reject => None,
            (Some(end), 0) => {
                let is_believed =
                    matches!(end, End::Clean | End::Unfinished | End::Bare | End::Refused);
                let is_empty = match rules.on_empty {
                    OnEmpty::Complete => true,
                    OnEmpty::Verify => self.size == 0,
                    OnEmpty::Reject => false,
                };
                match (is_believed, is_empty) {
                    (false, _) => Some(CLEAN),
                    (true, false) => Some(EMPTY),
                    (true, true) => None,
                }
            }
        }
    }

    /// The client gets its final reply.
    pub(crate) fn finished(&self, rules: &SiteRules, code: u16, is_own: bool) -> Option<Rule> {
        self.kind.direction()?;
        if !self.is_opened {
            return is_success(code).then_some(SAID);
        }
        let Some(legs) = &self.closed else {
            return Some(WAITS);
        };
        if !legs.are_over() {
            return Some(WAITS);
        }
        if is_success(code) {
            return self.succeeded(rules, legs, code, is_own);
        }
        if self.backend_code.is_none() && !self.is_stopped {
            return Some(STOPPED);
        }
        if self.should_succeed(rules, legs) {
            return Some(COMPLETED);
        }
        if self.is_refused_first && !self.is_aborted && !is_own {
            return Some(REFUSAL);
        }
        None
    }

    fn succeeded(&self, rules: &SiteRules, legs: &Legs, code: u16, is_own: bool) -> Option<Rule> {
        if self.is_aborted {
            return Some(ABORTED);
        }
        if self.backend_code != Some(code) || !is_own {
            return Some(SAID);
        }
        if !self.is_begun {
            return Some(BEGUN);
        }
        let stopped_by_sink = legs
            .flowed
            .is_some_and(|(_, side)| side == Side::sink(legs.plan.direction));
        if stopped_by_sink || !self.sink_is_right(rules, legs) {
            return Some(SINK);
        }
        None
    }

    fn sink_is_right(&self, rules: &SiteRules, legs: &Legs) -> bool {
        let (policy, source) = match legs.plan.direction {
            Direction::Download => (rules.backend_unfinished, legs.source()),
            Direction::Upload => (rules.client_unfinished, legs.source()),
        };
        let is_mirrored = policy == OnUnfinished::Mirror && source.end() == Some(End::Unfinished);
        match (legs.sink().ordered, legs.sink().end()) {
            (Some(Close::Clean), Some(End::Clean)) => true,
            (Some(Close::Unfinished), Some(End::Clean | End::Unfinished)) => is_mirrored,
            _ => false,
        }
    }

    /// Rules 1 and 2, the other way round: nobody but the gate has a reason to call it a failure.
    fn should_succeed(&self, rules: &SiteRules, legs: &Legs) -> bool {
        let is_calm = !self.is_aborted && !self.is_late;
        if !is_calm || !self.backend_code.is_some_and(is_success) || !as_ordered(legs.sink()) {
            return false;
        }
        let is_own_end = legs.source().ordered.is_none();
        match legs.plan.direction {
            Direction::Download => is_own_end && self.source_forbids(rules, legs).is_none(),
            Direction::Upload => is_own_end && legs.source().end() == Some(End::Clean),
        }
    }
}

/// It was up, and ended as it was told to.
fn as_ordered(half: &Half) -> bool {
    match half.ordered {
        Some(Close::Clean) => half.end() == Some(End::Clean),
        Some(Close::Unfinished) => {
            matches!(half.end(), Some(End::Clean | End::Unfinished))
        }
        _ => false,
    }
}

/// Whether the legs have given the gate a reason of its own to fail the transfer.
pub(crate) fn is_spoiled(legs: &Legs) -> bool {
    let client = legs.client.end();
    let is_fine = matches!(client, None | Some(End::Clean)) && legs.client.ordered.is_none();
    let backend = legs.backend.end();
    let hangs = matches!(
        backend,
        Some(End::TimedOut(Phase::FirstByte | Phase::Stall))
    );
    !is_fine || hangs
}
