//! What the control plane may ask of a shard, and the answers: copies, never anything that the core still uses.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use async_channel::{Receiver, Sender};

use super::Orders;
use super::permits::Permits;
use super::serving::Serving;
use crate::ftp::Direction;
use crate::metrics::{Phase, Snapshot};
use crate::policy::Advertise;
use crate::pool::PoolState;
use crate::relay::{self, Held};
use crate::session::{Card, Core, Site};
use crate::sys::{clock, process};
use crate::tls::TlsFacts;

/// What a shard may be told.
pub enum Mail {
    /// Stop accepting, let transfers end within the bound, then end.
    Drain,
    /// Hand over what was counted since the last time, and go on counting in these empty cells.
    Collect(Box<Snapshot>, Sender<Report>),
    /// Describe at most so many sessions, from the one behind this number on.
    Sessions {
        /// Where the last page ended.
        after: Option<u64>,
        /// How many at most.
        most: usize,
        /// Where the answer goes.
        answer: Sender<Vec<Sight>>,
    },
    /// What the sites of this configuration advertise from now on, in their order.
    Advertise(u64, Vec<Arc<Advertise>>),
    /// Serve this from now on. What is held of the other is dropped when it is so, and what is closed has gone: nobody can be
    /// told too early. A core that has been told to stop does nothing.
    Reload(Box<Orders>, SyncSender<()>),
    /// End a session; the answer says whether there was one.
    Kill(u64, Sender<bool>),
}

/// How a core stands, and what it has counted since the last report.
pub struct Report {
    /// Which shard it is.
    pub shard: usize,
    /// What was counted.
    pub counted: Box<Snapshot>,
    /// Sessions now.
    pub sessions: usize,
    /// Transfers now.
    pub transfers: usize,
    /// Connections that have ended for their session, be it with their transfer, and are still read to their end.
    pub lingering: usize,
    /// The kernel's number of the core's thread, if it tells.
    pub thread: Option<u32>,
    /// What its streams hold and what is kept for them.
    pub held: Held,
    /// Each listener of the configuration, in its order.
    pub sites: Vec<SiteState>,
    /// Every pool that a listener or one of its hosts leads to, once.
    pub pools: Vec<PoolState>,
}

/// A listener as one core has it.
#[derive(Clone, Debug)]
pub struct SiteState {
    /// Its name.
    pub name: String,
    /// Passive ports of this core that are leased now.
    pub ports_in_use: usize,
    /// Passive ports of this core.
    pub ports: usize,
}

/// A session as it is seen from outside.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Its number, as in the log.
    pub id: u64,
    /// The listener it came in by.
    pub listener: String,
    /// The client's address.
    pub client: SocketAddr,
    /// How long it has lived.
    pub age: Duration,
    /// TLS with the client, if it is there.
    pub client_tls: Option<TlsFacts>,
    /// The backend's address, if it is reached.
    pub backend: Option<SocketAddr>,
    /// TLS with the backend, if it is there.
    pub backend_tls: Option<TlsFacts>,
    /// Who has logged in; escaped.
    pub user: Option<String>,
    /// The transfer that runs: which way, for how long, and how many bytes so far.
    pub transfer: Option<(Direction, Duration, u64)>,
    /// Of a stream that is no FTP: bytes from the client and from the backend so far.
    pub stream: Option<[u64; 2]>,
}

/// What the desk of a shard looks at.
pub(super) struct Desk {
    /// The kernel's number of this thread.
    pub(super) thread: Option<u32>,
    pub(super) core: Rc<Core>,
    pub(super) permits: Rc<Permits>,
    pub(super) serving: Serving,
    pub(super) is_draining: bool,
}

impl Desk {
    /// Answers mail until the gate says stop or is gone; whoever asked and has given up meanwhile is not waited for.
    pub(super) async fn until_drain(&mut self, mail: &Receiver<Mail>) {
        while let Ok(mail) = mail.recv().await {
            if self.answer(mail) {
                return;
            }
        }
    }

    /// Answers mail for as long as there is some; a second order to stop changes nothing.
    pub(super) async fn forever(&mut self, mail: &Receiver<Mail>) {
        while let Ok(mail) = mail.recv().await {
            self.answer(mail);
        }
        // The gate is gone: nobody asks any more, and the sessions end within their bound.
        std::future::pending().await
    }

    /// True if it was the order to stop. Timed: what is asked must not keep the core from serving.
    fn answer(&mut self, mail: Mail) -> bool {
        let (began, cpu_before) = (clock::now(), process::thread_cpu());
        let is_stop = self.answer_untimed(mail);
        let (cpu_behind, took) = (process::thread_cpu(), clock::now() - began);
        let mut recorder = self.core.recorder.borrow_mut();
        recorder.observe(Phase::Answer, took);
        recorder.observe(Phase::AnswerCpu, cpu_behind - cpu_before);
        is_stop
    }

    fn answer_untimed(&mut self, mail: Mail) -> bool {
        match mail {
            Mail::Drain => {
                self.is_draining = true;
                return true;
            }
            Mail::Collect(empty, answer) => {
                let _unheard = answer.try_send(self.report(*empty));
            }
            Mail::Sessions {
                after,
                most,
                answer,
            } => {
                let _unheard = answer.try_send(self.sessions(after, most));
            }
            Mail::Advertise(generation, addresses) => {
                self.serving.advertise(generation, addresses);
            }
            // What would listen anew must not while all others have stopped.
            Mail::Reload(..) if self.is_draining => {}
            Mail::Reload(orders, answer) => {
                self.serving.follow(*orders, &answer);
            }
            Mail::Kill(id, answer) => {
                let _unheard = answer.try_send(self.core.cards.kill(id));
            }
        }
        false
    }

    fn report(&self, empty: Snapshot) -> Report {
        let counted = self.core.recorder.borrow_mut().collect(empty);
        let now = clock::now();
        let serving = &self.serving;
        let state = |site: &Rc<Site>| SiteState {
            name: site.name.clone(),
            ports_in_use: site.ports.in_use(),
            ports: site.ports.len(),
        };
        Report {
            shard: serving.shard(),
            counted: Box::new(counted),
            sessions: self.permits.taken(),
            transfers: self.core.cards.transferring(),
            lingering: self.core.cards.lingering(),
            thread: self.thread,
            held: relay::held(),
            sites: serving.sites.iter().map(state).collect(),
            pools: serving.pools.iter().map(|pool| pool.state(now)).collect(),
        }
    }

    fn sessions(&self, after: Option<u64>, most: usize) -> Vec<Sight> {
        let mut seen = Vec::new();
        self.core.cards.look(after, |card| {
            if seen.len() < most {
                seen.push(sight(card));
            }
            seen.len() < most
        });
        seen
    }
}

fn sight(card: &Card) -> Sight {
    let now = clock::now();
    let transfer = card.transfer.get();
    Sight {
        id: card.id,
        listener: card.site.name.clone(),
        client: card.client,
        age: now - card.opened,
        client_tls: card.client_tls.borrow().clone(),
        backend: card.backend.get(),
        backend_tls: card.backend_tls.borrow().clone(),
        user: card.user.borrow().clone(),
        transfer: transfer.map(|running| (running.direction, now - running.began, running.bytes)),
        stream: card.stream.get(),
    }
}
