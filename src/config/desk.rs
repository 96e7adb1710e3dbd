//! The desk at which one section is read: it takes the values of keys and notes what is wrong with them.

use core::ops::Range;

use toml::Spanned;

use super::fault::{Findings, Located};
use super::file::Key;
use super::nearest::nearest;
use super::value::{Leaf, List, Name};
use super::{TlsVersion, TlsVersions, Verify};
use crate::policy::{BackendTls, ClientProtection, ClientTls};

/// The section that is being read: where its keys are, and where complaints about it go.
pub(super) struct Desk<'a> {
    path: String,
    span: Option<Range<usize>>,
    pub(super) findings: &'a mut Findings,
}

impl Desk<'_> {
    /// The path of one of its keys.
    fn path(&self, key: &str) -> String {
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

    pub(super) fn versions(&mut self, key: Key<List<TlsVersion>>) -> TlsVersions {
        let both = List(vec![TlsVersion::V1_2, TlsVersion::V1_3]);
        let versions = self.or("tls_versions", key, both).0;
        TlsVersions {
            v1_2: versions.contains(&TlsVersion::V1_2),
            v1_3: versions.contains(&TlsVersion::V1_3),
        }
    }

    /// The index of the pool that a listener names.
    pub(super) fn pool(&mut self, name: &Located<Name>, pools: &[Option<String>]) -> Option<usize> {
        let wanted = name.0.as_str();
        let index = pools
            .iter()
            .position(|pool| pool.as_deref() == Some(wanted));
        // Where a pool's own name cannot be read, it may be the one that is meant: that fault is already noted.
        if index.is_none() && !pools.is_empty() && pools.iter().all(Option::is_some) {
            let names: Vec<&str> = pools.iter().flatten().map(String::as_str).collect();
            let cure = match nearest(wanted, names.iter().copied()) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => format!("pools: {}", names.join(", ")),
            };
            self.findings
                .faults
                .push(name.complaint(format!("there is no pool {wanted:?}"), cure));
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
            (ClientTls::Optional, None) => ClientProtection::Any,
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
            _ if told => {}
            _ => {
                let cure =
                    "ca = \"inside-ca.pem\"; for a trial without certificates: verify = \"off\"";
                let span = self.span.clone();
                let path = self.path("ca");
                self.findings.fault(
                    span.as_ref(),
                    path,
                    "is missing, and verify = \"ca\" needs it",
                    cure,
                );
            }
        }
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
