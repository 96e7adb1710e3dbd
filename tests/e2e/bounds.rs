//! Everything ends in time and with a word: rules 4, 8 and 13.
//!
//! The gate's time-outs are short here; the peers hang for longer than any of them.

use std::time::{Duration, Instant};

use crate::support::certs::Versions;
use crate::support::gate::Setup;
use crate::support::rude::{Act, Script};
use crate::support::strict::{Event, Manner, Strict};
use crate::support::{USER, at_once, noise, start};

/// A transfer passes through a few phases, and waits for a machine that does other work; a reply is waited for for a minute
/// where no bound is set.
const ENOUGH: Duration = Duration::from_secs(30);

/// Bounds for those phases in which somebody hangs here: long enough for whoever does not, on a machine with much to do.
fn quick() -> Setup {
    [
        "backend_reply",
        "data_connect",
        "data_handshake",
        "data_first_byte",
        "data_stall",
        "data_completion",
    ]
    .into_iter()
    .fold(Setup::new(), |setup, key| setup.timeout(key, "5s"))
    .timeout("linger", "500ms")
}

/// Field case P20.
#[test]
fn a_backend_that_hangs_in_a_transfer_costs_only_that_transfer() {
    let acts = [
        Act::HangBefore150,
        Act::HangAfter150,
        Act::HangHandshake,
        Act::Stall,
        Act::HangBefore226,
    ];
    at_once(acts, |act| {
        let script = Script::new()
            .file("stuck", &noise(100_000))
            .file("good", b"payload")
            .on("RETR stuck", act)
            .on("STOR stuck", act);
        let (scene, _rude, gate) = start(script, quick());
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        eprintln!("{act:?}");
        let download = client.download("RETR stuck");
        assert!(
            matches!(download.reply.code, 425 | 426 | 451),
            "{act:?}: {download:?}"
        );
        assert!(download.took < ENOUGH, "{act:?} took {:?}", download.took);
        // Only where the whole file had come may its end have been passed on.
        let ended_clean = download.events.contains(&Event::CloseNotify);
        assert!(
            !ended_clean || act == Act::HangBefore226,
            "{act:?}: {:?}",
            download.events
        );
        client.download("RETR good").assert_complete(b"payload");

        if act != Act::Stall {
            let upload = client.upload("STOR stuck", b"payload");
            assert!(
                matches!(upload.reply.code, 425 | 426 | 451),
                "{act:?}: {upload:?}"
            );
            assert!(upload.took < ENOUGH, "{act:?} took {:?}", upload.took);
            client.upload("STOR good", b"payload").reply.expect(&[226]);
        }
        client.download("RETR good").assert_complete(b"payload");
    });
}

#[test]
fn a_client_that_hangs_in_a_transfer_costs_only_that_transfer() {
    at_once([Manner::NeverConnect, Manner::Silent], |manner| {
        let script = Script::new()
            .file("file", &noise(100_000))
            .file("good", b"payload");
        let (scene, _rude, gate) = start(script, quick());
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        let download = client.download_as("RETR file", manner);
        download.assert_failed();
        assert!(
            download.took < ENOUGH,
            "{manner:?} took {:?}",
            download.took
        );
        let upload = client.upload_as("STOR file", b"payload", manner);
        assert!(
            matches!(upload.reply.code, 425 | 426 | 451),
            "{manner:?}: {upload:?}"
        );
        client.download("RETR good").assert_complete(b"payload");
        assert_eq!(gate.listening_ports(), 0);
    });
}

#[test]
fn a_backend_that_is_lost_in_a_transfer_is_told() {
    let script = Script::new()
        .file("file", &noise(100_000))
        .on("RETR file", Act::ControlLost);
    let (scene, _rude, gate) = start(script, quick());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let transfer = client.download("RETR file");
    assert!(
        matches!(transfer.reply.code, 421 | 425 | 426 | 451),
        "{transfer:?}"
    );
    assert!(
        !transfer.events.contains(&Event::CloseNotify),
        "{:?}",
        transfer.events
    );
    assert!(transfer.took < ENOUGH, "took {:?}", transfer.took);
}

#[test]
fn a_command_that_is_not_answered_is_answered_by_the_gate() {
    let (scene, _rude, gate) = start(Script::new().on("SYST", Act::Mute), quick());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let began = Instant::now();
    let code = client.say("SYST").code;
    assert!((400..500).contains(&code), "{code}");
    assert!(began.elapsed() < ENOUGH);
}

#[test]
fn a_backend_without_a_greeting_is_given_up() {
    let (scene, _rude, gate) = start(
        Script::new().greeting(""),
        Setup::new().timeout("backend_connect", "2s"),
    );
    let mut client = Strict::greet(gate.address(), scene.authority.client(Versions::Both));
    client.auth();
    let began = Instant::now();
    let code = client.say(&format!("USER {USER}")).code;
    assert!((400..500).contains(&code), "{code}");
    assert!(began.elapsed() < ENOUGH);
}

#[test]
fn idle_clients_are_told_to_go() {
    let (scene, rude, gate) = start(Script::new(), Setup::new().timeout("idle", "4s"));
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.hear().expect(&[421]);
    client.hears_end();
    crate::support::eventually("the backend's session ends", || rude.sessions() == 0);
    // The login has its own bound.
    let (scene, _rude, gate) = start(Script::new(), Setup::new().timeout("login", "2s"));
    let mut mute = Strict::greet(gate.address(), scene.authority.client(Versions::Both));
    mute.hear().expect(&[421]);
    mute.hears_end();
}

#[test]
fn a_client_without_a_handshake_is_given_up() {
    let (scene, _rude, gate) = start(Script::new(), Setup::new().timeout("handshake", "2s"));
    let mut client = Strict::greet(gate.address(), scene.authority.client(Versions::Both));
    client.say("AUTH TLS").expect(&[234]);
    let began = Instant::now();
    client.hears_end();
    assert!(began.elapsed() < ENOUGH);
}

/// Field case P21.
#[test]
fn idle_time_does_not_count_during_a_transfer() {
    // Everybody else may take as long as by default: only the client is late.
    let setup = Setup::new().timeout("idle", "4s");
    let (scene, _rude, gate) = start(Script::new().file("file", b"payload"), setup);
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let late = Manner::LateHandshake(Duration::from_secs(8));
    client
        .download_as("RETR file", late)
        .assert_complete(b"payload");
    client.say("NOOP").expect(&[200]);
}
