//! The file as it was written: one struct per section, one field per key, every field optional and nothing judged.

use core::ops::Range;
use core::time::Duration;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::network::HostName;
use super::profile::Profile;
use super::value::{Flaw, Leaf, List, Name, OneLine};
use super::{
    AdminAddress, Advertised, Alpn, BusyPoll, ClientCertificates, Cores, HostPort, KernelTls,
    KeyExchange, LogFormat, LogLevel, MissingCloseNotify, Mode, Pin, PortSpan, Steering,
    TlsVersion, Verify,
};
use crate::audit::Format as AuditFormat;
use crate::policy::{
    BackendCcc, BackendProtection, BackendTls, ClientCcc, ClientIdentity, ClientProtection,
    ClientTls, DataPeer, DataResumption, NetMap, Networks, OnEmpty, OnUnfinished, PassiveStyle,
    PasvAddress, Pbsz, ProxyProtocol, SendProxy,
};
use crate::pool::Balance;

/// One key of the file. A value that cannot be read is kept as its flaw, so that it does not hide the rest.
pub(super) struct Key<T>(pub(super) Option<(Range<usize>, Result<T, Flaw>)>);

impl<T> Default for Key<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialEq> Key<T> {
    /// Whether exactly this was written.
    pub(super) fn is(&self, value: T) -> bool {
        matches!(&self.0, Some((_, Ok(written))) if *written == value)
    }
}

impl<'de, T: Leaf> Deserialize<'de> for Key<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Spanned::<toml::Value>::deserialize(deserializer)?;
        Ok(Self(Some((value.span(), T::read(value.get_ref())))))
    }
}

/// A section whose keys can be set by name.
pub(super) trait Section {
    /// Sets a key that was not written, as if it stood at `span`; false if it was written, and so stays.
    fn fill(&mut self, name: &str, span: Range<usize>, value: &toml::Value) -> bool;

    /// The keys that were written, and where.
    fn written(&self) -> Vec<(&'static str, Range<usize>)>;
}

/// Declares a section once: its struct for serde, and the list of its keys for everything else.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($key:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Default, Deserialize)]
        #[serde(default)]
        pub(super) struct $name {
            $(pub(super) $key: Key<$kind>,)*
        }

        impl $name {
            const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];
        }

        impl Section for $name {
            fn fill(&mut self, name: &str, span: Range<usize>, value: &toml::Value) -> bool {
                match name {
                    $(stringify!($key) if self.$key.0.is_none() => {
                        self.$key = Key(Some((span, Leaf::read(value))));
                        true
                    })*
                    _ => false,
                }
            }

            fn written(&self) -> Vec<(&'static str, Range<usize>)> {
                let spans = [$(self.$key.0.as_ref().map(|(span, _)| (stringify!($key), span.clone()))),*];
                spans.into_iter().flatten().collect()
            }
        }
    };
}

section! {
    /// `[process]`
    ProcessKeys {
        cores: Cores,
        in_place: bool,
        kernel_tls: KernelTls,
        busy_poll: BusyPoll,
    }
}

section! {
    /// `[log]`
    LogKeys {
        level: LogLevel,
        format: LogFormat,
    }
}

section! {
    /// `[limits]`
    LimitsKeys {
        sessions: usize,
        descriptors_per_session: usize,
    }
}

section! {
    /// `[timeouts]`
    TimeoutsKeys {
        handshake: Duration,
        login: Duration,
        idle: Duration,
        backend_connect: Duration,
        member_rest: Duration,
        backend_reply: Duration,
        data_connect: Duration,
        data_handshake: Duration,
        data_first_byte: Duration,
        data_stall: Duration,
        data_completion: Duration,
        linger: Duration,
        drain: Duration,
    }
}

section! {
    /// `[[listener]]`
    ListenerKeys {
        name: Name,
        mode: Mode,
        profile: &'static Profile,
        address: List<SocketAddr>,
        pool: Name,
        tls: ClientTls,
        banner_first: bool,
        assume_private: bool,
        strict_sni: bool,
        alpn: Alpn,
        pbsz: Pbsz,
        ccc: ClientCcc,
        certificate: PathBuf,
        key: PathBuf,
        tls_versions: List<TlsVersion>,
        key_exchange: KeyExchange,
        client_certificates: ClientCertificates,
        client_ca: PathBuf,
        client_crl: PathBuf,
        client_identity: ClientIdentity,
        data_protection: ClientProtection,
        passive_ports: PortSpan,
        advertise: NetMap<Advertised>,
        data_peer: DataPeer,
        resumption: DataResumption,
        active: bool,
        unfinished: OnUnfinished,
        missing_close_notify: MissingCloseNotify,
        bare_uploads: bool,
        banner: OneLine,
        steering: Steering,
        proxy_protocol: ProxyProtocol,
        proxy_from: Networks,
        proxy_protocol_data: bool,
    }
}

section! {
    /// `[admin]`
    AdminKeys {
        address: AdminAddress,
        token_file: PathBuf,
        certificate: PathBuf,
        key: PathBuf,
        client_ca: PathBuf,
        client_crl: PathBuf,
    }
}

section! {
    /// `[audit]`
    AuditKeys {
        file: PathBuf,
        format: AuditFormat,
        max_bytes: usize,
        keep: usize,
    }
}

section! {
    /// `[[pool]]`
    PoolKeys {
        name: Name,
        profile: &'static Profile,
        members: List<HostPort>,
        backups: List<HostPort>,
        balance: Balance,
        tls: BackendTls,
        banner_first: bool,
        tls_versions: List<TlsVersion>,
        key_exchange: KeyExchange,
        verify: Verify,
        ca: PathBuf,
        pins: List<Pin>,
        server_name: String,
        client_certificate: PathBuf,
        client_key: PathBuf,
        alpn: bool,
        data_protection: BackendProtection,
        ccc: BackendCcc,
        mode_z: bool,
        data_command: PassiveStyle,
        pasv_address: PasvAddress,
        empty: OnEmpty,
        unfinished: OnUnfinished,
        send_proxy: SendProxy,
        send_proxy_data: bool,
    }
}

section! {
    /// `[[host]]`
    HostKeys {
        name: HostName,
        listener: Name,
        pool: Name,
        certificate: PathBuf,
        key: PathBuf,
    }
}

/// The whole file.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct File {
    pub(super) process: Option<Spanned<ProcessKeys>>,
    pub(super) log: Option<Spanned<LogKeys>>,
    pub(super) limits: Option<Spanned<LimitsKeys>>,
    pub(super) timeouts: Option<Spanned<TimeoutsKeys>>,
    pub(super) admin: Option<Spanned<AdminKeys>>,
    pub(super) audit: Option<Spanned<AuditKeys>>,
    pub(super) listener: Vec<Spanned<ListenerKeys>>,
    pub(super) pool: Vec<Spanned<PoolKeys>>,
    pub(super) host: Vec<Spanned<HostKeys>>,
}

/// How often a section may stand in the file.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Shape {
    /// `[name]`
    Once,
    /// `[[name]]`
    Many,
}

/// Each section of [`File`], its shape, and its keys.
pub(super) const SECTIONS: &[(&str, Shape, &[&str])] = &[
    ("process", Shape::Once, ProcessKeys::KEYS),
    ("log", Shape::Once, LogKeys::KEYS),
    ("limits", Shape::Once, LimitsKeys::KEYS),
    ("timeouts", Shape::Once, TimeoutsKeys::KEYS),
    ("admin", Shape::Once, AdminKeys::KEYS),
    ("audit", Shape::Once, AuditKeys::KEYS),
    ("listener", Shape::Many, ListenerKeys::KEYS),
    ("pool", Shape::Many, PoolKeys::KEYS),
    ("host", Shape::Many, HostKeys::KEYS),
];

/// Every key that can be written, with its section: for the tests that hold the documentation to it.
pub fn known_keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    SECTIONS
        .iter()
        .flat_map(|(section, _, keys)| keys.iter().map(move |key| (*section, *key)))
}
