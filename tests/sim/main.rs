//! A seeded simulation of whole sessions: the dialog between a model client and a model backend, with a clock that jumps.
//!
//! `cargo test --test sim` runs the seeds of a check; `SLUICE_SEED=n cargo test --test sim` replays one and prints what
//! happened, and `SLUICE_SEEDS=from..to` runs others than usual. The rules that must hold stand in `checks.rs`; that they
//! can fail is proved at the end of this file by a gate that lies.

#![allow(
    clippy::panic,
    reason = "a test fails by panicking, also in its own functions"
)]

mod backend;
mod chance;
mod checks;
mod client;
mod legs;
mod plot;
mod world;

use std::time::Duration;

use sluicegate::dialog::{Action, Actions, Close, Failing};
use sluicegate::limits;
use sluicegate::policy::{
    BackendCcc, BackendProtection, BackendTls, ClientCcc, ClientIdentity, ClientProtection,
    ClientTls, OnEmpty, OnUnfinished, PassiveStyle, PasvAddress, Patience, Pbsz, SiteRules,
};

use chance::Chance;
use checks::Tally;
use world::run;

/// Runs of one check: less than ten seconds of two cores in a debug build.
const SEEDS: u64 = 50_000;

/// What must have been seen, or the simulation proves less than it says.
const EXPECTED: &[&str] = &[
    "QUIT",
    "QUIT and FIN",
    "a leg not taken",
    "aborted",
    "answered amid a transfer",
    "awaited from the backend",
    "backend cleared",
    "begun anew",
    "client cleared",
    "connected to the client",
    "download 425",
    "download 426",
    "download completed",
    "empty completed, ended bare",
    "empty completed, ended clean",
    "empty completed, never established",
    "empty completed, unfinished",
    "empty download completed",
    "empty upload completed",
    "false empty refused",
    "injection",
    "not resumed",
    "overran by the backend",
    "overran by the client",
    "passed over",
    "refusal of the backend passed on",
    "resynchronised",
    "session ended by 421",
    "unfinished by the backend",
    "unfinished by the client",
    "upload 425",
    "upload 426",
    "upload completed",
];

/// The rules of a site, drawn.
fn site(chance: &mut Chance) -> SiteRules {
    let is_strict = chance.percent(60);
    let unfinished = [
        OnUnfinished::Mirror,
        OnUnfinished::Repair,
        OnUnfinished::Reject,
    ];
    let mut rules = SiteRules {
        banner: "Ready".to_owned(),
        client_tls: if is_strict {
            chance.pick(&[
                ClientTls::Required,
                ClientTls::Required,
                ClientTls::Implicit,
            ])
        } else {
            ClientTls::Optional
        },
        banner_first: chance.percent(50),
        assume_private: chance.percent(50),
        pbsz: chance.pick(&[Pbsz::Expected, Pbsz::Optional]),
        client_ccc: chance.pick(&[ClientCcc::Refuse, ClientCcc::Accept]),
        client_identity: ClientIdentity::Ignore,
        client_protection: if is_strict {
            ClientProtection::Private
        } else {
            ClientProtection::Any
        },
        backend_tls: chance.pick(&[
            BackendTls::Explicit,
            BackendTls::Implicit,
            BackendTls::Off,
            BackendTls::Match,
        ]),
        backend_banner_first: chance.percent(30),
        backend_protection: chance.pick(&[
            BackendProtection::Private,
            BackendProtection::Clear,
            BackendProtection::Match,
        ]),
        backend_ccc: BackendCcc::Off,
        mode_z: false,
        hosts: Vec::new(),
        on_empty: chance.pick(&[
            OnEmpty::Complete,
            OnEmpty::Complete,
            OnEmpty::Verify,
            OnEmpty::Reject,
        ]),
        client_unfinished: chance.pick(&unfinished),
        backend_unfinished: chance.pick(&unfinished),
        bare_uploads: chance.percent(10),
        active: chance.percent(90),
        passive: chance.pick(&[
            PassiveStyle::Port,
            PassiveStyle::Eprt,
            PassiveStyle::Auto,
            PassiveStyle::Auto,
            PassiveStyle::Epsv,
            PassiveStyle::Pasv,
        ]),
        pasv_address: chance.pick(&[PasvAddress::Ignore, PasvAddress::Use]),
        patience: patience(),
    };
    if rules.backend_protection != BackendProtection::Match {
        rules.backend_ccc = chance.pick(&[BackendCcc::Off, BackendCcc::Try, BackendCcc::Required]);
    }
    rules
}

fn patience() -> Patience {
    Patience {
        handshake: limits::HANDSHAKE_TIMEOUT,
        login: limits::LOGIN_TIMEOUT,
        idle: limits::IDLE_TIMEOUT,
        backend_connect: limits::BACKEND_CONNECT_TIMEOUT,
        backend_reply: limits::BACKEND_REPLY_TIMEOUT,
        data_connect: Duration::from_secs(15),
        data_handshake: limits::DATA_HANDSHAKE_TIMEOUT,
        data_completion: limits::DATA_COMPLETION_TIMEOUT,
        linger: limits::LINGER_TIMEOUT,
    }
}

/// A gate that lies, to prove that the checks see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tamper {
    /// Every failed transfer is called a success.
    Success,
    /// Every end is an authenticated one.
    Clean,
    /// The final reply does not wait for the data legs.
    Impatient,
    /// No 150.
    NoPreliminary,
    /// Sessions end without a word.
    Silence,
    /// Nothing is ever a success.
    Pessimist,
    /// What is answered amid a transfer does not wait for its 1xx.
    Hasty,
    /// The end of a client's direction is taken also behind its QUIT.
    Curt,
    /// A member that has heard of the client is passed over like one that has not.
    Turncoat,
}

impl Tamper {
    const ALL: [Self; 9] = [
        Self::Success,
        Self::Clean,
        Self::Impatient,
        Self::NoPreliminary,
        Self::Silence,
        Self::Pessimist,
        Self::Hasty,
        Self::Curt,
        Self::Turncoat,
    ];

    fn spoil(self, actions: &mut Actions) {
        let begins = |wire: &[u8], codes: &[&str]| {
            codes.iter().any(|code| wire.starts_with(code.as_bytes()))
        };
        match self {
            Self::Success => {
                for action in actions {
                    if let Action::ToClient(wire) = action
                        && begins(wire, &["425 The", "426 The"])
                    {
                        wire[..3].copy_from_slice(b"226");
                    }
                }
            }
            Self::Pessimist => {
                for action in actions {
                    if let Action::ToClient(wire) = action
                        && begins(wire, &["226 Result"])
                    {
                        wire[..3].copy_from_slice(b"426");
                    }
                }
            }
            Self::Clean => {
                for action in actions {
                    if let Action::EndData(_, close @ Close::Unfinished) = action {
                        *close = Close::Clean;
                    }
                }
            }
            Self::Impatient => {
                if let Some(at) = actions
                    .iter()
                    .position(|action| *action == Action::CloseData)
                    && at + 1 < actions.len()
                {
                    actions.swap(at, at + 1);
                }
            }
            Self::NoPreliminary => actions.retain(
                |action| !matches!(action, Action::ToClient(wire) if begins(wire, &["150"])),
            ),
            Self::Hasty => {
                let at = |codes: &[&str]| {
                    actions.iter().position(
                        |action| matches!(action, Action::ToClient(wire) if begins(wire, codes)),
                    )
                };
                if let (Some(begun), Some(amid)) = (at(&["150"]), at(&["200 Fine", "213 "])) {
                    actions.swap(begun, amid);
                }
            }
            // Of what it hears, not of what it does: see `World::takes_client`.
            Self::Curt => {}
            Self::Turncoat => {
                let is_user = |action: &Action| matches!(action, Action::ToBackend(wire) if begins(wire, &["USER"]));
                if actions.iter().any(is_user) {
                    actions.push(Action::PassOver(Failing::Closed));
                }
            }
            Self::Silence => actions.retain(
                |action| !matches!(action, Action::ToClient(wire) if begins(wire, &["421"])),
            ),
        }
    }
}

/// Says which seed it was when the dialog itself panics.
struct Witness(u64);

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

/// What many runs have come to: how often each outcome was seen, and the seeds that broke a rule.
#[derive(Default)]
struct Survey {
    tally: Tally,
    faults: Vec<(u64, String)>,
}

impl Survey {
    fn of(seeds: impl Iterator<Item = u64>) -> Self {
        let mut survey = Self::default();
        for seed in seeds {
            let _witness = Witness(seed);
            match run(seed, false, None) {
                Ok(tally) => survey.add(tally),
                Err((fault, _)) => survey.faults.push((seed, fault)),
            }
        }
        survey
    }

    fn add(&mut self, tally: Tally) {
        for (outcome, count) in tally {
            *self.tally.entry(outcome).or_default() += count;
        }
    }

    /// Fails with the whole trace of the first fault, and with one seed for each other kind.
    fn demand_none(&self) {
        let Some((seed, fault)) = self.faults.first() else {
            return;
        };
        let (_, trace) = run(*seed, true, None).expect_err("the same seed is the same run");
        let mut kinds = std::collections::BTreeMap::new();
        for (seed, fault) in &self.faults {
            kinds.entry(fault.as_str()).or_insert((seed, 0)).1 += 1;
        }
        panic!(
            "{}\nseed {seed}: {fault}\nfault: (seed, how often) {kinds:#?}",
            trace.join("\n")
        );
    }
}

/// The seeds that are asked for: one, a range, or the usual ones.
fn seeds() -> (u64, u64) {
    let number = |text: &str| text.parse().expect("a seed is a number");
    if let Ok(one) = std::env::var("SLUICE_SEED") {
        return (number(&one), number(&one) + 1);
    }
    let Ok(range) = std::env::var("SLUICE_SEEDS") else {
        return (0, SEEDS);
    };
    let (from, to) = range.split_once("..").expect("SLUICE_SEEDS=from..to");
    (number(from), number(to))
}

/// Field case P32.
#[test]
fn every_seed_keeps_the_contract() {
    let (from, to) = seeds();
    if to - from == 1 {
        match run(from, true, None) {
            Ok(tally) => println!("{tally:#?}"),
            Err((fault, trace)) => panic!("seed {from}: {fault}\n{}", trace.join("\n")),
        }
        return;
    }
    let survey = std::thread::scope(|scope| {
        let odd = scope.spawn(move || Survey::of((from..to).filter(|seed| seed % 2 == 1)));
        let mut survey = Survey::of((from..to).filter(|seed| seed % 2 == 0));
        let odd = odd.join().expect("a panic of the dialog names its seed");
        survey.add(odd.tally);
        survey.faults.extend(odd.faults);
        survey
    });
    survey.demand_none();
    let tally = survey.tally;
    println!("{tally:#?}");
    for outcome in EXPECTED {
        assert!(
            tally.get(outcome).is_some_and(|&count| count >= 10),
            "never seen: {outcome}"
        );
    }
}

#[test]
fn a_gate_that_lies_is_found_out() {
    for tamper in Tamper::ALL {
        let found = (0..300).find_map(|seed| run(seed, false, Some(tamper)).err());
        let (fault, _) = found.expect("a lie that no check sees");
        println!("{tamper:?}: {fault}");
    }
}
