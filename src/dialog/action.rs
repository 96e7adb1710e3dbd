//! What goes in and what comes out of a step: inputs, actions, and the facts that both sides of the seam share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::loss::{Failing, Loss};
use crate::ftp::{Code, Direction, Verb};
use crate::policy::PeerIdentity;

/// One of the two legs of a session; for control and for data connections alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Towards the trading partner.
    Client,
    /// Towards the FTP server inside.
    Backend,
}

impl Side {
    /// The word for it in what is counted.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
        }
    }

    /// The leg that the bytes come from.
    #[must_use]
    pub const fn source(direction: Direction) -> Self {
        match direction {
            Direction::Download => Self::Backend,
            Direction::Upload => Self::Client,
        }
    }

    /// The leg that the bytes go to.
    #[must_use]
    pub const fn sink(direction: Direction) -> Self {
        match direction {
            Direction::Download => Self::Client,
            Direction::Upload => Self::Backend,
        }
    }
}

/// A phase of a data leg that has a deadline (rule 4 of the contract).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// TCP: connecting or being connected to.
    Connect,
    /// TLS.
    Handshake,
    /// From both legs up to the first byte.
    FirstByte,
    /// No byte has moved.
    Stall,
    /// Flushing and closing.
    Completion,
}

/// How a data leg ended: the words of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// close_notify then FIN on a private leg, FIN on a clear one.
    Clean,
    /// FIN without close_notify on a private leg.
    Unfinished,
    /// A private leg closed before any byte of a handshake.
    Bare,
    /// RST, or a record that does not verify or is not whole: what came before is all that can be believed.
    Reset,
    /// TCP was never there.
    Refused,
    /// The gate could not take it: out of descriptors, or too many strangers came before it.
    NotTaken,
    /// TLS began and failed.
    HandshakeFailed,
    /// TLS is there, but is no resumption of the control connection's session, which the listener demands.
    NotResumed,
    /// TLS is there, but not with the certificate of the control connection.
    OtherCertificate,
    /// A phase overran.
    TimedOut(Phase),
    /// The gate gave it up: ABOR, a policy, the end of the session.
    Aborted,
}

impl End {
    /// The word for it in what is counted.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Unfinished => "unfinished",
            Self::Bare => "bare",
            Self::Reset => "reset",
            Self::Refused => "refused",
            Self::NotTaken => "not_taken",
            Self::HandshakeFailed => "handshake_failed",
            Self::NotResumed => "not_resumed",
            Self::OtherCertificate => "other_certificate",
            Self::TimedOut(Phase::Connect) => "connect_timeout",
            Self::TimedOut(Phase::Handshake) => "handshake_timeout",
            Self::TimedOut(Phase::FirstByte) => "first_byte_timeout",
            Self::TimedOut(Phase::Stall) => "stall_timeout",
            Self::TimedOut(Phase::Completion) => "completion_timeout",
            Self::Aborted => "aborted",
        }
    }

    /// Whether the leg was ready for bytes when it ended; what it never was is a 425, what broke is a 426.
    #[must_use]
    pub const fn was_established(self) -> bool {
        !matches!(
            self,
            Self::Refused
                | Self::NotTaken
                | Self::Bare
                | Self::HandshakeFailed
                | Self::NotResumed
                | Self::OtherCertificate
                | Self::TimedOut(Phase::Connect | Phase::Handshake)
        )
    }
}

/// How the gate ends a data leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Close {
    /// close_notify, FIN, then read to the end within bounds: an authenticated end of file.
    Clean,
    /// FIN alone: what was sent arrives, and a private peer sees that the end is not authenticated.
    Unfinished,
    /// RST: nobody takes it for an end of file.
    Reset,
}

/// Whether a data leg is protected (PROT, RFC 2228 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protection {
    /// PROT C.
    Clear,
    /// PROT P.
    Private,
}

/// How a data leg comes about, and where its other end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The peer connects to the port of ours that it has been told.
    Awaited,
    /// We connect to this port at the address of its control connection.
    Port(u16),
    /// We connect to this address, believed because the pool says so.
    Address(SocketAddr),
}

/// Everything needed to open the two legs of a transfer; a listener of a leg that is awaited is already open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DataPlan {
    /// Which way the bytes go.
    pub direction: Direction,
    /// The client leg's protection.
    pub client: Protection,
    /// The backend leg's protection.
    pub backend: Protection,
    /// The client leg's other end.
    pub client_target: Target,
    /// The backend leg's other end.
    pub backend_target: Target,
}

/// News of a running transfer. Each leg gives `Connected`, `Up`, `Ended` in this order, some perhaps never;
/// when both are up the bytes flow, and `Flowed` comes exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataNews {
    /// TCP is there.
    Connected(Side),
    /// The leg is ready for bytes.
    Up(Side),
    /// Plain bytes moved so far; told before a command of the client that comes while they flow.
    Moved(u64),
    /// The leg is over: it failed to open, or was ended as ordered.
    Ended(Side, End),
    /// The bytes have stopped; all that were taken from the source have been handed to the sink's socket,
    /// unless it was the sink that failed.
    Flowed {
        /// Plain bytes moved.
        bytes: u64,
        /// The leg whose end stopped them; it is over.
        side: Side,
        /// How it ended.
        end: End,
    },
}

/// News of the client's control connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromClient {
    /// A command line, without its end.
    Line(Vec<u8>),
    /// A line beyond the bound.
    TooLong,
    /// The name of a host that stood in its TLS handshake (SNI); told before `Secured`, where the listener has hosts.
    Named(String),
    /// In its TLS handshake it has proven to be this; `Secured` follows.
    Identified(Arc<PeerIdentity>),
    /// The TLS handshake is complete.
    Secured,
    /// The connection is no more.
    Lost(Loss),
}

/// News of the backend's control connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromBackend {
    /// TCP is there; the greeting is still to come.
    Reached,
    /// The same, and others wait behind it: it has so long to be ready for a login.
    ReachedFor(Duration),
    /// No member of the pool is left.
    Unreachable,
    /// A reply line, without its end.
    Line(Vec<u8>),
    /// A line beyond the bound.
    TooLong,
    /// The TLS handshake is complete.
    Secured,
    /// The connection is no more.
    Lost(Loss),
}

/// Exactly one thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// On the client's control connection.
    Client(FromClient),
    /// On the backend's control connection.
    Backend(FromBackend),
    /// The passive port that was asked for: the address to tell this side, or none was free.
    Passive(Side, Option<SocketAddr>),
    /// On a data connection.
    Data(DataNews),
    /// The time that [`deadline`](super::Dialog::deadline) named has come.
    Deadline,
    /// The process is told to stop: end at the next quiet moment. The second time: end now.
    Drain,
    /// The operator wants this session to end now.
    Killed,
}

/// One thing to do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send to the client.
    ToClient(Vec<u8>),
    /// Send to the backend.
    ToBackend(Vec<u8>),
    /// Start TLS on the client's control connection when what was sent has left.
    SecureClient,
    /// End TLS on this side's control connection when what was sent has left, and go on in clear text (RFC 4217 sections 5
    /// and 13).
    Clear(Side),
    /// Part from the backend; another one may be reached.
    ReleaseBackend,
    /// The client has chosen this one of the listener's hosts, or none: its certificate and its pool are meant from now on.
    Choose(Option<usize>),
    /// Reach a member of the pool.
    ConnectBackend,
    /// Part from the one that was reached, which has failed like this, and reach the next one.
    PassOver(Failing),
    /// Start TLS on the backend's control connection.
    SecureBackend,
    /// Listen for the data connection of this side; closes its listener before.
    OpenPassive(Side),
    /// Close the listener for this side, if there is one.
    ClosePassive(Side),
    /// Open both data legs and let the bytes flow.
    OpenData(DataPlan),
    /// End a data leg; answered within bounds by `Ended`, or by `Flowed` when the bytes were still flowing from it.
    /// A leg that is not up yet is given up, and told as how far it had come: `Refused` without TCP, `NotTaken` where it was
    /// there and had not been looked at, `Bare` without a byte of TLS from the peer, `HandshakeFailed` beyond that. Only one that is up is ever ended `Clean`.
    EndData(Side, Close),
    /// The transfer is over: nothing of it remains, its listener neither. A leg that has not ended is reset.
    CloseData,
    /// For metrics and log.
    Note(Note),
    /// End the session; nothing comes after it.
    Close,
}

/// What happened, for those who count and record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The client's control connection is protected.
    ClientSecured,
    /// The backend that was reached is the session's, and hears of its client now.
    BackendReady,
    /// A command that moves no data has gone to the backend.
    Forwarded,
    /// It has had its final reply.
    Answered,
    /// A login succeeded; the name is the client's bytes.
    LoggedIn(Vec<u8>),
    /// A login was refused.
    LoginFailed,
    /// A client has named a user whom its certificate does not name.
    OtherUser,
    /// The gate has refused a command by itself, and said so; which one, where it is one that it knows.
    Refused(Option<Verb>, Code),
    /// A transfer is over: it has had its final reply, or its session has ended amid it.
    Transferred(Account),
    /// A success without a byte was completed as an empty stream; how the backend's leg had ended.
    EmptyCompleted(End),
    /// A client's upload that ended like this was not passed on as an empty file.
    FalseEmptyRefused(End),
    /// An unfinished stream came from this side, and a policy was applied.
    Unfinished(Side),
    /// A phase of a data leg of this side overran.
    Overran(Side, Phase),
    /// Bytes stood where only the start or the end of TLS may be.
    Injected(Side),
    /// TLS was taken off this side's control connection.
    Cleared(Side),
    /// The backend has refused CCC, and stays private.
    ClearRefused(Code),
    /// The backend's replies were out of step after a failed transfer, and are in step again.
    Resynchronised,
    /// The backend said something that belongs to no command.
    Unsolicited(Code),
}

/// One transfer, accounted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The command.
    pub verb: Verb,
    /// Its argument.
    pub path: Vec<u8>,
    /// Where it was to begin (REST).
    pub offset: u64,
    /// Whether its bytes are lines (TYPE A, RFC 959 section 3.1.1.1).
    pub ascii: bool,
    /// Which way.
    pub direction: Direction,
    /// Plain bytes moved.
    pub bytes: u64,
    /// How the client's leg ended.
    pub client: End,
    /// How the backend's leg ended.
    pub backend: End,
    /// The client's final reply; none if it hears none any more.
    pub code: Option<Code>,
    /// The client wished it to end (ABOR).
    pub aborted: bool,
    /// Its session has ended before its outcome was known.
    pub cut: bool,
}

/// Who ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The client, by QUIT, by leaving, or by breaking the rules.
    Client,
    /// The backend.
    Backend,
    /// A deadline.
    Clock,
    /// The operator.
    Operator,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ending {
    /// Who ended it.
    pub by: Blame,
    /// For the log, one phrase.
    pub why: &'static str,
}
