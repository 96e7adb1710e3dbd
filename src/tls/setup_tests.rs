//! Every way in which certificates and keys can be wrong, and handshakes where they are right.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, IsCa, KeyIdMethod, KeyPair, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConnection, Error, ProtocolVersion, ServerConnection};

use super::super::certs::{CertFault, read_fault};
use super::super::identity::{fingerprint, of as identity_of};
use super::super::tests::shaken_as;
use super::super::{Fault, Records, Unmet};
use super::*;
use crate::config::{self, Config};

/// A directory with an authority, and a certificate of it for `ftp.inside` with its key.
struct Bed {
    directory: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Bed {
    fn new() -> Self {
        Self::of("authority of the test")
    }

    fn of(authority: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, authority);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let bed = Self {
            directory: tempfile::tempdir().unwrap(),
            authority,
        };
        let (certificate, key) = bed.issue(|_| {});
        bed.write("gate.pem", certificate.as_bytes());
        bed.write("gate.key", key.as_bytes());
        bed.write("inside-ca.pem", bed.authority.pem().as_bytes());
        bed
    }

    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::new(["ftp.inside".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "gate");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.directory.path().join(name), bytes).unwrap();
    }

    fn config(&self, listener: &str, pool: &str) -> Config {
        let text = format!(
            "[[listener]]\nname = \"a\"\naddress = \"[::]:0\"\npool = \"b\"\ncertificate = \"gate.pem\"\n\
             key = \"gate.key\"\npassive_ports = \"50000-50999\"\n{listener}\n[[pool]]\nname = \"b\"\n\
             members = [\"10.0.0.1:21\", \"ftp.inside:21\"]\nca = \"inside-ca.pem\"\n{pool}\n"
        );
        config::read(&text)
            .unwrap()
            .relative_to(self.directory.path())
    }

    /// The complaints about the listener's files, without their cures.
    fn complaints(&self) -> Vec<String> {
        let config = self.config("", "");
        let complaints = server(&config.listeners[0], SystemTime::now())
            .err()
            .unwrap_or_default();
        let place = format!("{}/", self.directory.path().display());
        complaints
            .iter()
            .map(|one| one.to_string().lines().next().unwrap().replace(&place, ""))
            .collect()
    }
}

/// Exchanges messages in memory until both sides are done; the version they chose.
fn shake(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    name: ServerName<'static>,
) -> Result<ProtocolVersion, Error> {
    let mut client = ClientConnection::new(client, name)?;
    let mut server = ServerConnection::new(server)?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(client.protocol_version().unwrap())
}

#[test]
fn what_is_right_shakes_hands_in_each_version() {
    let bed = Bed::new();
    for (versions, expected) in [
        ("[\"1.2\"]", ProtocolVersion::TLSv1_2),
        ("[\"1.3\"]", ProtocolVersion::TLSv1_3),
        ("[\"1.2\", \"1.3\"]", ProtocolVersion::TLSv1_3),
    ] {
        let config = bed.config(&format!("tls_versions = {versions}"), "");
        let server = server(&config.listeners[0], SystemTime::now()).unwrap();
        let pool = pool(&config.pools[0], SystemTime::now()).unwrap().unwrap();
        assert_eq!(
            shake(pool.config, server.control, pool.names[1].clone()),
            Ok(expected)
        );
    }
    let config = bed.config("tls_versions = \"1.2\"", "tls_versions = \"1.3\"");
    let server = server(&config.listeners[0], SystemTime::now()).unwrap();
    let pool = pool(&config.pools[0], SystemTime::now()).unwrap().unwrap();
    assert!(shake(pool.config, server.control, pool.names[1].clone()).is_err());
}

#[test]
fn backends_are_verified_by_authority_and_name_unless_verification_is_off() {
    let bed = Bed::new();
    let handshake = |changes: &str, member: usize| {
        let config = bed.config("", changes);
        let pool = pool(&config.pools[0], SystemTime::now()).unwrap().unwrap();
        let server = server(&config.listeners[0], SystemTime::now()).unwrap();
        shake(pool.config, server.control, pool.names[member].clone())
    };
    assert!(
        handshake("", 0).is_err(),
        "the address is not in the certificate"
    );
    assert!(handshake("server_name = \"ftp.inside\"", 0).is_ok());
    assert!(handshake("server_name = \"ftp.outside\"", 1).is_err());
    assert!(handshake("verify = \"off\"", 0).is_ok());
    bed.write("inside-ca.pem", Bed::new().authority.pem().as_bytes());
    assert!(handshake("", 1).is_err(), "another authority");
}

#[test]
fn a_chain_that_is_known_stands_for_no_name_no_pin_and_no_other_authority() {
    let bed = Bed::new();
    let listener = |bed: &Bed| server(&bed.config("", "").listeners[0], SystemTime::now()).unwrap();
    let pool = |keys: &str| {
        pool(&bed.config("", keys).pools[0], SystemTime::now())
            .unwrap()
            .unwrap()
    };
    let shown = listener(&bed).control;
    let inside = pool("");
    let to = |member: usize| {
        shake(
            Arc::clone(&inside.config),
            Arc::clone(&shown),
            inside.names[member].clone(),
        )
    };
    assert!(to(1).is_ok());
    assert!(to(1).is_ok(), "by what is known");
    assert!(to(0).is_err(), "the address is not in it");
    assert!(to(1).is_ok());
    let pinned = pool(&format!("pins = [\"{}\"]", "0".repeat(64)));
    for _ in 0..2 {
        let told = shake(
            Arc::clone(&pinned.config),
            Arc::clone(&shown),
            pinned.names[1].clone(),
        );
        assert!(
            told.is_err(),
            "its authority vouches for it, and it is not pinned"
        );
    }
    // The same names and another key, and the same file with another authority in it.
    let forged = listener(&Bed::new()).control;
    assert!(shake(Arc::clone(&inside.config), forged, inside.names[1].clone()).is_err());
    bed.write("inside-ca.pem", Bed::new().authority.pem().as_bytes());
    let renewed = pool("");
    assert!(shake(renewed.config, shown, renewed.names[1].clone()).is_err());
}

#[test]
fn pins_take_what_no_authority_can_vouch_for_and_nothing_else() {
    let bed = Bed::new();
    let own = bed.authority.pem();
    bed.write("gate.pem", own.as_bytes());
    bed.write("gate.key", bed.authority.key().serialize_pem().as_bytes());
    let handshake = |changes: &str| {
        let config = bed.config("", changes);
        let pool = pool(&config.pools[0], SystemTime::now()).unwrap().unwrap();
        let server = server(&config.listeners[0], SystemTime::now()).unwrap();
        shake(pool.config, server.control, pool.names[0].clone())
            .map_err(|error| Fault::from(error).to_string())
    };
    let told = handshake("").unwrap_err();
    assert!(
        told.contains("CA:TRUE") && told.contains("verify = \"pin\""),
        "{told}"
    );
    let digest = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, bed.authority.der());
    let hex = |joint: &str| {
        let bytes: Vec<String> = digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        bytes.join(joint)
    };
    let pinned = |pin: &str| {
        format!(
            "verify = \"pin\"\npins = [\"{}\", \"{pin}\"]",
            "0".repeat(64)
        )
    };
    for versions in ["1.2", "1.3"] {
        let version = format!("tls_versions = \"{versions}\"\n");
        assert!(handshake(&(version.clone() + &pinned(&hex("")))).is_ok());
        assert!(handshake(&(version + &pinned(&hex(":").to_uppercase()))).is_ok());
    }
    let told = handshake(&pinned(&"1".repeat(64))).unwrap_err();
    assert!(
        told.ends_with(&hex("").to_uppercase()),
        "the one to write is told: {told}"
    );
}

#[test]
fn pools_without_tls_need_nothing_and_wrong_names_are_told_once() {
    let bed = Bed::new();
    fs::remove_file(bed.directory.path().join("inside-ca.pem")).unwrap();
    assert!(
        pool(&bed.config("", "tls = \"off\"").pools[0], SystemTime::now())
            .unwrap()
            .is_none()
    );
    let complaints = pool(
        &bed.config("", "server_name = \"a b\"").pools[0],
        SystemTime::now(),
    )
    .unwrap_err();
    let keys: Vec<&str> = complaints
        .iter()
        .map(|complaint| complaint.key.as_str())
        .collect();
    assert_eq!(keys, ["pool[0].server_name", "pool[0].ca"]);
}

#[test]
fn an_empty_or_broken_ca_file_is_a_complaint() {
    let bed = Bed::new();
    for (bytes, problem) in [
        (&b""[..], "holds no PEM certificate\n"),
        (
            b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
            "certificate 1 cannot be used",
        ),
    ] {
        bed.write("inside-ca.pem", bytes);
        let complaints = pool(&bed.config("", "").pools[0], SystemTime::now()).unwrap_err();
        assert!(
            complaints[0].to_string().contains(problem),
            "{}",
            complaints[0]
        );
        assert_eq!(complaints[0].key, "pool[0].ca");
    }
}

#[test]
fn missing_files_are_told_together_with_line_and_key() {
    let bed = Bed::new();
    fs::remove_file(bed.directory.path().join("gate.pem")).unwrap();
    fs::remove_file(bed.directory.path().join("gate.key")).unwrap();
    assert_eq!(
        bed.complaints(),
        [
            "5:15  listener[0].certificate: gate.pem: there is no such file",
            "6:7  listener[0].key: gate.key: there is no such file",
        ]
    );
}

#[test]
fn what_cannot_be_read_says_why() {
    let bed = Bed::new();
    fs::remove_file(bed.directory.path().join("gate.key")).unwrap();
    fs::create_dir(bed.directory.path().join("gate.key")).unwrap();
    assert_eq!(
        bed.complaints(),
        ["6:7  listener[0].key: gate.key: is not a file"]
    );
    // Root may read everything, so what the kernel would say to others is handed in.
    assert_eq!(
        read_fault(ErrorKind::PermissionDenied.into()),
        CertFault::Forbidden
    );
    bed.write(
        "gate.pem",
        &vec![b'#'; usize::try_from(limits::PEM_BYTES_MAX).unwrap() + 1],
    );
    assert!(bed.complaints()[0].contains("is longer than"));
}

#[test]
fn a_file_of_another_kind_says_what_it_is() {
    let bed = Bed::new();
    let (certificate, key) = bed.issue(|_| {});
    bed.write("gate.pem", key.as_bytes());
    bed.write("gate.key", certificate.as_bytes());
    assert_eq!(
        bed.complaints(),
        [
            "5:15  listener[0].certificate: gate.pem: holds no PEM certificate but a private key",
            "6:7  listener[0].key: gate.key: holds no PEM private key but a certificate",
        ]
    );
    bed.write("gate.pem", bed.authority.der());
    bed.write("gate.key", b"not PEM at all");
    assert_eq!(
        bed.complaints(),
        [
            "5:15  listener[0].certificate: gate.pem: holds no PEM certificate but DER",
            "6:7  listener[0].key: gate.key: holds no PEM private key",
        ]
    );
}

#[test]
fn broken_and_encrypted_pem_say_so() {
    let bed = Bed::new();
    let (certificate, _) = bed.issue(|_| {});
    bed.write(
        "gate.pem",
        &certificate.as_bytes()[..certificate.len() - 30],
    );
    bed.write(
        "gate.key",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    assert_eq!(
        bed.complaints(),
        [
            "5:15  listener[0].certificate: gate.pem: is broken PEM: the END line of CERTIFICATE is missing",
            "6:7  listener[0].key: gate.key: holds a key that is encrypted",
        ]
    );
    bed.write("gate.pem", certificate.as_bytes());
    bed.write("gate.key", b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMAA=\n-----END RSA PRIVATE KEY-----\n");
    assert_eq!(
        bed.complaints(),
        ["6:7  listener[0].key: gate.key: holds a key that is encrypted"]
    );
    bed.write(
        "gate.key",
        b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
    );
    assert!(
        bed.complaints()[0].contains("of a kind that is not supported"),
        "{:?}",
        bed.complaints()
    );
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let bed = Bed::new();
    let (_, key) = bed.issue(|_| {});
    bed.write("gate.key", key.as_bytes());
    let problem = "the key does not belong to the first certificate of the chain";
    assert_eq!(
        bed.complaints(),
        [format!("6:7  listener[0].key: gate.key: {problem}")]
    );
}

#[test]
fn certificates_outside_of_their_time_are_refused_and_named() {
    let bed = Bed::new();
    let day = Duration::from_secs(24 * 60 * 60);
    let (expired, key) = bed.issue(|params| params.not_after = (SystemTime::now() - day).into());
    bed.write("gate.pem", expired.as_bytes());
    bed.write("gate.key", key.as_bytes());
    let complaints = bed.complaints();
    assert!(
        complaints[0].starts_with(
            "5:15  listener[0].certificate: gate.pem: certificate 1 (CN=gate) has expired on "
        ),
        "{complaints:?}"
    );
    let (good, key) = bed.issue(|_| {});
    let (early, _) = bed.issue(|params| params.not_before = (SystemTime::now() + day).into());
    bed.write("gate.pem", format!("{good}{early}").as_bytes());
    bed.write("gate.key", key.as_bytes());
    let complaints = bed.complaints();
    assert!(
        complaints[0].contains("certificate 2 (CN=gate) is valid only from "),
        "{complaints:?}"
    );
}

/// The key exchange group of each of two control connections and their data connections, or why there is none.
fn groups_of(
    listener: &str,
    pool_keys: &str,
    resumption: &str,
) -> Result<[&'static str; 2], Fault> {
    let bed = Bed::new();
    let listener = format!("key_exchange = \"{listener}\"\nresumption = \"{resumption}\"");
    let config = bed.config(&listener, &format!("key_exchange = \"{pool_keys}\""));
    let ours = server(&config.listeners[0], SystemTime::now())
        .unwrap()
        .session();
    let pool = pool(&config.pools[0], SystemTime::now()).unwrap().unwrap();
    let theirs = pool.session();
    let name = || pool.names[1].clone();
    let (control, _) = shaken_as(&ours.control(), &theirs.control(), name())?;
    let (data, _) = shaken_as(&ours.download(), &theirs.data(), name())?;
    let facts = data.facts().unwrap();
    assert!(facts.resumed);
    assert_eq!(ours.demand(None).judge(Some(&facts)), Ok(()));
    assert_eq!(theirs.demand(None).judge(Some(&facts)), Ok(()));
    Ok([
        control.facts().unwrap().group.unwrap(),
        facts.group.unwrap(),
    ])
}

#[test]
fn what_resumes_a_post_quantum_session_needs_no_second_exchange() {
    let hybrid = Ok(["X25519MLKEM768", "X25519"]);
    let classical = Ok(["X25519"; 2]);
    for resumption in ["accepted", "required"] {
        assert_eq!(groups_of("preferred", "preferred", resumption), hybrid);
        assert_eq!(groups_of("preferred", "required", resumption), hybrid);
        assert_eq!(
            groups_of("required", "preferred", "required"),
            groups_of("required", "required", "required")
        );
        assert_eq!(groups_of("off", "preferred", resumption), classical);
        assert_eq!(groups_of("preferred", "off", resumption), classical);
        for (listener, pool) in [("required", "off"), ("off", "required")] {
            assert!(
                groups_of(listener, pool, resumption).is_err(),
                "{listener} {pool}"
            );
        }
    }
    // Who must have it on each handshake that may be a full one, has it.
    let dear = Ok(["X25519MLKEM768"; 2]);
    assert_eq!(groups_of("required", "preferred", "accepted"), dear);
}

#[test]
fn a_data_connection_that_is_not_resumed_is_post_quantum_where_it_must_be() {
    let bed = Bed::new();
    let config = bed.config("", "key_exchange = \"required\"");
    let listener = server(&config.listeners[0], SystemTime::now()).unwrap();
    let pool = pool(&config.pools[0], SystemTime::now()).unwrap().unwrap();
    let name = || pool.names[1].clone();
    let theirs = pool.session();
    let resumed_nothing = |ours: &ServerResume, theirs: &ClientResume| {
        let (data, _) = shaken_as(&ours.download(), &theirs.data(), name()).unwrap();
        let facts = data.facts().unwrap();
        assert!(!facts.resumed);
        (facts.is_hybrid(), theirs.demand(None).judge(Some(&facts)))
    };
    // With nothing to resume, the exchange is the whole one.
    assert_eq!(
        resumed_nothing(&listener.session(), &theirs),
        (true, Ok(()))
    );
    // A server that has forgotten what we resume gets no classical connection out of it.
    shaken_as(&listener.session().control(), &theirs.control(), name()).unwrap();
    assert_eq!(
        resumed_nothing(&listener.session(), &theirs),
        (false, Err(Unmet::Hybrid))
    );
}

/// What it costs: bytes of each side's first flight, and both sides' time together. Printed with `--nocapture`.
#[test]
fn the_price_of_a_second_exchange_is_not_paid() {
    let bed = Bed::new();
    let mut hellos = Vec::new();
    for key_exchange in ["preferred", "off"] {
        let config = bed.config("", &format!("key_exchange = \"{key_exchange}\""));
        let ours = server(&config.listeners[0], SystemTime::now())
            .unwrap()
            .session();
        let pool = pool(&config.pools[0], SystemTime::now()).unwrap().unwrap();
        let theirs = pool.session();
        let name = || pool.names[1].clone();
        let first_flight = |config| {
            let mut client = Records::connect(config, name()).unwrap();
            client.process(&mut Vec::new()).unwrap();
            client.outgoing().len()
        };
        let full = first_flight(theirs.control());
        shaken_as(&ours.control(), &theirs.control(), name()).unwrap();
        let resumed = first_flight(theirs.data());
        println!(
            "{key_exchange}: ClientHello of {full} bytes on control, {resumed} on data connections that resume"
        );
        hellos.push((full, resumed));
    }
    let [(hybrid, after_hybrid), (classical, after_classical)] = hellos[..] else {
        panic!("two of them");
    };
    assert!(hybrid > classical + 1000);
    assert!(
        after_hybrid < after_classical + 20,
        "not a second key of a kilobyte"
    );
}

#[test]
fn a_chain_is_enough_where_the_pool_says_so_and_pins_can_come_on_top() {
    let bed = Bed::new();
    let (certificate, key) = bed.issue(|_| {});
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    bed.write("gate.pem", certificate.as_bytes());
    bed.write("gate.key", key.as_bytes());
    let handshake = |changes: &str| {
        let config = bed.config("", changes);
        let pool = pool(&config.pools[0], SystemTime::now()).unwrap().unwrap();
        let server = server(&config.listeners[0], SystemTime::now()).unwrap();
        shake(pool.config, server.control, pool.names[0].clone())
            .map_err(|error| Fault::from(error).to_string())
    };
    let told = handshake("").unwrap_err();
    assert!(
        told.contains("expected 10.0.0.1, its alternative names are")
            && told.contains("ftp.inside"),
        "{told}"
    );
    assert!(handshake("verify = \"chain\"").is_ok());
    let (right, wrong) = (fingerprint(&der), "1".repeat(64));
    for mode in ["ca", "chain"] {
        let pinned = |pin: &str| {
            format!("verify = \"{mode}\"\nserver_name = \"ftp.inside\"\npins = [\"{pin}\"]")
        };
        assert!(handshake(&pinned(&right.to_string())).is_ok());
        let told = handshake(&pinned(&wrong)).unwrap_err();
        assert!(told.contains("none of the pool's pins"), "{told}");
    }
    bed.write("inside-ca.pem", Bed::new().authority.pem().as_bytes());
    for mode in ["ca", "chain"] {
        let pinned =
            format!("verify = \"{mode}\"\nserver_name = \"ftp.inside\"\npins = [\"{right}\"]");
        let told = handshake(&pinned).unwrap_err();
        assert!(
            told.contains("unknown authority"),
            "a pin replaces no authority: {told}"
        );
    }
}

#[test]
fn certificates_of_clients_and_for_backends_are_checked_at_the_start() {
    let bed = Bed::new();
    let asked =
        "client_certificates = \"required\"\nclient_ca = \"theirs.pem\"\nclient_crl = \"crl.pem\"";
    let shown = "client_certificate = \"own.pem\"\nclient_key = \"own.key\"";
    let complaints = || -> Vec<String> {
        let config = bed.config(asked, shown);
        let now = SystemTime::now();
        let of_listener = server(&config.listeners[0], now).err().unwrap_or_default();
        let of_pool = pool(&config.pools[0], now).err().unwrap_or_default();
        let all = of_listener.iter().chain(&of_pool);
        all.map(|one| format!("{}: {}", one.key, one.problem.rsplit("/").next().unwrap()))
            .collect()
    };
    assert_eq!(
        complaints(),
        [
            "listener[0].client_ca: theirs.pem: there is no such file",
            "listener[0].client_crl: crl.pem: there is no such file",
            "pool[0].client_certificate: own.pem: there is no such file",
            "pool[0].client_key: own.key: there is no such file",
        ]
    );
    let list = |year: i32| {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&bed.authority).unwrap().pem().unwrap()
    };
    bed.write("theirs.pem", bed.authority.pem().as_bytes());
    bed.write("crl.pem", list(2021).as_bytes());
    let (certificate, _) = bed.issue(|_| {});
    let (_, other_key) = bed.issue(|_| {});
    bed.write("own.pem", certificate.as_bytes());
    bed.write("own.key", other_key.as_bytes());
    let told = complaints();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("was to be renewed on Jan  1 00:00:00 2021"),
        "{told:?}"
    );
    assert!(
        told[1].contains("the key does not belong to the first certificate"),
        "{told:?}"
    );
    let (certificate, key) = bed.issue(|params| params.not_after = date_time_ymd(2021, 1, 1));
    bed.write("crl.pem", certificate.as_bytes());
    bed.write("own.pem", certificate.as_bytes());
    bed.write("own.key", key.as_bytes());
    let told = complaints();
    assert_eq!(
        told[0],
        "listener[0].client_crl: crl.pem: holds no PEM revocation list but a certificate"
    );
    assert!(told[1].contains("has expired"), "{told:?}");
    let (certificate, key) = bed.issue(|_| {});
    bed.write("crl.pem", list(2121).as_bytes());
    bed.write("own.pem", certificate.as_bytes());
    bed.write("own.key", key.as_bytes());
    assert_eq!(complaints(), [""; 0]);
}

#[test]
fn a_missing_revocation_list_lets_nobody_in() {
    let (bed, other) = (Bed::new(), Bed::of("another authority"));
    bed.write(
        "theirs.pem",
        (bed.authority.pem() + &other.authority.pem()).as_bytes(),
    );
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(2121, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = params.signed_by(&bed.authority).unwrap();
    bed.write("crl.pem", list.pem().unwrap().as_bytes());
    let asked =
        "client_certificates = \"required\"\nclient_ca = \"theirs.pem\"\nclient_crl = \"crl.pem\"";
    let shown = "client_certificate = \"own.pem\"\nclient_key = \"own.key\"";
    for (issuer, is_listed) in [(&bed, true), (&other, false)] {
        let (certificate, key) = issuer.issue(|_| {});
        bed.write("own.pem", certificate.as_bytes());
        bed.write("own.key", key.as_bytes());
        let config = bed.config(asked, shown);
        let now = SystemTime::now();
        let pool = pool(&config.pools[0], now).unwrap().unwrap();
        let server = server(&config.listeners[0], now).unwrap();
        let met = shake(pool.config, server.control, pool.names[1].clone());
        let told = met.map_err(|error| Fault::from(error).to_string());
        assert_eq!(told.is_ok(), is_listed, "{told:?}");
        if let Err(told) = told {
            assert!(
                told.contains("no revocation list of its authority"),
                "{told}"
            );
        }
    }
}

#[test]
fn an_identity_is_what_the_certificate_says_and_bounded() {
    let bed = Bed::new();
    let long = "x".repeat(1000);
    let (certificate, _) = bed.issue(|params| {
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, &*long);
        params
            .distinguished_name
            .push(DnType::CommonName, "ann\n\u{1b}[31m");
        params.serial_number = Some(SerialNumber::from(0xbeef));
        params.subject_alt_names = vec![
            SanType::Rfc822Name("ann@partner.test".try_into().unwrap()),
            SanType::DnsName(long.as_str().try_into().unwrap()),
            SanType::IpAddress([192, 0, 2, 7].into()),
            SanType::URI("ftp://partner.test".try_into().unwrap()),
        ];
        let names = (0..100).map(|n| SanType::DnsName(format!("n{n}.test").try_into().unwrap()));
        params.subject_alt_names.extend(names);
    });
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let identity = identity_of(&der);
    assert_eq!(identity.subject.len(), limits::IDENTITY_TEXT_BYTES_MAX);
    assert_eq!(identity.issuer, "CN=authority of the test");
    assert_eq!(identity.serial, "beef");
    assert_eq!(identity.fingerprint, fingerprint(&der).to_string());
    assert_eq!(identity.names.len(), limits::IDENTITY_NAMES_MAX);
    assert_eq!(
        identity.names[..3],
        ["ann\n\u{1b}[31m", "ann@partner.test", "n0.test"]
    );
    assert_eq!(identity.alternatives.len(), limits::IDENTITY_NAMES_MAX);
    for told in [
        "email:ann@partner.test",
        "IP:192.0.2.7",
        "URI:ftp://partner.test",
    ] {
        assert!(
            identity.alternatives.iter().any(|name| name == told),
            "{told}"
        );
    }
    assert!(identity.is(b"ann@partner.test") && identity.is(b"n0.test"));
    // Neither a part of a name, nor another case, nor what was too long to be kept.
    for other in [
        &b"ann"[..],
        b"ANN@partner.test",
        b"",
        &long.as_bytes()[..256],
        b"192.0.2.7",
    ] {
        assert!(!identity.is(other));
    }
}
