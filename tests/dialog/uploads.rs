//! Rules 2, 3, 5 and 7 for uploads: no false empties, and no truncated file that passes for a whole one.

use std::time::Duration;

use sluicegate::dialog::Side::{Backend, Client};
use sluicegate::dialog::{DataNews, End, Note, Phase};
use sluicegate::limits;
use sluicegate::policy::{OnUnfinished, SiteRules};

use crate::script::{Script, clear, rules};

#[test]
fn a_whole_file() {
    let mut script = Script::ready(rules());
    script.flowing("STOR a");
    script
        .flowed(10 << 20, Client, End::Clean)
        .gives(&["end backend clean"]);
    script.ended(Backend, End::Clean).gives(&[]);
    script
        .backend("226 Stored")
        .gives(&["close data", "C 226 Stored"]);
    script.works();
}

#[test]
fn an_empty_file_comes_to_exist() {
    let mut script = Script::ready(rules());
    script.client("STOR empty").gives(&["open", "B STOR empty"]);
    script.backend("150 Opening").gives(&["C 150"]);
    script.up(Client);
    // Its end is noticed before the backend's leg is secured.
    script.ended(Client, End::Clean).gives(&[]);
    script.data(DataNews::Connected(Backend)).gives(&[]);
    script
        .data(DataNews::Up(Backend))
        .gives(&["end backend clean"]);
    script.ended(Backend, End::Clean).gives(&[]);
    script
        .backend("226 Stored")
        .gives(&["close data", "C 226 Stored"]);
}

/// An upload whose backend leg is up, and whose client leg ends like this before it is.
fn false_empty(rules: SiteRules, end: End) -> Script {
    let mut script = Script::ready(rules);
    script.client("STOR a").gives(&["open", "B STOR a"]);
    script.backend("150 Opening").gives(&["C 150"]);
    script.up(Backend);
    script.data(DataNews::Connected(Client)).gives(&[]);
    script.ended(Client, end);
    script
}

/// Field case E9.
#[test]
fn a_bare_close_is_no_empty_file() {
    for end in [End::Bare, End::HandshakeFailed] {
        let mut script = false_empty(rules(), end);
        script.gives(&["B ABOR", "B PWD", "end backend reset"]);
        script
            .ended(Backend, End::Aborted)
            .gives(&["close data", "C 425 The client's"]);
        assert!(script.noted(&Note::FalseEmptyRefused(end)));
        script.backend("426 Incomplete").gives(&[]);
        script.backend("226 Aborted").gives(&[]);
        script.backend("257 \"/\"").gives(&[]);
        script.works();
    }
}

#[test]
fn an_upload_that_must_resume_and_does_not_is_no_file() {
    let mut script = false_empty(rules(), End::NotResumed);
    script.gives(&["B ABOR", "B PWD", "end backend reset"]);
    script.ended(Backend, End::Aborted).gives(&[
        "close data",
        "C 522 The client's data connection must resume the TLS session of its control connection",
    ]);
    script.backend("426 Incomplete").gives(&[]);
    script.backend("226 Aborted").gives(&[]);
    script.backend("257 \"/\"").gives(&[]);
    script.works();
}

#[test]
fn a_bare_close_may_be_allowed() {
    let allowed = SiteRules {
        bare_uploads: true,
        ..rules()
    };
    let mut script = false_empty(allowed, End::Bare);
    script.gives(&["end backend clean"]);
    script.ended(Backend, End::Clean).gives(&[]);
    script.backend("226 Stored").gives(&["close data", "C 226"]);
}

#[test]
fn a_client_that_never_connects_leaves_no_empty_file() {
    let mut script = Script::ready(rules());
    script.client("STOR a").gives(&["open", "B STOR a"]);
    script.backend("150 Opening").gives(&["C 150"]);
    script.up(Backend);
    script
        .waits(Duration::from_secs(15))
        .gives(&["B ABOR", "B PWD", "end client unfinished"]);
    script
        .ended(Client, End::Aborted)
        .gives(&["end backend reset"]);
    script
        .ended(Backend, End::Aborted)
        .gives(&["close data", "C 425 The client's"]);
    assert!(script.noted(&Note::Overran(Client, Phase::Connect)));
}

#[test]
fn a_broken_upload_is_reset_towards_the_backend() {
    let mut script = Script::ready(rules());
    script.flowing("STOR a");
    script
        .flowed(500, Client, End::Reset)
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
    script
        .ended(Backend, End::Aborted)
        .gives(&["close data", "C 426 The client's"]);
    // pyftpdlib calls even that a success; it does not reach anybody.
    script.backend("226 Stored").gives(&[]);
    script.backend("225 Nothing").gives(&[]);
    script.backend("257 \"/\"").gives(&[]);
    script.works();
}

#[test]
fn unfinished_uploads_by_policy() {
    let unfinished = |client_unfinished| {
        let mut script = Script::ready(SiteRules {
            client_unfinished,
            ..rules()
        });
        script.flowing("STOR a");
        script.flowed(500, Client, End::Unfinished);
        assert!(script.noted(&Note::Unfinished(Client)));
        script
    };
    let mut mirror = unfinished(OnUnfinished::Mirror);
    mirror.gives(&["end backend unfinished"]);
    mirror.ended(Backend, End::Unfinished).gives(&[]);
    mirror
        .backend("426 Not whole")
        .gives(&["close data", "C 426 Not whole"]);

    let mut repair = unfinished(OnUnfinished::Repair);
    repair.gives(&["end backend clean"]);
    repair.ended(Backend, End::Clean).gives(&[]);
    repair
        .backend("226 Stored")
        .gives(&["close data", "C 226 Stored"]);

    let mut reject = unfinished(OnUnfinished::Reject);
    reject.gives(&["B ABOR", "B PWD", "end backend reset"]);
    reject
        .ended(Backend, End::Aborted)
        .gives(&["close data", "C 426 The client's"]);
}

#[test]
fn a_clear_backend_leg_mirrors_with_fin() {
    let mut script = Script::ready_clear(clear());
    script
        .client("STOR a")
        .gives(&["open (Clear, Clear)", "B STOR a"]);
    script.backend("150 Opening").gives(&["C 150"]);
    script.up(Backend);
    script.up(Client);
    script
        .flowed(500, Client, End::Unfinished)
        .gives(&["end backend unfinished"]);
    script.ended(Backend, End::Clean).gives(&[]);
    script.backend("226 Stored").gives(&["close data", "C 226"]);
}

#[test]
fn a_success_that_the_backend_never_took_is_none() {
    // It says 226 and never opens the data connection: the client's file is not there.
    let mut script = Script::ready(rules());
    script.client("STOR a").gives(&["open", "B STOR a"]);
    script.backend("226 Stored").gives(&["C 150"]);
    script.up(Client);
    script
        .waits(Duration::from_secs(15))
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Aborted)
        .gives(&["end backend reset"]);
    script
        .ended(Backend, End::Aborted)
        .gives(&["close data", "C 425 The server's"]);
    script.works();

    let mut script = Script::ready(rules());
    script.client("STOR a").gives(&["open", "B STOR a"]);
    script.ended(Backend, End::Refused).gives(&[]);
    script
        .backend("226 Stored")
        .gives(&["C 150", "end client unfinished"]);
    script
        .ended(Client, End::Aborted)
        .gives(&["close data", "C 425 The server's"]);
}

#[test]
fn a_backend_that_stops_taking_bytes_may_say_why() {
    let mut script = Script::ready(rules());
    script.flowing("STOR a");
    script.flowed(500, Backend, End::Reset).gives(&[]);
    script
        .backend("552 Disk full")
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 552 Disk full"]);

    let mut script = Script::ready(rules());
    script.flowing("STOR a");
    script.backend("552 Disk full").gives(&["end client reset"]);
    script
        .flowed(500, Client, End::Aborted)
        .gives(&["end backend reset"]);
    script
        .ended(Backend, End::Aborted)
        .gives(&["close data", "C 552 Disk full"]);
    script.works();
}

/// Found by `tests/model`: the deadline of the backend's leg fired while the client's was being ended, and became the reply.
#[test]
fn a_refusal_stays_the_reply_while_the_legs_are_ended() {
    let mut script = Script::ready(rules());
    script.client("STOR a").gives(&["open", "B STOR a"]);
    script.up(Client);
    script
        .backend("553 Not here")
        .gives(&["end client unfinished"]);
    script.waits(limits::DATA_CONNECT_TIMEOUT).gives(&[]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["end backend reset"]);
    script
        .ended(Backend, End::Refused)
        .gives(&["close data", "C 553 Not here"]);
    script.works();
}

#[test]
fn a_success_that_comes_before_the_last_byte_was_taken_is_none() {
    let mut script = Script::ready(rules());
    script.flowing("STOR a");
    script.flowed(500, Backend, End::Clean).gives(&[]);
    script
        .backend("226 Enough")
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 426 The server's"]);
}
