//! Behind and before somebody who passes connections on: PROXY headers in and out, with HAProxy at the other end of them,
//! and what PASV says to whom (rules 1 and 10; field notes P6 to P8).

use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::support::balancer::{BALANCER, BALANCER_INSIDE, Balancer, Headers};
use crate::support::certs::Versions;
use crate::support::clients::Target;
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Rude, Script};
use crate::support::servers::{FtpServer, Kind};
use crate::support::strict::{Manner, Strict};
use crate::support::wire::Wire;
use crate::support::{Scene, noise};

/// Where the clients of these tests come from.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

/// A gate that takes connections from the balancer only.
fn behind_balancer() -> Setup {
    Setup::new()
        .listener("proxy_protocol", "\"required\"")
        .listener("proxy_from", &format!("[\"{BALANCER_INSIDE}\"]"))
}

fn script() -> Script {
    Script::new()
        .file("big", &noise(1 << 20))
        .file("hollow", b"")
}

#[test]
fn haproxy_in_front_says_whose_both_connections_are() {
    for (header, tls) in [("send-proxy", "required"), ("send-proxy-v2", "implicit")] {
        eprintln!("--- {header}, {tls}");
        let scene = Scene::new();
        let rude = Rude::start(&scene, script());
        let setup = behind_balancer()
            .listener("proxy_protocol_data", "true")
            .listener("tls", &format!("\"{tls}\""));
        let gate = Gate::start(&scene, rude.address(), setup);
        let headers = Headers {
            control: ("", header),
            data: ("", header),
        };
        let ports = gate.ports();
        let _balancer = Balancer::start(&scene, ports.control(), &ports.passive(), headers);
        let address = SocketAddr::from((BALANCER, ports.control()));
        let target = match tls {
            "implicit" => Target::implicit(&scene, address),
            _ => Target::new(&scene, address),
        };
        let from = CLIENT.to_string();
        let big = target.curl("big", &["--interface", &from]).ok();
        assert!(big.stdout == noise(1 << 20), "{} bytes", big.stdout.len());
        let hollow = target.curl("hollow", &["--interface", &from]).ok();
        assert_eq!(hollow.stdout, b"");
        target.write("up", b"one\n");
        target
            .curl("up", &["--interface", &from, "--upload-file", "up"])
            .ok();
        assert_eq!(rude.stored("up").unwrap(), b"one\n");
        let opened = gate.wait_for_log("session opened");
        assert!(
            opened.contains(&format!("\"client\":\"{CLIENT}:")),
            "{opened}"
        );
        assert!(
            opened.contains(&format!("\"via\":\"{BALANCER_INSIDE}:")),
            "{opened}"
        );
    }
}

#[test]
fn data_connections_may_go_past_haproxy_to_the_gate() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, script());
    let setup = behind_balancer()
        .timeout("data_connect", "3s")
        .listener("advertise", "\"127.0.0.1\"");
    let gate = Gate::start(&scene, rude.address(), setup);
    let headers = Headers {
        control: ("", "send-proxy-v2"),
        ..Headers::default()
    };
    let ports = gate.ports();
    let _balancer = Balancer::start(&scene, ports.control(), &ports.passive(), headers);
    let target = Target::new(&scene, (BALANCER, ports.control()).into());
    let options = [
        "--interface",
        &CLIENT.to_string(),
        "--disable-epsv",
        "--no-ftp-skip-pasv-ip",
    ];
    let got = target.curl("hollow", &options).ok();
    assert_eq!(got.stdout, b"");
    assert!(got.stderr.contains("(127,0,0,1,"), "{}", got.stderr);

    // Through the balancer, which says nothing of data connections here, they are a stranger's.
    let got = target.curl("hollow", &["--interface", &CLIENT.to_string()]);
    assert!(!got.status.success(), "{}", got.stderr);
    let told = gate.wait_for_log("\"code\":425");
    assert!(told.contains("\"client\":\"Refused\""), "{told}");
}

/// What a balancer would send, by hand: from its address, with its header, and with what follows in the same packet.
fn pass_on(gate: &Gate, source: Ipv4Addr, header: &[u8]) -> Wire {
    let mut wire = Wire::connect_from(IpAddr::V4(source), gate.address()).unwrap();
    wire.write(header).unwrap();
    wire
}

fn header_of(client: Ipv4Addr) -> Vec<u8> {
    let mut header = Vec::new();
    write!(header, "PROXY TCP4 {client} 203.0.113.5 40000 21\r\n").unwrap();
    header
}

#[test]
fn the_address_in_the_header_is_the_clients_for_every_purpose() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, script());
    let setup = behind_balancer()
        .listener("tls", "\"optional\"")
        .pool("tls", "\"match\"");
    let gate = Gate::start(&scene, rude.address(), setup);
    // The first command comes in one packet with the header: not a byte of it may be taken for the header's.
    let header = [&header_of(CLIENT), b"NOOP\r\n".as_slice()].concat();
    let wire = pass_on(&gate, BALANCER_INSIDE, &header);
    let mut client = Strict::over(wire, scene.authority.client(Versions::Both));
    client.hear().expect(&[220]);
    client.hear().expect(&[200, 530]);
    client.auth();
    client.login();
    client.protect('P');

    client.pasv = true;
    let shown = client.passive();
    assert_eq!(
        shown.ip(),
        IpAddr::from([203, 0, 113, 5]),
        "the address that the client reached"
    );

    // PORT leads to the client and not to the balancer.
    client.say("PORT 127,0,0,3,200,10").expect(&[504]);
    client.say("PORT 127,0,0,4,200,10").expect(&[200]);

    // A data connection from the balancer itself is a stranger's, the client's own is taken.
    client.pasv = false;
    let address = client.passive();
    client.tell("RETR hollow");
    let mut stranger = Wire::connect_from(IpAddr::V4(BALANCER_INSIDE), address).unwrap();
    stranger.hears_reset();
    let mut own = Wire::connect_from(IpAddr::V4(CLIENT), address).unwrap();
    client.hear().expect(&[150]);
    client.secure_data(&mut own).unwrap();
    assert_eq!(own.read_to_end().0, b"");
    own.close_notify().unwrap();
    own.fin().unwrap();
    client.hear().expect(&[226]);
    let opened = gate.wait_for_log("session opened");
    assert!(
        opened.contains(&format!("\"client\":\"{CLIENT}:40000\"")),
        "{opened}"
    );
}

#[test]
fn headers_that_do_not_count_are_reset_and_told() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, script());
    let setup = behind_balancer()
        .listener("tls", "\"optional\"")
        .timeout("handshake", "5s");
    let gate = Gate::start(&scene, rude.address(), setup);
    for (source, header, why) in [
        (CLIENT, header_of(CLIENT), "not from a trusted proxy"),
        (
            BALANCER_INSIDE,
            b"USER somebody\r\n".to_vec(),
            "no PROXY header",
        ),
        (
            BALANCER_INSIDE,
            b"PROXY TCP4 1 2 3 4\r\n".to_vec(),
            "malformed header of version 1",
        ),
        (
            BALANCER_INSIDE,
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec(),
            "version 2 that is too long",
        ),
        (
            BALANCER_INSIDE,
            b"PROXY TCP4 1.2".to_vec(),
            "not there in time",
        ),
    ] {
        // A stranger may be reset before it has said anything.
        let mut wire = Wire::connect_from(IpAddr::V4(source), gate.address()).unwrap();
        match wire.write(&header) {
            Ok(()) => wire.hears_reset(),
            Err(told) => assert!(
                matches!(
                    told.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                ),
                "{why}: {told}"
            ),
        }
        gate.wait_for_log(why);
    }
    // A health check of the balancer itself: its own address counts, and no header's.
    for own in [
        b"PROXY UNKNOWN\r\n".as_slice(),
        b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0",
    ] {
        let wire = pass_on(&gate, BALANCER_INSIDE, own);
        let mut check = Strict::over(wire, scene.authority.client(Versions::Both));
        check.hear().expect(&[220]);
        check.say("QUIT").expect(&[221]);
    }
    gate.wait_for_log(&format!("\"client\":\"{BALANCER_INSIDE}:"));
}

#[test]
fn haproxy_inside_is_told_whose_connections_it_gets() {
    for (version, is_named) in [("v1", false), ("v2", true)] {
        let scene = Scene::new();
        let server = FtpServer::start(Kind::Vsftpd, &scene);
        server.put("big", &noise(1 << 20));
        server.put("hollow", b"");
        let headers = Headers {
            control: ("accept-proxy", ""),
            data: ("accept-proxy", ""),
        };
        let ports = server.ports();
        let balancer = Balancer::start(&scene, ports.control(), &ports.passive(), headers);
        let setup = Setup::new()
            .pool("send_proxy", &format!("\"{version}\""))
            .pool("send_proxy_data", "true");
        let gate = Gate::start(&scene, (BALANCER, ports.control()).into(), setup);
        let target = Target::new(&scene, gate.address());
        let from = CLIENT.to_string();
        let big = target.curl("big", &["--interface", &from]).ok();
        assert!(big.stdout == noise(1 << 20), "{} bytes", big.stdout.len());
        assert_eq!(
            target.curl("hollow", &["--interface", &from]).ok().stdout,
            b""
        );
        target.write("up", b"");
        target
            .curl("up", &["--interface", &from, "--upload-file", "up"])
            .ok();
        assert_eq!(server.get("up").unwrap(), b"");
        for connection in ["control", "data"] {
            let line = balancer.wait_for_log(&format!("{connection} from {CLIENT} id "));
            let id = line.trim().rsplit(' ').next().unwrap();
            assert_eq!(id.parse::<u64>().is_ok(), is_named, "{version}: {line}");
        }
    }
}

#[test]
fn a_header_goes_before_clear_data_and_before_implicit_tls() {
    let scene = Scene::new();
    let ways = crate::support::servers::Ways {
        implicit: true,
        clear_data: true,
        ..Default::default()
    };
    let server = FtpServer::start_as(Kind::Vsftpd, &scene, ways);
    server.put("big", &noise(1 << 20));
    server.put("hollow", b"");
    let headers = Headers {
        control: ("accept-proxy", ""),
        data: ("accept-proxy", ""),
    };
    let ports = server.ports();
    let balancer = Balancer::start(&scene, ports.control(), &ports.passive(), headers);
    let setup = Setup::new()
        .pool("tls", "\"implicit\"")
        .pool("data_protection", "\"clear\"")
        .pool("send_proxy", "\"v2\"")
        .pool("send_proxy_data", "true");
    let gate = Gate::start(&scene, (BALANCER, ports.control()).into(), setup);
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    for (name, bytes) in [("big", noise(1 << 20)), ("hollow", Vec::new())] {
        let got = client.download(&format!("RETR {name}"));
        got.reply.clone().expect(&[226]);
        assert!(got.bytes == bytes, "{} bytes", got.bytes.len());
    }
    // Not an empty one: HAProxy makes a reset of a clear stream that ends before it has seen its own connection stand.
    client.upload("STOR up", b"one\n").reply.expect(&[226]);
    assert_eq!(server.get("up").unwrap(), b"one\n");
    balancer.wait_for_log("data from 127.0.0.1 id ");
}

#[test]
fn pasv_says_what_fits_the_clients_network() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, script());
    let rules = r#"[{ clients = "127.0.0.0/8", address = "203.0.113.5" }, { clients = "127.0.0.4/32", address = "localhost" }, { clients = "127.0.0.6/32", address = "local" }]"#;
    let gate = Gate::start(
        &scene,
        rude.address(),
        Setup::new().listener("advertise", rules),
    );
    for (client, expected) in [
        (7, Ipv4Addr::new(203, 0, 113, 5)),
        (4, Ipv4Addr::LOCALHOST),
        (6, Ipv4Addr::LOCALHOST),
    ] {
        let source = IpAddr::from([127, 0, 0, client]);
        let wire = Wire::connect_from(source, gate.address()).unwrap();
        let mut client = Strict::over(wire, scene.authority.client(Versions::Both));
        client.hear().expect(&[220]);
        client.auth();
        client.login();
        client.protect('P');
        client.pasv = true;
        assert_eq!(client.passive().ip(), IpAddr::V4(expected), "{source}");
    }
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let got = client.download_as("RETR hollow", Manner::Polite);
    got.reply.expect(&[226]);
}

#[test]
fn over_ipv6_pasv_points_to_epsv_whatever_is_advertised() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, script());
    let setup = Setup::new().ipv6().listener("advertise", "\"203.0.113.5\"");
    let gate = Gate::start(&scene, rude.address(), setup);
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let refused = client.say("PASV").expect(&[425]);
    assert!(refused.text.contains("EPSV"), "{}", refused.text);
    client.download("RETR hollow").reply.expect(&[226]);
}

#[test]
fn a_name_without_an_address_is_told_at_start() {
    let scene = Scene::new();
    let setup = Setup::new().listener("advertise", "\"no-such-host.invalid\"");
    let (_, _ports, config) = Gate::configure(&scene, (Ipv4Addr::LOCALHOST, 21).into(), setup);
    let ran = crate::support::process::run(Gate::command().args(["run", "--config"]).arg(config));
    assert_eq!(ran.status.code(), Some(1));
    assert!(
        ran.text().contains("listener[0].advertise"),
        "{}",
        ran.text()
    );
}
