//! The command line: which configuration, and what to do with it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Parser, Subcommand};
use sluicegate::gate::{self, check, logging};

/// An FTPS gateway that completes every data channel.
#[derive(Parser)]
#[command(version, about, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until told to stop
    Run {
        /// The configuration (TOML)
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say everything that is wrong with a configuration and the files it names
    Check {
        /// The configuration (TOML)
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Show a running gate live, from its admin server
    #[cfg(feature = "top")]
    Top(sluicegate::top::Arguments),
    /// Show a gate, a backend and a client at work, with nothing to set up
    #[cfg(feature = "rig")]
    Demo {
        /// Stay up afterwards, so that other clients can be pointed at it
        #[arg(long)]
        stay: bool,
    },
    /// Serve files of any size out of memory, to be loaded through a gate or alone
    #[cfg(feature = "rig")]
    Backend(sluicegate::rig::anvil::Arguments),
    /// Load a gate, another proxy or a backend, and say how long everything took
    #[cfg(feature = "rig")]
    Load(sluicegate::rig::load::Arguments),
}

const EXAMPLES: &str = "\
Examples:
  sluicegate demo --stay                          see it work, then try it with curl or lftp
  sluicegate check --config /etc/sluicegate.toml  look before a restart
  sluicegate run --config /etc/sluicegate.toml    serve
  sluicegate top --admin 127.0.0.1:9121           see what a running gate does

Exit codes:
  0  done    1  failed while running    2  wrong arguments or configuration";

/// Arguments or configuration are wrong; clap ends with the same code.
const WRONG: u8 = 2;

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { config } => run(&config),
        Command::Check { config } => check(&config),
        #[cfg(feature = "top")]
        Command::Top(arguments) => top(arguments),
        #[cfg(feature = "rig")]
        Command::Demo { stay } => sluicegate::rig::demo::run(stay),
        #[cfg(feature = "rig")]
        Command::Backend(arguments) => sluicegate::rig::anvil::run(&arguments),
        #[cfg(feature = "rig")]
        Command::Load(arguments) => sluicegate::rig::load::command(&arguments),
    }
}

fn run(file: &Path) -> ExitCode {
    let prepared = match check::load(file, SystemTime::now()) {
        Ok(prepared) => prepared,
        Err(complaints) => {
            // Where standard error is closed, the exit code still tells.
            let _unheard = check::complain(file, &complaints, &mut io::stderr());
            return ExitCode::from(WRONG);
        }
    };
    let Ok(_logging) = logging::start(prepared.config.log) else {
        return ExitCode::FAILURE;
    };
    for warning in &prepared.config.warnings {
        tracing::warn!(
            key = warning.key,
            cure = warning.cure,
            "{}",
            warning.problem
        );
    }
    gate::run(&prepared)
}

fn check(file: &Path) -> ExitCode {
    match check::report(file, &mut io::stdout(), &mut io::stderr()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(WRONG),
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(feature = "top")]
fn top(arguments: sluicegate::top::Arguments) -> ExitCode {
    let question = match arguments.question() {
        Ok(question) => question,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(WRONG);
        }
    };
    match sluicegate::top::run(question) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("there is no terminal to draw on: {error}");
            ExitCode::FAILURE
        }
    }
}
