//! Members of a pool that fail before they have heard of the client: another one serves, and they are counted, logged and shown.

use std::any::Any;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, SockRef, Socket, Type};

use crate::metrics::Stage;
use crate::support::certs::Versions;
use crate::support::door::{Door, nobody};
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Act, Rude, Script};
use crate::support::strict::Strict;
use crate::support::wire::Wire;
use crate::support::{Scene, USER, eventually};

/// A member that fails early, and what keeps it there.
struct Bad {
    address: SocketAddr,
    _held: Box<dyn Any>,
}

impl Bad {
    fn rude(scene: &Scene, script: Script) -> Self {
        let rude = Rude::start(scene, script);
        Self {
            address: rude.address(),
            _held: Box::new(rude),
        }
    }

    fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// It accepts, and does this.
    fn accepting(act: fn(TcpStream)) -> Self {
        let door = Door::open(Ipv4Addr::LOCALHOST.into(), act);
        Self {
            address: door.address(),
            _held: Box::new(door),
        }
    }

    /// A process that hangs: its kernel takes connections, and nobody takes them from there.
    fn hanging() -> Self {
        let (listener, address) = Self::listening();
        Self {
            address,
            _held: Box::new(listener),
        }
    }

    /// A machine that is gone: whoever connects hears nothing. Its queue of connections is full, so the kernel drops more.
    fn swallowing() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let first = TcpStream::connect(address).unwrap();
        Self {
            address,
            _held: Box::new((socket, first)),
        }
    }

    fn refusing() -> Self {
        let nobody = nobody();
        Self {
            address: nobody.local_addr().unwrap(),
            _held: Box::new(nobody),
        }
    }
}

fn reset(tcp: TcpStream) {
    SockRef::from(&tcp)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

fn quoted(members: &[SocketAddr]) -> String {
    let quoted: Vec<String> = (members.iter())
        .map(|member| format!("\"{member}\""))
        .collect();
    format!("[{}]", quoted.join(", "))
}

/// The bad one, in its first turn, and behind it one that serves; both of them have this long.
fn stage(bound: &str, bad: impl Fn(&Scene) -> Bad) -> (Stage, Bad) {
    let held = std::cell::Cell::new(None);
    let stage = Stage::with(Script::new().file("file", b"payload"), |scene, good| {
        let bad = bad(scene);
        let setup = Setup::new()
            .process("cores", "[0]")
            .timeout("backend_connect", bound)
            .timeout("member_rest", "1h")
            .pool("members", &quoted(&[bad.address, good]));
        held.set(Some(bad));
        setup
    });
    (stage, held.take().unwrap())
}

fn member(stage: &Stage, place: usize) -> Value {
    stage.json("/backends")[0]["members"][place].clone()
}

fn counted(stage: &Stage, reason: &str) -> f64 {
    let labels = format!("{{pool=\"inside\",member=\"1\",reason=\"{reason}\"}}");
    stage.series("")[&format!("sluicegate_backend_connect_failures_total{labels}")]
}

/// How many connections to members have been timed.
fn reached(stage: &Stage) -> f64 {
    stage.series("")["sluicegate_backend_connect_seconds_count"]
}

/// How many sessions have found no member.
fn exhausted(stage: &Stage) -> f64 {
    stage.series("")["sluicegate_pool_exhausted_total{pool=\"inside\"}"]
}

/// One session behind another while the first member fails like this: each is served, and the member rests, or not.
fn assert_served(reason: &str, why: &str, rests: bool, bad: impl Fn(&Scene) -> Bad) {
    eprintln!("--- {reason}: {why}");
    // Only who hangs has to be given up.
    let bound = if reason == "silent" { "4s" } else { "40s" };
    let (stage, bad) = stage(bound, bad);
    let mut client = stage.client();
    client.download("RETR file").assert_complete(b"payload");
    // One that refuses TCP is not timed, and one that resets it may not be.
    match reason {
        "refused" => assert_eq!(reached(&stage), 1.0),
        "reset" => {}
        _ => assert_eq!(reached(&stage), 2.0),
    }
    let line = stage.gate.wait_for_log("backend not reached");
    for part in ["session", reason, why, &bad.address.to_string()] {
        assert!(line.contains(part), "{part} is not told: {line}");
    }
    let seen = member(&stage, 0);
    assert_eq!(seen["failures"], serde_json::json!({ reason: 1 }));
    assert_eq!(seen["connect_failures"], 1);
    assert_eq!(seen["last_failure"]["reason"], reason);
    let told = seen["last_failure"]["why"].as_str().unwrap();
    assert!(told.contains(why), "{told}");
    assert_eq!(seen["resting_on"], u8::from(rests));
    assert_eq!([&seen["sessions"], &seen["served"]], [0, 0]);
    let other = member(&stage, 1);
    assert_eq!([&other["sessions"], &other["served"]], [1, 1]);
    let series = stage.series("");
    let served = ["1", "2"].map(|number| {
        let labels = format!("{{pool=\"inside\",member=\"{number}\"}}");
        series[&format!("sluicegate_backend_served_total{labels}")]
    });
    assert_eq!(served, [0.0, 1.0]);
    // The second session begins with the other one by its turn, the third one only if the first member rests.
    for _ in 0..2 {
        stage.client().say("NOOP").expect(&[200]);
    }
    assert_eq!(exhausted(&stage), 0.0, "each had another one");
    let times = if rests { 1.0 } else { 2.0 };
    assert_eq!(counted(&stage, reason), times);
}

#[test]
fn a_member_that_fails_before_its_greeting_costs_no_session() {
    assert_served("refused", "refused", true, |_| Bad::refusing());
    assert_served("closed", "closed", true, |_| Bad::accepting(drop));
    // It may be known before the gate has looked at its new connection, or when it does: the words differ.
    assert_served("reset", "", true, |_| Bad::accepting(reset));
    assert_served("silent", "in time", true, |_| Bad::hanging());
    let said = "SSH-2.0-OpenSSH_9.2";
    assert_served("protocol", said, true, |scene| {
        Bad::rude(scene, Script::new().greeting("SSH-2.0-OpenSSH_9.2\r\n"))
    });
}

#[test]
fn a_member_that_says_no_is_asked_again_in_its_turn() {
    assert_served("greeting", "421 Too many users", false, |scene| {
        Bad::rude(scene, Script::new().greeting("421 Too many users\r\n"))
    });
    // What it says is no better than what any stranger says.
    assert_served("greeting", "x1b[31mNot you", false, |scene| {
        Bad::rude(scene, Script::new().greeting("530 \x1b[31mNot you\r\n"))
    });
}

#[test]
fn a_member_that_has_rested_has_its_turn_again() {
    let bad = Bad::refusing();
    let stage = Stage::with(Script::new(), |_, good| {
        Setup::new()
            .process("cores", "[0]")
            .timeout("member_rest", "1ms")
            .pool("members", &quoted(&[bad.address, good]))
    });
    for _ in 0..5 {
        stage.client().say("NOOP").expect(&[200]);
    }
    assert_eq!(counted(&stage, "refused"), 3.0);
}

#[test]
fn a_member_that_fails_at_tls_costs_no_session() {
    assert_served("auth", "AUTH TLS: 5", true, |scene| {
        Bad::rude(scene, Script::new().clear())
    });
    assert_served("silent", "in time", true, |scene| {
        Bad::rude(scene, Script::new().on("AUTH", Act::Mute))
    });
    assert_served("injection", "clear text", true, |scene| {
        Bad::rude(scene, Script::new().on("AUTH", Act::PlainBehind))
    });
    let why = "certificate was refused: unknown authority";
    assert_served("certificate", why, true, |_| {
        Bad::rude(&Scene::new(), Script::new())
    });
}

#[test]
fn implicit_tls_that_fails_costs_no_session() {
    let scene = Scene::new();
    let script = || Script::new().banner_first().file("file", b"payload");
    let foreign = Rude::start(&Scene::new(), script());
    let good = Rude::start(&scene, script());
    let setup = Setup::new()
        .process("cores", "[0]")
        .pool("tls", "\"implicit\"")
        .pool("banner_first", "true")
        .pool("members", &quoted(&[foreign.address(), good.address()]));
    let gate = Gate::start(&scene, good.address(), setup);
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.download("RETR file").assert_complete(b"payload");
    assert!(foreign.commands().is_empty());
    let line = gate.wait_for_log("backend not reached");
    assert!(line.contains("\"certificate\""), "{line}");
}

#[test]
fn every_member_is_tried_once_and_what_the_last_one_did_is_told() {
    let scene = Scene::new();
    let (hanging, closing) = (Bad::hanging(), Bad::accepting(drop));
    let full = || Script::new().greeting("421 Too many users\r\n");
    let rudes = [Rude::start(&scene, full()), Rude::start(&scene, full())];
    let members = [
        hanging.address,
        rudes[0].address(),
        closing.address,
        rudes[1].address(),
    ];
    let setup = Setup::new()
        .process("cores", "[0]")
        .timeout("backend_connect", "8s")
        .timeout("member_rest", "1h")
        .pool("members", &quoted(&members));
    let gate = Gate::start(&scene, rudes[0].address(), setup);
    let mut client = Strict::greet(gate.address(), scene.authority.client(Versions::Both));
    client.auth();
    let lost = client.say(&format!("USER {USER}")).expect(&[421]);
    assert!(lost.text.ends_with("The connection to the server is lost"));
    gate.wait_for_log("session ended");
    let log = gate.stop();
    for member in members {
        let address = format!("\"address\":\"{member}\"");
        let tried = log.lines().filter(|line| line.contains(&address));
        assert_eq!(tried.count(), 1, "{member}");
    }
    for rude in rudes {
        eventually("both are left", || rude.sessions() == 0);
        assert!(rude.commands().is_empty());
    }
}

/// The time of the last one is over when that of all is: it is told and rests like the others, and the client hears the truth.
#[test]
fn members_that_answer_nothing_are_told_one_by_one() {
    for count in [1, 2] {
        let bads: Vec<Bad> = (0..count).map(|_| Bad::swallowing()).collect();
        let members: Vec<SocketAddr> = bads.iter().map(|bad| bad.address).collect();
        let stage = Stage::with(Script::new(), |_, _| {
            Setup::new()
                .process("cores", "[0]")
                .timeout("backend_connect", "1s")
                .pool("members", &quoted(&members))
        });
        let config = stage.scene.authority.client(Versions::Both);
        let mut client = Strict::greet(stage.gate.address(), config);
        client.auth();
        let lost = client.say(&format!("USER {USER}")).expect(&[421]);
        assert!(lost.text.ends_with("No server is available"), "{lost:?}");
        for line in stage.gate.wait_for_logs(count, "backend not reached") {
            assert!(line.contains("\"timeout\""), "{line}");
        }
        for place in 0..count {
            let seen = member(&stage, place);
            assert_eq!(seen["failures"], serde_json::json!({ "timeout": 1 }));
            assert_eq!(seen["resting_on"], 1);
        }
        assert_eq!(reached(&stage), 0.0);
        assert_eq!(exhausted(&stage), 1.0);
        let ended = stage.gate.wait_for_log("session ended");
        assert!(ended.contains("no backend"), "{ended}");
    }
}

/// Neither where it was nor what its TLS was stands there as if it were the next one's.
#[test]
fn what_a_member_was_is_not_shown_of_the_next_one() {
    let next = Bad::hanging();
    let stage = Stage::with(Script::new(), |scene, _| {
        let (listener, first) = Bad::listening();
        let config = scene.authority.server(Versions::Both);
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let mut wire = Wire::new(tcp);
                wire.secure_as_server(&config).unwrap();
                wire.write(b"421 Too many users\r\n").unwrap();
            }
        });
        Setup::new()
            .process("cores", "[0]")
            .timeout("backend_connect", "1h")
            .timeout("login", "1h")
            .pool("tls", "\"implicit\"")
            .pool("members", &quoted(&[first, next.address]))
    });
    let config = stage.scene.authority.client(Versions::Both);
    let mut client = Strict::greet(stage.gate.address(), config);
    client.auth();
    client.tell(&format!("USER {USER}"));
    let line = stage.gate.wait_for_log("backend not reached");
    assert!(line.contains("\"session\":0"), "{line}");
    let seen = || stage.json("/sessions")[0].clone();
    let there = next.address.to_string();
    eventually("the next one is dialled", || seen()["backend"] == *there);
    assert_eq!(seen()["backend_tls"], Value::Null);
    assert!(seen()["client_tls"].is_object());
}

/// From USER on there is one backend for the session: no other one hears who the client is.
#[test]
fn a_member_that_has_heard_the_user_is_not_replaced() {
    let scene = Scene::new();
    // It hears one command, and goes.
    let first = Bad::accepting(|mut tcp| {
        tcp.write_all(b"220 Hello\r\n").unwrap();
        BufReader::new(tcp).read_line(&mut String::new()).unwrap();
    });
    let second = Rude::start(&scene, Script::new().clear());
    let setup = Setup::new()
        .process("cores", "[0]")
        .pool("tls", "\"off\"")
        .pool("members", &quoted(&[first.address, second.address()]));
    let gate = Gate::start(&scene, first.address, setup);
    let mut client = Strict::greet(gate.address(), scene.authority.client(Versions::Both));
    client.auth();
    client.say(&format!("USER {USER}")).expect(&[421]);
    assert!(second.commands().is_empty(), "{:?}", second.commands());
    assert!(!gate.stop().contains("backend not reached"));
}
