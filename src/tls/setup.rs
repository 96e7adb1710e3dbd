//! From the configuration to rustls: server configurations for each listener, client configurations for each pool.
//!
//! They are bases: every session clones them and gives the clone a memory of its own for resumption. Here there is none,
//! so that no session can resume another's.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion, version};

use super::certs::{self, complaint};
use super::clients;
use super::hosts::{Chooser, HostCerts};
use super::trusted;
use super::verify::Checks;
use super::{ClientResume, ServerResume};
use crate::config::{
    Alpn, Complaint, Host, KeyExchange, Listener, Located, Pool, TlsVersions, Verify,
};
use crate::limits;
use crate::policy::{BackendTls, DataResumption};

/// How the legs of one listener's clients are secured.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// The base of every session's server configuration for its control connection.
    pub control: Arc<ServerConfig>,
    /// And for its data connections.
    data: Arc<ServerConfig>,
    /// For streams that are not FTP.
    streams: Option<Arc<ServerConfig>>,
    /// Data connections must resume.
    is_bound: bool,
    /// The certificates of its virtual hosts, where it has some (`with_hosts`).
    pub(super) hosts: Option<Arc<HostCerts>>,
}

/// How the legs to one pool are secured.
#[derive(Clone, Debug)]
pub struct PoolTls {
    /// The base of every session's client configuration for its control connection.
    pub config: Arc<ClientConfig>,
    /// And for data connections that have something to resume.
    resuming: Arc<ClientConfig>,
    /// A data connection must not be without post-quantum protection.
    is_hybrid: bool,
    /// Backends have to prove who they are.
    pub is_verified: bool,
    /// The name expected of each member, in the order of the pool.
    pub names: Vec<ServerName<'static>>,
}

impl ListenerTls {
    /// The same with the virtual hosts of its listener. `now` is the time at which their certificates must be valid.
    pub fn with_hosts<'a>(
        mut self,
        listener: &Listener,
        hosts: impl Iterator<Item = &'a Host>,
        now: SystemTime,
    ) -> Result<Self, Vec<Complaint>> {
        let provider = provider(groups(listener.key_exchange));
        let (mut loaded, mut complaints) = (Vec::new(), Vec::new());
        for host in hosts {
            let files = host.identity.as_ref();
            let own = files.map(|(cert, key)| identity(cert, key, &provider, now));
            match own.transpose() {
                Ok(identity) => loaded.push((host.name.value.clone(), identity.map(Arc::new))),
                Err(mut faults) => complaints.append(&mut faults),
            }
        }
        if !loaded.is_empty() {
            let own = Arc::clone(&self.control.cert_resolver);
            let certs = HostCerts::new(own, loaded, listener.strict_sni);
            self.hosts = Some(Arc::new(certs));
        }
        match complaints.is_empty() {
            true => Ok(self),
            false => Err(complaints),
        }
    }

    /// The configurations of one session.
    #[must_use]
    pub fn session(&self) -> ServerResume {
        self.session_for(None)
    }

    /// As `session`, for a client that has chosen this one of the hosts already.
    #[must_use]
    pub fn session_for(&self, host: Option<usize>) -> ServerResume {
        let resume = ServerResume::of(&self.control, &self.data, self.is_bound);
        match &self.hosts {
            Some(hosts) => resume.choosing(Chooser::new(Arc::clone(hosts), host)),
            None => resume,
        }
    }

    /// For streams that are not FTP as well: no protocol is named, and one connection resumes another's session, on
    /// whatever core it is.
    #[must_use]
    pub fn for_streams(mut self) -> Self {
        let mut config = ServerConfig::clone(&self.control);
        config.alpn_protocols.clear();
        config.send_tls13_tickets = limits::STREAM_TICKETS;
        config.enable_secret_extraction = self.data.enable_secret_extraction;
        // Without it nobody resumes, and everybody is served.
        if let Ok(ticketer) = aws_lc_rs::Ticketer::new() {
            config.ticketer = ticketer;
        }
        self.streams = Some(Arc::new(config));
        self
    }

    /// The configuration of streams that are not FTP, where there are some.
    #[must_use]
    pub fn streams(&self) -> Option<Arc<ServerConfig>> {
        self.streams.clone()
    }

    /// Whether data connections in TLS 1.3 have records of our own, so that they can be passed on in place.
    #[must_use]
    pub fn in_place(mut self, is_on: bool) -> Self {
        Arc::make_mut(&mut self.data).enable_secret_extraction = is_on;
        self
    }
}

impl PoolTls {
    /// The configurations of one session.
    #[must_use]
    pub fn session(&self) -> ClientResume {
        ClientResume::of(&self.config, &self.resuming, self.is_hybrid)
    }

    /// For streams that are not FTP, on one core: no protocol is named, and one connection resumes another's session.
    #[must_use]
    pub fn for_streams(&self) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols.clear();
        config.resumption = Resumption::in_memory_sessions(limits::STREAM_SESSIONS_KEPT);
        Arc::new(config)
    }

    /// As `ListenerTls::in_place`.
    #[must_use]
    pub fn in_place(mut self, is_on: bool) -> Self {
        Arc::make_mut(&mut self.config).enable_secret_extraction = is_on;
        Arc::make_mut(&mut self.resuming).enable_secret_extraction = is_on;
        self
    }
}

/// How a listener's legs are secured. `now` is the time at which its certificates must be valid.
pub fn server(listener: &Listener, now: SystemTime) -> Result<ListenerTls, Vec<Complaint>> {
    let control = provider(groups(listener.key_exchange));
    let own = match (&listener.certificate, &listener.key) {
        (Some(certificate), Some(key)) => identity(certificate, key, &control, now),
        // Only in a survey of a faulty text, which has told why.
        _ => return Err(Vec::new()),
    };
    let theirs = clients::verifier(listener, &control, now);
    let (own, theirs) = match (own, theirs) {
        (Ok(own), Ok(theirs)) => (Arc::new(SingleCertAndKey::from(own)), theirs),
        (own, theirs) => {
            return Err([own.err(), theirs.err()]
                .into_iter()
                .flatten()
                .flatten()
                .collect());
        }
    };
    let make = |provider| {
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(listener.tls_versions))
            .expect("the provider has suites for every version that can be configured")
            .with_client_cert_verifier(Arc::clone(&theirs))
            .with_cert_resolver(Arc::clone(&own) as Arc<_>);
        if listener.alpn == Alpn::Strict {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        config.send_tls13_tickets = limits::CONTROL_TICKETS;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config
    };
    let is_bound = listener.resumption == DataResumption::Required;
    let control = make(control);
    let mut data = match (listener.key_exchange, is_bound) {
        // All of them resume: what they resume protects them, and a second exchange would only cost. rustls goes by the
        // client's order, so the group must not be there to be chosen; a client that has to have it may.
        (KeyExchange::Preferred, true) => make(provider(CLASSICAL.to_vec())),
        _ => control.clone(),
    };
    if listener.alpn == Alpn::Strict {
        data.alpn_protocols = data_alpn();
    }
    Ok(ListenerTls {
        control: Arc::new(control),
        data: Arc::new(data),
        streams: None,
        is_bound,
        hosts: None,
    })
}

/// How to secure the legs to a pool; nothing where TLS is off. `now` is the time at which the gate's own certificate must
/// be valid, if it has one for the pool.
pub fn pool(pool: &Pool, now: SystemTime) -> Result<Option<PoolTls>, Vec<Complaint>> {
    if pool.tls == BackendTls::Off {
        return Ok(None);
    }
    let mut complaints = Vec::new();
    let names = names(pool, &mut complaints);
    let provider_of_control = provider(groups(pool.key_exchange));
    let verifier =
        verifier(pool, &provider_of_control).map_err(|complaint| complaints.extend(complaint));
    let own = match (&pool.client_certificate, &pool.client_key) {
        (Some(certificate), Some(key)) => {
            let own = identity(certificate, key, &provider_of_control, now);
            own.map_err(|faults| complaints.extend(faults))
                .ok()
                .map(|own| Arc::new(SingleCertAndKey::from(own)))
        }
        _ => None,
    };
    let (Ok(verifier), true) = (verifier, complaints.is_empty()) else {
        return Err(complaints);
    };
    let make = |provider| {
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(pool.tls_versions))
            .expect("the provider has suites for every version that can be configured")
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<_>);
        let mut config = match &own {
            Some(own) => builder.with_client_cert_resolver(Arc::clone(own) as Arc<_>),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        if pool.alpn {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        config
    };
    let config = make(provider_of_control);
    // A server that goes by our order, as rustls does, finds the classical groups first, and one that insists the other.
    let mut resuming = CLASSICAL.to_vec();
    if pool.key_exchange != KeyExchange::Off {
        resuming.push(X25519MLKEM768);
    }
    let mut resuming = make(provider(resuming));
    if pool.alpn {
        resuming.alpn_protocols = data_alpn();
    }
    // rustls resumes only under the same verifier and the same resolver.
    resuming.client_auth_cert_resolver = Arc::clone(&config.client_auth_cert_resolver);
    Ok(Some(PoolTls {
        config: Arc::new(config),
        resuming: Arc::new(resuming),
        is_hybrid: pool.key_exchange == KeyExchange::Required,
        is_verified: pool.verify != Verify::Off,
        names,
    }))
}

/// The name of FTP among protocols in TLS (RFC 7301; IANA's registry names RFC 959 and RFC 4217).
const ALPN: &[u8] = b"ftp";

/// The names for data connections: the registry has none for them, and peers that say one say `ftp-data`.
fn data_alpn() -> Vec<Vec<u8>> {
    vec![b"ftp-data".to_vec(), ALPN.to_vec()]
}

/// The groups of RFC 8446 that we take, the cheapest first.
const CLASSICAL: [&dyn SupportedKxGroup; 3] = [X25519, SECP256R1, SECP384R1];

/// The groups of a full handshake.
pub(super) fn groups(key_exchange: KeyExchange) -> Vec<&'static dyn SupportedKxGroup> {
    let hybrid = [X25519MLKEM768];
    match key_exchange {
        KeyExchange::Preferred => hybrid.into_iter().chain(CLASSICAL).collect(),
        KeyExchange::Required => hybrid.to_vec(),
        KeyExchange::Off => CLASSICAL.to_vec(),
    }
}

/// AWS-LC with the suites in the order of what they cost here: AES-128, AES-256, and ChaCha20 at eight times that.
pub(super) fn provider(groups: Vec<&'static dyn SupportedKxGroup>) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = groups;
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

/// A certificate of our own and its key; the faults of both at once.
pub(super) fn identity(
    certificate: &Located<PathBuf>,
    key_file: &Located<PathBuf>,
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<CertifiedKey, Vec<Complaint>> {
    let chain = certs::read(certificate).and_then(|bytes| certs::certificates(&bytes));
    let chain = chain.and_then(|chain| certs::valid(&chain, now).map(|()| chain));
    let key = certs::read(key_file).and_then(|bytes| certs::private_key(&bytes));
    match (chain, key) {
        (Ok(chain), Ok(key)) => certs::identity(chain, key, provider).map_err(|fault| {
            let at = match fault {
                certs::CertFault::BrokenCertificate(..) => certificate,
                _ => key_file,
            };
            vec![complaint(at, &fault)]
        }),
        (chain, key) => {
            let chain = chain.err().map(|fault| complaint(certificate, &fault));
            let key = key.err().map(|fault| complaint(key_file, &fault));
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

fn verifier(pool: &Pool, provider: &Arc<CryptoProvider>) -> Result<Arc<Checks>, Option<Complaint>> {
    let roots = match (pool.verify, &pool.ca) {
        (Verify::Pin | Verify::Off, _) => None,
        (Verify::Ca | Verify::Chain, Some(ca)) => {
            let roots = certs::read(ca).and_then(|bytes| certs::certificates(&bytes));
            let roots = roots.and_then(certs::authorities);
            Some(roots.map_err(|fault| complaint(ca, &fault))?)
        }
        // Only in a survey of a faulty text, which has told why; nothing is trusted then.
        (Verify::Ca | Verify::Chain, None) => return Err(None),
    };
    Ok(Arc::new(Checks {
        roots,
        name: pool.verify == Verify::Ca,
        pins: match pool.verify {
            Verify::Off => Vec::new(),
            _ => pool.pins.clone(),
        },
        provider: Arc::clone(provider),
        id: trusted::Id::new(),
    }))
}

#[cfg(test)]
#[path = "setup_tests.rs"]
mod tests;
