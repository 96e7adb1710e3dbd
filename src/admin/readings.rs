//! What stands at some number now, and what is counted outside the cores: read when somebody asks, with the labels that set one
//! listener, pool or core apart from the others.

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::collector::{CoreView, View};
use super::standing::seconds;
use super::status::{self, PoolStatus};
use super::{About, ListenerFacts, Office};
use crate::metrics::{Gauge, Reading};
use crate::pool::Failure;
use crate::session::Tally;
use crate::shard::SiteState;
use crate::sys::process;
use crate::tls::Expiry;

/// Labels of one series.
pub(super) type Labels = Vec<(Cow<'static, str>, Cow<'static, str>)>;

/// Series with their values.
type Series = Vec<(Labels, f64)>;

/// Every reading, all cores together or each for itself.
pub(super) fn readings(office: &Office, view: &View, by_core: bool) -> Vec<(Reading, Series)> {
    let about = &office.about;
    let books = office.standing.books();
    let pools = status::backends(view);
    let vitals = process::vitals();
    let reading = |&reading: &Reading| {
        let series = match reading {
            Reading::CoreRun => of_cores(view, by_core, |seen| seen.schedule.ran.as_secs_f64()),
            Reading::CoreDelay => {
                of_cores(view, by_core, |seen| seen.schedule.waited.as_secs_f64())
            }
            Reading::ConnectFailures => pools.iter().flat_map(connect_failures).collect(),
            Reading::PoolExhausted => of_pools(&pools, |pool| pool.exhausted as f64),
            Reading::Served => pools.iter().flat_map(served).collect(),
            Reading::ConfigReloads => [("loaded", books.loaded), ("refused", books.refused)]
                .map(|(outcome, count)| (vec![label("outcome", outcome)], count as f64))
                .into(),
            Reading::LogLinesDropped => one((about.log_lines_dropped)() as f64),
            Reading::AuditWritten => of_journal(about, |tally| &tally.written),
            Reading::AuditDropped => of_journal(about, |tally| &tally.dropped),
            Reading::AuditLost => of_journal(about, |tally| &tally.lost),
            Reading::ProcessCpu => one(vitals.cpu.as_secs_f64()),
        };
        debug_assert!(are_as_told(reading.keys(), &series), "{reading:?}");
        (reading, series)
    };
    Reading::ALL.iter().map(reading).collect()
}

/// Every gauge, all cores together or each for itself.
pub(super) fn gauges(office: &Office, view: &View, by_core: bool) -> Vec<(Gauge, Series)> {
    let about = &office.about;
    let books = office.standing.books();
    let in_force = &books.in_force;
    let of_cores = |of: fn(&CoreView) -> f64| of_cores(view, by_core, of);
    let of_listeners = |of: fn(&SiteState) -> usize| {
        let sum = |facts: &ListenerFacts| {
            let name = vec![label("listener", facts.name.clone())];
            (name, view.of_listener(&facts.name, of) as f64)
        };
        in_force.listeners.iter().map(sum).collect::<Series>()
    };
    let pools = status::backends(view);
    let info = |key, value: String| vec![(vec![label(key, value)], 1.0)];
    let vitals = process::vitals();
    let gauge = |&gauge: &Gauge| {
        let series = match gauge {
            Gauge::Sessions => of_cores(|seen| seen.sessions as f64),
            Gauge::TransfersRunning => of_cores(|seen| seen.transfers as f64),
            Gauge::LingeringLegs => of_cores(|seen| seen.lingering as f64),
            Gauge::CoresSilent => of_cores(|seen| f64::from(u8::from(!seen.answered))),
            Gauge::PassivePorts => of_listeners(|site| site.ports),
            Gauge::PassivePortsInUse => of_listeners(|site| site.ports_in_use),
            Gauge::Backends => of_pools(&pools, |pool| pool.members() as f64),
            Gauge::BackendsResting => of_pools(&pools, |pool| pool.resting() as f64),
            Gauge::AuditFailing => one(f64::from(
                (about.journal.as_ref()).is_some_and(|tally| tally.failing.load(Relaxed)),
            )),
            Gauge::BuffersLent => of_cores(|seen| seen.held.lent_bytes as f64),
            Gauge::BuffersKept => of_cores(|seen| seen.held.kept_bytes as f64),
            Gauge::PipesLent => of_cores(|seen| seen.held.lent_pipes as f64),
            Gauge::PipesIdle => of_cores(|seen| seen.held.idle_pipes as f64),
            Gauge::PipeBytes => of_cores(|seen| seen.held.pipe_bytes as f64),
            Gauge::Build => info("version", env!("CARGO_PKG_VERSION").to_owned()),
            Gauge::Config => info("sha256", in_force.sha256.clone()),
            Gauge::ConfigGood => one(f64::from(u8::from(books.is_good()))),
            Gauge::ConfigRead => one(seconds(in_force.read)),
            Gauge::Expiries => in_force.expiries.iter().map(expiry).collect(),
            Gauge::ConfigWaiting => one(in_force.restart.len() as f64),
            Gauge::ProcessStart => one(seconds(about.started)),
            Gauge::ProcessResident => one(vitals.resident as f64),
            Gauge::ProcessVirtual => one(vitals.addressed as f64),
            Gauge::ProcessDescriptors => one(vitals.descriptors as f64),
            Gauge::ProcessDescriptorsMax => one(vitals.descriptors_max as f64),
        };
        debug_assert!(are_as_told(gauge.keys(), &series), "{gauge:?}");
        (gauge, series)
    };
    Gauge::ALL.iter().map(gauge).collect()
}

/// A file's end, and where the file is named.
fn expiry(expiry: &Expiry) -> (Labels, f64) {
    let labels = vec![
        label("section", expiry.section),
        label("name", expiry.name.clone()),
        label("key", expiry.key),
    ];
    (labels, seconds(expiry.until))
}

/// Whether series have the labels that the catalog names, but for the one that sets the cores apart.
fn are_as_told(keys: &[&str], series: &Series) -> bool {
    series.iter().all(|(labels, _)| {
        let own = labels.iter().map(|(key, _)| &**key);
        own.filter(|key| *key != CORE).eq(keys.iter().copied())
    })
}

const CORE: &str = "core";

/// The label that sets the cores apart.
pub(super) fn core(cpu: usize) -> Labels {
    vec![label(CORE, cpu.to_string())]
}

/// One label.
pub(super) fn label(
    key: &'static str,
    value: impl Into<Cow<'static, str>>,
) -> (Cow<'static, str>, Cow<'static, str>) {
    (Cow::Borrowed(key), value.into())
}

/// One series for all cores, or one for each.
fn of_cores(view: &View, by_core: bool, of: fn(&CoreView) -> f64) -> Series {
    match by_core {
        false => one(view.cores.iter().map(of).sum()),
        true => (view.ledger.accounts().iter().zip(&view.cores))
            .map(|(account, seen)| (core(account.cpu), of(seen)))
            .collect(),
    }
}

fn of_pools(pools: &[PoolStatus], of: fn(&PoolStatus) -> f64) -> Series {
    let row = |pool: &PoolStatus| (vec![label("pool", pool.pool.clone())], of(pool));
    pools.iter().map(row).collect()
}

/// A member is told by its number: addresses are no labels.
fn served(pool: &PoolStatus) -> Series {
    let row = |(member, count): (usize, u64)| {
        let labels = vec![
            label("pool", pool.pool.clone()),
            label("member", member.to_string()),
        ];
        (labels, count as f64)
    };
    pool.served().map(row).collect()
}

fn connect_failures(pool: &PoolStatus) -> Series {
    let row = |(member, failure, count): (usize, Failure, u64)| {
        let labels = vec![
            label("pool", pool.pool.clone()),
            label("member", member.to_string()),
            label("reason", failure.word()),
        ];
        (labels, count as f64)
    };
    pool.connect_failures().map(row).collect()
}

/// 0 where no journal is kept.
fn of_journal(about: &About, of: fn(&Tally) -> &AtomicU64) -> Series {
    let tally = about.journal.as_deref();
    one(tally.map_or(0, |tally| of(tally).load(Relaxed)) as f64)
}

fn one(value: f64) -> Series {
    vec![(Labels::new(), value)]
}
