//! Who shows whom a certificate: clients to the gate, and the gate to backends.

use std::path::PathBuf;

use super::ClientCertificates;
use super::desk::Desk;
use super::fault::Located;
use super::file::Key;
use crate::policy::{ClientIdentity, ClientTls};

/// What a listener does about its clients' certificates.
pub(super) struct Clients {
    pub(super) asked: ClientCertificates,
    pub(super) ca: Option<Located<PathBuf>>,
    pub(super) crl: Option<Located<PathBuf>>,
    pub(super) identity: ClientIdentity,
}

impl Desk<'_> {
    /// Whether clients are asked for certificates, by whom these must be made, and what they are good for.
    pub(super) fn client_certificates(
        &mut self,
        (asked, identity): (Key<ClientCertificates>, Key<ClientIdentity>),
        (ca, crl): (Key<PathBuf>, Key<PathBuf>),
        tls: ClientTls,
    ) -> Clients {
        // What cannot be read is told already, and may be any of the choices.
        let is_known = !matches!(asked.0, Some((_, Err(_))));
        let is_ca_written = ca.0.is_some();
        let asked = self.located("client_certificates", asked);
        let choice = asked
            .as_ref()
            .map_or(ClientCertificates::Off, |asked| asked.value);
        let (ca, crl) = (
            self.located("client_ca", ca),
            self.located("client_crl", crl),
        );
        match &asked {
            Some(asked) if choice != ClientCertificates::Off => {
                if !is_ca_written {
                    let problem = "needs to know whose certificates count: client_ca is missing";
                    self.findings
                        .faults
                        .push(asked.complaint(problem, "client_ca = \"partners-ca.pem\""));
                }
                if choice == ClientCertificates::Required && tls == ClientTls::Optional {
                    let problem = "\"required\" beside tls = \"optional\": a client without TLS would get in without a certificate";
                    self.findings
                        .faults
                        .push(asked.complaint(problem, "tls = \"required\""));
                }
            }
            _ if is_known => {
                for unused in [&ca, &crl].into_iter().flatten() {
                    let problem = "would not be looked at: client_certificates is \"off\"";
                    let cure = "client_certificates = \"required\", or leave this key out";
                    self.findings.faults.push(unused.complaint(problem, cure));
                }
            }
            _ => {}
        }
        let identity = self.located("client_identity", identity);
        if let Some(identity) = &identity
            && identity.value == ClientIdentity::User
            && choice != ClientCertificates::Required
            && is_known
        {
            let problem =
                "\"user\" where a client may come without a certificate, and then as anybody";
            let cure = "client_certificates = \"required\"";
            self.findings.faults.push(identity.complaint(problem, cure));
        }
        Clients {
            asked: choice,
            ca,
            crl,
            identity: identity.map_or(ClientIdentity::Ignore, |identity| identity.value),
        }
    }

    /// What the gate shows to backends: a certificate and its key, or neither.
    pub(super) fn own_certificate(
        &mut self,
        certificate: Key<PathBuf>,
        key: Key<PathBuf>,
    ) -> (Option<Located<PathBuf>>, Option<Located<PathBuf>>) {
        let are_written = [&certificate, &key].map(|key| key.0.is_some());
        let certificate = self.located("client_certificate", certificate);
        let key = self.located("client_key", key);
        let alone = match are_written {
            [true, false] => certificate.as_ref().map(|path| (path, "client_key")),
            [false, true] => key.as_ref().map(|path| (path, "client_certificate")),
            _ => None,
        };
        if let Some((path, other)) = alone {
            let problem = format!("is of no use alone: {other} is missing");
            let cure = format!("{other} = FILE beside it");
            self.findings.faults.push(path.complaint(problem, cure));
        }
        (certificate, key)
    }
}
