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
type Shown = Option<Located<PathBuf>>;

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

    /// What the gate shows of itself to clients, certificate and key; none where TLS is off, or where one is missing, which
    /// has been noted.
    pub(super) fn own_identity(
        &mut self,
        tls: ClientTls,
        certificate: Key<PathBuf>,
        key: Key<PathBuf>,
    ) -> (Shown, Shown) {
        if tls == ClientTls::Off {
            return (None, None);
        }
        let certificate = self.need("certificate", certificate, "\"gate.pem\"");
        (certificate, self.need("key", key, "\"gate.key\""))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read;
    use crate::config::tests::{complaints, with};

    const STREAM: &str = "[[listener]]\nname = \"s\"\nmode = \"stream\"\naddress = \"0.0.0.0:5432\"\npool = \"p\"\n\
                          tls = \"off\"\n[[pool]]\nname = \"p\"\nmembers = \"10.0.0.1:5432\"\ntls = \"off\"\n";

    #[test]
    fn a_stream_needs_no_more_than_it_has() {
        let config = read(STREAM).unwrap();
        let listener = &config.listeners[0];
        assert_eq!(
            (listener.mode, listener.tls),
            (Mode::Stream, ClientTls::Off)
        );
        assert!(listener.certificate.is_none() && listener.passive_ports.is_none());
        assert_eq!(config.warnings, []);
        let private = STREAM.replacen("tls = \"off\"", "tls = \"implicit\"", 1);
        assert_eq!(
            complaints(&private),
            [
                "1:1  listener[0].certificate: is missing",
                "1:1  listener[0].key: is missing",
            ]
        );
    }

    #[test]
    fn what_means_nothing_in_a_stream_is_refused() {
        let keys = "tls = \"off\"\nbanner = \"hi\"\npassive_ports = \"1-2\"\nkey = \"k\"";
        let text = STREAM.replacen("tls = \"off\"", keys, 1);
        assert_eq!(
            complaints(&text),
            [
                "7:10  listener[0].banner: means nothing beside mode = \"stream\"",
                "8:17  listener[0].passive_ports: means nothing beside mode = \"stream\"",
                "9:7  listener[0].key: has no effect beside tls = \"off\"",
            ]
        );
    }

    #[test]
    fn a_stream_says_whether_it_is_private_and_knows_no_auth() {
        let saying = |tls| STREAM.replacen("tls = \"off\"\n", tls, 1);
        let told = complaints(&saying(""));
        assert!(told[0].contains("listener[0].tls: is missing"), "{told:?}");
        let told = complaints(&saying("tls = \"optional\"\n"));
        assert!(told[2].contains("listener[0].tls: needs AUTH"), "{told:?}");
        let explicit = STREAM.replace("5432\"\ntls = \"off\"", "5432\"\nca = \"ca\"");
        let told = complaints(&explicit);
        assert!(
            told[0].contains("listener[0].mode: \"stream\" leads to pool \"p\""),
            "{told:?}"
        );
        let host = format!("{STREAM}[[host]]\nname = \"h.example\"\nlistener = \"s\"\n");
        let told = complaints(&host);
        assert!(
            told[0].contains("host[0].name: its listener has mode"),
            "{told:?}"
        );
        let ftp = with("certificate", "tls = \"off\"\ncertificate");
        assert!(complaints(&ftp)[0].contains("listener[0].tls: \"off\" is for mode"));
    }
}
