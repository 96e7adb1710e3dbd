//! What happened on one data connection, as the client saw it: every moment counted from the transfer command.

use std::time::Duration;

use crate::ftp::Code;
use crate::leg::Fault;
use crate::rig::{Crc, Handshake};

/// The facts of one transfer. What did not happen is nothing.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    /// When the 150 was read.
    pub preliminary: Option<Duration>,
    /// When the data connection was established.
    pub established: Option<Duration>,
    /// How it became private; nothing in the clear.
    pub handshake: Option<Handshake>,
    /// Whether it was to become private.
    pub private: bool,
    /// When the first byte came, or was sent.
    pub first_byte: Option<Duration>,
    /// Plain bytes, either way.
    pub bytes: u64,
    /// What the bytes were worth, where that was asked.
    pub content: Content,
    /// When the server's close_notify was read.
    pub close_notify: Option<Duration>,
    /// When the server's FIN was read.
    pub fin: Option<Duration>,
    /// What ended the data connection otherwise.
    pub fault: Option<Fault>,
    /// The final reply.
    pub reply: Option<Code>,
    /// When the final reply was read.
    pub replied: Option<Duration>,
    /// Whether the server's FIN had arrived when the final reply was read; nothing before the final reply, and
    /// where no data connection was there.
    ///
    /// The kernel is asked at that moment, so what is still unread counts; a FIN that arrives in the microseconds
    /// between is taken for one in time.
    pub replied_behind_fin: Option<bool>,
    /// From the command to the end of everything.
    pub took: Duration,
}

/// The content of a transfer.
#[derive(Clone, Debug, Default)]
pub enum Content {
    /// Counted only.
    #[default]
    Unseen,
    /// Kept, with its checksum.
    Kept(Vec<u8>, Crc),
    /// Compared with what was expected, byte by byte.
    Compared {
        /// Whether every byte was the expected one, and none was missing.
        equal: bool,
    },
}

impl Channel {
    /// Whether the final reply says success.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.reply
            .is_some_and(|code| code.class() == crate::ftp::Class::Completion)
    }

    /// Whether everything happened that a successful transfer owes its client, in its order: TCP, the handshake and
    /// close_notify where private, FIN, and the final reply only then.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing().is_none()
    }

    /// The first thing that a successful transfer owed and that did not happen.
    #[must_use]
    pub fn missing(&self) -> Option<&'static str> {
        let owed = [
            (self.succeeded(), "a final reply of success"),
            (self.established.is_some(), "a data connection"),
            (
                self.handshake.is_some() || !self.private,
                "a complete handshake",
            ),
            (self.close_notify.is_some() || !self.private, "close_notify"),
            (self.fin.is_some(), "FIN"),
            (
                self.replied_behind_fin == Some(true),
                "FIN before the final reply",
            ),
            (
                !matches!(self.content, Content::Compared { equal: false }),
                "the right bytes",
            ),
        ];
        owed.into_iter()
            .find_map(|(happened, what)| (!happened).then_some(what))
    }

    /// What was kept.
    #[must_use]
    pub fn kept(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Kept(bytes, _) => Some(bytes),
            _ => None,
        }
    }

    /// Plain bytes per second, from the data connection to the end.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let from = self.first_byte?;
        let to = self.fin.or(self.replied)?;
        let seconds = to.checked_sub(from)?.as_secs_f64();
        (seconds > 0.0).then(|| self.bytes as f64 / seconds)
    }
}
