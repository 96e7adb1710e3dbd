//! The pages against the house: the verbs in `docs/PROTOCOL.md`, the profiles in `docs/PROFILES.md`, and every file that
//! any page names.
//!
//! A page adds reasons; what it says about the code must be what the code says. Used by the tests in `tests/house.rs`. It
//! never judges prose: only rows that begin with a word in backticks, paths in backticks, and links within the repository.

use sluicegate::config::Profile;
use sluicegate::ftp::{Answer, Direction, Row};

use crate::rules::Fault;

/// The word of the page for who answers.
fn spelled(answer: Answer) -> &'static str {
    match answer {
        Answer::Gate => "gate",
        Answer::Backend => "backend",
        Answer::Transfer(Direction::Download) => "download",
        Answer::Transfer(Direction::Upload) => "upload",
        Answer::Refused => "refused",
    }
}

/// Every route without its row on the page, and every row that is no route.
pub(crate) fn route_faults(page: &str, routes: &[(&str, &str, &str)]) -> Vec<Fault> {
    let wanted: Vec<String> = routes
        .iter()
        .map(|(method, path, gives)| format!("| `{method} {path}` | {gives} |"))
        .collect();
    let fault = |line, found| Fault {
        place: "docs/OPERATIONS.md".to_owned(),
        line,
        rule: "routes",
        found,
        cure: "the table in src/admin/routes.rs leads: one row for each of its rows, in its words",
    };
    let missing = (wanted.iter()).filter(|row| !page.lines().any(|line| line == *row));
    let mut faults: Vec<Fault> = missing
        .map(|row| fault(0, format!("there is no row {row}")))
        .collect();
    for (at, line) in page.lines().enumerate() {
        let is_route = ["| `GET ", "| `POST "]
            .iter()
            .any(|start| line.starts_with(start));
        if is_route && !wanted.iter().any(|row| row == line) {
            faults.push(fault(at + 1, line.to_owned()));
        }
    }
    faults
}

/// Every verb without a row on the page, every row without a verb, and every row that says something else.
pub(crate) fn page_faults(page: &str, table: &[Row]) -> Vec<Fault> {
    let rows: Vec<(usize, Vec<&str>)> = page
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("| `"))
        .map(|(at, line)| (at + 1, line.split('|').map(str::trim).skip(1).collect()))
        .collect();
    let mut faults = Vec::new();
    let mut fault = |line: usize, found: String, cure: &'static str| {
        let place = "docs/PROTOCOL.md".to_owned();
        faults.push(Fault {
            place,
            line,
            rule: "verbs",
            found,
            cure,
        });
    };
    for row in table {
        let (word, source, answer) = (format!("`{}`", row.word), row.source, spelled(row.answer));
        let Some((line, cells)) = rows.iter().find(|(_, cells)| cells[0] == word) else {
            let cure = "add its row: verb, source, who answers, and why";
            fault(0, format!("{word} of src/ftp/verb.rs has no row"), cure);
            continue;
        };
        if cells.get(1..3) != Some(&[source, answer]) {
            fault(
                *line,
                format!("{word} is `{source} | {answer}` in src/ftp/verb.rs"),
                "the code leads: correct the page",
            );
        }
        if row.answer == Answer::Refused && cells.get(3).is_none_or(|reason| reason.len() < 10) {
            fault(
                *line,
                format!("{word} is refused without a reason"),
                "say why in the last column",
            );
        }
    }
    for (line, cells) in &rows {
        if !table
            .iter()
            .any(|row| cells[0] == format!("`{}`", row.word))
        {
            fault(
                *line,
                format!("{} is no verb of src/ftp/verb.rs", cells[0]),
                "take the row out, or add the verb",
            );
        }
    }
    faults
}

/// Every row of the page that is not one of the table of profiles, and every setting without its row.
pub(crate) fn profile_faults(page: &str, profiles: &[Profile]) -> Vec<Fault> {
    let partner = |profile: &Profile| format!("| `{}` | {} |", profile.name, profile.partner);
    let settings = |profile: &Profile| {
        let name = profile.name;
        let row = move |one: &sluicegate::config::Setting| {
            let place = if one.implicit { ", implicit TLS" } else { "" };
            let (section, source, reason) = (one.section, one.source, one.reason);
            format!("| `{name}` | {section}{place} | `{one}` | {source} | {reason} |")
        };
        profile.settings.iter().map(row).collect::<Vec<_>>()
    };
    let expected: Vec<String> = profiles
        .iter()
        .flat_map(|profile| [vec![partner(profile)], settings(profile)].concat())
        .collect();
    let rows = || {
        page.lines()
            .enumerate()
            .filter(|(_, line)| line.starts_with("| `"))
    };
    let mut faults = Vec::new();
    let mut fault = |line: usize, found: String, cure: &'static str| {
        let place = "docs/PROFILES.md".to_owned();
        let rule = "profiles";
        faults.push(Fault {
            place,
            line,
            rule,
            found,
            cure,
        });
    };
    for row in expected
        .iter()
        .filter(|row| !rows().any(|(_, line)| line == row.as_str()))
    {
        fault(
            0,
            format!("has no row {row}"),
            "add it as src/config/profile.rs has it",
        );
    }
    for (at, line) in rows().filter(|(_, line)| !expected.iter().any(|row| row == line)) {
        fault(
            at + 1,
            format!("{line} is not in src/config/profile.rs"),
            "the code leads: correct the page",
        );
    }
    faults
}

/// Folders of the repository that a path in backticks may begin with.
const FOLDERS: &[&str] = &[
    "src/", "tests/", "docs/", "config/", "scripts/", "benches/", "fuzz/", "perf/",
];

/// Every file that a page names and that is not there; `exists` is asked with paths from the root of the repository.
pub(crate) fn link_faults(place: &str, page: &str, exists: impl Fn(&str) -> bool) -> Vec<Fault> {
    let folder = place
        .rsplit_once('/')
        .map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let mut faults = Vec::new();
    for (at, line) in page.lines().enumerate() {
        let quoted = line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|text| FOLDERS.iter().any(|start| text.starts_with(start)));
        let quoted = quoted
            .filter_map(|text| text.split_whitespace().next())
            .map(str::to_owned);
        let targets = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        let inside = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
        let links =
            inside.map(|target| format!("{folder}{}", target.split('#').next().unwrap_or(target)));
        for path in quoted.chain(links).filter(|path| !exists(path)) {
            faults.push(Fault {
                place: place.to_owned(),
                line: at + 1,
                rule: "pages",
                found: format!("names `{path}`, which is not there"),
                cure: "name the file that does it now",
            });
        }
    }
    faults
}

/// A heading as links name it.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    let letters = heading.chars().filter(kept);
    letters
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

/// Every link to a heading that is not on its page; `read` gives pages by their paths from the root of the repository.
pub(crate) fn anchor_faults(
    place: &str,
    page: &str,
    read: impl Fn(&str) -> Option<String>,
) -> Vec<Fault> {
    let folder = place
        .rsplit_once('/')
        .map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let mut faults = Vec::new();
    for (at, line) in page.lines().enumerate() {
        let targets = line.split("](").skip(1);
        let targets = targets.filter_map(|rest| rest.split(')').next()?.split_once('#'));
        for (file, wanted) in targets.filter(|(file, _)| !file.contains("://")) {
            let other = match file {
                "" => Some(page.to_owned()),
                file => read(&format!("{folder}{file}")),
            };
            let is_there = other.is_none_or(|other| {
                let mut headings = other.lines().filter(|line| line.starts_with('#'));
                headings.any(|heading| anchor(heading) == wanted)
            });
            if !is_there {
                faults.push(Fault {
                    place: place.to_owned(),
                    line: at + 1,
                    rule: "pages",
                    found: format!("leads to `{file}#{wanted}`, a heading that is not there"),
                    cure: "name the heading as it is now",
                });
            }
        }
    }
    faults
}

/// Every dependency of a manifest without its row in the first column of the page's table.
pub(crate) fn dependency_faults(manifest: &str, page: &str) -> Vec<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
    let firsts = rows.filter_map(|row| row.split(" | ").next());
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
    let told: Vec<&str> = firsts
        .flat_map(|first| first.split(|letter| !is_letter(letter)))
        .collect();
    let mut is_within = false;
    let mut faults = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_within = matches!(line, "[dependencies]" | "[dev-dependencies]");
        }
        let name = line.split_once(" = ").map(|(name, _)| name);
        if let Some(name) = name.filter(|name| is_within && !told.contains(name)) {
            faults.push(format!("{name} of Cargo.toml has no row in decision 7"));
        }
    }
    faults
}

/// What the page of the architecture leaves out of the house: the picture as lib.rs draws it, and each file in its room's row.
pub(crate) fn room_faults(page: &str, lib: &str, places: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    let drawn = lib.split("```text\n").nth(1).unwrap_or("");
    let drawn = drawn.lines().take_while(|line| !line.ends_with("```"));
    let drawn = drawn.map(|line| line.strip_prefix("//! ").unwrap_or(line));
    let missing = drawn.filter(|line| !page.lines().any(|own| own == *line));
    faults.extend(missing.map(|line| format!("the picture lacks \"{line}\"")));
    for place in places {
        let Some((room, file)) = place.split_once('/') else {
            continue;
        };
        let file = file.split('/').next().unwrap_or(file);
        let file = file.strip_suffix(".rs").unwrap_or(file);
        let is_of_room = |line: &&str| {
            let first = line
                .strip_prefix("| ")
                .and_then(|row| row.split(" | ").next());
            first.is_some_and(|first| first.contains(&format!("`{room}`")))
        };
        let row = page.lines().find(is_of_room);
        let is_told = row.is_some_and(|row| row.contains(&format!("`{file}`")));
        if file != "mod" && !file.ends_with("tests") && !is_told {
            faults.push(format!("the row of `{room}` lacks `{file}`"));
        }
    }
    faults
}
