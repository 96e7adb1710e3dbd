//! Peers that take more than their share: floods, peers that do not read, ends that do not come (rules 4, 5, 13, 14).

use std::time::{Duration, Instant};

use crate::support::certs::Versions;
use crate::support::gate::Setup;
use crate::support::rude::{Act, CUT_RECORD, Ended, Script};
use crate::support::strict::Strict;
use crate::support::wire::Got;
use crate::support::{eventually, noise, start};

/// Longer than any bound of these tests on a machine with much to do, shorter than those of a gate that was not told others.
const ENOUGH: Duration = Duration::from_secs(30);

/// A reply of many megabytes, as no server sends it and every gate must bear it.
fn long_reply() -> &'static str {
    let line = format!(" {}\r\n", "x".repeat(1500));
    format!("211-Begin\r\n{}211 End\r\n", line.repeat(8000)).leak()
}

#[test]
fn a_reply_larger_than_all_buffers_waits_for_a_client_that_pauses() {
    let reply = long_reply();
    let (scene, _rude, gate) = start(Script::new().on("STAT", Act::Say(reply)), Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let before = gate.resident_kib();
    client.tell("STAT");
    // The client reads nothing until every buffer on the way is full.
    std::thread::sleep(Duration::from_secs(2));
    let during = gate.resident_kib();
    eprintln!(
        "reply of {} KiB held back: {before} KiB resident, then {during} KiB",
        reply.len() / 1024
    );
    assert!(
        during < before + 4 * 1024,
        "{before} KiB, then {during} KiB"
    );
    let mut got = 0;
    while got < reply.len() {
        match client.control().read().unwrap() {
            Got::Bytes(bytes) => got += bytes.len(),
            end => panic!("{end:?} after {got} bytes"),
        }
        // Slowly at first, so that the gate's own queue fills and empties again and again.
        if got < 2_000_000 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    client.say("NOOP").expect(&[200]);
}

#[test]
fn a_backend_that_never_stops_talking_hides_neither_the_client_nor_the_clock() {
    // Without TLS it talks faster than the gate listens.
    let setup = Setup::new()
        .timeout("backend_reply", "4s")
        .pool("tls", "\"off\"");
    let script = Script::new()
        .clear()
        .file("file", b"payload")
        .on("SYST", Act::Endless)
        .on("RETR file", Act::Endless);
    let (scene, rude, gate) = start(script, setup);
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let began = Instant::now();
    client.tell("SYST");
    while client.hear().code != 421 {
        assert!(began.elapsed() < ENOUGH, "the deadline is not heard");
    }
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let address = client.passive();
    client.tell("RETR file");
    client.hear().expect(&[150]);
    let _data = client.connect_data(address);
    let began = Instant::now();
    client.say("ABOR").expect(&[426]);
    client.hear().expect(&[226]);
    assert!(began.elapsed() < ENOUGH, "took {:?}", began.elapsed());
    client.hear().expect(&[421]);
    eventually("both backend sessions end", || rude.sessions() == 0);
}

#[test]
fn a_backend_that_talks_out_of_turn_is_given_up() {
    let replies = format!("200 Fine\r\n{}", "200 Finer\r\n".repeat(100_000));
    let script = Script::new().on("NOOP", Act::Say(replies.leak()));
    let (scene, rude, gate) = start(script, Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.say("NOOP").expect(&[200]);
    client.hear().expect(&[421]);
    eventually("the backend's session ends", || rude.sessions() == 0);
    let strays = gate.stop().matches("belongs to no command").count();
    assert!(strays < 100, "{strays} lines in the log");
}

#[test]
fn legs_that_peers_never_close_are_few() {
    let (scene, _rude, gate) = start(Script::new().file("hollow", b""), Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let before = gate.descriptors();
    let mut kept = Vec::new();
    let mut most = 0;
    for _ in 0..150 {
        let address = client.passive();
        client.tell("RETR hollow");
        kept.push(client.connect_data(address));
        while !client.hear().is_final() {}
        most = most.max(gate.descriptors().saturating_sub(before));
    }
    eprintln!("at most {most} descriptors more");
    assert!(most <= 20, "{most} descriptors more");
}

#[test]
fn a_stream_cut_within_a_record_is_no_end_of_file() {
    // Where an end without close_notify is repaired, it must at least be an end.
    let setup = Setup::new()
        .listener("unfinished", "\"repair\"")
        .pool("unfinished", "\"repair\"");
    let bytes = noise(100_000);
    let script = Script::new()
        .file("cut", &bytes)
        .file("unfinished", &bytes)
        .on("RETR cut", Act::CutRecord)
        .on("RETR unfinished", Act::Careless);
    let (scene, rude, gate) = start(script, setup);
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);

    client.download("RETR unfinished").assert_complete(&bytes);
    client.download("RETR cut").assert_failed();

    let address = client.passive();
    client.tell("STOR up");
    let mut data = client.connect_data(address);
    client.hear().expect(&[150]);
    data.write(&bytes).unwrap();
    data.write_raw(CUT_RECORD).unwrap();
    data.fin().unwrap();
    client.hear().expect(&[426]);
    assert!(rude.stored("up").is_none());
    eventually("the backend has seen the end", || {
        !rude.seen("STOR").is_empty()
    });
    assert_ne!(rude.seen("STOR")[0].ended, Ended::Clean);
}

#[test]
fn a_client_that_never_reads_a_download_costs_only_that_transfer() {
    let setup = Setup::new().timeout("data_stall", "3s");
    let script = Script::new()
        .file("large", &noise(64 << 20))
        .file("small", b"payload");
    let (scene, _rude, gate) = start(script, setup);
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let before = gate.resident_kib();
    let address = client.passive();
    client.tell("RETR large");
    let mut data = client.connect_data(address);
    client.hear().expect(&[150]);
    std::thread::sleep(Duration::from_millis(700));
    let (during, ticks) = (gate.resident_kib(), gate.ticks());
    client.hear().expect(&[426]);
    eprintln!(
        "{before} KiB, then {during} KiB; {} ticks for waiting",
        gate.ticks() - ticks
    );
    assert!(
        during < before + 8 * 1024,
        "{before} KiB, then {during} KiB"
    );
    let (_, end) = data.read_to_end();
    assert_ne!(end.ok(), Some(true), "a close_notify after a stall");
    let small = client.download("RETR small");
    small.assert_complete(b"payload");
}
