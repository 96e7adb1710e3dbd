//! Which member of a pool a session comes to: in turn, where the fewest are, or each client to its own; and backups.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::support::certs::Versions;
use crate::support::door;
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Rude, Script};
use crate::support::strict::Strict;
use crate::support::{Scene, eventually};

/// Backends that take streams, and hold them.
struct Backends {
    listeners: Vec<TcpListener>,
}

impl Backends {
    fn new(count: usize) -> Self {
        let listener = |_| {
            let listener = door::listener(Ipv4Addr::LOCALHOST.into());
            listener.set_nonblocking(true).unwrap();
            listener
        };
        Self {
            listeners: (0..count).map(listener).collect(),
        }
    }

    fn list(&self, which: std::ops::Range<usize>) -> String {
        let address = |listener: &TcpListener| format!("\"{}\"", listener.local_addr().unwrap());
        let addresses: Vec<String> = self.listeners[which].iter().map(address).collect();
        format!("[{}]", addresses.join(", "))
    }

    /// Who has the next stream, and its end of it.
    fn next(&self) -> (usize, TcpStream) {
        let mut found = None;
        eventually("somebody has it", || {
            let accepted = |listener: &TcpListener| listener.accept().ok();
            let mut streams = self.listeners.iter().map(accepted).enumerate();
            found = streams.find_map(|(at, stream)| Some((at, stream?.0)));
            found.is_some()
        });
        found.unwrap()
    }
}

fn setup(members: &str, balance: &str) -> Setup {
    Setup::new()
        .process("cores", "[0]")
        .listener("mode", "\"stream\"")
        .listener("tls", "\"off\"")
        .pool("tls", "\"off\"")
        .pool("members", members)
        .pool("balance", &format!("\"{balance}\""))
}

fn nobody() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 9).into()
}

fn connect_from(source: [u8; 4], gate: &Gate) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let source = SocketAddr::new(IpAddr::from(source), 0);
    socket.bind(&source.into()).unwrap();
    socket.connect(&gate.address().into()).unwrap();
    socket.into()
}

#[test]
fn sessions_go_where_the_fewest_are() {
    let (scene, backends) = (Scene::new(), Backends::new(3));
    let gate = Gate::start(&scene, nobody(), setup(&backends.list(0..3), "least"));
    let mut held = HashMap::new();
    for _ in 0..6 {
        let client = connect_from([127, 0, 0, 1], &gate);
        let (at, backend) = backends.next();
        held.entry(at)
            .or_insert_with(Vec::new)
            .push((client, backend));
    }
    let mut counts: Vec<usize> = held.values().map(Vec::len).collect();
    counts.sort_unstable();
    assert_eq!(counts, [2, 2, 2]);
    // All of one member end: whoever comes then goes there, until it has as many as the others.
    drop(held.remove(&1));
    gate.wait_for_logs(2, "stream ended");
    let mut later = Vec::new();
    for _ in 0..2 {
        let client = connect_from([127, 0, 0, 1], &gate);
        let (at, backend) = backends.next();
        assert_eq!(at, 1);
        later.push((client, backend));
    }
}

#[test]
fn a_client_finds_its_own_member_again_after_a_restart_and_on_any_core() {
    let (scene, backends) = (Scene::new(), Backends::new(4));
    let mut first = HashMap::new();
    for cores in ["[0]", "[0, 1]"] {
        let setup = setup(&backends.list(0..4), "client").process("cores", cores);
        let gate = Gate::start(&scene, nobody(), setup);
        for _ in 0..2 {
            for last in 2..22 {
                let _client = connect_from([127, 0, 0, last], &gate);
                let (at, _backend) = backends.next();
                assert_eq!(
                    *first.entry(last).or_insert(at),
                    at,
                    "127.0.0.{last}, {cores}"
                );
            }
        }
    }
    let used: std::collections::HashSet<usize> = first.values().copied().collect();
    assert!(used.len() > 2, "{first:?}");
}

#[test]
fn a_backup_serves_until_another_one_is_back() {
    let (scene, backends) = (Scene::new(), Backends::new(3));
    let setup = setup(&backends.list(0..2), "turn")
        .timeout("member_rest", "1h")
        .pool("backups", &backends.list(2..3));
    let gate = Gate::start(&scene, nobody(), setup);
    for expected in [0, 1, 0, 1] {
        let _client = connect_from([127, 0, 0, 1], &gate);
        assert_eq!(backends.next().0, expected);
    }
    let mut backends = backends;
    let backup = backends.listeners.remove(2);
    backends.listeners.iter().for_each(door::refuse);
    let backup = Backends {
        listeners: vec![backup],
    };
    for _ in 0..3 {
        let _client = connect_from([127, 0, 0, 1], &gate);
        backup.next();
    }
    assert_eq!(gate.stop().matches("backend not reached").count(), 2);
}

/// The same way for sessions of FTP: what a client was cut off in, it finds again.
#[test]
fn clients_of_ftp_come_to_their_own_member_too() {
    let scene = Scene::new();
    let rudes: Vec<Rude> = (0..3).map(|_| Rude::start(&scene, Script::new())).collect();
    let members: Vec<String> = (rudes.iter())
        .map(|rude| format!("\"{}\"", rude.address()))
        .collect();
    let setup = Setup::new()
        .pool("members", &format!("[{}]", members.join(", ")))
        .pool("balance", "\"client\"");
    let gate = Gate::start(&scene, nobody(), setup);
    for _ in 0..4 {
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        client.say("NOOP").expect(&[200]);
    }
    let logins = |rude: &Rude| {
        let commands = rude.commands();
        commands
            .iter()
            .filter(|line| line.starts_with("USER"))
            .count()
    };
    let mut logins: Vec<usize> = rudes.iter().map(logins).collect();
    logins.sort_unstable();
    assert_eq!(logins, [0, 0, 4]);
}
