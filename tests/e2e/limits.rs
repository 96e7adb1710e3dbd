//! Many at once, and nothing left afterwards: rules 13 and 14 under load.
//!
//! Descriptors and ports are counted from outside, in `/proc`.

use std::process::Command;
use std::sync::{Arc, Barrier};
use std::thread;

use crate::metrics::Stage;
use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::process::Server;
use crate::support::rude::{Rude, Script};
use crate::support::strict::Strict;
use crate::support::{Scene, USER, eventually, noise};

const SESSIONS: usize = 1000;

#[test]
fn a_thousand_sessions_transfer_at_once() {
    let scene = Scene::new();
    let rude = Rude::start(
        &scene,
        Script::new()
            .file("file", &noise(100_000))
            .file("hollow", b""),
    );
    let setup = Setup::new()
        .limit("sessions", "1500")
        // Spread over both cores, and ports enough for either: each has half of them.
        .listener("steering", "\"hash\"")
        .passive_ports(2400)
        .log("level", "\"info\"");
    // A thousand handshakes at once, of clients that share the machine: nobody hangs, and nobody is to be given up.
    let patient = [
        "handshake",
        "backend_connect",
        "data_handshake",
        "data_completion",
    ];
    let setup = (patient.into_iter()).fold(setup, |setup, key| setup.timeout(key, "60s"));
    let gate = Gate::start(&scene, rude.address(), setup);

    // What the first session leaves open for good, such as a lazily made ring, is not a leak.
    let mut first = Strict::open(gate.address(), &scene.authority, Versions::Both);
    first.fetch("RETR file").1.expect(&[226]);
    first.say("QUIT").expect(&[221]);
    drop(first);
    eventually("the first session ends", || rude.sessions() == 0);
    let descriptors = gate.descriptors();

    let together = Arc::new(Barrier::new(SESSIONS));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..SESSIONS)
            .map(|_| {
                let together = Arc::clone(&together);
                let (scene, gate) = (&scene, &gate);
                let client = move || {
                    let open = || Strict::open(gate.address(), &scene.authority, Versions::Both);
                    let opened = std::panic::catch_unwind(open);
                    // One that failed must not keep the others waiting for ever.
                    together.wait();
                    let mut client = opened.unwrap();
                    for (name, length) in [("file", 100_000), ("hollow", 0), ("file", 100_000)] {
                        let (bytes, reply) = client.fetch(&format!("RETR {name}"));
                        reply.expect(&[226]);
                        assert_eq!(bytes.len(), length);
                    }
                    client.say("QUIT").expect(&[221]);
                };
                thread::Builder::new()
                    .stack_size(512 * 1024)
                    .spawn_scoped(scope, client)
                    .unwrap()
            })
            .collect();
        let failed = clients
            .into_iter()
            .filter_map(|client| client.join().err())
            .count();
        assert_eq!(failed, 0, "of {SESSIONS} sessions");
    });
    eventually("the backend's sessions end", || rude.sessions() == 0);
    gate.wait_for_descriptors(descriptors);
    gate.wait_for_ports();

    let mut last = Strict::open(gate.address(), &scene.authority, Versions::Both);
    last.download("RETR hollow").assert_complete(b"");
}

#[test]
fn one_session_too_many_is_told_so() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let setup = Setup::new().limit("sessions", "3");
    let gate = Gate::start(&scene, rude.address(), setup);
    let config = || scene.authority.client(Versions::Both);
    let mut clients: Vec<_> = (0..3)
        .map(|_| Strict::greet(gate.address(), config()))
        .collect();
    assert_eq!(Strict::connect(gate.address(), config()).hear().code, 421);
    clients.pop().unwrap().say("QUIT").expect(&[221]);
    eventually("a place is free", || {
        Strict::connect(gate.address(), config()).hear().code == 220
    });
}

#[test]
fn a_client_that_leaves_at_any_moment_leaves_nothing() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", &noise(100_000)));
    let gate = Gate::start(&scene, rude.address(), Setup::new());
    let fresh = || Strict::open(gate.address(), &scene.authority, Versions::Both);
    drop(fresh());
    eventually("the first session ends", || rude.sessions() == 0);
    let descriptors = gate.descriptors();
    for moment in 0..6 {
        let mut client = fresh();
        match moment {
            0 => client.tell(&format!("USER {USER}")),
            1 => drop(client.passive()),
            2 => {
                client.passive();
                client.tell("RETR file");
            }
            3 => {
                client.passive();
                client.tell("STOR up");
                client.hear().expect(&[150]);
            }
            4 => client.tell("NOOP\r\nNOOP\r\nNOOP\r\nNOO"),
            _ => {
                client.fetch("RETR file").1.expect(&[226]);
            }
        }
    }
    eventually("the backend's sessions end", || rude.sessions() == 0);
    gate.wait_for_descriptors(descriptors);
    gate.wait_for_ports();
    assert!(rude.stored("up").is_none());
}

/// Field cases P9 and P18.
#[test]
fn a_passive_range_that_is_used_up_is_told_and_is_free_again() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", b"payload"));
    let setup = Setup::new().process("cores", "[0]").narrow(1);
    let gate = Gate::start(&scene, rude.address(), setup);
    let open = || Strict::open(gate.address(), &scene.authority, Versions::Both);
    let (mut one, mut other) = (open(), open());
    // Whoever asks again and again holds one port, and gets it again.
    for _ in 0..10 {
        one.passive();
    }
    for ask in ["EPSV", "PASV"] {
        other.say(ask).expect(&[425]);
    }
    gate.wait_for_logs(2, "no passive port is free");
    let address = one.passive();
    one.transfer_at(address, "RETR file")
        .assert_complete(b"payload");
    // The port is free as soon as the connection is taken, and while others use it for theirs.
    for _ in 0..10 {
        other.download("RETR file").assert_complete(b"payload");
        one.download("RETR file").assert_complete(b"payload");
    }
    assert_eq!(gate.listening_ports(), 0);
}

#[test]
fn two_cores_share_the_sessions() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let setup = Setup::new().listener("steering", "\"hash\"");
    let gate = Gate::start(&scene, rude.address(), setup);
    let config = || scene.authority.client(Versions::Both);
    let clients: Vec<_> = (0..40)
        .map(|_| Strict::greet(gate.address(), config()))
        .collect();
    // Each core counts in steps of as many as there are.
    let mut counts = [0; 2];
    for line in gate.wait_for_logs(clients.len(), "session opened") {
        let number = line.split_once("\"session\":").unwrap().1;
        let digits = number.split(|c: char| !c.is_ascii_digit()).next().unwrap();
        counts[digits.parse::<usize>().unwrap() % 2] += 1;
    }
    eprintln!("sessions of each core: {counts:?}");
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
}

/// `limits.descriptors_per_session` may promise too much: then a transfer is refused, and nothing else.
#[test]
fn a_transfer_without_descriptors_is_refused_and_the_session_goes_on() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", &noise(10_000)));
    let setup = Setup::new().limit("descriptors_per_session", "2");
    let gate = Gate::start(&scene, rude.address(), setup);
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.download("RETR file").assert_complete(&noise(10_000));
    let enough = gate.descriptors() + 100;
    gate.allow_descriptors(1);
    client.say("EPSV").expect(&[425]);
    client.say("NOOP").expect(&[200]);
    gate.allow_descriptors(enough);
    client.download("RETR file").assert_complete(&noise(10_000));
}

/// It says nothing of the members: none of them rests for it.
#[test]
fn a_backend_for_which_the_gate_has_no_descriptor_is_not_to_blame() {
    let stage = Stage::with(Script::new(), |_, _| {
        Setup::new()
            .process("cores", "[0]")
            .limit("descriptors_per_session", "2")
    });
    let config = stage.scene.authority.client(Versions::Both);
    let mut client = Strict::greet(stage.gate.address(), config);
    client.auth();
    let enough = stage.gate.descriptors() + 100;
    stage.gate.allow_descriptors(1);
    let lost = client.say(&format!("USER {USER}")).expect(&[421]);
    assert!(lost.text.ends_with("No server is available"), "{lost:?}");
    stage.gate.allow_descriptors(enough);
    let line = stage.gate.wait_for_log("backend not reached");
    assert!(line.contains("\"reason\":\"gate\""), "{line}");
    let seen = &stage.json("/backends")[0]["members"][0];
    assert_eq!(seen["failures"], serde_json::json!({ "gate": 1 }));
    assert_eq!(seen["resting_on"], 0);
    stage.client().say("NOOP").expect(&[200]);
}

#[test]
fn idle_sessions_may_be_reckoned_with_fewer_descriptors() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    for (each, said) in [("9", "open files are allowed"), ("2", "ready")] {
        // On two cores 384 are the gate's own.
        let setup = Setup::new()
            .limit("sessions", "100")
            .limit("descriptors_per_session", each);
        let (_, _ports, config) = Gate::configure(&scene, rude.address(), setup);
        let mut gate = Command::new("bash");
        gate.args(["-c", "ulimit -n 700; exec \"$0\" \"$@\""])
            .arg(env!("CARGO_BIN_EXE_sluicegate"))
            .args(["run", "--config"])
            .arg(config);
        let gate = Server::start("sluicegate", &mut gate, Vec::new());
        gate.wait_for_line(said, |line| line.contains(said));
    }
}
