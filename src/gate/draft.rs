//! From a configuration that can be served to the orders of the cores: names get addresses, and listeners get sockets. What the
//! configuration before has found of either is used again, so that a reload moves nothing that it does not have to.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::check::Prepared;
use super::fault::Fault;
use super::names::{self, Names};
use crate::config::{HostPort, Listener, MissingCloseNotify, Mode, Pool, Steering};
use crate::limits::SESSIONS;
use crate::net::{self, OpenPort};
use crate::policy::Advertise;
use crate::relay::Budget;
use crate::shard::{Door, InsidePlan, NewPort, Orders, SitePlan};
use crate::sys::rlimits;

/// What a configuration has come to on this machine.
pub(super) struct Draft {
    /// Which one it is, counted from the start of the process.
    pub(super) generation: u64,
    /// What is advertised.
    pub(super) names: Names,
    members: Members,
    /// The doors of each listener, in the order of the configuration.
    doors: Vec<Vec<Placed>>,
}

/// The address of every member that a pool has, by how it is written.
type Members = BTreeMap<String, SocketAddr>;

/// A door of a listener.
#[derive(Clone)]
struct Placed {
    listener: String,
    /// As it is written: port 0 lets the kernel choose.
    written: SocketAddr,
    door: Door,
}

impl Draft {
    /// Finds out everything that cores on these CPUs need, opens what is not open yet, and writes their orders, in the order of
    /// the CPUs. Whatever it has opened is closed again if anything stands against it.
    pub(super) fn new(
        prepared: &Prepared,
        cpus: &[usize],
        before: Option<&Self>,
    ) -> Result<(Self, Vec<Orders>), Vec<Fault>> {
        let config = &prepared.config;
        let sessions_max = sessions(prepared, cpus.len())?;
        let members = resolve_all(&config.pools, before.map(|before| &before.members))?;
        let names = Names::resolve(&config.listeners, before.map(|before| &before.names))?;
        let mut ports = cpus.iter().map(|_| Vec::new()).collect::<Vec<_>>();
        let doors = open_all(&config.listeners, cpus, before, &mut ports)?;
        let draft = Self {
            generation: before.map_or(1, |before| before.generation + 1),
            names,
            members,
            doors,
        };
        let sites: Arc<[SitePlan]> = draft.sites(prepared).into();
        let order = |ports| Orders {
            generation: draft.generation,
            sessions_max,
            drain: config.timeouts.drain,
            sites: Arc::clone(&sites),
            ports,
        };
        let orders = ports.into_iter().map(order).collect();
        Ok((draft, orders))
    }

    /// Where each listener is reached, in the order of the configuration.
    pub(super) fn addresses(&self) -> Vec<Vec<SocketAddr>> {
        let addresses = |doors: &Vec<Placed>| doors.iter().map(|one| one.door.address).collect();
        self.doors.iter().map(addresses).collect()
    }

    /// Doors that `before` had not: each with the name of its listener.
    pub(super) fn beyond<'d>(
        &'d self,
        before: &'d Self,
    ) -> impl Iterator<Item = (&'d str, SocketAddr)> {
        let had = before.addresses().concat();
        let all = self.doors.iter().flatten();
        let new = all.filter(move |one| !had.contains(&one.door.address));
        new.map(|one| (one.listener.as_str(), one.door.address))
    }

    fn sites(&self, prepared: &Prepared) -> Vec<SitePlan> {
        let known = |member: &HostPort| self.members[&member.to_string()];
        let of_pool = |pool: &Pool| pool.members.value.iter().map(known).collect();
        let members: Vec<_> = prepared.config.pools.iter().map(of_pool).collect();
        let doors = |doors: &Vec<Placed>| doors.iter().map(|one| one.door).collect();
        let doors: Vec<_> = self.doors.iter().map(doors).collect();
        sites(prepared, &members, &self.names.addresses(), &doors)
    }
}

/// How many sessions there may be, and whether the machine has what they need.
fn sessions(prepared: &Prepared, cores: usize) -> Result<usize, Vec<Fault>> {
    let limits = &prepared.config.limits;
    let each = limits.descriptors_per_session;
    let sessions = limits.sessions.unwrap_or_else(|| {
        let possible = rlimits::sessions_possible(cores, each);
        SESSIONS.min(possible).max(1)
    });
    let faults = rlimits::startup_faults(cores, sessions, each);
    match faults.is_empty() {
        true => Ok(sessions),
        false => Err((faults.iter())
            .map(|fault| Fault::Machine(fault.to_string()))
            .collect()),
    }
}

/// The addresses of every pool's members. Names are looked up here, once for each configuration, where waiting hurts nobody. One
/// that had an address keeps it while the name still has it, or cannot be found.
fn resolve_all(pools: &[Pool], before: Option<&Members>) -> Result<Members, Vec<Fault>> {
    let (mut members, mut faults) = (Members::new(), Vec::new());
    for pool in pools {
        for member in pool.members.iter() {
            let written = member.to_string();
            let known = before.and_then(|before| before.get(&written).copied());
            let found = (member.host.as_str(), member.port).to_socket_addrs();
            match (names::choose(found.map(Iterator::collect), known), known) {
                (Ok(address), _) => {
                    members.insert(written, address);
                }
                (Err(error), Some(known)) => {
                    tracing::warn!(member = written, %known, %error, "member not found: its last address counts");
                    members.insert(written, known);
                }
                (Err(error), None) => {
                    let problem = format!("{written} has no address: {error}");
                    let cure = "a name that this machine can resolve, or an IP address";
                    faults.push(Fault::Complaint(pool.members.complaint(problem, cure)));
                }
            }
        }
    }
    faults.is_empty().then_some(members).ok_or(faults)
}

/// The doors of every listener; into `ports` for each core those that it does not have yet.
fn open_all(
    listeners: &[Listener],
    cpus: &[usize],
    before: Option<&Draft>,
    ports: &mut [Vec<NewPort>],
) -> Result<Vec<Vec<Placed>>, Vec<Fault>> {
    let before = before.map_or(&[][..], |before| &before.doors);
    let mut known: Vec<Placed> = before.iter().flatten().cloned().collect();
    try_alone(listeners, &known)?;
    let mut doors = Vec::new();
    for listener in listeners {
        let steer = listener.steering == Steering::Cpu;
        let mut own = Vec::new();
        for &written in &listener.address.value {
            let at = known.iter().position(|one| one.is(listener, written));
            let known = at.map(|at| known.swap_remove(at).door);
            let mut door = Door {
                address: known.map_or(written, |known| known.address),
                steer,
            };
            if known != Some(door) {
                for (&cpu, ports) in cpus.iter().zip(ports.iter_mut()) {
                    let port = OpenPort::listen(door.address, steer.then_some(cpu));
                    let port = port.map_err(|error| vec![refused(listener, written, &error)])?;
                    // The first core has found the port where 0 was asked for; the others share it.
                    door.address = port.local();
                    ports.push(NewPort { door, port });
                }
            }
            own.push(Placed {
                listener: listener.name.clone(),
                written,
                door,
            });
        }
        doors.push(own);
    }
    Ok(doors)
}

impl Placed {
    /// Whether a listener that has this address in the configuration is reached here. With port 0 it has to be the same one.
    fn is(&self, listener: &Listener, written: SocketAddr) -> bool {
        match written.port() {
            0 => self.written == written && self.listener == listener.name,
            _ => self.door.address == written,
        }
    }
}

/// A gate that still runs, or one that was started by mistake, must not share its clients with this one unnoticed. Ports that
/// are ours already are not asked for: whoever listens there is we.
fn try_alone(listeners: &[Listener], known: &[Placed]) -> Result<(), Vec<Fault>> {
    let is_ours = |port: u16| known.iter().any(|one| one.door.address.port() == port);
    for listener in listeners {
        for &address in &listener.address.value {
            if !is_ours(address.port()) {
                let tried = net::Listener::try_alone(address);
                tried.map_err(|error| vec![refused(listener, address, &error)])?;
            }
        }
    }
    Ok(())
}

fn refused(listener: &Listener, address: SocketAddr, error: &io::Error) -> Fault {
    let problem = format!("cannot listen on {address}: {error}");
    let cure =
        "a free port and an address of this machine; ports below 1024 need CAP_NET_BIND_SERVICE";
    Fault::Complaint(listener.address.complaint(problem, cure))
}

/// What each core is told of the listeners.
fn sites(
    prepared: &Prepared,
    members: &[Vec<SocketAddr>],
    advertise: &[Arc<Advertise>],
    doors: &[Vec<Door>],
) -> Vec<SitePlan> {
    let config = &prepared.config;
    let times = &config.timeouts;
    let inside = |pool: usize| InsidePlan {
        pool: config.pools[pool].name.clone(),
        members: members[pool].clone(),
        backups: config.pools[pool].backups,
        balance: config.pools[pool].balance,
        rest: times.member_rest,
        tls: prepared.pools[pool].as_ref().map(|(_, tls)| tls.clone()),
        send_proxy: config.pools[pool].send_proxy,
        send_proxy_data: config.pools[pool].send_proxy_data,
    };
    let site = |(at, listener): (usize, &Listener)| SitePlan {
        name: listener.name.clone(),
        doors: doors[at].clone(),
        rules: Arc::new(config.rules(at)),
        tls: (prepared.listeners[at].as_ref()).map(|(_, tls)| tls.clone()),
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
