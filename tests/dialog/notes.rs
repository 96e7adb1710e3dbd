//! What is told to those who record: every transfer exactly once, also the one that its session leaves behind.

use sluicegate::dialog::Side::{Backend, Client};
use sluicegate::dialog::{Account, DataNews, End, FromClient, Loss, Note};
use sluicegate::ftp::{Code, Direction, Verb, occasion};

use crate::script::{Script, rules};

/// The transfers that were told.
fn accounts(script: &Script) -> Vec<&Account> {
    fn account(note: &Note) -> Option<&Account> {
        match note {
            Note::Transferred(account) => Some(account),
            _ => None,
        }
    }
    script.notes.iter().filter_map(account).collect()
}

fn refusals(script: &Script) -> Vec<(Option<Verb>, Code)> {
    let refusal = |note: &Note| match note {
        Note::Refused(verb, code) => Some((*verb, *code)),
        _ => None,
    };
    script.notes.iter().filter_map(refusal).collect()
}

#[test]
fn a_transfer_is_told_with_its_path_and_its_reply() {
    let mut script = Script::ready(rules());
    script.client("REST 7").gives(&["B REST 7"]);
    script.backend("350 Go on").gives(&["C 350 Go on"]);
    script.flowing("RETR a b");
    script.flowed(3, Backend, End::Clean).gives(&[]);
    script.backend("226 Fine").gives(&["end client clean"]);
    script
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226 Fine"]);
    let expected = Account {
        verb: Verb::Retr,
        path: b"a b".to_vec(),
        offset: 7,
        ascii: true,
        direction: Direction::Download,
        bytes: 3,
        client: End::Clean,
        backend: End::Clean,
        code: Some(occasion::DATA_CLOSED),
        aborted: false,
        cut: false,
    };
    assert_eq!(accounts(&script), [&expected]);
}

#[test]
fn a_client_that_is_lost_amid_a_transfer_leaves_it_told() {
    let mut script = Script::ready(rules());
    script.flowing("STOR file");
    script.data(DataNews::Moved(5)).gives(&[]);
    script
        .news(FromClient::Lost(Loss::Broken))
        .gives(&["close data", "B QUIT", "close"]);
    let [account] = accounts(&script)[..] else {
        panic!("told once")
    };
    assert_eq!(
        (account.bytes, account.code, account.cut),
        (5, None, true),
        "nobody has heard a reply"
    );
    assert!(!script.noted(&Note::EmptyCompleted(End::Aborted)));
}

#[test]
fn a_drain_that_cuts_a_transfer_tells_what_the_client_heard() {
    let mut script = Script::ready(rules());
    script.flowing("RETR file");
    script.drain().gives(&[]);
    script
        .drain()
        .gives(&["close data", "C 421 The gate stops now", "B QUIT", "close"]);
    let [account] = accounts(&script)[..] else {
        panic!("told once")
    };
    assert_eq!((account.code, account.cut), (Some(occasion::CLOSING), true));
}

#[test]
fn the_type_counts_that_the_backend_has_taken() {
    let mut script = Script::ready(rules());
    for (command, reply, expected) in [
        ("TYPE I", "200 Image", false),
        ("TYPE A", "504 Not here", false),
        ("TYPE A N", "200 Lines", true),
    ] {
        let (passed, told) = (format!("B {command}"), format!("C {reply}"));
        script.client(command).gives(&[&passed]);
        script.backend(reply).gives(&[&told]);
        script.notes.clear();
        script.arrange();
        script.flowing("RETR file");
        script.flowed(3, Backend, End::Clean).gives(&[]);
        script.backend("226 Fine").gives(&["end client clean"]);
        script
            .ended(Client, End::Clean)
            .gives(&["close data", "C 226 Fine"]);
        assert_eq!(accounts(&script)[0].ascii, expected, "{command}");
    }
}

#[test]
fn what_the_gate_refuses_is_told_with_the_reply() {
    let mut script = Script::ready(rules());
    script.client("SSCN ON");
    script.client("PORT 192,0,2,99,10,10");
    script.client("hunter2");
    let told = refusals(&script);
    assert_eq!(
        told.iter().map(|(verb, _)| *verb).collect::<Vec<_>>(),
        [Some(Verb::Sscn), Some(Verb::Port), None]
    );
    assert!(told.iter().all(|(_, code)| code.is_failure()));
}
