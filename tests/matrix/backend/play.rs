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
            Manner::LatePreliminary => well.begins(Preliminary::Late),
            Manner::DataFirst => well.begins(Preliminary::Last),
            Manner::NoPreliminary => well.begins(Preliminary::Never),
            Manner::EarlyFinal => well.says(Verdict::Early),
            Manner::Patient => well.ends(Finish::Patient),
            Manner::Careless => well.ends(Finish::Unfinished).says(SUCCESS),
            Manner::Split => well.speaks(Speech::Split),
            Manner::Odd => well.speaks(Speech::Odd),
            Manner::Long => well.speaks(Speech::Long),
            Manner::Twice => well.speaks(Speech::Twice),
            Manner::DemandsReuse => Self {
                demands_reuse: true,
                ..well
            },
            Manner::BareClose => well.takes(Taking::BareFin),
            Manner::BareReset => well.takes(Taking::BareReset),
            Manner::NeverTake => well.takes(Taking::Never),
            Manner::ClosedPort => well.takes(Taking::Closed).begins(Preliminary::Never),
            Manner::HangBefore150 => well.sets_out(Outset::Hang),
            Manner::HangAfter150 => well.takes(Taking::Hang),
            Manner::HangHandshake => well.takes(Taking::HangBare),
            Manner::HangMidStream => half.ends(Finish::Hang),
            Manner::HangBefore226 => well.says(Verdict::Silence),
            Manner::Refused => well.sets_out(Outset::Refuse { closed: true }),
            Manner::RefusedOpen => well.sets_out(Outset::Refuse { closed: false }),
            Manner::Partial426 => half.says(Verdict::Say(426)),
            Manner::Partial451 => half.says(Verdict::Say(451)),
            Manner::Whole426 => well.says(Verdict::Say(426)),
            Manner::Truncated226 => half.ends(Finish::Unfinished).says(SUCCESS),
            Manner::Truncated426 => half.ends(Finish::Unfinished).says(Verdict::Say(426)),
            Manner::Reset226 => half.ends(Finish::Reset).says(SUCCESS),
            Manner::Reset426 => half.ends(Finish::Reset).says(Verdict::Say(426)),
            Manner::CutRecord => half.ends(Finish::Cut).says(SUCCESS),
            Manner::LostBefore150 => well.sets_out(Outset::Lost),
            Manner::LostMidStream => half.ends(Finish::Lost),
        }
    }

    const fn sets_out(self, outset: Outset) -> Self {
        Self { outset, ..self }
    }

    const fn begins(self, preliminary: Preliminary) -> Self {
        Self {
            preliminary,
            ..self
        }
    }

    const fn takes(self, taking: Taking) -> Self {
        Self { taking, ..self }
    }

    const fn ends(self, finish: Finish) -> Self {
        Self { finish, ..self }
    }

    const fn says(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }

    const fn speaks(self, speech: Speech) -> Self {
        Self { speech, ..self }
    }
}

/// 226 whatever has happened.
const SUCCESS: Verdict = Verdict::Say(226);
