//! From a checked configuration to cores that serve, or to everything that stands against it.

use core::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::SystemTime;

use aws_lc_rs::digest;
use glommio::{LocalExecutorBuilder, Placement};

use super::check::Prepared;
use super::journal::{Journal, Writer};
use super::names::{self, Names};
use super::{EndNotice, News, Running, Shard, logging, news};
use crate::admin::{self, About, Collector, Door, ListenerFacts, Office};
use crate::config::{
    Complaint, Config, Cores, KernelTls, Listener, Located, MissingCloseNotify, Mode, Pool,
    Steering,
};
use crate::limits::{
    CORE_HOLD_MAX, MAILBOX_MESSAGES_MAX, NAMES_LOOKUP_PERIOD, RING_MEMORY_BYTES, SESSIONS,
    SHARDS_MAX,
};
use crate::net;
use crate::policy::Advertise;
use crate::relay::Budget;
use crate::shard::{self, BindFault, InsidePlan, Plan, SitePlan};
use crate::sys::{cpus, ktls, rlimits};

/// Why the gate does not start; each with its cure.
#[derive(Debug)]
pub enum Fault {
    /// Something in the configuration does not fit this machine.
    Complaint(Complaint),
    /// The machine does not let us.
    Machine(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complaint(complaint) => complaint.fmt(out),
            Self::Machine(text) => out.write_str(text),
        }
    }
}

/// Starts a core for each CPU of the configuration; ready when it returns.
///
/// # Errors
/// Everything that stands against it, each with its cure.
pub fn start(prepared: &Prepared) -> Result<Running, Vec<Fault>> {
    let config = &prepared.config;
    let cores = cores(&config.process.cores).map_err(|fault| vec![fault])?;
    let each = config.limits.descriptors_per_session;
    let sessions = config.limits.sessions.unwrap_or_else(|| {
        let possible = rlimits::sessions_possible(cores.len(), each);
        SESSIONS.min(possible).max(1)
    });
    let faults = rlimits::startup_faults(cores.len(), sessions, each);
    if !faults.is_empty() {
        let told = faults.iter().map(|fault| Fault::Machine(fault.to_string()));
        return Err(told.collect());
    }
    let members = resolve_all(&config.pools)?;
    let names = Names::resolve(&config.listeners)?;
    let journal = open_journal(config).map_err(|fault| vec![fault])?;
    let (journal, writer) = journal.unzip();
    let mut plan = Plan {
        id: 0,
        shards: cores.len(),
        cpu: 0,
        sessions_max: sessions,
        sessions: Arc::default(),
        drain: config.timeouts.drain,
        journal: journal.as_ref().map(|journal| journal.outbox.clone()),
        kernel_tls: kernel_tls(&config.process.kernel_tls).map_err(|fault| vec![fault])?,
        sites: sites(prepared, &members, &names.addresses()),
    };
    try_addresses(&plan.sites).map_err(|fault| vec![CoreFault::Bind(fault).told(prepared)])?;
    let admin = bind_admin(config).map_err(|fault| vec![fault])?;
    let news = news();
    let (mut addresses, mut shards) = (Vec::new(), Vec::new());
    for (id, &cpu) in cores.iter().enumerate() {
        (plan.id, plan.cpu) = (id, cpu);
        let shard;
        (shard, addresses) =
            start_one(plan.clone(), news.0.clone()).map_err(|fault| vec![fault.told(prepared)])?;
        shards.push(shard);
        // The first core has found the ports where 0 was asked for; the others share them.
        for (site, addresses) in plan.sites.iter_mut().zip(&addresses) {
            site.addresses.clone_from(addresses);
        }
    }
    let boxes = shards.iter().map(|shard: &Shard| shard.mail.clone());
    let mut running = Running {
        collector: Arc::new(Collector::new(&cores, boxes.collect())),
        addresses,
        shards,
        journal,
        news,
        _names: None,
    };
    if let Some(writer) = writer {
        let told = |error| Fault::Machine(format!("the journal did not start: {error}"));
        writer.start().map_err(|error| vec![told(error)])?;
    }
    if let Some(bound) = admin {
        open_office(bound, &running, prepared).map_err(|fault| vec![fault])?;
    }
    let mail = running.shards.iter().map(|shard| shard.mail.downgrade());
    running._names = names::watch(names, mail.collect(), NAMES_LOOKUP_PERIOD)
        .map_err(|error| vec![Fault::Machine(format!("no thread for names: {error}"))])?;
    Ok(running)
}

/// Before the cores start, so that a port that is taken is told before anybody is served.
fn bind_admin(config: &Config) -> Result<Option<admin::Bound>, Fault> {
    let Some(wanted) = &config.admin else {
        return Ok(None);
    };
    let told = |error: io::Error| {
        let problem = format!("cannot listen on {}: {error}", wanted.address.value);
        let cure = "a free port of an address of this machine, or a path in a directory that this process may write";
        Fault::Complaint(wanted.address.complaint(problem, cure))
    };
    admin::Bound::open(&wanted.address.value)
        .map(Some)
        .map_err(told)
}

/// Before the cores start, as they are given the way to it.
fn open_journal(config: &Config) -> Result<Option<(Journal, Writer)>, Fault> {
    let Some(audit) = &config.audit else {
        return Ok(None);
    };
    let told = |error: io::Error| {
        let problem = format!("cannot open {}: {error}", audit.file.value.display());
        let cure = "a file in a directory that this process may write";
        Fault::Complaint(audit.file.complaint(problem, cure))
    };
    Journal::open(audit).map(Some).map_err(told)
}

/// After the cores have started: executors are started before other threads.
fn open_office(bound: admin::Bound, running: &Running, prepared: &Prepared) -> Result<(), Fault> {
    let config = &prepared.config;
    let news = running.news.0.clone();
    let listener = |(listener, addresses): (&Listener, &Vec<SocketAddr>)| ListenerFacts {
        name: listener.name.clone(),
        addresses: addresses.clone(),
        pool: config.pools[listener.pool].name.clone(),
    };
    let office = Office {
        collector: Arc::clone(&running.collector),
        door: Door::new(
            prepared.admin_token.as_ref().map(|token| token.0.clone()),
            bound.address().is_some() && prepared.admin_tls.is_none(),
        ),
        about: About {
            started: SystemTime::now(),
            journal: running
                .journal
                .as_ref()
                .map(|journal| Arc::clone(&journal.tally)),
            listeners: (config.listeners.iter())
                .zip(&running.addresses)
                .map(listener)
                .collect(),
            // It has been read already, so it can be read.
            written: toml::from_str(&prepared.text).unwrap_or_default(),
            config_sha256: sha256(&prepared.text),
            config_read: prepared.read,
            log_lines_dropped: Box::new(|| logging::dropped_lines() as u64),
            // Full or closed: then the process is ending already.
            stop: Box::new(move || drop(news.try_send(News::Stop))),
        },
    };
    let told = |error| Fault::Machine(format!("the admin server did not start: {error}"));
    admin::start(bound, prepared.admin_tls.clone(), Arc::new(office)).map_err(told)
}

/// As `sha256sum` prints it of the file.
fn sha256(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A gate that still runs, or one that was started by mistake, must not share its clients with this one unnoticed.
fn try_addresses(sites: &[SitePlan]) -> Result<(), BindFault> {
    for (site, plan) in sites.iter().enumerate() {
        for &address in &plan.addresses {
            net::Listener::try_alone(address).map_err(|error| BindFault {
                site,
                address,
                error,
            })?;
        }
    }
    Ok(())
}

fn cores(configured: &Located<Cores>) -> Result<Vec<usize>, Fault> {
    let mut cores = match &configured.value {
        Cores::All => cpus::available(),
        Cores::List(list) => list.clone(),
    };
    cores.truncate(SHARDS_MAX);
    match cpus::check(&cores) {
        Ok(()) if cores.is_empty() => Err(Fault::Machine(
            "no CPU is available to this process; cure: its affinity".to_owned(),
        )),
        Ok(()) => Ok(cores),
        Err(missing) => {
            let problem = format!(
                "CPUs {:?} are not available to this process",
                missing.missing
            );
            let cure = format!(
                "choose among {:?}, or change the affinity it is started with",
                missing.available
            );
            Err(Fault::Complaint(configured.complaint(problem, cure)))
        }
    }
}

/// Whether the kernel takes over TLS. It is asked once, here, and what it lacks is told once.
fn kernel_tls(configured: &Located<KernelTls>) -> Result<bool, Fault> {
    if configured.value == KernelTls::Off {
        return Ok(false);
    }
    let told = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "it has none for sockets".to_owned(),
        _ => error.to_string(),
    };
    match (ktls::offered().map_err(told), configured.value) {
        (Ok(()), _) => {
            tracing::info!("the kernel takes over the TLS 1.3 of long transfers");
            Ok(true)
        }
        (Err(error), KernelTls::On) => {
            let problem = format!("this kernel offers no TLS: {error}");
            let cure = "modprobe tls, on a kernel with CONFIG_TLS, or kernel_tls = \"auto\"";
            Err(Fault::Complaint(configured.complaint(problem, cure)))
        }
        (Err(error), _) => {
            tracing::info!(%error, "this kernel offers no TLS: all of it stays in the process");
            Ok(false)
        }
    }
}

/// The addresses of every pool's members; names are looked up once, here, where waiting hurts nobody.
fn resolve_all(pools: &[Pool]) -> Result<Vec<Vec<SocketAddr>>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut resolve = |pool: &Pool| -> Vec<SocketAddr> {
        let lookup = |member: &crate::config::HostPort| {
            let found = (member.host.as_str(), member.port).to_socket_addrs();
            let first = found
                .and_then(|mut found| found.next().ok_or_else(|| io::ErrorKind::NotFound.into()));
            first.map_err(|error| (member.to_string(), error))
        };
        let found = pool.members.value.iter().map(lookup);
        found
            .filter_map(|found| {
                found
                    .map_err(|(member, error)| {
                        let problem = format!("{member} has no address: {error}");
                        let cure = "a name that this machine can resolve, or an IP address";
                        faults.push(Fault::Complaint(pool.members.complaint(problem, cure)));
                    })
                    .ok()
            })
            .collect()
    };
    let members = pools.iter().map(&mut resolve).collect();
    if faults.is_empty() {
        Ok(members)
    } else {
        Err(faults)
    }
}

fn sites(
    prepared: &Prepared,
    members: &[Vec<SocketAddr>],
    advertise: &[Arc<Advertise>],
) -> Vec<SitePlan> {
    let config = &prepared.config;
    let times = &config.timeouts;
    let inside = |pool: usize| InsidePlan {
        pool: config.pools[pool].name.clone(),
        members: members[pool].clone(),
        backups: config.pools[pool].backups,
        balance: config.pools[pool].balance,
        tls: prepared.pools[pool].clone(),
        send_proxy: config.pools[pool].send_proxy,
        send_proxy_data: config.pools[pool].send_proxy_data,
    };
    let site = |(at, listener): (usize, &Listener)| SitePlan {
        name: listener.name.clone(),
        addresses: listener.address.value.clone(),
        steer: listener.steering == Steering::Cpu,
        rules: Arc::new(config.rules(at)),
        tls: prepared.listeners[at].clone(),
        inside: inside(listener.pool),
        hosts: config.hosts_of(at).map(|host| inside(host.pool)).collect(),
        is_stream: listener.mode == Mode::Stream,
        is_lenient: listener.missing_close_notify == MissingCloseNotify::End,
        passive_ports: match listener.passive_ports {
            Some(ports) => ports.first..=ports.last,
            None => RangeInclusive::new(1, 0),
        },
        advertise: Arc::clone(&advertise[at]),
        proxies: listener.proxy_from.clone().map(Arc::new),
        proxied_data: listener.proxy_protocol_data,
        data_peer: listener.data_peer,
        budget: Budget {
            first_byte: times.data_first_byte,
            stall: times.data_stall,
        },
        completion: times.data_completion,
        linger: times.linger,
    };
    config.listeners.iter().enumerate().map(site).collect()
}

/// Why one core does not serve.
enum CoreFault {
    Bind(BindFault),
    Executor { cpu: usize, why: String },
}

impl CoreFault {
    fn told(self, prepared: &Prepared) -> Fault {
        match self {
            Self::Bind(BindFault {
                site,
                address,
                error,
            }) => {
                let problem = format!("cannot listen on {address}: {error}");
                let cure = "a free port and an address of this machine; ports below 1024 need CAP_NET_BIND_SERVICE";
                Fault::Complaint(
                    prepared.config.listeners[site]
                        .address
                        .complaint(problem, cure),
                )
            }
            Self::Executor { cpu, why } => Fault::Machine(format!(
                "the core on CPU {cpu} did not start: {why}; cure: see LimitMEMLOCK and kernel.io_uring_disabled"
            )),
        }
    }
}

fn start_one(
    plan: Plan,
    news: SyncSender<News>,
) -> Result<(Shard, Vec<Vec<SocketAddr>>), CoreFault> {
    let cpu = plan.cpu;
    let notice = EndNotice { cpu, news };
    let executor = |why: String| CoreFault::Executor { cpu, why };
    let (mail, inbox) = async_channel::bounded(MAILBOX_MESSAGES_MAX);
    let (ready, is_ready) = sync_channel(1);
    let thread = LocalExecutorBuilder::new(Placement::Fixed(cpu))
        .name(&format!("core-{cpu}"))
        .io_memory(RING_MEMORY_BYTES)
        .preempt_timer(CORE_HOLD_MAX)
        .spawn(move || async move {
            let snapshot = shard::run(plan, inbox, ready).await;
            drop(notice);
            snapshot
        })
        .map_err(|fault| executor(fault.to_string()))?;
    match is_ready.recv() {
        Ok(Ok(addresses)) => Ok((Shard { mail, thread }, addresses)),
        Ok(Err(fault)) => Err(CoreFault::Bind(fault)),
        Err(_) => Err(executor("it ended before it was ready".to_owned())),
    }
}
