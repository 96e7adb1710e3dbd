//! Certificates of the gate's clients: an authority of their own, and cards that it issues, overdue and revoked ones among
//! them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::certs::{Authority, Versions};

/// The distinguished name of the partners' authority, as `openssl` prints it.
pub(crate) const AUTHORITY: &str = "CN = sluicegate test partners";

/// An authority that certifies clients, and the directory of its files.
pub(crate) struct Partners {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// What is in a card beside its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Good,
    Expired,
    NotYetValid,
    /// Its serial number stands in the authority's revocation list.
    Revoked,
}

/// A certificate of a client and its key, as files.
pub(crate) struct Card {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Partners {
    /// Makes an authority of this name; its files are in a folder of that name in `dir`.
    pub(crate) fn new(dir: &Path, word: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("sluicegate test {word}"));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let partners = Self {
            dir: dir.join(word),
            issuer: Issuer::new(params, key),
        };
        std::fs::create_dir(&partners.dir).unwrap();
        std::fs::write(partners.ca_file(), certificate.pem()).unwrap();
        std::fs::write(partners.crl_file(), partners.list()).unwrap();
        partners
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    pub(crate) fn crl_file(&self) -> PathBuf {
        self.dir.join("crl.pem")
    }

    /// The list of what has been revoked: every card of that kind.
    fn list(&self) -> String {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2124, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(REVOKED),
                revocation_time: date_time_ymd(2024, 1, 1),
                reason_code: Some(RevocationReason::KeyCompromise),
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// A card in this name, which is also the name of its files.
    pub(crate) fn card(&self, name: &str, kind: Kind) -> Card {
        let mut params = CertificateParams::new(vec![format!("{name}.partner.test")]).unwrap();
        let mail = format!("{name}@partner.test").try_into().unwrap();
        params.subject_alt_names.push(SanType::Rfc822Name(mail));
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        match kind {
            Kind::Good => {}
            Kind::Expired => params.not_after = date_time_ymd(2024, 2, 3),
            Kind::NotYetValid => params.not_before = date_time_ymd(2124, 2, 3),
            Kind::Revoked => params.serial_number = Some(SerialNumber::from(REVOKED)),
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |end: &str| self.dir.join(format!("{name}.{end}"));
        let card = Card {
            certificate: path("pem"),
            key: path("key"),
        };
        std::fs::write(&card.certificate, certificate.pem()).unwrap();
        std::fs::write(&card.key, key.serialize_pem()).unwrap();
        card
    }
}

impl Card {
    /// A client that trusts the authority of the gate, and shows this card to whoever asks.
    pub(crate) fn client(&self, authority: &Authority, versions: Versions) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&authority.client(versions));
        // Not that of the configuration it was cloned from.
        config.resumption = Resumption::in_memory_sessions(32);
        let chain = vec![CertificateDer::from_pem_file(&self.certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&self.key).unwrap();
        let key = CertifiedKey::from_der(chain, key, config.crypto_provider()).unwrap();
        config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(key));
        Arc::new(config)
    }

    pub(crate) fn certificate(&self) -> &str {
        self.certificate.to_str().unwrap()
    }

    pub(crate) fn key(&self) -> &str {
        self.key.to_str().unwrap()
    }
}

const REVOKED: u64 = 4711;
