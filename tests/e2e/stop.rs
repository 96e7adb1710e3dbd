//! Starting and stopping: what runs may end, what hangs is cut off so that nobody takes it for whole, and whoever
//! waits hears why (rules 5 and 13).

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::process::run;
use crate::support::rude::{Act, Ended, Rude, Script};
use crate::support::strict::Strict;
use crate::support::{Scene, eventually, noise};

/// The gate may take so long beyond its bound to say its last words; half a minute is the bound where none is set.
const LEEWAY: Duration = Duration::from_secs(25);

fn clear() -> Setup {
    Setup::new()
        .listener("data_protection", "\"any\"")
        .pool("data_protection", "\"clear\"")
}

fn open(scene: &Scene, gate: &Gate) -> Strict {
    Strict::open(gate.address(), &scene.authority, Versions::Both)
}

#[test]
fn stopping_lets_a_transfer_end_and_tells_who_waits() {
    let scene = Scene::new();
    let bytes = noise(200_000);
    let script = Script::new()
        .file("drip", &bytes)
        .on("RETR drip", Act::Drip);
    let rude = Rude::start(&scene, script);
    let mut gate = Gate::start(&scene, rude.address(), Setup::new());
    let (mut busy, mut idle) = (open(&scene, &gate), open(&scene, &gate));
    let mut fresh = Strict::greet(gate.address(), scene.authority.client(Versions::Both));
    let address = busy.passive();
    std::thread::scope(|scope| {
        let moving = scope.spawn(move || {
            busy.tell("RETR drip");
            let mut data = busy.connect_data(address);
            busy.hear().expect(&[150]);
            let (got, end) = data.read_to_end();
            assert!(end.unwrap(), "no close_notify");
            assert!(got == bytes, "the bytes differ");
            busy.hear().expect(&[226]);
            busy.hear().expect(&[421]);
            busy.hears_end();
        });
        gate.wait_for_log("bytes may flow");
        gate.signal("TERM");
        idle.hear().expect(&[421]);
        fresh.hear().expect(&[421]);
        moving.join().unwrap();
    });
    assert_eq!(gate.wait_for_exit(), Some(0), "{}", gate.log());
    eventually("the backend's sessions end", || rude.sessions() == 0);
    // Both cores' histograms, merged: two logins, and one transfer with a handshake on each of its data legs.
    let log = gate.log();
    for (phase, count) in [
        ("client_handshake_seconds", 2),
        ("backend_connect_seconds", 2),
        ("login_seconds", 2),
        (r#"data_connect_seconds{leg=\"client\"}"#, 1),
        (r#"data_connect_seconds{leg=\"backend\"}"#, 1),
        (
            r#"data_handshake_seconds{leg=\"client\",kind=\"resumed\"}"#,
            1,
        ),
        (
            r#"data_handshake_seconds{leg=\"backend\",kind=\"resumed\"}"#,
            1,
        ),
        ("transfer_seconds", 1),
        ("completion_seconds", 1),
    ] {
        let told = format!("\"name\":\"sluicegate_{phase}\",\"count\":{count},");
        assert!(log.contains(&told), "{phase}: {log}");
    }
}

#[test]
fn what_hangs_when_stopping_is_cut_off_in_time_and_not_as_an_end_of_file() {
    let scene = Scene::new();
    let script = Script::new()
        .file("stuck", &noise(200_000))
        .on("RETR stuck", Act::Stall)
        .on("STOR stuck", Act::NeverRead);
    let rude = Rude::start(&scene, script);
    let mut gate = Gate::start(&scene, rude.address(), clear().timeout("drain", "1s"));

    let mut down = open(&scene, &gate);
    down.protect('C');
    let address = down.passive();
    down.tell("RETR stuck");
    let mut source = down.connect_data(address);
    down.hear().expect(&[150]);
    let mut up = open(&scene, &gate);
    up.protect('C');
    let address = up.passive();
    up.tell("STOR stuck");
    let mut sink = up.connect_data(address);
    up.hear().expect(&[150]);
    sink.write(&noise(1000)).unwrap();
    gate.wait_for_logs(2, "bytes may flow");

    let began = Instant::now();
    gate.signal("TERM");
    assert_eq!(gate.wait_for_exit(), Some(0), "{}", gate.log());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1) + LEEWAY, "took {took:?}");
    let (bytes, end) = source.read_to_end();
    assert!(bytes.len() < 200_000);
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    down.hear().expect(&[421, 426]);
    up.hear().expect(&[421, 426]);
    eventually("the backend has seen the upload's end", || {
        !rude.seen("STOR stuck").is_empty()
    });
    assert_eq!(rude.seen("STOR stuck")[0].ended, Ended::Reset);
}

/// Field case P29.
#[test]
fn a_gate_that_is_killed_ends_no_stream_as_if_it_were_whole() {
    let scene = Scene::new();
    let script = Script::new()
        .file("stuck", &noise(200_000))
        .on("RETR stuck", Act::Stall);
    let rude = Rude::start(&scene, script);
    let mut gate = Gate::start(&scene, rude.address(), clear());
    let mut up = open(&scene, &gate);
    let address = up.passive();
    up.tell("STOR half");
    let mut sink = up.connect_data(address);
    up.hear().expect(&[150]);
    sink.write(&noise(1000)).unwrap();
    let mut down = open(&scene, &gate);
    down.protect('C');
    let address = down.passive();
    down.tell("RETR stuck");
    let mut source = down.connect_data(address);
    down.hear().expect(&[150]);
    gate.wait_for_logs(2, "bytes may flow");
    gate.signal("KILL");
    gate.wait_for_exit();
    let (_, end) = source.read_to_end();
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    eventually("the backend's sessions end", || rude.sessions() == 0);
    assert!(rude.stored("half").is_none(), "{:?}", rude.seen("STOR"));
}

/// Runs a gate that does not come up; what it said.
fn refused(config: &std::path::Path) -> String {
    let ran = run(Gate::command().args(["run", "--config"]).arg(config));
    let said = ran.text() + &ran.stderr;
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("cure"), "{said}");
    said
}

#[test]
fn a_gate_that_cannot_start_says_which_key_is_to_blame() {
    let scene = Scene::new();
    let backend = "127.0.0.1:9".parse().unwrap();
    let (address, _ports, config) = Gate::configure(&scene, backend, Setup::new());
    let taken = std::net::TcpListener::bind(address).unwrap();
    let said = refused(&config);
    assert!(said.contains("listener[0].address"), "{said}");
    assert!(said.contains(&address.to_string()), "{said}");
    drop(taken);

    let no_core = Setup::new().process("cores", "[0, 200]");
    let (_, _ports, config) = Gate::configure(&scene, backend, no_core);
    let said = refused(&config);
    assert!(said.contains("process.cores"), "{said}");

    let (_, _ports, config) = Gate::configure(&scene, backend, Setup::new());
    let text = std::fs::read_to_string(&config).unwrap();
    let nowhere = text.replace("127.0.0.1:9", "nowhere.invalid:21");
    let said = refused(&scene.file("nowhere.toml", nowhere));
    assert!(said.contains("pool[0].members"), "{said}");
    assert!(said.contains("nowhere.invalid:21"), "{said}");
}

#[test]
fn a_second_gate_does_not_share_the_clients_of_the_first() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let gate = Gate::start(&scene, rude.address(), Setup::new());
    let said = refused(&scene.path("gate.toml"));
    assert!(said.contains("listener[0].address"), "{said}");
    open(&scene, &gate).say("NOOP").expect(&[200]);
}
