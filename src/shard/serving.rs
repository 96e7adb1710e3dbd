//! What a core serves, and how it goes over to something else: sockets stay where an address does, members of pools keep what is
//! known of them, and sessions keep the site that they have begun with until they end.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::accept::{Accepting, Entrance};
use super::permits::Permits;
use super::{Door, InsidePlan, NewPort, Orders, Plan, SitePlan};
use crate::net::{Listener, PortRange};
use crate::policy::Advertise;
use crate::pool::{Balance, Pool};
use crate::session::{Core, Inside, Site, Streams};

/// The sites, pools and doors of one core.
pub(super) struct Serving {
    plan: Plan,
    core: Rc<Core>,
    permits: Rc<Permits>,
    /// The next session's number; all doors count here.
    ids: Rc<Cell<u64>>,
    /// The number at the bell of the next accept loop: beyond those of sessions, and downwards.
    bell_number: u64,
    generation: u64,
    drain: Duration,
    /// In the order of the configuration.
    pub(super) sites: Vec<Rc<Site>>,
    /// Every pool that a site leads to, once: all that lead to one know the same of its members.
    pub(super) pools: Vec<Rc<Pool>>,
    /// Pools to which no site leads any more, without their members: they may come back, and a number is given once.
    gone: Vec<Rc<Pool>>,
    doors: Vec<(Door, Rc<Entrance>)>,
}

impl Serving {
    /// Nothing, until the first orders.
    pub(super) fn new(plan: Plan, core: &Rc<Core>, permits: &Rc<Permits>) -> Self {
        Self {
            core: Rc::clone(core),
            permits: Rc::clone(permits),
            ids: Rc::new(Cell::new(plan.id as u64)),
            plan,
            bell_number: u64::MAX,
            generation: 0,
            drain: Duration::ZERO,
            sites: Vec::new(),
            pools: Vec::new(),
            gone: Vec::new(),
            doors: Vec::new(),
        }
    }

    /// Which shard this is.
    pub(super) const fn shard(&self) -> usize {
        self.plan.id
    }

    /// How long transfers may go on when the process is told to stop.
    pub(super) const fn drain(&self) -> Duration {
        self.drain
    }

    /// Serves this from now on. New sessions alone notice. Copies of `told` are held until what is closed has gone.
    pub(super) fn follow(&mut self, orders: Orders, told: &SyncSender<()>) {
        self.generation = orders.generation;
        self.drain = orders.drain;
        self.permits.bound(orders.sessions_max);
        let before = std::mem::take(&mut self.sites);
        let mut known = std::mem::take(&mut self.pools);
        known.append(&mut self.gone);
        let mut pools = Pools {
            before: known,
            now: Vec::new(),
        };
        self.sites = (orders.sites.iter())
            .map(|plan| {
                let before = before.iter().find(|site| site.name == plan.name);
                Rc::new(self.site(plan, before.map(AsRef::as_ref), &mut pools))
            })
            .collect();
        self.gone = pools.gone();
        self.pools = pools.now;
        self.lead(&orders.sites, orders.ports, told);
    }

    /// What the sites of a configuration advertise from now on, in their order; nothing if it is no longer this one.
    pub(super) fn advertise(&self, generation: u64, addresses: Vec<Arc<Advertise>>) {
        if generation == self.generation {
            for (site, advertise) in self.sites.iter().zip(addresses) {
                site.advertise.replace(advertise);
            }
        }
    }

    /// Every door leads to its site of now. Those that are no more wanted are closed, when those that are new are open.
    fn lead(&mut self, plans: &[SitePlan], mut ports: Vec<NewPort>, told: &SyncSender<()>) {
        let mut before = std::mem::take(&mut self.doors);
        for (at, plan) in plans.iter().enumerate() {
            for &door in &plan.doors {
                let site = Rc::clone(&self.sites[at]);
                if let Some(known) = before.iter().position(|(known, _)| *known == door) {
                    let (_, entrance) = before.swap_remove(known);
                    entrance.lead_to(site);
                    self.doors.push((door, entrance));
                } else if let Some(new) = ports.iter().position(|new| new.door == door) {
                    let entrance = Entrance::new(site);
                    let listener = Listener::adopt(ports.swap_remove(new).port);
                    self.accept(listener, Rc::clone(&entrance));
                    self.doors.push((door, entrance));
                }
            }
        }
        for (_, entrance) in before {
            entrance.close(told.clone());
        }
    }

    fn accept(&mut self, listener: Listener, entrance: Rc<Entrance>) {
        self.bell_number -= 1;
        let accepting = Accepting {
            listener,
            entrance,
            core: Rc::clone(&self.core),
            permits: Rc::clone(&self.permits),
            ids: Rc::clone(&self.ids),
            stride: self.plan.shards as u64,
            bell_number: self.bell_number,
        };
        glommio::spawn_local(accepting.run()).detach();
    }

    /// A site, with what goes on of the one of its name before.
    fn site(&self, plan: &SitePlan, before: Option<&Site>, pools: &mut Pools) -> Site {
        let ports = PortRange::slice(&plan.passive_ports, self.plan.id, self.plan.shards);
        // The same ports: those that are leased, or rest, do so for the new sessions as well.
        let ports = match before.filter(|before| before.ports.is_same(&ports)) {
            Some(before) => Rc::clone(&before.ports),
            None => Rc::new(ports),
        };
        let advertise = before.map(|before| Rc::clone(&before.advertise));
        let advertise = advertise.unwrap_or_default();
        advertise.replace(Arc::clone(&plan.advertise));
        let streams = plan.is_stream.then(|| {
            let (tls, inside) = (plan.tls.as_ref(), plan.inside.tls.as_ref());
            let before = before.and_then(|before| before.streams.as_ref());
            Streams::new(tls, inside, plan.is_lenient).after(before)
        });
        Site {
            name: plan.name.clone(),
            rules: Arc::clone(&plan.rules),
            tls: plan.tls.clone(),
            streams,
            inside: pools.lead_to(&plan.inside),
            hosts: (plan.hosts.iter())
                .map(|host| pools.lead_to(host))
                .collect(),
            ports,
            advertise,
            proxies: plan.proxies.clone(),
            proxied_data: plan.proxied_data,
            data_peer: plan.data_peer,
            budget: plan.budget,
            completion: plan.completion,
            linger: plan.linger,
        }
    }
}

/// The pools of before, and those that take their places.
struct Pools {
    before: Vec<Rc<Pool>>,
    now: Vec<Rc<Pool>>,
}

impl Pools {
    fn lead_to(&mut self, plan: &InsidePlan) -> Inside {
        let known = self.now.iter().find(|pool| pool.name == plan.pool).cloned();
        Inside {
            pool: known.unwrap_or_else(|| self.make(plan)),
            tls: plan.tls.clone(),
            send_proxy: plan.send_proxy,
            send_proxy_data: plan.send_proxy_data,
        }
    }

    /// Those whose places nobody has taken.
    fn gone(&self) -> Vec<Rc<Pool>> {
        let is_gone = |old: &&Rc<Pool>| self.now.iter().all(|pool| pool.name != old.name);
        let gone = self.before.iter().filter(is_gone);
        gone.map(|old| Rc::new(old.followed_by(Vec::new(), 0, Balance::Turn, Duration::ZERO)))
            .collect()
    }

    fn make(&mut self, plan: &InsidePlan) -> Rc<Pool> {
        let members = plan.members.clone();
        let before = self.before.iter().find(|pool| pool.name == plan.pool);
        let pool = Rc::new(match before {
            Some(before) => before.followed_by(members, plan.backups, plan.balance, plan.rest),
            None => Pool::new(
                plan.pool.clone(),
                members,
                plan.backups,
                plan.balance,
                plan.rest,
            ),
        });
        self.now.push(Rc::clone(&pool));
        pool
    }
}
