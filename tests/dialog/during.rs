//! Rule 12: what a client says while its transfer runs is read at once, and answered in its order.

use std::time::Duration;

use sluicegate::dialog::Side::{Backend, Client};
use sluicegate::dialog::{DataNews, End};

use crate::script::{Script, rules};

#[test]
fn noop_and_stat_are_answered_while_bytes_flow() {
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.backend("150 Opening").gives(&["C 150 Opening"]);
    script.client("STAT").gives(&["C 213 RETR: 0 bytes so far"]);
    script.up(Backend);
    script.up(Client);
    script.client("NOOP").gives(&["C 200 Fine"]);
    script.client("STAT").gives(&["C 213 RETR: 0 bytes so far"]);
    script.data(DataNews::Moved(300)).gives(&[]);
    script
        .client("STAT")
        .gives(&["C 213 RETR: 300 bytes so far"]);
    script.flowed(500, Backend, End::Clean).gives(&[]);
    script
        .client("STAT")
        .gives(&["C 213 RETR: 500 bytes moved, and its end is awaited"]);
    script.backend("226 Done").gives(&["end client clean"]);
    script.client("NOOP").gives(&["C 200 Fine"]);
    script
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226 Done"]);
    script.client("NOOP").gives(&["B NOOP"]);
    script.backend("200 Also fine").gives(&["C 200 Also fine"]);
    script.works();
}

/// Field case P32.
#[test]
fn no_answer_stands_before_the_150_or_amid_it() {
    // P32; and a client takes the first other reply for its transfer's last one.
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.client("NOOP").gives(&[]);
    script.client("STAT").gives(&[]);
    script.backend("150-Opening").gives(&["C 150-Opening"]);
    script.client("NOOP").gives(&[]);
    script.backend(" a moment").gives(&["C  a moment"]);
    script
        .backend("150 Opening")
        .gives(&["C 150 Opening", "C 200", "C 213 RETR", "C 200"]);
    script.up(Backend);
    script.up(Client);
    script.flowed(3, Backend, End::Clean).gives(&[]);
    // The lines of the final reply are held, so this stands before all of them.
    script.backend("226-Nearly").gives(&[]);
    script.client("STAT").gives(&["C 213 RETR: 3 bytes moved"]);
    script.backend("226 Done").gives(&["end client clean"]);
    script
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226-Nearly / 226 Done"]);
    script.works();
}

#[test]
fn a_150_that_the_gate_says_itself_comes_first_too() {
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.client("NOOP").gives(&[]);
    script.up(Backend);
    script.up(Client);
    script.flowed(3, Backend, End::Clean).gives(&[]);
    script
        .backend("226 Done")
        .gives(&["C 150", "end client clean", "C 200"]);
    script
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226 Done"]);
}

#[test]
fn nothing_overtakes_a_command_that_waits() {
    let mut script = Script::ready(rules());
    script.flowing("STOR a");
    script.client("NOOP").gives(&["C 200 Fine"]);
    script.client("STAT /dir").gives(&[]);
    script.client("NOOP").gives(&[]);
    script.client("STAT").gives(&[]);
    script
        .flowed(500, Client, End::Clean)
        .gives(&["end backend clean"]);
    script.ended(Backend, End::Clean).gives(&[]);
    script
        .backend("226 Stored")
        .gives(&["close data", "C 226 Stored", "B STAT /dir"]);
    script
        .backend("213 Of that")
        .gives(&["C 213 Of that", "B NOOP"]);
    script.backend("200 Fine").gives(&["C 200 Fine", "B STAT"]);
}

#[test]
fn nothing_overtakes_an_abor_that_has_acted() {
    let mut script = Script::ready(rules());
    script.flowing("RETR a");
    script
        .client("ABOR")
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
    script.client("NOOP").gives(&[]);
    script.client("STAT").gives(&[]);
    script
        .flowed(500, Backend, End::Aborted)
        .gives(&["end client reset"]);
    script
        .ended(Client, End::Aborted)
        .gives(&["close data", "C 426", "C 226 Aborted"]);
    script.backend("426 Aborted").gives(&[]);
    script.backend("226 Aborted").gives(&[]);
    script.backend("257 \"/\"").gives(&["B NOOP"]);
    script.backend("200 Fine").gives(&["C 200 Fine", "B STAT"]);
}

#[test]
fn a_transfer_that_never_gets_its_150_still_leaves_no_noop_unanswered() {
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.client("NOOP").gives(&[]);
    script
        .waits(Duration::from_secs(15))
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
    script
        .ended(Backend, End::Refused)
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Refused)
        .gives(&["close data", "C 425"]);
    script.backend("425 Nobody came").gives(&[]);
    script.backend("226 ABOR").gives(&[]);
    script.backend("257 \"/\"").gives(&["B NOOP"]);
    script.backend("200 Fine").gives(&["C 200 Fine"]);
}

#[test]
fn behind_quit_nothing_is_taken_and_everything_before_it_is_done() {
    let mut script = Script::ready(rules());
    assert!(script.wants_client());
    script.flowing("RETR a");
    script.client("SIZE b").gives(&[]);
    assert!(script.wants_client());
    script.client("QUIT").gives(&[]);
    assert!(!script.wants_client(), "its FIN would end the session");
    script.flowed(3, Backend, End::Clean).gives(&[]);
    script.backend("226 Done").gives(&["end client clean"]);
    script
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226 Done", "B SIZE b"]);
    assert!(!script.wants_client());
    script
        .backend("213 7")
        .gives(&["C 213 7", "C 221", "B QUIT", "close"]);
}

#[test]
fn quit_behind_a_transfer_that_fails_is_answered_too() {
    let mut script = Script::ready(rules());
    script.flowing("RETR a");
    script.client("QUIT").gives(&[]);
    script
        .flowed(3, Client, End::Reset)
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
    script
        .ended(Backend, End::Aborted)
        .gives(&["close data", "C 426"]);
    script.backend("426 Aborted").gives(&[]);
    script.backend("226 Aborted").gives(&[]);
    script
        .backend("257 \"/\"")
        .gives(&["C 221", "B QUIT", "close"]);
}
