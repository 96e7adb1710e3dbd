//! A backend that fails before it has been told anything of its client: it is passed over, and the next one is tried.

use super::action::{Action, Blame, Ending, Loss};
use super::phase::{Backend, ReachStep as Step, Work};
use super::timers::Timer;
use super::{Dialog, Turn};
use crate::limits::REACH_SLACK;

/// How a backend has failed while nothing of the client's but its coming was known there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Early {
    /// It closed.
    Closed,
    /// Its connection broke.
    Broken,
    /// What it owed did not come in its time: greeting, answer or handshake.
    Silent,
    /// Its greeting was a refusal: the last line of it.
    Refused(Vec<u8>),
    /// What it says is no FTP: the line, where it is one.
    NoFtp(Vec<u8>),
    /// It has refused AUTH TLS, in these words.
    NoTls(Vec<u8>),
    /// Its TLS handshake failed.
    Handshake,
    /// Bytes stood behind its 234.
    Injection,
}

impl From<Loss> for Early {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::Closed => Self::Closed,
            Loss::Broken => Self::Broken,
            Loss::Handshake => Self::Handshake,
            Loss::Injection => Self::Injection,
        }
    }
}

impl Dialog {
    /// The backend is of no use any more. Who knows nothing of the client yet is passed over; else it is the session's end.
    pub(super) fn backend_failed(&mut self, turn: &mut Turn, early: Early, why: &'static str) {
        match early {
            _ if matches!(self.work, Work::Reaching(_)) => self.pass_over(turn, early, why),
            Early::Closed | Early::Broken => self.backend_ended(turn, why),
            _ => self.lose_backend(turn, why),
        }
    }

    /// Asks for the next member in its place; whether there is one is told by `Reached` or `Unreachable`.
    pub(super) fn pass_over(&mut self, turn: &mut Turn, early: Early, why: &'static str) {
        let Work::Reaching(reaching) = &mut self.work else {
            return;
        };
        let by = match early {
            Early::Silent => Blame::Clock,
            _ => Blame::Backend,
        };
        reaching.last = Some(Ending { by, why });
        reaching.step = Step::Connecting;
        self.backend = Backend::default();
        self.timers.disarm(Timer::Member);
        self.connecting(turn);
        turn.push(Action::PassOver(early));
    }

    /// A member is asked for. Whoever dials gives each its part of the time and says when none is left: this is but a net.
    pub(super) fn connecting(&mut self, turn: &Turn) {
        let all = self.rules.patience.backend_connect + REACH_SLACK;
        self.timers.arm(Timer::Work, turn.now + all);
    }

    /// No member is left: the client hears what became of the last one that answered at all.
    pub(super) fn none_left(&mut self, turn: &mut Turn) {
        let last = match &self.work {
            Work::Reaching(reaching) => reaching.last,
            _ => None,
        };
        match last {
            None => {
                self.leave_closing(turn, "No server is available", Blame::Backend, "no backend");
            }
            Some(Ending {
                by: Blame::Clock,
                why,
            }) => self.backend_overran(turn, why),
            Some(Ending { why, .. }) => self.lose_backend(turn, why),
        }
    }
}
