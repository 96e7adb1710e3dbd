//! What must be seen somewhere among the states, or the check proves less than it says.

use sluicegate::dialog::{Blame, Close, End, Note, Side};
use sluicegate::ftp::Direction;

use crate::peers::Kind;
use crate::rules::Pending;

/// What the last step has brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sight {
    /// A success; whether bytes had moved.
    Completed(Direction, bool),
    /// A download without a byte was completed, and the backend's leg had ended like this.
    EmptyAfter(End),
    /// A success although the source had not authenticated its end: the sink was ended so.
    Waived(Close),
    /// The gate's own verdict.
    Failed(Direction, u16),
    /// The backend's own refusal.
    Refused,
    Aborted,
    /// Answered while a transfer runs.
    Amid(Kind),
    /// QUIT has ended a session in which so many commands were said.
    Quit(u8),
    FalseEmptyRefused,
    Resynchronised,
    LoggedIn,
    /// TLS was taken off.
    Cleared(Side),
    /// A backend was let go for another one.
    Anew,
    /// A backend is reached for a host.
    Hosted,
    /// A member of the pool has failed, and another one is tried.
    PassedOver,
    Injected(Side),
    Ended(Blame),
}

impl Sight {
    pub(crate) const fn of_note(note: &Note) -> Option<Self> {
        match note {
            Note::FalseEmptyRefused(_) => Some(Self::FalseEmptyRefused),
            Note::Resynchronised => Some(Self::Resynchronised),
            Note::LoggedIn(_) => Some(Self::LoggedIn),
            Note::Injected(side) => Some(Self::Injected(*side)),
            _ => None,
        }
    }

    pub(crate) fn of_reply(pending: &Pending, code: u16, is_own: bool) -> Option<Self> {
        let direction = pending.kind.direction()?;
        let legs = pending.closed.as_ref()?;
        let bytes = legs.flowed.map_or(0, |(bytes, _)| bytes);
        let source = legs.source().end()?;
        Some(match code {
            200..=299 if bytes > 0 && source == End::Unfinished => {
                Self::Waived(legs.sink().ordered?)
            }
            200..=299 if bytes == 0 && direction == Direction::Download => Self::EmptyAfter(source),
            200..=299 => Self::Completed(direction, bytes > 0),
            _ if is_own => Self::Refused,
            _ if pending.is_aborted => Self::Aborted,
            _ => Self::Failed(direction, code),
        })
    }
}
