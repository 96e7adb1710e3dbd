//! The way of records to the journal: a bounded queue that nobody on a core ever waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::audit::{Event, Micros, Record, SessionId};
use crate::limits::JOURNAL_RECORDS_MAX;
use crate::sys::clock;

/// What comes by the queue.
pub enum Letter {
    /// To be written.
    Record(Box<Record>),
    /// Something has been asked of the journal beside the queue.
    Wake,
}

/// What became of all records, for metrics.
#[derive(Debug, Default)]
pub struct Tally {
    /// Written to the file.
    pub written: AtomicU64,
    /// Dropped because the queue was full.
    pub dropped: AtomicU64,
    /// Lost because the file could not be written.
    pub lost: AtomicU64,
    /// The last attempt to write has failed.
    pub failing: AtomicBool,
}

/// Where a core puts its records.
#[derive(Clone)]
pub struct Outbox {
    queue: SyncSender<Letter>,
    tally: Arc<Tally>,
    started: Micros,
}

impl Outbox {
    /// A queue, and the other end of it.
    #[must_use]
    pub fn new(tally: Arc<Tally>) -> (Self, Receiver<Letter>) {
        let (queue, letters) = sync_channel(JOURNAL_RECORDS_MAX);
        let started = clock::wall();
        let outbox = Self {
            queue,
            tally,
            started,
        };
        (outbox, letters)
    }

    /// Puts a record of a session into the queue; one that finds no room is dropped and counted.
    pub fn put(&self, number: u64, event: Event) {
        let session = SessionId {
            started: self.started,
            number,
        };
        let at = clock::wall();
        let record = Record { at, session, event };
        if self
            .queue
            .try_send(Letter::Record(Box::new(record)))
            .is_err()
        {
            self.tally.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Makes the journal look up; a full queue keeps it awake anyway.
    pub fn wake(&self) {
        let _awake = self.queue.try_send(Letter::Wake);
    }
}
