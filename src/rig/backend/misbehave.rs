//! The table of manners: what a real server does with a transfer, and every way in which one was seen to fail.

/// How a transfer is played, step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) preliminary: Preliminary,
    pub(super) taking: Taking,
    pub(super) flow: Flow,
    pub(super) ending: Ending,
    pub(super) verdict: Verdict,
}

/// When the 150 is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preliminary {
    /// As the server is set up: at once, or with the data connection.
    Usual,
    /// Behind the handshake of the data connection.
    Late,
    /// Not at all: the final reply is the only one.
    Never,
    /// Nothing is sent or done, ever.
    Hang,
}

/// What becomes of the data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taking {
    /// Accepted, with TLS where the session is private.
    Whole,
    /// Left in the kernel's queue.
    Never,
    /// Its port is closed before the transfer is refused with 550.
    Refused,
    /// Accepted and ended by FIN, before any TLS.
    BareClose,
    /// Accepted and reset, before any TLS.
    BareReset,
    /// Accepted, and then nothing.
    HangBare,
    /// Accepted and made private, and then nothing.
    Hang,
}

/// How much of the file moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Whole,
    /// Half of it, of an upload the first bytes.
    Half,
}

/// How our direction of the data connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// close_notify where private, then FIN.
    Clean,
    /// close_notify, then FIN only behind the peer's close_notify, as vsftpd does.
    Patient,
    /// FIN alone.
    Unfinished,
    Reset,
}

/// What is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// 226 behind the end, if it went well.
    Honest,
    /// 226 behind the end, however it went.
    Success,
    /// 226 before the first byte.
    Early,
    /// 426 behind the end.
    Broken,
    /// Nothing: the control connection ends.
    Lost,
}

/// What a server does that has nothing to hide.
pub(super) const POLITE: Script = Script {
    preliminary: Preliminary::Usual,
    taking: Taking::Whole,
    flow: Flow::Whole,
    ending: Ending::Clean,
    verdict: Verdict::Honest,
};

/// One way of misbehaving.
#[derive(Debug)]
pub struct Misbehaviour {
    /// As it stands in paths and in SITE MISBEHAVE.
    pub name: &'static str,
    /// What happens on the wire.
    pub meaning: &'static str,
    pub(super) script: Script,
}

const fn row(name: &'static str, meaning: &'static str, script: Script) -> Misbehaviour {
    Misbehaviour {
        name,
        meaning,
        script,
    }
}

/// Every way in which the backend can misbehave.
#[rustfmt::skip]
pub const TABLE: &[Misbehaviour] = &[
    row("polite", "nothing wrong at all", POLITE),
    row("bare-close", "150, accepts, closes without a TLS handshake, 226: the defect of IT13168",
        Script { taking: Taking::BareClose, verdict: Verdict::Success, ..POLITE }),
    row("bare-reset", "150, accepts, resets without a TLS handshake, 226",
        Script { taking: Taking::BareReset, verdict: Verdict::Success, ..POLITE }),
    row("never-take", "150, 226, the data connection is never accepted",
        Script { taking: Taking::Never, verdict: Verdict::Success, ..POLITE }),
    row("no-preliminary", "a transfer without 150",
        Script { preliminary: Preliminary::Never, ..POLITE }),
    row("late-150", "TLS begins at once, 150 comes behind its handshake",
        Script { preliminary: Preliminary::Late, ..POLITE }),
    row("hang-before-150", "no answer at all",
        Script { preliminary: Preliminary::Hang, ..POLITE }),
    row("hang-handshake", "150, accepts, then nothing: no handshake",
        Script { taking: Taking::HangBare, ..POLITE }),
    row("hang-after-150", "150, accepts, handshake, then nothing",
        Script { taking: Taking::Hang, ..POLITE }),
    row("partial-then-426", "half the file, FIN without close_notify, 426",
        Script { flow: Flow::Half, ending: Ending::Unfinished, verdict: Verdict::Broken, ..POLITE }),
    row("truncate-then-226", "half the file, FIN without close_notify, 226",
        Script { flow: Flow::Half, ending: Ending::Unfinished, verdict: Verdict::Success, ..POLITE }),
    row("no-close-notify", "the whole file, FIN without close_notify, 226",
        Script { ending: Ending::Unfinished, verdict: Verdict::Success, ..POLITE }),
    row("await-close-notify", "close_notify, then FIN and 226 only behind the peer's close_notify: vsftpd",
        Script { ending: Ending::Patient, ..POLITE }),
    row("reset-mid-stream", "half the file, reset, 426",
        Script { flow: Flow::Half, ending: Ending::Reset, verdict: Verdict::Broken, ..POLITE }),
    row("reset-then-226", "half the file, reset, 226",
        Script { flow: Flow::Half, ending: Ending::Reset, verdict: Verdict::Success, ..POLITE }),
    row("early-226", "150 and 226, then the file",
        Script { verdict: Verdict::Early, ..POLITE }),
    row("refuse-550-closed-port", "the data port is closed, then 550",
        Script { taking: Taking::Refused, ..POLITE }),
    row("control-lost", "150, half the file, then both connections end",
        Script { flow: Flow::Half, ending: Ending::Reset, verdict: Verdict::Lost, ..POLITE }),
];

impl Misbehaviour {
    /// The one that is called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|row| row.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_fit_a_path() {
        for (at, row) in TABLE.iter().enumerate() {
            assert!(TABLE[..at].iter().all(|other| other.name != row.name));
            assert!(
                row.name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            );
            assert_eq!(
                Misbehaviour::named(row.name).map(|row| row.name),
                Some(row.name)
            );
        }
    }
}
