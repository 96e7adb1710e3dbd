//! What the shards have told, as the JSON that pages and scripts read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::collector::{CoreView, View};
use super::standing::seconds;
use super::{About, Attempt, Books, InForce, ListenerFacts};
use crate::ftp::Direction;
use crate::metrics::{Counter, Phase, Snapshot};
use crate::pool::{Failure, Failures, LastFailure, MemberState, PoolState};
use crate::shard::Sight;
use crate::sys::clock;
use crate::tls::TlsFacts;

/// `GET /status`.
#[derive(Serialize)]
pub(super) struct Status<'a> {
    version: &'static str,
    started: f64,
    now: f64,
    draining: bool,
    config: ConfigStatus<'a>,
    sessions: usize,
    transfers: usize,
    total: Counted,
    cores: Vec<CoreStatus>,
    listeners: Vec<ListenerStatus<'a>>,
    backends: Vec<PoolStatus>,
}

/// The configuration in force, and the last attempt to replace it.
#[derive(Serialize)]
struct ConfigStatus<'a> {
    sha256: &'a str,
    read: f64,
    /// Keys that wait for a restart.
    restart: &'a [String],
    loaded: u64,
    refused: u64,
    last_reload: Option<&'a Attempt>,
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
    /// How many sessions have found no member that was of use.
    pub(super) exhausted: u64,
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

    /// Each member's number, and how often it was ready to serve.
    pub(super) fn served(&self) -> impl Iterator<Item = (usize, u64)> {
        (self.members.iter()).map(|member| (member.member, member.served))
    }

    /// Each member's number, and how often it was passed over because of each failure.
    pub(super) fn connect_failures(&self) -> impl Iterator<Item = (usize, Failure, u64)> {
        let failures = |member: &MemberStatus| {
            let (member, failures) = (member.member, member.counted);
            (Failure::ALL.into_iter()).map(move |failure| (member, failure, failures.of(failure)))
        };
        self.members.iter().flat_map(failures)
    }
}

#[derive(Serialize)]
struct MemberStatus {
    /// Its number in the pool, from 1, which no other member has had: the label of its metrics.
    member: usize,
    address: SocketAddr,
    /// How many sessions it has.
    sessions: usize,
    /// How often it was ready to serve.
    served: u64,
    /// How often it was passed over.
    connect_failures: u64,
    /// The same by why, where it ever was.
    failures: BTreeMap<&'static str, u64>,
    last_failure: Option<FailureRow>,
    #[serde(skip)]
    counted: Failures,
    /// Cores that have passed it over lately and try it behind the others.
    resting_on: usize,
    cores: usize,
}

/// The last time that a member was passed over.
#[derive(Serialize)]
struct FailureRow {
    reason: &'static str,
    why: String,
    age_seconds: f64,
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

pub(super) fn status<'a>(
    about: &About,
    draining: bool,
    books: &'a Books,
    view: &View,
) -> Status<'a> {
    Status {
        version: env!("CARGO_PKG_VERSION"),
        started: seconds(about.started),
        now: seconds(SystemTime::now()),
        draining,
        config: ConfigStatus {
            sha256: &books.in_force.sha256,
            read: seconds(books.in_force.read),
            restart: &books.in_force.restart,
            loaded: books.loaded,
            refused: books.refused,
            last_reload: books.last.as_deref(),
        },
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
        listeners: listeners(&books.in_force, view),
        backends: backends(view),
    }
}

fn counted(snapshot: &Snapshot) -> Counted {
    let counter = |&counter: &Counter| (counter.series(), snapshot.total(counter));
    let phase = |&phase: &Phase| (phase.series(), times(snapshot.times(phase)));
    Counted {
        counters: Counter::ALL.iter().map(counter).collect(),
        phases: Phase::ALL.iter().map(phase).collect(),
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

fn listeners<'a>(in_force: &'a InForce, view: &View) -> Vec<ListenerStatus<'a>> {
    let listener = |facts: &'a ListenerFacts| ListenerStatus {
        facts,
        passive_ports: view.of_listener(&facts.name, |site| site.ports),
        passive_ports_in_use: view.of_listener(&facts.name, |site| site.ports_in_use),
    };
    in_force.listeners.iter().map(listener).collect()
}

/// Every pool that a listener or one of its hosts leads to, as the first core has it that has answered this time: one that hangs
/// may not have gone over to the configuration in force. Where none has, as the first that ever did.
pub(super) fn backends(view: &View) -> Vec<PoolStatus> {
    let knows = |core: &&CoreView| !core.pools.is_empty();
    let mut fresh = view.cores.iter().filter(|core| core.answered);
    let first = (fresh.find(knows)).or_else(|| view.cores.iter().find(knows));
    let pool = |pool: &PoolState| {
        let others = view.cores.iter().flat_map(|core| &core.pools);
        let others: Vec<&PoolState> = others.filter(|other| other.name == pool.name).collect();
        let member = |member: &MemberState| {
            let all = others.iter().flat_map(|other| &other.members);
            let seen = || all.clone().filter(|seen| seen.number == member.number);
            let failures = seen().map(|member| member.failures);
            let counted = failures.fold(Failures::default(), |all, core| all.and(&core));
            MemberStatus {
                member: member.number,
                address: member.address,
                sessions: seen().map(|member| member.sessions).sum(),
                served: seen().map(|member| member.served).sum(),
                connect_failures: counted.total(),
                failures: (Failure::ALL.into_iter())
                    .map(|failure| (failure.word(), counted.of(failure)))
                    .filter(|&(_, count)| count > 0)
                    .collect(),
                last_failure: seen()
                    .filter_map(|member| member.last.as_ref())
                    .max_by_key(|last| last.at)
                    .map(failure),
                counted,
                resting_on: seen().filter(|member| member.resting).count(),
                cores: view.cores.len(),
            }
        };
        PoolStatus {
            pool: pool.name.clone(),
            members: pool.members.iter().map(member).collect(),
            exhausted: others.iter().map(|other| other.exhausted).sum(),
        }
    };
    first.map_or_else(Vec::new, |first| first.pools.iter().map(pool).collect())
}

fn failure(last: &LastFailure) -> FailureRow {
    FailureRow {
        reason: last.failure.word(),
        why: last.why.to_string(),
        age_seconds: (clock::now() - last.at).as_secs_f64(),
    }
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
        direction: direction.word(),
        age_seconds: age.as_secs_f64(),
        bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Ledger;

    #[test]
    fn a_core_that_hangs_does_not_say_who_the_members_are() {
        let core = |answered, ports: &[u16]| {
            let member = |&port: &u16| MemberState {
                number: usize::from(port),
                address: SocketAddr::from(([127, 0, 0, 1], port)),
                resting: false,
                failures: Failures::default(),
                last: None,
                served: 0,
                sessions: 1,
            };
            let pool = PoolState {
                name: "inside".to_owned(),
                members: ports.iter().map(member).collect(),
                exhausted: 1,
            };
            CoreView {
                answered,
                pools: vec![pool],
                ..CoreView::default()
            }
        };
        let seen = |cores: [CoreView; 2]| {
            let ledger = Ledger::new(&[0, 1]);
            let cores = cores.into();
            let pools = backends(&View { ledger, cores });
            let members = pools[0].members.iter();
            let members: Vec<_> = members.map(|one| (one.member, one.sessions)).collect();
            (members, pools[0].exhausted)
        };
        let now = (vec![(2, 2), (3, 1)], 2);
        assert_eq!(seen([core(false, &[1, 2]), core(true, &[2, 3])]), now);
        let stale = (vec![(1, 1), (2, 2)], 2);
        assert_eq!(seen([core(false, &[1, 2]), core(false, &[2, 3])]), stale);
    }
}
