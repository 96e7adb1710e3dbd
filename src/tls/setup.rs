//! From the configuration to rustls: one server configuration for each listener, one client configuration for each pool.
//!
//! They are bases: every session clones them and gives the clone a memory of its own for resumption. Here there is none,
//! so that no session can resume another's.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion, version};

use super::certs;
use super::verify::Lenient;
use crate::config::{Complaint, Listener, Located, Pool, TlsVersions, Verify};
use crate::limits;
use crate::policy::BackendTls;

/// How the legs to one pool are secured.
#[derive(Clone, Debug)]
pub struct PoolTls {
    /// The base of every session's client configuration.
    pub config: Arc<ClientConfig>,
    /// The name expected of each member, in the order of the pool.
    pub names: Vec<ServerName<'static>>,
}

/// The base of a listener's server configurations. `now` is the time at which its certificates must be valid.
pub fn server(listener: &Listener, now: SystemTime) -> Result<Arc<ServerConfig>, Vec<Complaint>> {
    let provider = provider();
    let identity = identity(listener, &provider, now)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(listener.tls_versions))
        .expect("the provider has suites for every version that can be configured")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    config.send_tls13_tickets = limits::CONTROL_TICKETS;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// How to secure the legs to a pool; nothing where TLS is off.
pub fn pool(pool: &Pool) -> Result<Option<PoolTls>, Vec<Complaint>> {
    if pool.tls == BackendTls::Off {
        return Ok(None);
    }
    let mut complaints = Vec::new();
    let names = names(pool, &mut complaints);
    let provider = provider();
    let verifier = verifier(pool, &provider).map_err(|complaint| complaints.extend(complaint));
    let (Ok(verifier), true) = (verifier, complaints.is_empty()) else {
        return Err(complaints);
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(pool.tls_versions))
        .expect("the provider has suites for every version that can be configured")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Some(PoolTls {
        config: Arc::new(config),
        names,
    }))
}

/// AWS-LC with the suites in the order of what they cost here: AES-128, AES-256, and ChaCha20 at eight times that.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        let name = format!("{:?}", suite.suite());
        (
            !name.starts_with("TLS13"),
            ["AES_128", "AES_256"]
                .iter()
                .position(|cipher| name.contains(cipher))
                .unwrap_or(2),
        )
    });
    Arc::new(provider)
}

fn versions(allowed: TlsVersions) -> Vec<&'static SupportedProtocolVersion> {
    let all = [
        (allowed.v1_3, &version::TLS13),
        (allowed.v1_2, &version::TLS12),
    ];
    all.into_iter()
        .filter_map(|(allowed, version)| allowed.then_some(version))
        .collect()
}

/// The listener's certificate and key; the faults of both at once.
fn identity(
    listener: &Listener,
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<CertifiedKey, Vec<Complaint>> {
    let chain = certs::read(&listener.certificate).and_then(|bytes| certs::certificates(&bytes));
    let chain = chain.and_then(|chain| certs::valid(&chain, now).map(|()| chain));
    let key = certs::read(&listener.key).and_then(|bytes| certs::private_key(&bytes));
    match (chain, key) {
        (Ok(chain), Ok(key)) => certs::identity(chain, key, provider).map_err(|fault| {
            let at = match fault {
                certs::CertFault::BrokenCertificate(..) => &listener.certificate,
                _ => &listener.key,
            };
            vec![complaint(at, &fault)]
        }),
        (chain, key) => {
            let chain = chain
                .err()
                .map(|fault| complaint(&listener.certificate, &fault));
            let key = key.err().map(|fault| complaint(&listener.key, &fault));
            Err(chain.into_iter().chain(key).collect())
        }
    }
}

fn names(pool: &Pool, complaints: &mut Vec<Complaint>) -> Vec<ServerName<'static>> {
    let parse = |name: &str| ServerName::try_from(name.to_owned());
    let mut names = Vec::new();
    for member in pool.members.iter() {
        let name = match &pool.server_name {
            Some(written) => parse(written).map_err(|_| {
                written.complaint(
                    format!("{:?} cannot stand in a certificate", written.value),
                    "a DNS name or an IP address",
                )
            }),
            None => parse(&member.host).map_err(|_| {
                let problem = format!("{:?} cannot stand in a certificate", member.host);
                pool.members
                    .complaint(problem, "another host, or server_name = NAME beside it")
            }),
        };
        match name {
            Ok(name) => names.push(name),
            Err(complaint) => complaints.push(complaint),
        }
    }
    // A wrong server_name is wrong for every member, and one complaint says so.
    complaints.dedup();
    names
}

fn verifier(
    pool: &Pool,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Option<Complaint>> {
    let ca = match (pool.verify, &pool.ca) {
        (Verify::Off, _) => return Ok(Lenient::any(provider)),
        (Verify::Pin, _) => return Ok(Lenient::pinned(provider, &pool.pins)),
        (Verify::Ca, Some(ca)) => ca,
        // Only in a survey of a faulty text, which has told why; nothing is trusted then.
        (Verify::Ca, None) => return Err(None),
    };
    let roots = certs::read(ca).and_then(|bytes| certs::certificates(&bytes));
    let roots = roots
        .and_then(certs::authorities)
        .map_err(|fault| complaint(ca, &fault))?;
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let verifier = verifier
        .map_err(|error| ca.complaint(error.to_string(), "name a file with authorities"))?;
    Ok(verifier)
}

fn complaint(path: &Located<PathBuf>, fault: &certs::CertFault) -> Complaint {
    path.complaint(format!("{}: {fault}", path.display()), fault.cure())
}

#[cfg(test)]
#[path = "setup_tests.rs"]
mod tests;
