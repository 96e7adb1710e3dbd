//! What one read off a path has come to, for whoever moves bytes along it.

use crate::leg::{Fault, Read};

/// What one read has come to.
pub(super) enum Step {
    /// So many plain bytes are on their way.
    Moved(usize),
    /// The source has nothing more to give, and how it said so; none where it broke.
    Ended(Option<Read>),
    /// The sink can take nothing more.
    SinkBroken,
}

impl From<Read> for Step {
    fn from(read: Read) -> Self {
        match read {
            Read::Bytes(bytes) => Self::Moved(bytes),
            end => Self::Ended(Some(end)),
        }
    }
}

impl From<Fault> for Step {
    fn from(_: Fault) -> Self {
        Self::Ended(None)
    }
}
