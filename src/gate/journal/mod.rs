//! The audit journal: one thread takes what the cores have put into the queue, and writes it in batches.
//! The gate starts it behind its cores, tells it to reopen its file at SIGHUP, and lets it finish at the end.
//! It never makes a core wait, and never loses a record without saying how many.

mod book;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use crate::audit::Format;
use crate::config::Audit;
use crate::limits::{JOURNAL_BATCH_RECORDS_MAX, JOURNAL_LAST_WORDS, JOURNAL_SYNC_INTERVAL};
use crate::session::{Letter, Outbox, Tally};
use crate::sys::clock;
use book::{Book, Short};

/// The journal as the gate has it.
pub(super) struct Journal {
    pub(super) outbox: Outbox,
    pub(super) tally: Arc<Tally>,
    orders: Arc<Orders>,
    finished: Receiver<()>,
}

/// What is asked beside the queue, which may be full.
#[derive(Default)]
struct Orders {
    reopen: AtomicBool,
    stop: AtomicBool,
}

/// Tells the journal's thread to open its file again.
#[derive(Clone)]
pub(super) struct Reopen {
    outbox: Outbox,
    orders: Arc<Orders>,
}

impl Reopen {
    pub(super) fn ask(&self) {
        self.orders.reopen.store(true, Ordering::Release);
        self.outbox.wake();
    }
}

impl Journal {
    /// Opens the file, so that one that cannot be had is told before anybody is served; `Writer::start` does the rest.
    pub(super) fn open(audit: &Audit) -> io::Result<(Self, Writer)> {
        let book = Book::open(audit)?;
        let tally = Arc::new(Tally::default());
        let (outbox, letters) = Outbox::new(Arc::clone(&tally));
        let orders = Arc::new(Orders::default());
        let (finish, finished) = sync_channel(1);
        let writer = Writer {
            path: audit.file.value.clone(),
            format: audit.format,
            book,
            letters,
            orders: Arc::clone(&orders),
            tally: Arc::clone(&tally),
            told_dropped: 0,
            told_lost: 0,
            unsynced: None,
            finish,
        };
        let journal = Self {
            outbox,
            tally,
            orders,
            finished,
        };
        Ok((journal, writer))
    }

    pub(super) fn reopener(&self) -> Reopen {
        Reopen {
            outbox: self.outbox.clone(),
            orders: Arc::clone(&self.orders),
        }
    }

    /// Writes what still waits, within a bound: a disk that hangs does not keep the process.
    pub(super) fn finish(&self) {
        self.orders.stop.store(true, Ordering::Release);
        self.outbox.wake();
        if self.finished.recv_timeout(JOURNAL_LAST_WORDS).is_err() {
            tracing::error!("the journal's file does not take what still waits: it is lost");
        }
    }
}

/// The thread's side.
pub(super) struct Writer {
    path: PathBuf,
    format: Format,
    book: Book,
    letters: Receiver<Letter>,
    orders: Arc<Orders>,
    tally: Arc<Tally>,
    /// Gaps that stand in the file.
    told_dropped: u64,
    told_lost: u64,
    /// Since when something is written that may not be on the disk.
    unsynced: Option<Instant>,
    finish: SyncSender<()>,
}

impl Writer {
    /// Goes on in a thread of its own.
    pub(super) fn start(self) -> io::Result<()> {
        let thread = thread::Builder::new().name("journal".to_owned());
        thread.spawn(move || self.run()).map(drop)
    }

    fn run(mut self) {
        let mut text = String::new();
        while let Some(first) = self.next() {
            text.clear();
            self.put(&first, &mut text);
            let rest = self.letters.try_iter().take(JOURNAL_BATCH_RECORDS_MAX - 1);
            let mut more = false;
            for letter in rest.collect::<Vec<_>>() {
                more = true;
                self.put(&letter, &mut text);
            }
            if self.orders.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            self.write(&text);
            if !more && self.orders.stop.load(Ordering::Acquire) {
                break;
            }
        }
        self.write("");
        self.sync();
        // Whoever has waited long enough is gone.
        let _unheard = self.finish.try_send(());
    }

    /// The next letter; while one is waited for, what is written reaches the disk.
    fn next(&mut self) -> Option<Letter> {
        if let Some(since) = self.unsynced {
            let bound = JOURNAL_SYNC_INTERVAL.saturating_sub(clock::now() - since);
            match self.letters.recv_timeout(bound) {
                Ok(letter) if !bound.is_zero() => return Some(letter),
                Ok(letter) => {
                    self.sync();
                    return Some(letter);
                }
                Err(RecvTimeoutError::Timeout) => self.sync(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        // An order to stop wakes by a letter, or has found the queue full.
        self.letters.recv().ok()
    }

    fn put(&self, letter: &Letter, text: &mut String) {
        if let Letter::Record(record) = letter {
            self.format.write(record, text);
        }
    }

    /// Writes a batch, behind what is still to be said of records that are missing.
    fn write(&mut self, text: &str) {
        let gaps = self.gaps();
        let mut told = String::new();
        for (why, records) in gaps.missing() {
            self.format
                .write_gap(clock::wall(), why, records, &mut told);
        }
        if told.is_empty() && text.is_empty() {
            return;
        }
        let lines = count(text.as_bytes());
        let first = self.book.append(told.as_bytes());
        let is_said = first.is_ok() && !told.is_empty();
        // If it failed, nothing of the batch stands in the file.
        let outcome = first
            .map_err(|short| Short { whole: 0, ..short })
            .and_then(|()| self.book.append(text.as_bytes()));
        if is_said || outcome.is_ok() {
            self.told(&gaps);
        }
        let whole = match outcome {
            Ok(()) => {
                self.tally.failing.store(false, Ordering::Relaxed);
                lines
            }
            Err(Short { whole, error }) => {
                if !self.tally.failing.swap(true, Ordering::Relaxed) {
                    let file = self.path.display();
                    tracing::error!(%file, %error, "the journal cannot be written: its records are lost until it can");
                }
                count(&text.as_bytes()[..whole])
            }
        };
        self.tally.written.fetch_add(whole, Ordering::Relaxed);
        self.tally.lost.fetch_add(lines - whole, Ordering::Relaxed);
        if whole > 0 {
            self.unsynced.get_or_insert_with(clock::now);
        }
    }

    /// What is missing and has not been told.
    fn gaps(&self) -> Gaps {
        Gaps {
            dropped: self.tally.dropped.load(Ordering::Relaxed) - self.told_dropped,
            lost: self.tally.lost.load(Ordering::Relaxed) - self.told_lost,
        }
    }

    fn told(&mut self, gaps: &Gaps) {
        for (why, records) in gaps.missing() {
            tracing::warn!(records, why, "records are missing in the journal");
        }
        self.told_dropped += gaps.dropped;
        self.told_lost += gaps.lost;
    }

    fn reopen(&mut self) {
        self.sync();
        let file = self.path.display();
        match self.book.reopen() {
            Ok(()) => tracing::info!(%file, "journal reopened"),
            Err(error) => {
                tracing::error!(%file, %error, "the journal cannot be reopened: it goes on in the old file");
            }
        }
    }

    fn sync(&mut self) {
        self.unsynced = None;
        if let Err(error) = self.book.sync() {
            let file = self.path.display();
            tracing::error!(%file, %error, "the journal may not be on the disk");
        }
    }
}

/// Records that are missing.
struct Gaps {
    dropped: u64,
    lost: u64,
}

impl Gaps {
    fn missing(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let gaps = [("queue full", self.dropped), ("not written", self.lost)];
        gaps.into_iter().filter(|(_, records)| *records > 0)
    }
}

/// Lines, each with its end.
fn count(text: &[u8]) -> u64 {
    text.iter().filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Event;
    use crate::config::Located;
    use crate::limits::JOURNAL_RECORDS_MAX;

    #[test]
    fn what_the_queue_does_not_hold_is_told_where_it_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let audit = Audit {
            file: Located {
                value: path.clone(),
                place: None,
                key: String::new(),
            },
            format: Format::Json,
            max_bytes: usize::MAX,
            keep: 1,
        };
        let (journal, writer) = Journal::open(&audit).unwrap();
        for number in 0..JOURNAL_RECORDS_MAX as u64 + 7 {
            journal.outbox.put(number, Event::LoginFailed);
        }
        writer.start().unwrap();
        journal.finish();
        let text = std::fs::read_to_string(path).unwrap();
        let (told, events): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.contains("missing"));
        let [told] = told.as_slice() else {
            panic!("one gap: {told:?}")
        };
        assert!(
            told.ends_with("\"why\":\"queue full\",\"records\":7}"),
            "{told}"
        );
        assert_eq!(events.len(), JOURNAL_RECORDS_MAX);
        assert_eq!(
            journal.tally.written.load(Ordering::Relaxed),
            JOURNAL_RECORDS_MAX as u64
        );
        assert_eq!(journal.tally.dropped.load(Ordering::Relaxed), 7);
    }
}
