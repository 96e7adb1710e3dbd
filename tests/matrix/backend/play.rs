//! The manners of the backend, each as a script of steps: what is said when, what is taken, what moves, how it ends.

use crate::cells::Manner;

/// When 150 is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preliminary {
    AtOnce,
    /// Behind the handshake of the data connection.
    Late,
    /// Behind the data, together with the final reply.
    Last,
    Never,
}

/// What becomes of the command, before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outset {
    Go,
    Hang,
    Lost,
    /// 550; whether the data port is closed before.
    Refuse {
        closed: bool,
    },
}

/// What becomes of the data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taking {
    Whole,
    /// Left in the kernel's queue, or never opened; 226 all the same.
    Never,
    /// The port closed, 226 all the same.
    Closed,
    /// Neither taken nor opened, and nothing is said of it.
    Hang,
    /// Taken, and ended by FIN before any byte; 226.
    BareFin,
    /// The same by RST.
    BareReset,
    /// Taken, and left alone.
    HangBare,
}

/// How our direction ends, when so much has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Clean,
    /// Clean; the final reply waits for the peer's end.
    Patient,
    Unfinished,
    Reset,
    /// The beginning of a record, then FIN.
    Cut,
    /// It does not.
    Hang,
    /// With the control connection.
    Lost,
}

/// What is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// 226 if the peer has ended as it should, else 426.
    Honest,
    /// This, whatever has happened.
    Say(u16),
    /// 226 before the first byte.
    Early,
    Silence,
}

/// How replies look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    Plain,
    Split,
    Odd,
    Long,
    Twice,
}

/// One manner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Play {
    pub(super) outset: Outset,
    pub(super) preliminary: Preliminary,
    pub(super) taking: Taking,
    /// Only half of the file moves.
    pub(super) half: bool,
    pub(super) finish: Finish,
    pub(super) verdict: Verdict,
    pub(super) speech: Speech,
    pub(super) demands_reuse: bool,
}

impl Play {
    const WELL: Self = Self {
        outset: Outset::Go,
        preliminary: Preliminary::AtOnce,
        taking: Taking::Whole,
        half: false,
        finish: Finish::Clean,
        verdict: Verdict::Honest,
        speech: Speech::Plain,
        demands_reuse: false,
    };

    pub(super) const fn of(manner: Manner) -> Self {
        let well = Self::WELL;
        let half = Self { half: true, ..well };
        match manner {
            Manner::Well | Manner::ForeignPasv | Manner::BrokenPasv => well,
            Manner::LatePreliminary => Self {
                preliminary: Preliminary::Late,
                ..well
            },
            Manner::DataFirst => Self {
                preliminary: Preliminary::Last,
                ..well
            },
            Manner::NoPreliminary => Self {
                preliminary: Preliminary::Never,
                ..well
            },
            Manner::EarlyFinal => Self {
                verdict: Verdict::Early,
                ..well
            },
            Manner::Patient => Self {
                finish: Finish::Patient,
                ..well
            },
            Manner::Careless => Self {
                finish: Finish::Unfinished,
                verdict: Verdict::Say(226),
                ..well
            },
            Manner::Split => Self {
                speech: Speech::Split,
                ..well
            },
            Manner::Odd => Self {
                speech: Speech::Odd,
                ..well
            },
            Manner::Long => Self {
                speech: Speech::Long,
                ..well
            },
            Manner::Twice => Self {
                speech: Speech::Twice,
                ..well
            },
            Manner::DemandsReuse => Self {
                demands_reuse: true,
                ..well
            },
            Manner::BareClose => Self {
                taking: Taking::BareFin,
                ..well
            },
            Manner::BareReset => Self {
                taking: Taking::BareReset,
                ..well
            },
            Manner::NeverTake => Self {
                taking: Taking::Never,
                ..well
            },
            Manner::ClosedPort => Self {
                preliminary: Preliminary::Never,
                taking: Taking::Closed,
                ..well
            },
            Manner::HangBefore150 => Self {
                outset: Outset::Hang,
                ..well
            },
            Manner::HangAfter150 => Self {
                taking: Taking::Hang,
                ..well
            },
            Manner::HangHandshake => Self {
                taking: Taking::HangBare,
                ..well
            },
            Manner::HangMidStream => Self {
                finish: Finish::Hang,
                ..half
            },
            Manner::HangBefore226 => Self {
                verdict: Verdict::Silence,
                ..well
            },
            Manner::Refused => Self {
                outset: Outset::Refuse { closed: true },
                ..well
            },
            Manner::RefusedOpen => Self {
                outset: Outset::Refuse { closed: false },
                ..well
            },
            Manner::Partial426 => Self {
                verdict: Verdict::Say(426),
                ..half
            },
            Manner::Partial451 => Self {
                verdict: Verdict::Say(451),
                ..half
            },
            Manner::Whole426 => Self {
                verdict: Verdict::Say(426),
                ..well
            },
            Manner::Truncated226 => Self {
                finish: Finish::Unfinished,
                verdict: Verdict::Say(226),
                ..half
            },
            Manner::Truncated426 => Self {
                finish: Finish::Unfinished,
                verdict: Verdict::Say(426),
                ..half
            },
            Manner::Reset226 => Self {
                finish: Finish::Reset,
                verdict: Verdict::Say(226),
                ..half
            },
            Manner::Reset426 => Self {
                finish: Finish::Reset,
                verdict: Verdict::Say(426),
                ..half
            },
            Manner::CutRecord => Self {
                finish: Finish::Cut,
                verdict: Verdict::Say(226),
                ..half
            },
            Manner::LostBefore150 => Self {
                outset: Outset::Lost,
                ..well
            },
            Manner::LostMidStream => Self {
                finish: Finish::Lost,
                ..half
            },
        }
    }
}
