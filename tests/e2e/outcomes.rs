//! What becomes of streams: members that are passed over, ends that nobody vouches for, and what is told of it all.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpListener;

use rustls::pki_types::ServerName;
use serde_json::Value;

use crate::streams::{OFF, TLS, accept, connect, server, setup};
use crate::support::admin::{self, MEANT};
use crate::support::certs::Versions;
use crate::support::door::refuse;
use crate::support::gate::Gate;
use crate::support::wire::{Got, Wire};
use crate::support::{Scene, eventually};

/// A peer of the gate with TLS that ends as it is told.
fn private(scene: &Scene, gate: &Gate) -> Wire {
    let mut wire = Wire::connect(gate.address()).unwrap();
    let config = scene.authority.client(Versions::Only13);
    let name = ServerName::try_from("localhost").unwrap();
    wire.secure_as_client(&config, &name).unwrap();
    wire
}

#[test]
fn a_missing_close_notify_is_a_reset_for_a_plain_backend_unless_the_listener_says_otherwise() {
    let (server, address) = server();
    for (key, is_end) in [
        (None, false),
        (Some("\"reset\""), false),
        (Some("\"end\""), true),
    ] {
        let scene = Scene::new();
        let setup = setup(TLS, OFF);
        let setup = match key {
            Some(value) => setup.listener("missing_close_notify", value),
            None => setup,
        };
        let gate = Gate::start(&scene, address, setup);
        let mut client = private(&scene, &gate);
        let mut backend = accept(&server);
        client.write(b"question").unwrap();
        backend.read_exact(&mut [0; 8]).unwrap();
        backend.write_all(b"answer").unwrap();
        assert_eq!(client.read().unwrap(), Got::Bytes(b"answer".to_vec()));
        client.fin().unwrap();
        let end = backend.read_exact(&mut [0]).unwrap_err().kind();
        if !is_end {
            assert_eq!(end, ErrorKind::ConnectionReset);
            continue;
        }
        assert_eq!(end, ErrorKind::UnexpectedEof);
        // The other direction goes on, and is ended properly for whoever can hear it.
        backend.write_all(b"more").unwrap();
        drop(backend);
        assert_eq!(client.read_to_end().0, b"more");
        gate.wait_for_log("\"end\":\"Some(Unfinished)\"");
    }
}

#[test]
fn a_missing_close_notify_of_the_backend_ends_a_plain_client_where_the_listener_says_so() {
    let (server, address) = server();
    let scene = Scene::new();
    let setup = setup(OFF, TLS).listener("missing_close_notify", "\"end\"");
    let gate = Gate::start(&scene, address, setup);
    let mut client = connect(gate.address());
    let mut backend = Wire::new(accept(&server));
    let config = scene.authority.server(Versions::Both);
    backend.secure_as_server(&config).unwrap();
    backend.write(b"answer").unwrap();
    backend.fin().unwrap();
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"answer");
}

#[test]
fn a_member_whose_handshake_fails_is_passed_over() {
    let (good, address) = server();
    let scene = Scene::new();
    let mut inner = Gate::start(&scene, address, setup(TLS, OFF));
    // One that speaks something else, and one that says nothing.
    let (strange, strange_address) = server();
    let (silent, silent_address) = server();
    let strangers = std::thread::spawn(move || {
        let mut stream = accept(&strange);
        stream.write_all(b"220 This is no TLS\r\n").unwrap();
        let said = stream.read_exact(&mut [0]);
        // The silent one is asked next.
        let stream = accept(&silent);
        (said, strange, silent, stream)
    });
    let members = format!(
        "[\"{strange_address}\", \"{silent_address}\", \"{}\"]",
        inner.address()
    );
    let setup = setup(OFF, TLS)
        .process("cores", "[0]")
        .timeout("handshake", "5s")
        .timeout("member_rest", "1h")
        .pool("members", &members);
    let gate = Gate::start(&scene, address, setup);
    for _ in 0..2 {
        let mut client = connect(gate.address());
        client.write_all(b"?").unwrap();
        let mut backend = accept(&good);
        backend.read_exact(&mut [0]).unwrap();
        backend.write_all(b"!").unwrap();
        client.read_exact(&mut [0]).unwrap();
    }
    let (said, strange, silent, _stream) = strangers.join().unwrap();
    said.unwrap();
    // When none is left, the client is reset.
    [strange, silent].iter().for_each(refuse);
    inner.signal("KILL");
    inner.wait_for_exit();
    let end = connect(gate.address()).read_exact(&mut [0]).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    let log = gate.stop();
    assert!(log.contains("no backend answers"), "{log}");
    for (address, fault) in [
        (strange_address, "its TLS handshake failed"),
        (silent_address, "its TLS handshake took too long"),
    ] {
        let address = format!("\"{address}\"");
        let told = (log.lines()).filter(|line| line.contains(&address) && line.contains(fault));
        assert_eq!(told.count(), 1, "{log}");
    }
}

/// A gate that takes TLS off, and tells what it does.
struct Told {
    scene: Scene,
    gate: Gate,
    backend: TcpListener,
}

impl Told {
    fn new() -> Self {
        let (backend, address) = server();
        let scene = Scene::new();
        let setup = setup(TLS, OFF)
            .admin("address", "\"unix:admin.sock\"")
            .audit("file", "\"audit.json\"");
        let gate = Gate::start(&scene, address, setup);
        Self {
            scene,
            gate,
            backend,
        }
    }

    fn sessions(&self) -> Value {
        admin::json(&self.scene, "/sessions")
    }

    /// What the journal has of the first session that it names, once that has ended.
    fn events(&self) -> Vec<Value> {
        let mut events = Vec::new();
        eventually("its end is told", || {
            events = admin::events(&self.scene.path("audit.json"));
            events.iter().any(|event| event["event"] == "ended")
        });
        events
    }

    #[track_caller]
    fn assert_counted(&self, series: &[&str]) {
        let metrics = admin::get(&self.scene, "/metrics");
        for series in series {
            assert!(metrics.contains(series), "{series} is not in {metrics}");
        }
    }
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let kind = |event| Value::as_str(event).unwrap();
    (events.iter()).map(|event| kind(&event["event"])).collect()
}

#[test]
fn a_stream_is_seen_while_it_lives_and_told_when_it_is_over() {
    let told = Told::new();
    let mut client = private(&told.scene, &told.gate);
    let mut backend = accept(&told.backend);
    client.write(b"question").unwrap();
    backend.read_exact(&mut [0; 8]).unwrap();
    backend.write_all(b"answer!").unwrap();
    assert_eq!(client.read().unwrap(), Got::Bytes(b"answer!".to_vec()));
    eventually("its bytes are seen", || {
        told.sessions()[0]["stream"]["received"] == 7
    });
    let row = told.sessions()[0].clone();
    assert_eq!(row["phase"], "stream");
    assert_eq!(row["stream"]["sent"], 8);
    let address = told.backend.local_addr().unwrap().to_string();
    assert_eq!(row["backend"], address);
    assert_eq!(row["client_tls"]["version"], "1.3");
    client.close_notify().unwrap();
    client.fin().unwrap();
    drop(backend);
    assert!(client.read_to_end().1.unwrap());

    let events = told.events();
    let mut first = kinds(&events);
    // The backend is dialled beside the handshake.
    first[1..3].sort_unstable();
    assert_eq!(first, ["opened", "backend", "tls", "stream", "ended"]);
    assert!(
        events
            .iter()
            .all(|event| event["session"] == events[0]["session"])
    );
    let one = |kind: &str| events.iter().find(|event| event["event"] == kind).unwrap();
    assert_eq!(one("tls")["leg"], "client");
    assert_eq!(one("backend")["backend"], address);
    let stream = &events[3];
    assert_eq!(
        (&stream["sent"], &stream["received"]),
        (&8.into(), &7.into())
    );
    assert_eq!(stream["outcome"], "completed");
    assert_eq!(stream["client"]["end"], "clean");
    assert_eq!(stream["client"]["tls"]["version"], "1.3");
    assert_eq!(stream["backend"]["end"], "clean");
    assert!(stream["backend"]["tls"].is_null());
    assert_eq!(events[4]["bytes"], 15);
    told.assert_counted(&[
        "sluicegate_streams_total{outcome=\"completed\"} 1",
        "sluicegate_stream_ends_total{leg=\"client\",end=\"clean\"} 1",
        "sluicegate_stream_ends_total{leg=\"backend\",end=\"clean\"} 1",
        "sluicegate_stream_tls_total{leg=\"client\",version=\"1.3\",kind=\"full\"} 1",
    ]);
}

#[test]
fn a_stream_that_never_stood_is_told_too() {
    let told = Told::new();
    let mut stranger = connect(told.gate.address());
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    // An alert, or a reset behind it: either is an answer to that.
    let _alert = stranger.read_to_end(&mut Vec::new());
    let mut events = told.events();
    // The backend may have been reached by then.
    events.retain(|event| event["event"] != "backend");
    assert_eq!(kinds(&events), ["opened", "refused", "ended"]);
    assert_eq!(events[1]["what"], "TLS handshake");
    assert_eq!(events[2]["by"], "client");
    assert_eq!(events[2]["refusals"], 1);
    told.assert_counted(&[
        "sluicegate_streams_total{outcome=\"unestablished\"} 1",
        "sluicegate_stream_ends_total{leg=\"client\",end=\"handshake_failed\"} 1",
        "sluicegate_stream_ends_total{leg=\"backend\",end=\"aborted\"} 1",
    ]);
}

#[test]
fn a_stream_that_is_killed_is_told_by_whom() {
    let told = Told::new();
    let mut client = private(&told.scene, &told.gate);
    let mut backend = accept(&told.backend);
    client.write(b"?").unwrap();
    backend.read_exact(&mut [0]).unwrap();
    let kill = format!("/sessions/{}/kill", told.sessions()[0]["id"]);
    assert_eq!(admin::ask(&told.scene, &kill, &MEANT).0, "200");
    let end = backend.read_exact(&mut [0]).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    let events = told.events();
    assert_eq!(events[3]["outcome"], "cut_off");
    assert_eq!(events[3]["client"]["end"], "aborted");
    assert_eq!(events[4]["by"], "operator");
}
