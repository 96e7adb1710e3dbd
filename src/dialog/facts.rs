//! The facts about one transfer: its two data legs, its two replies, and the gate's own verdict if there is one.

use super::action::{Account, Close, End, Protection, Side, Target};
use crate::ftp::{Class, Code, Command, Direction, ReplyLine, Verb, occasion};

/// How far a data leg is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Leg {
    Opening {
        connected: bool,
    },
    Up,
    /// The gate has ended it, and waits for that to be done.
    Ending(Close),
    Ended(End),
}

impl Leg {
    pub(super) const fn end(self) -> Option<End> {
        match self {
            Self::Ended(end) => Some(end),
            _ => None,
        }
    }

    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Opening { .. } | Self::Up)
    }
}

/// Where the first reply stands: the client must have seen one 1xx before a 2xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Preliminary {
    Awaited,
    /// The lines of the backend's 1xx are being passed on.
    Passing,
    Told,
}

/// What SIZE has said about a download without a byte (policy `verify`, rule 2 of the contract).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Proof {
    NotAsked,
    Asked,
    /// Nothing speaks against an empty file.
    Empty,
    NotEmpty,
}

/// The backend's final reply to the transfer, as it will be passed on.
#[derive(Debug, Clone, Hash)]
pub(super) struct FinalReply {
    pub(super) code: Code,
    pub(super) wire: Vec<u8>,
}

impl FinalReply {
    pub(super) fn is_success(&self) -> bool {
        self.code.class() == Class::Completion
    }
}

/// The facts.
#[derive(Debug, Clone, Hash)]
pub(super) struct Transfer {
    pub(super) command: Command,
    pub(super) direction: Direction,
    pub(super) client_protection: Protection,
    pub(super) client_target: Target,
    pub(super) backend_target: Target,
    pub(super) client: Leg,
    pub(super) backend: Leg,
    /// Bytes so far, as of the last news of them.
    pub(super) moved: u64,
    /// Set when the bytes have stopped.
    pub(super) flowed: Option<u64>,
    pub(super) preliminary: Preliminary,
    /// The lines of a final reply that is not complete yet.
    pub(super) held: Vec<u8>,
    pub(super) reply: Option<FinalReply>,
    pub(super) proof: Proof,
    /// The gate's own verdict, once it is one; the first cause is the one that is told.
    pub(super) failure: Option<Why>,
    /// The backend has been told to stop, and its replies are not in step yet.
    pub(super) resync: Option<Resync>,
    /// ABOR of the client waits for its own reply.
    pub(super) abor: bool,
    /// In MODE Z: SIZE tells nothing about its bytes.
    pub(super) mode_z: bool,
    /// Where it starts in the file (REST): what is empty from there on may have bytes before.
    pub(super) offset: u64,
    /// TYPE A (RFC 959 section 3.1.1.1).
    pub(super) ascii: bool,
}

impl Transfer {
    /// Whether SIZE can tell what should have come: a listing has none.
    pub(super) fn has_size(&self) -> bool {
        self.command.verb == Verb::Retr && !self.mode_z
    }

    pub(super) const fn leg(&self, side: Side) -> Leg {
        match side {
            Side::Client => self.client,
            Side::Backend => self.backend,
        }
    }

    /// Whether it is the peer that connects.
    pub(super) fn is_awaited(&self, side: Side) -> bool {
        let target = match side {
            Side::Client => self.client_target,
            Side::Backend => self.backend_target,
        };
        target == Target::Awaited
    }

    pub(super) fn set(&mut self, side: Side, leg: Leg) {
        match side {
            Side::Client => self.client = leg,
            Side::Backend => self.backend = leg,
        }
    }

    /// Both legs are up and the bytes have not stopped.
    pub(super) fn is_flowing(&self) -> bool {
        let is_on = |leg| matches!(leg, Leg::Up | Leg::Ending(_));
        self.flowed.is_none() && is_on(self.client) && is_on(self.backend)
    }

    /// The backend has said that it failed.
    pub(super) fn is_refused(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.is_success())
    }

    /// The backend owes us replies: to the command, or to a SIZE of ours.
    pub(super) fn is_owed(&self) -> bool {
        self.reply.is_none() || self.proof == Proof::Asked
    }

    pub(super) fn account(&self, code: Option<Code>, cut: bool) -> Account {
        Account {
            verb: self.command.verb,
            path: self.command.argument.clone(),
            offset: self.offset,
            ascii: self.ascii,
            direction: self.direction,
            bytes: self.flowed.unwrap_or(self.moved),
            client: self.client.end().unwrap_or(End::Aborted),
            backend: self.backend.end().unwrap_or(End::Aborted),
            code,
            aborted: self.failure == Some(Why::Abor),
            cut,
        }
    }
}

/// Why the gate itself calls a transfer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// A data leg failed.
    Leg(Side, End),
    /// The client wished it.
    Abor,
    /// The backend did not say how it went.
    Silence,
    /// The backend calls a success what SIZE says cannot be one.
    NotEmpty,
    /// The pool wants an empty stream to end clean, and it did not.
    Unproven(End),
}

/// The backend's replies belong to a transfer that the gate has given up, until it has answered the `ABOR` and the
/// `PWD` that followed it.
#[derive(Debug, Clone, Hash)]
pub(super) struct Resync {
    /// Final replies that are still to come if each command gets one: the transfer's, ABOR's, PWD's.
    owed: u32,
}

impl Default for Resync {
    fn default() -> Self {
        Self { owed: 3 }
    }
}

impl Resync {
    /// Whether the replies are in step again: with the 257 that of the three only PWD gets, for servers answer ABOR once,
    /// twice or never, and transfers and ABOR also with 200; one that refuses PWD is in step when it has answered as
    /// often as it was asked.
    pub(super) fn hears(&mut self, line: &ReplyLine) -> bool {
        if !line.last || line.code.class() == Class::Preliminary {
            return false;
        }
        self.owed = self.owed.saturating_sub(1);
        line.code == occasion::PATHNAME || (self.owed == 0 && line.code.class() == Class::Permanent)
    }
}
