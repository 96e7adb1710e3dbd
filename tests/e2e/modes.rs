//! Each leg in its own mode: implicit TLS (rule 9).

use crate::support::certs::Versions;
use crate::support::clients::Target;
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Rude, Script};
use crate::support::servers::{FtpServer, Kind, Ways};
use crate::support::strict::Strict;
use crate::support::{Scene, noise};

const BIG: usize = 10 << 20;

/// Both legs speak only this version.
fn version(version: &str) -> Setup {
    let list = format!("[\"{version}\"]");
    Setup::new()
        .listener("tls_versions", &list)
        .pool("tls_versions", &list)
}

/// Files of the usual sizes, there and back, with curl and lftp.
fn moves_files(server: &FtpServer, target: &Target, curl: &[&str], lftp: &str) {
    let with = |more: &[&'static str]| [curl, more].concat();
    target.curl("big", &with(&["--output", "big"])).ok();
    assert!(target.read("big") == noise(BIG));
    target.curl("hollow", &with(&["--output", "hollow"])).ok();
    assert_eq!(target.read("hollow"), b"");
    target.curl("up-big", &with(&["--upload-file", "big"])).ok();
    let stored = server.get("up-big").unwrap();
    assert!(stored == noise(BIG), "{}", server.log());
    target
        .curl("up-hollow", &with(&["--upload-file", "hollow"]))
        .ok();
    assert_eq!(server.get("up-hollow").unwrap(), b"", "{}", server.log());
    assert_eq!(
        target.curl("empty/", &with(&["--list-only"])).ok().text(),
        ""
    );
    target
        .lftp(&format!(
            "{lftp}; get big -o big-2; get hollow -o hollow-2; put big -o up-big-2; put hollow -o up-hollow-2; nlist empty"
        ))
        .ok();
    assert!(target.read("big-2") == noise(BIG));
    assert_eq!(target.read("hollow-2"), b"");
    assert!(server.get("up-big-2").unwrap() == noise(BIG));
    assert_eq!(server.get("up-hollow-2").unwrap(), b"");
}

fn furnished(kind: Kind, scene: &Scene, ways: Ways) -> FtpServer {
    let server = FtpServer::start_as(kind, scene, ways);
    server.put("big", &noise(BIG));
    server.put("hollow", b"");
    server.folder("empty");
    server
}

const IMPLICIT: Ways = Ways {
    implicit: true,
    clear_data: false,
};

#[test]
fn implicit_tls_on_both_legs() {
    for kind in Kind::ALL {
        for tls in ["1.2", "1.3"] {
            eprintln!("--- {kind:?}, TLS {tls}");
            let scene = Scene::new();
            let server = furnished(kind, &scene, IMPLICIT);
            let setup = version(tls)
                .listener("tls", "\"implicit\"")
                .pool("tls", "\"implicit\"");
            let gate = Gate::start(&scene, server.address(), setup);
            let target = Target::implicit(&scene, gate.address());
            moves_files(&server, &target, &[], "");
        }
    }
}

#[test]
fn implicit_in_front_of_explicit_and_the_other_way_round() {
    let scene = Scene::new();
    let server = furnished(Kind::Vsftpd, &scene, Ways::default());
    let setup = Setup::new().listener("tls", "\"implicit\"");
    let gate = Gate::start(&scene, server.address(), setup);
    moves_files(&server, &Target::implicit(&scene, gate.address()), &[], "");

    let scene = Scene::new();
    let server = furnished(Kind::Proftpd, &scene, IMPLICIT);
    let setup = Setup::new().pool("tls", "\"implicit\"");
    let gate = Gate::start(&scene, server.address(), setup);
    moves_files(&server, &Target::new(&scene, gate.address()), &[], "");
}

#[test]
fn implicit_tls_implies_prot_p_unless_it_is_told_not_to() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", b"payload"));
    let implicit = || Setup::new().listener("tls", "\"implicit\"");
    let gate = Gate::start(&scene, rude.address(), implicit());
    let mut client = Strict::open_implicit(gate.address(), &scene.authority, Versions::Both);
    client.say("AUTH TLS").expect(&[503]);
    assert!(!client.say("FEAT").expect(&[211]).text.contains("AUTH"));
    client.download("RETR file").assert_complete(b"payload");
    client.upload("STOR up", b"").reply.expect(&[226]);
    assert_eq!(rude.stored("up").unwrap(), b"");
    drop(gate);

    let setup = implicit().listener("implicit_private", "false");
    let gate = Gate::start(&scene, rude.address(), setup);
    let mut client = Strict::open_implicit(gate.address(), &scene.authority, Versions::Both);
    client.passive();
    client.say("RETR file").expect(&[521]);
    client.protect('P');
    client.download("RETR file").assert_complete(b"payload");
}

/// z/OS: P23.
#[test]
fn the_banner_comes_first_where_it_is_told_to() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", b"payload"));
    let setup = Setup::new()
        .listener("tls", "\"implicit\"")
        .listener("banner_first", "true");
    let gate = Gate::start(&scene, rude.address(), setup);
    let mut client = Strict::greet(gate.address(), scene.authority.client(Versions::Both));
    client.secure().unwrap();
    client.login();
    client.protect('P');
    client.download("RETR file").assert_complete(b"payload");
}

#[test]
fn clear_words_on_an_implicit_port_get_no_service() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let setup = Setup::new()
        .listener("tls", "\"implicit\"")
        .timeout("handshake", "2s");
    let gate = Gate::start(&scene, rude.address(), setup);
    let mut client = Strict::connect(gate.address(), scene.authority.client(Versions::Both));
    client.tell("USER somebody");
    client.hear_or_end().unwrap_err();
    let mut silent = Strict::connect(gate.address(), scene.authority.client(Versions::Both));
    silent.hear_or_end().unwrap_err();
    assert_eq!(rude.commands(), Vec::<String>::new());
    gate.wait_for_log("TLS handshake deadline of the client");
}
