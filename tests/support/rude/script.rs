//! What a rude backend is told to do: one act per command, everything else as a good server does it.

use std::sync::Arc;

use rustls::ServerConfig;

use crate::support::certs::Versions;

/// How the backend answers one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// As a good server does.
    Well,
    // Transfers.
    /// 150, takes the data connection, ends it with FIN without a handshake, 226.
    BareClose,
    /// The same with RST.
    BareReset,
    /// 150 and 226, without ever taking the data connection; the data port is closed then.
    NeverTake,
    /// The same, but the data port stays open: who connected to it waits for an answer in vain.
    LeaveWaiting,
    /// 226 alone, the data port closed.
    NoPreliminary,
    /// 550, the data port closed before.
    Error550,
    /// 150, half of the bytes, FIN without close_notify, 426.
    PartialThen426,
    /// 150, half of the bytes, FIN without close_notify, 226.
    TruncateThen226,
    /// All bytes, FIN without close_notify, 226; takes uploads that end so.
    Careless,
    /// All bytes and close_notify, RST instead of FIN, 226.
    NotifyThenReset,
    /// Says nothing until ABOR.
    HangBefore150,
    /// 150, and then nothing until ABOR.
    HangAfter150,
    /// 150, takes the data connection, and then nothing until ABOR.
    HangHandshake,
    /// 150, half of the bytes, and then nothing until ABOR.
    Stall,
    /// The whole file, and no final reply until ABOR.
    HangBefore226,
    /// 150, half of the bytes, and the control connection is closed.
    ControlLost,
    /// 150, half of the bytes, the beginning of a record, FIN, 226.
    CutRecord,
    /// The bytes in pieces with pauses between them, both ways.
    Drip,
    /// 150, and then it takes an upload no further than the kernel does, until ABOR.
    NeverRead,

    // Replies.
    /// Answers with these bytes.
    Say(&'static str),
    /// Answers with these bytes, one TLS record for each.
    Dribble(&'static str),
    /// The right reply with plaintext behind it: for AUTH, behind the 234.
    PlainBehind,
    /// An address in the PASV reply that is not the backend's.
    ForeignAddress,
    /// Answers with 150, for ever.
    Endless,
    /// Never answers this command, nor anything after it.
    Mute,
}

/// What a backend has and how it behaves.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) acts: Vec<(&'static str, Act)>,
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    pub(crate) versions: Versions,
    /// Knows AUTH TLS and takes no login without it.
    pub(crate) tls: bool,
    pub(crate) greeting: &'static str,
    /// TLS begins behind the greeting, without AUTH.
    pub(crate) banner_first: bool,
    /// What data connections go by, where it is not what the control connection does.
    pub(crate) data_tls: Option<Arc<ServerConfig>>,
}

impl Script {
    /// A good server with TLS and no files.
    pub(crate) fn new() -> Self {
        Self {
            acts: Vec::new(),
            files: Vec::new(),
            versions: Versions::Both,
            tls: true,
            greeting: "220 rude backend\r\n",
            banner_first: false,
            data_tls: None,
        }
    }

    /// Commands that begin like this are answered so; the first that fits counts.
    pub(crate) fn on(mut self, command: &'static str, act: Act) -> Self {
        self.acts.push((command, act));
        self
    }

    pub(crate) fn file(mut self, name: &'static str, bytes: &[u8]) -> Self {
        self.files.push((name, bytes.to_vec()));
        self
    }

    /// A server that has no TLS.
    pub(crate) fn clear(mut self) -> Self {
        self.tls = false;
        self
    }

    pub(crate) fn versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// Implicit TLS in the manner of z/OS.
    pub(crate) fn banner_first(mut self) -> Self {
        self.banner_first = true;
        self
    }

    /// Another certificate on data connections.
    pub(crate) fn data_tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.data_tls = Some(config);
        self
    }

    pub(crate) fn greeting(mut self, greeting: &'static str) -> Self {
        self.greeting = greeting;
        self
    }

    pub(crate) fn act(&self, line: &str) -> Act {
        self.acts
            .iter()
            .find(|(command, _)| line.starts_with(command))
            .map_or(Act::Well, |(_, act)| *act)
    }
}
