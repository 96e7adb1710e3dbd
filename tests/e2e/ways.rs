//! Each leg in its own mode: implicit TLS, and active mode (rules 9 and 10).

use crate::support::certs::Versions;
use crate::support::clients::Target;
use crate::support::door::nobody;
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Act, Rude, Script};
use crate::support::servers::{FtpServer, Kind, Ways};
use crate::support::strict::{Manner, Strict};
use crate::support::wire::{Got, Wire};
use crate::support::{Scene, eventually, noise};

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
    may_clear: false,
    certificates: false,
};

#[test]
fn implicit_tls_on_both_legs() {
    for kind in Kind::DEMANDING {
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

/// Field case P26.
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

    let setup = implicit().listener("assume_private", "false");
    let gate = Gate::start(&scene, rude.address(), setup);
    let mut client = Strict::open_implicit(gate.address(), &scene.authority, Versions::Both);
    client.passive();
    client.say("RETR file").expect(&[521]);
    client.protect('P');
    client.download("RETR file").assert_complete(b"payload");
}

/// Field case P23.
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
fn a_backend_may_greet_before_implicit_tls() {
    let scene = Scene::new();
    let script = Script::new().file("file", b"payload").banner_first();
    let rude = Rude::start(&scene, script);
    let setup = Setup::new()
        .pool("tls", "\"implicit\"")
        .pool("banner_first", "true");
    let gate = Gate::start(&scene, rude.address(), setup);
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.download("RETR file").assert_complete(b"payload");
    client.upload("STOR up", b"").reply.expect(&[226]);
    assert!(rude.seen("RETR").iter().all(|seen| seen.resumed));
    assert!(!rude.commands().contains(&"AUTH TLS".to_owned()));
}

/// Field note P23, by name: neither side is told about banners one by one.
#[test]
fn a_profile_makes_both_legs_what_zos_expects() {
    for profile in ["zos", "zos-at-tls"] {
        let scene = Scene::new();
        let script = Script::new().file("hollow", b"").banner_first();
        let rude = Rude::start(&scene, script);
        let named = format!("{profile:?}");
        let setup = Setup::new()
            .listener("profile", &named)
            .listener("tls", "\"implicit\"")
            .pool("profile", &named)
            .pool("tls", "\"implicit\"");
        let gate = Gate::start(&scene, rude.address(), setup);
        let mut client = Strict::greet(gate.address(), scene.authority.client(Versions::Both));
        client.secure().unwrap();
        client.login();
        client.protect('P');
        client.download("RETR hollow").assert_complete(b"");
        client.upload("STOR up", b"").reply.expect(&[226]);
    }
}

/// Microsoft KB 2505047, by name: a 226 that comes before the data connection is worth less than SIZE.
#[test]
fn a_profile_asks_size_before_it_believes_that_iis_has_sent_nothing() {
    let scene = Scene::new();
    let script = Script::new()
        .file("full", b"payload")
        .file("hollow", b"")
        .on("RETR full", Act::NeverTake)
        .on("RETR hollow", Act::NeverTake);
    let rude = Rude::start(&scene, script);
    let setup = Setup::new().pool("profile", "\"iis\"");
    let gate = Gate::start(&scene, rude.address(), setup);
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.download("RETR full").reply.expect(&[426]);
    client.download("RETR hollow").assert_complete(b"");
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
    client.hears_end();
    let mut silent = Strict::connect(gate.address(), scene.authority.client(Versions::Both));
    silent.hears_end();
    assert_eq!(rude.commands(), Vec::<String>::new());
    gate.wait_for_log("TLS handshake deadline of the client");
}

/// One server, both TLS versions; each backend style and each protection with each of them.
fn active_clients(kind: Kind) {
    for (tls, style, level) in [
        ("1.2", "auto", 'C'),
        ("1.2", "port", 'P'),
        ("1.2", "eprt", 'C'),
        ("1.3", "auto", 'P'),
        ("1.3", "port", 'C'),
        ("1.3", "eprt", 'P'),
    ] {
        eprintln!("--- {kind:?}, TLS {tls}, {style}, PROT {level}");
        let scene = Scene::new();
        let is_clear = level == 'C';
        let ways = Ways {
            implicit: false,
            clear_data: is_clear,
            may_clear: false,
            certificates: false,
        };
        let server = furnished(kind, &scene, ways);
        let setup = version(tls)
            .pool("data_command", &format!("\"{style}\""))
            .pool("data_protection", "\"match\"")
            .listener("data_protection", "\"any\"");
        let gate = Gate::start(&scene, server.address(), setup);
        let target = Target::new(&scene, gate.address());
        // The curl of Debian 12 (7.88.1) speaks no TLS on data connections that it has accepted: its issue 10666.
        let (curl, lftp) = match is_clear {
            true => (
                &["--ftp-ssl-control", "--ftp-port", "-"][..],
                "set ftp:ssl-protect-data no; set ftp:ssl-protect-list no;",
            ),
            false => (&[][..], ""),
        };
        let lftp = format!("{lftp} set ftp:passive-mode off");
        moves_files(&server, &target, curl, &lftp);
        if is_clear {
            let port = [curl, &["--disable-eprt", "--output", "hollow-3"]].concat();
            target.curl("hollow", &port).ok();
            assert_eq!(target.read("hollow-3"), b"");
            // Passive in front of what the backend does.
            target
                .curl("big", &["--ftp-ssl-control", "--output", "big-3"])
                .ok();
            assert!(target.read("big-3") == noise(BIG));
        }
        let script = format!(
            "
ftp.set_pasv(False)
{}
assert fetch('RETR hollow')[1] == b''
assert len(fetch('RETR big')[1]) == 10 << 20
assert ftp.nlst('empty') == []
ftp.storbinary('STOR lib-hollow', io.BytesIO(b''))
ftp.storbinary('STOR lib-big', io.BytesIO(b'x' * (10 << 20)))
",
            if is_clear { "ftp.prot_c()" } else { "" }
        );
        target.ftplib(&script).ok();
        assert_eq!(server.get("lib-hollow").unwrap(), b"");
        assert_eq!(server.get("lib-big").unwrap().len(), BIG);
        let log = server.log();
        let is_active = log.contains("PORT") || log.contains("EPRT");
        assert!(
            kind != Kind::Vsftpd || is_active == (style != "auto"),
            "{log}"
        );
        gate.wait_for_ports();
    }
}

#[test]
fn active_clients_of_vsftpd() {
    active_clients(Kind::Vsftpd);
}

#[test]
fn active_clients_of_proftpd() {
    active_clients(Kind::Proftpd);
}

#[test]
fn active_transfers_are_complete_and_resume() {
    for (kind, style) in [(Kind::Vsftpd, "port"), (Kind::Proftpd, "eprt")] {
        let scene = Scene::new();
        let server = furnished(kind, &scene, Ways::default());
        let setup = Setup::new().pool("data_command", &format!("\"{style}\""));
        let gate = Gate::start(&scene, server.address(), setup);
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        let mut descriptors = 0;
        for n in 0..60 {
            client.active = [Some("PORT"), Some("EPRT"), None][n % 3];
            let transfer = client.download("RETR hollow");
            transfer.assert_complete(b"");
            assert!(transfer.resumed, "transfer {n}");
            let bytes = [&b"payload"[..], b""][n % 2];
            client.upload("STOR up", bytes).reply.expect(&[226]);
            assert_eq!(server.get("up").unwrap(), bytes);
            if n == 2 {
                descriptors = gate.descriptors();
            }
        }
        for active in [Some("PORT"), Some("EPRT"), None] {
            client.active = active;
            client.download("RETR none").reply.expect(&[550]);
            client.download("RETR big").assert_complete(&noise(BIG));
        }
        gate.wait_for_descriptors(descriptors);
        assert_eq!(gate.listening_ports(), 0, "passive ports leak");
    }
}

#[test]
fn ipv6_clients_in_active_mode() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", b"payload"));
    let gate = Gate::start(&scene, rude.address(), Setup::new().ipv6());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.active = Some("EPRT");
    client.download("RETR file").assert_complete(b"payload");
    client.upload("STOR up", b"").reply.expect(&[226]);
    client.say("EPRT |1|127.0.0.1|5000|").expect(&[522]);
    client.say("PORT 127,0,0,1,195,80").expect(&[504]);
}

#[test]
fn data_connections_lead_to_the_client_or_nowhere() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", b"payload"));
    let gate = Gate::start(&scene, rude.address(), Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.say("PORT 127,0,0,2,195,80").expect(&[504]);
    client.say("EPRT |1|192.0.2.1|50000|").expect(&[504]);
    client.say("PORT 127,0,0,1,0,21").expect(&[504]);
    client.say("EPRT |1|127.0.0.1|1023|").expect(&[504]);
    client.say("EPRT |2|::1|50000|").expect(&[522]);
    client.say("PORT here").expect(&[501]);
    client.say("RETR file").expect(&[425]);
    // Nobody listens there: the session goes on.
    let nobody = nobody();
    let port = nobody.local_addr().unwrap().port();
    client
        .say(&format!("EPRT |1|127.0.0.1|{port}|"))
        .expect(&[200]);
    let mut reply = client.say("RETR file");
    if reply.code == 150 {
        reply = client.hear();
    }
    reply.expect(&[425]);
    client.active = Some("PORT");
    client.download("RETR file").assert_complete(b"payload");
    for manner in [Manner::BareClose, Manner::BareReset, Manner::Unfinished] {
        client
            .upload_as("STOR false", b"payload", manner)
            .reply
            .expect(&[226, 425, 426]);
        if manner != Manner::Unfinished {
            assert_eq!(rude.stored("false"), None, "{manner:?}");
        }
    }
    client.say("EPSV ALL").expect(&[200]);
    client.say("PORT 127,0,0,1,195,80").expect(&[503]);
    client.say("EPRT |1|127.0.0.1|50000|").expect(&[503]);
    client.active = None;
    client.download("RETR file").assert_complete(b"payload");
    drop(gate);

    let gate = Gate::start(
        &scene,
        rude.address(),
        Setup::new().listener("active", "false"),
    );
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.say("PORT 127,0,0,1,195,80").expect(&[502]);
    assert!(!client.say("FEAT").expect(&[211]).text.contains("EPRT"));
}

#[test]
fn a_backend_is_awaited_from_its_own_address_only() {
    let scene = Scene::new();
    let script = Script::new()
        .file("file", b"payload")
        .on("PORT", Act::Say("200 Noted\r\n"))
        .on("RETR", Act::HangBefore150);
    let rude = Rude::start(&scene, script);
    let setup = Setup::new().pool("data_command", "\"port\"");
    let gate = Gate::start(&scene, rude.address(), setup);
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.passive();
    client.tell("RETR file");
    eventually("the backend is told", || {
        !rude.commands().iter().all(|line| !line.starts_with("RETR"))
    });
    let commands = rude.commands();
    let told = commands
        .iter()
        .find_map(|line| line.strip_prefix("PORT "))
        .unwrap();
    let numbers: Vec<u16> = told.split(',').map(|n| n.parse().unwrap()).collect();
    assert_eq!(numbers[..4], [127, 0, 0, 1]);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], numbers[4] * 256 + numbers[5]));
    let mut stranger = Wire::connect_from([127, 0, 0, 2].into(), address).unwrap();
    stranger.hears_reset();
    // The right one: the gate is the TLS client although it is the one that has accepted.
    let mut backend = Wire::connect_from([127, 0, 0, 1].into(), address).unwrap();
    let Got::Bytes(hello) = backend.read().unwrap() else {
        panic!("no ClientHello");
    };
    assert_eq!(hello[0], 22);
    client.tell("ABOR");
    client.hear().expect(&[426]);
    client.hear().expect(&[226]);
    assert_eq!(gate.listening_ports(), 0);
}
