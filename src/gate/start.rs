//! From a checked configuration to cores that serve, or to everything that stands against it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use async_channel::Sender;
use glommio::{LocalExecutorBuilder, Placement};

use super::check::Prepared;
use super::draft::Draft;
use super::fault::Fault;
use super::journal::{Journal, Writer};
use super::reload::Reloader;
use super::{EndNotice, News, Running, Shard, news, office};
use crate::admin::{self, Collector, Standing};
use crate::config::{Config, Cores, KernelTls, Located};
use crate::limits::{
    CORE_HOLD_MAX, MAILBOX_MESSAGES_MAX, RELOADS_WAITING_MAX, RING_MEMORY_BYTES, SHARDS_MAX,
};
use crate::shard::{self, Orders, Plan};
use crate::sys::{cpus, ktls};

/// Starts a core for each CPU of the configuration; ready when it returns.
///
/// # Errors
/// Everything that stands against it, each with its cure.
pub fn start(prepared: &Prepared) -> Result<Running, Vec<Fault>> {
    let config = &prepared.config;
    let cores = cores(&config.process.cores).map_err(|fault| vec![fault])?;
    let (draft, orders) = Draft::new(prepared, &cores, None)?;
    let journal = open_journal(config).map_err(|fault| vec![fault])?;
    let (journal, writer) = journal.unzip();
    let mut plan = Plan {
        id: 0,
        shards: cores.len(),
        cpu: 0,
        sessions: Arc::default(),
        journal: journal.as_ref().map(|journal| journal.outbox.clone()),
        kernel_tls: kernel_tls(&config.process.kernel_tls).map_err(|fault| vec![fault])?,
        busy_poll: config.process.busy_poll.value.0,
    };
    let admin = bind_admin(config).map_err(|fault| vec![fault])?;
    let news = news();
    let mut shards = Vec::new();
    for ((id, &cpu), orders) in cores.iter().enumerate().zip(orders) {
        (plan.id, plan.cpu) = (id, cpu);
        let shard = start_one(plan.clone(), orders, news.0.clone());
        shards.push(shard.map_err(|fault| vec![fault])?);
    }
    let boxes: Vec<_> = shards.iter().map(|shard| shard.mail.clone()).collect();
    let weak = boxes.iter().map(Sender::downgrade).collect();
    let collector = Arc::new(Collector::new(&cores, boxes));
    let (ask, asked) = async_channel::bounded(RELOADS_WAITING_MAX);
    let standing = Arc::new(Standing::new(office::in_force(prepared, &draft)));
    let addresses = draft.addresses();
    let reloader = Reloader::new(prepared, draft, cores, weak, &collector, &standing);
    let running = Running {
        collector,
        addresses,
        shards,
        journal,
        news,
        reload: ask,
    };
    let told = |what: &str, error: io::Error| vec![Fault::Machine(format!("{what}: {error}"))];
    if let Some(writer) = writer {
        let started = writer.start();
        started.map_err(|error| told("the journal did not start", error))?;
    }
    if let Some(bound) = admin {
        let started = admin::start(bound, office::open(&running, standing));
        started.map_err(|error| told("the admin server did not start", error))?;
    }
    let started = reloader.and_then(|reloader| reloader.start(asked));
    started.map_err(|error| told("no thread for names and reloads", error))?;
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

fn start_one(plan: Plan, orders: Orders, news: SyncSender<News>) -> Result<Shard, Fault> {
    let cpu = plan.cpu;
    let notice = EndNotice { cpu, news };
    let told = |why: &str| {
        Fault::Machine(format!(
            "the core on CPU {cpu} did not start: {why}; cure: see LimitMEMLOCK and kernel.io_uring_disabled"
        ))
    };
    let (mail, inbox) = async_channel::bounded(MAILBOX_MESSAGES_MAX);
    let (ready, is_ready) = sync_channel(1);
    let thread = LocalExecutorBuilder::new(Placement::Fixed(cpu))
        .name(&format!("core-{cpu}"))
        .io_memory(RING_MEMORY_BYTES)
        .preempt_timer(CORE_HOLD_MAX)
        .spin_before_park(plan.busy_poll)
        .spawn(move || async move {
            let snapshot = shard::run(plan, orders, inbox, ready).await;
            drop(notice);
            snapshot
        })
        .map_err(|fault| told(&fault.to_string()))?;
    match is_ready.recv() {
        Ok(()) => Ok(Shard { mail, thread }),
        Err(_) => Err(told("it ended before it was ready")),
    }
}
