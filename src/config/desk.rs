//! The desk at which one section is read: it takes the values of keys and notes what is wrong with them.

use core::ops::{Range, RangeInclusive};

use toml::Spanned;

use super::fault::{Findings, Located};
use super::file::{Key, Section};
use super::nearest::nearest;
use super::profile::{Applied, PROFILES, Profile, Setting};
use super::value::{Leaf, List, Name};
use super::{KeyExchange, Pin, TlsVersion, TlsVersions, Verify};
use crate::policy::{
    BackendCcc, BackendProtection, BackendTls, ClientProtection, ClientTls, Networks, ProxyProtocol,
};

/// The section that is being read: where its keys are, and where complaints about it go.
pub(super) struct Desk<'a> {
    path: String,
    pub(super) span: Option<Range<usize>>,
    pub(super) findings: &'a mut Findings,
}

impl Desk<'_> {
    /// The path of one of its keys.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// The value of a key, if it was written and can be read.
    pub(super) fn take<T: Leaf>(&mut self, name: &str, key: Key<T>) -> Option<(Range<usize>, T)> {
        let (span, value) = key.0?;
        match value {
            Ok(value) => Some((span, value)),
            Err(flaw) => {
                self.findings
                    .fault(Some(&span), self.path(name), flaw.problem, flaw.cure);
                None
            }
        }
    }

    /// The value of a key that need not be written.
    pub(super) fn or<T: Leaf>(&mut self, name: &str, key: Key<T>, default: T) -> T {
        self.take(name, key).map_or(default, |(_, value)| value)
    }

    /// The value of a key that may be left out, with its place.
    pub(super) fn located<T: Leaf>(&mut self, name: &str, key: Key<T>) -> Option<Located<T>> {
        let (span, value) = self.take(name, key)?;
        Some(Located {
            value,
            place: Some(self.findings.place(&span)),
            key: self.path(name),
        })
    }

    /// Has a profile fill the keys of a section that the file leaves to it.
    pub(super) fn apply(
        &mut self,
        section: &str,
        key: Key<&'static Profile>,
        is_implicit: bool,
        keys: &mut impl Section,
    ) -> Option<Applied> {
        let (span, profile) = self.take("profile", key)?;
        let ours = |setting: &&Setting| setting.section == section;
        if !profile.settings.iter().any(|setting| ours(&setting)) {
            let problem = format!("{:?} has nothing for a {section}", profile.name);
            let fitting = PROFILES
                .iter()
                .filter(|other| other.settings.iter().any(|setting| ours(&setting)));
            let names: Vec<&str> = fitting.map(|other| other.name).collect();
            let cure = format!("one of {}, or leave this key out", names.join(", "));
            self.findings
                .fault(Some(&span), self.path("profile"), problem, cure);
        }
        let settings = profile.settings.iter().filter(ours);
        let (set, overridden) = settings
            .filter(|setting| is_implicit || !setting.implicit)
            .partition(|setting| keys.fill(setting.key, span.clone(), &setting.value.into()));
        Some(Applied {
            profile,
            set,
            overridden,
        })
    }

    /// A number within bounds, if it was written.
    pub(super) fn number(
        &mut self,
        name: &str,
        key: Key<usize>,
        bounds: RangeInclusive<usize>,
    ) -> Option<usize> {
        let written = self.located(name, key)?;
        if !bounds.contains(&written.value) {
            let problem = format!("{} is out of range", written.value);
            let cure = match (bounds.start(), bounds.end()) {
                (least, &usize::MAX) => format!("{least} or more"),
                (least, most) => format!("{least} to {most}"),
            };
            self.findings.faults.push(written.complaint(problem, cure));
        }
        Some(written.value)
    }

    /// The value of a key that must be written.
    pub(super) fn need<T: Leaf>(
        &mut self,
        name: &str,
        key: Key<T>,
        example: &str,
    ) -> Option<Located<T>> {
        if key.0.is_none() {
            let span = self.span.clone();
            self.findings.fault(
                span.as_ref(),
                self.path(name),
                "is missing",
                format!("for example: {name} = {example}"),
            );
        }
        self.located(name, key)
    }

    /// Both versions by default; where the key exchange must be post-quantum, the one that has it.
    pub(super) fn versions(
        &mut self,
        key: Key<List<TlsVersion>>,
        key_exchange: KeyExchange,
    ) -> TlsVersions {
        let written = self.located("tls_versions", key);
        let is_hybrid = key_exchange == KeyExchange::Required;
        let Some(versions) = written else {
            return TlsVersions {
                v1_2: !is_hybrid,
                v1_3: true,
            };
        };
        let has = |version| versions.0.contains(&version);
        let (v1_2, v1_3) = (has(TlsVersion::V1_2), has(TlsVersion::V1_3));
        if is_hybrid && v1_2 {
            let problem =
                "TLS 1.2 has no post-quantum key exchange, and key_exchange is \"required\"";
            let cure = "tls_versions = \"1.3\", or key_exchange = \"preferred\"";
            self.findings.faults.push(versions.complaint(problem, cure));
        }
        TlsVersions { v1_2, v1_3 }
    }

    /// The index of the pool, or of the listener, that another section names.
    pub(super) fn one_of(
        &mut self,
        kind: &str,
        name: &Located<Name>,
        all: &[Option<String>],
    ) -> Option<usize> {
        let wanted = name.0.as_str();
        let index = all.iter().position(|one| one.as_deref() == Some(wanted));
        // Where one's own name cannot be read, it may be the one that is meant: that fault is already noted.
        if index.is_none() && !all.is_empty() && all.iter().all(Option::is_some) {
            let names: Vec<&str> = all.iter().flatten().map(String::as_str).collect();
            let cure = match nearest(wanted, names.iter().copied()) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => format!("{kind}s: {}", names.join(", ")),
            };
            self.findings
                .faults
                .push(name.complaint(format!("there is no {kind} {wanted:?}"), cure));
        }
        index
    }

    /// What a listener asks of data connections: by default as much as of control connections.
    pub(super) fn client_protection(
        &mut self,
        key: Key<ClientProtection>,
        tls: ClientTls,
    ) -> ClientProtection {
        let written = self.located("data_protection", key);
        match (tls, written) {
            (ClientTls::Optional, Some(written)) if written.value == ClientProtection::Private => {
                let problem = "\"private\" beside tls = \"optional\": a client without TLS could log in and never transfer";
                let cure = "tls = \"required\", or data_protection = \"any\"";
                self.findings.faults.push(written.complaint(problem, cure));
                written.value
            }
            (_, Some(written)) => written.value,
            (ClientTls::Required | ClientTls::Implicit, None) => ClientProtection::Private,
            (ClientTls::Optional | ClientTls::Off, None) => ClientProtection::Any,
        }
    }

    /// A choice that means something only where TLS is implicit.
    pub(super) fn implicit_only(
        &mut self,
        name: &str,
        key: Key<bool>,
        is_implicit: bool,
        default: bool,
    ) -> bool {
        let Some(written) = self.located(name, key) else {
            return default;
        };
        if written.value != default && !is_implicit {
            let problem = "has no effect: tls is not \"implicit\" here";
            let cure = "tls = \"implicit\", or leave this key out";
            self.findings
                .warnings
                .push(written.complaint(problem, cure));
        }
        written.value
    }

    /// A choice that means something only beside another one.
    pub(super) fn only_with(
        &mut self,
        name: &str,
        key: Key<bool>,
        has_it: bool,
        other: &str,
    ) -> bool {
        let written = self.located(name, key);
        if let (Some(written), false) = (written.as_ref().filter(|written| written.value), has_it) {
            let problem = format!("has no effect without {other}");
            let cure = format!("{other}, or leave this key out");
            self.findings
                .warnings
                .push(written.complaint(problem, cure));
        }
        written.is_some_and(|written| written.value)
    }

    /// Whom a listener believes about its clients' addresses, written exactly where it is to believe somebody, and whether
    /// data connections come from them too.
    pub(super) fn proxies(
        &mut self,
        (protocol, from): (Key<ProxyProtocol>, Key<Networks>),
        data: Key<bool>,
    ) -> (Option<Networks>, bool) {
        let protocol = self.or("proxy_protocol", protocol, ProxyProtocol::Off);
        let is_on = protocol == ProxyProtocol::Required;
        let required = "proxy_protocol = \"required\"";
        let data = self.only_with("proxy_protocol_data", data, is_on, required);
        if is_on {
            let from = self.need("proxy_from", from, "[\"10.0.0.5/32\"]");
            return (from.map(|written| written.value), data);
        }
        if let Some(written) = self.located("proxy_from", from) {
            let problem = "nobody is believed: proxy_protocol is not \"required\"";
            let cure = format!("{required}, or leave this key out");
            self.findings.faults.push(written.complaint(problem, cure));
        }
        (None, data)
    }

    /// Whether a pool's control connections are cleared; behind CCC there is no PROT any more (RFC 4217 section 5), so what
    /// data connections are must be known by then.
    pub(super) fn backend_ccc(
        &mut self,
        key: Key<BackendCcc>,
        tls: BackendTls,
        protection: BackendProtection,
    ) -> BackendCcc {
        let Some(written) = self.located("ccc", key) else {
            return BackendCcc::Off;
        };
        if written.value == BackendCcc::Off {
            return BackendCcc::Off;
        }
        if tls == BackendTls::Off {
            let problem = "has no effect: tls is \"off\" in this pool";
            let complaint = written.complaint(problem, "leave this key out");
            self.findings.warnings.push(complaint);
            return BackendCcc::Off;
        }
        if protection == BackendProtection::Match {
            let problem = "data_protection is \"match\", and after CCC no PROT can follow the client's any more";
            let cure = "data_protection = \"private\" or \"clear\", or leave ccc out";
            self.findings.faults.push(written.complaint(problem, cure));
        }
        written.value
    }

    /// Whether a pool can know its backends' certificates, and whether it wants to; `told` if there is nothing to add.
    pub(super) fn trust(&mut self, tls: BackendTls, verify: Option<&Located<Verify>>, told: bool) {
        match verify {
            _ if tls == BackendTls::Off => {}
            Some(verify) if verify.value == Verify::Off => {
                let problem = "\"off\": whoever can stand between this gate and its backends can read and change everything";
                self.findings
                    .warnings
                    .push(verify.complaint(problem, "verify = \"ca\" and ca = FILE"));
            }
            Some(verify) if verify.value == Verify::Pin => {}
            verify => {
                if let Some(verify) = verify.filter(|verify| verify.value == Verify::Chain) {
                    let problem = "\"chain\": whoever has any certificate of these authorities can stand between this gate and its backends";
                    let cure =
                        "verify = \"ca\", and server_name = NAME as in the backends' certificates";
                    self.findings.warnings.push(verify.complaint(problem, cure));
                }
                if told {
                    return;
                }
                let cure =
                    "ca = \"inside-ca.pem\"; for a trial without certificates: verify = \"off\"";
                let span = self.span.clone();
                let path = self.path("ca");
                self.findings.fault(
                    span.as_ref(),
                    path,
                    "is missing, and verify = \"ca\" or \"chain\" needs it",
                    cure,
                );
            }
        }
    }

    /// The certificates that a pool knows its backends by: written exactly where they count.
    pub(super) fn pins(
        &mut self,
        tls: BackendTls,
        verify: Option<&Located<Verify>>,
        key: Key<List<Pin>>,
    ) -> Vec<Pin> {
        let is_written = key.0.is_some();
        let is_wanted = verify.is_some_and(|verify| verify.value == Verify::Pin);
        let is_off = verify.is_some_and(|verify| verify.value == Verify::Off);
        let pins = self.located("pins", key);
        if let (Some(pins), true) = (&pins, is_off) {
            let problem = "would not be looked at: verify is \"off\"";
            let cure = "verify = \"pin\", or leave this key out";
            self.findings.faults.push(pins.complaint(problem, cure));
        }
        if let (Some(verify), true, false, true) =
            (verify, is_wanted, is_written, tls != BackendTls::Off)
        {
            let problem = "\"pin\" needs the certificates: pins is missing";
            let cure = "pins = [\"…\"], each as printed by: openssl x509 -in FILE -noout -fingerprint -sha256";
            self.findings.faults.push(verify.complaint(problem, cure));
        }
        pins.map_or_else(Vec::new, |pins| pins.value.0)
    }
}

/// The desk and the keys of a section that may be missing as a whole.
pub(super) fn once<'a, T: Default>(
    section: &str,
    keys: Option<Spanned<T>>,
    findings: &'a mut Findings,
) -> (Desk<'a>, T) {
    let span = keys.as_ref().map(Spanned::span);
    let keys = keys.map(Spanned::into_inner).unwrap_or_default();
    (
        Desk {
            path: section.to_owned(),
            span,
            findings,
        },
        keys,
    )
}

/// The desk and the keys of one of several sections.
pub(super) fn one_of_many<'a, T>(
    section: &str,
    index: usize,
    keys: Spanned<T>,
    findings: &'a mut Findings,
) -> (Desk<'a>, T) {
    let span = Some(keys.span());
    (
        Desk {
            path: format!("{section}[{index}]"),
            span,
            findings,
        },
        keys.into_inner(),
    )
}
