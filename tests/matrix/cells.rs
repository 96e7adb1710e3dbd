//! What can be combined: the axes with their values, a cell as one value of each, and the combinations that cannot be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A transfer, by its verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Retr,
    List,
    Nlst,
    Mlsd,
    Stor,
    Appe,
    Stou,
}

/// How much is to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Empty,
    Byte,
    /// 16 KiB: one TLS record.
    Record,
    /// 10 MiB: more than every buffer on the way together.
    Big,
    /// A little, in twenty pieces with pauses between them.
    Drip,
}

/// How a data connection comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Pasv,
    Epsv,
    Port,
    Eprt,
}

/// Data protection: PROT C or PROT P.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prot {
    C,
    P,
}

/// The TLS version of a whole leg, control and data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    V12,
    V13,
}

/// The family of a leg's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// When the client opens its data connection; in active mode, when it takes the one that is opened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// TCP before the command.
    Early,
    /// At once behind the command.
    Behind,
    /// Only when it has heard 150.
    AfterPreliminary,
    /// Two seconds behind the command.
    Late,
    Never,
}

/// How the client ends its data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// close_notify and FIN; FIN where data is clear.
    Clean,
    /// FIN without close_notify, behind all bytes.
    Unfinished,
    /// FIN before any byte of a handshake.
    Bare,
    /// RST: of an upload behind its bytes, of a download as soon as some of it has come.
    Reset,
    /// It reads, or sends, no further than the first half, and leaves the connection as it is.
    Stops,
}

/// What the backend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Well,
    /// 150 behind the handshake of the data connection.
    LatePreliminary,
    /// All data, and then 150 and 226.
    DataFirst,
    NoPreliminary,
    /// 226 before the first byte.
    EarlyFinal,
    /// 226 only when the gate has ended its direction as well: vsftpd.
    Patient,
    /// Never a close_notify; takes uploads without one.
    Careless,
    /// Every byte of a reply is a record of its own.
    Split,
    /// Replies of several lines that look like other replies.
    Odd,
    /// Replies with a line of 900 bytes, 125 and 250 instead of 150 and 226.
    Long,
    /// Two 150s.
    Twice,
    /// 227 with an address that is not the backend's.
    ForeignPasv,
    /// No data without the TLS session of the control connection.
    DemandsReuse,
    /// 150, 226, and the data connection is closed before any byte: IT13168.
    BareClose,
    /// The same by RST.
    BareReset,
    /// 150 and 226, the data connection is left alone.
    NeverTake,
    /// 226 alone, its data port closed.
    ClosedPort,
    HangBefore150,
    /// 150, and no data connection.
    HangAfter150,
    /// 150, the data connection is taken and left alone.
    HangHandshake,
    /// Half of it, and then nothing.
    HangMidStream,
    /// All of it, well ended, and no final reply.
    HangBefore226,
    /// 550, its data port closed before.
    Refused,
    /// 550, its data port open.
    RefusedOpen,
    /// Half of it, well ended, 426.
    Partial426,
    /// Half of it, well ended, 451.
    Partial451,
    /// All of it, well ended, and 426 all the same.
    Whole426,
    /// Half of it, FIN without close_notify, 226.
    Truncated226,
    /// Half of it, FIN without close_notify, 426.
    Truncated426,
    /// Half of it, RST, 226.
    Reset226,
    /// Half of it, RST, 426.
    Reset426,
    /// Half of it, the beginning of a record, FIN, 226.
    CutRecord,
    /// The control connection ends instead of a 150.
    LostBefore150,
    /// Half of it, and both connections end.
    LostMidStream,
    /// 227 or 229 without a port in it.
    BrokenPasv,
}

/// One leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) mode: Mode,
    pub(crate) prot: Prot,
    pub(crate) tls: Tls,
    pub(crate) family: Family,
}

/// What is done with an end without close_notify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfinished {
    Mirror,
    Repair,
    Reject,
}

/// What is done with a success without a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Empty {
    Complete,
    Verify,
    Reject,
}

/// What the operator has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) client_unfinished: Unfinished,
    pub(crate) backend_unfinished: Unfinished,
    pub(crate) empty: Empty,
    pub(crate) bare_uploads: bool,
}

impl Policy {
    /// As the gate comes.
    pub(crate) const DEFAULT: Self = Self {
        client_unfinished: Unfinished::Mirror,
        backend_unfinished: Unfinished::Mirror,
        empty: Empty::Complete,
        bare_uploads: false,
    };
}

/// One combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) verb: Verb,
    pub(crate) size: Size,
    pub(crate) client: Way,
    pub(crate) arrival: Arrival,
    pub(crate) ending: Ending,
    pub(crate) backend: Way,
    pub(crate) manner: Manner,
    pub(crate) policy: Policy,
}

impl Verb {
    pub(crate) const ALL: [Self; 7] = [
        Self::Retr,
        Self::List,
        Self::Nlst,
        Self::Mlsd,
        Self::Stor,
        Self::Appe,
        Self::Stou,
    ];

    pub(crate) fn is_upload(self) -> bool {
        matches!(self, Self::Stor | Self::Appe | Self::Stou)
    }
}

impl Size {
    pub(crate) const ALL: [Self; 5] =
        [Self::Empty, Self::Byte, Self::Record, Self::Big, Self::Drip];

    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Byte => 1,
            Self::Record => 16 << 10,
            Self::Big => 10 << 20,
            Self::Drip => 1000,
        }
    }
}

impl Mode {
    pub(crate) const ALL: [Self; 4] = [Self::Pasv, Self::Epsv, Self::Port, Self::Eprt];

    pub(crate) fn is_active(self) -> bool {
        matches!(self, Self::Port | Self::Eprt)
    }

    fn is_extended(self) -> bool {
        matches!(self, Self::Epsv | Self::Eprt)
    }
}

impl Prot {
    pub(crate) const ALL: [Self; 2] = [Self::C, Self::P];
}

impl Tls {
    pub(crate) const ALL: [Self; 2] = [Self::V12, Self::V13];
}

impl Family {
    pub(crate) const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub(crate) const fn ip(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Self::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        }
    }
}

impl Arrival {
    pub(crate) const ALL: [Self; 5] = [
        Self::Early,
        Self::Behind,
        Self::AfterPreliminary,
        Self::Late,
        Self::Never,
    ];
}

impl Ending {
    pub(crate) const ALL: [Self; 5] = [
        Self::Clean,
        Self::Unfinished,
        Self::Bare,
        Self::Reset,
        Self::Stops,
    ];
}

impl Manner {
    pub(crate) const ALL: [Self; 35] = [
        Self::Well,
        Self::LatePreliminary,
        Self::DataFirst,
        Self::NoPreliminary,
        Self::EarlyFinal,
        Self::Patient,
        Self::Careless,
        Self::Split,
        Self::Odd,
        Self::Long,
        Self::Twice,
        Self::ForeignPasv,
        Self::DemandsReuse,
        Self::BareClose,
        Self::BareReset,
        Self::NeverTake,
        Self::ClosedPort,
        Self::HangBefore150,
        Self::HangAfter150,
        Self::HangHandshake,
        Self::HangMidStream,
        Self::HangBefore226,
        Self::Refused,
        Self::RefusedOpen,
        Self::Partial426,
        Self::Partial451,
        Self::Whole426,
        Self::Truncated226,
        Self::Truncated426,
        Self::Reset226,
        Self::Reset426,
        Self::CutRecord,
        Self::LostBefore150,
        Self::LostMidStream,
        Self::BrokenPasv,
    ];
}

impl Cell {
    /// How many values each axis has, in the order of `from_levels`.
    pub(crate) const LEVELS: [usize; 13] = [
        Verb::ALL.len(),
        Size::ALL.len(),
        Mode::ALL.len(),
        Prot::ALL.len(),
        Tls::ALL.len(),
        Arrival::ALL.len(),
        Ending::ALL.len(),
        Mode::ALL.len(),
        Prot::ALL.len(),
        Tls::ALL.len(),
        Manner::ALL.len(),
        Family::ALL.len(),
        Family::ALL.len(),
    ];

    /// The cell that has these values.
    pub(crate) fn from_levels(levels: [usize; 13]) -> Self {
        let [verb, size, mode, prot, tls, arrival, ending, levels @ ..] = levels;
        let [backend_mode, backend_prot, backend_tls, levels @ ..] = levels;
        let [manner, family, backend_family] = levels;
        Self {
            verb: Verb::ALL[verb],
            size: Size::ALL[size],
            client: Way {
                mode: Mode::ALL[mode],
                prot: Prot::ALL[prot],
                tls: Tls::ALL[tls],
                family: Family::ALL[family],
            },
            arrival: Arrival::ALL[arrival],
            ending: Ending::ALL[ending],
            backend: Way {
                mode: Mode::ALL[backend_mode],
                prot: Prot::ALL[backend_prot],
                tls: Tls::ALL[backend_tls],
                family: Family::ALL[backend_family],
            },
            manner: Manner::ALL[manner],
            policy: Policy::DEFAULT,
        }
    }
}

/// Some axes decided, others open: what a combination is before it is a cell.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Draft(pub(crate) [Option<usize>; 13]);

impl Draft {
    fn verb(&self) -> Option<Verb> {
        self.0[0].map(|level| Verb::ALL[level])
    }

    fn client_mode(&self) -> Option<Mode> {
        self.0[2].map(|level| Mode::ALL[level])
    }

    fn client_prot(&self) -> Option<Prot> {
        self.0[3].map(|level| Prot::ALL[level])
    }

    fn arrival(&self) -> Option<Arrival> {
        self.0[5].map(|level| Arrival::ALL[level])
    }

    fn ending(&self) -> Option<Ending> {
        self.0[6].map(|level| Ending::ALL[level])
    }

    fn backend_mode(&self) -> Option<Mode> {
        self.0[7].map(|level| Mode::ALL[level])
    }

    fn backend_prot(&self) -> Option<Prot> {
        self.0[8].map(|level| Prot::ALL[level])
    }

    fn manner(&self) -> Option<Manner> {
        self.0[10].map(|level| Manner::ALL[level])
    }

    fn client_family(&self) -> Option<Family> {
        self.0[11].map(|level| Family::ALL[level])
    }

    fn backend_family(&self) -> Option<Family> {
        self.0[12].map(|level| Family::ALL[level])
    }

    /// Why there is no such cell, if there is none whatever the open axes become.
    pub(crate) fn impossible(&self) -> Option<&'static str> {
        let mut reasons = IMPOSSIBLE.iter();
        reasons.find(|(_, holds)| holds(self)).map(|(why, _)| *why)
    }

    /// Whether it is settled that both sides, or that not both sides, leave the contract.
    pub(crate) fn both_at_fault(&self) -> Option<bool> {
        let client = match (self.arrival(), self.ending()) {
            (Some(Arrival::Never), _) => Some(true),
            (Some(_), Some(Ending::Clean)) => Some(false),
            (_, Some(ending)) if ending != Ending::Clean => Some(true),
            _ => None,
        };
        let backend = self.manner().map(|manner| manner != Manner::Well);
        match (client, backend) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }
}

type Impossibility = (&'static str, fn(&Draft) -> bool);

/// Combinations that cannot be, each with its reason.
pub(crate) const IMPOSSIBLE: [Impossibility; 10] = [
    (
        "on a clear leg FIN is all there is: nothing can be missing before it",
        |draft| {
            draft.client_prot() == Some(Prot::C)
                && matches!(draft.ending(), Some(Ending::Unfinished | Ending::Bare))
        },
    ),
    ("who never connects ends nothing", |draft| {
        draft.arrival() == Some(Arrival::Never)
            && draft.ending().is_some_and(|ending| ending != Ending::Clean)
    }),
    (
        "in active mode the data connection is opened by the command, not before it",
        |draft| {
            draft.arrival() == Some(Arrival::Early)
                && draft.client_mode().is_some_and(Mode::is_active)
        },
    ),
    ("PASV and PORT know only IPv4: clients", |draft| {
        draft.client_family() == Some(Family::V6)
            && draft.client_mode().is_some_and(|mode| !mode.is_extended())
    }),
    ("PASV and PORT know only IPv4: backends", |draft| {
        draft.backend_family() == Some(Family::V6)
            && draft.backend_mode().is_some_and(|mode| !mode.is_extended())
    }),
    ("only a 227 has an address in it, an IPv4 one", |draft| {
        draft.manner() == Some(Manner::ForeignPasv)
            && (draft.backend_mode().is_some_and(|mode| mode != Mode::Pasv)
                || draft.backend_family() == Some(Family::V6))
    }),
    ("PORT and EPRT are answered without a port", |draft| {
        draft.manner() == Some(Manner::BrokenPasv)
            && draft.backend_mode().is_some_and(Mode::is_active)
    }),
    ("a clear leg has no TLS session to resume", |draft| {
        draft.manner() == Some(Manner::DemandsReuse) && draft.backend_prot() == Some(Prot::C)
    }),
    ("a clear leg has no records", |draft| {
        draft.manner() == Some(Manner::CutRecord) && draft.backend_prot() == Some(Prot::C)
    }),
    ("a backend that receives sends no data", |draft| {
        matches!(draft.manner(), Some(Manner::CutRecord | Manner::DataFirst))
            && draft.verb().is_some_and(Verb::is_upload)
    }),
];
