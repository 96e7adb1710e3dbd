//! What a peer's certificate says of it, and the mark by which the same certificate is known again.

use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::config::Pin;
use crate::limits::{IDENTITY_NAMES_MAX, IDENTITY_TEXT_BYTES_MAX};
use crate::policy::PeerIdentity;

/// The SHA-256 of a certificate.
pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> Pin {
    let digest = digest::digest(&digest::SHA256, certificate);
    let mut pin = Pin([0; 32]);
    pin.0.copy_from_slice(digest.as_ref());
    pin
}

/// What a certificate that was verified says. One that only the verifier could read says no name.
pub(super) fn of(certificate: &CertificateDer<'_>) -> PeerIdentity {
    let mut identity = PeerIdentity {
        subject: String::new(),
        names: Vec::new(),
        alternatives: Vec::new(),
        issuer: String::new(),
        serial: String::new(),
        fingerprint: fingerprint(certificate).to_string(),
    };
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return identity;
    };
    identity.subject = cut(parsed.subject().to_string());
    identity.issuer = cut(parsed.issuer().to_string());
    identity.serial = cut(format!("{:x}", parsed.tbs_certificate.serial));
    let mut names = Vec::new();
    let common = parsed.subject().iter_common_name().next();
    names.extend(common.and_then(|name| name.as_str().ok()));
    let alternatives = parsed.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.map_or(&[][..], |found| &found.value.general_names);
    names.extend(alternatives.iter().filter_map(|name| match name {
        GeneralName::RFC822Name(name) | GeneralName::DNSName(name) => Some(*name),
        _ => None,
    }));
    // A name cut short would be another name: one that is too long is none.
    let names = names
        .into_iter()
        .filter(|name| name.len() <= IDENTITY_TEXT_BYTES_MAX);
    identity.names = names.take(IDENTITY_NAMES_MAX).map(str::to_owned).collect();
    let alternatives = alternatives.iter().filter_map(told);
    identity.alternatives = alternatives.take(IDENTITY_NAMES_MAX).map(cut).collect();
    identity
}

/// An alternative name with its kind, as OpenSSL writes it.
fn told(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::RFC822Name(name) => Some(format!("email:{name}")),
        GeneralName::DNSName(name) => Some(format!("DNS:{name}")),
        GeneralName::URI(name) => Some(format!("URI:{name}")),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from);
            v4.or(v6).ok().map(|address| format!("IP:{address}"))
        }
        _ => None,
    }
}

/// A text for the log, no longer than it may be.
fn cut(mut text: String) -> String {
    let end = text.floor_char_boundary(IDENTITY_TEXT_BYTES_MAX);
    text.truncate(end);
    text
}
