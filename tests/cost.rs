//! What one transfer takes of the allocator: counted exactly, against a budget, so that growth is noticed where it begins.
//!
//! The gate runs in this process and nothing else does; load and backend are children. `perf/cost` runs this built for speed and
//! prints the figures beside the system calls.

#![allow(unsafe_code, reason = "a global allocator cannot be had without")]
#![allow(
    clippy::disallowed_types,
    reason = "a test may block: it is no core's business"
)]
#![allow(
    clippy::panic,
    reason = "a broken premise fails the test, as it should"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use sluicegate::gate;

#[path = "support/ports.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod ports;

/// Counts, and leaves the work to the system's allocator.
struct Counting;

static TAKEN: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

fn count(bytes: usize) {
    TAKEN.fetch_add(1, Relaxed);
    BYTES.fetch_add(bytes as u64, Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller has promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as the caller has promised.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller has promised.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What one unit takes.
struct Cost {
    what: String,
    allocations: u64,
    bytes: u64,
}

impl fmt::Display for Cost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, allocations, bytes) = (&self.what, self.allocations, self.bytes);
        write!(
            out,
            "cost: {what}: {allocations} allocations, {bytes} bytes"
        )
    }
}

/// A child that ends with its value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sluicegate"))
}

/// The backend, and where it listens. It makes the certificates for all.
fn backend(folder: &Path) -> (Ended, String) {
    let mut command = program();
    command.args(["backend", "--explicit", "127.0.0.1:0", "--certificates"]);
    command.arg(folder).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the backend can be started");
    let said = child.stdout.take().expect("its words");
    let child = Ended(child);
    let mut lines = BufReader::new(said).lines().map_while(Result::ok);
    let first = lines.next().expect("where it listens");
    let (_, address) = first.rsplit_once(' ').expect("an address stands last");
    assert_eq!(lines.next().as_deref(), Some("ready"), "{first}");
    (child, address.to_owned())
}

/// Units in one session; what they and their session took of the allocator.
fn run(folder: &Path, scenario: &str, target: &str, units: u64) -> (u64, u64) {
    let before = (TAKEN.load(Relaxed), BYTES.load(Relaxed));
    let mut command = program();
    command.args(["load", scenario, "--target", target, "--concurrency", "1"]);
    command.args(["--patience", "30s", "--units", &units.to_string(), "--ca"]);
    let ran = command.arg(folder.join("ca.pem")).output();
    let ran = ran.expect("the load can be started");
    assert!(ran.status.success(), "{scenario}: {ran:?}");
    (
        TAKEN.load(Relaxed) - before.0,
        BYTES.load(Relaxed) - before.1,
    )
}

/// One unit more, without what a session takes by itself and what is only taken once.
fn cost(folder: &Path, scenario: &str, version: &str, target: &str) -> Cost {
    let _warm = run(folder, scenario, target, MANY);
    let few = run(folder, scenario, target, FEW);
    let many = run(folder, scenario, target, MANY);
    let each = |many: u64, few: u64| many.saturating_sub(few) / (MANY - FEW);
    Cost {
        what: format!("{scenario}, TLS {version}"),
        allocations: each(many.0, few.0),
        bytes: each(many.1, few.1),
    }
}

const FEW: u64 = 20;
const MANY: u64 = 120;

/// A gate for one version of TLS on both legs, and where it listens.
fn start(folder: &Path, backend: &str, version: &str, ports: &ports::Ports) -> gate::Running {
    let place = folder.display();
    let passive = ports.passive();
    let (first, last) = (passive.start(), passive.end());
    let text = format!(
        r#"
        [process]
        cores = [0]
        [log]
        level = "error"
        [[listener]]
        name = "outside"
        address = "127.0.0.1:0"
        pool = "inside"
        certificate = "{place}/gate.pem"
        key = "{place}/gate.key"
        tls_versions = ["{version}"]
        key_exchange = "off"
        passive_ports = "{first}-{last}"
        [[pool]]
        name = "inside"
        members = ["{backend}"]
        ca = "{place}/ca.pem"
        server_name = "localhost"
        tls_versions = ["{version}"]
        key_exchange = "off"
        "#
    );
    let file = folder.join("gate.toml");
    std::fs::write(&file, text).expect("the configuration can be written");
    let prepared = gate::check::load(&file, SystemTime::now()).expect("the configuration is right");
    gate::start(&prepared).unwrap_or_else(|_| panic!("the gate can be started"))
}

/// What a build without optimisation takes (323, 324, 206 and 209 allocations when this was written), and a little for timers and late
/// events, which differ from run to run.
const BUDGETS: [(&str, &str, u64, u64); 4] = [
    ("empty", "1.3", 350, 54_000),
    ("small", "1.3", 350, 64_000),
    ("empty", "1.2", 225, 38_000),
    ("small", "1.2", 230, 56_000),
];

#[test]
fn a_transfer_stays_within_its_budget() {
    let place = tempfile::tempdir().expect("a directory");
    let folder = place.path();
    let (_backend, inside) = backend(folder);
    let mut beyond = Vec::new();
    for version in ["1.3", "1.2"] {
        let ports = ports::Ports::reserve();
        let gate = start(folder, &inside, version, &ports);
        let target = gate.addresses()[0][0].to_string();
        for (scenario, _, allocations, bytes) in BUDGETS.iter().filter(|row| row.1 == version) {
            let cost = cost(folder, scenario, version, &target);
            println!("{cost}");
            if cost.allocations > *allocations || cost.bytes > *bytes {
                beyond.push(format!("{cost}, of {allocations} and {bytes}"));
            }
        }
        gate.stop().expect("no core has died");
    }
    assert!(beyond.is_empty(), "{beyond:#?}");
}
