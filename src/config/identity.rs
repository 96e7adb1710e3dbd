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
        self.pair(("client_certificate", certificate), ("client_key", key))
    }

    /// A certificate and its key, each with the name of what was written: both or neither.
    pub(super) fn pair(
        &mut self,
        (certificate_name, certificate): (&str, Key<PathBuf>),
        (key_name, key): (&str, Key<PathBuf>),
    ) -> (Option<Located<PathBuf>>, Option<Located<PathBuf>>) {
        let are_written = [&certificate, &key].map(|key| key.0.is_some());
        let certificate = self.located(certificate_name, certificate);
        let key = self.located(key_name, key);
        let alone = match are_written {
            [true, false] => certificate.as_ref().map(|path| (path, key_name)),
            [false, true] => key.as_ref().map(|path| (path, certificate_name)),
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

#[cfg(test)]
mod tests {
    use crate::config::{ClientCertificates, read};
    use crate::policy::ClientIdentity;

    const MINIMAL: &str = include_str!("../../config/minimal.toml");

    fn complaints(listener: &str, pool: &str) -> Vec<String> {
        let text = MINIMAL
            .replacen("certificate", &format!("{listener}\ncertificate"), 1)
            .replacen("\nca =", &format!("\n{pool}\nca ="), 1);
        let faults = read(&text).err().unwrap_or_default();
        let told = |fault: &crate::config::Complaint| format!("{}: {}", fault.key, fault.problem);
        faults.iter().map(told).collect()
    }

    #[test]
    fn what_makes_sense_together_is_taken() {
        let listener = "client_certificates = \"required\"\nclient_ca = \"a\"\nclient_crl = \"b\"\n\
             client_identity = \"user\"";
        assert_eq!(complaints(listener, ""), [""; 0]);
        assert_eq!(
            complaints("", "client_certificate = \"a\"\nclient_key = \"b\""),
            [""; 0]
        );
        let text = MINIMAL.replacen("certificate", &format!("{listener}\ncertificate"), 1);
        let config = read(&text).unwrap().relative_to("/etc/gate".as_ref());
        let listener = &config.listeners[0];
        assert_eq!(listener.client_certificates, ClientCertificates::Required);
        assert_eq!(listener.client_identity, ClientIdentity::User);
        let paths = [&listener.client_ca, &listener.client_crl];
        let paths = paths.map(|path| path.as_ref().unwrap().display().to_string());
        assert_eq!(paths, ["/etc/gate/a", "/etc/gate/b"]);
    }

    #[test]
    fn a_door_that_would_stand_open_is_a_fault() {
        for (listener, problem) in [
            (
                "client_certificates = \"optional\"",
                "client_certificates: needs to know whose",
            ),
            (
                "client_certificates = \"required\"\nclient_ca = \"a\"\ntls = \"optional\"",
                "client_certificates: \"required\" beside tls = \"optional\"",
            ),
            ("client_ca = \"a\"", "client_ca: would not be looked at"),
            ("client_crl = \"a\"", "client_crl: would not be looked at"),
            (
                "client_identity = \"user\"",
                "client_identity: \"user\" where a client may come without",
            ),
            (
                "client_certificates = \"optional\"\nclient_ca = \"a\"\nclient_identity = \"user\"",
                "client_identity: \"user\" where a client may come without",
            ),
        ] {
            let told = complaints(listener, "");
            let expected = format!("listener[0].{problem}");
            assert!(
                told.len() == 1 && told[0].starts_with(&expected),
                "{told:?}"
            );
        }
        // One misspelt word is one complaint.
        let misspelt =
            "client_certificates = \"requird\"\nclient_ca = \"a\"\nclient_identity = \"user\"";
        assert_eq!(complaints(misspelt, "").len(), 1);
    }

    #[test]
    fn a_certificate_without_its_key_is_a_fault() {
        for (alone, other) in [
            ("client_certificate", "client_key"),
            ("client_key", "client_certificate"),
        ] {
            let told = complaints("", &format!("{alone} = \"a\""));
            assert_eq!(
                told,
                [format!(
                    "pool[0].{alone}: is of no use alone: {other} is missing"
                )]
            );
        }
    }
}
