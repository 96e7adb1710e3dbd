//! Members of a pool that fail before they have heard of the client, and those that are tried in their place.

use std::time::Duration;

use sluicegate::dialog::{FromBackend, Input, Loss, Note, Side};
use sluicegate::limits::{BACKEND_CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT, LOGIN_TIMEOUT, REACH_SLACK};
use sluicegate::policy::{BackendTls, SiteRules};

use crate::script::{Script, clear, rules};

/// What the first of three members has.
const SHARE: Duration = Duration::from_secs(3);

/// What is told when the last one has failed by its own doing.
const LOST: [&str; 2] = ["C 421 The connection to the server is lost", "close"];

/// USER has been said, and a member behind which others wait is there.
fn first(rules: SiteRules) -> Script {
    let mut script = Script::secured(rules);
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::ReachedFor(SHARE));
    script
}

fn implicit() -> SiteRules {
    SiteRules {
        backend_tls: BackendTls::Implicit,
        ..rules()
    }
}

/// A member that is well, from its TCP on: the client notices nothing but the time.
fn serves(mut script: Script) {
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["B AUTH TLS"]);
    script.backend("234 Go").gives(&["secure backend"]);
    assert!(!script.noted(&Note::BackendReady));
    script.reached(FromBackend::Secured).gives(&["B USER ann"]);
    assert!(script.noted(&Note::BackendReady));
    script.backend("331 Password").gives(&["C 331 Password"]);
    script.client("PASS secret").gives(&["B PASS secret"]);
    script.backend("230 In").gives(&["C 230 In"]);
}

#[test]
fn whoever_fails_before_its_greeting_is_passed_over() {
    for (news, early) in [
        (FromBackend::Lost(Loss::Closed), "pass over Closed"),
        (FromBackend::Lost(Loss::Broken), "pass over Broken"),
        (FromBackend::TooLong, "pass over NoFtp"),
        (
            FromBackend::Line(b"SSH-2.0-OpenSSH_9.2".to_vec()),
            "pass over NoFtp([83, 83, 72",
        ),
        (
            FromBackend::Line(b"421 Too many users".to_vec()),
            "pass over Refused([52, 50, 49, 32, 84",
        ),
        (
            FromBackend::Line(b"530 Not you".to_vec()),
            "pass over Refused",
        ),
    ] {
        let mut script = first(rules());
        script.gives(&[]);
        script.reached(news).gives(&[early]);
        serves(script);
    }
}

#[test]
fn whoever_fails_at_tls_is_passed_over_and_nothing_of_it_is_kept() {
    let greeted = || {
        let mut script = first(rules());
        script.gives(&[]);
        script.backend("220 Hello").gives(&["B AUTH TLS"]);
        script
    };
    for refusal in ["502 What?", "431 No certificate", "421 Going down"] {
        let mut script = greeted();
        script.backend(refusal).gives(&["pass over NoTls"]);
        serves(script);
    }
    for (loss, early) in [
        (Loss::Handshake, "pass over Handshake"),
        (Loss::Injection, "pass over Injection"),
    ] {
        let mut script = greeted();
        script.backend("234 Go").gives(&["secure backend"]);
        script.backend_lost(loss).gives(&[early]);
        assert_eq!(
            script.noted(&Note::Injected(Side::Backend)),
            loss == Loss::Injection
        );
        serves(script);
    }
    // Half a reply of the one belongs to no other.
    let mut script = first(rules());
    script.gives(&[]);
    script.backend("220-Hello").gives(&[]);
    script
        .backend_lost(Loss::Closed)
        .gives(&["pass over Closed"]);
    serves(script);
}

#[test]
fn implicit_tls_that_fails_is_passed_over_too() {
    let mut script = first(implicit());
    script.gives(&["secure backend"]);
    script
        .backend_lost(Loss::Handshake)
        .gives(&["pass over Handshake"]);
    script
        .reached(FromBackend::Reached)
        .gives(&["secure backend"]);
    script.reached(FromBackend::Secured).gives(&[]);
    script.backend("220 Hello").gives(&["B USER ann"]);
}

#[test]
fn whoever_keeps_others_waiting_has_its_share_of_time_for_everything() {
    // Silent from the beginning.
    let mut script = first(rules());
    script.gives(&[]);
    script.waits(SHARE).gives(&["pass over Silent"]);
    serves(script);

    // What it takes for one step it has not for the next one.
    let mut script = first(rules());
    script.gives(&[]);
    script.passes(Duration::from_secs(2));
    script.backend("220 Hello").gives(&["B AUTH TLS"]);
    script
        .waits(Duration::from_secs(1))
        .gives(&["pass over Silent"]);
    serves(script);

    // Silent within its handshake.
    let mut script = first(implicit());
    script.gives(&["secure backend"]);
    script.waits(SHARE).gives(&["pass over Silent"]);
    // The last one has as long as if it were alone.
    script
        .reached(FromBackend::Reached)
        .gives(&["secure backend"]);
    script.waits(HANDSHAKE_TIMEOUT).gives(&["pass over Silent"]);
}

#[test]
fn whoever_is_ready_is_not_held_to_its_share_any_more() {
    let mut script = first(SiteRules {
        backend_tls: BackendTls::Off,
        ..rules()
    });
    script.gives(&[]);
    script.backend("220 Hello").gives(&["B USER ann"]);
    script.passes(SHARE * 2);
    script.step(Input::Deadline).gives(&[]);
    script.backend("331 Password").gives(&["C 331 Password"]);
}

#[test]
fn a_connection_that_does_not_come_about_is_bounded_again() {
    let mut script = first(rules());
    script.gives(&[]);
    script
        .backend_lost(Loss::Closed)
        .gives(&["pass over Closed"]);
    script
        .waits(BACKEND_CONNECT_TIMEOUT + REACH_SLACK)
        .gives(&["C 421 The server did not answer in time", "close"]);
}

/// Whoever dials has the last word on its own time: it knows whom it has tried.
#[test]
fn members_that_cannot_be_reached_in_time_are_told_by_whoever_dials() {
    let mut script = Script::secured(rules());
    script.client("USER ann").gives(&["connect"]);
    script.passes(BACKEND_CONNECT_TIMEOUT);
    script.step(Input::Deadline).gives(&[]);
    script
        .reached(FromBackend::Unreachable)
        .gives(&["C 421 No server is available", "close"]);
}

/// However many members there are, all of them together have the time of a login.
#[test]
fn members_that_fail_do_not_put_off_the_end_of_the_login() {
    let mut script = first(rules());
    script.gives(&[]);
    let step = Duration::from_secs(2);
    let steps = u32::try_from(LOGIN_TIMEOUT.as_secs() / step.as_secs()).expect("a few");
    for _ in 1..steps {
        script.passes(step);
        script
            .backend_lost(Loss::Closed)
            .gives(&["pass over Closed"]);
        script.reached(FromBackend::ReachedFor(SHARE)).gives(&[]);
    }
    script
        .waits(step)
        .gives(&["C 421 Login took too long", "close"]);
}

/// The last one tells what the client hears, as if it had been the only one.
#[test]
fn when_all_have_failed_the_client_hears_of_the_last_one() {
    let mut script = first(rules());
    script.gives(&[]);
    script.waits(SHARE).gives(&["pass over Silent"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script
        .backend("421 Too many users")
        .passes_over("Refused")
        .gives(&LOST);

    let mut script = first(rules());
    script.gives(&[]);
    script
        .backend("421 Too many users")
        .gives(&["pass over Refused"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script
        .waits(BACKEND_CONNECT_TIMEOUT)
        .passes_over("Silent")
        .gives(&["C 421 The server did not answer in time", "close"]);
}

#[test]
fn whoever_has_heard_of_the_client_is_not_passed_over() {
    let named = || {
        let mut script = first(SiteRules {
            backend_tls: BackendTls::Off,
            ..rules()
        });
        script.gives(&[]);
        script.backend("220 Hello").gives(&["B USER ann"]);
        script
    };
    named().backend_lost(Loss::Closed).gives(&LOST);
    named()
        .backend("421 Too many like you")
        .gives(&["C 421 Too many like you", "B QUIT", "close"]);
    named()
        .reached(FromBackend::Line(b"hello".to_vec()))
        .gives(&LOST);
}

#[test]
fn what_the_client_says_meanwhile_waits_for_whoever_serves() {
    let mut script = Script::open(clear());
    script.client("USER ann").gives(&["connect"]);
    script.client("PASS secret").gives(&[]);
    script.reached(FromBackend::ReachedFor(SHARE)).gives(&[]);
    script
        .backend_lost(Loss::Broken)
        .gives(&["pass over Broken"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["B USER ann"]);
    script
        .backend("331 Password")
        .gives(&["C 331 Password", "B PASS secret"]);
}
