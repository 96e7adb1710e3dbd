//! The file as it was written: one struct per section, one field per key, every field optional and nothing judged.

use core::ops::Range;
use core::time::Duration;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::fault::Findings;
use super::host::HostName;
use super::nearest::nearest;
use super::profile::Profile;
use super::value::{Flaw, Leaf, List, Name, OneLine, is_small};
use super::{
    AdminAddress, Advertised, ClientCertificates, Cores, HostPort, KeyExchange, LogFormat,
    LogLevel, Mode, Pin, PortSpan, Steering, TlsVersion, Verify,
};
use crate::policy::{
    BackendCcc, BackendProtection, BackendTls, ClientCcc, ClientIdentity, ClientProtection,
    ClientTls, DataPeer, DataResumption, NetMap, Networks, OnEmpty, OnUnfinished, PassiveStyle,
    PasvAddress, Pbsz, ProxyProtocol, SendProxy,
};

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
    }
}

section! {
    /// `[timeouts]`
    TimeoutsKeys {
        handshake: Duration,
        login: Duration,
        idle: Duration,
        backend_connect: Duration,
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
    }
}

section! {
    /// `[[pool]]`
    PoolKeys {
        name: Name,
        profile: &'static Profile,
        members: List<HostPort>,
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
        passive: PassiveStyle,
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
    pub(super) listener: Vec<Spanned<ListenerKeys>>,
    pub(super) pool: Vec<Spanned<PoolKeys>>,
    pub(super) host: Vec<Spanned<HostKeys>>,
}

/// How often a section may stand in the file.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// `[name]`
    Once,
    /// `[[name]]`
    Many,
}

/// Each section of [`File`], its shape, and its keys.
const SECTIONS: &[(&str, Shape, &[&str])] = &[
    ("process", Shape::Once, ProcessKeys::KEYS),
    ("log", Shape::Once, LogKeys::KEYS),
    ("limits", Shape::Once, LimitsKeys::KEYS),
    ("timeouts", Shape::Once, TimeoutsKeys::KEYS),
    ("admin", Shape::Once, AdminKeys::KEYS),
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

/// Parses a text. Nothing only if it is not TOML; whatever else is strange is noted and left out.
pub(super) fn parse(text: &str, findings: &mut Findings) -> Option<File> {
    let mut table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            findings.fault(
                error.span().as_ref(),
                "",
                format!("not TOML: {}", error.message()),
                SYNTAX_CURE,
            );
            return None;
        }
    };
    let sections = core::mem::take(table.get_mut()).into_iter();
    *table.get_mut() = sections
        .filter_map(|section| shaped(section, findings))
        .collect();
    File::deserialize(toml::de::Deserializer::from(table))
        .map_err(|error| findings.fault(error.span().as_ref(), "", error.message(), SYNTAX_CURE))
        .ok()
}

const SYNTAX_CURE: &str = "key = value lines below [section] lines; see config/sluicegate.toml";

type Entry<'i> = (Spanned<DeString<'i>>, Spanned<DeValue<'i>>);

/// A section that is known and has the right shape, without what is strange in it.
fn shaped<'i>((name, mut value): Entry<'i>, findings: &mut Findings) -> Option<Entry<'i>> {
    let word = name.get_ref().as_ref();
    let Some((section, shape, keys)) = SECTIONS.iter().find(|(section, _, _)| *section == word)
    else {
        findings.fault(Some(&name.span()), word, "is not known", section_cure(word));
        return None;
    };
    match (shape, value.get_mut()) {
        (Shape::Once, DeValue::Table(body)) => sift(body, section, section, keys, findings),
        (Shape::Many, DeValue::Array(bodies))
            if bodies.iter().all(|body| body.get_ref().is_table()) =>
        {
            for (index, body) in bodies.iter_mut().enumerate() {
                if let DeValue::Table(body) = body.get_mut() {
                    sift(
                        body,
                        &format!("{section}[{index}]"),
                        section,
                        keys,
                        findings,
                    );
                }
            }
        }
        (shape, _) => {
            let heading = heading(section, *shape);
            let problem = format!("is not written as {heading}");
            findings.fault(
                Some(&name.span()),
                *section,
                problem,
                format!("put its keys below a line {heading}"),
            );
            return None;
        }
    }
    Some((name, value))
}

/// Takes out of one section, and notes, what serde would stumble over: unknown keys and numbers beyond any bound.
fn sift(body: &mut DeTable<'_>, path: &str, section: &str, keys: &[&str], findings: &mut Findings) {
    let known = core::mem::take(body).into_iter().filter(|(key, value)| {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        if !keys.contains(&name) {
            findings.fault(
                Some(&key.span()),
                path,
                "is not known",
                key_cure(name, section, keys),
            );
            return false;
        }
        if !is_small(value.get_ref()) {
            let cure = "see config/sluicegate.toml for what this key takes";
            findings.fault(
                Some(&value.span()),
                path,
                "is a number too large for anything here",
                cure,
            );
            return false;
        }
        true
    });
    *body = known.collect();
}

fn key_cure(name: &str, section: &str, keys: &[&str]) -> String {
    if let Some(meant) = nearest(name, keys.iter().copied()) {
        return format!("did you mean {meant}?");
    }
    let elsewhere = SECTIONS
        .iter()
        .find(|(other, _, keys)| *other != section && keys.contains(&name));
    match elsewhere {
        Some((other, shape, _)) => format!("it belongs below {}", heading(other, *shape)),
        None => format!("keys here: {}", keys.join(", ")),
    }
}

fn section_cure(name: &str) -> String {
    let sections = || {
        SECTIONS
            .iter()
            .map(|(section, shape, _)| heading(section, *shape))
    };
    let meant = nearest(name, SECTIONS.iter().map(|(section, _, _)| *section));
    let owner = SECTIONS.iter().find(|(_, _, keys)| keys.contains(&name));
    let find = |meant| SECTIONS.iter().find(|(section, _, _)| *section == meant);
    if let Some((section, shape, _)) = meant.and_then(find) {
        return format!("did you mean {}?", heading(section, *shape));
    }
    match owner {
        Some((section, shape, _)) => format!("it belongs below {}", heading(section, *shape)),
        None => format!("sections: {}", sections().collect::<Vec<_>>().join(", ")),
    }
}

fn heading(section: &str, shape: Shape) -> String {
    match shape {
        Shape::Once => format!("[{section}]"),
        Shape::Many => format!("[[{section}]]"),
    }
}
