//! `mode = "stream"`: which keys a listener has that passes on whatever it is, and what else must fit.

use std::path::PathBuf;

use super::desk::Desk;
use super::fault::{Findings, Located};
use super::file::{Key, ListenerKeys, Section as _};
use super::relations::{ListenerDraft, PoolDraft};
use super::{Host, MissingCloseNotify, Mode, PortSpan};
use crate::policy::{BackendTls, ClientTls};

/// The keys that mean something where nothing is known of the bytes.
const KEYS: &[&str] = &[
    "name",
    "address",
    "pool",
    "tls",
    "certificate",
    "key",
    "tls_versions",
    "key_exchange",
    "client_certificates",
    "client_ca",
    "client_crl",
    "missing_close_notify",
    "steering",
    "proxy_protocol",
    "proxy_from",
];

/// A file of our identity, where we have one.
type Shown = Option<Option<Located<PathBuf>>>;

fn is_stream(mode: Option<&Located<Mode>>) -> bool {
    mode.is_some_and(|mode| mode.value == Mode::Stream)
}

impl Desk<'_> {
    /// What a listener's connections are, if it was written; and whether its keys are those of its mode.
    pub(super) fn mode(&mut self, keys: &mut ListenerKeys) -> Option<Located<Mode>> {
        let mode = self.located("mode", core::mem::take(&mut keys.mode));
        self.fits_mode(is_stream(mode.as_ref()), keys);
        mode
    }

    /// The ports of data connections, which streams have none of.
    pub(super) fn passive_ports(
        &mut self,
        mode: Option<&Located<Mode>>,
        key: Key<PortSpan>,
    ) -> Option<Located<PortSpan>> {
        match is_stream(mode) {
            true => None,
            false => self.need("passive_ports", key, "\"50000-50999\""),
        }
    }

    /// What a plain peer sees of an end that nobody vouches for.
    pub(super) fn missing_close_notify(
        &mut self,
        key: Key<MissingCloseNotify>,
    ) -> MissingCloseNotify {
        self.or("missing_close_notify", key, MissingCloseNotify::Reset)
    }

    fn fits_mode(&mut self, is_stream: bool, keys: &ListenerKeys) {
        let path = self.path("tls");
        let tls_span = keys.tls.0.as_ref().map(|(span, _)| span.clone());
        if !is_stream {
            if keys.tls.is(ClientTls::Off) {
                let problem = "\"off\" is for mode = \"stream\"";
                let cure = "tls = \"optional\" lets clients of FTP go without";
                self.findings.fault(tls_span.as_ref(), path, problem, cure);
            }
            if let Some((span, _)) = &keys.missing_close_notify.0 {
                let problem = "is for mode = \"stream\"";
                let path = self.path("missing_close_notify");
                let cure = "unfinished, here and in the pool, says it for transfers";
                self.findings.fault(Some(span), path, problem, cure);
            }
            return;
        }
        let cure = "tls = \"implicit\", or \"off\" for plain TCP";
        if tls_span.is_none() {
            let span = self.span.clone();
            let problem = "is missing: a stream is private or not, and nothing in it says so";
            self.findings.fault(span.as_ref(), path, problem, cure);
        } else if keys.tls.is(ClientTls::Required) || keys.tls.is(ClientTls::Optional) {
            let problem = "needs AUTH, which mode = \"stream\" does not know";
            self.findings.fault(tls_span.as_ref(), path, problem, cure);
        }
        let is_off = keys.tls.is(ClientTls::Off);
        for (key, span) in keys.written() {
            let problem = match key {
                "certificate" | "key" if is_off => "has no effect beside tls = \"off\"",
                key if KEYS.contains(&key) => continue,
                _ => "means nothing beside mode = \"stream\"",
            };
            let path = self.path(key);
            self.findings
                .fault(Some(&span), path, problem, "leave this key out");
        }
    }

    /// What the gate shows of itself to clients, certificate and key; none where TLS is off, and nothing where one is missing.
    pub(super) fn own_identity(
        &mut self,
        tls: ClientTls,
        certificate: Key<PathBuf>,
        key: Key<PathBuf>,
    ) -> (Shown, Shown) {
        if tls == ClientTls::Off {
            return (Some(None), Some(None));
        }
        let certificate = self.need("certificate", certificate, "\"gate.pem\"");
        let key = self.need("key", key, "\"gate.key\"");
        (certificate.map(Some), key.map(Some))
    }
}

/// Notes what does not fit between listeners for streams and other sections.
pub(super) fn check(
    listeners: &[ListenerDraft],
    pools: &[PoolDraft],
    hosts: &[Host],
    findings: &mut Findings,
) {
    for (at, draft) in listeners.iter().enumerate() {
        let Some(mode) = draft
            .mode
            .as_ref()
            .filter(|mode| mode.value == Mode::Stream)
        else {
            continue;
        };
        let pool = pools.iter().find(|pool| pool.index == draft.listener.pool);
        if let Some(pool) = pool
            && !matches!(pool.pool.tls, BackendTls::Off | BackendTls::Implicit)
        {
            let problem = format!(
                "\"stream\" leads to pool {:?}, whose tls needs AUTH or goes by it",
                pool.pool.name
            );
            let cure = "tls = \"implicit\" or \"off\" in that pool";
            findings.faults.push(mode.complaint(problem, cure));
        }
        for host in hosts.iter().filter(|host| host.listener == at) {
            let problem = "its listener has mode = \"stream\", which leads to one pool";
            let cure = "a listener of its own for each pool";
            findings.faults.push(host.name.complaint(problem, cure));
        }
    }
}
