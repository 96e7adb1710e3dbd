//! What a session may do and how it treats each leg: the choices an operator makes, as plain enums.
//! `config` resolves the words of the file to these, `dialog` and `data` decide by them.
//! It never reads configuration, never looks at a connection, and knows no defaults but the names of the choices.

mod identity;
mod netmap;

use core::net::Ipv4Addr;
use core::time::Duration;
use std::sync::Arc;

pub use identity::PeerIdentity;
pub use netmap::{NetMap, Network, Networks, NotNetwork};

/// Whether clients of a listener must secure their control connection (RFC 4217 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientTls {
    /// USER, and all that comes behind a login, is refused until AUTH TLS is done.
    Required,
    /// A client may secure its control connection, or not.
    Optional,
    /// TLS from the first byte, on a port of its own; there is no AUTH (the "ftps" of port 990).
    Implicit,
    /// Never: for listeners whose streams are not FTP.
    Off,
}

/// How the gate's own control connections to the members of a pool are secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackendTls {
    /// AUTH TLS before USER; a backend that refuses it is not used (never a silent fall-back).
    Explicit,
    /// TLS from the first byte, before the backend's greeting.
    Implicit,
    /// Plain FTP inside.
    Off,
    /// Explicit when the client secured its control connection, off when it did not.
    Match,
}

/// What a listener asks of its clients' data connections (PROT, RFC 2228 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientProtection {
    /// PROT P only: a transfer without it is refused with 521 (RFC 4217 section 9).
    Private,
    /// Whatever PROT level the client chose.
    Any,
}

/// Whether a client may take TLS off its control connection after login (CCC, RFC 4217 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientCcc {
    /// 534: what passes there stays private.
    Refuse,
    /// 200, and clear text from then on; data connections stay as PROT has made them.
    Accept,
}

/// Whether the gate takes TLS off its own control connections to a pool after login, for a firewall that must read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackendCcc {
    /// They stay private.
    Off,
    /// Where the backend takes CCC; with any other it stays private, and a warning is logged.
    Try,
    /// A backend that refuses CCC is not used.
    Required,
}

/// Whether PROT needs a PBSZ before it (RFC 4217 section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pbsz {
    /// 503 without.
    Expected,
    /// Some clients leave it out (field note P25).
    Optional,
}

/// What the gate asks of its own data connections to a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackendProtection {
    /// PROT P, always.
    Private,
    /// PROT C, always.
    Clear,
    /// The PROT level that the client chose on its own leg.
    Match,
}

/// What becomes of a download that the backend calls a success although not one byte came (rule 2 of the contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnEmpty {
    /// The client's data connection is completed as an empty stream.
    Complete,
    /// As `Complete`, unless SIZE says that there should have been bytes.
    Verify,
    /// 426, unless the backend's data connection ended clean.
    Reject,
}

/// What becomes of a stream that ended by FIN without close_notify (rule 5 of the contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnUnfinished {
    /// The other leg ends unfinished too; the backend's reply stands.
    Mirror,
    /// The other leg gets its close_notify: a download's if the backend's final reply is a success, an upload's always,
    /// as the backend judges only what has ended.
    Repair,
    /// 426.
    Reject,
}

/// How data connections with a backend come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassiveStyle {
    /// EPSV first (RFC 2428 section 3), PASV when the backend does not know it.
    Auto,
    /// EPSV only.
    Epsv,
    /// PASV only (RFC 959 section 4.1.2).
    Pasv,
    /// PORT: the backend connects to the gate (RFC 959 section 4.1.2).
    Port,
    /// EPRT: the same, also over IPv6 (RFC 2428 section 2).
    Eprt,
}

impl PassiveStyle {
    /// Whether the backend connects to us.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Port | Self::Eprt)
    }
}

/// Whether the address in a backend's PASV reply counts (rule 10 of the contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PasvAddress {
    /// The port counts, the address is that of the control connection.
    Ignore,
    /// The backend is believed.
    Use,
}

/// Whose connections a passive port takes (rule 10 of the contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataPeer {
    /// Only those from the address of the control connection.
    Same,
    /// Anyone's: for clients whose connections leave through several addresses.
    Any,
}

/// Whether a client's private data connections must resume the TLS session of their control connection (rule 10 of the
/// contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataResumption {
    /// They may.
    Accepted,
    /// They must: nobody else can then take a transfer, whatever address they come from.
    Required,
}

/// What the certificate of a client is good for, beyond getting in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientIdentity {
    /// Nothing: the backend alone decides who may log in.
    Ignore,
    /// USER must be a name in it.
    User,
}

/// Whether a listener's connections come through a proxy that says in a PROXY header whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// They are clients' own.
    Off,
    /// They are a trusted proxy's, every one with a header; nobody else is taken.
    Required,
}

/// Whether a pool's members are told by a PROXY header whose connections they get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendProxy {
    /// No.
    Off,
    /// By version 1, a line of text: addresses only.
    V1,
    /// By version 2: addresses, the session's number, and what is known of the client's TLS.
    V2,
}

/// The address for PASV replies by the client's own; where there is none, the one that the client has reached.
pub type Advertise = NetMap<Option<Ipv4Addr>>;

/// How long each phase that the dialog watches may take (rule 4 of the contract); the relay watches the bytes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Patience {
    /// TLS handshake of a control connection.
    pub handshake: Duration,
    /// From the banner to a completed login.
    pub login: Duration,
    /// A logged-in client that says nothing while nothing runs.
    pub idle: Duration,
    /// Reaching a backend, its greeting included.
    pub backend_connect: Duration,
    /// A backend's reply to a command.
    pub backend_reply: Duration,
    /// TCP on a data leg: from the command for the backend's, from the 150 for the client's.
    pub data_connect: Duration,
    /// TLS on a data leg: from TCP and the 150, whichever is later.
    pub data_handshake: Duration,
    /// What may pass between the end of the data and the backend's final reply, either way round.
    pub data_completion: Duration,
    /// What a data leg that is not even open may take when its transfer has been called a success.
    pub linger: Duration,
}

/// Everything that decides how sessions of one listener with one pool behave.
#[derive(Clone, Debug, Hash)]
pub struct SiteRules {
    /// The text of the 220 reply.
    pub banner: String,
    /// Whether clients must secure their control connection.
    pub client_tls: ClientTls,
    /// On an implicit listener: 220 comes in clear text, before the handshake (z/OS expects it so; field note P23).
    pub banner_first: bool,
    /// PBSZ 0 and PROT P count as given once TLS is there (field notes P25 and P26).
    pub assume_private: bool,
    /// Whether PROT needs a PBSZ before it.
    pub pbsz: Pbsz,
    /// Whether the client may take TLS off its control connection.
    pub client_ccc: ClientCcc,
    /// What the certificate of a client is good for.
    pub client_identity: ClientIdentity,
    /// What the client's data connections must be.
    pub client_protection: ClientProtection,
    /// How the control connection to the backend is secured.
    pub backend_tls: BackendTls,
    /// With implicit TLS to the backend: its 220 comes in clear text, before the handshake (field note P23).
    pub backend_banner_first: bool,
    /// How the data connections to the backend are secured.
    pub backend_protection: BackendProtection,
    /// Whether the gate takes TLS off the control connection to the backend.
    pub backend_ccc: BackendCcc,
    /// Whether MODE Z is passed on.
    pub mode_z: bool,
    /// What a success without a byte is.
    pub on_empty: OnEmpty,
    /// What an unfinished upload of a client is.
    pub client_unfinished: OnUnfinished,
    /// What an unfinished download from the backend is.
    pub backend_unfinished: OnUnfinished,
    /// Whether a client may end an empty private upload without a handshake (rule 3 of the contract).
    pub bare_uploads: bool,
    /// Whether clients may have data connections opened to them (PORT, EPRT).
    pub active: bool,
    /// How data connections with the backend come about.
    pub passive: PassiveStyle,
    /// Whether the address in its PASV reply counts.
    pub pasv_address: PasvAddress,
    /// The bounds on time.
    pub patience: Patience,
    /// The virtual hosts of the listener (RFC 7151), each with what it leads to; a host has none itself.
    pub hosts: Vec<HostRules>,
}

/// One virtual host of a listener.
#[derive(Clone, Debug, Hash)]
pub struct HostRules {
    /// Its name, in lower case.
    pub name: String,
    /// What sessions with it are led by.
    pub rules: Arc<SiteRules>,
}

impl SiteRules {
    /// The place of a host among those of this listener; names are the same in any case.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<usize> {
        self.hosts
            .iter()
            .position(|host| host.name.eq_ignore_ascii_case(name))
    }

    /// Whether clients await words in clear text before anything else.
    #[must_use]
    pub fn speaks_first(&self) -> bool {
        self.client_tls != ClientTls::Implicit || self.banner_first
    }
}
