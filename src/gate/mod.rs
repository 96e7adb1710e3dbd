//! The process around the shards: it reads and checks the configuration, starts the log, and runs what serves.
//! The command line and the rig use it; it works on ordinary threads, before and beside the cores that serve.
//! It never moves a byte between a client and a backend.

pub mod check;
pub mod logging;
mod start;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use async_channel::Sender;
use glommio::ExecutorJoinHandle;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::metrics::{Counter, Snapshot};
use crate::shard::Mail;
use check::Prepared;

pub use start::{Fault, start};

/// A gate that serves.
pub struct Running {
    addresses: Vec<Vec<SocketAddr>>,
    shards: Vec<Shard>,
}

struct Shard {
    mail: Sender<Mail>,
    thread: ExecutorJoinHandle<Snapshot>,
}

impl Running {
    /// Where each listener of the configuration is reached.
    #[must_use]
    pub fn addresses(&self) -> &[Vec<SocketAddr>] {
        &self.addresses
    }

    /// Stops accepting, lets transfers end within the bound, and gives what all cores have counted.
    ///
    /// # Errors
    /// When a core has died before.
    pub fn stop(self) -> io::Result<Snapshot> {
        for shard in &self.shards {
            // A shard that is gone already is told by its thread below.
            let _gone = shard.mail.send_blocking(Mail::Drain);
        }
        let mut merged: Option<Snapshot> = None;
        for shard in self.shards {
            let snapshot = shard
                .thread
                .join()
                .map_err(|fault| io::Error::other(fault.to_string()))?;
            match &mut merged {
                Some(merged) => merged.merge(&snapshot),
                None => merged = Some(snapshot),
            }
        }
        merged.ok_or_else(|| io::Error::other("there was no core"))
    }
}

/// Serves until SIGTERM or SIGINT.
#[must_use]
pub fn run(prepared: &Prepared) -> ExitCode {
    let running = match start(prepared) {
        Ok(running) => running,
        Err(faults) => {
            for fault in faults {
                tracing::error!("{fault}");
            }
            return ExitCode::FAILURE;
        }
    };
    let mut signals = match Signals::new([SIGTERM, SIGINT]) {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be heard");
            return ExitCode::FAILURE;
        }
    };
    for (listener, addresses) in prepared.config.listeners.iter().zip(running.addresses()) {
        for address in addresses {
            tracing::info!(listener = listener.name, %address, "ready");
        }
    }
    // The iterator ends only with the process.
    let _signal = signals.forever().next();
    tracing::info!("stopping: no new sessions, transfers may end");
    match running.stop() {
        Ok(totals) => {
            let count = |counter| totals.total(counter);
            let (opened, panicked) = (
                count(Counter::SessionsOpened),
                count(Counter::SessionsPanicked),
            );
            let (down, up) = (
                count(Counter::DownloadsCompleted),
                count(Counter::UploadsCompleted),
            );
            tracing::info!(
                sessions = opened,
                panicked,
                downloads = down,
                uploads = up,
                "stopped"
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, "a core has died");
            ExitCode::FAILURE
        }
    }
}
