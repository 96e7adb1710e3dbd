//! Rules 7, 8, 12 and 13: every command has its own reply, in order, and nobody waits in silence.

use std::time::Duration;

use sluicegate::dialog::Side::{Backend, Client};
use sluicegate::dialog::{DataNews, End, FromClient, Loss, Note};
use sluicegate::ftp::occasion;

use crate::script::{Script, clear, rules};

#[test]
fn a_refusal_is_passed_on_although_the_data_port_was_refused_first() {
    let mut script = Script::ready(rules());
    script.client("RETR none").gives(&["open", "B RETR none"]);
    script.ended(Backend, End::Refused).gives(&[]);
    script
        .backend("550 No such file")
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Aborted)
        .gives(&["close data", "C 550 No such file"]);
    script.works();
}

/// Field case P17.
#[test]
fn a_refusal_waits_for_no_handshake() {
    for (command, end) in [
        ("RETR none", "end client unfinished"),
        ("STOR none", "end backend reset"),
    ] {
        let mut script = Script::ready(rules());
        script
            .client(command)
            .gives(&["open", &format!("B {command}")]);
        let (first, second) = if command == "RETR none" {
            (Backend, Client)
        } else {
            (Client, Backend)
        };
        script.data(DataNews::Connected(first)).gives(&[]);
        let ends_first = if first == Backend {
            "end backend reset"
        } else {
            "end client unfinished"
        };
        script.backend("553-Not allowed").gives(&[]);
        script.backend("553 So there").gives(&[ends_first]);
        script.ended(first, End::Aborted).gives(&[end]);
        script
            .ended(second, End::Aborted)
            .gives(&["close data", "C 553-Not allowed / 553 So there"]);
        script.works();
    }
}

#[test]
fn a_refusal_of_resumption_after_a_clean_end_is_passed_on() {
    // vsftpd: a complete handshake, a clean close, and then 522.
    let mut script = Script::ready(rules());
    script.flowing("RETR a");
    script.flowed(0, Backend, End::Clean).gives(&[]);
    script
        .backend("522 Session reuse required")
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 522 Session"]);
}

#[test]
fn a_backend_that_hangs_before_150() {
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.data(DataNews::Connected(Backend)).gives(&[]);
    script
        .waits(Duration::from_secs(60))
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
    script
        .ended(Backend, End::Aborted)
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Aborted)
        .gives(&["close data", "C 425 The server did not begin"]);
    script.client("NOOP now").gives(&[]);
    // Its late replies belong to what was given up, not to NOOP.
    script.backend("150 Opening after all").gives(&[]);
    script.backend("426 Aborted").gives(&[]);
    script.backend("226 ABOR").gives(&[]);
    script.backend("257 \"/\"").gives(&["B NOOP now"]);
    script.backend("200 Now").gives(&["C 200 Now"]);
    script.works();
}

#[test]
fn a_backend_that_hangs_after_150() {
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.backend("150 Opening").gives(&["C 150"]);
    script.up(Client);
    script
        .waits(Duration::from_secs(15))
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
    script
        .ended(Backend, End::Aborted)
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 425 The server's"]);
}

#[test]
fn a_backend_that_never_says_how_it_went() {
    let mut script = Script::ready(rules());
    script.flowing("RETR a");
    script.flowed(500, Backend, End::Clean).gives(&[]);
    script
        .waits(Duration::from_secs(10))
        .gives(&["B ABOR", "B PWD", "end client unfinished"]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 426 The server did not confirm"]);
    // One that answers ABOR and forgets the transfer.
    script.backend("225 Nothing to abort").gives(&[]);
    script.backend("257 \"/\"").gives(&[]);
    script.works();
}

#[test]
fn a_backend_that_never_comes_into_step_again_is_left() {
    let mut script = Script::ready(rules());
    script.flowing("RETR a");
    script.flowed(500, Backend, End::Clean).gives(&[]);
    script
        .waits(Duration::from_secs(10))
        .gives(&["B ABOR", "B PWD", "end client unfinished"]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 426"]);
    script.client("CWD a").gives(&[]);
    script
        .waits(Duration::from_secs(60))
        .gives(&["C 421", "B QUIT", "close"]);
}

#[test]
fn a_transfer_answered_with_200_does_not_end_the_search_for_step() {
    let mut script = Script::ready(rules());
    script.flowing("STOR a");
    script
        .flowed(500, Client, End::Reset)
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
    script
        .ended(Backend, End::Aborted)
        .gives(&["close data", "C 426"]);
    script.client("SIZE b").gives(&[]);
    script.backend("200 Done").gives(&[]);
    script.backend("225 Nothing to abort").gives(&[]);
    script.backend("257 \"/\"").gives(&["B SIZE b"]);
    script.backend("213 7").gives(&["C 213 7"]);
}

/// Field case E5.
#[test]
fn the_150_is_passed_on_at_once_and_comes_once() {
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.backend("150-Opening").gives(&["C 150-Opening"]);
    script.backend(" a moment").gives(&["C  a moment"]);
    script.backend("150 Opening").gives(&["C 150 Opening"]);
    script.backend("125 Again").gives(&[]);
}

#[test]
fn half_a_reply_is_ended_before_another_one_begins() {
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.backend("150-Opening").gives(&["C 150-Opening"]);
    script
        .client("ABOR")
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
    script
        .ended(Backend, End::Aborted)
        .gives(&["end client unfinished"]);
    script.ended(Client, End::Aborted).gives(&[
        "close data",
        "C 150 The server's",
        "C 426 Transfer aborted",
        "C 226",
    ]);

    let mut script = Script::ready(rules());
    script.client("STAT").gives(&["B STAT"]);
    script.backend("211-Status").gives(&["C 211-Status"]);
    script.waits(Duration::from_secs(60)).gives(&[
        "C 211 The server's",
        "C 421",
        "B QUIT",
        "close",
    ]);
}

#[test]
fn abor_ends_both_legs_and_has_two_replies() {
    let mut script = Script::ready(rules());
    script.flowing("RETR a");
    script
        .client("ABOR")
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
    script
        .flowed(500, Backend, End::Aborted)
        .gives(&["end client reset"]);
    script.ended(Client, End::Aborted).gives(&[
        "close data",
        "C 426 Transfer aborted",
        "C 226 Aborted",
    ]);
    script.backend("426 Aborted").gives(&[]);
    script.backend("226 Aborted").gives(&[]);
    script.backend("257 \"/\"").gives(&[]);
    script.client("ABOR").gives(&["C 225"]);
    script.works();
}

#[test]
fn abor_behind_other_commands_keeps_its_place_among_the_replies() {
    let mut script = Script::ready(rules());
    script.flowing("RETR a");
    script.client("SIZE b").gives(&[]);
    script
        .client("ABOR")
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
    script
        .flowed(500, Backend, End::Aborted)
        .gives(&["end client reset"]);
    script
        .ended(Client, End::Aborted)
        .gives(&["close data", "C 426"]);
    script.backend("426 Aborted").gives(&[]);
    script.backend("226 Aborted").gives(&[]);
    script.backend("257 \"/\"").gives(&["B SIZE b"]);
    script.backend("213 7").gives(&["C 213 7", "C 225"]);
}

#[test]
fn quit_waits_for_the_transfer() {
    let mut script = Script::ready(rules());
    script.flowing("STOR a");
    script.client("QUIT").gives(&[]);
    script
        .flowed(500, Client, End::Clean)
        .gives(&["end backend clean"]);
    script.ended(Backend, End::Clean).gives(&[]);
    script
        .backend("226 Stored")
        .gives(&["close data", "C 226 Stored", "C 221", "B QUIT", "close"]);
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let mut script = Script::ready(rules());
    script.client("CWD a").gives(&["B CWD a"]);
    script.client("XYZZY").gives(&[]);
    script.client("SIZE b").gives(&[]);
    script.backend("250-Welcome").gives(&["C 250-Welcome"]);
    script.backend("").gives(&["C "]);
    script
        .backend("200 is text here")
        .gives(&["C 200 is text here"]);
    script
        .backend("250 Changed")
        .gives(&["C 250 Changed", "C 500", "B SIZE b"]);
    script.backend("213 7").gives(&["C 213 7"]);
}

#[test]
fn what_belongs_to_no_command_reaches_nobody() {
    let mut script = Script::ready(rules());
    script.flowing("RETR a");
    script.flowed(3, Backend, End::Clean).gives(&[]);
    script.backend("226 Done").gives(&["end client clean"]);
    script.backend("226 Done, really").gives(&[]);
    script
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226 Done"]);
    script.backend("226 And again").gives(&[]);
    assert!(script.noted(&Note::Unsolicited(occasion::DATA_CLOSED)));
    script.works();
}

#[test]
fn nothing_follows_a_transfer_that_was_given_up() {
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script
        .client("ABOR")
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
    script.backend("426 Aborted").gives(&[]);
    script.backend("226 Aborted").gives(&[]);
    script.backend("257 \"/\"").gives(&[]);
    // In step again, and the legs are not over yet: no 150, no second final reply.
    script.backend("226 By the way").gives(&[]);
    script
        .ended(Backend, End::Aborted)
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Aborted)
        .gives(&["close data", "C 426", "C 226"]);
    script.works();
}

#[test]
fn a_421_of_the_backend_in_each_phase() {
    let last = ["C 421", "B QUIT", "close"];
    let lost = ["C 421", "close"];
    let mut greeting = Script::secured(rules());
    greeting.client("USER ann").gives(&["connect"]);
    greeting.backend("421 Too many").gives(&lost);

    Script::ready(rules()).backend("421 Timeout").gives(&lost);

    let mut forwarding = Script::ready(rules());
    forwarding.client("CWD a").gives(&["B CWD a"]);
    forwarding
        .backend("421 Going down")
        .gives(&["C 421 Going down", "B QUIT", "close"]);

    let mut features = Script::ready(rules());
    features.client("FEAT").gives(&["B FEAT"]);
    features.backend("421 Going down").gives(&lost);

    let mut planning = Script::ready(rules());
    planning.client("EPSV").gives(&["listen", "B EPSV"]);
    planning.backend("421 Going down").gives(&lost);

    let mut transfer = Script::ready(rules());
    transfer.client("RETR a").gives(&["open", "B RETR a"]);
    transfer
        .backend("421 Going down")
        .gives(&["end backend reset"]);
    transfer
        .ended(Backend, End::Aborted)
        .gives(&["end client unfinished"]);
    transfer
        .ended(Client, End::Aborted)
        .gives(&["close data", last[0], last[1], last[2]]);

    // ABOR comes between the 421 and the end of the data: the gate's own verdict, and then the end.
    let mut overtaken = Script::ready(rules());
    overtaken.flowing("RETR a");
    overtaken.backend("421 Going down").gives(&[]);
    overtaken.client("ABOR").gives(&["end backend reset"]);
    overtaken
        .flowed(5, Backend, End::Aborted)
        .gives(&["end client reset"]);
    overtaken.ended(Client, End::Aborted).gives(&[
        "close data",
        "C 426",
        "C 226",
        "C 421",
        "close",
    ]);

    let mut resync = Script::ready(rules());
    resync.flowing("RETR a");
    resync
        .client("ABOR")
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
    resync
        .backend("421 Enough")
        .gives(&["close data", "C 421", "close"]);
}

#[test]
fn a_lost_backend_is_told() {
    let mut idle = Script::ready(rules());
    idle.backend_lost(Loss::Closed).gives(&["C 421", "close"]);

    let mut transfer = Script::ready(rules());
    transfer.flowing("RETR a");
    transfer
        .backend_lost(Loss::Broken)
        .gives(&["close data", "C 421", "close"]);
}

#[test]
fn a_client_that_is_gone_leaves_nothing_behind() {
    let mut script = Script::ready(rules());
    script.flowing("STOR a");
    script
        .news(FromClient::Lost(Loss::Closed))
        .gives(&["close data", "B QUIT", "close"]);
    assert!(script.is_over());
    script.backend("226 Stored").gives(&[]);
}

#[test]
fn a_drain_waits_for_the_transfer() {
    let mut script = Script::ready(rules());
    script.flowing("RETR a");
    script.drain().gives(&[]);
    script.flowed(3, Backend, End::Clean).gives(&[]);
    script.backend("226 Done").gives(&["end client clean"]);
    script.ended(Client, End::Clean).gives(&[
        "close data",
        "C 226",
        "C 421 The gate",
        "B QUIT",
        "close",
    ]);
}

/// Found by fuzzing: the rest of a reply that nobody asked for went to whoever asked next.
#[test]
fn what_began_astray_ends_astray() {
    let mut script = Script::ready_clear(clear());
    script.backend("211-Did you know").gives(&[]);
    script.client("SIZE a").gives(&["B SIZE a"]);
    script.backend("213 7").gives(&[]);
    script.backend("211 that").gives(&[]);
    assert!(script.noted(&Note::Unsolicited(occasion::FEATURES)));
    script.backend("213 8").gives(&["C 213 8"]);
    // The same while only the client's port is still to come.
    script.client("EPSV").gives(&["listen", "B EPSV"]);
    script.backend("229 Here (|||4711|)").gives(&[]);
    script.backend("211-Or this").gives(&[]);
    script.passive().gives(&["C 229"]);
    script.client("SIZE a").gives(&["B SIZE a"]);
    script.backend("211 that").gives(&[]);
    script.backend("213 8").gives(&["C 213 8"]);
}
