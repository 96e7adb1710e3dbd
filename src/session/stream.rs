//! One connection that is not FTP: the client's handshake and the way to a backend at once, then bytes both ways.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::{ClientConfig, ServerConfig};

use super::ending::is_over;
use super::{Card, Core, Site};
use crate::dialog::{Close, End};
use crate::leg::{Fault, Leg};
use crate::metrics::{Counter, Phase};
use crate::net::{Alarm, Ends, HeaderFacts, Stream, proxy_header_v1, proxy_header_v2};
use crate::policy::SendProxy;
use crate::relay::{Closing, Duplex, Outcome, Path};
use crate::sys::clock;
use crate::tls::setup::{ListenerTls, PoolTls};
use crate::upstream::Reach;

/// The ring of the bell that ends streams: the first one only asks.
const LAST_RING: u32 = 1;

/// What the streams of one listener share on one core.
pub struct Streams {
    server: Option<Arc<ServerConfig>>,
    client: Option<Arc<ClientConfig>>,
}

impl Streams {
    /// With TLS towards clients, towards the pool, both or neither.
    #[must_use]
    pub fn new(listener: Option<&ListenerTls>, pool: Option<&PoolTls>) -> Self {
        Self {
            server: listener.and_then(ListenerTls::streams),
            client: pool.map(PoolTls::for_streams),
        }
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
}

/// Why a stream did not come to be.
enum Unestablished {
    /// The client's handshake failed.
    Client(Fault),
    /// No member of the pool answers.
    Unreached,
    /// The backend's handshake failed.
    Backend(Fault),
    /// A handshake has taken too long.
    Late,
    /// By order of the operator.
    Stopped,
}

impl Passage {
    /// A stream for a client that has just connected, itself or through somebody who has told its `ends`. The backend is
    /// dialled at once.
    #[must_use]
    pub fn new(id: u64, stream: Stream, ends: Ends, site: Rc<Site>, core: Rc<Core>) -> Self {
        let first = match site.inside.send_proxy {
            SendProxy::Off => Vec::new(),
            SendProxy::V1 => proxy_header_v1(ends),
            SendProxy::V2 => {
                let id = id.to_string();
                let facts = HeaderFacts {
                    unique_id: id.as_bytes(),
                    authority: None,
                    // It leaves before the client's handshake is complete.
                    tls: None,
                };
                proxy_header_v2(ends, facts)
            }
        };
        let reach = Reach::start(
            &site.inside.pool,
            site.rules.patience.backend_connect,
            first,
        );
        let card = Rc::new(Card::new(id, Rc::clone(&site), ends.client, clock::now()));
        core.cards.put(Rc::clone(&card));
        let (client, listener, cpu) = (ends.client, &site.name, core.cpu);
        tracing::debug!(session = id, %client, listener, cpu, "stream opened");
        Self {
            id,
            card,
            site,
            core,
            client: Some(Leg::new(stream)),
            reach,
        }
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
    async fn open(&mut self, client: &mut Leg) -> Result<Leg, Unestablished> {
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
                if let Some(facts) = client.facts() {
                    self.observe(Phase::ClientHandshake);
                    self.card.client_tls.replace(Some(facts));
                }
                has_client = true;
            }
            let has_backend = self.poll_backend(&mut backend, &mut alarm, cx)?;
            match (has_client, has_backend, backend.take()) {
                (true, true, Some(backend)) => return Poll::Ready(Ok(backend)),
                (_, _, kept) => backend = kept,
            }
            // While the backend is being dialled the bound is that of the dialling.
            let is_late = (!has_client || backend.is_some()) && alarm.poll(cx).is_ready();
            match is_late {
                true => Poll::Ready(Err(Unestablished::Late)),
                false => Poll::Pending,
            }
        })
        .await
    }

    /// Whether the backend's leg is up; `alarm` is set anew when its handshake begins.
    fn poll_backend(
        &mut self,
        backend: &mut Option<Leg>,
        alarm: &mut Alarm,
        cx: &mut Context<'_>,
    ) -> Result<bool, Unestablished> {
        let leg = match backend {
            Some(leg) => leg,
            None => match self.reach.poll(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(None) => return Err(Unestablished::Unreached),
                Poll::Ready(Some(reached)) => {
                    let mut leg = reached.leg.into_leg();
                    self.card.backend.set(Some(leg.peer()));
                    self.observe(Phase::BackendConnect);
                    let streams = self.site.streams.as_ref();
                    let config = streams.and_then(|streams| streams.client.clone());
                    if let (Some(config), Some(tls)) = (config, &self.site.inside.tls) {
                        let name = tls.names[reached.member.0].clone();
                        leg.secure_as_client(config, name)
                            .map_err(Unestablished::Backend)?;
                        alarm.set(Some(clock::now() + self.site.rules.patience.handshake));
                    }
                    backend.insert(leg)
                }
            },
        };
        match leg.poll_handshake(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(())) => Ok(true),
            Poll::Ready(Err(fault)) => Err(Unestablished::Backend(fault)),
        }
    }

    /// Bytes both ways to the end, which is told and never made better than it was.
    async fn flow(&self, client: Leg, backend: Leg) {
        self.card.backend_tls.replace(backend.facts());
        if self
            .site
            .inside
            .tls
            .as_ref()
            .is_some_and(|tls| !tls.is_verified)
        {
            self.count(Counter::BackendsUnverified);
        }
        let (idle, stall) = (self.site.rules.patience.idle, self.site.budget.stall);
        let mut duplex = Duplex::new(client, backend, idle, stall);
        let outcome = poll_fn(|cx| match self.is_stopped(cx) {
            true => Poll::Ready(None),
            false => duplex.poll(cx).map(Some),
        })
        .await;
        self.account(outcome, &duplex);
        if outcome.is_some_and(|outcome| outcome.is_closed) {
            // Both ends have been queued by now, each as it deserves.
            let [client, backend] = duplex.into_legs();
            let ours = self.leave(client, Close::Unfinished);
            futures_lite::future::zip(ours, self.leave(backend, Close::Unfinished)).await;
        } else {
            duplex.reset();
        }
    }

    /// A client whose handshake fails is told why by its alert; one that has no backend, or is not wanted any more, by a
    /// reset.
    async fn give_up(&self, client: Leg, why: &Unestablished) {
        self.count(Counter::StreamsUnestablished);
        let (session, pool) = (self.id, &self.site.inside.pool.name);
        match why {
            Unestablished::Client(fault) => {
                tracing::info!(session, %fault, "stream refused: the client's handshake failed");
                self.leave(client, Close::Clean).await;
                return;
            }
            Unestablished::Backend(fault) => {
                tracing::warn!(session, pool, %fault, "stream refused: the backend's handshake failed");
            }
            Unestablished::Unreached => {
                tracing::warn!(session, pool, "stream refused: no backend answers");
            }
            Unestablished::Late => {
                tracing::info!(session, "stream refused: a handshake took too long")
            }
            Unestablished::Stopped => tracing::info!(session, "stream refused: stopped"),
        }
        client.abort();
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

    /// What has become of it, for those who count and read logs; nothing for one that was cut off.
    fn account(&self, outcome: Option<Outcome>, duplex: &Duplex) {
        let [up, down] = duplex.flows();
        for (bytes, flow) in [
            (Counter::StreamBytesUp, up),
            (Counter::StreamBytesDown, down),
        ] {
            let path = match flow.path {
                Path::Spliced => Counter::SplicedBytes,
                Path::Sealed => Counter::SealedBytes,
                Path::InPlace => Counter::InPlaceBytes,
                Path::Kernel => Counter::KernelBytes,
            };
            let mut recorder = self.core.recorder.borrow_mut();
            recorder.add(bytes, flow.bytes);
            recorder.add(path, flow.bytes);
        }
        self.count(match outcome.map(|outcome| outcome.end) {
            Some(End::Clean) => Counter::StreamsCompleted,
            Some(End::Unfinished) => Counter::StreamsUnfinished,
            Some(End::TimedOut(_)) => Counter::StreamsLate,
            Some(_) => Counter::StreamsBroken,
            None => Counter::StreamsCutOff,
        });
        let (session, sent, received, path) = (self.id, up.bytes, down.bytes, up.path);
        let (side, end) = (
            outcome.map(|outcome| outcome.side),
            outcome.map(|outcome| outcome.end),
        );
        tracing::info!(session, sent, received, ?path, ?side, ?end, "stream ended");
    }

    /// Whether the operator wants it to end: it alone, or the process, which cannot wait any longer.
    fn is_stopped(&self, cx: &mut Context<'_>) -> bool {
        self.card.wakes(cx.waker());
        self.card.is_killed() || self.core.bell.poll(self.id, LAST_RING, cx).is_ready()
    }

    fn count(&self, counter: Counter) {
        self.core.recorder.borrow_mut().count(counter);
    }

    /// How long a phase has taken that began with the connection.
    fn observe(&self, phase: Phase) {
        let took = clock::now() - self.card.opened;
        self.core.recorder.borrow_mut().observe(phase, took);
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.core.bell.forget(self.id);
        self.core.cards.remove(self.id);
    }
}
