//! The load against its own other end: every scenario, what is counted, and what must not be called good.

use clap::Parser;
use tempfile::TempDir;

use super::command::plan;
use super::*;
use crate::rig::anvil::{Anvil, Options, Port, Service, Totals};
use crate::rig::suite::{self, Cipher, Version};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn parse(line: &str) -> Result<Plan, String> {
    plan(
        &Line::try_parse_from(line.split_whitespace())
            .map_err(|error| error.to_string())?
            .arguments,
    )
}

/// A server with a port for every service, private and not, and the folder of its certificates.
struct Smithy {
    anvil: Anvil,
    folder: TempDir,
}

const PORTS: [(&str, Service, bool); 7] = [
    ("explicit", Service::Explicit, true),
    ("implicit", Service::Implicit, true),
    ("off", Service::Plain, false),
    ("echo", Service::Echo, false),
    ("echo-tls", Service::Echo, true),
    ("source", Service::Source, false),
    ("sink-tls", Service::Sink, true),
];

impl Smithy {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        suite::make_identities(folder.path()).unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let ports = PORTS.map(|(_, service, private)| Port {
            address,
            service,
            private,
        });
        let anvil = Anvil::start(&Options {
            ports: ports.to_vec(),
            cores: Vec::new(),
            tls: Some(suite::server(folder.path(), Version::Any, Cipher::Any).unwrap()),
            demand_resumption: true,
            passive: None,
        });
        Self {
            anvil: anvil.unwrap(),
            folder,
        }
    }

    fn plan(&self, scenario: &str, port: &str, more: &str) -> Plan {
        let at = PORTS.iter().position(|(name, ..)| *name == port).unwrap();
        let tls = match PORTS[at].1 {
            Service::Explicit => "explicit",
            _ if PORTS[at].2 => "implicit",
            _ => "off",
        };
        let (target, ca) = (
            self.anvil.addresses()[at],
            self.folder.path().join("ca.pem"),
        );
        let line = format!(
            "load {scenario} --target {target} --tls {tls} --ca {} {more}",
            ca.display()
        );
        parse(&line).unwrap()
    }

    fn run(&self, scenario: &str, port: &str, more: &str) -> Outcome {
        run(&self.plan(scenario, port, more), |_| {}).unwrap()
    }

    fn stop(self) -> Totals {
        self.anvil.stop()
    }
}

#[track_caller]
fn assert_good(outcome: &Outcome, units: u64) {
    let tally = &outcome.tally;
    assert!(outcome.is_good(), "{:?}", tally.failures);
    assert_eq!(tally.units, units);
    assert_eq!(tally.times(Phase::Unit).unwrap().len(), units);
}

#[test]
fn transfers_are_complete_and_resume_in_every_version_and_mode() {
    let smithy = Smithy::new();
    for port in ["explicit", "implicit"] {
        for version in ["1.2", "1.3"] {
            for (scenario, bytes) in [
                ("empty", 0),
                ("small", 4096),
                ("get --size 1MiB", 1 << 20),
                ("put --size 300KiB", 300 << 10),
                ("list --size 20", 1280),
            ] {
                let more = format!("--units 12 --concurrency 2 --tls-version {version}");
                let outcome = smithy.run(scenario, port, &more);
                assert_good(&outcome, 12);
                assert_eq!(outcome.tally.bytes, 12 * bytes, "{scenario}");
                assert_eq!(
                    (outcome.tally.resumed, outcome.tally.full),
                    (12, 0),
                    "{scenario}"
                );
                assert_eq!(outcome.tally.links, 2);
            }
        }
    }
    let totals = smithy.stop();
    assert_eq!(
        (totals.transfers, totals.resumed, totals.failures),
        (240, 240, 0)
    );
}

#[test]
fn data_may_be_in_the_clear_with_tls_and_without() {
    let smithy = Smithy::new();
    for (port, more) in [("off", ""), ("explicit", "--clear-data")] {
        for scenario in ["small", "put --size 1MiB"] {
            let outcome = smithy.run(scenario, port, &format!("--units 5 {more}"));
            assert_good(&outcome, 5);
            assert_eq!(outcome.tally.resumed + outcome.tally.full, 0);
        }
    }
}

#[test]
fn logins_noops_and_idle_sessions_need_no_data_connection() {
    let smithy = Smithy::new();
    let login = smithy.run("login", "explicit", "--units 6 --concurrency 3");
    assert_good(&login, 6);
    assert_eq!(login.tally.times(Phase::Secure).unwrap().len(), 6);
    assert_good(&smithy.run("noop", "implicit", "--units 50"), 50);
    let idle = smithy.run(
        "idle",
        "explicit",
        "--concurrency 70 --duration 100ms --warmup 0s",
    );
    assert!(idle.is_good(), "{:?}", idle.tally.failures);
    assert_eq!((idle.tally.units, idle.tally.links), (70, 70));
    assert_eq!(smithy.stop().transfers, 0);
}

#[test]
fn streams_come_back_as_they_went() {
    let smithy = Smithy::new();
    for (scenario, port) in [
        ("stream-echo", "echo"),
        ("stream-echo", "echo-tls"),
        ("stream-bulk", "echo"),
        ("stream-bulk", "echo-tls"),
        ("stream-connect", "echo"),
        ("stream-connect", "echo-tls"),
        ("stream-get", "source"),
        ("stream-put", "sink-tls"),
    ] {
        let outcome = smithy.run(scenario, port, "--units 8 --concurrency 2");
        assert_good(&outcome, 8);
        assert!(outcome.tally.bytes > 0, "{scenario}");
    }
}

#[test]
fn what_was_refused_is_counted_by_reason_and_is_not_good() {
    let smithy = Smithy::new();
    let outcome = smithy.run("empty", "explicit", "--units 3 --no-resumption");
    assert!(!outcome.is_good());
    assert_eq!(outcome.tally.units, 0);
    let reasons: Vec<_> = outcome.tally.failures.keys().collect();
    assert!(outcome.tally.failed() >= 3, "{reasons:?}");
    assert!(smithy.stop().failures >= 3);
    let nobody = run(
        &parse("load noop --target 127.0.0.1:1 --tls off --units 1").unwrap(),
        |_| {},
    );
    let nobody = nobody.unwrap().tally;
    assert!(
        nobody
            .failures
            .keys()
            .all(|reason| reason.starts_with("connect:")),
        "{:?}",
        nobody.failures
    );
    assert!(nobody.failed() > 0);
}

#[test]
fn other_bytes_than_promised_are_a_failure() {
    let smithy = Smithy::new();
    // The file is there, but it is not the one that is expected.
    let mut plan = smithy.plan("small", "explicit", "--units 1");
    plan.goods = Goods::file("/5KiB.bin").unwrap();
    let tally = run(&plan, |_| {}).unwrap().tally;
    assert!(
        tally
            .failures
            .keys()
            .any(|reason| reason.contains("other bytes")),
        "{:?}",
        tally.failures
    );
    let mut plan = smithy.plan("put --size 4KiB", "explicit", "--units 1");
    plan.goods = Goods::file("/5KiB.bin").unwrap();
    let tally = run(&plan, |_| {}).unwrap().tally;
    assert!(
        tally.failures.keys().any(|reason| reason.contains("451")),
        "{:?}",
        tally.failures
    );
}

#[test]
fn a_unit_that_had_to_wait_counts_from_when_it_should_have_begun() {
    let smithy = Smithy::new();
    // No machine moves 10 MiB ten thousand times a second through one worker: nearly all of them wait, and the later
    // ones wait for nearly all of the window.
    let more = "--size 10MiB --rate 10000 --duration 1s --warmup 0s";
    let outcome = smithy.run("get", "off", more);
    let tally = &outcome.tally;
    assert!(
        outcome.is_good() && tally.units < 5000,
        "{:?}",
        tally.failures
    );
    let (late, unit) = (
        tally.times(Phase::Late).unwrap(),
        tally.times(Phase::Unit).unwrap(),
    );
    assert!(unit.max() >= late.max());
    if tally.units > 1 {
        assert!(
            unit.max() > 400_000_000,
            "{} units, {} ns",
            tally.units,
            unit.max()
        );
    }
}

#[test]
fn the_reports_hold_what_was_counted() {
    let smithy = Smithy::new();
    let plan = smithy.plan(
        "small",
        "explicit",
        &format!("--units 4 --meter {}", std::process::id()),
    );
    let outcome = run(&plan, |_| {}).unwrap();
    let text = human(&plan, &outcome);
    assert!(
        text.contains("4 units") && text.contains("handshake") && text.contains("metered"),
        "{text}"
    );
    let value = json(&plan, &outcome);
    assert_eq!(value["units"], 4);
    assert_eq!(value["bytes"], 4 * 4096);
    assert_eq!(value["good"], true);
    assert_eq!(value["phases"]["unit"]["count"], 4);
    assert!(
        value["phases"]["unit"]["spectrum"]
            .as_array()
            .unwrap()
            .len()
            > 2
    );
    let counts = value["unit_counts"].as_array().unwrap();
    let all: u64 = counts.iter().map(|one| one[1].as_u64().unwrap()).sum();
    assert_eq!(all, 4, "{counts:?}");
    assert!(value["memory_bytes"][2].as_u64().unwrap() > 0);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_loaded() {
    for (line, cure) in [
        (
            "load noop --target 192.0.2.1:21 --tls off",
            "--allow-remote",
        ),
        ("load noop --target 127.0.0.1:21", "--ca"),
        (
            "load get --target 127.0.0.1:21 --tls off --size many",
            "4KiB",
        ),
        (
            "load stream-echo --target 127.0.0.1:21 --tls off --size 0",
            "one byte",
        ),
        (
            "load noop --target 127.0.0.1:21 --tls off --rate 0",
            "above 0",
        ),
        (
            "load noop --target 127.0.0.1:21 --tls off --cores 100000",
            "100000",
        ),
        (
            "load noop --target 127.0.0.1:21 --tls off --duration 2d",
            "ms, s, m or h",
        ),
    ] {
        let refusal = parse(line).expect_err(line);
        assert!(refusal.contains(cure), "{line}: {refusal}");
    }
    assert!(parse("load noop --target 192.0.2.1:21 --tls off --allow-remote").is_ok());
}
