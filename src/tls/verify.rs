//! Verifiers for backends without an authority: `verify = "pin"` and `verify = "off"`.
//!
//! Whoever shows a certificate must have its key, with either of them.

use std::error;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use crate::config::Pin;

/// Takes certificates for what they are, not for what an authority says of them.
#[derive(Debug)]
pub(super) struct Lenient {
    /// Those that will do; nothing where any will.
    pins: Option<Vec<Pin>>,
    provider: Arc<CryptoProvider>,
}

/// A certificate that is none of the pinned ones.
#[derive(Debug)]
struct Unpinned(Pin);

impl Lenient {
    /// `verify = "off"`
    pub(super) fn any(provider: &Arc<CryptoProvider>) -> Arc<Self> {
        Arc::new(Self {
            pins: None,
            provider: Arc::clone(provider),
        })
    }

    /// `verify = "pin"`
    pub(super) fn pinned(provider: &Arc<CryptoProvider>, pins: &[Pin]) -> Arc<Self> {
        Arc::new(Self {
            pins: Some(pins.to_vec()),
            provider: Arc::clone(provider),
        })
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> Pin {
    let digest = digest::digest(&digest::SHA256, certificate);
    let mut pin = Pin([0; 32]);
    pin.0.copy_from_slice(digest.as_ref());
    pin
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(pins) = &self.pins else {
            return Ok(ServerCertVerified::assertion());
        };
        let shown = fingerprint(end_entity);
        if pins.contains(&shown) {
            return Ok(ServerCertVerified::assertion());
        }
        let unpinned = OtherError(Arc::new(Unpinned(shown)));
        Err(CertificateError::Other(unpinned).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl fmt::Display for Unpinned {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "its SHA-256 is none of the pool's pins: {}", self.0)
    }
}

impl error::Error for Unpinned {}
