//! `mode = "stream"`: what is not FTP goes through the gate both ways, whole, and ends as it was ended.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::metrics::Stage;
use crate::support::door::{listener, nobody};
use crate::support::gate::{Gate, Setup};
use crate::support::process::run;
use crate::support::rude::Script;
use crate::support::{PATIENCE, Scene, eventually, noise};

/// A server of which each test takes the connections itself.
pub(crate) fn server() -> (TcpListener, SocketAddr) {
    let listener = listener(Ipv4Addr::LOCALHOST.into());
    // Bounds `accept` too.
    SockRef::from(&listener)
        .set_read_timeout(Some(PATIENCE))
        .unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub(crate) fn accept(server: &TcpListener) -> TcpStream {
    let (stream, _) = server.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn setup(listener: &str, pool: &str) -> Setup {
    Setup::new()
        .listener("mode", "\"stream\"")
        .listener("tls", listener)
        .pool("tls", pool)
        .pool("server_name", "\"localhost\"")
}

pub(crate) const OFF: &str = "\"off\"";
pub(crate) const TLS: &str = "\"implicit\"";

/// Two gates in a row, where TLS is spoken between them: the first one begins it, the second one ends it.
struct Row {
    outer: Gate,
    inner: Option<Gate>,
    _scene: Scene,
}

impl Row {
    fn plain(backend: SocketAddr, with: impl Fn(Setup) -> Setup) -> Self {
        let scene = Scene::new();
        let outer = Gate::start(&scene, backend, with(setup(OFF, OFF)));
        Self {
            outer,
            inner: None,
            _scene: scene,
        }
    }

    fn private(backend: SocketAddr) -> Self {
        let scene = Scene::new();
        let inner = Gate::start(&scene, backend, setup(TLS, OFF));
        let outer = Gate::start(&scene, inner.address(), setup(OFF, TLS));
        Self {
            outer,
            inner: Some(inner),
            _scene: scene,
        }
    }

    fn wait_for_log(&self, text: &str) {
        self.outer.wait_for_log(text);
        if let Some(inner) = &self.inner {
            inner.wait_for_log(text);
        }
    }
}

fn both(backend: SocketAddr) -> [Row; 2] {
    [Row::plain(backend, |setup| setup), Row::private(backend)]
}

/// Writes and reads at once; ends its own direction behind its bytes.
fn exchange(stream: &TcpStream, bytes: &[u8]) -> Vec<u8> {
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut stream = stream;
            stream.write_all(bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        let (mut stream, mut got) = (stream, Vec::new());
        stream.read_to_end(&mut got).unwrap();
        got
    })
}

#[test]
fn bytes_flow_both_ways_at_once_and_end_clean() {
    let (server, address) = server();
    for row in both(address) {
        for (up, down) in [(0, 0), (1, 65_537), (4_000_001, 3_000_007)] {
            let client = connect(row.outer.address());
            let backend = accept(&server);
            let (there, back) = (noise(up), noise(down));
            std::thread::scope(|scope| {
                let at_backend = scope.spawn(|| exchange(&backend, &back));
                assert!(exchange(&client, &there) == back);
                assert!(at_backend.join().unwrap() == there);
            });
        }
        row.wait_for_log("\"end\":\"Some(Clean)\"");
    }
}

#[test]
fn one_end_leaves_the_other_direction_open() {
    let (server, address) = server();
    for row in both(address) {
        for is_client in [true, false] {
            let client = connect(row.outer.address());
            let backend = accept(&server);
            let (mut first, mut last) = match is_client {
                true => (client, backend),
                false => (backend, client),
            };
            first.write_all(b"question").unwrap();
            first.shutdown(Shutdown::Write).unwrap();
            let mut heard = String::new();
            last.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, "question");
            last.write_all(b"answer").unwrap();
            drop(last);
            heard.clear();
            first.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, "answer");
        }
    }
}

#[test]
fn a_reset_arrives_as_a_reset() {
    let (server, address) = server();
    for row in both(address) {
        for is_client in [true, false] {
            let client = connect(row.outer.address());
            let backend = accept(&server);
            let (mut first, mut last) = match is_client {
                true => (client, backend),
                false => (backend, client),
            };
            first.write_all(b"half").unwrap();
            let mut heard = [0; 4];
            last.read_exact(&mut heard).unwrap();
            SockRef::from(&first)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            drop(first);
            let end = last.read_exact(&mut heard).unwrap_err();
            assert_eq!(end.kind(), ErrorKind::ConnectionReset);
        }
        row.outer.wait_for_log("\"end\":\"Some(Reset)\"");
    }
}

#[test]
fn a_reader_that_pauses_stops_its_own_direction_and_no_other() {
    const MOST: usize = 64 << 20;
    let (server, address) = server();
    for row in both(address) {
        let mut client = connect(row.outer.address());
        let mut backend = accept(&server);
        client.set_nonblocking(true).unwrap();
        let (bytes, mut sent) = (noise(MOST), 0);
        eventually("the way is full", || {
            let before = sent;
            while let Ok(some) = client.write(&bytes[sent..]) {
                sent += some;
                assert!(sent < MOST, "it is held somewhere");
            }
            sent == before
        });
        client.set_nonblocking(false).unwrap();
        backend.write_all(b"!").unwrap();
        client.read_exact(&mut [0]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        backend.read_to_end(&mut got).unwrap();
        assert!(got == bytes[..sent]);
    }
}

#[test]
fn a_server_that_speaks_first_has_its_header_before() {
    let (server, address) = server();
    let with = |setup: Setup| setup.pool("send_proxy", "\"v1\"");
    let row = Row::plain(address, with);
    let mut client = connect(row.outer.address());
    let mut backend = accept(&server);
    let expected = format!(
        "PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n",
        client.local_addr().unwrap().port(),
        row.outer.address().port()
    );
    let mut header = vec![0; expected.len()];
    backend.read_exact(&mut header).unwrap();
    assert_eq!(String::from_utf8(header).unwrap(), expected);
    backend.write_all(b"!").unwrap();
    client.read_exact(&mut [0]).unwrap();
}

#[test]
fn whoever_comes_beyond_the_limit_is_reset() {
    let (server, address) = server();
    let row = Row::plain(address, |setup| setup.limit("sessions", "1"));
    let mut first = connect(row.outer.address());
    let mut backend = accept(&server);
    let end = connect(row.outer.address())
        .read_exact(&mut [0])
        .unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    backend.write_all(b"!").unwrap();
    first.read_exact(&mut [0]).unwrap();
}

#[test]
fn whoever_has_no_backend_is_reset() {
    let nobody = nobody();
    let row = Row::plain(nobody.local_addr().unwrap(), |setup| setup);
    let end = connect(row.outer.address())
        .read_exact(&mut [0])
        .unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    row.outer.wait_for_log("no backend answers");
}

/// Nobody reads of it yet, and still it is heard: what is held for it is given back at once. The member does not take its
/// connection, or takes it and begins no TLS.
#[test]
fn a_client_that_resets_while_a_member_is_awaited_is_gone_at_once() {
    for is_swallowed in [true, false] {
        let server = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        server
            .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .unwrap();
        server.listen(0).unwrap();
        let address = server.local_addr().unwrap().as_socket().unwrap();
        // It fills the queue: the kernel drops whoever comes after it.
        let _first = is_swallowed.then(|| connect(address));
        let scene = Scene::new();
        let bounds = setup(OFF, TLS)
            .timeout("backend_connect", "1h")
            .timeout("handshake", "1h");
        let gate = Gate::start(&scene, address, bounds);
        let before = gate.descriptors();
        let client = connect(gate.address());
        let dialled = before + 2;
        eventually("the member is dialled", || gate.descriptors() >= dialled);
        SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client);
        gate.wait_for_log("stream refused: the client has left");
        gate.wait_for_descriptors(before);
    }
}

/// What it has said, and that this was all, is for whoever serves in the end.
#[test]
fn a_client_that_ends_its_direction_while_a_member_is_awaited_is_served() {
    let (server, address) = server();
    let hanging = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let scene = Scene::new();
    let inner = Gate::start(&scene, address, setup(TLS, OFF));
    let hangs = hanging.local_addr().unwrap();
    let members = format!("[\"{hangs}\", \"{}\"]", inner.address());
    let with = setup(OFF, TLS)
        .process("cores", "[0]")
        .timeout("handshake", "1s")
        .pool("members", &members);
    let outer = Gate::start(&scene, address, with);
    let mut client = connect(outer.address());
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut backend = accept(&server);
    let mut heard = String::new();
    backend.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "question");
    backend.write_all(b"answer").unwrap();
    drop(backend);
    heard.clear();
    client.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "answer");
    outer.wait_for_log("backend not reached");
}

/// Each from when it was asked for: what the handshake of the one before has taken is no part of it.
#[test]
fn every_member_that_is_reached_is_timed_by_itself() {
    let (mute, first) = server();
    let (closing, second) = server();
    let stage = Stage::with(Script::new(), |_, _| {
        setup(OFF, TLS)
            .process("cores", "[0]")
            .timeout("handshake", "3s")
            .pool("members", &format!("[\"{first}\", \"{second}\"]"))
    });
    let mut client = connect(stage.gate.address());
    let _held = accept(&mute);
    drop(accept(&closing));
    let end = client.read(&mut [0]).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    let seen = stage.series("");
    assert_eq!(seen["sluicegate_backend_connect_seconds_count"], 2.0);
    assert!(seen["sluicegate_backend_connect_seconds_sum"] < 3.0);
    assert_eq!(
        seen["sluicegate_pool_exhausted_total{pool=\"inside\"}"],
        1.0
    );
}

#[test]
fn two_hundred_streams_at_once_keep_apart_and_leave_nothing() {
    let (server, address) = server();
    for row in both(address) {
        let before = row.outer.descriptors();
        let pairs: Vec<_> = (0..200u32)
            .map(|number| {
                let mut client = connect(row.outer.address());
                client.write_all(&number.to_be_bytes()).unwrap();
                client
            })
            .collect();
        for _ in &pairs {
            let mut backend = accept(&server);
            let mut number = [0; 4];
            backend.read_exact(&mut number).unwrap();
            backend.write_all(&number).unwrap();
            // Closed behind what was said.
        }
        for (number, mut client) in (0..200u32).zip(pairs) {
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).unwrap();
            assert_eq!(heard, number.to_be_bytes());
        }
        // Pipes are kept, for one stream after the other.
        eventually("the streams have gone", || {
            row.outer.descriptors() < before + 100
        });
    }
}

#[test]
fn a_stream_in_which_nothing_moves_is_ended_by_reset() {
    let (server, address) = server();
    let row = Row::plain(address, |setup| setup.timeout("idle", "1s"));
    let mut client = connect(row.outer.address());
    let mut backend = accept(&server);
    for end in [&mut client, &mut backend] {
        let told = end.read_exact(&mut [0]).unwrap_err();
        assert_eq!(told.kind(), ErrorKind::ConnectionReset);
    }
    row.outer.wait_for_log("TimedOut");
}

#[test]
fn stopping_lets_streams_end_and_cuts_off_the_rest() {
    let (server, address) = server();
    let mut row = Row::plain(address, |setup| setup.timeout("drain", "6s"));
    // One after the other: on two cores the second one may be dialled for first.
    let pair = || {
        let mut client = connect(row.outer.address());
        client.write_all(b"?").unwrap();
        let mut backend = accept(&server);
        backend.read_exact(&mut [0]).unwrap();
        (client, backend)
    };
    let ((mut ends, mut answers), (mut hangs, mut cut)) = (pair(), pair());
    row.outer.signal("TERM");
    eventually("nobody is taken any more", || {
        TcpStream::connect(row.outer.address()).is_err()
    });
    ends.shutdown(Shutdown::Write).unwrap();
    assert_eq!(answers.read_to_end(&mut Vec::new()).unwrap(), 0);
    answers.write_all(b"!").unwrap();
    drop(answers);
    ends.read_exact(&mut [0]).unwrap();
    assert_eq!(ends.read_to_end(&mut Vec::new()).unwrap(), 0);
    for hanging in [&mut hangs, &mut cut] {
        let told = hanging.read_exact(&mut [0]).unwrap_err();
        assert_eq!(told.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(row.outer.wait_for_exit(), Some(0));
}

/// With TLS on both legs, which is where nothing is copied, and a client that has never heard of us.
#[test]
fn curl_is_served_by_a_web_server_behind_tls_on_both_legs() {
    let (server, address) = server();
    let scene = Scene::new();
    let inner = Gate::start(&scene, address, setup(TLS, OFF));
    let outer = Gate::start(&scene, inner.address(), setup(TLS, TLS));
    let page = noise(3_000_001);
    let answering = std::thread::spawn({
        let page = page.clone();
        move || {
            let mut backend = accept(&server);
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                backend.read_exact(&mut byte).unwrap();
                asked.extend(byte);
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", page.len());
            backend.write_all(head.as_bytes()).unwrap();
            backend.write_all(&page).unwrap();
        }
    });
    let got = scene.path("page");
    let url = format!("https://localhost:{}/page", outer.address().port());
    let resolve = format!("localhost:{}:127.0.0.1", outer.address().port());
    run(Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "30",
        ])
        .args(["--resolve", &resolve, "--cacert"])
        .arg(scene.authority.ca_file())
        .arg("--output")
        .args([got.as_os_str(), url.as_ref()]))
    .ok();
    assert!(std::fs::read(got).unwrap() == page);
    answering.join().unwrap();
    outer.wait_for_log("\"path\":\"InPlace\"");
}

#[test]
fn a_client_comes_again_and_resumes_on_any_core() {
    let (server, address) = server();
    let scene = Scene::new();
    let gate = Gate::start(&scene, address, setup(TLS, OFF));
    let ticket = scene.path("ticket");
    let mut told = Vec::new();
    for option in ["-sess_out", "-sess_in"] {
        let serving = std::thread::spawn({
            let server = server.try_clone().unwrap();
            move || {
                // Its first byte brings the tickets.
                accept(&server).write_all(b"hello\n").unwrap();
            }
        });
        let ran = run(Command::new("openssl")
            .args(["s_client", "-ign_eof", "-connect"])
            .arg(gate.address().to_string())
            .arg("-CAfile")
            .arg(scene.authority.ca_file())
            .arg(option)
            .arg(&ticket));
        told.push(ran.text());
        serving.join().unwrap();
    }
    assert!(told[0].contains("hello") && told[0].contains("New, TLS"));
    assert!(told[1].contains("Reused, TLS"), "{}", told[1]);
}
