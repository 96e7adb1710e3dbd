//! Who a backend is, and who the gate is to a backend: checks of certificates on both connections, certificates of the gate's
//! own, and protocols that are offered (ALPN).

use std::sync::Arc;

use rustls::ServerConfig;

use crate::support::certs::{Authority, Versions};
use crate::support::gate::{Gate, Setup};
use crate::support::partners::{Card, Kind, Partners};
use crate::support::rude::{Rude, Script};
use crate::support::servers::{FtpServer, Kind as FtpKind, Ways};
use crate::support::strict::Strict;
use crate::support::{Scene, USER};

/// A gate that has a certificate for its pool.
fn inside(scene: &Scene, card: &Card, version: &str) -> Setup {
    let list = format!("[\"{version}\"]");
    let ca = format!("\"{}\"", scene.authority.ca_file().display());
    Setup::new()
        .pool("ca", &ca)
        .pool("tls_versions", &list)
        .pool("client_certificate", &format!("\"{}\"", card.certificate()))
        .pool("client_key", &format!("\"{}\"", card.key()))
}

#[test]
fn backends_are_shown_the_gates_own_certificate() {
    for kind in FtpKind::DEMANDING {
        for version in ["1.2", "1.3"] {
            eprintln!("--- {kind:?}, TLS {version}");
            let scene = Scene::new();
            let partners = Partners::new(&scene.folder("certificates"), "inside");
            let card = partners.card("gate", Kind::Good);
            let ways = Ways {
                certificates: true,
                ..Ways::default()
            };
            let server = FtpServer::start_as(kind, &scene, ways);
            server.put("file", b"payload");
            let gate = Gate::start(&scene, server.address(), inside(&scene, &card, version));
            let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
            for _ in 0..5 {
                client.download("RETR file").assert_complete(b"payload");
                client.upload("STOR up", b"").reply.expect(&[226]);
            }
            assert_eq!(server.get("up").unwrap(), b"");
            // Without one it is turned away.
            let setup = Setup::new().pool("tls_versions", &format!("[\"{version}\"]"));
            let bare = Gate::start(&scene, server.address(), setup);
            let mut client = Strict::greet(bare.address(), scene.authority.client(Versions::Both));
            client.auth();
            client.say(&format!("USER {USER}")).expect(&[421]);
        }
    }
}

#[test]
fn a_backends_data_connection_has_the_certificate_of_its_control_connection() {
    let scene = Scene::new();
    let other = Authority::new(&scene.folder("other"));
    let script = Script::new()
        .file("file", b"payload")
        .data_tls(other.server(Versions::Both));
    let rude = Rude::start(&scene, script);
    let gate = Gate::start(
        &scene,
        rude.address(),
        Setup::new().pool("verify", "\"off\""),
    );
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    for _ in 0..2 {
        let refused = client.download("RETR file");
        assert_eq!(refused.bytes, b"");
        // The gate's 425, or what the backend says first of having been left.
        refused.reply.expect(&[425, 426]);
        let refused = client.upload("STOR up", b"payload");
        refused.reply.expect(&[425, 426]);
    }
    assert!(rude.stored("up").is_none(), "nothing may come to exist");
    gate.wait_for_log("not the certificate of its control connection");
}

#[test]
fn a_backend_that_fails_its_checks_is_named_in_the_log_and_not_to_the_client() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let pin = format!("\"{}\"", "AB".repeat(32));
    for (key, value, reason) in [
        (
            "server_name",
            "\"ftp.inside\"",
            "expected ftp.inside, its alternative names are ",
        ),
        ("pins", pin.as_str(), "none of the pool's pins"),
    ] {
        let gate = Gate::start(&scene, rude.address(), Setup::new().pool(key, value));
        let mut client = Strict::greet(gate.address(), scene.authority.client(Versions::Both));
        client.auth();
        let refused = client.say(&format!("USER {USER}")).expect(&[421]);
        assert!(
            refused
                .text
                .ends_with("The connection to the server is lost")
        );
        gate.wait_for_log(reason);
    }
    // By an authority, and whatever its name.
    let setup = Setup::new()
        .pool("verify", "\"chain\"")
        .pool("server_name", "\"ftp.inside\"");
    let gate = Gate::start(&scene, rude.address(), setup);
    Strict::open(gate.address(), &scene.authority, Versions::Both);
}

#[test]
fn protocols_are_offered_to_backends_where_the_pool_says_so() {
    let scene = Scene::new();
    let named = |name: &str| {
        let mut config = ServerConfig::clone(&scene.authority.server(Versions::Both));
        config.alpn_protocols = vec![name.as_bytes().to_vec()];
        Arc::new(config)
    };
    let script = Script::new().file("file", b"payload");
    let rude = Rude::start(&scene, script.data_tls(named("ftp-data")));
    for (alpn, is_offered) in [("true", true), ("false", false)] {
        let gate = Gate::start(
            &scene,
            rude.address(),
            Setup::new().process("cores", "[0]").pool("alpn", alpn),
        );
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        client.download("RETR file").assert_complete(b"payload");
        let secured = "\"data leg secured\",\"session\":0,\"side\":\"Backend\"";
        let line = gate.wait_for_log(secured);
        assert_eq!(line.contains("ftp-data"), is_offered, "{line}");
    }
}
