//! Cases of the field that no other test meets; `docs/FIELD-CASES.md` lists them all.

use std::process::Command;
use std::time::Duration;

use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::process::run;
use crate::support::rude::{Act, Ended, Rude, Script};
use crate::support::servers::{FtpServer, Kind};
use crate::support::strict::{Manner, Strict};
use crate::support::wire::Wire;
use crate::support::{Scene, eventually, noise, start};

/// Field case E6.
#[test]
fn a_bare_upload_is_answered_whatever_the_server_makes_of_it() {
    for kind in Kind::ALL {
        eprintln!("{kind:?}");
        let scene = Scene::new();
        let server = FtpServer::start(kind, &scene);
        let setup = Setup::new()
            .timeout("data_completion", "5s")
            .timeout("linger", "500ms")
            .timeout("backend_reply", "10s");
        let gate = Gate::start(&scene, server.address(), setup);
        let open = || Strict::open(gate.address(), &scene.authority, Versions::Both);
        let mut client = open();
        let transfer = client.upload_as("STOR victim", b"", Manner::BareClose);
        // Some of the servers end the session over it, which must be said, too.
        let reply = transfer.reply.expect(&[421, 425, 426, 451]);
        if reply.code != 421 {
            client.say("NOOP").expect(&[200, 421]);
        }
        open().upload("STOR next", b"next").reply.expect(&[226]);
        assert_eq!(server.get("next").unwrap(), b"next");
    }
}

/// Field case E11.
#[test]
fn a_size_of_zero_is_no_proof_of_an_empty_file() {
    let script = Script::new()
        .file("generated", b"payload")
        .on("SIZE", Act::Say("213 0\r\n"));
    for policy in ["\"complete\"", "\"verify\""] {
        let (scene, _rude, gate) = start(script.clone(), Setup::new().pool("empty", policy));
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        client.say("SIZE generated").expect(&[213]);
        client
            .download("RETR generated")
            .assert_complete(b"payload");
    }
}

/// Field case P11.
#[test]
fn a_reset_behind_close_notify_takes_nothing_back() {
    for versions in [Versions::Only12, Versions::Only13] {
        let script = Script::new()
            .file("hollow", b"")
            .file("file", &noise(20_000))
            .on("RETR", Act::NotifyThenReset)
            .versions(versions);
        let (scene, rude, gate) = start(script, Setup::new());
        let mut client = Strict::open(gate.address(), &scene.authority, versions);
        client.download("RETR hollow").assert_complete(b"");
        client.download("RETR file").assert_complete(&noise(20_000));

        let address = client.passive();
        client.tell("STOR up");
        let mut data = client.connect_data(address);
        client.hear().expect(&[150]);
        data.write(b"payload").unwrap();
        data.close_notify().unwrap();
        data.reset();
        client.hear().expect(&[226]);
        assert_eq!(rude.stored("up").unwrap(), b"payload");
        assert_eq!(rude.seen("STOR up")[0].ended, Ended::Clean);
    }
}

/// Field case P13.
#[test]
fn streams_of_awkward_lengths_end_with_close_notify() {
    const LENGTHS: [(&str, usize); 7] = [
        ("one", 1),
        ("page", 4096),
        ("below-a-record", 16_383),
        ("record", 16_384),
        ("above-a-record", 16_385),
        ("odd", 43_277),
        ("above-a-buffer", 262_145),
    ];
    let script = LENGTHS
        .iter()
        .fold(Script::new(), |script, (name, length)| {
            script.file(name, &noise(*length))
        });
    let (scene, rude, gate) = start(script, Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    for (name, length) in LENGTHS {
        client
            .download(&format!("RETR {name}"))
            .assert_complete(&noise(length));
        let command = format!("STOR up-{name}");
        client.upload(&command, &noise(length)).reply.expect(&[226]);
        assert!(rude.stored(&format!("up-{name}")).unwrap() == noise(length));
        assert_eq!(rude.seen(&command)[0].ended, Ended::Clean, "{name}");
    }
}

/// Field case P8.
#[test]
fn a_sessions_data_goes_where_its_commands_go() {
    let scene = Scene::new();
    let backends = [b"one", b"two"].map(|name| {
        let script = Script::new().file("who", name).on(
            "PWD",
            Act::Say(if name == b"one" {
                "257 \"/one\"\r\n"
            } else {
                "257 \"/two\"\r\n"
            }),
        );
        (name, Rude::start(&scene, script))
    });
    let members = format!(
        "[\"{}\", \"{}\"]",
        backends[0].1.address(),
        backends[1].1.address()
    );
    let setup = Setup::new().pool("members", &members);
    let gate = Gate::start(&scene, backends[0].1.address(), setup);
    let mut sessions: Vec<_> = (0..6)
        .map(|_| Strict::open(gate.address(), &scene.authority, Versions::Both))
        .collect();
    for round in 0..3 {
        for client in &mut sessions {
            let answer = client.say("PWD").expect(&[257]).text;
            let transfer = client.download("RETR who");
            transfer.reply.expect(&[226]);
            let who = String::from_utf8(transfer.bytes).unwrap();
            assert!(answer.contains(&who), "round {round}: {answer} but {who}");
        }
    }
    for (name, backend) in &backends {
        assert!(!backend.seen("RETR").is_empty(), "{name:?} had no session");
    }
}

/// Field case P7.
#[test]
fn data_from_another_address_is_served_where_the_listener_allows_it() {
    let setup = Setup::new()
        .listener("data_peer", "\"any\"")
        .listener("data_protection", "\"any\"");
    let (scene, _rude, gate) = start(Script::new().file("file", b"payload"), setup);
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.protect('C');
    let address = client.passive();
    client.tell("RETR file");
    let mut data = Wire::connect_from([127, 0, 0, 2].into(), address).unwrap();
    let (bytes, end) = data.read_to_end();
    end.unwrap();
    assert_eq!(bytes, b"payload");
    client.hear().expect(&[150]);
    client.hear().expect(&[226]);
}

/// Field case P25.
#[test]
fn a_backend_hears_pbsz_and_prot_once() {
    let (scene, rude, gate) = start(Script::new().file("file", b"payload"), Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    for _ in 0..3 {
        // One PBSZ is enough for any number of these.
        client.say("PROT P").expect(&[200]);
        client.download("RETR file").assert_complete(b"payload");
    }
    let commands = rude.commands();
    for word in ["PBSZ", "PROT"] {
        let said = commands.iter().filter(|line| line.starts_with(word));
        assert_eq!(said.count(), 1, "{commands:?}");
    }
}

/// Field case P28.
#[test]
fn a_client_that_leaves_without_quit_is_taken_leave_of_at_the_backend() {
    let (scene, rude, gate) = start(Script::new(), Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.upload("STOR up", b"payload").reply.expect(&[226]);
    drop(client);
    eventually("the backend hears QUIT", || {
        rude.commands().last().is_some_and(|line| line == "QUIT")
    });
    assert_eq!(rude.stored("up").unwrap(), b"payload");
}

/// Field case P22.
#[test]
fn a_banner_of_many_lines_ends_no_session() {
    let banner = format!(
        "220-Begin\r\n{}220 End\r\n",
        "220-No user serviceable parts\r\n".repeat(400)
    );
    let (scene, _rude, gate) = start(Script::new().greeting(banner.leak()), Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.say("NOOP").expect(&[200]);
}

/// Field case P27.
#[test]
fn a_session_id_of_tls_1_2_is_never_empty() {
    let (scene, _rude, gate) = start(Script::new(), Setup::new());
    let mut client = Command::new("openssl");
    client
        .args(["s_client", "-starttls", "ftp", "-tls1_2", "-no_ticket"])
        .args(["-connect", &gate.address().to_string(), "-CAfile"])
        .arg(scene.authority.ca_file());
    let said = run(&mut client).ok().text();
    let id = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Session-ID:"))
        .unwrap();
    assert_eq!(id.trim().len(), 64, "{said}");
}

/// Field case P19.
#[test]
fn nothing_spins_when_peers_are_gone() {
    let script = Script::new()
        .file("file", &noise(1 << 20))
        .on("STOR stuck", Act::HangAfter150);
    let (scene, _rude, gate) = start(script, Setup::new());
    let open = || Strict::open(gate.address(), &scene.authority, Versions::Both);
    // One has half a data connection, one has ended its own half of it, one has reset it, one is half gone itself.
    let mut clients: Vec<_> = (0..4).map(|_| open()).collect();
    let mut kept = Vec::new();
    for (n, client) in clients.iter_mut().enumerate() {
        let address = client.passive();
        client.tell(if n == 3 { "STOR stuck" } else { "RETR file" });
        let data = Wire::connect(address).unwrap();
        client.hear().expect(&[150]);
        match n {
            0 => kept.push(data),
            1 => {
                data.fin().unwrap();
                kept.push(data);
            }
            2 => data.reset(),
            _ => {
                kept.push(data);
                client.control().fin().unwrap();
            }
        }
    }
    // What is measured is what is used while nothing happens, so there is nothing to be awaited.
    std::thread::sleep(Duration::from_millis(500));
    let before = gate.ticks();
    std::thread::sleep(Duration::from_secs(1));
    let used = gate.ticks() - before;
    eprintln!("{used} ticks of 10 ms used in a second of nothing");
    assert!(used < 20, "{used} ticks");
}
