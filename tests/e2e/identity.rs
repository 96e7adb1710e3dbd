//! Certificates of clients: asked for by the names of their authorities, refused with a reason, the same on every
//! connection of a session, and good for one user where the listener says so. And the names of FTP in TLS (ALPN).

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::ClientConfig;

use crate::support::certs::Versions;
use crate::support::clients::Target;
use crate::support::gate::{Gate, Setup};
use crate::support::partners::{AUTHORITY, Card, Kind, Partners};
use crate::support::process::{Ran, run};
use crate::support::rude::{Rude, Script};
use crate::support::strict::Strict;
use crate::support::wire::Got;
use crate::support::{Scene, USER};

const BOTH: [(&str, Versions); 2] = [("1.2", Versions::Only12), ("1.3", Versions::Only13)];

/// A gate that asks its clients for certificates of these partners.
struct Bed {
    gate: Gate,
    rude: Rude,
    partners: Partners,
    scene: Scene,
}

impl Bed {
    fn new(demand: &str, change: impl FnOnce(Setup, &Partners) -> Setup) -> Self {
        let scene = Scene::new();
        let partners = Partners::new(&scene.folder("certificates"), "partners");
        let rude = Rude::start(&scene, Script::new().file("file", b"payload"));
        let quoted = |path: std::path::PathBuf| format!("\"{}\"", path.display());
        let setup = Setup::new()
            .listener("client_certificates", &format!("\"{demand}\""))
            .listener("client_ca", &quoted(partners.ca_file()));
        let gate = Gate::start(&scene, rude.address(), change(setup, &partners));
        Self {
            gate,
            rude,
            partners,
            scene,
        }
    }

    fn required() -> Self {
        Self::new("required", |setup, _| setup)
    }

    fn client(&self, card: &Card, versions: Versions) -> Arc<ClientConfig> {
        card.client(&self.scene.authority, versions)
    }

    /// A session of a client, logged in and private.
    fn open(&self, config: Arc<ClientConfig>) -> Strict {
        Strict::open_with(self.gate.address(), config)
    }

    /// The handshake of a client that must not get through, and what it heard.
    fn refused(&self, config: Arc<ClientConfig>) -> String {
        let mut client = Strict::greet(self.gate.address(), config);
        client.say("AUTH TLS").expect(&[234]);
        // In TLS 1.3 a client has done its part before it hears what the gate thinks of its certificate.
        let handshake = client.secure();
        let outcome = handshake.and_then(|()| {
            client.tell(&format!("USER {USER}"));
            client.hear_or_end().map(|reply| panic!("{reply:?}"))
        });
        // Whatever it has said meanwhile, no reset follows the alert.
        client.control().read_raw_to_end().unwrap();
        outcome.unwrap_err().to_string()
    }
}

/// What OpenSSL's own client says of a control connection.
fn s_client(bed: &Bed, options: &[&str]) -> Ran {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-starttls", "ftp", "-connect"]);
    command.arg(bed.gate.address().to_string()).args(options);
    run(command.arg("-CAfile").arg(bed.scene.authority.ca_file()))
}

/// Field case P24.
#[test]
fn the_request_names_the_authorities() {
    let bed = Bed::new("optional", |setup, _| setup);
    for version in ["-tls1_2", "-tls1_3"] {
        let told = s_client(&bed, &[version]).text();
        let (_, names) = told
            .split_once("Acceptable client certificate CA names\n")
            .unwrap_or_else(|| panic!("{version}: {told}"));
        assert_eq!(names.lines().next(), Some(AUTHORITY), "{version}");
    }
}

#[test]
fn a_client_without_a_certificate_is_told_so() {
    for (_, versions) in BOTH {
        let bed = Bed::required();
        let heard = bed.refused(bed.scene.authority.client(versions));
        assert!(heard.contains("CertificateRequired"), "{heard}");
        let told = bed.gate.wait_for_log("TLS handshake of the client failed");
        assert!(told.contains("showed no certificate"), "{told}");
        assert!(bed.rude.commands().is_empty());
    }
}

#[test]
fn a_certificate_that_will_not_do_is_refused_with_its_reason() {
    for (_, versions) in BOTH {
        let bed = Bed::new("optional", |setup, partners| {
            let list = format!("\"{}\"", partners.crl_file().display());
            setup.listener("client_crl", &list)
        });
        let others = Partners::new(&bed.scene.folder("certificates"), "others");
        let card = |name, kind| bed.partners.card(name, kind);
        for (card, reason) in [
            (others.card(USER, Kind::Good), "unknown authority"),
            (card("old", Kind::Expired), "expired on Feb  3 "),
            (card("new", Kind::NotYetValid), "it begins on Feb  3 "),
            (card("lost", Kind::Revoked), "revoked by its authority"),
        ] {
            bed.refused(bed.client(&card, versions));
            bed.gate.wait_for_log(reason);
        }
        assert!(bed.rude.commands().is_empty());
        bed.open(bed.client(&card(USER, Kind::Good), versions));
    }
}

#[test]
fn real_clients_show_their_certificates() {
    for (version, _) in BOTH {
        let bed = Bed::new("required", |setup, _| {
            setup.listener("tls_versions", &format!("[\"{version}\"]"))
        });
        let card = bed.partners.card(USER, Kind::Good);
        let target = Target::new(&bed.scene, bed.gate.address());
        target.write("up", b"of curl");
        let shown = ["--cert", card.certificate(), "--key", card.key()];
        let with = |more: &[&'static str]| [&shown[..], more].concat();
        target.curl("file", &with(&["--output", "got"])).ok();
        assert_eq!(target.read("got"), b"payload");
        target.curl("sent", &with(&["--upload-file", "up"])).ok();
        assert_eq!(bed.rude.stored("sent").unwrap(), b"of curl");
        assert!(!target.curl("file", &["--output", "not"]).status.success());
        let (certificate, key) = (card.certificate(), card.key());
        let keys = format!("set ssl:cert-file {certificate}; set ssl:key-file {key}");
        target
            .lftp(&format!(
                "{keys}; get file -o lftp-got; put up -o lftp-sent"
            ))
            .ok();
        assert_eq!(target.read("lftp-got"), b"payload");
        assert_eq!(bed.rude.stored("lftp-sent").unwrap(), b"of curl");
        let told = bed.gate.wait_for_log("client identified");
        let subject = format!("CN={USER}");
        for part in [
            &subject,
            "CN=sluicegate test partners",
            "@partner.test",
            "DNS:",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }
}

#[test]
fn data_connections_have_the_certificate_of_their_control_connection() {
    for demand in ["optional", "required"] {
        for (_, versions) in BOTH {
            let bed = Bed::new(demand, |setup, _| setup);
            let card = bed.partners.card(USER, Kind::Good);
            let mut client = bed.open(bed.client(&card, versions));
            let transfer = client.download("RETR file");
            transfer.assert_complete(b"payload");
            assert!(transfer.resumed);
            // A handshake of its own that shows the same one.
            client.go_by(bed.client(&card, versions));
            let transfer = client.download("RETR file");
            transfer.assert_complete(b"payload");
            assert!(!transfer.resumed);
            let other = bed.partners.card("other", Kind::Good);
            let strangers = [
                bed.client(&other, versions),
                bed.scene.authority.client(versions),
            ];
            for stranger in strangers {
                client.go_by(stranger);
                // What the first one has begun is no way in for the second.
                for _ in 0..3 {
                    let refused = client.download("RETR file");
                    assert_eq!(refused.bytes, b"");
                    refused.reply.expect(&[522]);
                    client.upload("STOR up", b"payload").reply.expect(&[522]);
                }
            }
            assert!(bed.rude.stored("up").is_none(), "nothing may come to exist");
            bed.gate
                .wait_for_log("not the certificate of its control connection");
            client.go_by(bed.client(&card, versions));
            client.upload("STOR up", b"payload").reply.expect(&[226]);
        }
    }
}

#[test]
fn certificates_and_required_resumption_go_together() {
    for (_, versions) in BOTH {
        let bed = Bed::new("required", |setup, _| {
            setup.listener("resumption", "\"required\"")
        });
        let card = bed.partners.card(USER, Kind::Good);
        let mut client = bed.open(bed.client(&card, versions));
        for _ in 0..20 {
            client.download("RETR file").assert_complete(b"payload");
            client.upload("STOR up", b"payload").reply.expect(&[226]);
        }
        client.go_by(bed.client(&card, versions));
        client.download("RETR file").reply.expect(&[522]);
    }
}

#[test]
fn a_client_may_come_without_where_certificates_are_optional() {
    let bed = Bed::new("optional", |setup, _| setup);
    let mut client = bed.open(bed.scene.authority.client(Versions::Both));
    client.download("RETR file").assert_complete(b"payload");
    assert!(!bed.gate.stop().contains("client identified"));
}

#[test]
fn a_certificate_is_good_for_the_users_it_names() {
    let bed = Bed::new("required", |setup, _| {
        setup.listener("client_identity", "\"user\"")
    });
    let mine = bed.partners.card(USER, Kind::Good);
    bed.open(bed.client(&mine, Versions::Both));
    let other = bed.partners.card("other", Kind::Good);
    let mut client = Strict::greet(bed.gate.address(), bed.client(&other, Versions::Both));
    client.auth();
    let refused = client.say(&format!("USER {USER}")).expect(&[530]);
    assert!(refused.text.contains("certificate"), "{}", refused.text);
    for name in ["other", "other@partner.test", "other.partner.test"] {
        // Whether the backend knows these is another matter: it is asked.
        client.say(&format!("USER {name}")).expect(&[331]);
    }
    for _ in 0..3 {
        client.say("USER OTHER").expect(&[530]);
    }
    client.say("USER OTHER").expect(&[530]);
    client.hear().expect(&[421]);
    let users = bed.rude.commands();
    assert!(!users.contains(&"USER OTHER".to_owned()), "{users:?}");
    bed.gate.wait_for_log("does not name this user");
}

#[test]
fn who_offers_protocols_has_to_offer_ftp() {
    let bed = Bed::new("optional", |setup, _| setup);
    for version in ["-tls1_2", "-tls1_3"] {
        let chosen = s_client(&bed, &[version, "-alpn", "http/1.1,ftp"]).ok();
        assert!(
            chosen.text().contains("ALPN protocol: ftp\n"),
            "{}",
            chosen.text()
        );
        let refused = s_client(&bed, &[version, "-alpn", "h2,http/1.1"]);
        assert!(!refused.status.success());
        assert!(
            refused.stderr.contains("no application protocol"),
            "{}",
            refused.stderr
        );
        let silent = s_client(&bed, &[version]).ok();
        assert!(
            silent.text().contains("No ALPN negotiated"),
            "{}",
            silent.text()
        );
    }
    for (offer, code) in [("ftp-data", 226), ("ftp", 226), ("http/1.1", 425)] {
        let mut client = bed.open(bed.scene.authority.client(Versions::Both));
        let mut config = ClientConfig::clone(&bed.scene.authority.client(Versions::Both));
        config.alpn_protocols = vec![offer.as_bytes().to_vec()];
        client.go_by(Arc::new(config));
        client.download("RETR file").reply.expect(&[code]);
    }
}

#[test]
fn where_protocols_are_ignored_none_is_refused_and_none_is_named() {
    let bed = Bed::new("optional", |setup, _| setup.listener("alpn", "\"ignore\""));
    for offer in ["h2,http/1.1", "ftp"] {
        let silent = s_client(&bed, &["-alpn", offer]).ok();
        let told = silent.text();
        assert!(told.contains("No ALPN negotiated"), "{told}");
    }
    let mut config = ClientConfig::clone(&bed.scene.authority.client(Versions::Both));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut client = bed.open(Arc::new(config));
    client.download("RETR file").assert_complete(b"payload");
}

#[test]
fn a_browser_within_tls_is_shown_out() {
    let bed = Bed::new("optional", |setup, _| setup);
    let config = bed.scene.authority.client(Versions::Both);
    let mut client = Strict::greet(bed.gate.address(), config);
    client.auth();
    let request = b"GET / HTTP/1.1\r\nHost: gate\r\n\r\n";
    client.control().write(request).unwrap();
    client.hear().expect(&[421]);
    assert!(matches!(
        client.control().read(),
        Ok(Got::CloseNotify | Got::Fin)
    ));
    // The same with TLS begun by somebody else's client.
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-starttls", "ftp", "-connect"]);
    command.arg(bed.gate.address().to_string());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut browser = command.spawn().unwrap();
    browser.stdin.as_mut().unwrap().write_all(request).unwrap();
    let said = browser.wait_with_output().unwrap().stdout;
    assert!(String::from_utf8_lossy(&said).contains("421"), "{said:?}");
}
