//! Whose turn is it: one client's FTP session between two control connections and two data connections, as a pure machine.
//! `session` feeds it one input at a time and performs the actions it returns, in order; tests feed it a world in memory.
//! It never performs I/O, never reads a clock, never sees a byte of a transfer, and never lets a failure become a success.

mod action;
mod active;
mod answers;
mod clearing;
mod commands;
mod during;
mod early;
mod facts;
mod host;
mod leaving;
mod login;
mod loss;
mod phase;
mod plan;
mod settling;
mod timers;
mod transfer;
mod verdict;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

pub use action::{
    Account, Action, Blame, Close, DataNews, DataPlan, End, Ending, FromBackend, FromClient, Input,
    Note, Phase, Protection, Side, Target,
};
pub use loss::{Failing, Loss};

use crate::ftp::{BrokenReply, Command, Malformed, Reply, ReplyLine, Verb, occasion};
use crate::limits::{ACTIONS_PER_STEP_MAX, PIPELINE_COMMANDS_MAX};
use crate::policy::SiteRules;
use phase::{Backend, Client, Plan, ReachStep, Reaching, Work};
use timers::{Timer, Timers};

/// The reason that is told where a backend did not answer in time.
const OVERRAN: &str = "reply deadline of the backend";

/// The actions of one step, to be performed in order.
pub type Actions = Vec<Action>;

/// One session's protocol, both legs; copied and hashed where all its states are gone through (`tests/model`).
#[derive(Debug, Clone, Hash)]
pub struct Dialog {
    /// Of the listener, whatever host is chosen.
    site: Arc<SiteRules>,
    /// Of the host that the client has chosen, or of the listener.
    rules: Arc<SiteRules>,
    timers: Timers,
    client: Client,
    backend: Backend,
    /// What the session is busy with; commands wait in `inbox` until it is `Idle`.
    work: Work,
    inbox: VecDeque<Result<Command, Malformed>>,
    /// The data connection that the client has asked for and not used yet.
    plan: Option<Plan>,
    draining: bool,
    ending: Option<Ending>,
}

/// One step under way: what time it is, and what is to be done.
struct Turn {
    now: Instant,
    actions: Actions,
}

impl Turn {
    fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn answer(&mut self, reply: &Reply) {
        self.push(Action::ToClient(reply.wire()));
    }

    /// Answers what the gate itself will not have.
    fn refuse(&mut self, verb: impl Into<Option<Verb>>, reply: &Reply) {
        self.note(Note::Refused(verb.into(), reply.code));
        self.answer(reply);
    }

    fn ask(&mut self, command: &Command) {
        self.push(Action::ToBackend(command.wire()));
    }

    fn note(&mut self, note: Note) {
        self.push(Action::Note(note));
    }
}

impl Dialog {
    /// A session of the client at `peer` that has just been accepted, and what comes first: its greeting, or TLS.
    #[must_use]
    pub fn open(rules: Arc<SiteRules>, peer: IpAddr, now: Instant) -> (Self, Actions) {
        let mut dialog = Self {
            timers: Timers::default(),
            client: Client {
                peer: peer.to_canonical(),
                ..Client::default()
            },
            backend: Backend::default(),
            work: Work::Idle,
            inbox: VecDeque::new(),
            plan: None,
            draining: false,
            ending: None,
            site: Arc::clone(&rules),
            rules,
        };
        let mut turn = Turn {
            now,
            actions: Vec::new(),
        };
        dialog.welcome(&mut turn);
        (dialog, turn.actions)
    }

    /// Takes exactly one input and says what is to be done about it; at most [`ACTIONS_PER_STEP_MAX`] actions.
    #[must_use]
    pub fn step(&mut self, now: Instant, input: Input) -> Actions {
        let mut turn = Turn {
            now,
            actions: Vec::new(),
        };
        if self.ending.is_none() {
            match input {
                Input::Client(news) => self.hear_client(&mut turn, news),
                Input::Backend(news) => self.hear_backend(&mut turn, news),
                Input::Passive(side, address) => self.passive_opened(&mut turn, side, address),
                Input::Data(news) => self.hear_data(&mut turn, news),
                Input::Deadline => self.hear_clock(&mut turn),
                Input::Drain if self.draining => {
                    let text = "The gate stops now";
                    self.leave_closing(&mut turn, text, Blame::Operator, "end of the drain");
                }
                Input::Drain => self.draining = true,
                Input::Killed => {
                    let text = "The operator has ended this session";
                    self.leave_closing(&mut turn, text, Blame::Operator, "killed");
                }
            }
            self.advance(&mut turn);
        }
        debug_assert!(
            turn.actions.len() <= ACTIONS_PER_STEP_MAX,
            "a step is bounded"
        );
        turn.actions
    }

    /// When [`Input::Deadline`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.earliest()
    }

    /// Whether another line of the client, or its end, can be taken; beyond the bound it waits in its socket. Behind a
    /// QUIT that waits its turn nothing is taken: a client that has said it, and closes, still wants its transfer.
    #[must_use]
    pub fn wants_client(&self) -> bool {
        let is_quit = |waiting: &Result<Command, _>| matches!(waiting, Ok(command) if command.verb == Verb::Quit);
        self.inbox.len() < PIPELINE_COMMANDS_MAX && !self.inbox.back().is_some_and(is_quit)
    }

    /// Why the session is over, once it is.
    #[must_use]
    pub const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    fn hear_client(&mut self, turn: &mut Turn, news: FromClient) {
        match news {
            FromClient::Line(line) => self.hear_line(turn, &line),
            FromClient::TooLong => {
                let reply = Reply::new(occasion::NOT_UNDERSTOOD, "Line too long");
                self.leave(turn, Some(&reply), Blame::Client, "command line too long");
            }
            FromClient::Named(name) => self.client_named(turn, &name),
            FromClient::Identified(identity) => self.client.identity = Some(identity),
            FromClient::Secured => self.client_secured(turn),
            FromClient::Lost(Loss::Injection) => {
                turn.note(Note::Injected(Side::Client));
                self.leave(turn, None, Blame::Client, "bytes at the border of TLS");
            }
            FromClient::Lost(Loss::Handshake) => {
                self.leave(
                    turn,
                    None,
                    Blame::Client,
                    "TLS handshake of the client failed",
                );
            }
            FromClient::Lost(Loss::Closed) => {
                self.leave(turn, None, Blame::Client, "client closed without QUIT");
            }
            FromClient::Lost(Loss::Broken) => {
                self.leave(turn, None, Blame::Client, "client connection broke");
            }
        }
    }

    fn hear_line(&mut self, turn: &mut Turn, line: &[u8]) {
        match Command::read(line) {
            Ok(command)
                if command.verb == Verb::Abor && matches!(self.work, Work::Transferring(_)) =>
            {
                self.abort_transfer(turn, command);
            }
            command => self.inbox.push_back(command),
        }
    }

    fn hear_backend(&mut self, turn: &mut Turn, news: FromBackend) {
        match news {
            FromBackend::Reached => self.backend_reached(turn),
            FromBackend::ReachedFor(share) => {
                self.timers.arm(Timer::Member, turn.now + share);
                self.backend_reached(turn);
            }
            FromBackend::Unreachable => self.none_left(turn),
            FromBackend::Secured => self.backend_secured(turn),
            FromBackend::Line(raw) => match self.backend.replies.read(raw) {
                Ok(Some(line)) => self.hear_reply(turn, line),
                Ok(None) => {}
                Err(BrokenReply::NoCode(line)) => {
                    self.backend_failed(turn, Failing::NoFtp(line), "backend speaks no FTP");
                }
                Err(BrokenReply::TooManyLines) => {
                    let why = "reply of the backend has too many lines";
                    self.backend_failed(turn, Failing::NoFtp(Vec::new()), why);
                }
            },
            FromBackend::TooLong => {
                let why = "reply line of the backend too long";
                self.backend_failed(turn, Failing::NoFtp(Vec::new()), why);
            }
            FromBackend::Lost(loss) => {
                let why = match loss {
                    Loss::Closed => "backend closed",
                    Loss::Broken => "backend connection broke",
                    Loss::Handshake => "TLS handshake with the backend failed",
                    Loss::Injection => {
                        turn.note(Note::Injected(Side::Backend));
                        "bytes at the border of the backend's TLS"
                    }
                };
                self.backend_failed(turn, loss.into(), why);
            }
        }
    }

    fn hear_reply(&mut self, turn: &mut Turn, line: ReplyLine) {
        match self.work {
            _ if self.backend.is_astray => self.unsolicited(turn, &line),
            Work::Reaching(_) => self.reaching_replied(turn, &line),
            Work::ClearingBackend(step) => self.clearing_replied(turn, step, &line),
            Work::Forwarding(verb) => self.forwarded_replied(turn, verb, &line),
            Work::Features(_) => self.features_replied(turn, line),
            Work::Planning(_) => self.planning_replied(turn, &line),
            Work::Transferring(_) => self.transfer_replied(turn, &line),
            Work::Resyncing(_) => self.resync_replied(turn, &line),
            Work::Idle | Work::SecuringClient => self.unsolicited(turn, &line),
        }
    }

    fn hear_clock(&mut self, turn: &mut Turn) {
        while let Some(timer) = self.timers.take_due(turn.now) {
            match timer {
                Timer::Login => {
                    self.leave_closing(turn, "Login took too long", Blame::Clock, "login deadline");
                }
                Timer::Idle => {
                    self.leave_closing(turn, "Idle for too long", Blame::Clock, "idle deadline");
                }
                Timer::Work => self.work_overran(turn),
                Timer::Member => self.pass_over(turn, Failing::Silent, OVERRAN),
                Timer::OpenClient => self.leg_overran(turn, Side::Client),
                Timer::OpenBackend => self.leg_overran(turn, Side::Backend),
                Timer::Final => self.final_overran(turn),
            }
            if self.ending.is_some() {
                return;
            }
        }
    }

    fn work_overran(&mut self, turn: &mut Turn) {
        match self.work {
            Work::Transferring(_) => self.preliminary_overran(turn),
            Work::SecuringClient => {
                self.leave(
                    turn,
                    None,
                    Blame::Clock,
                    "TLS handshake deadline of the client",
                );
            }
            Work::Reaching(Reaching { step, .. }) if step != ReachStep::Connecting => {
                self.pass_over(turn, Failing::Silent, OVERRAN);
            }
            _ => self.backend_overran(turn, OVERRAN),
        }
    }

    fn backend_overran(&mut self, turn: &mut Turn, why: &'static str) {
        let text = "The server did not answer in time";
        self.leave_closing(turn, text, Blame::Clock, why);
    }

    /// Nothing runs any more.
    fn rest(&mut self) {
        self.timers.disarm(Timer::Work);
        self.work = Work::Idle;
    }
}
