//! The admin server by TLS: whom it lets in from afar, how it is known, and what strangers may hold of it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::support::admin::curl;
use crate::support::gate::{Gate, Setup};
use crate::support::partners::{Card, Kind, Partners};
use crate::support::ports::Ports;
use crate::support::process::{Ran, run};
use crate::support::rude::{Rude, Script};
use crate::support::{PATIENCE, Scene};

const TOKEN: &str = "a-token-of-the-tests-18";

/// A gate whose admin server is on every address of the machine.
struct Stage {
    scene: Scene,
    ports: Ports,
    partners: Partners,
    _rude: Rude,
    gate: Gate,
}

impl Stage {
    fn new(with: impl FnOnce(Setup, &Scene, &Partners) -> Setup) -> Self {
        let (scene, ports) = (Scene::new(), Ports::reserve());
        let rude = Rude::start(&scene, Script::new());
        let partners = Partners::new(&scene.folder("readers"), "readers");
        let setup = Setup::new()
            .admin("address", &format!("\"0.0.0.0:{}\"", ports.control()))
            .admin("certificate", &quoted(scene.authority.certificate_file()))
            .admin("key", &quoted(scene.authority.key_file()));
        let setup = with(setup, &scene, &partners);
        let gate = Gate::start(&scene, rude.address(), setup);
        Self {
            scene,
            ports,
            partners,
            _rude: rude,
            gate,
        }
    }

    fn with_token() -> Self {
        Self::new(|setup, scene, _| setup.admin("token_file", &quoted(&token(scene))))
    }

    /// curl on a route, by a scheme, with these options besides.
    fn curl(&self, url: &str, options: &[&str]) -> Ran {
        let gate = format!("localhost:{}", self.ports.control());
        curl(&url.replace("GATE", &gate), options)
    }

    /// What the gate answers to one who knows its authority: the body, and the code behind it.
    fn ask(&self, route: &str, options: &[&str]) -> Ran {
        let ca = self.scene.authority.ca_file().display().to_string();
        let options = [&["--cacert", &ca], options].concat();
        self.curl(&format!("https://GATE{route}"), &options)
    }

    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.control()).into()
    }
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

fn token(scene: &Scene) -> std::path::PathBuf {
    scene.file("token", format!("{TOKEN}\n"))
}

/// That curl has ended with this code, of those that man curl lists.
#[track_caller]
fn ends_with(ran: &Ran, code: i32) {
    assert_eq!(ran.status.code(), Some(code), "{ran:?}");
}

#[test]
fn a_reader_from_afar_shows_the_token_and_is_shown_a_certificate() {
    let stage = Stage::with_token();
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let told = stage.ask("/sessions", &["--header", &bearer]).ok().text();
    assert_eq!(told, "[]\n200");
    assert!(stage.ask("/sessions", &[]).ok().text().ends_with("\n401"));
    assert_eq!(stage.ask("/healthz", &[]).ok().text(), "ok\n\n200");
    // Whatever name it was asked by: the certificate has said whose it is.
    let named = ["--header", &bearer, "--header", "Host: gate.example"];
    assert!(
        stage
            .ask("/sessions", &named)
            .ok()
            .text()
            .ends_with("\n200")
    );

    // Its certificate is no authority's that curl knows by itself.
    ends_with(&stage.curl("https://GATE/healthz", &[]), 60);
    // Old versions, and other protocols than HTTP/1.1, are not spoken.
    ends_with(&stage.ask("/healthz", &["--tls-max", "1.2"]), 35);
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-alpn", "ftp", "-connect"]);
    let refused = run(openssl.arg(stage.address().to_string()));
    assert!(!refused.status.success() && refused.stderr.contains("no application protocol"));

    // Who forgets TLS is told so.
    let told = stage.curl("http://GATE/healthz", &[]).ok().text();
    assert!(
        told.starts_with("this is https") && told.ends_with("\n400"),
        "{told}"
    );
    let log = stage.gate.stop();
    assert!(!log.contains(TOKEN), "{log}");
}

#[test]
fn where_readers_must_show_certificates_only_good_ones_do() {
    let stage = Stage::new(|setup, _, partners| {
        setup
            .admin("client_ca", &quoted(&partners.ca_file()))
            .admin("client_crl", &quoted(&partners.crl_file()))
    });
    let shown = |card: &Card| {
        let options = ["--cert", card.certificate(), "--key", card.key()];
        stage.ask("/sessions", &options)
    };
    let good = stage.partners.card("prometheus", Kind::Good);
    assert_eq!(shown(&good).ok().text(), "[]\n200");
    for kind in [Kind::Expired, Kind::NotYetValid, Kind::Revoked] {
        let refused = shown(&stage.partners.card("other", kind));
        assert!(!refused.status.success(), "{kind:?}: {refused:?}");
        assert!(refused.stderr.contains("alert"), "{kind:?}: {refused:?}");
    }
    let stranger = Partners::new(&stage.scene.folder("strangers"), "strangers");
    assert!(
        !shown(&stranger.card("stranger", Kind::Good))
            .status
            .success()
    );
    assert!(!stage.ask("/healthz", &[]).status.success());
    assert_eq!(shown(&good).ok().text(), "[]\n200");
}

#[test]
fn strangers_who_hold_every_place_are_cut_off() {
    let stage = Stage::with_token();
    // More than there are places; the last of them wait in the socket's queue.
    let mut strangers: Vec<TcpStream> = (0..40)
        .map(|number| {
            let mut stream = TcpStream::connect(stage.address()).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            match number % 4 {
                0 => {}
                // The beginning of a record, and a whole one that is no handshake.
                1 => stream.write_all(&[22, 3, 1]).unwrap(),
                2 => stream.write_all(&[22, 3, 1, 0, 4, 9, 9, 9, 9]).unwrap(),
                _ => stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap(),
            }
            stream
        })
        .collect();
    assert_eq!(stage.ask("/healthz", &[]).ok().text(), "ok\n\n200");
    for stream in &mut strangers {
        let mut heard = Vec::new();
        match stream.read_to_end(&mut heard) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert!(!heard.starts_with(b"HTTP/1.1 200"));
    }
}

#[test]
fn files_that_will_not_do_are_told_before_anybody_is_served() {
    let scene = Scene::new();
    let partners = Partners::new(&scene.folder("readers"), "readers");
    let expired = partners.card("admin", Kind::Expired);
    let check = |certificate: &Path, key: &Path, token: &str| {
        let mut setup = Setup::new()
            .admin("address", "\"0.0.0.0:9121\"")
            .admin("certificate", &quoted(certificate))
            .admin("key", &quoted(key));
        if !token.is_empty() {
            setup = setup.admin("token_file", &format!("\"{token}\""));
        }
        let (_, _, config) = Gate::configure(&scene, ([127, 0, 0, 1], 9).into(), setup);
        Gate::check(&config)
    };
    let own = (
        scene.authority.certificate_file(),
        scene.authority.key_file(),
    );
    let file = token(&scene).display().to_string();
    check(own.0, own.1, &file).ok();
    for (certificate, key, token, complaint) in [
        (
            expired.certificate.as_path(),
            expired.key.as_path(),
            file.as_str(),
            "admin.certificate: ",
        ),
        (own.0, expired.key.as_path(), &file, "admin.key: "),
        (
            own.0,
            Path::new("/nowhere"),
            &file,
            "admin.key: /nowhere: there is no such file",
        ),
        (
            own.0,
            own.1,
            "",
            "admin.address: whoever reaches it could end sessions",
        ),
    ] {
        let told = check(certificate, key, token);
        assert_eq!(told.status.code(), Some(2));
        assert!(
            told.stderr.contains(complaint),
            "{complaint}: {}",
            told.stderr
        );
        assert!(told.stderr.contains("1 complaint\n"), "{}", told.stderr);
    }
}
