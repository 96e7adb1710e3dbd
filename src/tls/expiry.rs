//! Until when the files of a configuration are good: the chains that the gate shows, and the revocation lists it goes by.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use super::certs;
use crate::config::{Config, Located};

/// A file that has to be replaced before some day, and where it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// `listener`, `host`, `pool` or `admin`.
    pub section: &'static str,
    /// The name in that section; empty for `admin`, of which there is one.
    pub name: String,
    /// `certificate`, `client_certificate` or `client_crl`.
    pub key: &'static str,
    /// When the first certificate of the chain expires, or the first list was to be renewed. A start or a reload after it is refused.
    pub until: SystemTime,
}

/// The key of revocation lists; every other one names a chain.
const LISTS: &str = "client_crl";

/// Every such file of a configuration, in its order. What cannot be read is left out: whoever needs it complains.
#[must_use]
pub fn expiries(config: &Config) -> Vec<Expiry> {
    let mut found = Vec::new();
    let mut look = |section, name: &str, files: &[(&'static str, Option<&Located<PathBuf>>)]| {
        for &(key, file) in files {
            let until = file.and_then(|file| earliest(file, key == LISTS));
            found.extend(until.map(|until| Expiry {
                section,
                name: name.to_owned(),
                key,
                until,
            }));
        }
    };
    for listener in &config.listeners {
        let chain = ("certificate", listener.certificate.as_ref());
        let lists = (LISTS, listener.client_crl.as_ref());
        look("listener", &listener.name, &[chain, lists]);
    }
    for host in &config.hosts {
        let chain = host.identity.as_ref().map(|(chain, _)| chain);
        look("host", &host.name.value, &[("certificate", chain)]);
    }
    for pool in &config.pools {
        let chain = ("client_certificate", pool.client_certificate.as_ref());
        look("pool", &pool.name, &[chain]);
    }
    if let Some(tls) = config.admin.as_ref().and_then(|admin| admin.tls.as_ref()) {
        let chain = ("certificate", Some(&tls.certificate));
        look("admin", "", &[chain, (LISTS, tls.client_crl.as_ref())]);
    }
    found
}

fn earliest(file: &Located<PathBuf>, are_lists: bool) -> Option<SystemTime> {
    let bytes = certs::read(file).ok()?;
    let until = match are_lists {
        false => certs::earliest_end(&certs::certificates(&bytes).ok()?)?,
        true => {
            let lists = certs::revocations(&bytes).ok()?;
            let due = lists.iter().filter_map(|list| {
                let (_, list) = CertificateRevocationList::from_der(list).ok()?;
                Some(list.next_update()?.timestamp())
            });
            due.min()?
        }
    };
    // What ended before 1970 ended then, as far as anybody is concerned.
    let since_epoch = Duration::from_secs(until.try_into().unwrap_or(0));
    UNIX_EPOCH.checked_add(since_epoch)
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, CertificateRevocationListParams, CertifiedIssuer, KeyIdMethod, KeyPair,
        KeyUsagePurpose, SerialNumber, date_time_ymd,
    };

    use super::*;
    use crate::config;

    const YEAR_2030: u64 = 1_893_456_000;

    fn issuer(ends: i32) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(["gate".to_owned()]).unwrap();
        params.not_after = date_time_ymd(ends, 1, 1);
        params.key_usages = vec![KeyUsagePurpose::CrlSign];
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn the_first_to_end_counts_wherever_a_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: String| std::fs::write(directory.path().join(name), text).unwrap();
        let (long, short) = (issuer(2040), issuer(2030));
        write("chain.pem", long.pem() + &short.pem());
        write("long.pem", long.pem());
        let list = |year| {
            let params = CertificateRevocationListParams {
                this_update: date_time_ymd(2020, 1, 1),
                next_update: date_time_ymd(year, 1, 1),
                crl_number: SerialNumber::from(1u64),
                issuing_distribution_point: None,
                revoked_certs: Vec::new(),
                key_identifier_method: KeyIdMethod::Sha256,
            };
            params.signed_by(&long).unwrap().pem().unwrap()
        };
        write("crl.pem", list(2035) + &list(2030));
        let text = "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:21\"\npool = \"p\"\npassive_ports = \"50000-50099\"\n\
            certificate = \"chain.pem\"\nkey = \"k\"\nclient_certificates = \"required\"\nclient_ca = \"long.pem\"\nclient_crl = \"crl.pem\"\n\
            [[host]]\nname = \"b\"\nlistener = \"a\"\ncertificate = \"missing.pem\"\nkey = \"k\"\n\
            [[pool]]\nname = \"p\"\nmembers = [\"10.0.0.1:21\"]\nca = \"chain.pem\"\nclient_certificate = \"chain.pem\"\nclient_key = \"k\"\n\
            [admin]\naddress = \"127.0.0.1:9\"\ncertificate = \"chain.pem\"\nkey = \"k\"\n";
        let config = config::read(text).unwrap().relative_to(directory.path());
        let found = expiries(&config);
        let named: Vec<_> = found
            .iter()
            .map(|one| (one.section, &*one.name, one.key))
            .collect();
        // Authorities are not shown to anybody, and what cannot be read is complained of elsewhere.
        let wanted = [
            ("listener", "a", "certificate"),
            ("listener", "a", "client_crl"),
            ("pool", "p", "client_certificate"),
            ("admin", "", "certificate"),
        ];
        assert_eq!(named, wanted);
        let until = UNIX_EPOCH + Duration::from_secs(YEAR_2030);
        assert!(found.iter().all(|one| one.until == until), "{found:?}");
    }
}
