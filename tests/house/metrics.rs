//! The page of metrics, written from the catalog: `docs/METRICS.md` is this text, so it cannot say anything else.

use std::fmt::Write as _;

use sluicegate::metrics::{CLASSIC_BOUNDS, Counter, Gauge, NATIVE_SCHEMA, Phase, Reading};

/// A row's name, its labels with their values, the names of those whose values the gate gives, and its help.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str], &'a str);

/// What the page says before its tables.
const PREFACE: &str = "\
# Metrics

Every series of `GET /metrics`, in the order of `src/metrics/catalog.rs`, from which this page is written:
`WRITE_PAGES=1 cargo test --test house`. No label holds a user, a path or an address. A label with a value stands for one series;
one without has a series for each value: `listener` and `pool` are names of the configuration, `member` is a member's number in
its pool, which nobody else gets while the pool stands in the configuration (`/backends` has its address). With `?by=core` every series that a core counts
has the label `core`, the CPU's number. The sum over `core` is what `/metrics` gives without it, so scrape one of the two.

";

/// The whole page.
pub(crate) fn page() -> String {
    let mut page = PREFACE.to_owned();
    table(
        &mut page,
        "Counters",
        Counter::ALL
            .iter()
            .map(|row| (row.name(), row.labels(), row.keys(), row.help())),
    );
    table(
        &mut page,
        "Counters that are read when somebody asks",
        Reading::ALL
            .iter()
            .map(|row| (row.name(), row.labels(), row.keys(), row.help())),
    );
    table(
        &mut page,
        "Gauges",
        Gauge::ALL
            .iter()
            .map(|row| (row.name(), row.labels(), row.keys(), row.help())),
    );
    table(
        &mut page,
        "Times",
        Phase::ALL
            .iter()
            .map(|row| (row.name(), row.labels(), row.keys(), row.help())),
    );
    let bounds: Vec<String> = CLASSIC_BOUNDS.iter().map(ToString::to_string).collect();
    let width = 2_f64.powf(0.5_f64.powi(NATIVE_SCHEMA)) - 1.0;
    writeln!(
        page,
        "Times are histograms: kept on each core at three digits (0.1 %) from a microsecond to an hour, and written twice. In the text\n\
         formats with these classic buckets, in seconds: {}. In protobuf also as native\n\
         histograms of schema {NATIVE_SCHEMA}: each bucket is {:.1} % wider than the one before.",
        bounds.join(", "),
        width * 100.0
    )
    .expect("a string takes everything");
    page
}

fn table<'a>(page: &mut String, title: &str, rows: impl Iterator<Item = Row<'a>>) {
    page.push_str(&format!(
        "## {title}\n\n| name | labels | what |\n| --- | --- | --- |\n"
    ));
    for (name, labels, keys, help) in rows {
        let fixed = labels
            .iter()
            .map(|(key, value)| format!("`{key}=\"{value}\"`"));
        let given = keys.iter().map(|key| format!("`{key}`"));
        let labels: Vec<String> = fixed.chain(given).collect();
        page.push_str(&format!("| `{name}` | {} | {help} |\n", labels.join(" ")));
    }
    page.push('\n');
}
