//! The dialog between two model peers, exhaustively: every order of what they, the network and the clock may do.
//!
//! `cargo test --test model -- --nocapture` prints how many states there are and how deep they go. The rules that must hold
//! in each stand in `rules.rs`; `mutants.rs` holds gates that are wrong in one way each, and every one must be caught.

#![allow(
    clippy::panic,
    reason = "a test fails by panicking, also in its own functions"
)]

mod legs;
mod mutants;
mod peers;
mod perform;
mod rules;
mod scope;
mod sights;
mod world;

use std::sync::Arc;

use sluicegate::dialog::{Blame, Close, End, Side, Target};
use sluicegate::ftp::Direction;
use sluicegate::policy::{
    BackendCcc, ClientCcc, ClientTls, HostRules, OnEmpty, OnUnfinished, PassiveStyle, SiteRules,
};
use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};

use legs::Legs;
use mutants::Mutant;
use peers::{HOSTS, Kind, Say};
use scope::{Expected, RULES, Scope, clear, hasty, strict};
use sights::Sight;
use world::Move;

/// As far as a planned data connection.
fn planned(rules: &SiteRules) -> Vec<Move> {
    let says = Move::Client;
    let replies = |code| Move::Backend(Say::Reply(code));
    let is_private = rules.client_tls == ClientTls::Required;
    let mut moves = Vec::new();
    if is_private {
        moves.extend([says(Kind::Auth), Move::ClientSecured]);
    }
    moves.extend([says(Kind::User), Move::Reached, replies(220)]);
    if is_private {
        moves.extend([replies(234), Move::BackendSecured]);
    }
    moves.extend([replies(331), says(Kind::Pass), replies(230)]);
    if is_private {
        moves.extend([says(Kind::Pbsz), says(Kind::Prot)]);
    }
    moves.extend([says(Kind::Epsv), Move::Passive(Side::Client, true)]);
    if is_private {
        moves.extend([replies(200), replies(200)]);
    }
    if rules.passive.is_active() {
        moves.push(Move::Passive(Side::Backend, true));
    }
    moves.push(replies(match rules.passive {
        PassiveStyle::Port | PassiveStyle::Eprt => 200,
        PassiveStyle::Pasv => 227,
        PassiveStyle::Auto | PassiveStyle::Epsv => 229,
    }));
    moves
}

/// As far as a name that the backend knows.
fn named(_: &SiteRules) -> Vec<Move> {
    let replies = |code| Move::Backend(Say::Reply(code));
    vec![
        Move::Client(Kind::Auth),
        Move::ClientSecured,
        Move::Client(Kind::User),
        Move::Reached,
        replies(220),
        replies(234),
        Move::BackendSecured,
        replies(331),
    ]
}

/// Nothing behind it: the greeting.
fn greeted(_: &SiteRules) -> Vec<Move> {
    Vec::new()
}

/// Two commands, said at any time: transfers against each other, against ABOR, and against what is answered by the backend.
fn transfers() -> Scope {
    Scope {
        sites: vec![strict()],
        prologue: planned,
        kinds: &[Kind::Retr, Kind::Stor, Kind::Abor, Kind::Cwd],
        commands_max: 2,
        pipelines: true,
        lag_max: 1,
        losses: false,
        lines: false,
        mutant: None,
        sights: TRANSFERS,
    }
}

/// Two transfers in one session, each with a data connection of its own, whatever became of the first one.
fn sessions() -> Scope {
    Scope {
        kinds: &[Kind::Retr, Kind::Stor, Kind::Epsv],
        commands_max: 3,
        lag_max: 0,
        sights: &[],
        ..transfers()
    }
}

/// One transfer and an ABOR under every policy, in clear text too.
fn policies() -> Scope {
    let verifies = SiteRules {
        on_empty: OnEmpty::Verify,
        backend_unfinished: OnUnfinished::Repair,
        client_unfinished: OnUnfinished::Repair,
        ..strict()
    };
    let rejects = SiteRules {
        on_empty: OnEmpty::Reject,
        backend_unfinished: OnUnfinished::Reject,
        client_unfinished: OnUnfinished::Reject,
        ..strict()
    };
    let trusts = SiteRules {
        bare_uploads: true,
        passive: PassiveStyle::Pasv,
        ..strict()
    };
    Scope {
        sites: vec![verifies, rejects, trusts, clear()],
        kinds: &[Kind::Retr, Kind::Nlst, Kind::Stor, Kind::Abor],
        pipelines: false,
        lag_max: 0,
        sights: POLICIES,
        ..transfers()
    }
}

/// What a client says while a transfer runs, and replies of several lines around it.
fn meanwhile() -> Scope {
    Scope {
        kinds: &[
            Kind::Retr,
            Kind::Noop,
            Kind::Stat,
            Kind::Cwd,
            Kind::Abor,
            Kind::Quit,
        ],
        commands_max: 3,
        lag_max: 0,
        lines: true,
        sights: MEANWHILE,
        ..transfers()
    }
}

/// A backend that connects to the gate, and a client that the gate connects to.
fn active() -> Scope {
    let active = |passive| SiteRules {
        passive,
        ..strict()
    };
    Scope {
        sites: vec![active(PassiveStyle::Port), active(PassiveStyle::Eprt)],
        kinds: &[Kind::Retr, Kind::Stor, Kind::Epsv, Kind::Port],
        pipelines: false,
        lag_max: 0,
        sights: ACTIVE,
        ..transfers()
    }
}

/// A transfer, and control connections that are lost or closed and a gate that is stopped at any moment; replies of several
/// lines, and deadlines in another order.
fn losses() -> Scope {
    Scope {
        sites: vec![hasty(strict())],
        kinds: &[Kind::Retr, Kind::Stor, Kind::Cwd, Kind::Quit],
        pipelines: false,
        lag_max: 0,
        losses: true,
        lines: true,
        sights: LOSSES,
        ..transfers()
    }
}

/// From the greeting to a data connection.
fn logins() -> Scope {
    Scope {
        sites: vec![strict(), clear()],
        prologue: greeted,
        kinds: &[
            Kind::Auth,
            Kind::User,
            Kind::Pass,
            Kind::Pbsz,
            Kind::Prot,
            Kind::Epsv,
            Kind::Retr,
            Kind::Quit,
            Kind::Junk,
        ],
        commands_max: 4,
        pipelines: false,
        lag_max: 0,
        losses: true,
        sights: LOGINS,
        ..transfers()
    }
}

/// TLS taken off again, and sessions begun anew: from a name that the backend has taken.
fn clearings() -> Scope {
    let clears = |backend_ccc| SiteRules {
        client_ccc: ClientCcc::Accept,
        backend_ccc,
        ..strict()
    };
    Scope {
        sites: vec![
            clears(BackendCcc::Off),
            clears(BackendCcc::Try),
            clears(BackendCcc::Required),
            strict(),
        ],
        prologue: named,
        kinds: &[
            Kind::Pass,
            Kind::Ccc,
            Kind::Rein,
            Kind::Auth,
            Kind::User,
            Kind::Epsv,
            Kind::Quit,
        ],
        commands_max: 4,
        lag_max: 0,
        losses: true,
        sights: CLEARINGS,
        ..transfers()
    }
}

/// Hosts by HOST, by SNI and by both, before login and behind REIN.
fn hosts() -> Scope {
    let host = |name: &str, rules| HostRules {
        name: name.to_owned(),
        rules: Arc::new(rules),
    };
    let site = SiteRules {
        hosts: vec![host(HOSTS[0], strict()), host(HOSTS[1], clear())],
        ..clear()
    };
    Scope {
        sites: vec![site],
        prologue: greeted,
        kinds: &[
            Kind::Host(0),
            Kind::Host(1),
            Kind::Host(2),
            Kind::Auth,
            Kind::User,
            Kind::Pass,
            Kind::Epsv,
            Kind::Rein,
        ],
        commands_max: 8,
        pipelines: false,
        lag_max: 0,
        losses: true,
        sights: HOSTED,
        ..transfers()
    }
}

const TRANSFERS: &[Expected] = &[
    ("a download is completed", |_, world| {
        world.sight == Some(Sight::Completed(Direction::Download, true))
    }),
    ("an upload is completed", |_, world| {
        world.sight == Some(Sight::Completed(Direction::Upload, true))
    }),
    ("an empty upload is completed", |_, world| {
        world.sight == Some(Sight::Completed(Direction::Upload, false))
    }),
    ("an empty download after a clean end", |_, world| {
        world.sight == Some(Sight::EmptyAfter(End::Clean))
    }),
    ("an empty download after a bare close", |_, world| {
        world.sight == Some(Sight::EmptyAfter(End::Bare))
    }),
    ("an empty download without a connection", |_, world| {
        world.sight == Some(Sight::EmptyAfter(End::Refused))
    }),
    ("an unfinished end is mirrored", |_, world| {
        world.sight == Some(Sight::Waived(Close::Unfinished))
    }),
    ("a false empty is refused", |_, world| {
        world.sight == Some(Sight::FalseEmptyRefused)
    }),
    ("a download fails with 425", |_, world| {
        world.sight == Some(Sight::Failed(Direction::Download, 425))
    }),
    ("a download fails with 426", |_, world| {
        world.sight == Some(Sight::Failed(Direction::Download, 426))
    }),
    (
        "a download that does not resume fails with 522",
        |_, world| world.sight == Some(Sight::Failed(Direction::Download, 522)),
    ),
    ("an upload fails with 426", |_, world| {
        world.sight == Some(Sight::Failed(Direction::Upload, 426))
    }),
    ("a refusal is passed on", |_, world| {
        world.sight == Some(Sight::Refused)
    }),
    ("a transfer is aborted", |_, world| {
        world.sight == Some(Sight::Aborted)
    }),
    ("replies come into step again", |_, world| {
        world.sight == Some(Sight::Resynchronised)
    }),
    ("a session ends by the clock", |_, world| {
        world.sight == Some(Sight::Ended(Blame::Clock))
    }),
];

const POLICIES: &[Expected] = &[
    ("an unfinished end is repaired", |_, world| {
        world.sight == Some(Sight::Waived(Close::Clean))
    }),
    ("an empty download after a bare close", |_, world| {
        world.sight == Some(Sight::EmptyAfter(End::Bare))
    }),
    ("a false empty is refused", |_, world| {
        world.sight == Some(Sight::FalseEmptyRefused)
    }),
    ("a download fails with 426", |_, world| {
        world.sight == Some(Sight::Failed(Direction::Download, 426))
    }),
];

const MEANWHILE: &[Expected] = &[
    ("NOOP is answered amid a transfer", |_, world| {
        world.sight == Some(Sight::Amid(Kind::Noop))
    }),
    ("STAT is answered amid a transfer", |_, world| {
        world.sight == Some(Sight::Amid(Kind::Stat))
    }),
    ("QUIT ends a session behind others", |_, world| {
        world.sight == Some(Sight::Quit(3))
    }),
    ("a download is completed", |_, world| {
        world.sight == Some(Sight::Completed(Direction::Download, true))
    }),
];

const ACTIVE: &[Expected] = &[
    ("a backend connects to the gate", |_, world| {
        let is_awaited = |legs: &Legs| legs.plan.backend_target == Target::Awaited;
        world.legs.as_ref().is_some_and(is_awaited)
    }),
    ("a client is connected to", |_, world| {
        let is_awaited = |legs: &Legs| legs.plan.client_target == Target::Awaited;
        world.legs.as_ref().is_some_and(|legs| !is_awaited(legs))
    }),
    ("a download is completed", |_, world| {
        world.sight == Some(Sight::Completed(Direction::Download, true))
    }),
    ("an empty download without a connection", |_, world| {
        world.sight == Some(Sight::EmptyAfter(End::Refused))
    }),
    ("an upload is completed", |_, world| {
        world.sight == Some(Sight::Completed(Direction::Upload, true))
    }),
];

const LOSSES: &[Expected] = &[
    ("a session ends by the backend", |_, world| {
        world.sight == Some(Sight::Ended(Blame::Backend))
    }),
    ("a session ends by the client", |_, world| {
        world.sight == Some(Sight::Ended(Blame::Client))
    }),
    ("a session ends by the operator", |_, world| {
        world.sight == Some(Sight::Ended(Blame::Operator))
    }),
    ("a download is completed", |_, world| {
        world.sight == Some(Sight::Completed(Direction::Download, true))
    }),
];

const LOGINS: &[Expected] = &[
    ("a client is logged in", |_, world| {
        world.sight == Some(Sight::LoggedIn)
    }),
    ("a client says clear text behind AUTH", |_, world| {
        world.sight == Some(Sight::Injected(Side::Client))
    }),
    ("a backend says clear text behind its 234", |_, world| {
        world.sight == Some(Sight::Injected(Side::Backend))
    }),
    ("a session ends by the backend", |_, world| {
        world.sight == Some(Sight::Ended(Blame::Backend))
    }),
    ("a member is passed over", |_, world| {
        world.sight == Some(Sight::PassedOver)
    }),
    ("a client is logged in with another member", |_, world| {
        world.sight == Some(Sight::LoggedIn) && world.peers.is_second
    }),
    ("no member is left", |_, world| {
        world.sight == Some(Sight::PassedOver) && world.peers.is_out
    }),
];

const CLEARINGS: &[Expected] = &[
    ("TLS is taken off the client's leg", |_, world| {
        world.sight == Some(Sight::Cleared(Side::Client))
    }),
    ("TLS is taken off the backend's leg", |_, world| {
        world.sight == Some(Sight::Cleared(Side::Backend))
    }),
    ("a session begins anew", |_, world| {
        world.sight == Some(Sight::Anew)
    }),
    ("a client is logged in again", |_, world| {
        world.sight == Some(Sight::LoggedIn) && world.peers.said > 2
    }),
];

const HOSTED: &[Expected] = &[
    ("a backend is reached for a host", |_, world| {
        world.sight == Some(Sight::Hosted)
    }),
    ("a host is left for another one", |_, world| {
        world.sight == Some(Sight::Anew)
    }),
    ("SNI and HOST name different hosts", |_, world| {
        let ended = world.dialog.ending();
        ended.is_some_and(|ending| ending.why == "HOST against SNI")
    }),
];

/// Fewer states than this, in any scope, prove nothing.
const STATES_MIN: usize = 100_000;

/// Goes through all states of a scope, and says how many they are.
fn go_through(name: &str, scope: Scope) {
    let begin = |scope: Scope| {
        let checker = scope.checker().threads(2);
        checker.finish_when(HasDiscoveries::AnyFailures)
    };
    // Depth first is faster by far; breadth first finds the shortest way to a fault.
    let checker = begin(scope.clone()).spawn_dfs().join();
    println!(
        "{name}: {} states, {} moves, at most {} deep",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth()
    );
    for property in checker.model().properties() {
        let name = property.name;
        let found = checker.discovery(name);
        let is_failure = checker
            .discovery_classification(name)
            .to_string()
            .contains("counterexample");
        match found {
            Some(path) if is_failure => {
                let shortest = begin(scope).spawn_bfs().join().discovery(name);
                panic!("{name}: {:#?}", shortest.unwrap_or(path).into_actions());
            }
            None if property.expectation == Expectation::Sometimes => panic!("never seen: {name}"),
            _ => {}
        }
    }
    assert!(
        checker.unique_state_count() > STATES_MIN,
        "the scope has become trivial"
    );
}

#[test]
fn transfers_keep_the_rules() {
    go_through("transfers", transfers());
}

#[test]
fn sessions_keep_the_rules() {
    go_through("sessions", sessions());
}

#[test]
fn policies_keep_the_rules() {
    go_through("policies", policies());
}

#[test]
fn answers_amid_a_transfer_keep_the_rules() {
    go_through("meanwhile", meanwhile());
}

#[test]
fn active_modes_keep_the_rules() {
    go_through("active", active());
}

#[test]
fn losses_keep_the_rules() {
    go_through("losses", losses());
}

#[test]
fn logins_keep_the_rules() {
    go_through("logins", logins());
}

#[test]
fn clearings_keep_the_rules() {
    go_through("clearings", clearings());
}

#[test]
fn hosts_keep_the_rules() {
    go_through("hosts", hosts());
}

#[test]
fn every_mutant_is_caught_by_its_rule() {
    for (mutant, rule) in Mutant::ALL {
        let checker = mutant
            .scope()
            .checker()
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        let discoveries = checker.discoveries();
        let caught: Vec<_> = discoveries.keys().copied().collect();
        let states = checker.unique_state_count();
        println!("{mutant:?} is caught after {states} states: {caught:?}");
        let paths: Vec<_> = discoveries.into_values().collect();
        let moves: Vec<_> = paths.into_iter().map(Path::into_actions).collect();
        assert_eq!(caught, [rule], "{mutant:?}: {moves:#?}");
    }
}

#[test]
fn every_rule_catches_somebody() {
    for rule in RULES {
        let is_proved = Mutant::ALL.iter().any(|(_, caught)| caught == rule);
        assert!(is_proved, "no mutant breaks it: {rule}");
    }
}
