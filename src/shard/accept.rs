//! The accept loop of one listener, and the guard around each session: what one does cannot hurt another.

use std::cell::Cell;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use futures_lite::FutureExt as _;
use glommio::timer::sleep;

use super::permits::{Permit, Permits};
use crate::dialog::Actions;
use crate::ftp::{Reply, occasion};
use crate::leg::Leg;
use crate::limits::ACCEPT_PAUSE;
use crate::metrics::{Counter, Phase};
use crate::net::{Fault, Listener, Stream};
use crate::session::{Core, Session, Site};
use crate::sys::clock;

/// One listener at work.
pub(super) struct Accepting {
    pub(super) listener: Listener,
    pub(super) site: Rc<Site>,
    pub(super) core: Rc<Core>,
    pub(super) permits: Rc<Permits>,
    /// The next session's number; `stride` keeps the cores' numbers apart.
    pub(super) ids: Rc<Cell<u64>>,
    pub(super) stride: u64,
    /// Its own number at the bell, beyond those of sessions.
    pub(super) bell_number: u64,
}

impl Accepting {
    /// Takes connections until the bell rings.
    pub(super) async fn run(mut self) {
        loop {
            match self.next().await {
                None => return,
                Some(Ok(stream)) => {
                    self.admit(stream);
                    // A queue that never empties must not keep those from running who are in.
                    glommio::yield_if_needed().await;
                }
                Some(Err(fault @ Fault::Broken(_))) => {
                    tracing::error!(listener = self.site.name, %fault, "listener lost");
                    return;
                }
                Some(Err(fault)) => {
                    tracing::error!(listener = self.site.name, %fault, "cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// The next connection, or nothing when the bell has rung.
    async fn next(&mut self) -> Option<Result<Stream, Fault>> {
        poll_fn(|cx| match self.core.bell.poll(self.bell_number, 0, cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => self.listener.poll_accept(cx).map(Some),
        })
        .await
    }

    fn admit(&self, stream: Stream) {
        let Some(permit) = self.permits.take() else {
            self.core
                .recorder
                .borrow_mut()
                .count(Counter::SessionsRefused);
            tracing::warn!(client = %stream.peer(), listener = self.site.name, "too many sessions");
            let hears = self.site.rules.speaks_first();
            glommio::spawn_local(turn_away(stream, hears)).detach();
            return;
        };
        let id = self.ids.replace(self.ids.get() + self.stride);
        let (site, core) = (Rc::clone(&self.site), Rc::clone(&self.core));
        core.recorder.borrow_mut().count(Counter::SessionsOpened);
        let (session, greeting) = Session::new(id, stream, site, Rc::clone(&core));
        glommio::spawn_local(live(id, session, greeting, core, permit)).detach();
    }
}

/// One session's whole life. A panic ends it and nothing else; left alone, it would end the core's thread.
async fn live(id: u64, mut session: Session, greeting: Actions, core: Rc<Core>, permit: Permit) {
    let life = timed(session.run(greeting), &core);
    let lived = AssertUnwindSafe(life).catch_unwind().await;
    match lived {
        Ok(ending) => {
            tracing::debug!(session = id, by = ?ending.by, why = ending.why, "session ended")
        }
        Err(_) => {
            core.recorder.borrow_mut().count(Counter::SessionsPanicked);
            tracing::error!(session = id, "session panicked: ended alone");
            let apology = AssertUnwindSafe(session.apologise()).catch_unwind().await;
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
