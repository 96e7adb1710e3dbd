//! What must fit between sections: names, ports, addresses, and how the legs of a session are protected.

use std::collections::{BTreeMap, HashMap};

use super::fault::{Findings, Located};
use super::{Host, Limits, Listener, Mode, Pool, PortSpan};
use crate::limits;
use crate::policy::{BackendProtection, BackendTls, ClientTls};

/// A listener, and those keys that must fit other sections, as far as they could be read. What could not be read has
/// something meaningless in its place: the fault is noted, and the rest is still worth looking at.
pub(super) struct ListenerDraft {
    pub(super) listener: Listener,
    pub(super) name: Option<Located<String>>,
    /// `mode`, if it was written.
    pub(super) mode: Option<Located<Mode>>,
    pub(super) ports: Option<Located<PortSpan>>,
    /// `strict_sni`, if it was written.
    pub(super) strict_sni: Option<Located<bool>>,
}

/// A pool, likewise.
pub(super) struct PoolDraft {
    /// Its index in the file, by which listeners name it.
    pub(super) index: usize,
    pub(super) pool: Pool,
    pub(super) name: Option<Located<String>>,
    /// `data_protection`, if it was written.
    pub(super) protection: Option<Located<BackendProtection>>,
}

/// Notes everything that is wrong between sections.
pub(super) fn check(
    listeners: &[ListenerDraft],
    pools: &[PoolDraft],
    hosts: &[Host],
    limits: Limits,
    findings: &mut Findings,
) {
    unique(
        listeners.iter().filter_map(|draft| draft.name.as_ref()),
        findings,
    );
    unique(
        pools.iter().filter_map(|draft| draft.name.as_ref()),
        findings,
    );
    members(pools, findings);
    addresses(listeners, findings);
    ports(listeners, findings);
    enough_ports(listeners, limits, findings);
    protection(listeners, pools, hosts, findings);
    unused(listeners, pools, hosts, findings);
    twice(hosts, findings);
    strangers(listeners, hosts, findings);
}

/// Where there are no hosts nobody is a stranger.
fn strangers(listeners: &[ListenerDraft], hosts: &[Host], findings: &mut Findings) {
    for (at, draft) in listeners.iter().enumerate() {
        let has_hosts = hosts.iter().any(|host| host.listener == at);
        let wanted = draft.strict_sni.as_ref().filter(|written| written.value);
        if let (Some(written), false) = (wanted, has_hosts) {
            let problem = "has no effect: there is no [[host]] of this listener";
            let cure = "a [[host]] for each name, that of the gate included";
            findings.warnings.push(written.complaint(problem, cure));
        }
    }
}

/// Whether sessions of a listener may lead to a pool, by themselves or by one of its hosts.
fn leads((at, listener): (usize, &ListenerDraft), hosts: &[Host], pool: usize) -> bool {
    let mut own = hosts.iter().filter(|host| host.listener == at);
    listener.listener.pool == pool || own.any(|host| host.pool == pool)
}

/// A name of one listener leads to one place.
fn twice(hosts: &[Host], findings: &mut Findings) {
    for (index, host) in hosts.iter().enumerate() {
        let is_same = |other: &&Host| other.listener == host.listener && *other.name == *host.name;
        if let Some(other) = hosts[..index].iter().find(is_same) {
            let problem = format!("{:?} is already in {}", *host.name, other.name.key);
            let cure = "each name once for each listener";
            findings.faults.push(host.name.complaint(problem, cure));
        }
    }
}

/// Names of one kind must differ.
fn unique<'a>(names: impl Iterator<Item = &'a Located<String>>, findings: &mut Findings) {
    let mut owners: HashMap<&str, &str> = HashMap::new();
    for name in names {
        match owners.get(name.as_str()) {
            Some(owner) => {
                let problem = format!("{:?} is already the name of {owner}", name.value);
                findings
                    .faults
                    .push(name.complaint(problem, "another name"));
            }
            None => {
                owners.insert(&name.value, name.key.trim_end_matches(".name"));
            }
        }
    }
}

/// A member written twice would get twice its share, and its health would be judged twice.
fn members(pools: &[PoolDraft], findings: &mut Findings) {
    for draft in pools {
        let members = &draft.pool.members;
        for (index, member) in members.iter().enumerate() {
            if members[..index].contains(member) {
                findings
                    .faults
                    .push(members.complaint(format!("{member} stands twice"), "each member once"));
            }
        }
    }
}

/// No address may be listened on twice, and none with a port that passive data connections use.
fn addresses(listeners: &[ListenerDraft], findings: &mut Findings) {
    let mut seen = BTreeMap::new();
    for draft in listeners {
        let addresses = &draft.listener.address;
        for address in addresses.iter().filter(|address| address.port() != 0) {
            if let Some(owner) = seen.insert(*address, &addresses.key) {
                let problem = format!("{address} is already in {owner}");
                findings
                    .faults
                    .push(addresses.complaint(problem, "another address or port"));
            }
            let passive = spans(listeners).find(|span| span.contains(address.port()));
            if let Some(passive) = passive {
                let problem = format!("{address} is within the ports of {}", passive.key);
                let cure = "a port outside of all passive ports";
                findings.faults.push(addresses.complaint(problem, cure));
            }
        }
    }
}

/// Each listener has passive ports of its own, so that one cannot starve another.
fn ports(listeners: &[ListenerDraft], findings: &mut Findings) {
    for (index, own) in spans(listeners).enumerate() {
        let mut earlier = spans(listeners).take(index);
        if let Some(other) = earlier.find(|other| other.overlaps(own.value)) {
            let problem = format!("overlaps {} ({}-{})", other.key, other.first, other.last);
            let cure = "ranges that have no port in common";
            findings.faults.push(own.complaint(problem, cure));
        }
    }
}

/// Too few passive ports show only under load, as transfers refused with 425.
fn enough_ports(listeners: &[ListenerDraft], limits: Limits, findings: &mut Findings) {
    let total: usize = spans(listeners).map(|span| span.count()).sum();
    let Some(sessions) = limits.sessions else {
        return;
    };
    let share = limits::SESSIONS_PER_PASSIVE_PORT;
    let (Some(last), true) = (
        spans(listeners).last(),
        total.saturating_mul(share) < sessions,
    ) else {
        return;
    };
    let problem = format!(
        "{total} passive ports in all for {sessions} sessions: under load, transfers will be refused"
    );
    let wanted = sessions.div_ceil(share);
    let cure = format!("{wanted} ports or more in all, or fewer limits.sessions");
    findings.warnings.push(last.complaint(problem, cure));
}

fn spans(listeners: &[ListenerDraft]) -> impl Iterator<Item = &Located<PortSpan>> {
    listeners.iter().filter_map(|draft| draft.ports.as_ref())
}

/// A pool that always wants private data connections cannot serve clients whose plain control connection it matches.
fn protection(
    listeners: &[ListenerDraft],
    pools: &[PoolDraft],
    hosts: &[Host],
    findings: &mut Findings,
) {
    for draft in pools {
        let Some(written) = &draft.protection else {
            continue;
        };
        let plain = listeners.iter().enumerate().find(|(at, other)| {
            other.listener.tls == ClientTls::Optional && leads((*at, other), hosts, draft.index)
        });
        match (draft.pool.tls, written.value, plain) {
            (BackendTls::Off, BackendProtection::Private, _) => {
                let cure = "tls = \"explicit\" or \"match\", or leave this key out";
                findings
                    .warnings
                    .push(written.complaint("has no effect: tls is \"off\" in this pool", cure));
            }
            (BackendTls::Match, BackendProtection::Private, Some((_, listener))) => {
                let problem = format!(
                    "\"private\" beside tls = \"match\": clients of {:?} without TLS could log in and never transfer",
                    listener.listener.name
                );
                findings.faults.push(written.complaint(
                    problem,
                    "data_protection = \"match\", or tls = \"explicit\"",
                ));
            }
            _ => {}
        }
    }
}

/// A pool that nobody uses is most likely a listener forgotten.
fn unused(
    listeners: &[ListenerDraft],
    pools: &[PoolDraft],
    hosts: &[Host],
    findings: &mut Findings,
) {
    for draft in pools {
        let used = listeners
            .iter()
            .enumerate()
            .any(|other| leads(other, hosts, draft.index));
        if let (false, Some(name)) = (used, &draft.name) {
            let problem = format!("{:?} is used by no listener", name.value);
            findings
                .warnings
                .push(name.complaint(problem, "name it as a listener's pool, or leave it out"));
        }
    }
}
