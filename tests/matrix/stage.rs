//! The gate of the matrix: one process, with a listener and a pool for each way of the backend's leg and each policy.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::backend::Backend;
use crate::cells::{Cell, Empty, Family, Mode, Policy, Prot, Tls, Unfinished, Way};
use crate::support::certs::Authority;
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::ports::Ports;

/// Passive ports of one listener: two for each session that may be there at once, on whichever core it is.
const PORTS_EACH: u16 = 40;

/// Long enough for a loaded machine, short enough to be waited for by many cells at once; the client that is two seconds
/// late is in time.
const TIMEOUTS: &str = r#"
[timeouts]
backend_reply = "6s"
data_connect = "6s"
data_handshake = "5s"
data_first_byte = "6s"
data_stall = "5s"
data_completion = "4s"
linger = "2s"
"#;

/// The running gate and the ways to it.
pub(crate) struct Stage {
    gate: Gate,
    authority: Arc<Authority>,
    ways: Vec<(Way, Policy)>,
    first: u16,
    /// What is connected and listened on when nobody is there.
    idle: (usize, usize),
}

impl Stage {
    /// Starts it for these cells.
    pub(crate) fn start(
        dir: &Path,
        authority: Arc<Authority>,
        backend: &Backend,
        cells: &[Cell],
    ) -> Self {
        let mut ways: Vec<(Way, Policy)> = Vec::new();
        for cell in cells {
            let way = (cell.backend, cell.policy);
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        let count = u16::try_from(ways.len()).unwrap();
        let ports = Ports::reserve_for(count * (PORTS_EACH + 1) + 10);
        let first = ports.control();
        let mut config = format!("[process]\ncores = [0, 1]\n[log]\nlevel = \"info\"\n{TIMEOUTS}");
        for (at, (way, policy)) in (0..).zip(&ways) {
            let port_of = (first + at, first + count + at * PORTS_EACH);
            let member = backend.address(way.family);
            let section = section(at, port_of, member, *way, *policy, &authority);
            config.push_str(&section);
        }
        let file = dir.join("gate.toml");
        std::fs::write(&file, config).unwrap();
        let address = SocketAddr::new(Family::V4.ip(), first);
        let gate = Gate::of_file(&file, address, ports, Vec::new());
        Self {
            idle: (gate.connections(), gate.listening_ports()),
            gate,
            authority,
            ways,
            first,
        }
    }

    /// Where a client of this cell goes.
    pub(crate) fn address(&self, cell: &Cell) -> SocketAddr {
        let wanted = (cell.backend, cell.policy);
        let at = self.ways.iter().position(|way| *way == wanted).unwrap();
        let port = self.first + u16::try_from(at).unwrap();
        SocketAddr::new(cell.client.family.ip(), port)
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Rule 14, when all sessions are over.
    pub(crate) fn assert_nothing_leaked(&self) {
        let (connections, ports) = self.idle;
        eventually("no passive port is listened on", || {
            self.gate.listening_ports() <= ports
        });
        eventually("no connection is left", || {
            self.gate.connections() <= connections
        });
    }
}

fn section(
    at: u16,
    (control, passive): (u16, u16),
    member: SocketAddr,
    way: Way,
    policy: Policy,
    authority: &Authority,
) -> String {
    let quoted = |path: &Path| format!("\"{}\"", path.display());
    let style = match way.mode {
        Mode::Pasv => "pasv",
        Mode::Epsv => "epsv",
        Mode::Port => "port",
        Mode::Eprt => "eprt",
    };
    let protection = match way.prot {
        Prot::C => "clear",
        Prot::P => "private",
    };
    let version = match way.tls {
        Tls::V12 => "1.2",
        Tls::V13 => "1.3",
    };
    let empty = match policy.empty {
        Empty::Complete => "complete",
        Empty::Verify => "verify",
        Empty::Reject => "reject",
    };
    let unfinished = |unfinished| match unfinished {
        Unfinished::Mirror => "mirror",
        Unfinished::Repair => "repair",
        Unfinished::Reject => "reject",
    };
    let mut text = String::new();
    writeln!(
        text,
        r#"
[[listener]]
name = "way-{at}"
pool = "way-{at}"
address = ["127.0.0.1:{control}", "[::1]:{control}"]
certificate = {}
key = {}
data_protection = "any"
passive_ports = "{passive}-{}"
steering = "hash"
unfinished = "{}"
bare_uploads = {}
[[pool]]
name = "way-{at}"
members = ["{member}"]
ca = {}
tls_versions = ["{version}"]
data_protection = "{protection}"
data_command = "{style}"
empty = "{empty}"
unfinished = "{}""#,
        quoted(authority.certificate_file()),
        quoted(authority.key_file()),
        passive + PORTS_EACH - 1,
        unfinished(policy.client_unfinished),
        policy.bare_uploads,
        quoted(authority.ca_file()),
        unfinished(policy.backend_unfinished),
    )
    .unwrap();
    text
}
