//! The gate under test: the built program, a config written for one test, and a look at it from outside.
//!
//! Its log is kept; every gate checks at its end that the password of the tests does not stand in it.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ports::Ports;
use super::process::{Ran, Server, run};
use super::{PASSWORD, Scene, eventually};

/// What differs from the plain config: keys with their values as TOML writes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    keys: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
    environment: Vec<(&'static str, &'static str)>,
    passive_ports: u16,
    /// Exactly so many passive ports, where a test is about their number.
    narrow: Option<u16>,
    ipv6: bool,
    /// Sections that stand behind the others.
    more: String,
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

    /// Sections behind the others, as they are.
    pub(crate) fn more(mut self, sections: &str) -> Self {
        self.more.push_str(sections);
        self
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
        text.push_str(&self.more);
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
        Self::of_file(&config, address, ports, environment)
    }

    /// Starts it with a config that is written already, and waits until it says that it is ready.
    pub(crate) fn of_file(
        config: &Path,
        address: SocketAddr,
        ports: Ports,
        environment: Vec<(&'static str, &'static str)>,
    ) -> Self {
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
        let quoted = |path: &Path| format!("\"{}\"", path.display());
        let passive = ports.passive();
        let last = match setup.narrow {
            Some(count) => passive.start() + count - 1,
            None => *passive.end(),
        };
        setup = setup.listener("address", &format!("\"{address}\""));
        let listener = &setup.keys["[listener]"];
        let is_stream = listener.contains_key("mode");
        if listener.get("tls").is_none_or(|tls| tls != "\"off\"") {
            setup = setup
                .listener("certificate", &quoted(scene.authority.certificate_file()))
                .listener("key", &quoted(scene.authority.key_file()));
        }
        if !is_stream {
            setup = setup.listener("passive_ports", &format!("\"{}-{last}\"", passive.start()));
        }
        if !setup.keys["[pool]"].contains_key("members") {
            setup = setup.pool("members", &format!("[\"{backend}\"]"));
        }
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

    /// The ports of its control and its data connections.
    pub(crate) fn ports(&self) -> &Ports {
        &self.ports
    }

    pub(crate) fn log(&self) -> String {
        self.server.log()
    }

    /// Waits for a line of its log, which is written some time after what it tells of.
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        self.wait_for_logs(1, text).remove(0)
    }

    /// Waits for so many lines that contain this; all there are then.
    pub(crate) fn wait_for_logs(&self, count: usize, text: &str) -> Vec<String> {
        let wanted = |line: &str| line.contains(text);
        self.server.wait_for_lines(count, text, wanted)
    }

    /// Stops it as an operator does; all that it has logged, for tests of what must not stand there.
    pub(crate) fn stop(mut self) -> String {
        self.signal("TERM");
        assert_eq!(self.wait_for_exit(), Some(0), "{}", self.log());
        self.log()
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

    /// Threads of the process.
    pub(crate) fn threads(&self) -> usize {
        let tasks = format!("/proc/{}/task", self.server.pid());
        std::fs::read_dir(tasks).unwrap().count()
    }

    /// How often the threads of its cores have gone to sleep.
    #[allow(
        dead_code,
        reason = "the end-to-end tests need it, the matrix does not"
    )]
    pub(crate) fn slept(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.server.pid())).unwrap();
        let slept = |status: String| {
            let value = |key: &str| {
                Some(
                    status
                        .split_once(key)?
                        .1
                        .split_whitespace()
                        .next()?
                        .to_owned(),
                )
            };
            let is_core = value("Name:")?.starts_with("core-");
            is_core.then(|| {
                value("\nvoluntary_ctxt_switches:")
                    .unwrap()
                    .parse::<u64>()
                    .unwrap()
            })
        };
        let statuses =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("status")).ok());
        statuses.filter_map(slept).sum()
    }

    /// Waits until it has at most so many open: data connections are read to their end behind the final reply.
    pub(crate) fn wait_for_descriptors(&self, most: usize) {
        eventually("descriptors are given back", || self.descriptors() <= most);
    }

    /// Waits until no passive port is listened on, where a session may end later than its peers have seen.
    pub(crate) fn wait_for_ports(&self) {
        eventually("passive ports are given back", || {
            self.listening_ports() == 0
        });
    }

    /// Lets it have so many descriptors from now on.
    pub(crate) fn allow_descriptors(&self, most: usize) {
        let limit = format!("--nofile={most}:");
        run(Command::new("prlimit").args(["--pid", &self.server.pid().to_string(), &limit])).ok();
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
        let passive = self.ports.passive();
        let ports = listeners().into_iter().map(|(port, _)| port);
        ports.filter(|port| passive.contains(port)).count()
    }

    /// Sockets of the process that do not listen.
    #[allow(dead_code, reason = "the matrix needs it, the end-to-end tests do not")]
    pub(crate) fn connections(&self) -> usize {
        let listeners = listeners();
        let listen: HashSet<_> = listeners.iter().map(|(_, inode)| inode.as_str()).collect();
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.server.pid())).unwrap();
        let open = open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        let is_connection = |target: &PathBuf| {
            let target = target.to_string_lossy();
            let inode = target
                .strip_prefix("socket:[")
                .map(|rest| rest.trim_end_matches(']'));
            inode.is_some_and(|inode| !listen.contains(inode))
        };
        open.filter(is_connection).count()
    }
}

/// Port and inode of everything on this machine that listens.
fn listeners() -> Vec<(u16, String)> {
    let mut listeners = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = std::fs::read_to_string(table).unwrap();
        listeners.extend(table.lines().filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
            let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
            (*state == "0A").then(|| (port, (*inode).to_owned()))
        }));
    }
    listeners
}

impl Drop for Gate {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.server.end();
            assert!(
                !self.log().contains(PASSWORD),
                "the password stands in the log:\n{}",
                self.log()
            );
        }
    }
}
