//! What is shipped for Prometheus names only metrics that there are, and every alert has its paragraph for whoever is
//! woken by it.

use std::collections::BTreeSet;

use sluicegate::metrics::{Counter, Gauge, Phase, Reading};

/// The alerts of a file of rules.
fn alerts(rules: &str) -> BTreeSet<&str> {
    let name = |line: &'_ str| line.trim().strip_prefix("- alert: ").map(str::len);
    rules
        .lines()
        .filter_map(|line| name(line).map(|length| &line[line.len() - length..]))
        .collect()
}

/// Every name of the catalog.
fn catalog() -> BTreeSet<&'static str> {
    let counters = Counter::ALL.iter().map(|row| row.name());
    let readings = Reading::ALL.iter().map(|row| row.name());
    let gauges = Gauge::ALL.iter().map(|row| row.name());
    let phases = Phase::ALL.iter().map(|row| row.name());
    counters
        .chain(readings)
        .chain(gauges)
        .chain(phases)
        .collect()
}

/// What stands against rules and their page, a line each.
pub(crate) fn faults(rules: &str, page: &str) -> Vec<String> {
    let catalog = catalog();
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let words = rules.split(|letter| !is_letter(letter));
    let unknown = words
        .filter(|word| word.starts_with("sluicegate_"))
        .filter(|word| !catalog.contains(word.strip_suffix("_bucket").unwrap_or(word)))
        .map(|word| format!("{word} is no metric of the catalog"));
    let headings: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|heading| heading.starts_with("Sluicegate"))
        .collect();
    let alerts = alerts(rules);
    let unexplained = alerts
        .difference(&headings)
        .map(|alert| format!("{alert} has no paragraph in docs/OPERATIONS.md"));
    let idle = headings
        .difference(&alerts)
        .map(|heading| format!("{heading} is explained, and no alert"));
    let unlinked = alerts.iter().filter_map(|alert| {
        let link = format!("docs/OPERATIONS.md#{}\"", alert.to_lowercase());
        (!rules.contains(&link)).then(|| format!("{alert} does not lead to its paragraph"))
    });
    unknown
        .chain(unexplained)
        .chain(idle)
        .chain(unlinked)
        .collect()
}
