//! Rules 1, 2, 4, 5 and 7 for downloads: empty ones above all.

use std::time::Duration;

use sluicegate::dialog::Side::{Backend, Client};
use sluicegate::dialog::{DataNews, End, Loss, Note, Phase};
use sluicegate::limits;
use sluicegate::policy::{OnEmpty, OnUnfinished, SiteRules};

use crate::script::{Script, clear, rules};

/// The client's half of an empty completion: its leg comes up, ends clean, and only then the reply.
fn completes(script: &mut Script) {
    script.data(DataNews::Connected(Client)).gives(&[]);
    script
        .data(DataNews::Up(Client))
        .gives(&["end client clean"]);
    script
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226"]);
    script.works();
}

#[test]
fn the_apar_a_bare_close_becomes_an_empty_file() {
    let mut script = Script::ready(rules());
    script.client("RETR empty").gives(&["open", "B RETR empty"]);
    script.backend("150 Opening").gives(&["C 150 Opening"]);
    script.data(DataNews::Connected(Backend)).gives(&[]);
    script.ended(Backend, End::Bare).gives(&[]);
    script.backend("226 Done").gives(&[]);
    completes(&mut script);
    assert!(script.noted(&Note::EmptyCompleted(End::Bare)));
}

#[test]
fn a_download_that_must_resume_and_does_not_is_refused_also_where_the_backend_is_through() {
    let mut script = Script::ready(rules());
    script.client("RETR empty").gives(&["open", "B RETR empty"]);
    script.backend("150 Opening").gives(&["C 150 Opening"]);
    script.ended(Backend, End::Bare).gives(&[]);
    script.backend("226 Done").gives(&[]);
    script.data(DataNews::Connected(Client)).gives(&[]);
    script.ended(Client, End::NotResumed).gives(&[
        "close data",
        "C 522 The client's data connection must resume",
    ]);
    script.works();
}

#[test]
fn the_reply_may_come_before_the_bare_close() {
    let mut script = Script::ready(rules());
    script.client("RETR empty").gives(&["open", "B RETR empty"]);
    script.backend("150 Opening").gives(&["C 150 Opening"]);
    script.data(DataNews::Connected(Client)).gives(&[]);
    script.data(DataNews::Up(Client)).gives(&[]);
    script.data(DataNews::Connected(Backend)).gives(&[]);
    script.backend("226 Done").gives(&[]);
    script
        .ended(Backend, End::Bare)
        .gives(&["end client clean"]);
    script
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226 Done"]);
    script.works();
}

#[test]
fn a_backend_that_leaves_behind_its_success_takes_nothing_with_it() {
    let success = |script: &mut Script| {
        script.client("RETR file").gives(&["open", "B RETR file"]);
        script.backend("150 Opening").gives(&["C 150 Opening"]);
        for side in [Client, Backend] {
            script.data(DataNews::Connected(side)).gives(&[]);
            script.data(DataNews::Up(side)).gives(&[]);
        }
        script.backend("226 Done").gives(&[]);
    };
    let ends = |script: &mut Script| {
        let bytes = 1_000_000;
        let (side, end) = (Backend, End::Clean);
        script
            .data(DataNews::Flowed { bytes, side, end })
            .gives(&["end client clean"]);
        script
            .ended(Client, End::Clean)
            .gives(&["close data", "C 226 Done", "C 421", "close"]);
    };
    let mut script = Script::ready(rules());
    success(&mut script);
    script.backend_lost(Loss::Closed).gives(&[]);
    ends(&mut script);
    let mut script = Script::ready(rules());
    success(&mut script);
    script.backend("421 Going down").gives(&[]);
    ends(&mut script);
}

#[test]
fn a_success_without_ever_taking_data_is_an_empty_file() {
    let mut script = Script::ready(rules());
    script.client("RETR empty").gives(&["open", "B RETR empty"]);
    script.ended(Backend, End::Refused).gives(&[]);
    script.backend("226 Nothing to send").gives(&["C 150"]);
    completes(&mut script);
    assert!(script.noted(&Note::EmptyCompleted(End::Refused)));
}

#[test]
fn a_success_that_the_gate_could_not_take_is_none() {
    let mut script = Script::ready(rules());
    script.client("RETR file").gives(&["open", "B RETR file"]);
    script.backend("150 Opening").gives(&["C 150 Opening"]);
    script.up(Client);
    script.ended(Backend, End::NotTaken).gives(&[]);
    script.backend("226 Done").gives(&["end client unfinished"]);
    script.ended(Client, End::Unfinished).gives(&[
        "close data",
        "C 425 The server's data connection could not be taken",
    ]);
    script.works();
}

#[test]
fn a_success_without_an_answer_on_the_data_port_is_an_empty_file_too() {
    let mut script = Script::ready(rules());
    script.client("NLST").gives(&["open", "B NLST"]);
    script.backend("226 Nothing to send").gives(&["C 150"]);
    script.up(Client);
    script
        .waits(limits::LINGER_TIMEOUT)
        .gives(&["end backend reset"]);
    script
        .ended(Backend, End::Refused)
        .gives(&["end client clean"]);
    script
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226 Nothing to send"]);
    script.works();
}

#[test]
fn a_success_and_a_handshake_that_never_comes_is_one_as_well() {
    let mut script = Script::ready(rules());
    script.client("LIST").gives(&["open", "B LIST"]);
    script.backend("150 Here").gives(&["C 150 Here"]);
    script.data(DataNews::Connected(Backend)).gives(&[]);
    script.up(Client);
    script.backend("226 Done").gives(&[]);
    script
        .waits(limits::LINGER_TIMEOUT)
        .gives(&["end backend reset"]);
    script
        .ended(Backend, End::Bare)
        .gives(&["end client clean"]);
    script
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226 Done"]);
}

#[test]
fn an_empty_listing_that_ends_clean() {
    for command in ["LIST", "NLST", "MLSD"] {
        let mut script = Script::ready(rules());
        script.flowing(command);
        script.flowed(0, Backend, End::Clean).gives(&[]);
        script.backend("226 Done").gives(&["end client clean"]);
        script
            .ended(Client, End::Clean)
            .gives(&["close data", "C 226 Done"]);
        assert!(script.noted(&Note::EmptyCompleted(End::Clean)));
    }
}

#[test]
fn the_final_reply_waits_for_the_data() {
    let mut script = Script::ready(rules());
    script.flowing("RETR big");
    script.backend("226 Sent into my buffers").gives(&[]);
    script
        .flowed(1 << 30, Backend, End::Clean)
        .gives(&["end client clean"]);
    script
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226 Sent"]);
}

#[test]
fn nothing_ends_clean_before_the_backend_has_said_so() {
    let mut script = Script::ready(rules());
    script.flowing("RETR big");
    script.flowed(1000, Backend, End::Clean).gives(&[]);
    script
        .backend("451 Disk failed")
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 451 Disk failed"]);
    script.works();
}

#[test]
fn what_was_received_is_delivered_although_the_backend_failed() {
    let mut script = Script::ready(rules());
    script.flowing("RETR big");
    script.backend("426 Failed").gives(&[]);
    script
        .flowed(500, Backend, End::Reset)
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 426 Failed"]);
}

/// Field case P16.
#[test]
fn a_broken_source_is_never_a_success() {
    let mut script = Script::ready(rules());
    script.flowing("RETR big");
    script.flowed(500, Backend, End::Reset).gives(&[]);
    script
        .backend("226 All fine")
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 426 The server's"]);
    script.works();
}

#[test]
fn a_broken_source_resets_a_clear_client() {
    let mut script = Script::ready_clear(clear());
    script
        .client("RETR big")
        .gives(&["open (Clear, Clear)", "B RETR big"]);
    script.backend("150 Opening").gives(&["C 150"]);
    script.up(Backend);
    script.up(Client);
    script.flowed(500, Backend, End::Reset).gives(&[]);
    script.backend("226 All fine").gives(&["end client reset"]);
    script
        .ended(Client, End::Aborted)
        .gives(&["close data", "C 426"]);
}

#[test]
fn unfinished_downloads_by_policy() {
    let unfinished = |backend_unfinished| {
        let mut script = Script::ready(SiteRules {
            backend_unfinished,
            ..rules()
        });
        script.flowing("RETR big");
        script.flowed(500, Backend, End::Unfinished).gives(&[]);
        assert!(script.noted(&Note::Unfinished(Backend)));
        script
    };
    let mut mirror = unfinished(OnUnfinished::Mirror);
    mirror.backend("226 Done").gives(&["end client unfinished"]);
    mirror
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 226 Done"]);

    let mut repair = unfinished(OnUnfinished::Repair);
    repair.backend("226 Done").gives(&["end client clean"]);
    repair
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226 Done"]);
    let mut repair = unfinished(OnUnfinished::Repair);
    repair
        .backend("426 Failed")
        .gives(&["end client unfinished"]);
    repair
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 426 Failed"]);

    let mut reject = unfinished(OnUnfinished::Reject);
    reject.backend("226 Done").gives(&["end client unfinished"]);
    reject
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 426 The server's"]);
}

/// A RETR that the backend calls a success without having sent a byte, its leg ended like this.
fn empty(on_empty: OnEmpty, before: &str, end: End) -> Script {
    let mut script = Script::ready(SiteRules {
        on_empty,
        ..rules()
    });
    if !before.is_empty() {
        script.client(before).gives(&[&format!("B {before}")]);
        script.backend("350 Noted").gives(&["C 350 Noted"]);
    }
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.backend("150 Opening").gives(&["C 150"]);
    script.up(Client);
    script.data(DataNews::Connected(Backend)).gives(&[]);
    script.ended(Backend, end).gives(&[]);
    script
}

/// Field case E12.
#[test]
fn verify_asks_for_the_size() {
    for size in ["213 0", "550 No such thing", "502 What?"] {
        let mut script = empty(OnEmpty::Verify, "", End::Bare);
        script.backend("226 Done").gives(&["B SIZE a"]);
        script.backend(size).gives(&["end client clean"]);
        script
            .ended(Client, End::Clean)
            .gives(&["close data", "C 226 Done"]);
    }
    let mut script = empty(OnEmpty::Verify, "", End::Bare);
    script.backend("226 Done").gives(&["B SIZE a"]);
    script.backend("213 4096").gives(&["end client unfinished"]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 426 The server sent nothing"]);
    script.works();
}

#[test]
fn a_421_to_size_ends_the_session() {
    let mut script = empty(OnEmpty::Verify, "", End::Bare);
    script.backend("226 Done").gives(&["B SIZE a"]);
    script
        .backend("421 Going down")
        .gives(&["close data", "C 421", "close"]);
}

#[test]
fn verify_gives_size_its_own_time_and_listings_none() {
    let mut script = empty(OnEmpty::Verify, "", End::Bare);
    script.passes(Duration::from_secs(9));
    script.backend("226 Done").gives(&["B SIZE a"]);
    script
        .waits(Duration::from_secs(10))
        .gives(&["B ABOR", "B PWD", "end client unfinished"]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 42"]);

    let mut script = Script::ready(SiteRules {
        on_empty: OnEmpty::Verify,
        ..rules()
    });
    script.flowing("LIST");
    script.flowed(0, Backend, End::Clean).gives(&[]);
    script.backend("226 Done").gives(&["end client clean"]);
}

#[test]
fn a_file_that_was_whole_before_may_be_empty_from_there_on() {
    let mut script = empty(OnEmpty::Verify, "REST 4096", End::Clean);
    script.backend("226 Done").gives(&["B SIZE a"]);
    script.backend("213 4096").gives(&["end client clean"]);
    script
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226"]);
    let mut script = empty(OnEmpty::Verify, "REST 4096", End::Clean);
    script.backend("226 Done").gives(&["B SIZE a"]);
    script.backend("213 4097").gives(&["end client unfinished"]);
}

#[test]
fn reject_takes_only_clean_ends() {
    let mut script = empty(OnEmpty::Reject, "", End::Bare);
    script.backend("226 Done").gives(&["end client unfinished"]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 426"]);
    let mut script = empty(OnEmpty::Reject, "", End::Clean);
    script.backend("226 Done").gives(&["end client clean"]);
    script
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226"]);
}

#[test]
fn a_client_that_does_not_come_is_told_425() {
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.backend("150 Opening").gives(&["C 150"]);
    script.up(Backend);
    script
        .waits(Duration::from_secs(15))
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
    assert!(script.noted(&Note::Overran(Client, Phase::Connect)));
    script
        .ended(Backend, End::Aborted)
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Aborted)
        .gives(&["close data", "C 425 The client's"]);
    script.backend("426 Gone").gives(&[]);
    script.backend("226 Aborted").gives(&[]);
    script.backend("257 \"/\"").gives(&[]);
    assert!(script.noted(&Note::Resynchronised));
    script.works();
}

#[test]
fn a_failed_client_leg_is_never_a_success() {
    let mut script = Script::ready(rules());
    script.flowing("RETR a");
    script.flowed(500, Backend, End::Clean).gives(&[]);
    script.backend("226 Done").gives(&["end client clean"]);
    script
        .ended(Client, End::Reset)
        .gives(&["close data", "C 426 The client's"]);

    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.backend("150 Opening").gives(&["C 150"]);
    script.data(DataNews::Connected(Client)).gives(&[]);
    script
        .waits(Duration::from_secs(10))
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
}

/// A backend that sends, ends and fails before the client's leg is up: what has come is still in the kernel (rule 7).
#[test]
fn what_came_before_a_refusal_waits_for_a_client_that_was_told_to_come() {
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.backend("150 Opening").gives(&["C 150 Opening"]);
    script.up(Backend);
    script.backend("451 Disk error").gives(&[]);
    script.up(Client);
    script
        .flowed(5000, Backend, End::Clean)
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 451 Disk error"]);
    script.works();
}

#[test]
fn a_refusal_does_not_wait_for_a_client_that_does_not_come() {
    for is_connected in [false, true] {
        let mut script = Script::ready(rules());
        script.client("RETR a").gives(&["open", "B RETR a"]);
        script.backend("150 Opening").gives(&["C 150 Opening"]);
        script.up(Backend);
        script.backend("451 Disk error").gives(&[]);
        if is_connected {
            script.data(DataNews::Connected(Client)).gives(&[]);
        }
        let patience = rules().patience;
        let wait = match is_connected {
            true => patience.data_handshake,
            false => patience.data_connect,
        };
        script.waits(wait).gives(&["end client unfinished"]);
        script
            .ended(Client, End::Bare)
            .gives(&["end backend reset"]);
        script
            .ended(Backend, End::Aborted)
            .gives(&["close data", "C 451 Disk error"]);
        script.works();
    }
    // Without a 150 it does not know that it is to come.
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.up(Backend);
    script
        .backend("451 Disk error")
        .gives(&["end backend reset"]);
}
