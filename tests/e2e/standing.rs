//! What stands at some number: members that cannot be reached, memory that is held, the process and its configuration.

use std::process::Command;

use serde_json::Value;

use crate::metrics::Stage;
use crate::support::certs::Versions;
use crate::support::gate::Setup;
use crate::support::ports::Ports;
use crate::support::process::run;
use crate::support::rude::{Act, Script};
use crate::support::strict::Strict;
use crate::support::{eventually, noise};

#[test]
fn members_that_cannot_be_reached_are_counted_wherever_they_stand() {
    let dead = Ports::reserve();
    let dead = |at: u16| format!("127.0.0.1:{}", dead.control() + at);
    let stage = Stage::with(Script::new(), |scene, alive| {
        let quoted = |path: &std::path::Path| path.display().to_string();
        let [certificate, key] = scene
            .authority
            .issue(&scene.folder("aside"), "aside.example");
        let aside = format!(
            "[[pool]]\nname = \"aside\"\nmembers = [\"{}\"]\nca = \"{}\"\n\
             [[host]]\nname = \"aside.example\"\nlistener = \"outside\"\npool = \"aside\"\n\
             certificate = \"{}\"\nkey = \"{}\"\n",
            dead(1),
            quoted(scene.authority.ca_file()),
            quoted(&certificate),
            quoted(&key),
        );
        Setup::new()
            .process("cores", "[0]")
            .timeout("member_rest", "1h")
            .pool("members", &format!("[\"{}\", \"{alive}\"]", dead(0)))
            .more(&aside)
    });
    // The first member is tried first, and then rests.
    stage.client().say("NOOP").expect(&[200]);
    stage.client().say("NOOP").expect(&[200]);
    let seen = stage.series("");
    let failures = |pool: &str, member: u8| {
        let labels = format!("{{pool=\"{pool}\",member=\"{member}\",reason=\"refused\"}}");
        seen[&format!("sluicegate_backend_connect_failures_total{labels}")]
    };
    assert_eq!([failures("inside", 1), failures("inside", 2)], [1.0, 0.0]);
    assert_eq!(failures("aside", 1), 0.0, "a pool behind a host is there");
    assert_eq!(seen["sluicegate_backends{pool=\"aside\"}"], 1.0);

    let config = stage.scene.authority.client(Versions::Both);
    let mut lost = Strict::greet(stage.gate.address(), config);
    lost.call("aside.example", true);
    lost.auth();
    lost.say("USER somebody").expect(&[421]);
    let backends: Value = stage.json("/backends");
    let [inside, aside] = backends.as_array().unwrap().as_slice() else {
        panic!("two pools: {backends}")
    };
    assert_eq!([&inside["pool"], &aside["pool"]], ["inside", "aside"]);
    let [first, second] = inside["members"].as_array().unwrap().as_slice() else {
        panic!("two members: {inside}")
    };
    assert_eq!(
        [
            &first["member"],
            &first["connect_failures"],
            &first["resting_on"]
        ],
        [1, 1, 1]
    );
    assert_eq!(
        [
            &second["member"],
            &second["connect_failures"],
            &second["resting_on"]
        ],
        [2, 0, 0]
    );
    let only = &aside["members"][0];
    assert_eq!(only["address"], dead(1));
    assert_eq!([&only["connect_failures"], &only["resting_on"]], [1, 1]);
    assert_eq!(
        stage.series("")["sluicegate_backends_resting{pool=\"aside\"}"],
        1.0
    );
}

#[test]
fn buffers_and_pipes_are_seen_while_they_are_held() {
    let bytes = noise(6_000_000);
    let script = || Script::new().file("file", &bytes);
    let stage = Stage::new(script());
    let mut client = stage.client();
    client.download("RETR file").assert_complete(&bytes);
    let idle = stage.series("");
    assert_eq!(
        idle["sluicegate_buffers_lent_bytes"], 0.0,
        "at rest a stream holds none"
    );
    assert!(idle["sluicegate_buffers_kept_bytes"] >= 65_536.0);
    assert_eq!(idle["sluicegate_pipes_bytes"], 0.0);
    // A client that does not read, and a file that fits no socket: what its stream holds is seen.
    let address = client.passive();
    client.tell("RETR file");
    let data = client.connect_data(address);
    eventually("a buffer is held", || {
        stage.series("")["sluicegate_buffers_lent_bytes"] > 0.0
    });
    drop((data, client));
    eventually("it is given back", || {
        stage.series("")["sluicegate_buffers_lent_bytes"] == 0.0
    });

    let clear = Stage::with(script(), |_, _| {
        Setup::new()
            .listener("data_protection", "\"any\"")
            .pool("data_protection", "\"clear\"")
    });
    let mut client = clear.client();
    client.protect('C');
    assert!(client.download("RETR file").bytes == bytes);
    let idle = clear.series("");
    assert!(idle["sluicegate_pipes_idle"] >= 1.0);
    assert!(idle["sluicegate_pipes_bytes"] >= 4096.0 * idle["sluicegate_pipes_idle"]);
    assert_eq!(idle["sluicegate_pipes_lent"], 0.0);
}

#[test]
fn the_process_and_its_configuration_are_seen() {
    let stage = Stage::new(Script::new().on("PWD", Act::Say("257 \"/\"\r\n")));
    let seen = stage.series("");
    assert!(seen["process_cpu_seconds_total"] > 0.0);
    assert!(seen["process_resident_memory_bytes"] > 1e6);
    assert!(seen["process_virtual_memory_bytes"] > seen["process_resident_memory_bytes"]);
    let is_near = |descriptors: f64| (descriptors - stage.gate.descriptors() as f64).abs() < 10.0;
    assert!(
        is_near(seen["process_open_fds"]),
        "{}",
        seen["process_open_fds"]
    );
    assert!(seen["process_max_fds"] > seen["process_open_fds"]);
    let now = run(Command::new("date").arg("+%s")).ok().text();
    let now: f64 = now.trim().parse().unwrap();
    for time in [
        "process_start_time_seconds",
        "sluicegate_config_last_reload_success_timestamp_seconds",
    ] {
        assert!(
            (now - 600.0..=now + 1.0).contains(&seen[time]),
            "{time}: {}",
            seen[time]
        );
    }
    let expiry = "sluicegate_certificate_expiry_timestamp_seconds{section=\"listener\",name=\"outside\",key=\"certificate\"}";
    assert!(seen[expiry] > now + 86_400.0, "{}", seen[expiry]);
    assert_eq!(seen["sluicegate_config_last_reload_successful"], 1.0);
    let sum = run(Command::new("sha256sum").arg(stage.scene.path("gate.toml"))).ok();
    let sum = sum.text().split(' ').next().unwrap().to_owned();
    assert_eq!(
        seen[&format!("sluicegate_config_info{{sha256=\"{sum}\"}}")],
        1.0
    );
}
