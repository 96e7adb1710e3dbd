//! One connection that is not FTP: the client's handshake and the way to a backend at once, then bytes both ways.

mod account;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use rustls::{ClientConfig, ServerConfig};

use super::ending::is_over;
use super::{Card, Core, Site, introduce};
use crate::dialog::{Close, Side};
use crate::leg::{Fault, Leg};
use crate::metrics::{Counter, Phase};
use crate::net::{Alarm, Ends, Stream};
use crate::pool::{Failure, Hold};
use crate::relay::{Closing, Duplex};
use crate::sys::clock;
use crate::tls::setup::{ListenerTls, PoolTls};
use crate::upstream::Reach;

/// The ring of the bell that ends streams: the first one only asks.
const LAST_RING: u32 = 1;

/// What the streams of one listener share on one core.
pub struct Streams {
    server: Option<Arc<ServerConfig>>,
    client: Option<Arc<ClientConfig>>,
    /// What the latter was made of: as long as a reload leaves that as it is, what backends have issued is resumed still.
    base: Option<Arc<ClientConfig>>,
    /// An end without close_notify becomes a FIN where the other leg is plain.
    is_lenient: bool,
}

impl Streams {
    /// With TLS towards clients, towards the pool, both or neither; `is_lenient` where a missing close_notify is an end all
    /// the same.
    #[must_use]
    pub fn new(listener: Option<&ListenerTls>, pool: Option<&PoolTls>, is_lenient: bool) -> Self {
        Self {
            server: listener.and_then(ListenerTls::streams),
            client: pool.map(PoolTls::for_streams),
            base: pool.map(|pool| Arc::clone(&pool.config)),
            is_lenient,
        }
    }

    /// The same with the memory of those before, where they lead to the same pool by the same TLS: what the backends have
    /// issued is resumed still.
    #[must_use]
    pub fn after(mut self, before: Option<&Self>) -> Self {
        if let (Some(before), Some(base)) = (before, &self.base)
            && before
                .base
                .as_ref()
                .is_some_and(|old| Arc::ptr_eq(old, base))
        {
            self.client.clone_from(&before.client);
        }
        self
    }
}

/// One stream from a client to a backend.
pub struct Passage {
    id: u64,
    card: Rc<Card>,
    site: Rc<Site>,
    core: Rc<Core>,
    /// Until the bytes flow.
    client: Option<Leg>,
    reach: Reach,
    /// Since when a member of the pool, or the next one, is waited for.
    since: Instant,
    /// The journal has heard of its end.
    has_ended: Cell<bool>,
}

/// A member of the pool that was reached, and whose handshake may still go on.
struct Candidate {
    leg: Leg,
    /// The stream's place with it.
    hold: Hold,
    began: Instant,
    alarm: Alarm,
    is_up: bool,
}

/// Why a stream did not come to be.
enum Unestablished {
    /// The client's handshake failed.
    Client(Fault),
    /// No member of the pool answers, or none can shake hands.
    Unreached,
    /// The client's handshake has taken too long.
    Late,
    /// The client has reset its connection and left nothing for a backend.
    Left,
    /// By order of the operator.
    Stopped,
}

impl Passage {
    /// A stream for a client that has just connected, itself or through somebody who has told its `ends`. The backend is
    /// dialled at once.
    #[must_use]
    pub fn new(id: u64, stream: Stream, ends: Ends, site: Rc<Site>, core: Rc<Core>) -> Self {
        // It leaves before the client's handshake is complete, and can tell nothing of it.
        let first = introduce::header(site.inside.send_proxy, ends, id, None);
        let reach = Reach::start(
            id,
            &site.inside.pool,
            ends.client.ip(),
            site.rules.patience.backend_connect,
            first,
        );
        let opened = clock::now();
        let card = Rc::new(Card::new(id, Rc::clone(&site), ends.client, opened));
        card.stream.set(Some([0, 0]));
        core.cards.put(Rc::clone(&card));
        let (client, listener, cpu) = (ends.client, &site.name, core.cpu);
        tracing::debug!(session = id, %client, listener, cpu, "stream opened");
        let passage = Self {
            id,
            card,
            site,
            core,
            client: Some(Leg::new(stream)),
            reach,
            since: opened,
            has_ended: Cell::new(false),
        };
        passage.tell_opened(ends);
        passage
    }

    /// Lives it to its end.
    pub async fn run(mut self) {
        let Some(mut client) = self.client.take() else {
            return;
        };
        match self.open(&mut client).await {
            Ok(backend) => self.flow(client, backend).await,
            Err(why) => self.give_up(client, &why).await,
        }
    }

    /// Both legs up, or why not.
    async fn open(&mut self, client: &mut Leg) -> Result<Candidate, Unestablished> {
        let streams = self.site.streams.as_ref();
        let server = streams.and_then(|streams| streams.server.clone());
        if let Some(config) = server {
            let secured = client.secure_as_server(config);
            secured.map_err(Unestablished::Client)?;
        }
        let mut alarm = Alarm::new();
        alarm.set(Some(clock::now() + self.site.rules.patience.handshake));
        let (mut backend, mut has_client) = (None, false);
        poll_fn(|cx| {
            if self.is_stopped(cx) {
                return Poll::Ready(Err(Unestablished::Stopped));
            }
            if !has_client && let Poll::Ready(done) = client.poll_handshake(cx) {
                done.map_err(Unestablished::Client)?;
                has_client = true;
                self.secured(Side::Client, client, self.card.opened);
            }
            // Nobody reads of it yet; what it has said, and a FIN, is for the backend.
            if has_client && client.poll_broken(cx).is_ready() {
                return Poll::Ready(Err(Unestablished::Left));
            }
            let has_backend = self.poll_backend(&mut backend, cx)?;
            match (has_client, has_backend, backend.take()) {
                (true, true, Some(backend)) => return Poll::Ready(Ok(backend)),
                (_, _, kept) => backend = kept,
            }
            // Dialling, and the handshakes with members, have bounds of their own.
            match !has_client && alarm.poll(cx).is_ready() {
                true => Poll::Ready(Err(Unestablished::Late)),
                false => Poll::Pending,
            }
        })
        .await
    }

    /// Whether the backend's leg is up. A member whose handshake fails is passed over like one that cannot be reached:
    /// nothing of the client's has been sent there.
    fn poll_backend(
        &mut self,
        backend: &mut Option<Candidate>,
        cx: &mut Context<'_>,
    ) -> Result<bool, Unestablished> {
        loop {
            let candidate = match backend {
                Some(candidate) => candidate,
                None => match self.poll_reach(cx) {
                    Poll::Pending => return Ok(false),
                    Poll::Ready(None) => return Err(Unestablished::Unreached),
                    Poll::Ready(Some(candidate)) => backend.insert(candidate),
                },
            };
            let member = candidate.hold.member();
            match candidate.leg.poll_handshake(cx) {
                Poll::Ready(Ok(())) => {
                    if !std::mem::replace(&mut candidate.is_up, true) {
                        self.reach.ready(member);
                        self.reached(&candidate.leg);
                        self.secured(Side::Backend, &candidate.leg, candidate.began);
                    }
                    return Ok(true);
                }
                Poll::Ready(Err(fault)) => {
                    self.reach.blame(fault);
                    self.reach.failed_handshake(member);
                }
                Poll::Pending if candidate.alarm.poll(cx).is_ready() => {
                    let why = "its TLS handshake took too long";
                    self.reach.failed(member, Failure::Silent, why);
                }
                Poll::Pending => return Ok(false),
            }
            *backend = None;
            self.passed_over();
        }
    }

    /// A member that was reached is none any more: the next one is waited for from now on.
    fn passed_over(&mut self) {
        self.card.backend.set(None);
        self.since = clock::now();
    }

    /// The next member that answers, its handshake begun where it has one; none when none is left.
    fn poll_reach(&mut self, cx: &mut Context<'_>) -> Poll<Option<Candidate>> {
        let streams = self.site.streams.as_ref();
        let config = streams.and_then(|streams| streams.client.clone());
        loop {
            let Poll::Ready(reached) = self.reach.poll(cx) else {
                return Poll::Pending;
            };
            let Some(reached) = reached else {
                return Poll::Ready(None);
            };
            let mut leg = reached.leg.into_leg();
            self.card.backend.set(Some(leg.peer()));
            self.observe(Phase::BackendConnect, self.since);
            let began = clock::now();
            let mut alarm = Alarm::new();
            if let (Some(config), Some(tls)) = (&config, &self.site.inside.tls) {
                let name = tls.names[reached.member.0].clone();
                if let Err(fault) = leg.secure_as_client(Arc::clone(config), name) {
                    self.reach.blame(fault);
                    self.reach.failed_handshake(reached.member);
                    self.passed_over();
                    continue;
                }
                alarm.set(Some(began + self.site.rules.patience.handshake));
            }
            return Poll::Ready(Some(Candidate {
                leg,
                hold: reached.hold,
                began,
                alarm,
                is_up: false,
            }));
        }
    }

    /// Bytes both ways to the end, which is told and never made better than it was.
    async fn flow(&self, client: Leg, backend: Candidate) {
        let (backend, hold) = (backend.leg, backend.hold);
        let legs = account::Legs::of(&client, &backend);
        let (idle, stall) = (self.site.rules.patience.idle, self.site.budget.stall);
        let is_lenient = (self.site.streams.as_ref()).is_some_and(|streams| streams.is_lenient);
        let mut duplex = Duplex::new(client, backend, idle, stall).lenient(is_lenient);
        let outcome = poll_fn(|cx| {
            if self.is_stopped(cx) {
                return Poll::Ready(None);
            }
            let outcome = duplex.poll(cx);
            self.card
                .stream
                .set(Some(duplex.flows().map(|flow| flow.bytes)));
            outcome.map(Some)
        })
        .await;
        self.account(outcome, &duplex, legs);
        if outcome.is_some_and(|outcome| outcome.is_closed) {
            // Both ends have been queued by now, each as it deserves.
            let [client, backend] = duplex.into_legs();
            let ours = self.leave(client, Close::Unfinished);
            futures_lite::future::zip(ours, self.leave(backend, Close::Unfinished)).await;
        } else {
            duplex.reset();
        }
        drop(hold);
    }

    /// A client whose handshake fails is told why by its alert; one that has no backend, or is not wanted any more, by a
    /// reset.
    async fn give_up(&self, client: Leg, why: &Unestablished) {
        self.unestablished(why);
        match why {
            Unestablished::Client(_) => self.leave(client, Close::Clean).await,
            _ => client.abort(),
        }
    }

    /// Sees a leg to its end.
    async fn leave(&self, leg: Leg, close: Close) {
        let mut closing = Closing::new(leg, close, self.site.completion, self.site.linger);
        poll_fn(|cx| match is_over(&mut closing, cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// Whether the operator wants it to end: it alone, or the process, which cannot wait any longer.
    fn is_stopped(&self, cx: &mut Context<'_>) -> bool {
        self.card.wakes(cx.waker());
        self.card.is_killed() || self.core.bell.poll(self.id, LAST_RING, cx).is_ready()
    }

    fn count(&self, counter: Counter) {
        self.core.recorder.borrow_mut().count(counter);
    }

    /// How long a phase has taken.
    fn observe(&self, phase: Phase, began: Instant) {
        let took = clock::now() - began;
        self.core.recorder.borrow_mut().observe(phase, took);
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        // Whatever ends by itself has told it: what is left is a defect, or the end of the process.
        let (by, why) = match std::thread::panicking() {
            true => ("gate", "panic"),
            false => ("operator", "stopped"),
        };
        self.tell_ended(by, why, 0, 0);
        self.core.bell.forget(self.id);
        self.core.cards.remove(self.id);
    }
}
