//! Virtual hosts: certificate and backend by the name in the handshake, by HOST, or by both alike (RFC 7151).

use std::fmt::Write as _;

use crate::support::Scene;
use crate::support::certs::Versions;
use crate::support::clients::Target;
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Rude, Script};
use crate::support::strict::Strict;

/// A gate with backends of its own for two hosts, and one for everybody else.
struct Stage {
    scene: Scene,
    gate: Gate,
    _backends: [Rude; 3],
}

const NAMES: [&str; 2] = ["one.example", "two.example"];

fn stage(setup: Setup) -> Stage {
    let scene = Scene::new();
    let backend = |who: &str| Rude::start(&scene, Script::new().file("who", who.as_bytes()));
    let backends = [backend("nobody"), backend(NAMES[0]), backend(NAMES[1])];
    let mut more = String::new();
    let folder = scene.folder("hosts");
    for (name, backend) in NAMES.iter().zip(&backends[1..]) {
        let [certificate, key] = scene.authority.issue(&folder, name);
        write!(
            more,
            "[[pool]]\nname = \"{name}\"\nmembers = \"{address}\"\nca = \"{ca}\"\n\
             [[host]]\nname = \"{name}\"\nlistener = \"outside\"\npool = \"{name}\"\n\
             certificate = \"{certificate}\"\nkey = \"{key}\"\n",
            address = backend.address(),
            ca = scene.authority.ca_file().display(),
            certificate = certificate.display(),
            key = key.display(),
        )
        .unwrap();
    }
    let gate = Gate::start(&scene, backends[0].address(), setup.more(&more));
    Stage {
        scene,
        gate,
        _backends: backends,
    }
}

#[test]
fn the_name_in_the_handshake_chooses_certificate_and_backend() {
    for version in ["1.2", "1.3"] {
        let versions = format!("[\"{version}\"]");
        let stage = stage(
            Setup::new()
                .listener("tls_versions", &versions)
                .listener("resumption", "\"required\""),
        );
        for name in NAMES {
            let target = Target::named(&stage.scene, stage.gate.address(), name);
            // curl takes no certificate that does not bear the name, neither here nor on the data connection.
            let who = target.curl("who", &[]).ok().text();
            assert_eq!(who, name);
        }
        // Who names nobody: the listener's own.
        let target = Target::new(&stage.scene, stage.gate.address());
        assert_eq!(target.curl("who", &[]).ok().text(), "nobody");
        // lftp says HOST with the address it was given, which names no host here, and goes on.
        target.lftp("get who").ok();
        assert_eq!(target.read("who"), b"nobody");
    }
}

#[test]
fn host_chooses_certificate_and_backend_where_the_handshake_names_nobody() {
    let stage = stage(Setup::new());
    for versions in [Versions::Only12, Versions::Only13] {
        for name in NAMES {
            let config = stage.scene.authority.client(versions);
            let mut client = Strict::greet(stage.gate.address(), config);
            client.call(name, false);
            client.say("HOST nobody.example").expect(&[504]);
            client.say("HOST one.example:21").expect(&[501]);
            client
                .say(&format!("HOST {}", name.to_uppercase()))
                .expect(&[220]);
            client.auth();
            client.login();
            client.protect('P');
            client.say("HOST one.example").expect(&[503]);
            client.download("RETR who").assert_complete(name.as_bytes());
        }
    }
}

#[test]
fn host_and_handshake_must_agree() {
    let stage = stage(Setup::new());
    let client = || {
        let config = stage.scene.authority.client(Versions::Both);
        let mut client = Strict::greet(stage.gate.address(), config);
        client.call(NAMES[0], true);
        client
    };
    let mut behind = client();
    behind.auth();
    behind.say("HOST two.example").expect(&[504]);
    behind.say("HOST one.example").expect(&[220]);
    behind.login();
    behind.protect('P');
    behind
        .download("RETR who")
        .assert_complete(NAMES[0].as_bytes());

    let mut before = client();
    before.say("HOST two.example").expect(&[220]);
    before.auth();
    before.hear().expect(&[421]);
}

#[test]
fn a_stranger_is_refused_where_names_are_strict() {
    for (strict, is_served) in [("true", false), ("false", true)] {
        let stage = stage(Setup::new().listener("strict_sni", strict));
        let target = Target::named(&stage.scene, stage.gate.address(), "stranger.example");
        // The listener's own certificate bears another name.
        let ran = target.curl("who", &["--insecure"]);
        assert_eq!(ran.status.success(), is_served, "{}", ran.stderr);
        let is_named = ran.stderr.contains("unrecognized name");
        assert_eq!(is_named, !is_served, "{}", ran.stderr);
        let target = Target::new(&stage.scene, stage.gate.address());
        assert_eq!(target.curl("who", &[]).ok().text(), "nobody");
    }
}
