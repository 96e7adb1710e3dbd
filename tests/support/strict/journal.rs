//! What the strict client writes down: replies, events in their order, and the judgement over a whole transfer.

use std::time::Duration;

/// A reply, its lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn is_final(&self) -> bool {
        self.code >= 200
    }

    /// Fails the test unless the code is one of these.
    #[track_caller]
    pub(crate) fn expect(self, codes: &[u16]) -> Self {
        assert!(
            codes.contains(&self.code),
            "wanted one of {codes:?}, got {self:?}"
        );
        self
    }
}

/// What happened during a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The data TCP connection stands.
    Connected,
    /// The data TCP connection was refused.
    Refused,
    /// The data connection's TLS handshake is complete.
    Handshake,
    HandshakeFailed,
    /// Payload; once, however many reads it took.
    Bytes,
    CloseNotify,
    Fin,
    Reset,
    /// A broken record or a fatal alert.
    Broken,
    /// A reply on the control connection.
    Reply(u16),
    /// The control connection ended.
    ControlEnded,
}

/// A transfer as the client saw it.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) events: Vec<Event>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) reply: Reply,
    pub(crate) resumed: bool,
    pub(crate) took: Duration,
}

impl Transfer {
    /// The events without the preliminary reply, whose place among the others is free.
    pub(crate) fn order(&self) -> Vec<Event> {
        let preliminary = |event: &&Event| !matches!(event, Event::Reply(100..200));
        self.events.iter().filter(preliminary).cloned().collect()
    }

    /// Fails the test unless this was a private download in the one right order, with these bytes.
    #[track_caller]
    pub(crate) fn assert_complete(&self, bytes: &[u8]) {
        let mut wanted = vec![Event::Connected, Event::Handshake];
        if !bytes.is_empty() {
            wanted.push(Event::Bytes);
        }
        wanted.extend([
            Event::CloseNotify,
            Event::Fin,
            Event::Reply(self.reply.code),
        ]);
        assert_eq!(self.order(), wanted, "{:?}", self.reply);
        assert!(matches!(self.reply.code, 226 | 250), "{:?}", self.reply);
        let preliminaries = self.events.len() - wanted.len();
        assert_eq!(preliminaries, 1, "one 150 must come: {:?}", self.events);
        assert_eq!(
            self.bytes.len(),
            bytes.len(),
            "bytes are missing or too many"
        );
        assert!(self.bytes == bytes, "the bytes differ");
    }

    /// Fails the test unless the transfer was said to have failed, and was not ended as if it had not.
    #[track_caller]
    pub(crate) fn assert_failed(&self) {
        assert!(
            matches!(self.reply.code, 425 | 426 | 451),
            "{:?} {:?}",
            self.reply,
            self.events
        );
        assert!(
            !self.events.contains(&Event::CloseNotify),
            "ended as if complete: {:?}",
            self.events
        );
    }
}

/// What was seen so far.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) events: Vec<Event>,
    pub(super) bytes: Vec<u8>,
    pub(super) last: Option<Reply>,
}

impl Journal {
    pub(super) fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    pub(super) fn reply(&mut self, reply: Reply) {
        self.events.push(Event::Reply(reply.code));
        self.last = Some(reply);
    }

    pub(super) fn is_answered(&self) -> bool {
        self.last.as_ref().is_some_and(Reply::is_final)
    }
}
