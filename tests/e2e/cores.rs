//! Cores: each serves sessions of its own, and a connection goes to the core that has taken its packets.

use std::thread;

use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Rude, Script};
use crate::support::strict::Strict;
use crate::support::{Scene, eventually, noise};

const SESSIONS: usize = 40;

/// Opens sessions one after the other from a client on `cpu`, and says on which cores they were served.
fn served_on(setup: Setup, client_cpu: usize) -> Vec<usize> {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", b"payload"));
    let gate = Gate::start(&scene, rude.address(), setup);
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(core_affinity::set_for_current(core_affinity::CoreId {
                id: client_cpu
            }));
            for _ in 0..SESSIONS {
                let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
                client.download("RETR file").assert_complete(b"payload");
            }
        });
    });
    let opened = gate.wait_for_logs(SESSIONS, "session opened");
    assert_eq!(opened.len(), SESSIONS);
    let of = |line: &String| {
        let (_, rest) = line.split_once("\"cpu\":").unwrap();
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
        digits.unwrap().parse().unwrap()
    };
    opened.iter().map(of).collect()
}

#[test]
fn a_connection_goes_to_the_core_that_takes_its_packets() {
    // On loopback the packets of a client are taken on the client's own CPU.
    for cpu in [0, 1] {
        let setup = Setup::new().listener("steering", "\"cpu\"");
        let elsewhere = served_on(setup, cpu)
            .iter()
            .filter(|&&on| on != cpu)
            .count();
        // The scheduler may move a packet's work; most of them must not need it.
        assert!(
            elsewhere <= SESSIONS / 10,
            "{elsewhere} of {SESSIONS} on the other core"
        );
    }
}

#[test]
fn every_core_serves_where_the_kernel_spreads() {
    let cpus = served_on(Setup::new().listener("steering", "\"hash\""), 0);
    for cpu in [0, 1] {
        assert!(cpus.contains(&cpu), "none of {SESSIONS} on core {cpu}");
    }
}

/// How often the gate's core goes to sleep in a hundred commands, the next one said as soon as the last is answered.
fn slept_in_a_hundred(gate: &Gate, client: &mut Strict) -> u64 {
    let before = gate.slept();
    for _ in 0..100 {
        client.say("NOOP").expect(&[200]);
    }
    gate.slept() - before
}

#[test]
fn a_core_that_looks_for_news_is_awake_when_they_come() {
    let scene = Scene::new();
    let rude = Rude::start(
        &scene,
        Script::new()
            .file("file", noise(9_000_001).leak())
            .file("hollow", b""),
    );
    let setup = |time| {
        Setup::new()
            .process("cores", "[0]")
            .process("busy_poll", time)
    };
    let sleeps = Gate::start(&scene, rude.address(), setup("\"off\""));
    let mut client = Strict::open(sleeps.address(), &scene.authority, Versions::Both);
    eventually("a core sleeps while nobody says anything", || {
        slept_in_a_hundred(&sleeps, &mut client) >= 100
    });
    let looks = Gate::start(&scene, rude.address(), setup("\"10ms\""));
    let mut client = Strict::open(looks.address(), &scene.authority, Versions::Both);
    eventually("a core is awake", || {
        slept_in_a_hundred(&looks, &mut client) < 50
    });
    // What is not the ring's comes as well: transfers, timers, mail from other threads.
    client
        .download("RETR file")
        .assert_complete(&noise(9_000_001));
    client.download("RETR hollow").assert_complete(b"");
    looks.stop();
}
