//! One process that shows what the gate is for: a backend that fails as real ones do, the gate, and a strict client.
//! The command line runs it, on any machine, without a configuration and without rights.
//! It never listens beyond loopback, and never calls something shown that it has not seen on the wire.

mod acts;
mod page;
mod stage;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::rc::Rc;

use glommio::LocalExecutorBuilder;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::limits;
use page::{Look, Page};
use stage::Stage;

/// Plays every act and says how it went; with `stay`, serves afterwards until Ctrl-C.
#[must_use]
pub fn run(stay: bool) -> ExitCode {
    let stage = match Stage::set() {
        Ok(stage) => stage,
        Err(faults) => {
            eprintln!("the demo cannot run here:\n{faults}");
            return ExitCode::FAILURE;
        }
    };
    let look = Look::of(io::stdout().is_terminal(), |name| std::env::var(name).ok());
    match play(stage, look, stay) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Standard output is closed: whoever closed it has seen enough.
        Err(_) => ExitCode::FAILURE,
    }
}

fn play(stage: Stage, look: Look, stay: bool) -> io::Result<bool> {
    let page = Rc::new(Page::new(look));
    page.title(&stage)?;
    let executor = LocalExecutorBuilder::default()
        .name("client")
        .io_memory(limits::RING_MEMORY_BYTES)
        .preempt_timer(limits::CORE_HOLD_MAX)
        .make()
        .map_err(|error| io::Error::other(error.to_string()))?;
    let failed = executor.run(acts::play_all(&stage, Rc::clone(&page)))?;
    page.verdict(acts::ACTS.len(), failed)?;
    if stay {
        page.invitation(&stage)?;
        io::stdout().flush()?;
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        // The iterator ends only with the process.
        let _signal = signals.forever().next();
    }
    stage.strike()?;
    Ok(failed == 0)
}
