//! The admin server as its readers ask it, by curl, and what it answers.
//!
//! It listens on a socket in the directory of the scene, unless a test has it elsewhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::Scene;
use super::process::{Ran, run};

/// How curl says that a request which changes something is meant.
pub(crate) const MEANT: [&str; 4] = ["--request", "POST", "--header", "X-Sluicegate: yes"];

/// Every series of `/metrics` with its value.
pub(crate) type Series = BTreeMap<String, f64>;

/// curl on a URL: the body, and the code in a line behind it.
pub(crate) fn curl(url: &str, options: &[&str]) -> Ran {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--noproxy", "*"])
        .args(["--max-time", "60", "--write-out", "\n%{http_code}"])
        .args(options);
    run(curl.arg(url))
}

/// What the gate of a scene answers: the code, and the body.
pub(crate) fn ask(scene: &Scene, route: &str, options: &[&str]) -> (String, String) {
    let socket = scene.path("admin.sock").display().to_string();
    let options = [&["--unix-socket", &socket], options].concat();
    let answer = curl(&format!("http://gate{route}"), &options).text();
    let (body, code) = answer.rsplit_once('\n').unwrap();
    (code.to_owned(), body.to_owned())
}

/// The body of what it answers, which must be an answer.
#[track_caller]
pub(crate) fn get(scene: &Scene, route: &str) -> String {
    let (code, body) = ask(scene, route, &[]);
    assert_eq!(code, "200", "{body}");
    body
}

#[track_caller]
pub(crate) fn json(scene: &Scene, route: &str) -> Value {
    serde_json::from_str(&get(scene, route)).unwrap()
}

/// Every series of a text.
pub(crate) fn series(text: &str) -> Series {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.replace("{}", ""), value.parse().unwrap())
    };
    lines.map(pair).collect()
}

/// Nothing that is counted is less than it was.
pub(crate) fn assert_never_falls(before: &Series, now: &Series) {
    for (name, value) in before {
        let is_counted = name.contains("_total") || name.contains("_seconds_");
        let now = now.get(name);
        assert!(
            !is_counted || now.is_some_and(|now| now >= value),
            "{name} fell from {value} to {now:?}"
        );
    }
}

/// Every series of all cores together is the sum of those of each.
pub(crate) fn assert_adds_up(all: &Series, cores: &Series) {
    let mut sums = Series::new();
    for (name, &value) in cores {
        let (kept, core) = name.split_once("core=\"").unwrap_or((name, ""));
        let rest = core.split_once('"').map_or("", |(_, rest)| rest);
        let name = format!("{kept}{rest}")
            .replace(",}", "}")
            .replace("{}", "")
            .replace("{,", "{");
        *sums.entry(name).or_default() += value;
    }
    for (name, &value) in all {
        // Time goes on between the two questions, and the first one is itself timed.
        let goes_on = ["_core_run", "_answer_", "process_"];
        if goes_on.iter().any(|part| name.contains(part)) {
            continue;
        }
        let sum = sums
            .get(name)
            .unwrap_or_else(|| panic!("no {name} by core: {sums:#?}"));
        assert!(
            (sum - value).abs() <= value.abs() * 1e-9,
            "{name}: {sum} by core, {value} in all"
        );
    }
}

/// The whole lines of an audit journal, each an object of JSON in printable ASCII; the last one may be on its way still.
pub(crate) fn events(journal: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(journal).unwrap_or_default();
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let event = |line: &str| {
        assert!(
            line.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{line:?}"
        );
        serde_json::from_str(line).unwrap()
    };
    whole.lines().map(event).collect()
}
