//! The log: lines to standard output by a thread of their own, so that no core ever waits for a disk or a pipe.
//!
//! When that thread cannot keep up, lines are dropped and counted. What peers say must be escaped before it comes here,
//! and what is secret must not come here at all: both are the business of `ftp`, which knows what is which.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::{self, MakeWriter};

use crate::config::{Log, LogFormat, LogLevel};
use crate::limits;

/// The running log. Keep it until the process ends: dropping it writes what still waits.
pub struct Logging {
    _writer: WorkerGuard,
}

/// The counter of the process's log; there is one at most, as there is one log.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Lines dropped so far because they came faster than they could be written.
pub fn dropped_lines() -> usize {
    DROPPED.get().map_or(0, ErrorCounter::dropped_lines)
}

/// Starts the log of this process. An error if there is one already.
pub fn start(log: Log) -> Result<Logging, SetGlobalDefaultError> {
    let terminal = io::stdout().is_terminal();
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(limits::LOG_LINES_MAX)
        .lossy(true)
        .thread_name("log")
        .finish(io::stdout());
    let dropped = writer.error_counter();
    let look = look(log.format, terminal, std::env::var_os("NO_COLOR").is_none());
    tracing::subscriber::set_global_default(subscriber(look, log.level, writer))?;
    // The subscriber above was the first, so this is.
    let _first = DROPPED.set(dropped);
    Ok(Logging { _writer: guard })
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Look {
    Plain,
    Coloured,
    Json,
}

/// `auto` asks only whether somebody is looking: under systemd, in a container and in a pipe nobody is. (The variables
/// that systemd sets, INVOCATION_ID and JOURNAL_STREAM, are inherited by terminals in a desktop session as well.)
fn look(format: LogFormat, terminal: bool, colour: bool) -> Look {
    match (format, terminal) {
        (LogFormat::Json, _) | (LogFormat::Auto, false) => Look::Json,
        (LogFormat::Human, false) => Look::Plain,
        (LogFormat::Human | LogFormat::Auto, true) if colour => Look::Coloured,
        (LogFormat::Human | LogFormat::Auto, true) => Look::Plain,
    }
}

fn subscriber<W>(look: Look, level: LogLevel, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let lines = fmt::Subscriber::builder()
        .with_max_level(level)
        .with_writer(writer);
    match look {
        Look::Json => Box::new(
            lines
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .finish(),
        ),
        Look::Plain | Look::Coloured => Box::new(
            lines
                .with_ansi(look == Look::Coloured)
                .with_target(false)
                .finish(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc;

    use super::*;

    /// A writer that hands every line to the test.
    struct Pipe(mpsc::Sender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that a piece of code logs.
    fn logged(look: Look, level: LogLevel, code: impl FnOnce()) -> String {
        let (sender, receiver) = mpsc::channel();
        let subscriber = subscriber(look, level, move || Pipe(sender.clone()));
        tracing::subscriber::with_default(subscriber, code);
        String::from_utf8(receiver.into_iter().flatten().collect()).unwrap()
    }

    #[test]
    fn a_terminal_gets_words_and_everything_else_json_unless_told_otherwise() {
        assert_eq!(look(LogFormat::Auto, true, true), Look::Coloured);
        assert_eq!(look(LogFormat::Auto, true, false), Look::Plain);
        assert_eq!(look(LogFormat::Auto, false, true), Look::Json);
        assert_eq!(look(LogFormat::Json, true, true), Look::Json);
        assert_eq!(look(LogFormat::Human, false, true), Look::Plain);
    }

    #[test]
    fn json_is_one_flat_object_a_line() {
        let line = logged(Look::Json, LogLevel::Info, || {
            tracing::info!(address = "[::]:21", "ready")
        });
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.starts_with('{') && line.ends_with("}\n"), "{line}");
        assert!(
            line.contains("\"level\":\"INFO\"") && line.contains("\"message\":\"ready\""),
            "{line}"
        );
        assert!(line.contains("\"address\":\"[::]:21\""), "{line}");
    }

    #[test]
    fn words_have_no_colour_unless_wanted_and_the_level_holds() {
        let code = || {
            tracing::debug!("unheard");
            tracing::warn!(name = "partners", "heard");
        };
        let line = logged(Look::Plain, LogLevel::Info, code);
        assert!(line.ends_with("WARN heard name=\"partners\"\n"), "{line}");
        assert!(
            !line.contains("unheard") && !line.contains('\x1b'),
            "{line}"
        );
    }
}
