//! The page of field cases against the tests: every case has one row, and a test that names it or a reason.
//!
//! Used by the tests in `tests/house.rs`. It never judges whether a test meets its case: that is for readers.

use crate::rules::Fault;

/// Cases of each kind, numbered from 1.
const KINDS: [(char, usize); 2] = [('E', 14), ('P', 32)];

/// Every case without exactly one row, and every row without a sound last cell; `source` gives files below `tests`.
pub(crate) fn case_faults(page: &str, source: impl Fn(&str) -> Option<String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |line: usize, found: String, cure: &'static str| {
        let place = "docs/FIELD-CASES.md".to_owned();
        faults.push(Fault {
            place,
            line,
            rule: "cases",
            found,
            cure,
        });
    };
    for (kind, count) in KINDS {
        for case in (1..=count).map(|number| format!("{kind}{number}")) {
            let start = format!("| {case} |");
            let mut rows = page
                .lines()
                .enumerate()
                .filter(|(_, line)| line.starts_with(&start));
            let Some((at, row)) = rows.next() else {
                let cure = "add its row: case, what goes wrong, what the gate does, test";
                fault(0, format!("{case} has no row"), cure);
                continue;
            };
            if rows.next().is_some() {
                fault(at + 1, format!("{case} has two rows"), "keep one");
            }
            let cell = row.trim_end_matches('|').rsplit('|').next().unwrap_or("");
            if let Err((found, cure)) = judge_cell(&case, cell.trim(), &source) {
                fault(at + 1, format!("{case}: {found}"), cure);
            }
        }
    }
    faults
}

/// Either a test that is there and names the case, or a reason.
fn judge_cell(
    case: &str,
    cell: &str,
    source: impl Fn(&str) -> Option<String>,
) -> Result<(), (String, &'static str)> {
    let Some(test) = cell
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'))
    else {
        let reason = cell.strip_prefix("none: ").unwrap_or("");
        let is_reason = reason.split_whitespace().count() >= 4;
        let found = "neither a test nor a reason".to_owned();
        return if is_reason {
            Ok(())
        } else {
            Err((found, "name a test in backticks, or say none: and why"))
        };
    };
    let (modules, name) = test.rsplit_once("::").unwrap_or((test, ""));
    let file = modules.replace("::", "/");
    let text = ["", "/mod", "/main"]
        .iter()
        .find_map(|end| source(&format!("{file}{end}.rs")));
    let found = |what: &str| format!("`{test}` {what}");
    let Some(text) = text else {
        return Err((found("is in no file"), "name its binary, module and name"));
    };
    let Some((before, _)) = text.split_once(&format!("\nfn {name}(")) else {
        return Err((
            found("is not there"),
            "name the test that meets the case now",
        ));
    };
    // What stands above the test, up to the end of what is before it.
    let above = before.rsplit("\n\n").next().unwrap_or("");
    let mut words = above
        .lines()
        .filter(|line| line.starts_with("///"))
        .flat_map(|line| line.split(|letter: char| !letter.is_ascii_alphanumeric()));
    if !above.contains("#[test]") || !words.any(|word| word == case) {
        return Err((
            found("does not say so"),
            "name the case in the comment above the test",
        ));
    }
    Ok(())
}
