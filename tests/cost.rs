//! What one transfer takes of the allocator: counted exactly, against a budget, so that growth is noticed where it begins.
//!
//! The gate runs in this process and nothing else does; load and backend are children. `perf/cost` runs this built for speed and
//! prints the figures beside the system calls.

use std::fmt;
use std::path::Path;

#[path = "support/counted.rs"]
mod counted;

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

/// Units in one session; what they and their session took of the allocator.
fn run(folder: &Path, scenario: &str, target: &str, units: u64) -> (u64, u64) {
    let before = counted::taken();
    let mut command = counted::program();
    command.args(["load", scenario, "--target", target, "--concurrency", "1"]);
    command.args(["--patience", "30s", "--units", &units.to_string(), "--ca"]);
    let ran = command.arg(folder.join("ca.pem")).output();
    let ran = ran.expect("the load can be started");
    assert!(ran.status.success(), "{scenario}: {ran:?}");
    let behind = counted::taken();
    (behind.0 - before.0, behind.1 - before.1)
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
    let (_backend, inside) = counted::backend(folder);
    let mut beyond = Vec::new();
    for version in ["1.3", "1.2"] {
        let keys = format!("tls_versions = [\"{version}\"]\nkey_exchange = \"off\"");
        let (gate, _ports) = counted::start(folder, &inside, &keys);
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
