//! What happened, for whoever must prove it later: a record for each event of a session, and the line that it becomes.
//! Sessions fill records, and the gate's journal writes them to a file.
//! It never reads a clock, never opens a file, and has no place where a password could stand.

mod format;
mod line;
mod xferlog;

use core::fmt;
use core::time::Duration;
use std::net::SocketAddr;

use time::OffsetDateTime;

use crate::ftp::{Code, Direction, Verb};

pub use format::Format;

/// A moment, in microseconds since 1970 (UTC).
pub type Micros = u64;

/// One session, told apart from all others that this gate has ever had, as far as clocks go forward: the same in the
/// records of all four connections. What stands behind the hyphen is the session's number in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId {
    /// When the process was started.
    pub started: Micros,
    /// The session's number in it.
    pub number: u64,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.started, self.number)
    }
}

/// One event of a session.
#[derive(Clone, Debug)]
pub struct Record {
    /// When.
    pub at: Micros,
    /// Of which session.
    pub session: SessionId,
    /// What.
    pub event: Event,
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client's control connection was taken.
    Opened {
        /// The listener's name.
        listener: String,
        /// Where it comes from.
        client: SocketAddr,
        /// What it has reached.
        local: SocketAddr,
        /// The CPU of the core that has it.
        cpu: usize,
    },
    /// A backend was reached.
    Reached {
        /// Where it is.
        backend: SocketAddr,
    },
    /// A control connection is private.
    Secured {
        /// The leg: `client` or `backend`.
        leg: &'static str,
        /// What was agreed on.
        tls: Tls,
        /// Who the peer has proven to be.
        identity: Option<Identity>,
    },
    /// The backend took a login. The name is what it took: one that fails may be a password typed too early.
    LoggedIn {
        /// The name, as the client said it.
        user: Vec<u8>,
    },
    /// A login was refused, by the backend or by the gate.
    LoginFailed,
    /// The gate refused something.
    Refused(Refusal),
    /// A transfer is over.
    Transferred(Box<Transfer>),
    /// A stream that was no FTP is over.
    Streamed(Box<Stream>),
    /// The session is over.
    Ended {
        /// Who ended it.
        by: &'static str,
        /// Why.
        why: &'static str,
        /// How long it was.
        duration: Duration,
        /// Its transfers, whatever became of them.
        transfers: u64,
        /// Bytes of them all.
        bytes: u64,
        /// How often the gate has refused something, told apart or not.
        refusals: u64,
    },
}

/// Something that the gate itself did not do.
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    /// What was refused.
    pub what: &'static str,
    /// The command, where it was one that we know.
    pub verb: Option<Verb>,
    /// What the client was told.
    pub code: Option<Code>,
    /// Why, in the words of the log.
    pub detail: Option<String>,
}

/// What a TLS handshake has agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The cipher suite.
    pub suite: &'static str,
    /// The key exchange group, if there was a key exchange.
    pub group: Option<&'static str>,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// The application protocol, if one was agreed on.
    pub alpn: Option<Vec<u8>>,
    /// The SHA-256 of the peer's certificate, if it has shown one.
    pub certificate: Option<String>,
}

/// Who a peer is by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The subject of the certificate.
    pub subject: String,
    /// Its issuer.
    pub issuer: String,
    /// Its serial number.
    pub serial: String,
    /// Its alternative names.
    pub names: Vec<String>,
}

/// One stream, from both legs up to its end.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Bytes from the client.
    pub sent: u64,
    /// Bytes from the backend.
    pub received: u64,
    /// From both legs up to the end.
    pub duration: Duration,
    /// What became of it.
    pub outcome: &'static str,
    /// The client's connection.
    pub client: StreamLeg,
    /// The backend's.
    pub backend: StreamLeg,
}

/// One of the two connections of a stream.
#[derive(Clone, Debug)]
pub struct StreamLeg {
    /// Its other end.
    pub peer: SocketAddr,
    /// What its handshake has agreed on, if there was one.
    pub tls: Option<Tls>,
    /// How it ended, in the words of the contract.
    pub end: &'static str,
}

/// One transfer, as it is proven to a partner.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// The command.
    pub verb: Verb,
    /// Its argument. No verb that moves data has a secret for one.
    pub path: Vec<u8>,
    /// Which way the bytes went.
    pub direction: Direction,
    /// How many; bytes of the file, without TLS.
    pub bytes: u64,
    /// Where in the file it was to begin (REST).
    pub offset: u64,
    /// Whether the client has asked for TYPE A, or for no type.
    pub ascii: bool,
    /// From the command to the final reply.
    pub duration: Duration,
    /// The client's final reply; none if it could hear none any more.
    pub code: Option<Code>,
    /// What became of it, in the words of the metrics.
    pub outcome: &'static str,
    /// Whether it was a success for the client.
    pub is_complete: bool,
    /// What had to be decided by a policy, and how.
    pub policies: Vec<&'static str>,
    /// Who had logged in.
    pub user: Vec<u8>,
    /// Where the client's control connection comes from.
    pub peer: SocketAddr,
    /// Connections to its passive port that were not the client's.
    pub strangers: u64,
    /// The client's data connection.
    pub client: Leg,
    /// The backend's data connection.
    pub backend: Leg,
}

/// One data connection of a transfer.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Whether the FTP server awaited it (`passive`) or opened it (`active`).
    pub mode: &'static str,
    /// `private` or `clear`.
    pub protection: &'static str,
    /// Its other end, if it came about.
    pub peer: Option<SocketAddr>,
    /// What its handshake has agreed on, if there was one.
    pub tls: Option<Tls>,
    /// How it ended, in the words of the contract.
    pub end: &'static str,
}

/// UTC; beyond the years of four digits, 1970.
fn utc(at: Micros) -> OffsetDateTime {
    let nanos = i128::from(at) * 1000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
