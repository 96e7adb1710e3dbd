//! One core of the load: its workers, its clock, its tally.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use async_channel::Receiver;
use futures_lite::future;
use glommio::sync::Semaphore;

use super::link::{Link, Mishap};
use super::pace::Pace;
use super::tally::{Phase, Tally};
use super::{Beat, Plan, Scenario};
use crate::rig::wait::within;
use crate::sys::clock;

/// When units begin, and between which moments they are measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) started: Instant,
    pub(super) begin: Instant,
    pub(super) end: Instant,
}

/// What a core tells.
pub(super) enum News {
    /// Every worker has opened what it keeps, or has failed to.
    Ready,
    /// How it goes, and on which core.
    Beat(usize, Beat),
    /// Every worker has done what it was to do.
    Over,
}

/// What the workers of one core share.
pub(super) struct Core {
    pub(super) plan: Plan,
    /// Which core of how many.
    id: u64,
    of: u64,
    /// Nothing until everybody is ready.
    window: Cell<Option<Window>>,
    /// Closed when the meters have been read at the end of the window.
    read: Receiver<Window>,
    /// Units begun by the clock of an open loop.
    begun: Cell<u64>,
    /// Units begun while it is measured.
    counted: Cell<u64>,
    tally: RefCell<Tally>,
}

/// Workers of one core that open what they keep at the same time: more would only wait for each other in the target, and
/// run into its bounds.
pub(super) const ENTRANTS_MAX: usize = 64;

/// Failures of one worker in a row after which it gives up: whatever is wrong will not go away by itself.
const FAILURES_IN_A_ROW_MAX: u32 = 20;

/// How long a worker rests behind a failure.
const BREATH: Duration = Duration::from_millis(50);

/// How long behind the window a unit may begin that was due within it.
const GRACE: Duration = Duration::from_secs(1);

/// How often a core tells how it goes.
const BEAT: Duration = Duration::from_secs(1);

/// A core's life: open, tell that it is ready, work in the window, tell what it came to.
pub(super) async fn run(
    plan: Plan,
    id: usize,
    of: usize,
    window: Receiver<Window>,
    news: Sender<News>,
) -> Tally {
    let workers = share(plan.concurrency as u64, id as u64, of as u64);
    let core = Rc::new(Core::new(plan, id as u64, of as u64, window.clone()));
    let doors = Rc::new(Semaphore::new(ENTRANTS_MAX as u64));
    let (gate, gate_opens) = async_channel::bounded::<Infallible>(1);
    // Closed by the last worker that drops its end: everybody is in.
    let (coming, all_in) = async_channel::bounded::<Infallible>(1);
    let tasks: Vec<_> = (0..workers)
        .map(|_| {
            let (core, doors) = (Rc::clone(&core), Rc::clone(&doors));
            let (gate, coming) = (gate_opens.clone(), coming.clone());
            glommio::spawn_local(async move {
                let link = enter(&core, &doors).await;
                drop(coming);
                let _opened = gate.recv().await;
                work(&core, link).await;
            })
            .detach()
        })
        .collect();
    drop(coming);
    let _everybody = all_in.recv().await;
    // Whoever started us listens until we have ended.
    let _heard = news.send(News::Ready);
    let Ok(window) = window.recv().await else {
        return Tally::default();
    };
    core.window.set(Some(window));
    drop(gate);
    let beating = async {
        loop {
            glommio::timer::sleep(BEAT).await;
            let _heard = news.send(News::Beat(id, core.beat()));
        }
    };
    let working = async {
        for task in tasks {
            task.await;
        }
    };
    future::or(working, beating).await;
    let _heard = news.send(News::Over);
    core.tally.take()
}

/// Opens what a worker keeps.
async fn enter(core: &Core, doors: &Semaphore) -> Option<Link> {
    // Refused only by a semaphore that was closed, and nobody closes this one.
    let _permit = doors.acquire_permit(1).await.ok()?;
    let link = core.noted(Link::open(core)).await?;
    core.tally.borrow_mut().links += 1;
    Some(link)
}

/// A worker's units, one after the other; a link that failed is replaced by a new one.
async fn work(core: &Core, mut link: Option<Link>) {
    let mut failures = 0;
    while let Some(intended) = core.next_start().await {
        if link.is_none() {
            link = core.noted(Link::open(core)).await;
        }
        let began = clock::now();
        let done = match &mut link {
            Some(link) if core.plan.scenario == Scenario::Idle => core.hold(link).await,
            Some(link) => core.noted(link.unit(core)).await,
            None => None,
        };
        if done.is_some() {
            failures = 0;
            core.done(intended, began);
            continue;
        }
        link = None;
        failures += 1;
        if failures == FAILURES_IN_A_ROW_MAX {
            return;
        }
        glommio::timer::sleep(BREATH).await;
    }
    if let Some(link) = link {
        core.noted(link.leave()).await;
    }
}

impl Core {
    fn new(plan: Plan, id: u64, of: u64, read: Receiver<Window>) -> Self {
        Self {
            plan,
            id,
            of,
            window: Cell::new(None),
            read,
            begun: Cell::new(0),
            counted: Cell::new(0),
            tally: RefCell::default(),
        }
    }

    /// Notes a phase that ends now; gives that moment.
    pub(super) fn observe(&self, phase: Phase, begun: Instant) -> Instant {
        let now = clock::now();
        self.observe_between(phase, begun, now);
        now
    }

    /// Notes a phase, if it ended while it is measured.
    pub(super) fn observe_between(&self, phase: Phase, begun: Instant, ended: Instant) {
        if self.measures(ended) {
            let took = ended.saturating_duration_since(begun);
            self.tally.borrow_mut().observe(phase, took);
        }
    }

    /// Counts bytes of content, if it is measured.
    pub(super) fn moved(&self, bytes: u64) {
        if self.measures(clock::now()) {
            self.tally.borrow_mut().bytes += bytes;
        }
    }

    /// Counts something else, if it is measured.
    pub(super) fn count(&self, change: impl FnOnce(&mut Tally)) {
        if self.measures(clock::now()) {
            change(&mut self.tally.borrow_mut());
        }
    }

    fn measures(&self, now: Instant) -> bool {
        self.window
            .get()
            .is_some_and(|window| (window.begin..window.end).contains(&now))
    }

    /// When the next unit should begin: at once in a closed loop, by the clock in an open one. Nothing: there is none.
    async fn next_start(&self) -> Option<Instant> {
        let (window, now) = (self.window.get()?, clock::now());
        let intended = match self.plan.pace {
            Some(pace) => self.next_due(window, pace, now),
            None => Some(now).filter(|&now| now < window.end),
        };
        let Some(intended) = intended else {
            // Of many workers most know early that there is no unit left for them. What their leaving costs is no unit's.
            let _closed = self.read.recv().await;
            return None;
        };
        if intended > now {
            glommio::timer::sleep(intended - now).await;
        }
        self.is_wanted(clock::now() >= window.begin)
            .then_some(intended)
    }

    /// The next unit by the clock that is due within the window.
    ///
    /// It may begin behind the window's end: those that waited longest would be missing. What has not begun for long behind
    /// it never does, and has waited for at least so long.
    fn next_due(&self, window: Window, pace: Pace, now: Instant) -> Option<Instant> {
        let is_idle = self.plan.scenario == Scenario::Idle;
        let grace = if is_idle { Duration::ZERO } else { GRACE };
        loop {
            let number = self.begun.get();
            self.begun.set(number + 1);
            let intended = window.started + pace.offset(number * self.of + self.id);
            if intended >= window.end {
                return None;
            }
            if now < window.end + grace {
                return Some(intended);
            }
            self.timed(intended, now, now);
        }
    }

    /// Whether a run of so many units wants one more.
    fn is_wanted(&self, is_measured: bool) -> bool {
        let Some(units) = self.plan.units else {
            return true;
        };
        let counted = self.counted.get();
        if !is_measured {
            return true;
        }
        self.counted.set(counted + 1);
        counted < share(units, self.id, self.of)
    }

    /// Counts a unit, if it ended while it is measured: it is what CPU time is divided by. Past the end of the window an
    /// idle session ends as it should.
    fn done(&self, intended: Instant, began: Instant) {
        let ended = clock::now();
        if self.plan.scenario == Scenario::Idle || self.measures(ended) {
            self.tally.borrow_mut().units += 1;
        }
        self.timed(intended, began, ended);
    }

    /// Notes the time of a unit. In an open loop it belongs to the moment at which the unit should have begun.
    fn timed(&self, intended: Instant, began: Instant, ended: Instant) {
        let is_paced = self.plan.pace.is_some();
        let is_idle = self.plan.scenario == Scenario::Idle;
        if is_idle || !self.measures(if is_paced { intended } else { ended }) {
            return;
        }
        let mut tally = self.tally.borrow_mut();
        tally.observe(Phase::Unit, ended.saturating_duration_since(intended));
        if is_paced {
            tally.observe(Phase::Late, began.saturating_duration_since(intended));
        }
    }

    /// Holds a session to the end of the window.
    async fn hold(&self, link: &mut Link) -> Option<()> {
        let end = self.window.get()?.end;
        let left = end.saturating_duration_since(clock::now());
        let mut lost = pin!(link.idle());
        match within(left, |cx| lost.as_mut().poll(cx)).await {
            None => Some(()),
            Some(mishap) => {
                self.tally.borrow_mut().fail(mishap.to_string());
                None
            }
        }
    }

    /// What the work gives within the bound of a unit; a mishap is counted.
    async fn noted<T>(&self, work: impl Future<Output = Result<T, Mishap>>) -> Option<T> {
        let mut work = pin!(work);
        let outcome = within(self.plan.patience, |cx| work.as_mut().poll(cx)).await;
        let mishap = match outcome {
            Some(Ok(done)) => return Some(done),
            Some(Err(mishap)) => mishap,
            None => Mishap::new("unit", "not done within the patience"),
        };
        self.tally.borrow_mut().fail(mishap.to_string());
        None
    }

    fn beat(&self) -> Beat {
        let tally = self.tally.borrow();
        Beat {
            elapsed: Duration::ZERO,
            units: tally.units,
            bytes: tally.bytes,
            failed: tally.failed(),
        }
    }
}

/// What falls to one of several when `all` is cut into equal parts.
const fn share(all: u64, id: u64, of: u64) -> u64 {
    all / of + (id < all % of) as u64
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use futures_lite::future::{block_on, poll_once};

    use super::*;
    use crate::rig::load::command::{Arguments, plan};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// A core with one unit a second, of which the fourth and fifth belong to the window.
    fn paced() -> (Core, async_channel::Sender<Window>) {
        let line = "load noop --target 127.0.0.1:21 --tls off --rate 1";
        let line = Line::parse_from(line.split_whitespace());
        let (window, read) = async_channel::bounded(1);
        let core = Core::new(plan(&line.arguments).unwrap(), 0, 1, read);
        let started = clock::now();
        core.window.set(Some(Window {
            started,
            begin: started + Duration::from_secs(3),
            end: started + Duration::from_secs(5),
        }));
        (core, window)
    }

    #[test]
    fn what_was_due_begins_behind_the_end_or_has_waited_at_least_so_long() {
        let (core, _window) = paced();
        let (window, pace) = (core.window.get().unwrap(), core.plan.pace.unwrap());
        let behind = window.end + GRACE / 2;
        let intended = core.next_due(window, pace, behind);
        assert_eq!(intended, Some(window.started), "it is due");
        core.timed(window.started, behind, behind);
        let over = window.end + GRACE;
        assert_eq!(core.next_due(window, pace, over), None);
        let tally = core.tally.take();
        let times = tally.times(Phase::Unit).unwrap();
        assert_eq!(times.len(), 2, "those before the window are nobody's");
        // Two and one second before its end, and the grace.
        assert!(times.min() >= 1_990_000_000 && times.max() >= 2_990_000_000);
        assert_eq!(tally.units, 0, "none ended while CPU time was counted");
    }

    #[test]
    fn a_worker_for_whom_no_unit_is_left_stays_until_the_meters_are_read() {
        let (core, window) = paced();
        core.begun.set(5);
        let mut start = pin!(core.next_start());
        assert_eq!(block_on(poll_once(&mut start)), None, "it has left");
        window.close();
        assert_eq!(block_on(start), None);
    }
}
