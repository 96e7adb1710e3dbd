//! The contract of the data channel over real sockets: every way of both legs, every end, every manner of both sides.
//!
//! `cells` are combined by `cover` so that every pair of values (or every three) stands in some cell; `oracle` says what
//! the rules in `docs/PROTOCOL.md` demand of a cell, without any of the gate's code; `backend` and `client` play it
//! around one gate (`stage`), and `judge` compares. `scripts/matrix` runs it and prints the table.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test may block: it is no core's business"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a broken premise fails the test, as it should"
)]

mod backend;
mod cells;
mod client;
mod cover;
mod judge;
mod oracle;
mod policies;
mod stage;
#[allow(
    dead_code,
    unused_imports,
    reason = "what the end-to-end tests need of it and this one does not"
)]
#[path = "../support/mod.rs"]
mod support;
mod table;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use backend::Backend;
use cells::{Cell, Draft};
use cover::{Cover, Forbidden, Strength, cover};
use judge::Outcome;
use stage::Stage;
use support::certs::Authority;

/// Cells at once: most of them wait.
const CELLS_AT_ONCE: usize = 48;
/// Rows are the same in every run, unless SLUICE_MATRIX_SEED asks for others.
const SEED: u64 = 0x51_1C_E6;

/// Cells in which at most one side leaves the contract: a fault is not hidden by another one.
fn one_side(draft: &Draft) -> bool {
    draft.impossible().is_some() || draft.both_at_fault() == Some(true)
}

/// Cells in which both do.
fn both_sides(draft: &Draft) -> bool {
    draft.impossible().is_some() || draft.both_at_fault() == Some(false)
}

#[test]
fn the_contract_holds_in_every_cell() {
    let full = std::env::var("SLUICE_MATRIX").is_ok_and(|value| value == "full");
    let strength = if full {
        Strength::Triples
    } else {
        Strength::Pairs
    };
    let width = if full { "three" } else { "two" };
    let seed = std::env::var("SLUICE_MATRIX_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let mut cells = Vec::new();
    let mut head = vec![format!("seed {seed}")];
    let halves = [
        ("at most one side", one_side as Forbidden),
        ("both sides", both_sides),
    ];
    for (who, forbidden) in halves {
        let Cover {
            rows,
            covered,
            left_out,
        } = cover(strength, seed, forbidden);
        head.push(format!(
            "{who} at fault: {} cells, in which all {covered} possible combinations of {width} values stand \
             ({left_out} are impossible, or belong to the other half)",
            rows.len()
        ));
        cells.extend(rows.into_iter().map(Cell::from_levels));
    }
    let chosen = policies::cells();
    head.push(format!("policies: {} cells, full products", chosen.len()));
    cells.extend(chosen);

    let outcomes = run(&cells);
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !outcome.faults.is_empty())
        .collect();
    head.push(format!(
        "{} cells, {} of them failed",
        outcomes.len(),
        failed.len()
    ));
    if let Ok(path) = std::env::var("SLUICE_MATRIX_TABLE") {
        std::fs::write(path, table::write(&head, &outcomes)).unwrap();
    }
    eprintln!("{}", head.join("\n"));
    let rows: String = failed.iter().map(|outcome| table::row(outcome)).collect();
    assert!(failed.is_empty(), "{} cells failed:\n{rows}", failed.len());
}

/// All cells, or those that SLUICE_MATRIX_CELLS names, around one gate.
fn run(cells: &[Cell]) -> Vec<Outcome> {
    let dir = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::new(dir.path()));
    let backend = Backend::start(Arc::clone(&authority), cells.to_vec());
    let stage = Stage::start(dir.path(), authority, &backend, cells);
    let only = std::env::var("SLUICE_MATRIX_CELLS").unwrap_or_default();
    let only: Vec<usize> = only
        .split(',')
        .map_while(|number| number.parse().ok())
        .collect();
    let is_wanted = |number: &usize| only.is_empty() || only.contains(number);
    let todo = Mutex::new(
        (1..=cells.len())
            .filter(is_wanted)
            .rev()
            .collect::<Vec<_>>(),
    );
    let outcomes = Mutex::new(Vec::new());
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CELLS_AT_ONCE {
            scope.spawn(|| {
                while let Some(number) = { todo.lock().unwrap().pop() } {
                    let outcome = judge::run(&stage, &backend, number, cells[number - 1]);
                    outcomes.lock().unwrap().push(outcome);
                }
            });
        }
    });
    eprintln!("{} s", began.elapsed().as_secs());
    stage.assert_nothing_leaked();
    let mut outcomes = outcomes.into_inner().unwrap();
    outcomes.sort_by_key(|outcome| outcome.number);
    outcomes
}
