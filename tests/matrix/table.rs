//! The table: each cell with the rule that it must satisfy, and what became of it.

use std::fmt::Write as _;

use crate::cells::{Cell, Empty, IMPOSSIBLE, Policy, Unfinished, Way};
use crate::judge::Outcome;

/// All of it, as Markdown.
pub(crate) fn write(head: &[String], outcomes: &[Outcome]) -> String {
    let mut text = String::from("# The contract over real sockets\n\n");
    for line in head {
        writeln!(text, "- {line}").unwrap();
    }
    text.push_str("\nNot combined:\n\n");
    for (why, _) in IMPOSSIBLE {
        writeln!(text, "- {why}").unwrap();
    }
    text.push_str(
        "\n| # | transfer | client | backend | policy | right replies | rules | because | reply | ms | |\n",
    );
    text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for outcome in outcomes {
        text.push_str(&row(outcome));
    }
    text
}

/// One line.
pub(crate) fn row(outcome: &Outcome) -> String {
    let Outcome { cell, expected, .. } = outcome;
    let list = |numbers: Vec<String>| numbers.join(" ");
    let replies = expected.replies.iter().map(u16::to_string).collect();
    let rules = expected.rules.iter().map(u8::to_string).collect();
    format!(
        "| {} | {:?} {:?} | {} {:?} {:?} | {} {:?} | {} | {} | {} | {} | {} | {} | {} |\n",
        outcome.number,
        cell.verb,
        cell.size,
        way(cell.client),
        cell.arrival,
        cell.ending,
        way(cell.backend),
        cell.manner,
        policy(cell),
        list(replies),
        list(rules),
        expected.why,
        outcome
            .reply
            .map_or_else(|| "none".to_owned(), |code| code.to_string()),
        outcome.took.as_millis(),
        if outcome.faults.is_empty() {
            "ok".to_owned()
        } else {
            format!("FAILED: {}", outcome.faults.join("; "))
        }
    )
}

fn way(way: Way) -> String {
    format!(
        "{:?} {:?} {:?} {:?}",
        way.family, way.mode, way.prot, way.tls
    )
}

/// What differs from the default.
fn policy(cell: &Cell) -> String {
    let Policy {
        client_unfinished,
        backend_unfinished,
        empty,
        bare_uploads,
    } = cell.policy;
    let mut words = Vec::new();
    if client_unfinished != Unfinished::Mirror {
        words.push(format!("uploads {client_unfinished:?}"));
    }
    if backend_unfinished != Unfinished::Mirror {
        words.push(format!("downloads {backend_unfinished:?}"));
    }
    if empty != Empty::Complete {
        words.push(format!("empty {empty:?}"));
    }
    if bare_uploads {
        words.push("bare uploads".to_owned());
    }
    words.join(", ")
}
