//! Certificates and keys from PEM files, and a sentence for each way in which they can be wrong.
//!
//! Only the gate's own threads come here, before a shard starts: files are read with the standard library.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, RootCertStore};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::{Complaint, Located};
use crate::limits;

/// Why a PEM file cannot be used.
#[derive(Debug, PartialEq)]
pub(super) enum CertFault {
    /// There is no such file.
    Missing,
    /// The process may not read it.
    Forbidden,
    /// It is something else than a file.
    NotAFile,
    /// It is longer than any chain of certificates.
    TooLong,
    /// The disk says no.
    Unreadable(String),
    /// It begins like PEM and goes on otherwise.
    BrokenPem(String),
    /// There is no certificate in it; what there is instead, if that is known.
    NoCertificate(Option<&'static str>),
    /// There is no private key in it; what there is instead, if that is known.
    NoKey(Option<&'static str>),
    /// The key is locked by a passphrase.
    EncryptedKey,
    /// The key is of no kind that can sign a handshake.
    UnusableKey(String),
    /// The certificate, counted from 1, cannot be understood.
    BrokenCertificate(usize, String),
    /// The certificate, counted from 1, is no longer valid: its subject, and since when.
    Expired(usize, String, String),
    /// The certificate, counted from 1, is not valid yet: its subject, and from when on.
    NotYetValid(usize, String, String),
    /// The key belongs to another certificate than the first.
    Mismatch,
    /// There is no revocation list in it; what there is instead, if that is known.
    NoList(Option<&'static str>),
    /// A revocation list cannot be understood.
    BrokenList(String),
    /// A revocation list should have been followed by another: its issuer, and since when.
    OverdueList(String, String),
}

impl fmt::Display for CertFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "there is no such file"),
            Self::Forbidden => write!(f, "this process may not read it"),
            Self::NotAFile => write!(f, "is not a file"),
            Self::TooLong => write!(f, "is longer than {} bytes", limits::PEM_BYTES_MAX),
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Self::BrokenPem(why) => write!(f, "is broken PEM: {why}"),
            Self::NoCertificate(None) => write!(f, "holds no PEM certificate"),
            Self::NoCertificate(Some(found)) => write!(f, "holds no PEM certificate but {found}"),
            Self::NoKey(None) => write!(f, "holds no PEM private key"),
            Self::NoKey(Some(found)) => write!(f, "holds no PEM private key but {found}"),
            Self::EncryptedKey => write!(f, "holds a key that is encrypted"),
            Self::UnusableKey(why) => {
                write!(f, "holds a key of a kind that is not supported: {why}")
            }
            Self::BrokenCertificate(number, why) => {
                write!(f, "certificate {number} cannot be used: {why}")
            }
            Self::Expired(number, subject, since) => {
                write!(f, "certificate {number} ({subject}) has expired on {since}")
            }
            Self::NotYetValid(number, subject, from) => {
                write!(
                    f,
                    "certificate {number} ({subject}) is valid only from {from} on"
                )
            }
            Self::NoList(None) => write!(f, "holds no PEM revocation list"),
            Self::NoList(Some(found)) => write!(f, "holds no PEM revocation list but {found}"),
            Self::BrokenList(why) => write!(f, "a revocation list cannot be used: {why}"),
            Self::OverdueList(issuer, since) => {
                write!(
                    f,
                    "the revocation list of {issuer} was to be renewed on {since}"
                )
            }
            Self::Mismatch => write!(
                f,
                "the key does not belong to the first certificate of the chain"
            ),
        }
    }
}

impl CertFault {
    /// What to do about it.
    pub(super) fn cure(&self) -> &'static str {
        match self {
            Self::Missing => {
                "correct the path; relative ones are taken from the directory of the configuration"
            }
            Self::Forbidden => {
                "let the user that runs sluicegate read it, and enter every directory above it"
            }
            Self::NotAFile | Self::TooLong | Self::Unreadable(_) => "name a readable PEM file",
            Self::BrokenPem(_) => "copy the file again, whole, with its BEGIN and END lines",
            Self::NoCertificate(Some("DER")) => {
                "convert it: openssl x509 -inform der -in FILE -out FILE.pem"
            }
            Self::NoCertificate(_) => "name the file that has -----BEGIN CERTIFICATE----- in it",
            Self::NoKey(Some("DER")) => {
                "convert it: openssl pkey -inform der -in FILE -out FILE.pem"
            }
            Self::NoKey(_) => "name the file that has -----BEGIN PRIVATE KEY----- in it",
            Self::EncryptedKey => {
                "decrypt it (openssl pkey -in FILE -out NEW) and let only this process read it"
            }
            Self::UnusableKey(_) => {
                "use an RSA key of 2048 to 8192 bits, or an ECDSA key on P-256, P-384 or P-521"
            }
            Self::BrokenCertificate(..) => "ask its issuer for an X.509 version 3 certificate",
            Self::Expired(..) => "renew it; if it is new, look at the clock of this machine",
            Self::NotYetValid(..) => "look at the clock of this machine, or wait",
            Self::NoList(Some("DER")) => {
                "convert it: openssl crl -inform der -in FILE -out FILE.pem"
            }
            Self::NoList(_) => "name the file that has -----BEGIN X509 CRL----- in it",
            Self::BrokenList(_) | Self::OverdueList(..) => {
                "fetch the list again from the authority that issues it"
            }
            Self::Mismatch => {
                "name the key that the certificate was made for, and put that certificate first"
            }
        }
    }
}

/// The complaint about a file, where it was named.
pub(super) fn complaint(path: &Located<PathBuf>, fault: &CertFault) -> Complaint {
    path.complaint(format!("{}: {fault}", path.display()), fault.cure())
}

/// The bytes of a PEM file. Only of a file: reading a pipe could wait for ever.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CertFault> {
    let facts = fs::metadata(path).map_err(read_fault)?;
    if !facts.is_file() {
        return Err(CertFault::NotAFile);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(read_fault)?;
    file.take(limits::PEM_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(read_fault)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= limits::PEM_BYTES_MAX => Ok(bytes),
        _ => Err(CertFault::TooLong),
    }
}

/// What the kernel said, in the words of this house.
pub(super) fn read_fault(error: io::Error) -> CertFault {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => CertFault::Missing,
        io::ErrorKind::PermissionDenied => CertFault::Forbidden,
        _ => CertFault::Unreadable(error.to_string()),
    }
}

/// Every certificate of a PEM text, at least one, in the order of the text.
pub(super) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertFault> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| pem_fault(&error))?;
    if chain.is_empty() {
        return Err(CertFault::NoCertificate(found(bytes)));
    }
    for (number, certificate) in (1..).zip(&chain) {
        parsed(number, certificate)?;
    }
    Ok(chain)
}

/// Every revocation list of a PEM text, at least one.
pub(super) fn revocations(
    bytes: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, CertFault> {
    let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| pem_fault(&error))?;
    match lists.is_empty() {
        true => Err(CertFault::NoList(found(bytes))),
        false => Ok(lists),
    }
}

/// Whether every certificate of a chain is valid at a time.
pub(super) fn valid(chain: &[CertificateDer<'_>], now: SystemTime) -> Result<(), CertFault> {
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(since_epoch).unwrap_or(i64::MAX);
    for (number, certificate) in (1..).zip(chain) {
        let certificate = parsed(number, certificate)?;
        let subject = || certificate.subject().to_string();
        let span = certificate.validity();
        if now > span.not_after.timestamp() {
            return Err(CertFault::Expired(
                number,
                subject(),
                span.not_after.to_string(),
            ));
        }
        if now < span.not_before.timestamp() {
            return Err(CertFault::NotYetValid(
                number,
                subject(),
                span.not_before.to_string(),
            ));
        }
    }
    Ok(())
}

/// When the first of these certificates expires, in seconds since 1970; not if one of them cannot be read.
pub(super) fn earliest_end<'c>(
    certificates: impl IntoIterator<Item = &'c CertificateDer<'c>>,
) -> Option<i64> {
    let end =
        |one: &CertificateDer<'_>| Some(parsed(0, one).ok()?.validity().not_after.timestamp());
    let ends: Option<Vec<_>> = certificates.into_iter().map(end).collect();
    ends?.into_iter().min()
}

fn parsed<'a>(
    number: usize,
    certificate: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, CertFault> {
    X509Certificate::from_der(certificate)
        .map(|(_, certificate)| certificate)
        .map_err(|error| CertFault::BrokenCertificate(number, error.to_string()))
}

/// The first private key of a PEM text.
pub(super) fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, CertFault> {
    // Both forms: "BEGIN ENCRYPTED PRIVATE KEY" (RFC 7468 section 11), and the older header "Proc-Type: 4,ENCRYPTED".
    if has(bytes, b"ENCRYPTED") {
        return Err(CertFault::EncryptedKey);
    }
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => CertFault::NoKey(found(bytes)),
        other => pem_fault(&other),
    })
}

/// A chain and its key as one identity.
pub(super) fn identity(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertFault> {
    let signing = provider.key_provider.load_private_key(key);
    let signing = signing.map_err(|error| CertFault::UnusableKey(plain(&error)))?;
    let identity = CertifiedKey::new(chain, signing);
    match identity.keys_match() {
        // Unknown: the key does not tell its public half, which then has to be trusted to fit.
        Ok(()) | Err(Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(identity),
        Err(Error::InconsistentKeys(_)) => Err(CertFault::Mismatch),
        Err(other) => Err(CertFault::BrokenCertificate(1, plain(&other))),
    }
}

/// Certificates as authorities.
pub(super) fn authorities(chain: Vec<CertificateDer<'static>>) -> Result<RootCertStore, CertFault> {
    let mut roots = RootCertStore::empty();
    for (number, certificate) in (1..).zip(chain) {
        let added = roots.add(certificate);
        added.map_err(|error| CertFault::BrokenCertificate(number, plain(&error)))?;
    }
    Ok(roots)
}

/// What rustls says, without the words by which it begins every general error.
fn plain(error: &Error) -> String {
    match error {
        Error::General(why) => why.clone(),
        other => other.to_string(),
    }
}

fn pem_fault(error: &pem::Error) -> CertFault {
    let why = match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!(
                "the END line of {} is missing",
                String::from_utf8_lossy(end_marker).escape_debug()
            )
        }
        pem::Error::IllegalSectionStart { .. } => {
            "a BEGIN line does not end in five dashes".to_owned()
        }
        pem::Error::Base64Decode(_) => "what stands between BEGIN and END is not base64".to_owned(),
        other => other.to_string(),
    };
    CertFault::BrokenPem(why)
}

/// What a file holds, when it is not what was looked for.
fn found(bytes: &[u8]) -> Option<&'static str> {
    let kinds: [(&[u8], &str); 5] = [
        (b"PRIVATE KEY-----", "a private key"),
        (b"BEGIN CERTIFICATE REQUEST", "a certificate request"),
        (
            b"BEGIN TRUSTED CERTIFICATE",
            "a certificate in OpenSSL's own form",
        ),
        (b"BEGIN CERTIFICATE", "a certificate"),
        (b"BEGIN PUBLIC KEY", "a public key"),
    ];
    let kind = kinds
        .iter()
        .find(|(mark, _)| has(bytes, mark))
        .map(|(_, kind)| *kind);
    // DER begins with a SEQUENCE whose length takes two bytes (X.690 section 8.1.3); no PEM text does.
    kind.or_else(|| bytes.starts_with(&[0x30, 0x82]).then_some("DER"))
}

fn has(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark)
}
