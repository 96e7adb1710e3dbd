//! The verifier of backends' certificates: up to three checks, and each mode of `verify` is some of them.
//!
//! Whoever shows a certificate must have its key, whatever the mode.

use std::error;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use super::identity::fingerprint;
use super::trusted;
use crate::config::Pin;

/// What a backend's certificate must stand.
#[derive(Debug)]
pub(super) struct Checks {
    /// The authorities of which one must have issued it, at this time and for servers.
    pub(super) roots: Option<RootCertStore>,
    /// Whether it must bear the expected name as well.
    pub(super) name: bool,
    /// Those of which it must be one, where there are any.
    pub(super) pins: Vec<Pin>,
    /// Who checks signatures.
    pub(super) provider: Arc<CryptoProvider>,
    /// Whose authorities these are: what was found by others says nothing here.
    pub(super) id: trusted::Id,
}

/// A certificate that is none of the pinned ones.
#[derive(Debug)]
struct Unpinned(Pin);

impl ServerCertVerifier for Checks {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let parsed = ParsedCertificate::try_from(end_entity)?;
            if !trusted::is_known(self.id, end_entity, intermediates, now) {
                let algorithms = self.provider.signature_verification_algorithms.all;
                verify_server_cert_signed_by_trust_anchor(
                    &parsed,
                    roots,
                    intermediates,
                    now,
                    algorithms,
                )?;
                trusted::learn(self.id, end_entity, intermediates, now);
            }
            if self.name {
                verify_server_name(&parsed, server_name)?;
            }
        }
        if !self.pins.is_empty() {
            let shown = fingerprint(end_entity);
            if !self.pins.contains(&shown) {
                let unpinned = OtherError(Arc::new(Unpinned(shown)));
                return Err(CertificateError::Other(unpinned).into());
            }
        }
        Ok(ServerCertVerified::assertion())
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
