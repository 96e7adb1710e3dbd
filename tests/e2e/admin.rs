//! The gate seen from outside: what the admin server tells is what happens, and what it is told is done.

use std::process::Command;

use serde_json::Value;

use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::process::run;
use crate::support::rude::{Rude, Script};
use crate::support::strict::Strict;
use crate::support::{Scene, eventually, noise};

/// A gate whose admin server is a socket in the scene's directory.
fn setup() -> Setup {
    Setup::new().admin("address", "\"unix:admin.sock\"")
}

/// What the admin server answers: the code, and the body.
fn ask(scene: &Scene, route: &str, options: &[&str]) -> (String, String) {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--max-time",
        "20",
        "--unix-socket",
    ])
    .arg(scene.path("admin.sock"))
    .args(["--write-out", "\n%{http_code}"])
    .args(options)
    .arg(format!("http://gate{route}"));
    let ran = run(&mut curl);
    let answer = String::from_utf8(ran.stdout).unwrap();
    let (body, code) = answer.rsplit_once('\n').unwrap();
    (code.to_owned(), body.to_owned())
}

fn json(scene: &Scene, route: &str) -> Value {
    let (code, body) = ask(scene, route, &[]);
    assert_eq!(code, "200", "{body}");
    serde_json::from_str(&body).unwrap()
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
    let meant = ["--request", "POST", "--header", "X-Sluicegate: yes"];
    assert_eq!(ask(&scene, &kill, &meant).0, "200");
    client.hear().expect(&[421]);
    eventually("the session is gone", || {
        json(&scene, "/sessions").as_array().unwrap().is_empty()
    });
    assert_eq!(ask(&scene, &kill, &meant).0, "404");
}

#[test]
fn draining_is_what_sigterm_does() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let mut gate = Gate::start(&scene, rude.address(), setup());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let meant = ["--request", "POST", "--header", "X-Sluicegate: yes"];
    assert_eq!(ask(&scene, "/drain", &meant).0, "200");
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
