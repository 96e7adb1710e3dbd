//! Gates that are wrong in one way each: a wrapper around the dialog alters what it hears or what it wants done.
//! Each of them must be caught, and by the rule that it breaks.

use sluicegate::dialog::{
    Action, Actions, Close, DataNews, End, Failing, FromBackend, FromClient, Input, Loss, Note,
    Protection, Side,
};

use crate::peers::Kind;
use crate::rules::{self, Rule};
use crate::scope::Scope;

/// One way of being wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// The final reply is said before the legs are closed.
    Impatient,
    /// The gate's own failures are called successes.
    Flatterer,
    /// What completed is called a failure.
    Pessimist,
    /// A download's client leg is never ended otherwise than clean.
    Polite,
    /// A bare upload is taken for an empty file.
    Gullible,
    /// An end without close_notify is taken for a clean one.
    Careless,
    /// A sink that broke is taken for one that took it all.
    Deaf,
    /// Whatever SIZE says, it is 0.
    Trusting,
    /// The backend is not told to stop.
    Lenient,
    /// The next command does not wait for the replies to a transfer that was given up.
    NoResync,
    /// The marker behind ABOR is never sent.
    NoMarker,
    /// The client gets no 1xx.
    Abrupt,
    /// The client gets each 1xx twice.
    Stutterer,
    /// Each final reply to a transfer is said twice.
    Echo,
    /// A command's reply is lost.
    Forgetful,
    /// Sessions end without a word.
    Mute,
    /// The legs are never closed.
    Hoarder,
    /// Something comes after the end.
    Revenant,
    /// Nobody watches the clock while data legs are open.
    NoClock,
    /// The backend's refusals are put in other words.
    Interpreter,
    /// What the client aborted is a success all the same.
    Stubborn,
    /// Actions without end.
    Flood,
    /// The client's data leg is left in clear text.
    Exhibitionist,
    /// A backend that refuses AUTH is used without it.
    Downgrader,
    /// A session ends with its legs open.
    Litterer,
    /// NOOP is answered before the transfer's 1xx.
    Overtaker,
    /// STAT is answered between the lines of a reply that is passed on.
    Interjector,
    /// QUIT ends the session at once.
    Leaver,
    /// TLS is taken off a client that was told no.
    Peeler,
    /// TLS is taken off a backend that has said no.
    Snatcher,
    /// CCC is taken although something stands behind it.
    Listener,
    /// A backend is never let go.
    Clinger,
    /// A host's name is forgotten.
    Forgetter,
    /// A backend's leg is not known to be up before the client's is.
    Brusque,
    /// A member that has heard of the client is passed over like one that has not.
    Turncoat,
}

impl Mutant {
    /// Each mutant, and the rule that catches it.
    pub(crate) const ALL: [(Self, Rule); 35] = [
        (Self::Impatient, rules::WAITS),
        (Self::Flatterer, rules::SAID),
        (Self::Pessimist, rules::COMPLETED),
        (Self::Polite, rules::CLEAN),
        (Self::Gullible, rules::FALSE_EMPTY),
        (Self::Careless, rules::CLEAN),
        (Self::Deaf, rules::SINK),
        (Self::Trusting, rules::EMPTY),
        (Self::Lenient, rules::STOPPED),
        (Self::NoResync, rules::OWN),
        (Self::NoMarker, rules::SURVIVES),
        (Self::Abrupt, rules::BEGUN),
        (Self::Stutterer, rules::BEGUN),
        (Self::Echo, rules::ONE),
        (Self::Forgetful, rules::WORD),
        (Self::Mute, rules::WORD),
        (Self::Hoarder, rules::WAITS),
        (Self::Revenant, rules::LAST),
        (Self::NoClock, rules::WATCHED),
        (Self::Interpreter, rules::REFUSAL),
        (Self::Stubborn, rules::ABORTED),
        (Self::Flood, rules::BOUNDED),
        (Self::Exhibitionist, rules::LEVEL),
        (Self::Downgrader, rules::SECRET),
        (Self::Litterer, rules::LEFT),
        (Self::Overtaker, rules::AMID),
        (Self::Interjector, rules::LINES),
        (Self::Leaver, rules::QUIT),
        (Self::Peeler, rules::CLEARED),
        (Self::Snatcher, rules::CLEARED),
        (Self::Listener, rules::CLEARED),
        (Self::Clinger, rules::ANEW),
        (Self::Forgetter, rules::HOSTED),
        (Self::Brusque, rules::DELIVERED),
        (Self::Turncoat, rules::CHOSEN),
    ];

    /// The smallest scope where it shows.
    pub(crate) fn scope(self) -> Scope {
        let single = Scope {
            kinds: &[Kind::Retr, Kind::Stor],
            commands_max: 1,
            lag_max: 0,
            mutant: Some(self),
            sights: &[],
            ..crate::transfers()
        };
        match self {
            Self::Trusting => Scope {
                sites: crate::policies().sites,
                ..single
            },
            Self::Mute | Self::Litterer => Scope {
                losses: true,
                ..single
            },
            Self::Forgetful => Scope {
                kinds: &[Kind::Cwd],
                ..single
            },
            Self::Stubborn => Scope {
                kinds: &[Kind::Retr, Kind::Abor],
                commands_max: 2,
                ..single
            },
            Self::NoResync => Scope {
                kinds: &[Kind::Retr, Kind::Cwd],
                commands_max: 2,
                ..single
            },
            Self::Overtaker | Self::Interjector => Scope {
                kinds: &[Kind::Retr, Kind::Noop, Kind::Stat],
                commands_max: 2,
                lines: true,
                ..single
            },
            Self::Leaver => Scope {
                kinds: &[Kind::Retr, Kind::Quit],
                commands_max: 2,
                ..single
            },
            Self::Peeler | Self::Snatcher | Self::Listener => Scope {
                kinds: &[Kind::Pass, Kind::Ccc],
                mutant: Some(self),
                sights: &[],
                ..crate::clearings()
            },
            Self::Clinger => Scope {
                kinds: &[Kind::Rein, Kind::Auth, Kind::User],
                mutant: Some(self),
                sights: &[],
                ..crate::clearings()
            },
            Self::Forgetter => Scope {
                mutant: Some(self),
                sights: &[],
                ..crate::hosts()
            },
            Self::Downgrader | Self::Turncoat => Scope {
                prologue: crate::greeted,
                kinds: &[Kind::Auth, Kind::User],
                commands_max: 2,
                ..single
            },
            _ => single,
        }
    }

    /// What the dialog hears.
    pub(crate) fn twist(self, input: &mut Input) {
        match (self, input) {
            (Self::Gullible, Input::Data(DataNews::Ended(Side::Client, end @ End::Bare))) => {
                *end = End::Clean;
            }
            (
                Self::Careless,
                Input::Data(DataNews::Flowed {
                    end: end @ End::Unfinished,
                    ..
                }),
            ) => *end = End::Clean,
            (Self::Deaf, Input::Data(DataNews::Ended(_, end))) if end.was_established() => {
                *end = End::Clean;
            }
            (Self::Leaver, Input::Client(news)) if *news == FromClient::Line(b"QUIT".to_vec()) => {
                *news = FromClient::Lost(Loss::Closed);
            }
            (Self::Downgrader, Input::Backend(news)) => {
                if matches!(news, FromBackend::Line(line) if begins(line, &["502"])) {
                    *news = FromBackend::Secured;
                }
            }
            (Self::Brusque, Input::Data(news)) if *news == DataNews::Up(Side::Backend) => {
                *news = DataNews::Connected(Side::Backend);
            }
            (Self::Snatcher, Input::Backend(FromBackend::Line(line))) if begins(line, &["534"]) => {
                *line = b"200 #0".to_vec();
            }
            (Self::Trusting, Input::Backend(FromBackend::Line(line))) if begins(line, &["213"]) => {
                *line = b"213 0".to_vec();
            }
            _ => {}
        }
    }

    /// What the dialog wants.
    pub(crate) fn spoil(self, actions: &mut Actions) {
        match self {
            Self::Impatient => {
                let closes = |action: &Action| *action == Action::CloseData;
                if let Some(at) = actions.iter().position(closes)
                    && at + 1 < actions.len()
                {
                    actions.swap(at, at + 1);
                }
            }
            Self::Flatterer => recode(actions, &["425 The", "426 The"], "226"),
            Self::Stubborn => recode(actions, &["426 Transfer aborted"], "226"),
            Self::Pessimist => recode(actions, &["226 #"], "426"),
            Self::Interpreter => replace(actions, &["550 #", "451 #"], "426 Failed\r\n"),
            Self::Polite => {
                for action in actions {
                    if let Action::EndData(Side::Client, close) = action {
                        *close = Close::Clean;
                    }
                }
            }
            Self::Lenient => drop_lines(actions, &["ABOR"]),
            Self::NoMarker => drop_lines(actions, &["PWD"]),
            Self::Abrupt => drop_lines(actions, &["150"]),
            Self::Forgetful => drop_lines(actions, &["250 #", "550 #"]),
            Self::Mute => drop_lines(actions, &["421"]),
            Self::Stutterer => repeat(actions, &["150"]),
            Self::Echo => repeat(actions, &["226 #", "550 #", "425", "426"]),
            Self::Hoarder if !actions.contains(&Action::Close) => {
                actions.retain(|action| *action != Action::CloseData);
            }
            Self::Litterer => {
                let is_lost = |pair: &[Action]| {
                    pair[0] == Action::CloseData && says(&pair[1], &["421 The connection"])
                };
                if let Some(at) = actions.windows(2).position(is_lost) {
                    actions.remove(at);
                }
            }
            Self::Exhibitionist => {
                for action in actions {
                    if let Action::OpenData(plan) = action {
                        plan.client = Protection::Clear;
                    }
                }
            }
            Self::Flood => {
                if actions.contains(&Action::CloseData) {
                    actions.extend(std::iter::repeat_n(
                        Action::Note(Note::LoginFailed),
                        sluicegate::limits::ACTIONS_PER_STEP_MAX + 1,
                    ));
                }
            }
            Self::Overtaker => interject(actions, &["RETR f"], "200 Fine\r\n"),
            Self::Interjector => interject(actions, &["150-"], "213 RETR: now\r\n"),
            _ => self.spoil_sessions(actions),
        }
    }

    /// The same for what is done to a session, not to a transfer.
    fn spoil_sessions(self, actions: &mut Actions) {
        match self {
            Self::Revenant if actions.last() == Some(&Action::Close) => {
                actions.push(Action::Note(Note::ClientSecured));
            }
            Self::Peeler if actions.iter().any(|action| says(action, &["534 "])) => {
                actions.push(Action::Clear(Side::Client));
            }
            Self::Listener => {
                // As if what stands behind had not been seen.
                let is_behind = |action: &Action| says(action, &["503 Nothing may be sent"]);
                if let Some(at) = actions.iter().position(is_behind) {
                    actions[at] = Action::ToClient(b"200 Clear text\r\n".to_vec());
                    actions.insert(at + 1, Action::Clear(Side::Client));
                }
            }
            Self::Turncoat if actions.iter().any(|action| says(action, &["USER"])) => {
                actions.push(Action::PassOver(Failing::Closed));
            }
            Self::Clinger => actions.retain(|action| *action != Action::ReleaseBackend),
            Self::Forgetter => {
                for action in actions {
                    if let Action::Choose(host) = action {
                        *host = None;
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether the replies are taken to be in step again at once.
    pub(crate) fn skips_resync(self, actions: &Actions) -> bool {
        let marks =
            |action: &Action| matches!(action, Action::ToBackend(wire) if begins(wire, &["PWD"]));
        self == Self::NoResync && actions.iter().any(marks)
    }
}

fn begins(wire: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| wire.starts_with(word.as_bytes()))
}

fn says(action: &Action, words: &[&str]) -> bool {
    match action {
        Action::ToClient(wire) | Action::ToBackend(wire) => begins(wire, words),
        _ => false,
    }
}

fn drop_lines(actions: &mut Actions, words: &[&str]) {
    actions.retain(|action| !says(action, words));
}

fn recode(actions: &mut Actions, words: &[&str], code: &str) {
    for action in actions {
        if says(action, words)
            && let Action::ToClient(wire) = action
        {
            wire[..3].copy_from_slice(code.as_bytes());
        }
    }
}

fn replace(actions: &mut Actions, words: &[&str], text: &str) {
    for action in actions {
        if says(action, words) {
            *action = Action::ToClient(text.as_bytes().to_vec());
        }
    }
}

/// Says something to the client behind each of these lines.
fn interject(actions: &mut Actions, words: &[&str], text: &str) {
    if let Some(at) = actions.iter().position(|action| says(action, words)) {
        actions.insert(at + 1, Action::ToClient(text.as_bytes().to_vec()));
    }
}

fn repeat(actions: &mut Actions, words: &[&str]) {
    let all = std::mem::take(actions);
    for action in all {
        let again = says(&action, words).then(|| action.clone());
        actions.push(action);
        actions.extend(again);
    }
}
