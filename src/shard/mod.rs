//! One core and all it owns: its listeners, its slice of the passive ports, its sessions, its recorder.
//! The gate starts one shard for each configured CPU and talks to it by mail.
//! It never shares a session, a port or a counter with another core, and never waits for one.

mod accept;
mod mailbox;
mod permits;
mod serving;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use async_channel::Receiver;
use futures_lite::FutureExt as _;

use crate::limits::LAST_WORDS;
use crate::metrics::Snapshot;
use crate::net::{Alarm, OpenPort};
use crate::policy::{Advertise, DataPeer, Networks, SendProxy, SiteRules};
use crate::pool::Balance;
use crate::relay::Budget;
use crate::session::{Core, Outbox};
use crate::sys::{clock, schedstat};
use crate::tls::setup::{ListenerTls, PoolTls};
use mailbox::Desk;
use permits::Permits;
use serving::Serving;

pub use mailbox::{Mail, Report, Sight, SiteState};

/// What a core is, from its start to its end; the same for all cores but for `id` and `cpu`.
#[derive(Clone)]
pub struct Plan {
    /// Which shard this is.
    pub id: usize,
    /// Of how many.
    pub shards: usize,
    /// The CPU it is pinned to.
    pub cpu: usize,
    /// How many sessions there are in the whole process; all cores count here.
    pub sessions: Arc<AtomicUsize>,
    /// Where records go, if a journal is kept.
    pub journal: Option<Outbox>,
    /// Whether the kernel takes over the TLS of long transfers.
    pub kernel_tls: bool,
    /// How long it looks for news before it sleeps.
    pub busy_poll: Duration,
}

/// What a core serves, until it is told otherwise. Sessions keep what they have begun with.
pub struct Orders {
    /// Which configuration this is, counted from the start of the process.
    pub generation: u64,
    /// Most sessions at once in the whole process.
    pub sessions_max: usize,
    /// How long transfers may go on when the process is told to stop.
    pub drain: Duration,
    /// What it listens for.
    pub sites: Arc<[SitePlan]>,
    /// The addresses among those of `sites` on which this core does not listen yet.
    pub ports: Vec<NewPort>,
}

/// A port that is this core's from now on.
pub struct NewPort {
    /// Where it is.
    pub door: Door,
    /// Itself, open already: nothing can go wrong with it any more.
    pub port: OpenPort,
}

/// A way in: two that differ in anything are two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// Where it listens; never port 0.
    pub address: SocketAddr,
    /// Whether the core that takes a packet should take its connection.
    pub steer: bool,
}

/// One listener of the configuration.
#[derive(Clone)]
pub struct SitePlan {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub doors: Vec<Door>,
    /// How sessions are led.
    pub rules: Arc<SiteRules>,
    /// TLS towards clients, if there may be any.
    pub tls: Option<ListenerTls>,
    /// Whether its connections are passed on whatever they are, and not FTP.
    pub is_stream: bool,
    /// Whether a stream may end without close_notify.
    pub is_lenient: bool,
    /// Where sessions lead that name no host.
    pub inside: InsidePlan,
    /// Where its hosts lead, in their order.
    pub hosts: Vec<InsidePlan>,
    /// The passive ports of all shards together.
    pub passive_ports: RangeInclusive<u16>,
    /// The addresses for PASV replies.
    pub advertise: Arc<Advertise>,
    /// Who passes connections on with a PROXY header, where all come so.
    pub proxies: Option<Arc<Networks>>,
    /// Whether data connections come so too.
    pub proxied_data: bool,
    /// Whose data connections are taken.
    pub data_peer: DataPeer,
    /// Bounds of a running stream.
    pub budget: Budget,
    /// How long what is still to be sent at the end of a leg may take.
    pub completion: Duration,
    /// How long a peer may take for its own end after ours.
    pub linger: Duration,
}

/// A pool as a listener or one of its hosts leads to it.
#[derive(Clone)]
pub struct InsidePlan {
    /// The pool's name.
    pub pool: String,
    /// The pool's members.
    pub members: Vec<SocketAddr>,
    /// So many of them, the last ones, are backups.
    pub backups: usize,
    /// How sessions are spread over them.
    pub balance: Balance,
    /// How long one that has failed is tried behind the others.
    pub rest: Duration,
    /// TLS towards them.
    pub tls: Option<PoolTls>,
    /// Whether control connections to them begin with a PROXY header.
    pub send_proxy: SendProxy,
    /// Whether data connections to them do.
    pub send_proxy_data: bool,
}

/// Serves until the gate says stop; gives the last state of the recorder. Says when it has begun.
pub async fn run(
    plan: Plan,
    orders: Orders,
    mail: Receiver<Mail>,
    ready: SyncSender<()>,
) -> Snapshot {
    let core = Rc::new(Core::new(plan.cpu, plan.journal.clone(), plan.kernel_tls));
    let permits = Rc::new(Permits::new(
        orders.sessions_max,
        Arc::clone(&plan.sessions),
    ));
    let mut desk = Desk {
        thread: schedstat::this_thread(),
        core: Rc::clone(&core),
        permits: Rc::clone(&permits),
        serving: Serving::new(plan, &core, &permits),
        is_draining: false,
    };
    desk.serving.follow(orders, &ready);
    // The gate waits for exactly this message; if it has gone, there is nobody to tell.
    let _told = ready.send(());
    desk.until_drain(&mail).await;
    core.bell.ring();
    let drained = drain(desk.serving.drain(), &core, &permits);
    desk.forever(&mail).or(drained).await;
    core.recorder.borrow().snapshot()
}

/// Lets the sessions end within the bound, and cuts off those that have not.
async fn drain(bound: Duration, core: &Core, permits: &Permits) {
    if !is_idle(permits, bound).await {
        tracing::warn!(
            sessions = permits.taken(),
            "sessions cut off at the end of the drain"
        );
        core.bell.ring();
        // Whoever does not take its last words ends with the executor.
        is_idle(permits, LAST_WORDS).await;
    }
}

/// Waits for the sessions to end; false when they have not within the bound.
async fn is_idle(permits: &Permits, bound: Duration) -> bool {
    let mut alarm = Alarm::new();
    alarm.set(Some(clock::now() + bound));
    let mut idle = pin!(permits.idle());
    poll_fn(|cx| {
        use std::future::Future as _;
        match idle.as_mut().poll(cx) {
            std::task::Poll::Pending => alarm.poll(cx),
            ready => ready,
        }
    })
    .await;
    permits.taken() == 0
}
