//! Certificates of a test: an authority, a server certificate for the loopback names, and what rustls makes of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::process::run;

/// Which TLS versions a peer of ours speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versions {
    Both,
    Only12,
    Only13,
}

impl Versions {
    fn list(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Both => vec![&TLS13, &TLS12],
            Self::Only12 => vec![&TLS12],
            Self::Only13 => vec![&TLS13],
        }
    }
}

/// A certificate authority and one server certificate for 127.0.0.1, the balancer's 127.0.0.5, ::1 and localhost.
pub(crate) struct Authority {
    ca_file: PathBuf,
    certificate_file: PathBuf,
    key_file: PathBuf,
    ca: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
    /// The authority's own key in PEM; one of openssl's has signed all it ever will.
    ca_key: Option<String>,
}

impl Authority {
    /// Makes both and writes their PEM files into a directory.
    pub(crate) fn new(dir: &Path) -> Self {
        let params = Self::own_params();
        let ca_key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&ca_key).unwrap();
        let ca_key_pem = ca_key.serialize_pem();
        let issuer = Issuer::new(params, ca_key);

        let names = ["localhost", "127.0.0.1", "127.0.0.5", "::1"]
            .map(str::to_owned)
            .to_vec();
        let mut params = CertificateParams::new(names).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "sluicegate test server");
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();

        let [ca_file, certificate_file, key_file] =
            ["ca.pem", "server.pem", "server.key"].map(|name| dir.join(name));
        std::fs::write(&ca_file, ca.pem()).unwrap();
        std::fs::write(&certificate_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        Self {
            ca_file,
            certificate_file,
            key_file,
            ca: ca.der().clone(),
            certificate: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
            ca_key: Some(ca_key_pem),
        }
    }

    fn own_params() -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "sluicegate test authority");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    /// Writes a certificate for one name, and its key; the paths of both.
    pub(crate) fn issue(&self, dir: &Path, name: &str) -> [PathBuf; 2] {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let ca_key = KeyPair::from_pem(self.ca_key.as_ref().unwrap()).unwrap();
        let issuer = Issuer::new(Self::own_params(), ca_key);
        let certificate = params.signed_by(&key, &issuer);
        let paths = ["pem", "key"].map(|kind| dir.join(format!("{name}.{kind}")));
        std::fs::write(&paths[0], certificate.unwrap().pem()).unwrap();
        std::fs::write(&paths[1], key.serialize_pem()).unwrap();
        paths
    }

    /// A server certificate that is its own authority (CA:TRUE), as `openssl req -x509` makes it.
    pub(crate) fn of_openssl(dir: &Path) -> Self {
        let [certificate_file, key_file] = ["own.pem", "own.key"].map(|name| dir.join(name));
        let mut command = Command::new("openssl");
        command.args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
        ]);
        command.args(["-subj", "/CN=ftp.inside", "-keyout"]);
        run(command.arg(&key_file).arg("-out").arg(&certificate_file)).ok();
        let certificate = CertificateDer::from_pem_file(&certificate_file).unwrap();
        Self {
            ca: certificate.clone(),
            key: PrivatePkcs8KeyDer::from_pem_file(&key_file).unwrap(),
            ca_key: None,
            ca_file: certificate_file.clone(),
            certificate,
            certificate_file,
            key_file,
        }
    }

    pub(crate) fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    pub(crate) fn certificate_file(&self) -> &Path {
        &self.certificate_file
    }

    pub(crate) fn key_file(&self) -> &Path {
        &self.key_file
    }

    /// A client that trusts the authority and remembers its sessions, as rustls does by default.
    pub(crate) fn client(&self, versions: Versions) -> Arc<ClientConfig> {
        self.client_with(aws_lc_rs::default_provider(), versions)
    }

    /// The same, and X25519MLKEM768 is what it likes best.
    pub(crate) fn hybrid_client(&self) -> Arc<ClientConfig> {
        let mut provider = aws_lc_rs::default_provider();
        provider
            .kx_groups
            .insert(0, aws_lc_rs::kx_group::X25519MLKEM768);
        self.client_with(provider, Versions::Only13)
    }

    fn client_with(&self, provider: CryptoProvider, versions: Versions) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&versions.list())
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }

    /// A server with the certificate, which remembers its sessions in memory, as rustls does by default.
    pub(crate) fn server(&self, versions: Versions) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions.list())
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![self.certificate.clone()],
                PrivateKeyDer::Pkcs8(self.key.clone_key()),
            )
            .unwrap();
        Arc::new(config)
    }
}
