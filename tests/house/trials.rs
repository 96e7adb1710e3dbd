//! Proofs that each rule can fail: small faulty houses, and what must be found in them.
//!
//! A checker that has never been seen to complain proves nothing. Each trial here is paired with a sound twin where the
//! difference is fine, so that a rule can neither sleep nor cry wolf.

use sluicegate::config::PROFILES;
use sluicegate::ftp::{Answer, Row, Verb};

use crate::cases::case_faults;
use crate::page::{anchor_faults, link_faults, page_faults, profile_faults, route_faults};
use crate::rules::{Fault, inspect};
use crate::source::Source;
use crate::told;
use crate::words::{Word, scan};
use crate::{CODE_LINES_MAX, Exception, judge};

/// A contract for files that are about something else.
const CONTRACT: &str = "//! What it is. Who uses it. What it never does.\n";

fn faults_of(files: &[(&str, &str)]) -> Vec<Fault> {
    let sources: Vec<Source> = files
        .iter()
        .map(|(place, text)| Source::new(place, text))
        .collect();
    inspect(&sources)
}

/// Rule names and lines found in one file that has a contract as its first line.
fn found(place: &str, text: &str) -> Vec<(&'static str, usize)> {
    let faults = faults_of(&[(place, &format!("{CONTRACT}{text}"))]);
    faults
        .iter()
        .map(|fault| (fault.rule, fault.line))
        .collect()
}

/// The circles among files that have a contract as their first line: where each was found.
fn circles(files: &[(&str, &str)]) -> Vec<(String, usize)> {
    let texts: Vec<_> = (files.iter())
        .map(|(place, text)| (*place, format!("{CONTRACT}{text}")))
        .collect();
    let files: Vec<_> = texts
        .iter()
        .map(|(place, text)| (*place, text.as_str()))
        .collect();
    let faults = faults_of(&files).into_iter();
    let circles = faults.filter(|fault| fault.rule == "circle");
    circles.map(|fault| (fault.place, fault.line)).collect()
}

#[test]
fn circles_within_a_room_are_found() {
    let two = |line: &str, reply: &str| {
        circles(&[
            (
                "ftp/mod.rs",
                "mod line;\nmod reply;\npub use line::{Line, cut};\npub struct Door;",
            ),
            ("ftp/line.rs", line),
            ("ftp/reply.rs", reply),
        ])
    };
    let both = [
        ("ftp/line.rs".to_owned(), 2),
        ("ftp/reply.rs".to_owned(), 3),
    ];
    let found = two("use super::reply::Reply;", "\nuse super::line::Line;");
    assert_eq!(found, both);
    // By the door, by the root, and without an import of its own.
    let found = two("fn f() { super::reply::f() }", "\nuse crate::ftp::Line;");
    assert_eq!(found, both);
    // One way is fine, what the door defines is everybody's, and tests may know everything.
    assert_eq!(two("use super::Door;", "use super::{Door, Line};"), []);
    let test = "use super::Line;\n#[cfg(test)]\nmod tests { use super::super::reply::Reply; }";
    assert_eq!(two(test, "use super::line::cut;"), []);
    // Over three, and into the folder of a part, which is one with its file.
    let found = circles(&[
        ("net/dial.rs", "use super::stream::Stream;"),
        ("net/stream.rs", "mod splice;"),
        (
            "net/stream/splice.rs",
            "use super::Stream;\nuse super::super::pool::Pool;",
        ),
        ("net/pool.rs", "use super::dial::Dial;"),
    ]);
    let places = ["net/dial.rs", "net/pool.rs", "net/stream/splice.rs"];
    let lines = [2, 2, 3];
    let all: Vec<_> = places
        .iter()
        .map(|place| (*place).to_owned())
        .zip(lines)
        .collect();
    assert_eq!(found, all);
}

#[test]
fn a_room_without_a_floor_is_found() {
    assert_eq!(found("cellar/mod.rs", ""), [("floor", 0)]);
    assert_eq!(found("cellar.rs", ""), [("floor", 0)]);
    assert_eq!(found("net/cellar.rs", ""), []);
}

#[test]
fn imports_that_do_not_go_down_are_found() {
    assert_eq!(
        found("ftp/line.rs", "use crate::dialog::Dialog;"),
        [("import", 2)]
    );
    assert_eq!(
        found("policy/mod.rs", "use crate::pool::Pool;"),
        [("import", 2)],
        "same floor"
    );
    assert_eq!(
        found("ftp/line.rs", "fn f() {\n    crate::net::listen();\n}"),
        [("import", 3)]
    );
    assert_eq!(
        found(
            "ftp/line.rs",
            "use crate::{\n    limits::A,\n    leg::{Leg, B},\n};"
        ),
        [("import", 4), ("import", 4)]
    );
    assert_eq!(
        found("ftp/line.rs", "use super::super::session::Session;"),
        [("import", 2)]
    );
    assert_eq!(found("limits.rs", "use super::ftp::Verb;"), [("import", 2)]);
    assert_eq!(found("ftp/line.rs", "use crate::*;"), [("import", 2)]);
    assert_eq!(
        found("gate/mod.rs", "pub(in crate::rig) fn f() {}"),
        [("import", 2)]
    );
}

#[test]
fn imports_that_go_down_are_fine() {
    assert_eq!(
        found(
            "leg/mod.rs",
            "use crate::{ftp::line::Cut, tls, net::{self, Stream as S}};"
        ),
        []
    );
    assert_eq!(
        found(
            "ftp/line.rs",
            "use super::Verb;\nuse crate::ftp::reply::Reply;\npub(crate) fn f() {}"
        ),
        []
    );
    assert_eq!(
        found(
            "main.rs",
            "use sluicegate::gate;\nfn main() { sluicegate::rig::demo(); }"
        ),
        []
    );
    assert_eq!(
        found(
            "ftp/line.rs",
            "/// See [`crate::session`].\n// crate::net\nconst A: &str = \"crate::net\";"
        ),
        []
    );
}

#[test]
fn closed_doors_are_found() {
    assert_eq!(
        found("dialog/mod.rs", "use crate::metrics::Counter;"),
        [("door", 2)]
    );
    assert_eq!(found("sys/mod.rs", "use crate::ftp::Verb;"), [("door", 2)]);
    assert_eq!(found("relay/mod.rs", "use crate::dialog::Report;"), []);
}

#[test]
fn the_world_below_the_waterline_is_found() {
    for text in [
        "use glommio::Task;",
        "use rustls::ServerConfig;",
        "use std::{fs, mem};",
        "use std::net::{IpAddr, TcpStream};",
        "fn f() { let t = std::time::Instant::now(); }",
        "fn f() { let t = Instant::now(); }",
        "async fn f() {}",
        "fn f() { g().await; }",
    ] {
        assert_eq!(found("dialog/mod.rs", text), [("waterline", 2)], "{text}");
    }
    assert_eq!(
        found(
            "dialog/mod.rs",
            "use std::net::{IpAddr, SocketAddr};\nuse std::time::Instant;"
        ),
        []
    );
    assert_eq!(
        found("tls/mod.rs", "use rustls::ServerConfig;\nasync fn f() {}"),
        []
    );
}

#[test]
fn the_runtime_in_the_wrong_room_is_found() {
    assert_eq!(
        found("leg/mod.rs", "use glommio::net::TcpStream;"),
        [("runtime", 2)]
    );
    assert_eq!(found("net/mod.rs", "use glommio::net::TcpStream;"), []);
    assert_eq!(
        found("shard/mod.rs", "use tokio::sync::Mutex;"),
        [("runtime", 2)]
    );
    assert_eq!(found("admin/mod.rs", "use tokio::sync::Mutex;"), []);
}

#[test]
fn long_files_are_found_and_tests_do_not_count() {
    let lines = |count: usize| "const A: u8 = 1;\n".repeat(count);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines(CODE_LINES_MAX));
    let contract = CONTRACT.lines().count();
    assert_eq!(
        found("net/listen.rs", &lines(CODE_LINES_MAX)),
        [("size", 0)]
    );
    assert_eq!(
        found("net/listen.rs", &lines(CODE_LINES_MAX - contract)),
        []
    );
    let fits = format!("{tests}{}", lines(CODE_LINES_MAX - contract));
    assert_eq!(found("net/listen.rs", &fits), []);
    assert_eq!(
        found("net/listen.rs", &format!("{fits}{}", lines(1))),
        [("size", 0)]
    );
}

#[test]
fn tests_may_do_what_code_may_not() {
    let text = "#[cfg(test)]\n#[allow(dead_code)]\nmod tests {\n    use crate::session::Session;\n    use std::fs;\n}\n";
    assert_eq!(found("ftp/line.rs", text), []);
    assert_eq!(
        found(
            "ftp/line.rs",
            "#[cfg(test)]\nuse crate::{net, leg};\nuse crate::tls;"
        ),
        [("import", 4)]
    );
    let files = [
        (
            "net/mod.rs",
            &*format!("{CONTRACT}#[cfg(test)]\nmod tests;\n"),
        ),
        ("net/tests.rs", "use crate::gate::Gate;"),
    ];
    assert_eq!(
        faults_of(&files).len(),
        0,
        "a test module in a file of its own"
    );
    let named = format!("{CONTRACT}#[cfg(test)]\n#[path = \"listen_tests.rs\"]\nmod tests;\n");
    let files = [
        ("net/listen.rs", &*named),
        ("net/listen_tests.rs", "use crate::gate::Gate;"),
    ];
    assert_eq!(faults_of(&files).len(), 0, "and under another name");
    assert_ne!(
        faults_of(&files[1..]).len(),
        0,
        "but only where it is declared"
    );
}

#[test]
fn unsafe_without_reason_or_out_of_place_is_found() {
    assert_eq!(
        found("sys/clock.rs", "fn f() { unsafe { g() } }"),
        [("safety", 2)]
    );
    assert_eq!(
        found(
            "sys/clock.rs",
            "fn f() {\n    // SAFETY: g has no rules.\n    let a = unsafe { g() };\n}"
        ),
        []
    );
    let second = "fn f() {\n    // SAFETY: it holds.\n    unsafe { g() };\n    unsafe { g() };\n}";
    assert_eq!(found("sys/clock.rs", second), [("safety", 5)]);
    assert_eq!(
        found(
            "net/listen.rs",
            "// SAFETY: it holds.\nunsafe impl Send for A {}"
        ),
        [("unsafe", 3)]
    );
    assert_eq!(
        found("net/listen.rs", "#![allow(unsafe_code)]"),
        [("unsafe", 2)]
    );
}

#[test]
fn empty_names_and_notes_are_found() {
    assert_eq!(found("net/utils.rs", ""), [("name", 0)]);
    assert_eq!(found("net/helpers/mod.rs", ""), [("name", 0)]);
    assert_eq!(found("net/mod.rs", "mod misc { }"), [("name", 2)]);
    assert_eq!(found("net/mod.rs", "// FIXME later"), [("word", 2)]);
    assert_eq!(found("net/mod.rs", "fn f() { dbg!(1); }"), [("word", 2)]);
    assert_eq!(
        found(
            "net/mod.rs",
            "#[cfg(test)]\nmod tests {\n    fn f() { todo!() }\n}"
        ),
        [("word", 4)]
    );
    assert_eq!(
        found("net/mod.rs", "const A: &str = \"FIXME\"; fn todo() {}"),
        []
    );
}

#[test]
fn missing_contracts_are_found() {
    let rules = |place, text| {
        faults_of(&[(place, text)])
            .iter()
            .map(|fault| fault.rule)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        rules("net/mod.rs", "//! Sockets. Used by all.\n"),
        ["contract"]
    );
    assert_eq!(
        rules(
            "net/mod.rs",
            "//! One.\n//!\n//! ```text\n//! not. a. sentence.\n//! ```\n//! Two.\n"
        ),
        ["contract"]
    );
    assert_eq!(rules("net/listen.rs", "use crate::limits;\n"), ["contract"]);
    assert_eq!(
        rules("net/listen.rs", "//! Listeners\n"),
        Vec::<&str>::new()
    );
}

#[test]
fn a_wrong_picture_is_found() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs"))
        .expect("lib.rs can be read");
    let rules = |text: &str| {
        faults_of(&[("lib.rs", text)])
            .iter()
            .map(|fault| fault.rule)
            .collect::<Vec<_>>()
    };
    assert_eq!(rules(&text), Vec::<&str>::new());
    let renamed = text.replacen(" relay ", " delay ", 1);
    assert_ne!(renamed, text);
    assert_eq!(rules(&renamed), ["picture", "picture"]);
    assert_eq!(
        rules(&format!("{text}\npub mod rig;\npub mod ftp;\n")),
        ["picture"]
    );
    assert_eq!(rules(&format!("{text}\npub mod cellar;\n")), ["floor"]);
}

#[test]
fn a_page_that_differs_from_the_table_of_verbs_is_found() {
    let table = Verb::TABLE;
    let refused = |row: &&Row| row.answer == Answer::Refused;
    let count = |page: &str, rows: &[Row]| page_faults(page, rows).len();
    let retr = table
        .iter()
        .position(|row| row.word == "RETR")
        .expect("RETR is known");
    let retr = &table[retr..=retr];
    assert_eq!(
        count("| `RETR` | RFC 959 4.1.3 | download | bytes |", retr),
        0
    );
    assert_eq!(
        count("| `RETR` | RFC 959 4.1.3 | backend | bytes |", retr),
        1,
        "who answers"
    );
    assert_eq!(
        count("| `RETR` | RFC 959 | download | bytes |", retr),
        1,
        "the source"
    );
    assert_eq!(count("RETR is described elsewhere", retr), 1, "no row");
    assert_eq!(
        count(
            "| `RETR` | RFC 959 4.1.3 | download | |\n| `BREW` | RFC 2324 | gate | |",
            retr
        ),
        1,
        "no verb"
    );
    let row = table.iter().find(refused).expect("something is refused");
    let at = row.verb as usize;
    let page = |reason: &str| format!("| `{}` | {} | refused | {reason} |", row.word, row.source);
    assert_eq!(count(&page(""), &table[at..=at]), 1, "no reason");
    assert_eq!(
        count(&page("for a reason that is given"), &table[at..=at]),
        0
    );
}

#[test]
fn a_page_that_differs_from_the_table_of_profiles_is_found() {
    let one = &PROFILES[..1];
    let faults = profile_faults("", one);
    assert_eq!(faults.len(), 1 + one[0].settings.len());
    let rows = faults
        .iter()
        .filter_map(|fault| fault.found.strip_prefix("has no row "));
    let page = rows.collect::<Vec<_>>().join("\n");
    assert_eq!(profile_faults(&page, one).len(), 0);
    let other = page.replacen("true", "false", 1);
    assert_eq!(
        profile_faults(&other, one).len(),
        2,
        "a row that is wrong, and one that is missing"
    );
}

#[test]
fn a_page_that_names_a_missing_file_is_found() {
    let exists = |path: &str| matches!(path, "src/lib.rs" | "docs/TRUST.md" | "scripts/demo");
    let missing = |text: &str| link_faults("docs/A.md", text, exists).len();
    assert_eq!(
        missing(
            "see `src/lib.rs`, `scripts/demo --stay`, [trust](TRUST.md#whom) and https://a.example"
        ),
        0
    );
    assert_eq!(missing("see [there](https://a.example/x) and `dialog`"), 0);
    assert_eq!(missing("see `src/gone.rs`"), 1);
    assert_eq!(
        missing("see [gone](GONE.md) and [trust](docs/TRUST.md)"),
        2,
        "links are relative to their page"
    );
}

#[test]
fn a_link_to_a_heading_that_is_gone_is_found() {
    let read = |path: &str| (path == "docs/B.md").then(|| "## One, and two\n".to_owned());
    let faults = |text: &str| anchor_faults("docs/A.md", text, read).len();
    assert_eq!(faults("[b](B.md#one-and-two) [a](#here)\n### Here"), 0);
    assert_eq!(faults("[b](B.md#one) [a](#here)"), 2);
}

#[test]
fn exceptions_only_shrink() {
    let faults = || faults_of(&[("net/utils.rs", CONTRACT)]);
    let except = |place, rule, reason| {
        judge(
            faults(),
            &[Exception {
                place,
                rule,
                reason,
            }],
        )
    };
    assert_eq!(
        except("net/utils.rs", "name", "the name is prescribed elsewhere").len(),
        0
    );
    let idle = except("net/listen.rs", "name", "the name is prescribed elsewhere");
    assert_eq!(
        idle.iter().map(|fault| fault.rule).collect::<Vec<_>>(),
        ["name", "exception"]
    );
    assert_eq!(except("net/utils.rs", "name", "").len(), 1, "no reason");
}

#[test]
fn the_scanner_tells_code_from_text() {
    let text = r####"let a = 'x'; let b: &'static str = "a \" // no"; /* /* crate */ */ let c = r#"crate " "#; b'\''; '\u{41}'; r#type"####;
    let names: Vec<String> = scan(text)
        .into_iter()
        .filter_map(|token| match token.word {
            Word::Name(name) => Some(name),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["let", "a", "let", "b", "str", "let", "c", "type"]);
    assert_eq!(
        scan("\"a\nb\"\nc").last().map(|token| token.line),
        Some(3),
        "lines inside strings count"
    );
}

#[test]
fn a_route_that_the_page_tells_otherwise_is_found() {
    let routes = &[("GET", "/one", "gives one"), ("POST", "/two", "does two")];
    let told = "| `GET /one` | gives one |\n| `POST /two` | does two |\n";
    assert!(route_faults(told, routes).is_empty());
    let wrong = "| `GET /one` | gives two |\n| `GET /three` | gives three |\n";
    let faults = route_faults(wrong, routes);
    let lines: Vec<usize> = faults.iter().map(|fault| fault.line).collect();
    assert_eq!(
        lines,
        [0, 0, 1, 2],
        "two that are missing, two that are not true"
    );
}

#[test]
fn a_message_that_the_page_of_logs_does_not_tell_is_found() {
    let source = Source::new(
        "gate/mod.rs",
        "fn f() { tracing::warn!(session = self.id, %fault, \"it {what} broke\"); tracing::info!(\"{fault}\"); }\n\
         #[cfg(test)] mod tests { fn g() { tracing::info!(\"unheard\"); } }",
    );
    let messages = told::messages(&source);
    let faults = |page: &str| told::message_faults(page, &messages);
    let row = "| warn | `it … broke` (again) | `session`, `fault` |\n";
    assert_eq!(faults(row), [""; 0]);
    assert_eq!(faults("").len(), 1, "no row");
    assert_eq!(faults(&row.replace("`fault`", "")).len(), 1, "no field");
    assert_eq!(faults(&row.replace("warn", "info")).len(), 2, "its level");
    let idle = format!("{row}| debug | `never` | |\n");
    assert_eq!(faults(&idle).len(), 1, "what is written nowhere");
}

#[test]
fn a_text_that_the_page_lacks_is_found() {
    let replies = told::replies(&Source::new(
        "dialog/mod.rs",
        "fn f() { (CODE, \"There is no {what} here\"); Err(\"the server is away\"); g(\"drain\"); h(\"{whose} {what}\") }",
    ));
    assert_eq!(replies, ["There is no … here", "the server is away"]);
    let whys = told::whys(&Source::new(
        "dialog/mod.rs",
        "fn f() { g(turn, text, Blame::Client, \"it went\"); }",
    ));
    assert_eq!(whys, ["`it went`"]);
    let page = "421 \"There is no … here\"";
    assert_eq!(told::untold(page, &replies).len(), 1);
    let faults = told::start_faults(&Source::new(
        "gate/start.rs",
        "fn f() { g(\"there is no {what}; cure: one\"); let problem = format!(\"{file} is away\"); h(\"other\"); }",
    ));
    assert_eq!(faults, ["there is no …", "… is away"]);
    let fields = told::fields(&Source::new(
        "admin/status.rs",
        "#[derive(Serialize)] struct A<'a> { pub(super) id: u64, #[serde(skip)] b: BTreeMap<C, D>, e: &'a F } struct G { h: u64 }",
    ));
    assert_eq!(fields, ["`id`", "`e`"]);
}

#[test]
fn an_end_without_its_row_is_found() {
    let action = Source::new(
        "dialog/action.rs",
        "fn w() { match self { Self::TimedOut(Phase::Stall) => \"stall_timeout\" } }",
    );
    let journal = Source::new(
        "session/chronicle.rs",
        "fn w() { match end { End::TimedOut(Phase::Stall) => \"timed out: stall\" } }",
    );
    let verdict = Source::new(
        "dialog/verdict.rs",
        "fn w() { match end { End::TimedOut(Phase::Stall) => \"stalled\" } }",
    );
    let faults = |page: &str| told::end_faults(page, &action, &journal, &verdict);
    let row = "| `TimedOut(Stall)` | `timed out: stall` | `stall_timeout` | no byte moved | 426 \"stalled\" |";
    assert_eq!(faults(row), [""; 0]);
    assert_eq!(faults(&row.replace("\"stalled\"", "")).len(), 1);
    assert_eq!(faults(&row.replace("stall_timeout", "stall")).len(), 1);
}

#[test]
fn a_field_case_without_its_test_is_found() {
    let all = (1..=14).map(|n| format!("E{n}"));
    let all = all.chain((1..=32).map(|n| format!("P{n}")));
    let page = |case: &str, cell: &str| -> String {
        let rows = all.clone().map(|id| {
            let cell = if id == case {
                cell
            } else {
                "none: nobody can try it here"
            };
            format!("| {id} | wrong | right | {cell} |\n")
        });
        rows.collect()
    };
    let source = |path: &str| {
        let text = "/// Field cases E1 and P3.\n#[test]\nfn shown() {}\n\n#[test]\nfn bare() {}\n";
        (path == "e2e/apar.rs" || path == "sim/main.rs").then(|| text.to_owned())
    };
    let count = |case: &str, cell: &str| case_faults(&page(case, cell), source).len();
    assert_eq!(count("E1", "`e2e::apar::shown`"), 0);
    assert_eq!(count("P3", "`sim::shown`"), 0);
    assert_eq!(count("P30", "`sim::shown`"), 1, "it names P3 only");
    assert_eq!(count("E2", "`e2e::apar::shown`"), 1, "it names another");
    assert_eq!(count("E1", "`e2e::apar::bare`"), 1, "it names none");
    assert_eq!(count("E1", "`e2e::apar::gone`"), 1, "no such test");
    assert_eq!(count("E1", "`e2e::gone::shown`"), 1, "no such file");
    assert_eq!(count("E1", "none"), 1, "no reason");
    let sound = page("", "");
    let (_, without_first) = sound.split_once('\n').expect("there are many rows");
    assert_eq!(
        case_faults(without_first, source).len(),
        1,
        "a row is missing"
    );
    let twice = format!("{sound}{sound}");
    assert_eq!(
        case_faults(&twice, source).len(),
        46,
        "each stands there twice"
    );
}
