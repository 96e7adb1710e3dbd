//! lib.rs against the table of floors: the picture at its top, and the order of its modules.
//!
//! The picture is what a newcomer reads first, so it must be true. Used by `rules.rs` for lib.rs alone. It never looks at
//! the words that say what a room is for.

use crate::FLOORS;
use crate::rules::{Fault, floor, report};
use crate::source::Source;
use crate::words::Word;

/// The picture in lib.rs and `FLOORS` say the same.
pub(crate) fn picture_faults(source: &Source, faults: &mut Vec<Fault>) {
    let drawn = drawn_rooms(source);
    let rows = FLOORS
        .iter()
        .flat_map(|(number, rooms)| rooms.iter().map(|room| (*number, *room)));
    let table: Vec<(&str, &str)> = rows.collect();
    let cure = "lib.rs and FLOORS (tests/house.rs) must show the same floors";
    for (number, room) in table.iter().filter(|row| !drawn.contains(row)) {
        let found = format!("`{room}` on floor {number} is not in the picture");
        report(faults, source, 0, "picture", found, cure);
    }
    for (number, room) in drawn.iter().filter(|row| !table.contains(row)) {
        let found = format!("the picture shows `{room}` on floor {number}");
        report(faults, source, 0, "picture", found, cure);
    }
}

/// Number and name of each room in the picture of lib.rs; the last column of a line says what it is for.
fn drawn_rooms(source: &Source) -> Vec<(&str, &str)> {
    let mut drawn = Vec::new();
    for token in &source.tokens {
        let Word::Comment(text) = &token.word else {
            continue;
        };
        let Some(line) = text.strip_prefix("//!") else {
            continue;
        };
        let mut columns = line
            .split("  ")
            .map(str::trim)
            .filter(|column| !column.is_empty());
        let Some(head) = columns.next() else { continue };
        // "3b sys" stands closer together than the others.
        let (number, first) = head.split_once(' ').unwrap_or((head, ""));
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let mut names: Vec<&str> = columns.collect();
        names.pop();
        names.extend(Some(first).filter(|first| !first.is_empty()));
        drawn.extend(names.iter().map(|name| (number, *name)));
    }
    drawn
}

/// lib.rs lists the modules in floor order, so that it reads like the picture.
pub(crate) fn order_faults(source: &Source, faults: &mut Vec<Fault>) {
    let mut highest = 0;
    for pair in source.code.windows(2) {
        let Word::Name(name) = &pair[1].word else {
            continue;
        };
        if !pair[0].is_name("mod") {
            continue;
        }
        let line = pair[1].line;
        match floor(name) {
            Some(own) if own >= highest => highest = own,
            Some(_) => {
                let found = format!("`{name}` is out of order");
                report(
                    faults,
                    source,
                    line,
                    "picture",
                    found,
                    "list the modules in floor order, a blank line between floors: rustfmt sorts what stands together",
                );
            }
            None => {
                let found = format!("`{name}` stands on no floor");
                report(
                    faults,
                    source,
                    line,
                    "floor",
                    found,
                    "give it a row in FLOORS",
                );
            }
        }
    }
}
