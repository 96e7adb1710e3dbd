//! Asks every shard for what it has counted, and keeps the sum: nothing is lost when an answer comes late.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use tokio::task::JoinSet;

use crate::limits::{ADMIN_SESSIONS_PER_ANSWER_MAX, ADMIN_SESSIONS_PER_PAGE_MAX};
use crate::metrics::{Ledger, Snapshot};
use crate::pool::PoolState;
use crate::relay::Held;
use crate::shard::{Mail, Report, Sight, SiteState};
use crate::sys::schedstat::{self, Schedule};

#[allow(
    clippy::disallowed_types,
    reason = "threads of the control plane share the books; no core ever sees them"
)]
type Shared<T> = std::sync::Mutex<T>;

/// The shards, and what they have reported so far.
pub struct Collector {
    shards: Vec<Sender<Mail>>,
    books: Shared<Books>,
    /// One question at a time: two would share the answers.
    asking: tokio::sync::Mutex<()>,
    reports: (Sender<Report>, Receiver<Report>),
    draining: AtomicBool,
}

/// What is known of each shard.
struct Books {
    ledger: Ledger,
    cores: Vec<Core>,
}

/// One shard as it was when it last answered.
struct Core {
    /// It has been asked and has not answered yet.
    owes: bool,
    /// Empty cells for its next collection.
    spare: Option<Box<Snapshot>>,
    sessions: usize,
    transfers: usize,
    lingering: usize,
    thread: Option<u32>,
    held: Held,
    sites: Vec<SiteState>,
    pools: Vec<PoolState>,
}

/// A copy of the books, for one answer.
pub struct View {
    /// What was counted, core by core.
    pub ledger: Ledger,
    /// How each core stands, in the order of the ledger.
    pub cores: Vec<CoreView>,
}

/// How one core stood when it last answered.
#[derive(Default)]
pub struct CoreView {
    /// Whether it has answered this time.
    pub answered: bool,
    /// Its sessions.
    pub sessions: usize,
    /// Its transfers.
    pub transfers: usize,
    /// Its connections that have ended for their session, be it with their transfer, and are still read to their end.
    pub lingering: usize,
    /// What the scheduler has noted of its thread.
    pub schedule: Schedule,
    /// What its streams hold and what is kept for them.
    pub held: Held,
    /// Each listener, in the order of the configuration.
    pub sites: Vec<SiteState>,
    /// Every pool that one of them leads to. Amid a reload, one core may have another configuration than the next.
    pub pools: Vec<PoolState>,
}

impl View {
    /// The sum over all cores of something of the listener of this name.
    #[must_use]
    pub fn of_listener(&self, name: &str, of: fn(&SiteState) -> usize) -> usize {
        let sites = self.cores.iter().flat_map(|core| &core.sites);
        sites.filter(|site| site.name == name).map(of).sum()
    }
}

impl Collector {
    /// For shards on these CPUs, reached by these boxes, in one order.
    #[must_use]
    pub fn new(cpus: &[usize], shards: Vec<Sender<Mail>>) -> Self {
        let core = |_| Core {
            owes: false,
            spare: Some(Box::default()),
            sessions: 0,
            transfers: 0,
            lingering: 0,
            thread: None,
            held: Held::default(),
            sites: Vec::new(),
            pools: Vec::new(),
        };
        let cores: Vec<Core> = (0..shards.len()).map(core).collect();
        Self {
            // Each shard owes one report at most.
            reports: async_channel::bounded(shards.len().max(1)),
            shards,
            books: Shared::new(Books {
                ledger: Ledger::new(cpus),
                cores,
            }),
            asking: tokio::sync::Mutex::new(()),
            draining: AtomicBool::new(false),
        }
    }

    /// The process has been told to stop.
    pub fn draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the process has been told to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Asks every shard, waits for the answers within `bound`, and gives the state of the books.
    pub async fn collect(&self, bound: Duration) -> View {
        let _one_at_a_time = self.asking.lock().await;
        self.ask();
        let answers = async {
            while self.is_owed() {
                let Ok(report) = self.reports.1.recv().await else {
                    return;
                };
                self.enter(report);
            }
        };
        // Who has not answered is shown as it was; what it has counted comes with its next answer.
        let _late = tokio::time::timeout(bound, answers).await;
        self.view()
    }

    /// Adds what a shard has counted up to its end, and reports that nobody has waited for.
    pub fn finish(&self, shard: usize, last: &Snapshot) {
        while let Ok(report) = self.reports.1.try_recv() {
            self.enter(report);
        }
        self.books().ledger.add(shard, last);
    }

    /// What all cores have counted, as far as they have reported.
    #[must_use]
    pub fn merged(&self) -> Snapshot {
        self.books().ledger.merged()
    }

    /// A page of the sessions of all cores with numbers above `after`, in their order.
    pub async fn sessions(&self, after: Option<u64>, most: usize, bound: Duration) -> Vec<Sight> {
        let most = most.min(ADMIN_SESSIONS_PER_PAGE_MAX);
        let mut pages = JoinSet::new();
        for shard in &self.shards {
            pages.spawn(page_of(shard.clone(), after, most));
        }
        let mut seen = Vec::new();
        let all = async {
            while let Some(page) = pages.join_next().await {
                seen.extend(page.unwrap_or_default());
            }
        };
        let _late = tokio::time::timeout(bound, all).await;
        seen.sort_by_key(|sight| sight.id);
        seen.truncate(most);
        seen
    }

    /// Ends a session; false if no core has one of this number.
    pub async fn kill(&self, id: u64, bound: Duration) -> bool {
        let found = self.ask_all(|answer| Mail::Kill(id, answer), bound).await;
        found.into_iter().any(|found| found)
    }

    /// The same question to every shard; those that do not answer in time are left out.
    async fn ask_all<T>(&self, ask: impl Fn(Sender<T>) -> Mail, bound: Duration) -> Vec<T> {
        let (answer, answers) = async_channel::bounded(self.shards.len().max(1));
        for shard in &self.shards {
            // A full box belongs to a core that does not run: it would not answer either.
            let _unheard = shard.try_send(ask(answer.clone()));
        }
        drop(answer);
        let mut heard = Vec::new();
        let all = async {
            while let Ok(answer) = answers.recv().await {
                heard.push(answer);
            }
        };
        let _late = tokio::time::timeout(bound, all).await;
        heard
    }

    fn ask(&self) {
        let mut books = self.books();
        for (core, shard) in books.cores.iter_mut().zip(&self.shards) {
            if core.owes {
                continue;
            }
            let spare = core.spare.take().unwrap_or_default();
            let mail = Mail::Collect(spare, self.reports.0.clone());
            core.owes = shard.try_send(mail).is_ok();
        }
    }

    fn is_owed(&self) -> bool {
        self.books().cores.iter().any(|core| core.owes)
    }

    fn enter(&self, report: Report) {
        let mut books = self.books();
        books.ledger.add(report.shard, &report.counted);
        let Some(core) = books.cores.get_mut(report.shard) else {
            return;
        };
        let mut spare = report.counted;
        spare.clear();
        *core = Core {
            owes: false,
            spare: Some(spare),
            sessions: report.sessions,
            transfers: report.transfers,
            lingering: report.lingering,
            thread: report.thread,
            held: report.held,
            sites: report.sites,
            pools: report.pools,
        };
    }

    fn view(&self) -> View {
        let books = self.books();
        let core = |core: &Core| CoreView {
            answered: !core.owes,
            sessions: core.sessions,
            transfers: core.transfers,
            lingering: core.lingering,
            schedule: core.thread.and_then(schedstat::of).unwrap_or_default(),
            held: core.held,
            sites: core.sites.clone(),
            pools: core.pools.clone(),
        };
        View {
            ledger: books.ledger.clone(),
            cores: books.cores.iter().map(core).collect(),
        }
    }

    /// Nothing panics while it is locked; if something did, the numbers are still numbers.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A page of one core's sessions, in pieces: it serves others between them.
async fn page_of(shard: Sender<Mail>, mut after: Option<u64>, most: usize) -> Vec<Sight> {
    let mut seen: Vec<Sight> = Vec::new();
    while seen.len() < most {
        let wanted = (most - seen.len()).min(ADMIN_SESSIONS_PER_ANSWER_MAX);
        let (answer, answers) = async_channel::bounded(1);
        let question = Mail::Sessions {
            after,
            most: wanted,
            answer,
        };
        // A full box belongs to a core that does not run: it would not answer either.
        let is_asked = shard.try_send(question).is_ok();
        let piece = match is_asked {
            true => answers.recv().await.unwrap_or_default(),
            false => Vec::new(),
        };
        let is_last = piece.len() < wanted;
        after = piece.last().map(|sight| sight.id).or(after);
        seen.extend(piece);
        if is_last {
            break;
        }
    }
    seen
}
