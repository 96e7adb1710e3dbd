//! One core and all it owns: its listeners, its slice of the passive ports, its sessions, its recorder.
//! The gate starts one shard for each configured CPU and talks to it by mail.
//! It never shares a session, a port or a counter with another core, and never waits for one.

mod accept;
mod mailbox;
mod permits;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
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
use crate::net::{Alarm, Listener, PortRange};
use crate::policy::{Advertise, DataPeer, Networks, SendProxy, SiteRules};
use crate::pool::{Balance, Pool};
use crate::relay::Budget;
use crate::session::{Core, Inside, Outbox, Site, Streams};
use crate::sys::{clock, schedstat};
use crate::tls::setup::{ListenerTls, PoolTls};
use permits::Permits;

pub use mailbox::{Mail, Report, Sight, SiteState};

/// Everything one core needs to serve; the same for all cores but for `id`, `cpu` and what they are given of a whole.
#[derive(Clone)]
pub struct Plan {
    /// Which shard this is.
    pub id: usize,
    /// Of how many.
    pub shards: usize,
    /// The CPU it is pinned to.
    pub cpu: usize,
    /// Most sessions at once in the whole process.
    pub sessions_max: usize,
    /// How many there are; all cores count here.
    pub sessions: Arc<AtomicUsize>,
    /// How long transfers may go on when the process is told to stop.
    pub drain: Duration,
    /// Where records go, if a journal is kept.
    pub journal: Option<Outbox>,
    /// Whether the kernel takes over the TLS of long transfers.
    pub kernel_tls: bool,
    /// What it listens for.
    pub sites: Vec<SitePlan>,
}

/// One listener of the configuration.
#[derive(Clone)]
pub struct SitePlan {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// Whether the core that takes a packet should take its connection.
    pub steer: bool,
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
    /// TLS towards them.
    pub tls: Option<PoolTls>,
    /// Whether control connections to them begin with a PROXY header.
    pub send_proxy: SendProxy,
    /// Whether data connections to them do.
    pub send_proxy_data: bool,
}

/// A listener that could not be opened.
#[derive(Debug)]
pub struct BindFault {
    /// The place of its listener among the sites.
    pub site: usize,
    /// The address.
    pub address: SocketAddr,
    /// Why not.
    pub error: io::Error,
}

/// What a shard says once: where its listeners are, site by site, or which of them could not be opened.
pub type Ready = Result<Vec<Vec<SocketAddr>>, BindFault>;

/// Serves until the gate says stop; gives the last state of the recorder.
pub async fn run(plan: Plan, mail: Receiver<Mail>, ready: SyncSender<Ready>) -> Snapshot {
    let core = Rc::new(Core::new(plan.cpu, plan.journal.clone(), plan.kernel_tls));
    let permits = Rc::new(Permits::new(plan.sessions_max, Arc::clone(&plan.sessions)));
    let ids = Rc::new(Cell::new(plan.id as u64));
    let mut desk = mailbox::Desk {
        shard: plan.id,
        thread: schedstat::this_thread(),
        core: Rc::clone(&core),
        permits: Rc::clone(&permits),
        sites: Vec::new(),
        pools: Vec::new(),
    };
    match open_all(&plan, &mut desk.pools) {
        Err(fault) => {
            // The gate waits for exactly this message; if it has gone, there is nobody to tell.
            let _told = ready.send(Err(fault));
            return core.recorder.borrow().snapshot();
        }
        Ok(opened) => {
            let addresses =
                |listeners: &Vec<Listener>| listeners.iter().map(Listener::local).collect();
            let _told = ready.send(Ok(opened
                .iter()
                .map(|(_, listeners)| addresses(listeners))
                .collect()));
            desk.sites = opened.iter().map(|(site, _)| Rc::clone(site)).collect();
            let listeners = opened.into_iter().flat_map(|(site, listeners)| {
                listeners
                    .into_iter()
                    .map(move |listener| (Rc::clone(&site), listener))
            });
            for (bell_number, (site, listener)) in (0..u64::MAX).rev().zip(listeners) {
                let accepting = accept::Accepting {
                    listener,
                    site,
                    core: Rc::clone(&core),
                    permits: Rc::clone(&permits),
                    ids: Rc::clone(&ids),
                    stride: plan.shards as u64,
                    bell_number,
                };
                glommio::spawn_local(accepting.run()).detach();
            }
        }
    }
    desk.until_drain(&mail).await;
    core.bell.ring();
    let drained = drain(&plan, &core, &permits);
    desk.forever(&mail).or(drained).await;
    core.recorder.borrow().snapshot()
}

/// Lets the sessions end within the bound, and cuts off those that have not.
async fn drain(plan: &Plan, core: &Core, permits: &Permits) {
    if !is_idle(permits, plan.drain).await {
        tracing::warn!(
            sessions = permits.taken(),
            "sessions cut off at the end of the drain"
        );
        core.bell.ring();
        // Whoever does not take its last words ends with the executor.
        is_idle(permits, LAST_WORDS).await;
    }
}

/// A listener of the configuration, as this core has it.
type Opened = (Rc<Site>, Vec<Listener>);

fn open_all(plan: &Plan, pools: &mut Pools) -> Result<Vec<Opened>, BindFault> {
    let mut opened = Vec::new();
    for (at, site) in plan.sites.iter().enumerate() {
        let cpu = site.steer.then_some(plan.cpu);
        let mut listeners = Vec::new();
        for &address in &site.addresses {
            let listener = Listener::listen_shared(address, cpu);
            listeners.push(listener.map_err(|error| BindFault {
                site: at,
                address,
                error,
            })?);
        }
        opened.push((Rc::new(open_site(plan, site, pools)), listeners));
    }
    Ok(opened)
}

/// The pools of this core, each once: all listeners that lead to one know the same of its members.
type Pools = Vec<Rc<Pool>>;

fn open_site(plan: &Plan, site: &SitePlan, pools: &mut Pools) -> Site {
    let ports = PortRange::slice(&site.passive_ports, plan.id, plan.shards);
    Site {
        name: site.name.clone(),
        rules: Arc::clone(&site.rules),
        tls: site.tls.clone(),
        streams: site
            .is_stream
            .then(|| Streams::new(site.tls.as_ref(), site.inside.tls.as_ref(), site.is_lenient)),
        inside: open_inside(&site.inside, pools),
        hosts: (site.hosts.iter())
            .map(|host| open_inside(host, pools))
            .collect(),
        ports: Rc::new(ports),
        advertise: RefCell::new(Arc::clone(&site.advertise)),
        proxies: site.proxies.clone(),
        proxied_data: site.proxied_data,
        data_peer: site.data_peer,
        budget: site.budget,
        completion: site.completion,
        linger: site.linger,
    }
}

fn open_inside(plan: &InsidePlan, pools: &mut Pools) -> Inside {
    let known = pools.iter().find(|pool| pool.name == plan.pool).cloned();
    let pool = known.unwrap_or_else(|| {
        let (name, members) = (plan.pool.clone(), plan.members.clone());
        let pool = Rc::new(Pool::new(name, members, plan.backups, plan.balance));
        pools.push(Rc::clone(&pool));
        pool
    });
    Inside {
        pool,
        tls: plan.tls.clone(),
        send_proxy: plan.send_proxy,
        send_proxy_data: plan.send_proxy_data,
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
