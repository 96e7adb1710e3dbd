//! The defect that the gate exists for: the backend ends its data leg without a handshake and reports success.
//!
//! Rules 1 and 2: whatever way the stream was empty, every client gets a complete and authenticated empty stream.

use std::time::Duration;

use crate::support::certs::Versions;
use crate::support::clients::Target;
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Act, Rude, Script};
use crate::support::strict::{Event, Manner, Strict};
use crate::support::{Scene, noise};

/// The ways in which a backend that reports success can leave out the data connection.
const EMPTY_ACTS: [Act; 5] = [
    Act::BareClose,
    Act::BareReset,
    Act::NeverTake,
    Act::LeaveWaiting,
    Act::NoPreliminary,
];
/// The downloads that can be empty, as the backend with `script` answers them with the act.
const EMPTY_COMMANDS: [&str; 4] = ["RETR hollow", "LIST empty", "NLST empty", "MLSD empty"];

fn script(act: Act) -> Script {
    let script = Script::new()
        .file("hollow", b"")
        .file("big", &noise(10 << 20))
        // As curl asks for it.
        .on("NLST empty/", act);
    EMPTY_COMMANDS
        .into_iter()
        .fold(script, |script, command| script.on(command, act))
}

/// A backend that never takes its data connection is not waited for as long as by default.
fn brief() -> Setup {
    Setup::new().timeout("linger", "300ms")
}

/// Field cases E1 and E2.
#[test]
fn strict_client_sees_every_empty_stream_completed() {
    for versions in [Versions::Only12, Versions::Only13] {
        for act in EMPTY_ACTS {
            let scene = Scene::new();
            let rude = Rude::start(&scene, script(act).versions(versions));
            let gate = Gate::start(&scene, rude.address(), brief());
            let mut client = Strict::open(gate.address(), &scene.authority, versions);
            for command in EMPTY_COMMANDS {
                eprintln!("{versions:?} {act:?} {command}");
                client.download(command).assert_complete(b"");
                client
                    .download_as(command, Manner::ConnectAfterPreliminary)
                    .assert_complete(b"");
            }
            client
                .download("RETR big")
                .assert_complete(&noise(10 << 20));
            client.say("QUIT").expect(&[221]);
        }
    }
}

#[test]
fn pasv_clients_are_served_like_epsv_clients() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, script(Act::BareClose));
    let gate = Gate::start(&scene, rude.address(), brief());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.pasv = true;
    for command in EMPTY_COMMANDS {
        client.download(command).assert_complete(b"");
    }
    client
        .download("RETR big")
        .assert_complete(&noise(10 << 20));
}

/// Field case P15.
#[test]
fn final_reply_waits_for_a_late_client() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, script(Act::BareClose));
    let gate = Gate::start(&scene, rude.address(), brief());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let late = Manner::LateHandshake(Duration::from_millis(500));
    // The journal would show the 226 before the handshake.
    client.download_as("RETR hollow", late).assert_complete(b"");
    client
        .download_as("RETR big", late)
        .assert_complete(&noise(10 << 20));
}

#[test]
fn curl_gets_the_empty_file() {
    for act in EMPTY_ACTS {
        let scene = Scene::new();
        let rude = Rude::start(&scene, script(act));
        let gate = Gate::start(&scene, rude.address(), brief());
        let target = Target::new(&scene, gate.address());
        for tls in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
            // One command line with two files: both go through the same session. Without asking for the size first: a file
            // of size 0 would not be transferred at all.
            target.write("hollow", b"to be replaced");
            let hollow = format!("ftp://{}/hollow", gate.address());
            target
                .curl(
                    "big",
                    &[
                        tls,
                        &[
                            "--ignore-content-length",
                            "--output",
                            "hollow",
                            &hollow,
                            "--output",
                            "big",
                        ],
                    ]
                    .concat(),
                )
                .ok();
            assert_eq!(target.read("hollow"), b"", "{act:?}");
            assert!(target.read("big") == noise(10 << 20), "{act:?}");
            assert_eq!(
                target
                    .curl(
                        "empty/",
                        &[tls, &["--list-only", "--ftp-method", "nocwd"]].concat(),
                    )
                    .ok()
                    .text(),
                ""
            );
        }
    }
}

#[test]
fn lftp_gets_the_empty_file() {
    for act in EMPTY_ACTS {
        let scene = Scene::new();
        let rude = Rude::start(&scene, script(act));
        let gate = Gate::start(&scene, rude.address(), brief());
        let target = Target::new(&scene, gate.address());
        target
            .lftp("get hollow; get big; nlist empty; ls empty")
            .ok();
        assert_eq!(target.read("hollow"), b"", "{act:?}");
        assert!(target.read("big") == noise(10 << 20), "{act:?}");
    }
}

/// Field case E13.
#[test]
fn ftplib_gets_the_empty_file() {
    for act in EMPTY_ACTS {
        let scene = Scene::new();
        let rude = Rude::start(&scene, script(act));
        let gate = Gate::start(&scene, rude.address(), brief());
        let target = Target::new(&scene, gate.address());
        let script = "
reply, taken = fetch('RETR hollow')
assert reply.startswith('226') and taken == b'', (reply, taken)
assert ftp.nlst('empty') == []
assert list(ftp.mlsd('empty')) == []
assert len(fetch('RETR big')[1]) == 10 << 20
";
        target.ftplib(script).ok();
    }
}

#[test]
fn verify_believes_the_size() {
    let scene = Scene::new();
    let script = script(Act::BareClose)
        .file("lost", b"not empty at all")
        .on("RETR lost", Act::BareClose);
    let rude = Rude::start(&scene, script);
    let gate = Gate::start(
        &scene,
        rude.address(),
        Setup::new().pool("empty", "\"verify\""),
    );
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.download("RETR hollow").assert_complete(b"");
    client.download("RETR lost").assert_failed();
    client.download("LIST empty").assert_complete(b"");
}

#[test]
fn reject_takes_only_clean_ends() {
    let scene = Scene::new();
    let script = script(Act::BareClose).file("clean", b"");
    let rude = Rude::start(&scene, script);
    let gate = Gate::start(
        &scene,
        rude.address(),
        Setup::new().pool("empty", "\"reject\""),
    );
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.download("RETR hollow").assert_failed();
    client.download("RETR clean").assert_complete(b"");
}

#[test]
fn an_error_is_not_an_empty_stream() {
    let scene = Scene::new();
    let script = script(Act::Error550);
    let rude = Rude::start(&scene, script);
    let gate = Gate::start(&scene, rude.address(), brief());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    for command in EMPTY_COMMANDS {
        // The client waits with its handshake, so the 550 comes before any: nobody may wait for it.
        let transfer = client.download_as(command, Manner::Silent);
        assert_eq!(transfer.reply.code, 550, "{command}: {:?}", transfer.events);
        assert!(!transfer.events.contains(&Event::CloseNotify));
        assert_eq!(client.say("NOOP").code, 200, "the replies are out of step");
    }
    client
        .download("RETR big")
        .assert_complete(&noise(10 << 20));
}
