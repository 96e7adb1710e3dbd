//! The sections that hold for the whole process: its cores, its log, its bounds and its clocks.

use core::time::Duration;
use std::path::PathBuf;

use super::Located;
use crate::audit::Format;

/// `[process]`: the cores that serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// `cores`
    pub cores: Located<Cores>,
    /// `in_place`: whether data between two TLS 1.3 legs is opened and sealed by our own record layer, in one buffer.
    pub in_place: bool,
    /// `kernel_tls`: whether the kernel takes over the TLS 1.3 of transfers that turn out to be long.
    pub kernel_tls: Located<KernelTls>,
    /// `busy_poll`
    pub busy_poll: Located<BusyPoll>,
}

/// How long a core that has nothing to do looks for news before it sleeps; zero: it sleeps at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusyPoll(pub Duration);

/// Whether the kernel's TLS is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelTls {
    /// Where there is one.
    Auto,
    /// There has to be one.
    On,
    /// No.
    Off,
}

/// Which CPUs get a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Every CPU the process may use.
    All,
    /// These, ascending and different; whether they exist is not known here.
    List(Vec<usize>),
}

/// `[log]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// `level`
    pub level: LogLevel,
    /// `format`
    pub format: LogFormat,
}

/// The least serious kind of line that is still written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Something is lost.
    Error,
    /// Something should be looked at.
    Warn,
    /// What happens to listeners, logins and transfers.
    Info,
    /// Sessions and their TLS in detail.
    Debug,
    /// As debug: the gate itself has nothing to add.
    Trace,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// For reading.
    Human,
    /// One object a line.
    Json,
}

/// `[limits]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `sessions`: most sessions at once, of the whole process. Left out: `limits::SESSIONS`, or as many as the
    /// descriptors of the process allow where that is less.
    pub sessions: Option<usize>,
    /// `descriptors_per_session`: how many the start reckons for each session. Fewer than the most that one can hold say
    /// that few sessions transfer at the same time.
    pub descriptors_per_session: u64,
}

/// `[timeouts]`: one bound for each phase of a session (rule 4 of the contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TLS handshake of a control connection, either leg.
    pub handshake: Duration,
    /// From the banner to a completed login.
    pub login: Duration,
    /// A logged-in client that says nothing.
    pub idle: Duration,
    /// Reaching a backend: TCP and its greeting.
    pub backend_connect: Duration,
    /// How long a member of a pool that has failed is tried behind the others.
    pub member_rest: Duration,
    /// A backend's reply to a command that moves no data.
    pub backend_reply: Duration,
    /// A data leg: TCP connected or accepted.
    pub data_connect: Duration,
    /// A data leg: TLS handshake.
    pub data_handshake: Duration,
    /// From both data legs up to the first byte or the end.
    pub data_first_byte: Duration,
    /// A stream that has begun and does not move.
    pub data_stall: Duration,
    /// The end of a transfer: flushing, the peer's end, the backend's final reply.
    pub data_completion: Duration,
    /// How long a data leg waits for the peer's close after ours.
    pub linger: Duration,
    /// How long transfers may go on when the process is told to stop.
    pub drain: Duration,
}

/// `[audit]`: where and how the journal is kept; nothing if it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// `file`
    pub file: Located<PathBuf>,
    /// `format`
    pub format: Format,
    /// `max_bytes`
    pub max_bytes: usize,
    /// `keep`
    pub keep: usize,
}
