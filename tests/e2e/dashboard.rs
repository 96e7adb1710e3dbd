//! The dashboard that is shipped, asked for everything on it by a real Prometheus that reads a working gate.

use serde_json::Value;

use crate::metrics::{Prometheus, Stage};
use crate::support::rude::{Act, Script};
use crate::support::{eventually, noise};

/// A panel's title, and what it asks.
fn questions(panels: &Value) -> Vec<(String, String)> {
    let mut asked = Vec::new();
    for panel in panels.as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            asked.push((
                title.to_owned(),
                target["expr"].as_str().unwrap().to_owned(),
            ));
        }
        // A folded row has its panels within.
        if panel["type"] == "row" {
            asked.extend(questions(&panel["panels"]));
        }
    }
    asked
}

/// As Grafana asks it where everything is chosen.
fn filled(question: &str) -> String {
    question
        .replace("$__rate_interval", "1h")
        .replace("$__range", "1h")
        .replace("$instance", ".*")
        .replace("$core", ".*")
}

/// What moves whenever a file does.
const ALIVE: &[&str] = &[
    "Sessions",
    "Transfers by outcome",
    "Transfers by command",
    "Bytes of transfers",
    "Empty downloads completed",
    "Half of all take at most (p50)",
    "How data connections end",
    "Sessions by core",
    "Data connections, full and resumed",
    "Memory",
];

#[test]
fn every_question_of_the_dashboard_has_an_answer() {
    let shipped = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/config/grafana/sluicegate.json"
    );
    let dashboard: Value = serde_json::from_slice(&std::fs::read(shipped).unwrap()).unwrap();
    let mut questions = questions(&dashboard["panels"]);
    for (_, question) in &mut questions {
        *question = filled(question);
    }
    assert!(questions.len() > 60, "{}", questions.len());
    let script = Script::new()
        .file("file", &noise(10_000))
        .file("empty", b"")
        .on("RETR empty", Act::BareClose);
    let stage = Stage::new(script);
    let whole = Prometheus::start(&stage, "", &[]);
    let apart = Prometheus::start(&stage, "params: {by: [core]}", &[]);
    for prometheus in [&whole, &apart] {
        eventually("Prometheus has asked", || prometheus.ask("up") == Some(1.0));
    }
    let mut client = stage.client();
    for _ in 0..5 {
        client.download("RETR file").assert_complete(&noise(10_000));
        client.download("RETR empty").assert_complete(b"");
        client.upload("STOR up", b"payload").reply.expect(&[226]);
    }
    let done = "sum(sluicegate_transfers_total{outcome=\"completed\"})";
    for (prometheus, cores) in [(&whole, 1), (&apart, 2)] {
        eventually("the transfers are read", || {
            prometheus.ask(done) == Some(15.0)
        });
        // A scrape that comes too late leaves no answers until the next one.
        let answers = |question: &str| {
            let answers = prometheus.answers(question);
            answers.unwrap_or_else(|why| panic!("{question}: {why}"))
        };
        eventually("every core answers", || {
            answers("sum by (core) (sluicegate_sessions)").len() == cores
        });
        for (title, question) in &questions {
            let what = format!("{title}: something answers {question}");
            eventually(&what, || !answers(question).is_empty());
        }
        for alive in ALIVE {
            eventually(&format!("{alive} moves"), || {
                let mut of_panel = questions.iter().filter(|(title, _)| title == alive);
                of_panel.any(|(_, question)| answers(question).iter().any(|value| *value > 0.0))
            });
        }
    }
    let choices = dashboard["templating"]["list"].as_array().unwrap();
    for name in ["instance", "core"] {
        let choice = choices
            .iter()
            .find(|choice| choice["name"] == name)
            .unwrap();
        let values = choice["query"]["query"].as_str().unwrap();
        let of = values.strip_prefix("label_values(").unwrap();
        let (series, label) = of.strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
        assert_eq!(label, name);
        let asked = format!("count by ({label}) ({})", filled(series));
        let cores = if name == "core" { 2 } else { 1 };
        eventually(&asked, || apart.answers(&asked).unwrap().len() == cores);
    }
}
