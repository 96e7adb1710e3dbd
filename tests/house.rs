//! The house rules as a test: floors, waterline, sizes, names, words, contracts, and what must be documented.
//!
//! `cargo test --test house` prints every fault with its place, its rule and its cure. The tables stand here; the rules
//! are in `house/rules.rs` and `house/circles.rs`, the reading of sources in `house/source.rs`, the comparison of pages with code in
//! `house/page.rs` and `house/cases.rs`, what the gate tells in `house/told.rs`, the alerts in `house/alerts.rs`, the page of metrics in
//! `house/metrics.rs`, the dashboard in `house/dashboard.rs`, and the proofs that each rule can fail in `house/trials.rs`.

#[path = "house/alerts.rs"]
mod alerts;
#[path = "house/cases.rs"]
mod cases;
#[path = "house/circles.rs"]
mod circles;
#[path = "house/dashboard.rs"]
mod dashboard;
#[path = "house/metrics.rs"]
mod metrics;
#[path = "house/page.rs"]
mod page;
#[path = "house/picture.rs"]
mod picture;
#[path = "house/rules.rs"]
mod rules;
#[path = "house/source.rs"]
mod source;
#[path = "house/told.rs"]
mod told;
#[path = "house/trials.rs"]
mod trials;
#[path = "house/words.rs"]
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use cases::case_faults;
use page::{anchor_faults, link_faults, page_faults, profile_faults, route_faults};
use rules::{Fault, inspect};
use source::Source;

/// The floors, ground first, as lib.rs draws them.
const FLOORS: &[(&str, &[&str])] = &[
    ("0", &["limits"]),
    ("1", &["ftp"]),
    ("2", &["policy", "pool", "metrics", "audit"]),
    ("3", &["dialog", "config"]),
    ("3b", &["sys"]),
    ("4", &["net"]),
    ("5", &["tls"]),
    ("6", &["leg"]),
    ("7", &["data", "relay", "upstream"]),
    ("8", &["session"]),
    ("9", &["shard"]),
    ("10", &["admin"]),
    ("11", &["gate"]),
    ("12", &["rig", "top"]),
    ("13", &["main"]),
];

/// The highest floor without I/O, clock and runtime.
const WATERLINE: u32 = 3;

/// Rooms that know fewer than all rooms below them: who, whom, why.
const DOORS: &[(&str, &[&str], &str)] = &[
    (
        "dialog",
        &["policy", "ftp", "limits"],
        "it says Connect, Count and Record as actions, so that it can be tested alone",
    ),
    (
        "sys",
        &["limits"],
        "it offers system calls; what they are used for is not its concern",
    ),
    (
        "net",
        &["sys", "limits"],
        "a socket knows neither FTP nor policy",
    ),
    (
        "relay",
        &[
            "leg", "tls", "net", "sys", "dialog", "policy", "ftp", "limits",
        ],
        "it returns a Report; counting is done above",
    ),
];

/// The rooms that may name a runtime, and what belongs to it: another one would mean work in these and in no other.
const RUNTIMES: &[(&[&str], &[&str])] = &[
    (&["glommio"], &["net", "session", "shard", "gate", "rig"]),
    // What blocks a core's thread or waits for another executor has no place on a floor that serves.
    (
        &["tokio", "axum", "hyper", "hyper_util", "prometheus_client"],
        &["admin", "top"],
    ),
];

/// The only room with unsafe code.
const UNSAFE_ROOM: &str = "sys";

/// Longest file, comments included, tests not.
const CODE_LINES_MAX: usize = 400;

/// A fault that is accepted, and why. The list may only shrink: an exception that no fault needs fails the test.
struct Exception {
    /// File below `src`.
    place: &'static str,
    /// Name of the rule.
    rule: &'static str,
    /// Why the rule makes this file worse.
    reason: &'static str,
}

const EXCEPTIONS: &[Exception] = &[];

#[test]
fn the_house_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = read_sources(&root.join("src"));
    assert!(
        sources.len() > 2,
        "nothing was read, so nothing was checked"
    );
    demand_none(&judge(inspect(&sources), EXCEPTIONS));
}

#[test]
fn the_protocol_page_says_what_the_table_of_verbs_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/PROTOCOL.md");
    let page = fs::read_to_string(page).expect("docs/PROTOCOL.md can be read");
    demand_none(&page_faults(&page, sluicegate::ftp::Verb::TABLE));
}

#[test]
fn the_operations_page_tells_the_routes_there_are() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/OPERATIONS.md");
    let page = fs::read_to_string(page).expect("docs/OPERATIONS.md can be read");
    demand_none(&route_faults(&page, sluicegate::admin::ROUTES));
}

#[test]
fn the_page_of_logs_tells_every_message_of_the_log_and_every_word_for_an_end() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = read_sources(&root.join("src"));
    let page = fs::read_to_string(root.join("docs/LOGS.md")).expect("docs/LOGS.md can be read");
    let gate = sources.iter().filter(|source| source.room() != "rig");
    let messages: Vec<_> = gate.flat_map(told::messages).collect();
    assert!(messages.len() > 60, "{} were found", messages.len());
    let mut faults = told::message_faults(&page, &messages);
    let [action, journal, verdict] = [
        "dialog/action.rs",
        "session/chronicle.rs",
        "dialog/verdict.rs",
    ]
    .map(|place| source_of(&sources, place));
    faults.extend(told::end_faults(&page, action, journal, verdict));
    let whys: Vec<String> = sources.iter().flat_map(told::whys).collect();
    assert!(whys.len() > 12, "{whys:?}");
    faults.extend(told::untold(&page, &whys));
    assert!(faults.is_empty(), "docs/LOGS.md:\n{}", faults.join("\n"));
}

#[test]
fn the_operations_page_has_every_reply_every_fault_of_a_start_and_every_field_of_an_answer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = read_sources(&root.join("src"));
    let page = fs::read_to_string(root.join("docs/OPERATIONS.md"))
        .expect("docs/OPERATIONS.md can be read");
    let speaks = ["shard/accept.rs", "session/ending.rs"];
    let speaking = sources
        .iter()
        .filter(|source| source.room() == "dialog" || speaks.contains(&source.place.as_str()));
    let replies: Vec<String> = speaking.flat_map(told::replies).collect();
    assert!(replies.len() > 80, "{} were found", replies.len());
    let starting = [
        "gate/start.rs",
        "gate/draft.rs",
        "gate/names.rs",
        "gate/reload.rs",
        "sys/rlimits.rs",
    ];
    let starting = starting.map(|place| told::start_faults(source_of(&sources, place)));
    let starting = starting.concat();
    assert!(starting.len() > 10, "{starting:?}");
    let fields = ["admin/status.rs", "admin/standing.rs"];
    let fields = fields.map(|place| told::fields(source_of(&sources, place)));
    let fields: Vec<String> = fields.concat();
    assert!(fields.len() > 50, "{fields:?}");
    let faults = told::untold(&page, &[replies, starting, fields].concat());
    assert!(
        faults.is_empty(),
        "docs/OPERATIONS.md:\n{}",
        faults.join("\n")
    );
}

#[test]
fn the_page_of_the_architecture_shows_every_room_and_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |place: &str| fs::read_to_string(root.join(place)).expect("it can be read");
    let (page, lib) = (read("docs/ARCHITECTURE.md"), read("src/lib.rs"));
    let sources = read_sources(&root.join("src"));
    let mut places: Vec<&str> = sources.iter().map(|source| &*source.place).collect();
    places.retain(|place| !place.starts_with("limits/"));
    let found = page::room_faults(&page, &lib, &places);
    assert_eq!(found, Vec::<String>::new());
    let found = page::room_faults(&page, &lib.replace("relay ", "delay "), &["net/attic.rs"]);
    assert_eq!(found.len(), 2, "each fault can be found: {found:?}");
}

#[test]
fn every_dependency_has_its_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |place: &str| fs::read_to_string(root.join(place)).expect("it can be read");
    let (manifest, page) = (
        read("Cargo.toml"),
        read("docs/decisions/0007-dependencies.md"),
    );
    let found = page::dependency_faults(&manifest, &page);
    assert_eq!(found, Vec::<String>::new());
    let more = format!("{manifest}\n[dependencies]\nleft-pad = \"1\"\n");
    assert_eq!(page::dependency_faults(&more, &page).len(), 1);
}

fn source_of<'s>(sources: &'s [Source], place: &str) -> &'s Source {
    let found = sources.iter().find(|source| source.place == place);
    found.expect("the file is where the test looks for it")
}

#[test]
fn the_page_of_metrics_is_written_from_the_catalog() {
    demand_written("docs/METRICS.md", &metrics::page());
}

#[test]
fn the_dashboard_is_written_from_the_catalog_and_leaves_nothing_out() {
    let dashboard = dashboard::dashboard();
    demand_written("config/grafana/sluicegate.json", &dashboard);
    assert_eq!(dashboard::faults(&dashboard), Vec::<String>::new());
    let poorer = dashboard.replace("sluicegate_logins_total", "sluicegate_logins");
    assert_eq!(
        dashboard::faults(&poorer),
        ["sluicegate_logins_total is on no panel"; 2],
        "what is left out is found, each row of it"
    );
}

/// A file that is written by a test is what the test would write.
fn demand_written(file: &str, wanted: &str) {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("WRITE_PAGES").is_some() {
        fs::write(&place, wanted).expect("the page can be written");
    }
    let page = fs::read_to_string(place).expect("the page can be read");
    let differing = page
        .lines()
        .zip(wanted.lines())
        .find(|(is, should)| is != should);
    assert!(
        page == wanted,
        "{file} is not what the catalog says: {differing:?}; cure: WRITE_PAGES=1 cargo test --test house"
    );
}

#[test]
fn every_field_case_has_its_test_or_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/FIELD-CASES.md"))
        .expect("docs/FIELD-CASES.md can be read");
    demand_none(&case_faults(&page, |path| {
        fs::read_to_string(root.join("tests").join(path)).ok()
    }));
}

#[test]
fn the_page_of_profiles_says_what_their_table_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/PROFILES.md");
    let page = fs::read_to_string(page).expect("docs/PROFILES.md can be read");
    demand_none(&profile_faults(&page, sluicegate::config::PROFILES));
}

#[test]
fn the_pages_name_only_files_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = ["", "docs", "docs/decisions"]
        .into_iter()
        .flat_map(|folder| {
            let entries =
                fs::read_dir(root.join(folder)).expect("the folders of pages can be listed");
            entries.map(move |entry| (folder, entry.expect("an entry can be read").file_name()))
        });
    let mut faults = Vec::new();
    for (folder, name) in pages {
        let place = Path::new(folder).join(name).to_string_lossy().into_owned();
        if place.ends_with(".md") {
            let page = fs::read_to_string(root.join(&place)).expect("pages are UTF-8");
            faults.extend(link_faults(&place, &page, |path| root.join(path).exists()));
            let read = |path: &str| fs::read_to_string(root.join(path)).ok();
            faults.extend(anchor_faults(&place, &page, read));
        }
    }
    demand_none(&faults);
}

#[test]
fn alerts_ask_for_metrics_that_there_are_and_lead_to_their_paragraphs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |place: &str| fs::read_to_string(root.join(place)).expect("it can be read");
    let rules =
        read("config/prometheus/alerts.rules.yml") + &read("config/prometheus/recording.rules.yml");
    let found = alerts::faults(&rules, &read("docs/OPERATIONS.md"));
    assert_eq!(found, Vec::<String>::new());
    let bad = "- alert: SluicegateLost\n  expr: sluicegate_sessionz > 0\n";
    let found = alerts::faults(bad, "### SluicegateOther\n");
    assert_eq!(found.len(), 4, "each fault can be found: {found:?}");
}

fn demand_none(faults: &[Fault]) {
    assert!(
        faults.is_empty(),
        "{} fault(s) in the house\n{}",
        faults.len(),
        listing(faults)
    );
}

/// Takes away what is excepted and adds a fault for each exception that is idle or without reason.
fn judge(mut faults: Vec<Fault>, exceptions: &[Exception]) -> Vec<Fault> {
    for exception in exceptions {
        let before = faults.len();
        faults.retain(|fault| !(fault.place == exception.place && fault.rule == exception.rule));
        if faults.len() == before || exception.reason.split_whitespace().count() < 4 {
            faults.push(Fault {
                place: exception.place.to_owned(),
                line: 0,
                rule: "exception",
                found: format!(
                    "an exception from `{}` that is not needed or has no reason",
                    exception.rule
                ),
                cure: "take it out of EXCEPTIONS, or say why it must stay",
            });
        }
    }
    faults
}

fn listing(faults: &[Fault]) -> String {
    let line = |fault: &Fault| {
        format!(
            "  {}:{}  [{}] {}\n      cure: {}\n",
            fault.place, fault.line, fault.rule, fault.found, fault.cure
        )
    };
    faults.iter().map(line).collect()
}

fn read_sources(src: &Path) -> Vec<Source> {
    let mut files = Vec::new();
    let mut folders = vec![src.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src can be listed") {
            let path: PathBuf = entry.expect("an entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let read = |path: &PathBuf| {
        let place = path
            .strip_prefix(src)
            .expect("it was found below src")
            .to_string_lossy()
            .replace('\\', "/");
        Source::new(
            &place,
            &fs::read_to_string(path).expect("sources are UTF-8"),
        )
    };
    files.iter().map(read).collect()
}
