//! What the shards have told, as the JSON that pages and scripts read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::collector::{CoreView, View};
use super::{About, ListenerFacts, Office};
use crate::ftp::Direction;
use crate::metrics::{Counter, Phase, Snapshot};
use crate::shard::Sight;
use crate::tls::TlsFacts;

/// `GET /status`.
#[derive(Serialize)]
pub(super) struct Status<'a> {
    version: &'static str,
    started: f64,
    now: f64,
    draining: bool,
    sessions: usize,
    transfers: usize,
    total: Counted,
    cores: Vec<CoreStatus>,
    listeners: Vec<ListenerStatus<'a>>,
    backends: Vec<PoolStatus>,
}

/// Counters by name with labels, phases by name.
#[derive(Serialize)]
struct Counted {
    counters: BTreeMap<String, u64>,
    phases: BTreeMap<String, Times>,
}

/// The times of one phase: percentiles in microseconds, and how many fell between one power of two and the next.
#[derive(Serialize)]
struct Times {
    count: u64,
    mean: f64,
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
    max: u64,
    /// `octaves[n]` counts the times of at least 2^n and less than 2^(n+1) microseconds.
    octaves: Vec<u64>,
}

#[derive(Serialize)]
struct CoreStatus {
    cpu: usize,
    answered: bool,
    sessions: usize,
    transfers: usize,
    lingering: usize,
    /// How long the core's thread has run on a CPU, and how long it could have and waited.
    run_seconds: f64,
    run_delay_seconds: f64,
    #[serde(flatten)]
    counted: Counted,
}

#[derive(Serialize)]
struct ListenerStatus<'a> {
    #[serde(flatten)]
    facts: &'a ListenerFacts,
    passive_ports: usize,
    passive_ports_in_use: usize,
}

/// A pool, for `GET /backends` and within the status.
#[derive(Serialize)]
pub(super) struct PoolStatus {
    pub(super) pool: String,
    members: Vec<MemberStatus>,
}

impl PoolStatus {
    /// How many members there are.
    pub(super) fn members(&self) -> usize {
        self.members.len()
    }

    /// How many of them some core rests.
    pub(super) fn resting(&self) -> usize {
        let resting = self.members.iter().filter(|member| member.resting_on > 0);
        resting.count()
    }
}

#[derive(Serialize)]
struct MemberStatus {
    address: SocketAddr,
    /// Cores that could not reach it lately and try it behind the others.
    resting_on: usize,
    cores: usize,
}

/// One row of `GET /sessions`.
#[derive(Serialize)]
pub(super) struct SessionRow<'a> {
    id: u64,
    listener: &'a str,
    client: SocketAddr,
    age_seconds: f64,
    client_tls: Option<TlsRow>,
    backend: Option<SocketAddr>,
    backend_tls: Option<TlsRow>,
    user: Option<&'a str>,
    phase: &'static str,
    transfer: Option<TransferRow>,
    stream: Option<StreamRow>,
}

#[derive(Serialize)]
struct TlsRow {
    version: &'static str,
    suite: &'static str,
    group: Option<&'static str>,
    resumed: bool,
}

/// Bytes from the client and from the backend so far.
#[derive(Serialize)]
struct StreamRow {
    sent: u64,
    received: u64,
}

#[derive(Serialize)]
struct TransferRow {
    direction: &'static str,
    age_seconds: f64,
    bytes: u64,
}

pub(super) fn status<'a>(office: &'a Office, view: &View) -> Status<'a> {
    let about = &office.about;
    Status {
        version: env!("CARGO_PKG_VERSION"),
        started: seconds(about.started),
        now: seconds(SystemTime::now()),
        draining: office.collector.is_draining(),
        sessions: view.cores.iter().map(|core| core.sessions).sum(),
        transfers: view.cores.iter().map(|core| core.transfers).sum(),
        total: counted(&view.ledger.merged()),
        cores: (view.ledger.accounts().iter())
            .zip(&view.cores)
            .map(|(account, core)| CoreStatus {
                cpu: account.cpu,
                answered: core.answered,
                sessions: core.sessions,
                transfers: core.transfers,
                lingering: core.lingering,
                run_seconds: core.schedule.ran.as_secs_f64(),
                run_delay_seconds: core.schedule.waited.as_secs_f64(),
                counted: counted(&account.totals),
            })
            .collect(),
        listeners: listeners(about, &view.cores),
        backends: backends(about, view),
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

fn counted(snapshot: &Snapshot) -> Counted {
    let counter = |&counter: &Counter| {
        let name = series(counter.name(), counter.labels());
        (name, snapshot.total(counter))
    };
    let phase = |&phase: &Phase| {
        let name = series(phase.name(), phase.labels());
        (name, times(snapshot.times(phase)))
    };
    Counted {
        counters: Counter::ALL.iter().map(counter).collect(),
        phases: Phase::ALL.iter().map(phase).collect(),
    }
}

/// Name and labels, as Prometheus writes them.
fn series(name: &str, labels: &[(&str, &str)]) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}=\"{value}\""))
        .collect();
    match labels.is_empty() {
        true => name.to_owned(),
        false => format!("{name}{{{}}}", labels.join(",")),
    }
}

fn times(histogram: &Histogram<u64>) -> Times {
    let at = |quantile| match histogram.is_empty() {
        true => 0,
        false => histogram.value_at_quantile(quantile),
    };
    let mut octaves = Vec::new();
    for bucket in histogram.iter_recorded() {
        let octave = bucket.value_iterated_to().max(1).ilog2() as usize;
        if octaves.len() <= octave {
            octaves.resize(octave + 1, 0);
        }
        octaves[octave] += bucket.count_at_value();
    }
    Times {
        count: histogram.len(),
        mean: histogram.mean(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: at(1.0),
        octaves,
    }
}

fn listeners<'a>(about: &'a About, cores: &[CoreView]) -> Vec<ListenerStatus<'a>> {
    let sum = |at: usize, of: fn(&crate::shard::SiteState) -> usize| {
        let sites = cores.iter().filter_map(|core| core.sites.get(at));
        sites.map(of).sum()
    };
    let listener = |(at, facts)| ListenerStatus {
        facts,
        passive_ports: sum(at, |site| site.ports),
        passive_ports_in_use: sum(at, |site| site.ports_in_use),
    };
    about.listeners.iter().enumerate().map(listener).collect()
}

/// Every pool once, also where several listeners lead to it: a core rests a member for each of them.
pub(super) fn backends(about: &About, view: &View) -> Vec<PoolStatus> {
    let mut pools: Vec<PoolStatus> = Vec::new();
    for (at, listener) in about.listeners.iter().enumerate() {
        if pools.iter().any(|pool| pool.pool == listener.pool) {
            continue;
        }
        let states = || view.cores.iter().filter_map(|core| core.sites.get(at));
        let first = states().next().map_or(&[][..], |site| &site.members);
        let member = |(place, member): (usize, &crate::pool::MemberState)| MemberStatus {
            address: member.address,
            resting_on: states()
                .filter(|site| site.members.get(place).is_some_and(|member| member.resting))
                .count(),
            cores: view.cores.len(),
        };
        pools.push(PoolStatus {
            pool: listener.pool.clone(),
            members: first.iter().enumerate().map(member).collect(),
        });
    }
    pools
}

pub(super) fn sessions(seen: &[Sight]) -> Vec<SessionRow<'_>> {
    seen.iter().map(row).collect()
}

fn row(sight: &Sight) -> SessionRow<'_> {
    SessionRow {
        id: sight.id,
        listener: &sight.listener,
        client: sight.client,
        age_seconds: sight.age.as_secs_f64(),
        client_tls: sight.client_tls.as_ref().map(tls),
        backend: sight.backend,
        backend_tls: sight.backend_tls.as_ref().map(tls),
        user: sight.user.as_deref(),
        phase: match (&sight.user, &sight.transfer) {
            _ if sight.stream.is_some() => "stream",
            (_, Some(_)) => "transfer",
            (Some(_), None) => "ready",
            (None, None) => "login",
        },
        transfer: sight.transfer.map(transfer),
        stream: (sight.stream).map(|[sent, received]| StreamRow { sent, received }),
    }
}

fn tls(facts: &TlsFacts) -> TlsRow {
    TlsRow {
        version: facts.version.as_str(),
        suite: facts.suite,
        group: facts.group,
        resumed: facts.resumed,
    }
}

fn transfer((direction, age, bytes): (Direction, Duration, u64)) -> TransferRow {
    TransferRow {
        direction: match direction {
            Direction::Download => "download",
            Direction::Upload => "upload",
        },
        age_seconds: age.as_secs_f64(),
        bytes,
    }
}
