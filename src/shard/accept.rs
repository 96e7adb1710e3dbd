//! The accept loop of one listener, and the guard around each session: what one does cannot hurt another.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc::SyncSender;
use std::task::{Context, Poll, Waker};

use futures_lite::FutureExt as _;
use glommio::timer::sleep;

use super::permits::{Permit, Permits};
use crate::audit::{Event, Refusal};
use crate::dialog::Actions;
use crate::ftp::{Reply, occasion};
use crate::leg::Leg;
use crate::limits::ACCEPT_PAUSE;
use crate::metrics::{Counter, IS_RECORDING, Phase};
use crate::net::{Alarm, Ends, Fault, Introduction, Listener, Stream};
use crate::session::{Core, Passage, Session, Site};
use crate::sys::clock;

/// What an accept loop is told: whom its next connections are for, and when it is over.
pub(super) struct Entrance {
    /// Replaced when the configuration is.
    site: RefCell<Rc<Site>>,
    is_closing: Cell<bool>,
    /// Whoever waits for the socket to be gone has this dropped behind it.
    until_gone: RefCell<Option<SyncSender<()>>>,
    /// The loop, while it waits.
    waiting: RefCell<Option<Waker>>,
}

impl Entrance {
    pub(super) fn new(site: Rc<Site>) -> Rc<Self> {
        Rc::new(Self {
            site: RefCell::new(site),
            is_closing: Cell::new(false),
            until_gone: RefCell::default(),
            waiting: RefCell::default(),
        })
    }

    /// Connections from now on are this one's.
    pub(super) fn lead_to(&self, site: Rc<Site>) {
        self.site.replace(site);
    }

    /// The loop ends, when it has taken who waits already; `until_gone` is held for as long as the address is.
    pub(super) fn close(&self, until_gone: SyncSender<()>) {
        self.until_gone.replace(Some(until_gone));
        self.is_closing.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    fn site(&self) -> Rc<Site> {
        Rc::clone(&self.site.borrow())
    }

    fn poll_closing(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_closing.get() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        if !(waiting.as_ref()).is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waiting = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// One listener at work.
pub(super) struct Accepting {
    // Before the entrance, as it must be gone before it.
    pub(super) listener: Listener,
    pub(super) entrance: Rc<Entrance>,
    pub(super) core: Rc<Core>,
    pub(super) permits: Rc<Permits>,
    /// The next session's number; `stride` keeps the cores' numbers apart.
    pub(super) ids: Rc<Cell<u64>>,
    pub(super) stride: u64,
    /// Its own number at the bell, beyond those of sessions.
    pub(super) bell_number: u64,
}

impl Accepting {
    /// Takes connections until the bell rings, or the address is given up.
    pub(super) async fn run(mut self) {
        self.take_all().await;
        self.core.bell.forget(self.bell_number);
    }

    async fn take_all(&mut self) {
        loop {
            match self.next().await {
                None => return,
                Some(Ok(stream)) => {
                    self.admit(stream);
                    // A queue that never empties must not keep those from running who are in.
                    glommio::yield_if_needed().await;
                }
                Some(Err(fault @ Fault::Broken(_))) => {
                    let site = self.entrance.site();
                    tracing::error!(listener = site.name, %fault, "listener lost");
                    return;
                }
                Some(Err(fault)) => {
                    let site = self.entrance.site();
                    tracing::error!(listener = site.name, %fault, "cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// The next connection, or nothing when the bell has rung, or when the address is given up and nobody waits any more.
    async fn next(&mut self) -> Option<Result<Stream, Fault>> {
        poll_fn(|cx| {
            if self.core.bell.poll(self.bell_number, 0, cx).is_ready() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(taken) = self.listener.poll_accept(cx) {
                return Poll::Ready(Some(taken));
            }
            // What the ring has not told yet may wait in the queue all the same. Where it cannot be taken it is not waited for.
            let closing = self.entrance.poll_closing(cx);
            closing.map(|()| self.listener.take_waiting().ok().flatten().map(Ok))
        })
        .await
    }

    fn admit(&self, stream: Stream) {
        let site = self.entrance.site();
        if let Some(proxies) = &site.proxies
            && !proxies.contain(stream.peer().ip())
        {
            let (peer, listener) = (stream.peer(), &site.name);
            self.core
                .recorder
                .borrow_mut()
                .count(Counter::ProxiesUnknown);
            tracing::warn!(%peer, listener, "refused: not from a trusted proxy");
            return;
        }
        let Some(permit) = self.permits.take() else {
            self.core
                .recorder
                .borrow_mut()
                .count(Counter::SessionsRefused);
            tracing::warn!(client = %stream.peer(), listener = site.name, "too many sessions");
            self.tell_turned_away(&stream, &site);
            if site.streams.is_some() {
                // Reset: a FIN would be the end of something.
                return;
            }
            let hears = site.rules.speaks_first();
            glommio::spawn_local(turn_away(stream, hears)).detach();
            return;
        };
        let id = self.next_id();
        let core = Rc::clone(&self.core);
        if site.proxies.is_some() {
            glommio::spawn_local(arrive(id, stream, site, core, permit)).detach();
            return;
        }
        let ends = stream.ends();
        begin(id, stream, ends, site, core, permit);
    }

    fn next_id(&self) -> u64 {
        self.ids.replace(self.ids.get() + self.stride)
    }

    /// It has a number although it has no session: whoever was turned away may ask why.
    fn tell_turned_away(&self, stream: &Stream, site: &Site) {
        if let Some(journal) = &self.core.journal {
            let refusal = Refusal {
                what: "too many sessions",
                detail: Some(format!("{} at {}", stream.peer(), site.name)),
                ..Refusal::default()
            };
            journal.put(self.next_id(), Event::Refused(refusal));
        }
    }
}

/// A connection becomes a session once its proxy has said whose it is.
async fn arrive(id: u64, stream: Stream, site: Rc<Site>, core: Rc<Core>, permit: Permit) {
    if let Some((stream, ends)) = introduced(id, stream, &site, &core).await {
        begin(id, stream, ends, site, core, permit);
    }
}

/// A connection becomes a session, in a task that holds nothing of what came before: it lasts for as long as the session.
fn begin(id: u64, stream: Stream, ends: Ends, site: Rc<Site>, core: Rc<Core>, permit: Permit) {
    core.recorder.borrow_mut().count(Counter::SessionsOpened);
    if site.streams.is_some() {
        let passage = Passage::new(id, stream, ends, site, Rc::clone(&core));
        glommio::spawn_local(pass(id, passage, core, permit)).detach();
        return;
    }
    let (session, greeting) = Session::new(id, stream, ends, site, Rc::clone(&core));
    glommio::spawn_local(live(id, session, greeting, core, permit)).detach();
}

/// What a proxy says of a connection, within the bound of a handshake; nothing, and a reset, if it does not, or if the
/// process stops before.
async fn introduced(id: u64, stream: Stream, site: &Site, core: &Core) -> Option<(Stream, Ends)> {
    let proxy = stream.peer();
    let mut introduction = Introduction::new(stream);
    let mut alarm = Alarm::new();
    alarm.set(Some(clock::now() + site.rules.patience.handshake));
    let outcome = poll_fn(|cx| {
        if let Poll::Ready(outcome) = introduction.poll(cx) {
            return Poll::Ready(Some(
                outcome.map_err(|why| (Counter::ProxiesMalformed, why)),
            ));
        }
        if alarm.poll(cx).is_ready() {
            let why = "its header was not there in time".to_owned();
            return Poll::Ready(Some(Err((Counter::ProxiesLate, why))));
        }
        core.bell.poll(id, 0, cx).map(|()| None)
    })
    .await;
    core.bell.forget(id);
    match outcome? {
        Ok(introduced) => Some(introduced),
        Err((counter, why)) => {
            core.recorder.borrow_mut().count(counter);
            tracing::warn!(%proxy, listener = site.name, why, "PROXY header refused");
            None
        }
    }
}

/// One session's whole life. A panic ends it and nothing else; left alone, it would end the core's thread.
async fn live(
    id: u64,
    mut session: Box<Session>,
    greeting: Actions,
    core: Rc<Core>,
    permit: Permit,
) {
    let life = timed(session.run(greeting), &core);
    let lived = AssertUnwindSafe(life).catch_unwind().await;
    match lived {
        Ok(ending) => {
            tracing::debug!(session = id, by = ?ending.by, why = ending.why, "session ended")
        }
        Err(_) => {
            core.recorder.borrow_mut().count(Counter::SessionsPanicked);
            tracing::error!(session = id, "session panicked: ended alone");
            let apology = Box::pin(session.apologise());
            let apology = AssertUnwindSafe(apology).catch_unwind().await;
            if apology.is_err() {
                tracing::error!(session = id, "the last words of a panicked session failed");
            }
        }
    }
    // What a session owns may be in disorder after a panic; dropping it must not end the core either.
    let dropped = std::panic::catch_unwind(AssertUnwindSafe(|| drop(session)));
    if dropped.is_err() {
        tracing::error!(session = id, "dropping a panicked session failed");
    }
    core.recorder.borrow_mut().count(Counter::SessionsEnded);
    drop(permit);
}

/// Times each turn of a session: nothing else on its core runs meanwhile.
async fn timed<T>(life: impl Future<Output = T>, core: &Core) -> T {
    if !IS_RECORDING {
        return life.await;
    }
    let mut life = pin!(life);
    poll_fn(|cx| {
        let began = clock::now();
        let polled = life.as_mut().poll(cx);
        let took = clock::now() - began;
        core.recorder.borrow_mut().observe(Phase::Turn, took);
        polled
    })
    .await
}

/// The same for a stream. After a panic there is nothing to say: what it owns is dropped, and so reset.
async fn pass(id: u64, passage: Passage, core: Rc<Core>, permit: Permit) {
    let lived = AssertUnwindSafe(passage.run()).catch_unwind().await;
    if lived.is_err() {
        core.recorder.borrow_mut().count(Counter::SessionsPanicked);
        tracing::error!(session = id, "stream panicked: ended alone");
    }
    core.recorder.borrow_mut().count(Counter::SessionsEnded);
    drop(permit);
}

/// 421 for a client beyond the limit: it hears why, and holds nothing of ours. One that awaits TLS first could not read
/// it, and a handshake is what there is no room for: it sees a close.
async fn turn_away(stream: Stream, hears: bool) {
    let mut leg = Leg::new(stream);
    if !hears {
        let _ended = leg.finish();
        return;
    }
    let reply = Reply::new(occasion::CLOSING, "Too many sessions: try again later");
    if leg.queue(&reply.wire()).is_ok() {
        // A fresh socket takes one line at once; whoever does not read it misses it.
        poll_fn(|cx| {
            let _sent = leg.poll_flush(cx);
            Poll::Ready(())
        })
        .await;
        if leg.queued() == 0 {
            let _ended = leg.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a future of five arguments takes.
    fn held<A, B, C, D, E, F: Future>(_: impl FnOnce(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_session_and_its_task_have_little_room_for_what_is_not_there() {
        // What is needed seldom, or for a moment, belongs in a box; `tests/idle.rs` counts what is in the boxes.
        // The budgets are what there was when they were written, and a tenth.
        for (what, bytes, most) in [
            ("a session", size_of::<Session>(), 1_780),
            ("its task", held(live), 490),
            ("a control leg", size_of::<crate::leg::ControlLeg>(), 280),
            ("a dialog", size_of::<crate::dialog::Dialog>(), 480),
        ] {
            assert!(bytes <= most, "{what} takes {bytes} bytes of {most}");
        }
    }
}
