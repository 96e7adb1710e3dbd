//! What the backend saw of one transfer.

use std::time::Duration;

use crate::ftp::Verb;
use crate::rig::Handshake;

/// One transfer, from the backend's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// RETR, STOR, LIST, …
    pub verb: Verb,
    /// The path in the tree, without its manners.
    pub path: String,
    /// From the command to the data connection being accepted; nothing: it never was.
    pub established: Option<Duration>,
    /// Nothing in the clear, or where the handshake was not completed.
    pub handshake: Option<Handshake>,
    /// Bytes of the file that were sent or received.
    pub bytes: u64,
    /// The checksum of an upload.
    pub crc: Option<u32>,
    /// How the peer's direction of the data connection ended.
    pub ended: Ended,
    /// How our own did.
    pub own_end: OwnEnd,
    /// Whether the file was taken as whole (an upload), or all of it sent (a download).
    pub complete: bool,
    /// The code of the final reply; 0 where there was none.
    pub reply: u16,
    /// From the command to the end of it all.
    pub took: Duration,
}

/// How a peer's direction of a data connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// We were not told before we stopped looking.
    Unknown,
    /// close_notify and FIN on a private connection, FIN on one in the clear.
    Clean,
    /// FIN without close_notify on a private connection.
    Unfinished,
    /// FIN before a single byte of TLS.
    Bare,
    /// A reset, or something that TLS does not allow.
    Broken,
}

/// How the backend ended its own direction of a data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnEnd {
    /// There was none, or it ended before we did.
    None,
    /// close_notify, then FIN.
    CloseNotify,
    /// FIN alone: the whole of it in the clear, unfinished or bare on a private connection.
    Fin,
    /// A reset.
    Reset,
}

impl Record {
    pub(super) const fn new(verb: Verb, path: String) -> Self {
        Self {
            verb,
            path,
            established: None,
            handshake: None,
            bytes: 0,
            crc: None,
            ended: Ended::Unknown,
            own_end: OwnEnd::None,
            complete: false,
            reply: 0,
            took: Duration::ZERO,
        }
    }
}
