//! What the facts of a transfer ask for next: the rules of the data channel, as functions of the facts alone.

use super::action::{Close, End, Phase, Protection, Side};
use super::facts::{Leg, Preliminary, Proof, Transfer, Why};
use crate::ftp::{Code, Direction, Reply, occasion};
use crate::policy::{OnEmpty, OnUnfinished, SiteRules};

/// What is to be done next about a transfer.
#[derive(Debug)]
pub(super) enum Next {
    /// Something is under way and has its own deadline.
    Wait,
    /// Data and final reply are not both through: bounded.
    AwaitFinal,
    /// The final reply is a success, and the source's leg is not even open: bounded, and shortly, for what is not there
    /// when its end has been told is not on its way. Only time tells it from what the network still carries.
    AwaitSource,
    /// Ask the backend for the SIZE of what it sent nothing of.
    Verify,
    /// End this leg.
    End(Side, Close),
    /// The gate's verdict.
    Fail(Why),
    /// Both legs are over and the reply is known.
    Settle(Settled),
}

/// Both halves are in: the legs are over, and it is known how it went.
/// Only this value can become the client's final reply.
#[derive(Debug)]
pub(super) struct Settled {
    code: Code,
    wire: Vec<u8>,
}

impl Settled {
    pub(super) fn into_reply(self) -> (Code, Vec<u8>) {
        (self.code, self.wire)
    }
}

impl Transfer {
    /// What the facts ask for; pure, so that every combination can be checked.
    pub(super) fn next(&self, rules: &SiteRules) -> Next {
        if self.failure.is_some() {
            return self.wind_up();
        }
        match self.direction {
            Direction::Download => self.next_download(rules),
            Direction::Upload => self.next_upload(rules),
        }
    }

    /// The reply decides how the client's leg may end, so it is waited for before that leg is closed (rules 1, 5, 7).
    fn next_download(&self, rules: &SiteRules) -> Next {
        let Some(reply) = &self.reply else {
            return if self.backend.end().is_some() {
                Next::AwaitFinal
            } else {
                Next::Wait
            };
        };
        if !reply.is_success() {
            let is_ending = matches!(self.backend, Leg::Ending(_));
            return match self.is_flowing() {
                // What was received is delivered.
                true if is_ending => Next::Wait,
                true => Next::AwaitFinal,
                // Also to a client that is still on its way, with a deadline of its own.
                false if self.may_have_received() => Next::Wait,
                false => self.wind_up(),
            };
        }
        match self.client {
            Leg::Ended(_) => return self.wind_up(),
            Leg::Ending(_) => return Next::Wait,
            Leg::Opening { .. } | Leg::Up => {}
        }
        let Some(end) = self.backend.end() else {
            // Bytes that flow have the relay's deadlines.
            let is_opening = matches!(self.backend, Leg::Opening { .. });
            return if is_opening {
                Next::AwaitSource
            } else {
                Next::Wait
            };
        };
        match (self.rule_on_source(rules, end), self.client) {
            (Next::End(side, close), Leg::Up) => Next::End(side, close),
            // The client may connect only after the 150; its leg has its own deadline.
            (Next::End(..), _) => Next::Wait,
            (other, _) => other,
        }
    }

    /// The backend's leg of a download was ready for bytes before the client's, which has been told to come: what has come is
    /// still in the kernel.
    pub(super) fn may_have_received(&self) -> bool {
        let is_coming = matches!(self.client, Leg::Opening { .. });
        is_coming && self.backend == Leg::Up && self.preliminary == Preliminary::Told
    }

    /// Rules 2 and 5: what a source that ended like this, with this many bytes, makes of the client's leg.
    fn rule_on_source(&self, rules: &SiteRules, end: End) -> Next {
        let deliver = |close| Next::End(Side::Client, close);
        match (end, self.flowed.unwrap_or(0)) {
            (End::Clean | End::Unfinished | End::Bare | End::Refused, 0) => {
                match (rules.on_empty, self.proof) {
                    (OnEmpty::Complete, _) | (OnEmpty::Verify, Proof::Empty) => {
                        deliver(Close::Clean)
                    }
                    (OnEmpty::Verify, Proof::NotAsked) if self.has_size() => Next::Verify,
                    // There is no SIZE to compare with.
                    (OnEmpty::Verify, Proof::NotAsked) => deliver(Close::Clean),
                    (OnEmpty::Verify, Proof::Asked) => Next::AwaitFinal,
                    (OnEmpty::Verify, Proof::NotEmpty) => Next::Fail(Why::NotEmpty),
                    (OnEmpty::Reject, _) if end == End::Clean => deliver(Close::Clean),
                    (OnEmpty::Reject, _) => Next::Fail(Why::Unproven(end)),
                }
            }
            (End::Clean, _) => deliver(Close::Clean),
            (End::Unfinished, _) => match rules.backend_unfinished {
                OnUnfinished::Mirror => deliver(Close::Unfinished),
                OnUnfinished::Repair => deliver(Close::Clean),
                OnUnfinished::Reject => Next::Fail(Why::Leg(Side::Backend, end)),
            },
            _ => Next::Fail(Why::Leg(Side::Backend, end)),
        }
    }

    /// The backend's reply cannot come before its leg ends, so the source's end is passed on at once (rules 3, 5).
    fn next_upload(&self, rules: &SiteRules) -> Next {
        if self.is_refused() {
            return self.wind_up();
        }
        let close = match (self.client.end(), rules.client_unfinished) {
            (Some(End::Unfinished), OnUnfinished::Mirror) => Close::Unfinished,
            _ => Close::Clean,
        };
        match (self.backend, self.client.end(), &self.reply) {
            (Leg::Up, Some(_), _) => Next::End(Side::Backend, close),
            (Leg::Opening { .. } | Leg::Up | Leg::Ending(_), _, _) => Next::Wait,
            (Leg::Ended(_), _, None) => Next::AwaitFinal,
            (Leg::Ended(end), _, Some(_)) if !is_as_ordered(close, end) => {
                Next::Fail(Why::Leg(Side::Backend, end))
            }
            // It ended well by itself, but before the client had: what the client still sends is lost.
            (Leg::Ended(end), None, Some(_)) => Next::Fail(Why::Leg(Side::Backend, end)),
            (Leg::Ended(_), Some(_), Some(_)) => self.wind_up(),
        }
    }

    /// The outcome is known: end what is open, the source first so that the bytes stop, then answer.
    fn wind_up(&self) -> Next {
        let source = Side::source(self.direction);
        if self.is_flowing() {
            return match self.leg(source) {
                Leg::Ending(_) => Next::Wait,
                _ => Next::End(source, Close::Reset),
            };
        }
        for side in [source, Side::sink(self.direction)] {
            match self.leg(side) {
                leg if leg.is_open() => return Next::End(side, self.failed_close(side)),
                Leg::Ending(_) => return Next::Wait,
                _ => {}
            }
        }
        let reply = match (self.failure, &self.reply) {
            (Some(why), _) => self.own_reply(why),
            (None, Some(reply)) => Settled {
                code: reply.code,
                wire: reply.wire.clone(),
            },
            // Only a failure is settled without the backend's word.
            (None, None) => self.own_reply(Why::Silence),
        };
        Next::Settle(reply)
    }

    /// How a leg of a failed transfer ends: never so that it could be taken for a whole file (rule 5).
    fn failed_close(&self, side: Side) -> Close {
        let has_begun = self.flowed.is_some_and(|bytes| bytes > 0);
        match (side, self.client_protection) {
            (Side::Backend, _) => Close::Reset,
            // It has said that it wants no more, so it need not read on, and is not waited for.
            (Side::Client, _) if has_begun && self.failure == Some(Why::Abor) => Close::Reset,
            // The end of a private stream is not believed without close_notify, and what was received arrives.
            (Side::Client, Protection::Private) => Close::Unfinished,
            (Side::Client, Protection::Clear) if has_begun => Close::Reset,
            (Side::Client, Protection::Clear) => Close::Unfinished,
        }
    }

    fn own_reply(&self, why: Why) -> Settled {
        let (code, text) = match why {
            Why::Leg(side, end) if end.was_established() => {
                (occasion::TRANSFER_ABORTED, phrase(side, end))
            }
            Why::Leg(side, End::NotResumed) => {
                (occasion::NOT_RESUMED, phrase(side, End::NotResumed))
            }
            // RFC 4217 section 10.2. The backend's certificate is no business of the client's.
            Why::Leg(Side::Client, end @ End::OtherCertificate) => {
                (occasion::OTHER_CERTIFICATE, phrase(Side::Client, end))
            }
            Why::Leg(side, end) => (occasion::NO_DATA_CONNECTION, phrase(side, end)),
            Why::Abor => (occasion::TRANSFER_ABORTED, "Transfer aborted".to_owned()),
            Why::Silence if self.flowed.is_none() => (
                occasion::NO_DATA_CONNECTION,
                "The server did not begin the transfer in time".to_owned(),
            ),
            Why::Silence => (
                occasion::TRANSFER_ABORTED,
                "The server did not confirm the transfer in time".to_owned(),
            ),
            Why::NotEmpty => (
                occasion::TRANSFER_ABORTED,
                "The server sent nothing of a file that is not empty".to_owned(),
            ),
            Why::Unproven(end) => (occasion::TRANSFER_ABORTED, phrase(Side::Backend, end)),
        };
        Settled {
            code,
            wire: Reply::new(code, text).wire(),
        }
    }
}

const fn is_as_ordered(close: Close, end: End) -> bool {
    match close {
        Close::Clean => matches!(end, End::Clean),
        Close::Unfinished => matches!(end, End::Clean | End::Unfinished),
        Close::Reset => true,
    }
}

fn phrase(side: Side, end: End) -> String {
    let whose = match side {
        Side::Client => "The client's data connection",
        Side::Backend => "The server's data connection",
    };
    let what = match end {
        End::Clean => "ended early",
        End::Unfinished => "ended without close_notify",
        End::Bare => "was closed before its TLS handshake",
        End::Reset => "was reset",
        End::Refused => "was not established",
        End::NotTaken => "could not be taken",
        End::HandshakeFailed => "failed its TLS handshake",
        End::NotResumed => "must resume the TLS session of its control connection",
        End::OtherCertificate => "must have the certificate of its control connection",
        End::TimedOut(Phase::Connect) => "was not established in time",
        End::TimedOut(Phase::Handshake) => "did not finish its TLS handshake in time",
        End::TimedOut(Phase::FirstByte) => "carried nothing in time",
        End::TimedOut(Phase::Stall) => "stalled",
        End::TimedOut(Phase::Completion) => "did not end in time",
        End::Aborted => "was given up",
    };
    format!("{whose} {what}")
}
