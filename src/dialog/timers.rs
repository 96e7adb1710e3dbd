//! The table of deadlines: nobody owns a sleeping task, the earliest entry is what the session waits for.

use std::hash::{Hash, Hasher};
use std::time::Instant;

use super::action::Side;

/// A deadline that the dialog watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// When the client has not completed its login.
    Login,
    /// When a logged-in client has said nothing while nothing ran.
    Idle,
    /// When what the session is busy with has had no answer: a handshake, a backend's reply.
    Work,
    /// When a backend behind which others wait has not become ready.
    Member,
    /// When the client's data leg is not there or not secured.
    OpenClient,
    /// When the backend's data leg is not there or not secured.
    OpenBackend,
    /// When data and final reply have not both come to their end.
    Final,
}

impl Timer {
    const ALL: [Self; 7] = [
        Self::Login,
        Self::Idle,
        Self::Work,
        Self::Member,
        Self::OpenClient,
        Self::OpenBackend,
        Self::Final,
    ];

    /// The timer of a data leg on its way up.
    pub(super) const fn open(side: Side) -> Self {
        match side {
            Side::Client => Self::OpenClient,
            Side::Backend => Self::OpenBackend,
        }
    }
}

/// When each timer fires, if it is armed.
#[derive(Debug, Default, Clone)]
pub(super) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    pub(super) fn arm(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    /// Keeps an earlier promise: what is armed is not put off.
    pub(super) fn arm_once(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize].get_or_insert(at);
    }

    pub(super) fn disarm(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes one timer that is due, if any is.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let due = |timer: &Timer| self.0[*timer as usize].is_some_and(|at| at <= now);
        let timer = Timer::ALL.into_iter().find(due)?;
        self.disarm(timer);
        Some(timer)
    }
}

/// By what lies between them, not by when: two sessions that differ in nothing but the hour are one state.
impl Hash for Timers {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let earliest = self.earliest();
        for at in &self.0 {
            at.zip(earliest)
                .map(|(at, earliest)| at - earliest)
                .hash(state);
        }
    }
}
