//! The log: lines to standard output by a thread of their own, so that no core ever waits for a disk or a pipe.
//!
//! When that thread cannot keep up, lines are dropped and counted. What peers say must be escaped before it comes here,
//! and what is secret must not come here at all: both are the business of `ftp`, which knows what is which.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::{Interest, SetGlobalDefaultError};
use tracing::{Metadata, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

use crate::config::{Log, LogFormat, LogLevel};
use crate::limits;

/// The running log. Keep it until the process ends: dropping it writes what still waits.
pub struct Logging {
    _writer: WorkerGuard,
}

/// The counter of the process's log, and its level; there is one at most, as there is one log.
static LOG: OnceLock<(ErrorCounter, Level)> = OnceLock::new();

/// Lines dropped so far because they came faster than they could be written.
pub fn dropped_lines() -> usize {
    LOG.get().map_or(0, |(dropped, _)| dropped.dropped_lines())
}

/// Lets lines of this level and of those more serious through from now on.
pub(super) fn set_level(level: LogLevel) {
    if let Some((_, current)) = LOG.get() {
        current.set(level);
    }
}

/// The least serious kind of line that is written. Each place in the code that logs asks once, and again when it has changed: one
/// that is off costs a comparison.
#[derive(Clone)]
struct Level(Arc<AtomicU8>);

impl Level {
    fn new(level: LogLevel) -> Self {
        Self(Arc::new(AtomicU8::new(level as u8)))
    }

    fn set(&self, level: LogLevel) {
        if self.0.swap(level as u8, Ordering::Relaxed) != level as u8 {
            tracing::callsite::rebuild_interest_cache();
        }
    }

    fn filter(&self) -> LevelFilter {
        match self.0.load(Ordering::Relaxed) {
            0 => LevelFilter::ERROR,
            1 => LevelFilter::WARN,
            2 => LevelFilter::INFO,
            3 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        }
    }
}

impl<S: Subscriber> Layer<S> for Level {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.filter() >= *metadata.level() {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.filter() >= *metadata.level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.filter())
    }
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
    let level = Level::new(log.level);
    tracing::subscriber::set_global_default(subscriber(look, level.clone(), writer))?;
    // The subscriber above was the first, so this is.
    let _first = LOG.set((dropped, level));
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

fn subscriber<W>(look: Look, level: Level, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    match look {
        Look::Json => {
            let lines = lines.json().flatten_event(true).with_span_list(false);
            Box::new(Registry::default().with(lines).with(level))
        }
        Look::Plain | Look::Coloured => {
            let lines = lines.with_ansi(look == Look::Coloured).with_target(false);
            Box::new(Registry::default().with(lines).with(level))
        }
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
        let subscriber = subscriber(look, Level::new(level), move || Pipe(sender.clone()));
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
