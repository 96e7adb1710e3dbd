//! CCC on either leg and REIN, with real clients and real servers: what goes on in clear text, and what stays private.

use crate::support::certs::Versions;
use crate::support::clients::Target;
use crate::support::gate::{Gate, Setup};
use crate::support::process::Ran;
use crate::support::rude::{Rude, Script};
use crate::support::servers::{FtpServer, Kind, Ways};
use crate::support::strict::Strict;
use crate::support::{Scene, USER};

const VERSIONS: [&str; 2] = ["1.2", "1.3"];

fn accepting(version: &str) -> Setup {
    let list = format!("[\"{version}\"]");
    Setup::new()
        .listener("ccc", "\"accept\"")
        .listener("resumption", "\"required\"")
        .listener("tls_versions", &list)
        .pool("tls_versions", &list)
}

fn rude(scene: &Scene) -> Rude {
    let script = Script::new().file("file", b"payload").file("hollow", b"");
    Rude::start(scene, script)
}

/// What curl and lftp print of the reply to CCC.
fn assert_cleared(ran: &Ran) {
    let told = format!("{}{}", ran.text(), ran.stderr);
    assert!(told.contains("200 Clear text from here on"), "{told}");
}

/// Field case P10.
#[test]
fn curl_clears_its_control_connection_actively_and_passively() {
    for version in VERSIONS {
        // OpenSSL resumes no session that was not ended in order, which the passive manner does not.
        for (mode, resumption) in [("passive", "\"accepted\""), ("active", "\"required\"")] {
            let scene = Scene::new();
            let rude = rude(&scene);
            // Its data connections must go on resuming what the cleared control connection was (field note P10).
            let setup = accepting(version).listener("resumption", resumption);
            let gate = Gate::start(&scene, rude.address(), setup);
            let target = Target::new(&scene, gate.address());
            let ccc = ["--ftp-ssl-ccc", "--ftp-ssl-ccc-mode", mode];
            let got = target.curl("file", &[&ccc[..], &["--output", "file"]].concat());
            assert_cleared(&got.ok());
            assert_eq!(target.read("file"), b"payload");
            let got = target.curl("hollow", &[&ccc[..], &["--output", "hollow"]].concat());
            assert_cleared(&got.ok());
            assert_eq!(target.read("hollow"), b"");
            target.write("up", b"sent");
            let put = target.curl("up", &[&ccc[..], &["--upload-file", "up"]].concat());
            assert_cleared(&put.ok());
            assert_eq!(rude.stored("up").unwrap(), b"sent");
            gate.wait_for_log("TLS taken off the control connection");
        }
    }
}

#[test]
fn lftp_clears_its_control_connection() {
    for version in VERSIONS {
        let scene = Scene::new();
        let rude = rude(&scene);
        // With its control connection's TLS lftp forgets what it could resume.
        let setup = accepting(version).listener("resumption", "\"accepted\"");
        let gate = Gate::start(&scene, rude.address(), setup);
        let target = Target::new(&scene, gate.address());
        target.write("up", b"sent");
        let ran = target.lftp("set ftp:ssl-use-ccc yes; get file; get hollow; put up");
        assert_cleared(&ran.ok());
        assert_eq!(target.read("file"), b"payload");
        assert_eq!(target.read("hollow"), b"");
        assert_eq!(rude.stored("up").unwrap(), b"sent");
    }
}

#[test]
fn a_client_that_ends_tls_in_order_loses_no_byte_at_the_border() {
    let scene = Scene::new();
    let rude = rude(&scene);
    let gate = Gate::start(&scene, rude.address(), accepting("1.3"));
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Only13);
    client.say("CCC").expect(&[200]);
    // close_notify, and the next command right behind it.
    client.clear(b"NOOP\r\n").unwrap();
    client.hear().expect(&[200]);
    client.download("RETR file").assert_complete(b"payload");
    client.say("PROT C").expect(&[503]);
    client.say(&format!("USER {USER}")).expect(&[503]);
    client.say("QUIT").expect(&[221]);
}

#[test]
fn the_backend_is_cleared_for_a_firewall_inside() {
    for version in VERSIONS {
        let scene = Scene::new();
        let ways = Ways {
            may_clear: true,
            ..Ways::default()
        };
        // It demands that data connections resume its control session, cleared or not.
        let server = FtpServer::start_as(Kind::Proftpd, &scene, ways);
        server.put("file", b"payload");
        server.put("hollow", b"");
        let setup = Setup::new()
            .pool("tls_versions", &format!("[\"{version}\"]"))
            .pool("ccc", "\"required\"");
        let gate = Gate::start(&scene, server.address(), setup);
        let target = Target::new(&scene, gate.address());
        target.write("up", b"sent");
        let many = "get -e hollow; ".repeat(12);
        target.lftp(&format!("get file; put up; {many}")).ok();
        assert_eq!(target.read("file"), b"payload");
        assert_eq!(server.get("up").unwrap(), b"sent");
        gate.wait_for_log("\"Backend\"");
        assert!(
            server.log().contains("received CCC, clearing"),
            "{}",
            server.log()
        );
    }
}

#[test]
fn a_backend_that_keeps_tls_is_warned_of_or_not_used() {
    for kind in Kind::DEMANDING {
        let scene = Scene::new();
        let server = FtpServer::start(kind, &scene);
        server.put("file", b"payload");
        let setup = |ccc| Setup::new().pool("ccc", ccc);
        let gate = Gate::start(&scene, server.address(), setup("\"try\""));
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        client.download("RETR file").assert_complete(b"payload");
        gate.wait_for_log("refuses CCC");

        let gate = Gate::start(&scene, server.address(), setup("\"required\""));
        let mut client = Strict::greet(gate.address(), scene.authority.client(Versions::Both));
        client.auth();
        client.login();
        client.hear().expect(&[421]);
    }
}

#[test]
fn rein_leads_to_another_login_over_tls_of_its_own() {
    for versions in [Versions::Only12, Versions::Only13] {
        let scene = Scene::new();
        let rude = rude(&scene);
        let setup = Setup::new().listener("resumption", "\"required\"");
        let gate = Gate::start(&scene, rude.address(), setup);
        let mut client = Strict::open(gate.address(), &scene.authority, versions);
        client.download("RETR file").assert_complete(b"payload");
        client.say("REIN").expect(&[220]);
        client.clear(b"").unwrap();
        client.say(&format!("USER {USER}")).expect(&[530]);
        // It may not be asked to resume what was before (RFC 4217 section 13): it has forgotten.
        client.forget(&scene.authority, versions);
        client.auth();
        client.login();
        client.protect('P');
        client.download("RETR file").assert_complete(b"payload");
        client.say("QUIT").expect(&[221]);
        let quits = rude
            .commands()
            .iter()
            .filter(|line| *line == "QUIT")
            .count();
        assert!(quits >= 1, "{:?}", rude.commands());
    }
}

#[test]
fn clear_text_before_the_answer_to_ccc_breaks_tls() {
    let scene = Scene::new();
    let rude = rude(&scene);
    let gate = Gate::start(&scene, rude.address(), accepting("1.3"));
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Only13);
    client.control().write_raw(b"DELE file\r\n").unwrap();
    let told = client.hear_or_end().unwrap_err();
    assert!(told.to_string().contains("DecodeError"), "{told}");
    assert!(!rude.commands().iter().any(|line| line.starts_with("DELE")));
}
