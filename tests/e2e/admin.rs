//! The gate seen from outside: what the admin server tells is what happens, and what it is told is done.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use crate::support::admin::{MEANT, ask, curl, json};
use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::ports::Ports;
use crate::support::rude::{Rude, Script};
use crate::support::strict::Strict;
use crate::support::{Scene, eventually, noise};

/// A gate whose admin server is a socket in the scene's directory.
fn setup() -> Setup {
    Setup::new().admin("address", "\"unix:admin.sock\"")
}

#[test]
fn a_session_and_its_transfers_are_seen_and_can_be_ended() {
    let scene = Scene::new();
    let bytes = noise(100_000);
    let rude = Rude::start(&scene, Script::new().file("file", &bytes));
    let gate = Gate::start(&scene, rude.address(), setup());
    assert_eq!(ask(&scene, "/healthz", &[]), ("200".into(), "ok\n".into()));
    assert_eq!(ask(&scene, "/readyz", &[]).0, "200");

    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    assert!(client.download("RETR file").bytes == bytes);
    let status = json(&scene, "/status");
    assert_eq!(status["sessions"], 1);
    let counters = &status["total"]["counters"];
    assert_eq!(
        counters["sluicegate_transfers_total{direction=\"download\",outcome=\"completed\"}"],
        1
    );
    assert_eq!(
        counters["sluicegate_transfer_bytes_total{direction=\"download\"}"],
        100_000
    );
    let of_cores: u64 = (status["cores"].as_array().unwrap().iter())
        .map(|core| core["counters"]["sluicegate_logins_total{outcome=\"ok\"}"].as_u64())
        .map(Option::unwrap)
        .sum();
    assert_eq!(of_cores, 1, "what cores count apart adds up");
    assert_eq!(
        status["total"]["phases"]["sluicegate_transfer_seconds"]["count"],
        1
    );

    let sessions = json(&scene, "/sessions");
    let [session] = sessions.as_array().unwrap().as_slice() else {
        panic!("one session: {sessions}")
    };
    assert_eq!(session["user"], crate::support::USER);
    assert_eq!(session["phase"], "ready");
    assert_eq!(session["backend"], rude.address().to_string());
    assert_eq!(session["client_tls"]["version"], "1.3");

    let kill = format!("/sessions/{}/kill", session["id"]);
    assert_eq!(ask(&scene, &kill, &["--request", "POST"]).0, "403");
    assert_eq!(ask(&scene, &kill, &[]).0, "405");
    assert_eq!(ask(&scene, &kill, &MEANT).0, "200");
    client.hear().expect(&[421]);
    eventually("the session is gone", || {
        json(&scene, "/sessions").as_array().unwrap().is_empty()
    });
    assert_eq!(ask(&scene, &kill, &MEANT).0, "404");
}

#[test]
fn draining_is_what_sigterm_does() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let mut gate = Gate::start(&scene, rude.address(), setup());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    assert_eq!(ask(&scene, "/drain", &MEANT).0, "200");
    client.hear().expect(&[421]);
    assert_eq!(gate.wait_for_exit(), Some(0), "{}", gate.log());
}

#[test]
fn strange_requests_are_answered() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let _gate = Gate::start(&scene, rude.address(), setup());
    let (code, body) = ask(&scene, "/nothing", &[]);
    assert_eq!(code, "404");
    assert!(body.contains("/sessions"), "it names what there is: {body}");
    assert_eq!(ask(&scene, "/sessions?after=x", &[]).0, "400");
    assert_eq!(
        ask(&scene, "/sessions/x/kill", &["--request", "POST"]).0,
        "400"
    );
    let long = format!("X-Long: {}", "a".repeat(40_000));
    assert_eq!(ask(&scene, "/healthz", &["--header", &long]).0, "431");
}

#[test]
fn the_configuration_is_shown_without_what_it_leads_to() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let _gate = Gate::start(&scene, rude.address(), setup());
    let config = json(&scene, "/config");
    assert_eq!(config["listener"][0]["name"], "outside");
    assert_eq!(
        config["listener"][0]["key"],
        scene.authority.key_file().display().to_string()
    );
    assert!(!config.to_string().contains("PRIVATE KEY"), "{config}");
}

#[test]
fn a_token_is_demanded_where_there_is_one() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let token = "a-token-of-the-tests-17";
    let file = scene.file("token", format!("{token}\n"));
    let quoted = format!("\"{}\"", file.display());
    let gate = Gate::start(&scene, rude.address(), setup().admin("token_file", &quoted));
    let (code, body) = ask(&scene, "/metrics", &[]);
    assert_eq!(code, "401", "{body}");
    assert_eq!(ask(&scene, "/nothing", &[]).0, "401");
    assert_eq!(ask(&scene, "/healthz", &[]).0, "200");
    let shown = format!("Authorization: Bearer {token}");
    let (code, body) = ask(&scene, "/config", &["--header", &shown]);
    assert_eq!(code, "200", "{body}");
    assert!(!body.contains(token), "{body}");
    let log = gate.stop();
    assert!(!log.contains(token), "{log}");

    std::fs::write(&file, "short\n").unwrap();
    let complaint = Gate::check(&scene.path("gate.toml"));
    assert!(!complaint.status.success());
    assert!(
        complaint.stderr.contains("admin.token_file") && !complaint.stderr.contains("short"),
        "{}",
        complaint.stderr
    );
}

#[test]
fn a_name_that_is_not_ours_leads_nowhere() {
    let (scene, ports) = (Scene::new(), Ports::reserve());
    let rude = Rude::start(&scene, Script::new());
    let address = format!("127.0.0.1:{}", ports.control());
    let setup = Setup::new().admin("address", &format!("\"{address}\""));
    let _gate = Gate::start(&scene, rude.address(), setup);
    let told = |host: &str| {
        let host = format!("Host: {host}");
        let sessions = format!("http://{address}/sessions");
        curl(&sessions, &["--header", &host]).ok().text()
    };
    assert!(told("evil.example").ends_with("\n421"));
    assert!(told("localhost").ends_with("\n200"));
}

#[test]
fn readers_who_hold_every_place_and_say_nothing_are_cut_off() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let _gate = Gate::start(&scene, rude.address(), setup());
    // More than there are places: some wait in the socket's queue.
    let mut slow: Vec<UnixStream> = (0..40)
        .map(|_| {
            let mut stream = UnixStream::connect(scene.path("admin.sock")).unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost:").unwrap();
            stream
        })
        .collect();
    assert_eq!(ask(&scene, "/healthz", &[]).0, "200");
    for stream in &mut slow[..32] {
        let mut rest = Vec::new();
        // Closed by the gate, with an answer or without: or this would never return.
        let _answer = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    }
    let large = "x".repeat(100_000);
    let body = scene.file("body", large.repeat(100));
    let upload = format!("@{}", body.display());
    let (code, _) = ask(&scene, "/drain", &["--data-binary", &upload]);
    assert_eq!(code, "403", "what nobody reads is not waited for");
}
