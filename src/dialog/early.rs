//! A backend that fails before it was told who the client is: it is passed over, and the next one is tried.

use super::action::{Action, Blame, Ending};
use super::loss::Failing;
use super::phase::{Backend, ReachStep as Step, Work};
use super::timers::Timer;
use super::{Dialog, Turn};
use crate::limits::REACH_SLACK;

impl Dialog {
    /// The backend is of no use any more. Who knows nothing of the client yet is passed over; else it is the session's end.
    pub(super) fn backend_failed(&mut self, turn: &mut Turn, failing: Failing, why: &'static str) {
        if let Work::Reaching(_) = self.work {
            return self.pass_over(turn, failing, why);
        }
        match failing {
            Failing::Closed | Failing::Broken => self.backend_ended(turn, why),
            _ => self.lose_backend(turn, why),
        }
    }

    /// Asks for the next member in its place; whether there is one is told by `Reached` or `Unreachable`.
    pub(super) fn pass_over(&mut self, turn: &mut Turn, failing: Failing, why: &'static str) {
        let Work::Reaching(reaching) = &mut self.work else {
            return;
        };
        let by = match failing {
            Failing::Silent => Blame::Clock,
            _ => Blame::Backend,
        };
        reaching.last = Some(Ending { by, why });
        reaching.step = Step::Connecting;
        self.backend = Backend::default();
        self.timers.disarm(Timer::Member);
        self.connecting(turn);
        turn.push(Action::PassOver(failing));
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
