//! Which TLS a measurement is made with, the same on both of its ends: figures of other ciphers cannot be compared.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, X25519};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::certificates::Authority;

/// The versions of TLS that are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Version {
    /// TLS 1.2 alone.
    #[value(name = "1.2")]
    Twelve,
    /// TLS 1.3 alone.
    #[value(name = "1.3")]
    Thirteen,
    /// Whatever the other end likes best.
    #[default]
    Any,
}

/// The ciphers that are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Cipher {
    /// AES-128-GCM alone.
    #[value(name = "aes-128")]
    Aes128,
    /// AES-256-GCM alone.
    #[value(name = "aes-256")]
    Aes256,
    /// ChaCha20-Poly1305 alone.
    #[value(name = "chacha20")]
    ChaCha20,
    /// All of them.
    #[default]
    Any,
}

impl Version {
    pub(super) fn allowed(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Twelve => vec![&TLS12],
            Self::Thirteen => vec![&TLS13],
            Self::Any => vec![&TLS13, &TLS12],
        }
    }
}

impl Cipher {
    /// AWS-LC with these ciphers, and without post-quantum groups: the OpenSSL of today's peers has none.
    pub(super) fn provider(self) -> Arc<CryptoProvider> {
        let mut provider = aws_lc_rs::default_provider();
        let part = match self {
            Self::Aes128 => "AES_128",
            Self::Aes256 => "AES_256",
            Self::ChaCha20 => "CHACHA20",
            Self::Any => "",
        };
        provider
            .cipher_suites
            .retain(|suite| format!("{:?}", suite.suite()).contains(part));
        provider.kx_groups = vec![X25519, SECP256R1];
        Arc::new(provider)
    }
}

/// Makes an authority (`ca.pem`) and what it issues to a gate and a backend on this machine (`gate.pem`, `gate.key`,
/// `backend.pem`, `backend.key`: ECDSA, P-256), unless they are there already.
pub(super) fn make_identities(folder: &Path) -> Result<(), String> {
    let names = ["gate", "backend"];
    let is_there = |name: &&str| folder.join(format!("{name}.key")).exists();
    if folder.join(AUTHORITY).exists() && names.iter().all(is_there) {
        return Ok(());
    }
    let told = |fault: super::certificates::Fault| fault.to_string();
    let authority = Authority::new().map_err(told)?;
    fs::create_dir_all(folder).map_err(|error| tell(folder, &error))?;
    let here: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for name in names {
        let identity = authority.issue(&["localhost"], &here).map_err(told)?;
        write(
            &folder.join(format!("{name}.pem")),
            &identity.certificate_pem(),
        )?;
        write(&folder.join(format!("{name}.key")), &identity.key_pem())?;
    }
    write(&folder.join(AUTHORITY), &authority.pem())
}

const AUTHORITY: &str = "ca.pem";

/// A server that shows the backend's certificate of a folder of `make_identities`.
pub(super) fn server(
    folder: &Path,
    version: Version,
    cipher: Cipher,
) -> Result<Arc<ServerConfig>, String> {
    let (chain, key) = (folder.join("backend.pem"), folder.join("backend.key"));
    let key = PrivateKeyDer::from_pem_file(&key).map_err(|fault| tell(&key, &fault))?;
    let config = ServerConfig::builder_with_provider(cipher.provider())
        .with_protocol_versions(&version.allowed())
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(certificates(&chain)?, key)
        });
    config.map(Arc::new).map_err(|fault| tell(&chain, &fault))
}

/// A client that trusts the authorities of a file.
pub(super) fn client(
    ca: &Path,
    version: Version,
    cipher: Cipher,
) -> Result<Arc<ClientConfig>, String> {
    let config = || {
        let mut roots = RootCertStore::empty();
        for authority in certificates(ca)? {
            roots.add(authority)?;
        }
        let builder = ClientConfig::builder_with_provider(cipher.provider())
            .with_protocol_versions(&version.allowed())?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        // A session has a memory of its own (`tls::ClientResume`); a stream begins with a full handshake.
        config.resumption = Resumption::disabled();
        Ok(config)
    };
    config()
        .map(Arc::new)
        .map_err(|fault: rustls::Error| tell(ca, &fault))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, rustls::Error> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    read.map_err(|fault: rustls::pki_types::pem::Error| rustls::Error::General(fault.to_string()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let written: io::Result<()> = fs::write(path, text);
    written.map_err(|error| tell(path, &error))
}

fn tell(path: &Path, fault: &dyn std::fmt::Display) -> String {
    format!("{}: {fault}", path.display())
}
