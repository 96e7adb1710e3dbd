//! The process around the shards: it reads and checks the configuration, starts the log, and runs what serves.
//! The command line and the rig use it; it works on ordinary threads, before and beside the cores that serve.
//! It never moves a byte between a client and a backend.

pub mod check;
mod draft;
mod fault;
mod journal;
mod kept;
pub mod logging;
mod names;
mod office;
mod reload;
mod start;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use async_channel::Sender;
use glommio::ExecutorJoinHandle;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::admin::{Asked, Collector};
use crate::ftp::escape;
use crate::metrics::{Counter, IS_RECORDING, Phase, Snapshot};
use crate::shard::Mail;
use check::Prepared;
use journal::Journal;

pub use fault::Fault;
pub use start::start;

/// A gate that serves. Dropping it stops it, without waiting for anything.
pub struct Running {
    addresses: Vec<Vec<SocketAddr>>,
    shards: Vec<Shard>,
    collector: Arc<Collector>,
    journal: Option<Journal>,
    /// Cores tell their end here, and whoever else ends the process.
    news: (SyncSender<News>, Receiver<News>),
    /// Whoever wants the configuration read again; the thread that does it ends with this.
    reload: Sender<Asked>,
}

struct Shard {
    mail: Sender<Mail>,
    thread: ExecutorJoinHandle<Snapshot>,
}

/// What ends a running gate.
enum News {
    /// The operator wants it.
    Stop,
    /// The core on this CPU serves no more, and nobody has told it to stop.
    CoreEnded(usize),
}

/// Tells the end of a core, however it ends: also by a panic outside every session.
struct EndNotice {
    cpu: usize,
    news: SyncSender<News>,
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        // Full or closed: then the process is ending already.
        let _unheard = self.news.try_send(News::CoreEnded(self.cpu));
    }
}

impl Running {
    /// Where each listener of the configuration was reached when it was started.
    #[must_use]
    pub fn addresses(&self) -> &[Vec<SocketAddr>] {
        &self.addresses
    }

    /// Stops accepting, lets transfers end within the bound, and gives what all cores have counted.
    ///
    /// # Errors
    /// When a core has died before.
    pub fn stop(self) -> io::Result<Snapshot> {
        self.collector.draining();
        for shard in &self.shards {
            // A shard that is gone already is told by its thread below.
            let _gone = shard.mail.send_blocking(Mail::Drain);
        }
        for (at, shard) in self.shards.into_iter().enumerate() {
            let last = shard
                .thread
                .join()
                .map_err(|fault| io::Error::other(fault.to_string()))?;
            self.collector.finish(at, &last);
        }
        if let Some(journal) = &self.journal {
            journal.finish();
        }
        Ok(self.collector.merged())
    }
}

/// Serves until SIGTERM or SIGINT, or until a core has died: then a supervisor does better with a new process.
#[must_use]
pub fn run(prepared: &Prepared) -> ExitCode {
    log_panics();
    // Whoever renews a certificate while the gate starts must not end it: what SIGHUP asks for is done when it has started.
    let signals = match Signals::new([SIGHUP]) {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be heard");
            return ExitCode::FAILURE;
        }
    };
    let running = match start(prepared) {
        Ok(running) => running,
        Err(faults) => {
            for fault in faults {
                tracing::error!("{fault}");
            }
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = hear_signals(signals, &running) {
        tracing::error!(%error, "signals cannot be heard");
        return ExitCode::FAILURE;
    }
    if !IS_RECORDING {
        tracing::warn!("this build counts and times nothing: it is for measuring what that costs");
    }
    if let Some(admin) = &prepared.config.admin {
        let tls = admin.tls.is_some();
        tracing::info!(address = %admin.address.value, tls, "admin server ready");
    }
    for (listener, addresses) in prepared.config.listeners.iter().zip(running.addresses()) {
        for address in addresses {
            tracing::info!(listener = listener.name, %address, "ready");
        }
    }
    // We hold a sender ourselves, so the channel does not close.
    if let Ok(News::CoreEnded(cpu)) = running.news.1.recv() {
        tracing::error!(cpu, "a core has died: the process ends with it");
        if let Some(journal) = &running.journal {
            journal.finish();
        }
        return ExitCode::FAILURE;
    }
    tracing::info!("stopping: no new sessions, transfers may end");
    match running.stop() {
        Ok(totals) => {
            tell_totals(&totals);
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, "a core has died");
            ExitCode::FAILURE
        }
    }
}

fn hear_signals(mut signals: Signals, running: &Running) -> io::Result<()> {
    signals.add_signal(SIGTERM)?;
    signals.add_signal(SIGINT)?;
    let (news, reload) = (running.news.0.clone(), running.reload.downgrade());
    let reopen = running.journal.as_ref().map(Journal::reopener);
    let hear = move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                // Whatever the configuration has become: its file may have been moved.
                if let Some(reopen) = &reopen {
                    reopen.ask();
                }
                // Where too many wait already, the file has not been read since.
                let _waiting = office::ask_reload(&reload, None);
                continue;
            }
            // The first one is enough; those after it find nobody who listens.
            let _unheard = news.try_send(News::Stop);
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(hear)?;
    Ok(())
}

/// A panic is a defect of ours: it goes where the operator looks, on one line, with what it says escaped.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let what = panic.payload_as_str().map(|text| escape(text.as_bytes()));
        tracing::error!(place, what, "panic");
    }));
}

fn tell_totals(totals: &Snapshot) {
    let [sessions, panicked, downloads, uploads] = [
        Counter::SessionsOpened,
        Counter::SessionsPanicked,
        Counter::DownloadsCompleted,
        Counter::UploadsCompleted,
    ]
    .map(|counter| totals.total(counter));
    for &phase in Phase::ALL {
        let times = totals.times(phase);
        if !times.is_empty() {
            let [p50_us, p99_us, max_us] = [0.5, 0.99, 1.0].map(|q| times.value_at_quantile(q));
            let (name, count) = (phase.series(), times.len());
            tracing::info!(name, count, p50_us, p99_us, max_us, "timed");
        }
    }
    tracing::info!(sessions, panicked, downloads, uploads, "stopped");
}

/// News that may wait: one of each core, and a signal.
const NEWS_MAX: usize = crate::limits::SHARDS_MAX + 1;

/// The channel by which a gate ends.
fn news() -> (SyncSender<News>, Receiver<News>) {
    sync_channel(NEWS_MAX)
}
