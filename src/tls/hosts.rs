//! Virtual hosts of one listener (RFC 6066 section 3, RFC 7151): the name in a client's handshake chooses the certificate.

use std::sync::{Arc, OnceLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificates of a listener and its hosts.
#[derive(Debug)]
pub(super) struct HostCerts {
    own: Arc<dyn ResolvesServerCert>,
    /// By name, in the order of the listener's hosts; nothing for those that have the listener's.
    hosts: Vec<(String, Option<Arc<CertifiedKey>>)>,
    /// Who names a host that is not there is refused.
    is_strict: bool,
}

impl HostCerts {
    pub(super) const fn new(
        own: Arc<dyn ResolvesServerCert>,
        hosts: Vec<(String, Option<Arc<CertifiedKey>>)>,
        is_strict: bool,
    ) -> Self {
        Self {
            own,
            hosts,
            is_strict,
        }
    }
}

/// The choice of one session: what its control connection has come to holds for data connections that name nobody.
#[derive(Debug)]
pub(super) struct Chooser {
    certs: Arc<HostCerts>,
    /// The host that was chosen before TLS began.
    said: Option<usize>,
    /// The name in the first handshake.
    shown: OnceLock<Box<str>>,
}

impl Chooser {
    pub(super) const fn new(certs: Arc<HostCerts>, said: Option<usize>) -> Self {
        Self {
            certs,
            said,
            shown: OnceLock::new(),
        }
    }

    /// The name that stood in the first handshake.
    pub(super) fn shown(&self) -> Option<&str> {
        self.shown.get().map(AsRef::as_ref)
    }
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            // That of the first alone: what the control connection has named, no data connection can change.
            self.shown.get_or_init(|| name.into());
        }
        let certs = &self.certs;
        let host = match hello.server_name().or_else(|| self.shown()) {
            None => self.said,
            Some(name) => {
                let mut hosts = certs.hosts.iter();
                let place = hosts.position(|(host, _)| host.eq_ignore_ascii_case(name));
                if place.is_none() && certs.is_strict {
                    return None;
                }
                place
            }
        };
        let chosen = host.and_then(|at| certs.hosts.get(at));
        match chosen {
            Some((_, Some(cert))) => Some(Arc::clone(cert)),
            _ => certs.own.resolve(hello),
        }
    }
}
