//! The names behind `advertise`: looked up at start and again and again, on a thread of their own; the last good answer
//! counts.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use async_channel::WeakSender;

use super::fault::Fault;
use crate::config::{Advertised, Listener};
use crate::policy::{Advertise, NetMap};
use crate::shard::Mail;

/// What is advertised by each listener, and the address that each name has. Clones share the latter: what is found later counts
/// for the next configuration as well.
#[derive(Clone)]
pub(super) struct Names {
    maps: Vec<NetMap<Advertised>>,
    /// Never locked while a name is looked up, which may take its time.
    known: Arc<Shared<BTreeMap<String, Ipv4Addr>>>,
}

#[allow(
    clippy::disallowed_types,
    reason = "threads of the control plane share what they have found; no core ever sees it"
)]
type Shared<T> = std::sync::Mutex<T>;

impl Names {
    /// Looks up every name of a configuration for the first time. One of the configuration before that is not found now keeps
    /// its address: a resolver that fails must not keep a certificate from being renewed.
    pub(super) fn resolve(
        listeners: &[Listener],
        before: Option<&Self>,
    ) -> Result<Self, Vec<Fault>> {
        Self::resolve_by(look_up, listeners, before)
    }

    fn resolve_by(
        look_up: impl Fn(&str) -> io::Result<Vec<Ipv4Addr>>,
        listeners: &[Listener],
        before: Option<&Self>,
    ) -> Result<Self, Vec<Fault>> {
        let mut known = BTreeMap::new();
        let mut faults = Vec::new();
        for advertise in listeners.iter().filter_map(|one| one.advertise.as_ref()) {
            for name in advertise.values().filter_map(name_of) {
                let last = before.and_then(|before| before.address(name));
                match (choose(look_up(name), last), last) {
                    (Ok(address), _) => {
                        known.insert(name.to_owned(), address);
                    }
                    (Err(error), Some(last)) => {
                        tell_not_found(name, last, &error);
                        known.insert(name.to_owned(), last);
                    }
                    (Err(error), None) => {
                        let problem = format!("{name} has no IPv4 address: {error}");
                        let cure = "a name that this machine can resolve, or an IPv4 address";
                        faults.push(Fault::Complaint(advertise.complaint(problem, cure)));
                    }
                }
            }
        }
        let map = |one: &Listener| {
            let advertise = one.advertise.as_ref();
            advertise.map_or_else(NetMap::default, |advertise| advertise.value.clone())
        };
        let names = Self {
            maps: listeners.iter().map(map).collect(),
            known: Arc::new(Shared::new(known)),
        };
        faults.is_empty().then_some(names).ok_or(faults)
    }

    /// What each listener's sessions need.
    pub(super) fn addresses(&self) -> Vec<Arc<Advertise>> {
        let address = |advertised: &Advertised| match advertised {
            Advertised::Local => None,
            Advertised::Address(address) => Some(*address),
            Advertised::Name(name) => self.address(name),
        };
        self.maps
            .iter()
            .map(|map| Arc::new(map.map(address)))
            .collect()
    }

    /// The one that a name has.
    fn address(&self, name: &str) -> Option<Ipv4Addr> {
        self.known().get(name).copied()
    }

    /// Looks all of them up again; true if anything has changed.
    fn refresh(&self, look_up: impl Fn(&str) -> io::Result<Vec<Ipv4Addr>>) -> bool {
        let mut has_changed = false;
        let all = self.known().clone();
        for (name, known) in all {
            match choose(look_up(&name), Some(known)) {
                Ok(address) if address == known => {}
                Ok(address) => {
                    tracing::info!(name, old = %known, %address, "advertised name has another address");
                    self.known().insert(name, address);
                    has_changed = true;
                }
                Err(error) => tell_not_found(&name, known, &error),
            }
        }
        has_changed
    }

    /// Nothing panics while it is locked; if something did, addresses are still addresses.
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Ipv4Addr>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell_not_found(name: &str, known: Ipv4Addr, error: &io::Error) {
    tracing::warn!(name, %known, %error, "advertised name not found: the last address counts");
}

const fn name_of(advertised: &Advertised) -> Option<&String> {
    match advertised {
        Advertised::Name(name) => Some(name),
        Advertised::Local | Advertised::Address(_) => None,
    }
}

/// The IPv4 addresses of a name; PASV can tell no others.
fn look_up(name: &str) -> io::Result<Vec<Ipv4Addr>> {
    let found = (name, 0).to_socket_addrs()?;
    let four = |address| match address {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(_) => None,
    };
    Ok(found.filter_map(four).collect())
}

/// The address that is known while the name still has it: resolvers give several in turn, and none is better.
pub(super) fn choose<A: Copy + PartialEq>(
    found: io::Result<Vec<A>>,
    known: Option<A>,
) -> io::Result<A> {
    let found = found?;
    let kept = known.filter(|known| found.contains(known));
    let chosen = kept.or_else(|| found.first().copied());
    chosen.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Keeps the cores' addresses as fresh as `period` until what it returns is dropped; nothing to do without names. A core that
/// has gone over to another configuration does not heed it.
pub(super) fn watch(
    names: Names,
    generation: u64,
    shards: Vec<WeakSender<Mail>>,
    period: Duration,
) -> io::Result<Option<SyncSender<()>>> {
    if names.known().is_empty() {
        return Ok(None);
    }
    let (keep, kept): (_, Receiver<()>) = sync_channel(0);
    let work = move || {
        let mut is_told = true;
        while kept.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
            if names.refresh(look_up) || !is_told {
                is_told = tell(generation, &shards, &names.addresses());
            }
        }
    };
    thread::Builder::new()
        .name("names".to_owned())
        .spawn(work)?;
    Ok(Some(keep))
}

/// True if every core that is left has been told; one that cannot take mail now is told the next time.
fn tell(generation: u64, shards: &[WeakSender<Mail>], addresses: &[Arc<Advertise>]) -> bool {
    shards
        .iter()
        .filter_map(WeakSender::upgrade)
        .fold(true, |all, shard| {
            let told = shard.try_send(Mail::Advertise(generation, addresses.to_vec()));
            all & !told.is_err_and(|fault| fault.is_full())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const OLD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);
    const NEW: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 6);

    fn names() -> Names {
        let name = || Advertised::Name("ftp.example.org".to_owned());
        let rows = vec![
            ("10.0.0.0/8".parse().unwrap(), Advertised::Local),
            ("192.0.2.0/24".parse().unwrap(), Advertised::Address(NEW)),
            ("0.0.0.0/0".parse().unwrap(), name()),
        ];
        Names {
            maps: vec![NetMap::new(rows).unwrap(), NetMap::default()],
            known: Arc::new(Shared::new(BTreeMap::from([(
                "ftp.example.org".to_owned(),
                OLD,
            )]))),
        }
    }

    fn shown(names: &Names, client: &str) -> Option<Option<Ipv4Addr>> {
        names.addresses()[0].find(client.parse().unwrap()).copied()
    }

    #[test]
    fn the_last_good_answer_counts() {
        let names = names();
        assert_eq!(shown(&names, "198.51.100.1"), Some(Some(OLD)));
        assert!(!names.refresh(|_| Err(io::ErrorKind::TimedOut.into())));
        assert!(!names.refresh(|_| Ok(Vec::new())));
        assert!(
            !names.refresh(|_| Ok(vec![NEW, OLD])),
            "it still has the old one"
        );
        assert_eq!(shown(&names, "198.51.100.1"), Some(Some(OLD)));
        assert!(names.refresh(|_| Ok(vec![NEW])));
        assert_eq!(shown(&names, "198.51.100.1"), Some(Some(NEW)));
        assert_eq!(shown(&names, "10.1.1.1"), Some(None));
        assert_eq!(shown(&names, "192.0.2.1"), Some(Some(NEW)));
        assert_eq!(names.addresses()[1].find("10.1.1.1".parse().unwrap()), None);
    }

    /// A resolver that fails just when the configuration is read again must not bring an old address back.
    #[test]
    fn the_next_configuration_begins_with_what_was_found_since() {
        let text = "[[listener]]\nname = \"outside\"\npool = \"inside\"\naddress = \"127.0.0.1:21\"\n\
                    passive_ports = \"20000-20999\"\ncertificate = \"c\"\nkey = \"k\"\nadvertise = \"ftp.example.org\"\n\
                    [[pool]]\nname = \"inside\"\nmembers = [\"192.0.2.1:21\"]\ntls = \"off\"\n";
        let listeners = config::read(text).unwrap().listeners;
        let address = |names: &Names| names.address("ftp.example.org");
        let in_force = Names::resolve_by(|_| Ok(vec![OLD]), &listeners, None)
            .ok()
            .unwrap();
        let watched = in_force.clone();
        assert!(watched.refresh(|_| Ok(vec![NEW])));
        let next = Names::resolve_by(
            |_| Err(io::ErrorKind::TimedOut.into()),
            &listeners,
            Some(&in_force),
        );
        assert_eq!(address(&next.ok().unwrap()), Some(NEW));
        // It still has this one: whoever was told it must not see it change.
        let next = Names::resolve_by(|_| Ok(vec![OLD, NEW]), &listeners, Some(&in_force));
        assert_eq!(address(&next.ok().unwrap()), Some(NEW));
    }

    #[test]
    fn cores_hear_of_a_change_and_a_full_mailbox_is_tried_again() {
        let (sender, inbox) = async_channel::bounded(1);
        let shards = [sender.downgrade()];
        let addresses = names().addresses();
        assert!(tell(1, &shards, &addresses));
        assert!(!tell(1, &shards, &addresses));
        let Ok(Mail::Advertise(1, heard)) = inbox.try_recv() else {
            panic!("another mail");
        };
        assert_eq!(heard, addresses);
        drop(sender);
        assert!(
            tell(1, &shards, &addresses),
            "a core that is gone needs nothing"
        );
    }
}
