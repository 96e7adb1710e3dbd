//! One cell run and compared with what the contract demands of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::cells::{Cell, Ending, Prot};
use crate::client::{self, Sight};
use crate::oracle::{After, Amount, End, Expected, expected};
use crate::stage::Stage;
use crate::support::eventually;

/// A cell behind its run.
pub(crate) struct Outcome {
    pub(crate) number: usize,
    pub(crate) cell: Cell,
    pub(crate) expected: Expected,
    pub(crate) reply: Option<u16>,
    pub(crate) took: Duration,
    /// What was not as the contract demands; empty: all is well.
    pub(crate) faults: Vec<String>,
}

/// Runs one cell.
pub(crate) fn run(stage: &Stage, backend: &Backend, number: usize, cell: Cell) -> Outcome {
    let began = Instant::now();
    let expected = expected(&cell);
    let mut reply = None;
    // What a client of ours asserts on its way is a fault of this cell, and no end of the others.
    let played = catch_unwind(AssertUnwindSafe(|| {
        play(stage, backend, number, &cell, &expected, &mut reply)
    }));
    let faults = played.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        vec![said.unwrap_or_else(|| "the client failed".to_owned())]
    });
    Outcome {
        number,
        cell,
        expected,
        reply,
        took: began.elapsed(),
        faults,
    }
}

fn play(
    stage: &Stage,
    backend: &Backend,
    number: usize,
    cell: &Cell,
    expected: &Expected,
    reply: &mut Option<u16>,
) -> Vec<String> {
    let mut client = client::open(cell, stage.address(cell), stage.authority());
    let sight = client::play(&mut client, cell, number);
    *reply = sight.reply();
    let mut faults = judge(cell, expected, &sight);
    let after = match expected.session {
        After::GoesOn => client::goes_on(&mut client, cell),
        After::Ends => client::is_told_of_its_end(&mut client, &sight),
        After::MayEnd => client::goes_on_or_ends(&mut client, cell, &sight),
    };
    faults.extend(after.err());
    drop(client);
    judge_backend(backend, number, expected, &sight, &mut faults);
    if !faults.is_empty() {
        faults.push(format!("{sight:?} {:?}", backend.seen(number)));
    }
    faults
}

/// What the client saw.
fn judge(cell: &Cell, expected: &Expected, sight: &Sight) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(reply) = sight.reply().filter(|_| !sight.silence) else {
        return vec!["the control connection ended without an answer".to_owned()];
    };
    if !expected.replies.contains(&reply) {
        faults.push(format!("{} is none of {:?}", sight.text, expected.replies));
    }
    let preliminaries = sight.replies.iter().filter(|code| **code < 200).count();
    let is_success = reply < 300;
    if preliminaries > 1 || (is_success && preliminaries == 0) {
        faults.push(format!("{preliminaries} preliminary replies"));
    }
    if cell.verb.is_upload() {
        return faults;
    }
    if sight.reply_before_end {
        faults.push("the final reply came before the end of the data".to_owned());
    }
    if !sight.is_prefix {
        faults.push("bytes that are not those of the file".to_owned());
    }
    let looked = matches!(cell.ending, Ending::Clean | Ending::Unfinished);
    let end = sight.end.unwrap_or(End::Never);
    let allowed = if is_success {
        &expected.client_on_success
    } else {
        &expected.client_on_failure
    };
    // A clear stream that has not begun may end by FIN: there is nothing that could be taken for a file.
    let is_nothing = cell.client.prot == Prot::C && !is_success && sight.received == 0;
    if looked && !allowed.contains(&end) && !(is_nothing && end == End::Clean) {
        faults.push(format!(
            "the client's data connection ended {end:?}, not {allowed:?}"
        ));
    }
    if is_success && end == End::Never && looked {
        faults.push("a success without a data connection".to_owned());
    }
    let amount = if is_success {
        expected.amount
    } else {
        expected.amount_on_failure
    };
    let size = cell.size.bytes();
    let wanted = match amount {
        Amount::Nothing => Some(0),
        Amount::Half => Some(size / 2),
        Amount::Whole => Some(size),
        Amount::Some => None,
    };
    let is_there = !matches!(end, End::Never | End::Bare);
    // A refusal may come before both legs are up: then the gate has received nothing that it could deliver.
    let is_none_too = !is_success && sight.received == 0;
    if let Some(wanted) = wanted.filter(|_| looked && is_there && !is_none_too)
        && sight.received != wanted
    {
        faults.push(format!("{} bytes instead of {wanted}", sight.received));
    }
    faults
}

/// What the backend saw. It writes its notes before it hears the next command, but behind the end of a lost session.
fn judge_backend(
    backend: &Backend,
    number: usize,
    expected: &Expected,
    sight: &Sight,
    faults: &mut Vec<String>,
) {
    if expected.session == After::Ends {
        eventually("the backend has written its notes", || {
            backend.seen(number).is_some()
        });
    }
    let seen = backend.seen(number);
    let end = seen.as_ref().map_or(End::Never, |seen| seen.end);
    if !expected.backend.is_empty() && !expected.backend.contains(&end) {
        faults.push(format!(
            "the backend's data connection ended {end:?}, not {:?}",
            expected.backend
        ));
    }
    let Some(seen) = seen else {
        return;
    };
    if !seen.right {
        faults.push("the backend got bytes that are not those of the file".to_owned());
    }
    match (expected.stored, seen.stored) {
        (Some(false), Some(bytes)) => {
            faults.push(format!("the backend took {bytes} bytes for a whole file"));
        }
        (Some(true), None) => faults.push("the backend did not take the file".to_owned()),
        (_, Some(bytes)) if bytes != sight.sent => {
            faults.push(format!("{} bytes were sent, {bytes} stored", sight.sent));
        }
        _ => {}
    }
}
