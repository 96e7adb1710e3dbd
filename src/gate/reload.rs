//! Reads the configuration again, and lets the cores go over to it: all of them, or none. On a thread of its own, where files and
//! names may take their time.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::SystemTime;

use async_channel::{Receiver, Sender, WeakSender};

use super::check::{self, Prepared};
use super::draft::Draft;
use super::fault::Fault;
use super::{logging, names, office};
use crate::admin::{Asked, Attempt, Collector, Outcome, Standing, Told};
use crate::limits::{NAMES_LOOKUP_PERIOD, RELOAD_TURN_TIMEOUT};
use crate::shard::{Mail, Orders};

/// Why the configuration before goes on.
enum NotReplaced {
    /// The process does not.
    Stopping,
    /// All that stands against the new one.
    Refused(Vec<Fault>),
}

impl From<Vec<Fault>> for NotReplaced {
    fn from(faults: Vec<Fault>) -> Self {
        Self::Refused(faults)
    }
}

/// Whoever replaces the configuration: one at a time.
pub(super) struct Reloader {
    /// What is in force.
    prepared: Prepared,
    draft: Draft,
    cpus: Vec<usize>,
    /// None of a core that has ended. What keeps the mailboxes of the others open is `collector`, and whoever stops the process.
    shards: Vec<WeakSender<Mail>>,
    collector: Arc<Collector>,
    standing: Arc<Standing>,
    /// Keeps the thread that looks up the names in force, if there are any.
    names: Option<SyncSender<()>>,
}

impl Reloader {
    /// After a start with this configuration.
    pub(super) fn new(
        prepared: &Prepared,
        draft: Draft,
        cpus: Vec<usize>,
        shards: Vec<WeakSender<Mail>>,
        collector: &Arc<Collector>,
        standing: &Arc<Standing>,
    ) -> io::Result<Self> {
        let mut reloader = Self {
            prepared: prepared.clone(),
            draft,
            cpus,
            shards,
            collector: Arc::clone(collector),
            standing: Arc::clone(standing),
            names: None,
        };
        reloader.watch_names()?;
        Ok(reloader)
    }

    /// Goes on in a thread of its own, for as long as somebody may ask.
    pub(super) fn start(mut self, asked: Receiver<Asked>) -> io::Result<()> {
        let work = move || {
            while let Ok(first) = asked.recv_blocking() {
                let waiting: Vec<Asked> = std::iter::from_fn(|| asked.try_recv().ok()).collect();
                // Whoever has asked before the file is read is answered by this one reading.
                let attempt = self.attempt();
                for answer in std::iter::once(first).chain(waiting).flatten() {
                    let _unheard = answer.try_send(Arc::clone(&attempt));
                }
            }
        };
        let thread = thread::Builder::new().name("reload".to_owned());
        thread.spawn(work).map(drop)
    }

    /// Reads it, and goes over to it if nothing stands against it.
    fn attempt(&mut self) -> Arc<Attempt> {
        let mut attempt = Attempt {
            at: SystemTime::now(),
            outcome: Outcome::Stopping,
            complaints: Vec::new(),
            restart: Vec::new(),
            warnings: Vec::new(),
        };
        match self.replace(attempt.at) {
            Err(NotReplaced::Stopping) => {
                tracing::warn!("configuration not read again: the process is stopping");
                Arc::new(attempt)
            }
            Err(NotReplaced::Refused(faults)) => {
                attempt.outcome = Outcome::Refused;
                attempt.complaints = faults.iter().map(Fault::told).collect();
                let attempt = Arc::new(attempt);
                self.standing.refused(&attempt);
                tell_refused(&attempt);
                attempt
            }
            Ok(()) => {
                let prepared = &self.prepared;
                let told = prepared.pending.iter().chain(&prepared.config.warnings);
                attempt.outcome = Outcome::Loaded;
                attempt.restart = office::keys(&prepared.pending);
                attempt.warnings = told.map(Told::from).collect();
                let attempt = Arc::new(attempt);
                let before = self.standing.in_force();
                let in_force = office::in_force_after(prepared, &self.draft, &before);
                tell_loaded(&attempt, &in_force.sha256);
                self.standing.loaded(in_force, &attempt);
                attempt
            }
        }
    }

    /// Everything that can go wrong comes first; then the cores are told.
    fn replace(&mut self, now: SystemTime) -> Result<(), NotReplaced> {
        self.go_on()?;
        let file = self.prepared.file.clone();
        let mut prepared = check::load_after(&file, now, Some(&self.prepared))
            .map_err(|faults| faults.into_iter().map(Fault::Complaint).collect::<Vec<_>>())?;
        prepared.keep(&self.prepared);
        let (draft, orders) = Draft::new(&prepared, &self.cpus, Some(&self.draft))?;
        self.order(orders)?;
        for (listener, address) in draft.beyond(&self.draft) {
            tracing::info!(listener, %address, "ready");
        }
        for (listener, address) in self.draft.beyond(&draft) {
            tracing::info!(listener, %address, "closed: its sessions go on");
        }
        (self.prepared, self.draft) = (prepared, draft);
        logging::set_level(self.prepared.config.log.level);
        if let Err(error) = self.watch_names() {
            tracing::error!(%error, "advertised names are not looked up again");
        }
        Ok(())
    }

    /// Asked again and again: files and names may take their time, and cores that have been told to stop take nothing over.
    fn go_on(&self) -> Result<(), NotReplaced> {
        match self.collector.is_draining() {
            true => Err(NotReplaced::Stopping),
            false => Ok(()),
        }
    }

    /// Tells every core, unless one of them has no room for mail: then it has not run for long, and none is told.
    fn order(&self, orders: Vec<Orders>) -> Result<(), NotReplaced> {
        self.go_on()?;
        // One that is gone takes the process with it.
        let shards: Option<Vec<_>> = self.shards.iter().map(WeakSender::upgrade).collect();
        let shards = shards.ok_or(NotReplaced::Stopping)?;
        if let Some(stuck) = shards.iter().position(Sender::is_full) {
            let cpu = self.cpus[stuck];
            let text =
                format!("the core on CPU {cpu} does not answer; cure: see SluicegateCoreSilent");
            return Err(vec![Fault::Machine(text)].into());
        }
        // Nothing is said by it: it closes when every core has gone over.
        let (told, gone_over) = sync_channel(1);
        for (shard, orders) in shards.iter().zip(orders) {
            // There was room a moment ago; whoever has taken it gives it back within a turn.
            let _gone = shard.send_blocking(Mail::Reload(Box::new(orders), told.clone()));
        }
        drop(told);
        if gone_over.recv_timeout(RELOAD_TURN_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            tracing::error!(
                "a core has not gone over to the new configuration yet: it will when it runs"
            );
        }
        // Told to stop meanwhile, a core may have dropped it.
        self.go_on()
    }

    /// Looks up the names of the configuration in force from now on, and those of no other.
    fn watch_names(&mut self) -> io::Result<()> {
        let (names, generation) = (self.draft.names.clone(), self.draft.generation);
        let shards = self.shards.clone();
        self.names = names::watch(names, generation, shards, NAMES_LOOKUP_PERIOD)?;
        Ok(())
    }
}

fn tell_refused(attempt: &Attempt) {
    for told in &attempt.complaints {
        let (place, key, cure) = (&told.place, &told.key, &told.cure);
        tracing::error!(place, key, cure, "configuration: {}", told.problem);
    }
    let complaints = attempt.complaints.len();
    tracing::error!(complaints, "configuration refused: the one before goes on");
}

fn tell_loaded(attempt: &Attempt, sha256: &str) {
    for told in &attempt.warnings {
        let (place, key, cure) = (&told.place, &told.key, &told.cure);
        tracing::warn!(place, key, cure, "configuration: {}", told.problem);
    }
    tracing::info!(sha256, "configuration loaded");
}
