//! The gate under test: the built program, a config written for one test, and a look at it from outside.
//!
//! Its log is kept; every gate checks at its end that the password of the tests does not stand in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use super::ports::Ports;
use super::process::{Ran, Server, run};
use super::{PASSWORD, Scene};

/// What differs from the plain config: keys with their values as TOML writes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    keys: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
    environment: Vec<(&'static str, &'static str)>,
    passive_ports: u16,
    /// Exactly so many passive ports, where a test is about their number.
    narrow: Option<u16>,
    ipv6: bool,
}

impl Setup {
    /// One listener with TLS required, one pool with one member that speaks explicit TLS.
    pub(crate) fn new() -> Self {
        Self::default()
            .process("cores", "[0, 1]")
            .log("level", "\"debug\"")
            .log("format", "\"json\"")
            .listener("name", "\"outside\"")
            .listener("pool", "\"inside\"")
            .pool("name", "\"inside\"")
    }

    fn with(mut self, table: &'static str, key: &'static str, value: &str) -> Self {
        self.keys
            .entry(table)
            .or_default()
            .insert(key, value.to_owned());
        self
    }

    pub(crate) fn process(self, key: &'static str, value: &str) -> Self {
        self.with("process", key, value)
    }

    pub(crate) fn log(self, key: &'static str, value: &str) -> Self {
        self.with("log", key, value)
    }

    pub(crate) fn limit(self, key: &'static str, value: &str) -> Self {
        self.with("limits", key, value)
    }

    pub(crate) fn timeout(self, key: &'static str, value: &str) -> Self {
        self.with("timeouts", key, &format!("\"{value}\""))
    }

    pub(crate) fn admin(self, key: &'static str, value: &str) -> Self {
        self.with("admin", key, value)
    }

    pub(crate) fn audit(self, key: &'static str, value: &str) -> Self {
        self.with("audit", key, value)
    }

    pub(crate) fn listener(self, key: &'static str, value: &str) -> Self {
        self.with("[listener]", key, value)
    }

    pub(crate) fn pool(self, key: &'static str, value: &str) -> Self {
        self.with("[pool]", key, value)
    }

    /// An environment variable of the process.
    pub(crate) fn environment(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// More passive ports than one block has.
    pub(crate) fn passive_ports(mut self, count: u16) -> Self {
        self.passive_ports = count;
        self
    }

    /// Exactly so many passive ports.
    pub(crate) fn narrow(mut self, count: u16) -> Self {
        self.narrow = Some(count);
        self
    }

    /// Listens on the IPv6 loopback address instead.
    pub(crate) fn ipv6(mut self) -> Self {
        self.ipv6 = true;
        self
    }

    fn ip(&self) -> IpAddr {
        if self.ipv6 {
            Ipv6Addr::LOCALHOST.into()
        } else {
            Ipv4Addr::LOCALHOST.into()
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (table, keys) in &self.keys {
            writeln!(text, "[{table}]").unwrap();
            for (key, value) in keys {
                writeln!(text, "{key} = {value}").unwrap();
            }
        }
        text
    }
}

/// A running gate.
pub(crate) struct Gate {
    address: SocketAddr,
    server: Server,
    ports: Ports,
}

impl Gate {
    /// Starts it before one backend, and waits until it says that it is ready.
    pub(crate) fn start(scene: &Scene, backend: SocketAddr, setup: Setup) -> Self {
        let environment = setup.environment.clone();
        let (address, ports, config) = Self::configure(scene, backend, setup);
        let mut command = Self::command();
        command
            .args(["run", "--config"])
            .arg(config)
            .envs(environment);
        let server = Server::start("sluicegate", &mut command, Vec::new());
        server.wait_for_line("that it is ready", |line| line.contains("ready"));
        Self {
            address,
            server,
            ports,
        }
    }

    /// Writes a config: where it will listen, the ports that are its own as long as they are held, and the file.
    pub(crate) fn configure(
        scene: &Scene,
        backend: SocketAddr,
        mut setup: Setup,
    ) -> (SocketAddr, Ports, PathBuf) {
        // Ten ports of a block are not passive ones.
        let ports = Ports::reserve_for(setup.passive_ports.max(1) + 10);
        let address = SocketAddr::new(setup.ip(), ports.control());
        let quoted = |path: &std::path::Path| format!("\"{}\"", path.display());
        let passive = ports.passive();
        let last = match setup.narrow {
            Some(count) => passive.start() + count - 1,
            None => *passive.end(),
        };
        setup = setup
            .listener("address", &format!("\"{address}\""))
            .listener("certificate", &quoted(scene.authority.certificate_file()))
            .listener("key", &quoted(scene.authority.key_file()))
            .listener("passive_ports", &format!("\"{}-{last}\"", passive.start()))
            .pool("members", &format!("[\"{backend}\"]"));
        if !setup.keys["[pool]"].contains_key("ca") {
            setup = setup.pool("ca", &quoted(scene.authority.ca_file()));
        }
        let config = scene.file("gate.toml", setup.text());
        (address, ports, config)
    }

    /// The built program.
    pub(crate) fn command() -> Command {
        Command::new(env!("CARGO_BIN_EXE_sluicegate"))
    }

    /// Runs `sluicegate check` on a config.
    pub(crate) fn check(config: &PathBuf) -> Ran {
        run(Self::command().args(["check", "--config"]).arg(config))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn log(&self) -> String {
        self.server.log()
    }

    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        self.server.wait_for_line(text, |line| line.contains(text))
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.server.is_running()
    }

    /// File descriptors the process has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.server.pid()))
            .unwrap()
            .count()
    }

    /// Memory of the process in RAM, in KiB.
    pub(crate) fn resident_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid()));
        let status = status.unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        line.unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap()
    }

    /// CPU time that the process has used, in ticks of 10 ms.
    pub(crate) fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.server.pid())).unwrap();
        // Behind the name, which may hold anything: utime and stime are the 12th and 13th.
        let columns = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let times = columns.skip(11).take(2);
        times.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        self.server.signal(name);
    }

    /// Waits until it has ended by itself; its exit code.
    pub(crate) fn wait_for_exit(&mut self) -> Option<i32> {
        self.server.wait_for_exit()
    }

    /// How many of its passive ports are listened on.
    pub(crate) fn listening_ports(&self) -> usize {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let passive = self.ports.passive();
        let listening = table.lines().filter_map(|line| {
            let mut columns = line.split_whitespace().skip(1);
            let (local, state) = (columns.next()?, columns.nth(1)?);
            let port = u16::from_str_radix(local.split_once(':')?.1, 16).ok()?;
            (state == "0A" && passive.contains(&port)).then_some(())
        });
        listening.count()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(
                !self.log().contains(PASSWORD),
                "the password stands in the log:\n{}",
                self.log()
            );
        }
    }
}
