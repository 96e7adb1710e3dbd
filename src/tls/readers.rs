//! TLS of the admin server and of `top`, which asks it: TLS 1.3 alone, as no reader of either is a mainframe.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use super::certs::{self, CertFault};
use super::{clients, setup};
use crate::config::{AdminTls, Complaint, KeyExchange};

/// The name of HTTP among protocols in TLS (RFC 7301 section 6): who wants to speak another one is refused.
const ALPN: &[u8] = b"http/1.1";

/// How the admin server proves who it is, and whom it asks for a certificate. `now` is the time at which its own must be
/// valid.
///
/// # Errors
/// Everything that is wrong with the files that it names.
pub fn server(admin: &AdminTls, now: SystemTime) -> Result<Arc<ServerConfig>, Vec<Complaint>> {
    let provider = setup::provider(setup::groups(KeyExchange::Preferred));
    let own = setup::identity(&admin.certificate, &admin.key, &provider, now);
    let theirs = match &admin.client_ca {
        Some(ca) => clients::made_by(ca, admin.client_crl.as_ref(), true, &provider, now),
        None => Ok(WebPkiClientVerifier::no_client_auth()),
    };
    let (own, theirs) = match (own, theirs) {
        (Ok(own), Ok(theirs)) => (own, theirs),
        (own, theirs) => {
            let faults = [own.err(), theirs.err()];
            return Err(faults.into_iter().flatten().flatten().collect());
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has suites of TLS 1.3")
        .with_client_cert_verifier(theirs)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// How one who asks knows the admin server, by these authorities; and what he shows of himself, certificate and key, if
/// anything.
///
/// # Errors
/// What is wrong with a file, for a person.
pub fn client(ca: &Path, own: Option<(&Path, &Path)>) -> Result<Arc<ClientConfig>, String> {
    let told = |file: &Path| {
        let file = file.display().to_string();
        move |fault: CertFault| format!("{file}: {fault}; {}", fault.cure())
    };
    let provider = setup::provider(setup::groups(KeyExchange::Preferred));
    let roots = certs::read(ca).and_then(|bytes| certs::certificates(&bytes));
    let roots = roots.and_then(certs::authorities).map_err(told(ca))?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has suites of TLS 1.3")
        .with_root_certificates(roots);
    let mut config = match own {
        Some((certificate, key)) => {
            let chain = certs::read(certificate).and_then(|bytes| certs::certificates(&bytes));
            let chain = chain.map_err(told(certificate))?;
            let secret = certs::read(key).and_then(|bytes| certs::private_key(&bytes));
            let secret = secret.map_err(told(key))?;
            let own = certs::identity(chain, secret, &provider).map_err(told(key))?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// The name or the address that a certificate of this host must bear.
#[must_use]
pub fn name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).ok()
}
