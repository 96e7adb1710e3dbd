//! The load generator: sessions and streams from any number of cores, in a closed loop or at a rate, timed and checked.
//! The command `load` runs it, and perf/ measures every proxy with it; its other end is `rig/anvil`.
//! It never tries a failed unit again, never calls one good whose bytes were not, and by default never leaves the host.
//!
//! A *unit* is what a scenario repeats. In a closed loop each worker begins its next unit when the last has ended; in an
//! open loop units begin by the clock, and one that has to wait for a worker counts from when it should have begun: a
//! server that stalls is not spared the units that nobody could begin meanwhile (coordinated omission).

mod command;
mod core;
mod guest;
mod link;
mod meter;
mod pace;
mod report;
mod tally;
#[cfg(test)]
mod tests;

pub use command::{Arguments, run as command};
pub use meter::Reading;
pub use report::{human, json};
pub use tally::{Phase, Tally};

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use async_channel::Sender;
use clap::ValueEnum;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::goods::Goods;
use crate::limits;
use crate::sys::clock;
use core::{News, Window};
use pace::Pace;

/// What is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Connect, log in, QUIT
    Login,
    /// Hold sessions that are logged in, and say nothing
    Idle,
    /// NOOP in a session
    Noop,
    /// RETR of an empty file
    Empty,
    /// RETR of 4 KiB
    Small,
    /// RETR of a large file (1 GiB)
    Get,
    /// STOR of a large file (1 GiB)
    Put,
    /// LIST of a directory (1000 lines)
    List,
    /// Over one stream to `--echo`: send a message (64 bytes), take it back
    StreamEcho,
    /// Over one stream to `--echo`: send much (1 MiB), take it back at the same time
    StreamBulk,
    /// Over one stream from `--source`: take much (1 MiB)
    StreamGet,
    /// Over one stream to `--sink`: send much (1 MiB)
    StreamPut,
    /// Connect to `--echo`, send a byte, take it back, close
    StreamConnect,
}

impl Scenario {
    /// Whether it speaks no FTP.
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(
            self,
            Self::StreamEcho
                | Self::StreamBulk
                | Self::StreamGet
                | Self::StreamPut
                | Self::StreamConnect
        )
    }

    const fn moves_files(self) -> bool {
        matches!(self, Self::Empty | Self::Small | Self::Get | Self::Put)
    }

    /// Descriptors of one of so many workers: its link, for a transfer a data connection, and those that wait for their
    /// peers' ends. Of very many, few transfer at the same time.
    const fn descriptors(self, workers: usize) -> u64 {
        match self {
            Self::Idle | Self::Noop | Self::StreamEcho | Self::StreamBulk | Self::StreamGet => 1,
            _ if workers > BUSY_WORKERS_MAX => 2,
            _ => 2 + limits::LINGERING_LEGS_MAX as u64,
        }
    }

    /// How large a unit is where nothing is said about it.
    const fn size(self) -> &'static str {
        match self {
            Self::Small => "4KiB",
            Self::Get | Self::Put => "1GiB",
            Self::StreamEcho => "64",
            Self::StreamConnect => "1",
            Self::StreamBulk | Self::StreamGet | Self::StreamPut => "1MiB",
            _ => "empty",
        }
    }
}

/// Workers that may all transfer at the same time.
const BUSY_WORKERS_MAX: usize = 1000;

/// How TLS begins on a control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Approach {
    /// By AUTH TLS
    Explicit,
    /// With the first byte; streams in TLS are always so
    Implicit,
    /// Not at all
    Off,
}

/// TLS of a data connection, where it is private.
type DataTls = Option<(Arc<ClientConfig>, ServerName<'static>)>;

/// All that a run needs to know.
#[derive(Clone, Debug)]
pub struct Plan {
    scenario: Scenario,
    target: SocketAddr,
    approach: Approach,
    /// Invariant: some unless the approach is `Off`.
    tls: DataTls,
    is_private: bool,
    resumes: bool,
    user: String,
    password: String,
    /// What is asked for, and what must come or is sent.
    path: String,
    goods: Goods,
    cores: Vec<usize>,
    concurrency: usize,
    pace: Option<Pace>,
    warmup: Duration,
    duration: Duration,
    units: Option<u64>,
    patience: Duration,
    /// The process whose CPU time and memory are read.
    meter: Option<u32>,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was counted and timed.
    pub tally: Tally,
    /// How long it was measured.
    pub measured: Duration,
    /// The metered process before the first connection, when measuring began, and when it ended.
    pub meter: Option<[Reading; 3]>,
}

/// A moment of a long run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beat {
    /// How long it has been measured, and how long it will be.
    pub elapsed: Duration,
    /// Units so far.
    pub units: u64,
    /// Bytes so far.
    pub bytes: u64,
    /// Failures so far.
    pub failed: u64,
}

/// Runs a plan; `progress` is told how it goes, once a second.
///
/// # Errors
/// A core does not start, or the metered process is not there.
pub fn run(plan: &Plan, mut progress: impl FnMut(Beat)) -> Result<Outcome, String> {
    let read = || match plan.meter {
        Some(pid) => meter::read(pid)
            .map(Some)
            .ok_or_else(|| format!("there is no process {pid}")),
        None => Ok(None),
    };
    let before = read()?;
    let (cores, news) = start(plan)?;
    await_ready(plan, &cores, &news)?;
    let started = clock::now();
    let begin = started + plan.warmup;
    let window = Window {
        started,
        begin,
        end: begin + plan.duration,
    };
    for core in &cores {
        // A core that has ended before its time is found when it is joined.
        let _over = core.window.send_blocking(window);
    }
    let mut crowd = Crowd::new(cores.len());
    crowd.watch(&news, begin, begin, &mut progress);
    let first = read()?;
    crowd.watch(&news, begin, window.end, &mut progress);
    let last = read()?;
    let measured = clock::now().min(window.end) - begin;
    // Whoever still stays may leave now.
    for core in &cores {
        core.window.close();
    }
    let mut tally = Tally::default();
    for core in cores {
        tally.add(
            core.thread
                .join()
                .map_err(|fault| format!("a core has ended: {fault}"))?,
        );
    }
    Ok(Outcome {
        tally,
        measured,
        meter: before
            .zip(first)
            .zip(last)
            .map(|((before, first), last)| [before, first, last]),
    })
}

/// One core, seen from outside.
struct Remote {
    window: Sender<Window>,
    thread: ExecutorJoinHandle<Tally>,
}

fn start(plan: &Plan) -> Result<(Vec<Remote>, Receiver<News>), String> {
    let (tell, news) = mpsc::channel();
    let places = match plan.cores.as_slice() {
        [] => vec![Placement::Unbound],
        cores => cores.iter().map(|&core| Placement::Fixed(core)).collect(),
    };
    let of = places.len();
    let start = |(id, place)| {
        let (window, receiver) = async_channel::bounded(1);
        let (plan, tell) = (plan.clone(), tell.clone());
        let thread = LocalExecutorBuilder::new(place)
            .name("load")
            .io_memory(limits::RING_MEMORY_BYTES)
            .preempt_timer(limits::CORE_HOLD_MAX)
            .spawn(move || core::run(plan, id, of, receiver, tell));
        thread
            .map(|thread| Remote { window, thread })
            .map_err(|fault| fault.to_string())
    };
    let cores = places
        .into_iter()
        .enumerate()
        .map(start)
        .collect::<Result<_, _>>()?;
    Ok((cores, news))
}

/// Waits until every worker of every core has opened what it keeps, or has failed to.
fn await_ready(plan: &Plan, cores: &[Remote], news: &Receiver<News>) -> Result<(), String> {
    // Every entry is bounded by itself; so many at a time make this bound of all of them.
    let rounds = plan.concurrency.div_ceil(core::ENTRANTS_MAX * cores.len()) + 1;
    let limit = clock::now() + plan.patience * u32::try_from(rounds).unwrap_or(u32::MAX);
    let mut ready = 0;
    while ready < cores.len() {
        match news.recv_timeout(limit.saturating_duration_since(clock::now())) {
            Ok(News::Ready) => ready += 1,
            Ok(_) => {}
            Err(_) => return Err("the sessions are not in within their time".to_owned()),
        }
    }
    Ok(())
}

/// What the cores have told last.
struct Crowd {
    beats: Vec<Beat>,
    over: usize,
}

impl Crowd {
    fn new(cores: usize) -> Self {
        Self {
            beats: vec![Beat::default(); cores],
            over: 0,
        }
    }

    /// Listens until then, or until every core is over.
    fn watch(
        &mut self,
        news: &Receiver<News>,
        begin: Instant,
        until: Instant,
        progress: &mut impl FnMut(Beat),
    ) {
        while self.over < self.beats.len() {
            match news.recv_timeout(until.saturating_duration_since(clock::now())) {
                Ok(News::Beat(id, beat)) => {
                    self.beats[id] = beat;
                    // Once for all of them.
                    if id == 0 {
                        progress(self.sum(clock::now().saturating_duration_since(begin)));
                    }
                }
                Ok(News::Over) => self.over += 1,
                Ok(News::Ready) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn sum(&self, elapsed: Duration) -> Beat {
        let start = Beat {
            elapsed,
            ..Beat::default()
        };
        self.beats.iter().fold(start, |sum, beat| Beat {
            units: sum.units + beat.units,
            bytes: sum.bytes + beat.bytes,
            failed: sum.failed + beat.failed,
            ..sum
        })
    }
}
