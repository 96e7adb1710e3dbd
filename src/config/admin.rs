//! `[admin]`: where the gate is seen from outside, who may look, and from how far.

use std::path::PathBuf;

use toml::Spanned;

use super::AdminAddress;
use super::desk::{Desk, once};
use super::fault::{Findings, Located};
use super::file::{AdminKeys, Key};

/// `[admin]`; nothing if the gate is not to be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// `address`
    pub address: Located<AdminAddress>,
    /// `token_file`
    pub token_file: Option<Located<PathBuf>>,
    /// TLS towards its readers; always there, with a token or authorities, where others than this machine reach it.
    pub tls: Option<AdminTls>,
}

/// How the admin server and its readers prove who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminTls {
    /// `certificate`: a PEM chain, its own certificate first.
    pub certificate: Located<PathBuf>,
    /// `key`: the PEM key of that certificate.
    pub key: Located<PathBuf>,
    /// `client_ca`: PEM file of the authorities of readers' certificates, which they must show then.
    pub client_ca: Option<Located<PathBuf>>,
    /// `client_crl`: PEM file of revocation lists of these authorities.
    pub client_crl: Option<Located<PathBuf>>,
}

impl Admin {
    /// Every file that it names.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let socket = match &mut self.address.value {
            AdminAddress::Unix(path) => Some(path),
            AdminAddress::Tcp(_) => None,
        };
        let tls = self.tls.iter_mut().flat_map(|tls| {
            let asked = [&mut tls.client_ca, &mut tls.client_crl];
            let own = [&mut tls.certificate, &mut tls.key];
            own.into_iter().chain(asked.into_iter().flatten())
        });
        let files = self.token_file.iter_mut().chain(tls);
        socket.into_iter().chain(files.map(|file| &mut file.value))
    }
}

/// The section as it was written; nothing where it does not say where.
pub(super) fn admin(section: Option<Spanned<AdminKeys>>, findings: &mut Findings) -> Option<Admin> {
    let (mut desk, keys) = once("admin", section, findings);
    // What cannot be read is told already, and is not missing.
    let has_tls = [&keys.certificate, &keys.key].map(|key| key.0.is_some()) == [true; 2];
    let asks = keys.token_file.0.is_some() || keys.client_ca.0.is_some();
    let token_file = desk.located("token_file", keys.token_file);
    let own = desk.pair(("certificate", keys.certificate), ("key", keys.key));
    let (client_ca, client_crl) = desk.readers(has_tls, keys.client_ca, keys.client_crl);
    let address = desk.located("address", keys.address)?;
    let problem = match &address.value {
        AdminAddress::Unix(_) => has_tls.then_some((
            "a socket of the file system has no TLS: its owner and its group reach it",
            "leave certificate and key out, or an address",
        )),
        AdminAddress::Tcp(tcp) if tcp.ip().is_loopback() => None,
        AdminAddress::Tcp(_) if !has_tls => Some((
            "whoever reaches it could end sessions and see who is logged in",
            "certificate and key, and token_file or client_ca, beside it; or an address of loopback, or \"unix:\" and a path",
        )),
        AdminAddress::Tcp(_) => (!asks).then_some((
            "whoever reaches it could end sessions and see who is logged in: TLS says who the gate is, not who asks",
            "token_file or client_ca beside it",
        )),
    };
    if let Some((problem, cure)) = problem {
        desk.findings.faults.push(address.complaint(problem, cure));
    }
    let (certificate, key) = own;
    let tls = certificate.zip(key).map(|(certificate, key)| AdminTls {
        certificate,
        key,
        client_ca,
        client_crl,
    });
    Some(Admin {
        address,
        token_file,
        tls,
    })
}

impl Desk<'_> {
    /// Whose certificates count, which they can only where there is TLS; and revocation lists, only beside them.
    fn readers(
        &mut self,
        has_tls: bool,
        ca: Key<PathBuf>,
        crl: Key<PathBuf>,
    ) -> (Option<Located<PathBuf>>, Option<Located<PathBuf>>) {
        let has_ca = ca.0.is_some();
        let ca = self.located("client_ca", ca);
        let crl = self.located("client_crl", crl);
        for (file, is_of_use, missing) in [
            (&ca, has_tls, "certificate and key"),
            (&crl, has_ca, "client_ca"),
        ] {
            if let (Some(file), false) = (file, is_of_use) {
                let problem = format!("would not be looked at without {missing}");
                let cure = format!("{missing} beside it, or leave this key out");
                self.findings.faults.push(file.complaint(problem, cure));
            }
        }
        (ca, crl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read;

    const MINIMAL: &str = include_str!("../../config/minimal.toml");
    const TLS: &str = "certificate = \"a.pem\"\nkey = \"a.key\"\n";

    fn read_with(keys: &str) -> Result<Admin, Vec<String>> {
        let config = read(&format!("{MINIMAL}\n[admin]\n{keys}"));
        let told = |faults: Vec<crate::config::Complaint>| {
            let line =
                |fault: crate::config::Complaint| format!("{}: {}", fault.key, fault.problem);
            faults.into_iter().map(line).collect()
        };
        config.map(|config| config.admin.unwrap()).map_err(told)
    }

    #[test]
    fn what_is_safe_to_reach_is_taken() {
        let token = "token_file = \"t\"\n";
        for keys in [
            "address = \"127.0.0.1:9121\"".to_owned(),
            "address = \"[::1]:9121\"".to_owned(),
            "address = \"unix:a\"".to_owned(),
            format!("address = \"127.0.0.1:9121\"\n{TLS}"),
            format!("address = \"0.0.0.0:9121\"\n{TLS}{token}"),
            format!("address = \"0.0.0.0:9121\"\n{TLS}client_ca = \"c\""),
            format!(
                "address = \"0.0.0.0:9121\"\n{TLS}{token}client_ca = \"c\"\nclient_crl = \"d\""
            ),
        ] {
            assert!(read_with(&keys).is_ok(), "{keys}: {:?}", read_with(&keys));
        }
    }

    #[test]
    fn a_door_that_would_stand_open_is_a_fault() {
        for (keys, problem) in [
            (
                "address = \"0.0.0.0:9121\"".to_owned(),
                "admin.address: whoever",
            ),
            (
                "address = \"0.0.0.0:9121\"\ntoken_file = \"t\"".to_owned(),
                "admin.address: whoever",
            ),
            (
                format!("address = \"0.0.0.0:9121\"\n{TLS}"),
                "admin.address: whoever",
            ),
            (
                format!("address = \"unix:a\"\n{TLS}"),
                "admin.address: a socket of the file system",
            ),
            (
                "address = \"127.0.0.1:9121\"\nkey = \"k\"".to_owned(),
                "admin.key: is of no use alone",
            ),
            (
                "address = \"127.0.0.1:9121\"\nclient_ca = \"c\"".to_owned(),
                "admin.client_ca: would not be looked at without certificate and key",
            ),
            (
                format!("address = \"127.0.0.1:9121\"\n{TLS}client_crl = \"c\""),
                "admin.client_crl: would not be looked at without client_ca",
            ),
        ] {
            let told = read_with(&keys).unwrap_err();
            assert!(
                told.len() == 1 && told[0].starts_with(problem),
                "{keys}: {told:?}"
            );
        }
    }

    #[test]
    fn relative_files_are_taken_from_the_directory_of_the_configuration() {
        let text = format!(
            "{MINIMAL}\n[admin]\naddress = \"0.0.0.0:9121\"\n{TLS}token_file = \"t\"\nclient_ca = \"c\"\nclient_crl = \"/d\""
        );
        let config = read(&text).unwrap().relative_to("/etc/gate".as_ref());
        let mut admin = config.admin.unwrap();
        let files: Vec<_> = admin
            .files()
            .map(|file| file.display().to_string())
            .collect();
        let expected = [
            "/etc/gate/t",
            "/etc/gate/a.pem",
            "/etc/gate/a.key",
            "/etc/gate/c",
            "/d",
        ];
        assert_eq!(files, expected);
    }
}
