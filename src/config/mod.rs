//! What the operator wants: a text in, either every complaint about it at once or a resolved, immutable [`Config`] out.
//! The gate reads the file and hands the text over; shards and sessions hold the result and ask it nothing twice.
//! It never opens a file, resolves a name or looks at a socket, and nothing after it asks whether a value is sane.

mod desk;
mod fault;
mod file;
mod nearest;
mod relations;
mod resolve;
mod value;
mod word;

use core::time::Duration;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub use fault::{Complaint, Located, Place, in_order};
pub use file::known_keys;

use crate::policy::{
    BackendProtection, BackendTls, ClientProtection, ClientTls, DataPeer, DataResumption, OnEmpty,
    OnUnfinished, PassiveStyle, PasvAddress, Patience, SiteRules,
};

/// Reads a configuration, or says everything that is wrong with it, in the order of the text.
pub fn read(text: &str) -> Result<Config, Vec<Complaint>> {
    match survey(text) {
        Survey {
            config: Some(config),
            faults,
        } if faults.is_empty() => Ok(config),
        Survey { faults, .. } => Err(faults),
    }
}

/// A text as far as it can be understood.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Nothing if the text is not TOML. With faults, what could not be read is missing or meaningless here, and only
    /// the files that it names are worth looking at, so that their faults can be told as well.
    pub config: Option<Config>,
    /// What is wrong, in the order of the text.
    pub faults: Vec<Complaint>,
}

/// Reads as much of a configuration as can be read.
pub fn survey(text: &str) -> Survey {
    let mut findings = fault::Findings::new(text);
    let file = file::parse(text, &mut findings);
    let mut config = file.map(|file| resolve::resolve(file, &mut findings));
    let (faults, warnings) = findings.into_parts();
    if let Some(config) = &mut config {
        config.warnings = warnings;
    }
    Survey { config, faults }
}

/// The whole configuration, resolved. Keys that were not written have their defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[process]`
    pub process: Process,
    /// `[log]`
    pub log: Log,
    /// `[limits]`
    pub limits: Limits,
    /// `[timeouts]`
    pub timeouts: Timeouts,
    /// `[[listener]]`, at least one, in the order of the file.
    pub listeners: Vec<Listener>,
    /// `[[pool]]`, at least one, in the order of the file.
    pub pools: Vec<Pool>,
    /// What is allowed and yet should be known: to be shown at start and by the check.
    pub warnings: Vec<Complaint>,
}

impl Config {
    /// The same configuration with every relative path taken from `directory`: that of the file it was read from.
    #[must_use]
    pub fn relative_to(mut self, directory: &Path) -> Self {
        let own = self
            .listeners
            .iter_mut()
            .flat_map(|listener| [&mut listener.certificate, &mut listener.key]);
        let inside = self.pools.iter_mut().filter_map(|pool| pool.ca.as_mut());
        for path in own.chain(inside) {
            path.value = directory.join(&path.value);
        }
        self
    }
}

impl Config {
    /// The rules by which sessions of a listener are led.
    pub fn rules(&self, listener: &Listener) -> SiteRules {
        let pool = &self.pools[listener.pool];
        let timeouts = &self.timeouts;
        SiteRules {
            banner: listener.banner.clone(),
            client_tls: listener.tls,
            banner_first: listener.banner_first,
            implicit_private: listener.implicit_private,
            client_protection: listener.data_protection,
            backend_tls: pool.tls,
            backend_banner_first: pool.banner_first,
            backend_protection: pool.data_protection,
            on_empty: pool.empty,
            client_unfinished: listener.unfinished,
            backend_unfinished: pool.unfinished,
            bare_uploads: listener.bare_uploads,
            active: listener.active,
            passive: pool.passive,
            pasv_address: pool.pasv_address,
            patience: Patience {
                handshake: timeouts.handshake,
                login: timeouts.login,
                idle: timeouts.idle,
                backend_connect: timeouts.backend_connect,
                backend_reply: timeouts.backend_reply,
                data_connect: timeouts.data_connect,
                data_handshake: timeouts.data_handshake,
                data_completion: timeouts.data_completion,
                linger: timeouts.linger,
            },
        }
    }
}

/// `[process]`: the cores that serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// `cores`
    pub cores: Located<Cores>,
}

/// Which CPUs get a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Every CPU the process may use.
    All,
    /// These, ascending and different; whether they exist is not known here.
    List(Vec<usize>),
}

/// `[log]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// `level`
    pub level: LogLevel,
    /// `format`
    pub format: LogFormat,
}

/// The least serious kind of line that is still written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Something is lost.
    Error,
    /// Something should be looked at.
    Warn,
    /// What happens to listeners, logins and transfers.
    Info,
    /// Sessions and their TLS in detail.
    Debug,
    /// As debug: the gate itself has nothing to add.
    Trace,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// For reading.
    Human,
    /// One object a line.
    Json,
}

/// `[limits]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `sessions`: most sessions at once, of the whole process. Left out: `limits::SESSIONS`, or as many as the
    /// descriptors of the process allow where that is less.
    pub sessions: Option<usize>,
}

/// `[timeouts]`: one bound for each phase of a session (rule 4 of the contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TLS handshake of a control connection, either leg.
    pub handshake: Duration,
    /// From the banner to a completed login.
    pub login: Duration,
    /// A logged-in client that says nothing.
    pub idle: Duration,
    /// Reaching a backend: TCP and its greeting.
    pub backend_connect: Duration,
    /// A backend's reply to a command that moves no data.
    pub backend_reply: Duration,
    /// A data leg: TCP connected or accepted.
    pub data_connect: Duration,
    /// A data leg: TLS handshake.
    pub data_handshake: Duration,
    /// From both data legs up to the first byte or the end.
    pub data_first_byte: Duration,
    /// A stream that has begun and does not move.
    pub data_stall: Duration,
    /// The end of a transfer: flushing, the peer's end, the backend's final reply.
    pub data_completion: Duration,
    /// How long a data leg waits for the peer's close after ours.
    pub linger: Duration,
    /// How long transfers may go on when the process is told to stop.
    pub drain: Duration,
}

/// `[[listener]]`: where clients come in, and what is asked of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// `name`: unique among listeners.
    pub name: String,
    /// `address`: one or more; port 0 lets the kernel choose.
    pub address: Located<Vec<SocketAddr>>,
    /// `pool`, as an index into [`Config::pools`] that is always valid.
    pub pool: usize,
    /// `tls`
    pub tls: ClientTls,
    /// `banner_first`: whether 220 comes in clear text before an implicit handshake.
    pub banner_first: bool,
    /// `implicit_private`: whether implicit TLS implies PROT P.
    pub implicit_private: bool,
    /// `certificate`: a PEM chain, the gate's own certificate first.
    pub certificate: Located<PathBuf>,
    /// `key`: the PEM key of that certificate.
    pub key: Located<PathBuf>,
    /// `tls_versions`
    pub tls_versions: TlsVersions,
    /// `key_exchange`
    pub key_exchange: KeyExchange,
    /// `data_protection`
    pub data_protection: ClientProtection,
    /// `passive_ports`: disjoint from those of every other listener.
    pub passive_ports: PortSpan,
    /// `advertise`: the address in PASV replies; nothing for the one that the client reached.
    pub advertise: Option<Ipv4Addr>,
    /// `data_peer`
    pub data_peer: DataPeer,
    /// `resumption`
    pub resumption: DataResumption,
    /// `active`: whether PORT and EPRT are served.
    pub active: bool,
    /// `unfinished`: what becomes of uploads that end without close_notify.
    pub unfinished: OnUnfinished,
    /// `bare_uploads`: whether a private upload closed without a handshake is an empty file (rule 3 of the contract).
    pub bare_uploads: bool,
    /// `banner`: the text behind 220.
    pub banner: String,
    /// `steering`
    pub steering: Steering,
}

/// How new connections find their core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// The core that took the packet takes the connection (SO_INCOMING_CPU).
    Cpu,
    /// The kernel's hash over the listeners of all cores.
    Hash,
}

/// A range of ports, both ends included; `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSpan {
    /// Lowest port.
    pub first: u16,
    /// Highest port.
    pub last: u16,
}

impl PortSpan {
    /// How many ports there are.
    pub fn count(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// Whether a port is among them.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// A version of TLS that this gate speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// Which versions of TLS a leg may speak: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsVersions {
    /// TLS 1.2
    pub v1_2: bool,
    /// TLS 1.3
    pub v1_3: bool,
}

/// Whether TLS keys are to withstand a quantum computer: X25519MLKEM768, which TLS 1.3 alone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyExchange {
    /// With peers that can.
    Preferred,
    /// With every peer; TLS 1.2 is out.
    Required,
    /// With none.
    Off,
}

/// `[[pool]]`: the backends behind listeners, and how they are spoken to.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// `name`: unique among pools.
    pub name: String,
    /// `members`: at least one, all different.
    pub members: Located<Vec<HostPort>>,
    /// `tls`
    pub tls: BackendTls,
    /// `banner_first`: whether its 220 comes in clear text before an implicit handshake.
    pub banner_first: bool,
    /// `tls_versions`
    pub tls_versions: TlsVersions,
    /// `key_exchange`
    pub key_exchange: KeyExchange,
    /// `verify`
    pub verify: Verify,
    /// `ca`: PEM file of the authorities; always there when `verify` needs it and `tls` is not off.
    pub ca: Option<Located<PathBuf>>,
    /// `pins`: always there when `verify` needs them and `tls` is not off.
    pub pins: Vec<Pin>,
    /// `server_name`: the name asked for and expected in certificates; nothing for each member's own host.
    pub server_name: Option<Located<String>>,
    /// `data_protection`: clear whenever `tls` is off.
    pub data_protection: BackendProtection,
    /// `passive`
    pub passive: PassiveStyle,
    /// `pasv_address`
    pub pasv_address: PasvAddress,
    /// `empty`
    pub empty: OnEmpty,
    /// `unfinished`: what becomes of downloads that end without close_notify.
    pub unfinished: OnUnfinished,
}

/// A backend's address as written: its name is not yet resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
}

impl core::fmt::Display for HostPort {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// How a backend's certificate is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// It must come from one of the authorities in `ca` and bear the expected name.
    Ca,
    /// It must be one of `pins`, whatever is in it: for certificates that nobody has signed but themselves.
    Pin,
    /// Not at all: whoever can stand between can read and change everything.
    Off,
}

/// A certificate known by its fingerprint: the SHA-256 of its DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin(pub [u8; 32]);

impl core::fmt::Display for Pin {
    /// As `openssl x509 -fingerprint -sha256` writes it, without the colons.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

#[cfg(test)]
mod tests;
