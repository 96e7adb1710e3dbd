//! An FTP and FTPS server in memory: fast enough to load a gate, and able to misbehave on demand.
//! The demo and tests put a gate before it, or talk to it directly; its records tell what it saw of each transfer.
//! It never touches a disk, never asks who a user is, and never ends its core, whatever a client sends.
//!
//! How to make it misbehave: by path, `RETR /misbehave/bare-close/empty` (also after `CWD /misbehave/bare-close`), or
//! for the rest of a session by `SITE MISBEHAVE RETR bare-close`. The table is in `misbehave.rs`; `SITE HELP` prints it.

mod answers;
mod login;
mod misbehave;
mod record;
mod session;
mod transfer;
mod tree;

pub use misbehave::{Misbehaviour, TABLE as MISBEHAVIOURS};
pub use record::{Ended, OwnEnd, Record};

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::future;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder};
use rustls::ServerConfig;

use super::wait::within;
use crate::limits;
use crate::net::{Fault, Listener};
use session::Session;
use tree::Tree;

/// How a backend is set up. The default is a strict one: TLS demanded where there is any, and resumption of it.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; port 0 is any.
    pub addresses: Vec<SocketAddr>,
    /// The base of every session's TLS; nothing: AUTH is refused.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether logins and transfers in the clear are refused although there is TLS.
    pub demand_tls: bool,
    /// Whether data connections must resume the control connection's TLS session, as vsftpd and ProFTPD demand.
    pub demand_resumption: bool,
    /// The password of every user; nothing: any.
    pub password: Option<String>,
    /// Whether 150 is sent before the data connection is there (pure-ftpd) or with it (vsftpd, ProFTPD).
    pub early_preliminary: bool,
    /// How long to wait for the next step of a client in a transfer.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            addresses: vec![(Ipv4Addr::LOCALHOST, 0).into()],
            tls: None,
            demand_tls: true,
            demand_resumption: true,
            password: None,
            early_preliminary: false,
            patience: limits::RIG_PATIENCE,
        }
    }
}

/// A backend at work. Dropping it stops it: its listeners close and its sessions end where they are.
pub struct Server {
    addresses: Vec<SocketAddr>,
    records: Receiver<Record>,
    /// Closed to stop; nothing is ever sent.
    running: Sender<Infallible>,
    thread: Option<ExecutorJoinHandle<()>>,
}

impl Server {
    /// Starts on the executor of this core, which must be one of glommio.
    ///
    /// # Errors
    /// An address cannot be listened on.
    pub fn start_here(options: Options) -> io::Result<Self> {
        let (running, stop) = async_channel::bounded(1);
        let (journal, records) = async_channel::bounded(limits::RIG_RECORDS_MAX);
        let addresses = open(options, stop, journal)?;
        Ok(Self {
            addresses,
            records,
            running,
            thread: None,
        })
    }

    /// Starts on a thread of its own with an executor of its own.
    ///
    /// # Errors
    /// An address cannot be listened on, or the kernel gives no ring.
    pub fn start_thread(options: Options) -> io::Result<Self> {
        let (running, stop) = async_channel::bounded(1);
        let (journal, records) = async_channel::bounded(limits::RIG_RECORDS_MAX);
        let (tell, told) = async_channel::bounded(1);
        let thread = LocalExecutorBuilder::default()
            .name("backend")
            .io_memory(limits::RING_MEMORY_BYTES)
            .preempt_timer(limits::CORE_HOLD_MAX)
            .spawn(move || async move {
                let opened = open(options, stop.clone(), journal);
                let is_up = opened.is_ok();
                // The starter waits for exactly this message.
                let heard = tell.send(opened).await.is_ok();
                if is_up && heard {
                    let _closed = stop.recv().await;
                }
            })
            .map_err(|error| io::Error::other(error.to_string()))?;
        let addresses = told.recv_blocking().map_err(io::Error::other)??;
        Ok(Self {
            addresses,
            records,
            running,
            thread: Some(thread),
        })
    }

    /// Where it listens, in the order of the options.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The transfers that have ended since this was asked last; the oldest are lost where nobody asks for long.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        std::iter::from_fn(|| self.records.try_recv().ok()).collect()
    }

    /// The next transfer that ends, within `limit`; for callers on an executor.
    pub async fn next_record(&self, limit: Duration) -> Option<Record> {
        let mut next = std::pin::pin!(self.records.recv());
        within(limit, |cx| next.as_mut().poll(cx)).await?.ok()
    }

    /// Stops it, and waits for its thread where it has one of its own.
    pub fn stop(mut self) {
        self.running.close();
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has said so on standard error.
            let _ended = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.close();
    }
}

/// What the sessions of one core share.
struct Shared {
    options: Options,
    tree: RefCell<Tree>,
    journal: Sender<Record>,
    stop: Receiver<Infallible>,
}

impl Shared {
    /// What the work gives, unless the server is stopped before.
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let stopped = async {
            let _closed = self.stop.recv().await;
            None
        };
        future::or(stopped, async { Some(work.await) }).await
    }
}

fn open(
    options: Options,
    stop: Receiver<Infallible>,
    journal: Sender<Record>,
) -> io::Result<Vec<SocketAddr>> {
    let listeners = options.addresses.iter();
    let listeners: Vec<_> = listeners
        .map(|address| Listener::listen_shared(*address, None))
        .collect::<io::Result<_>>()?;
    let addresses = listeners.iter().map(Listener::local).collect();
    let shared = Rc::new(Shared {
        options,
        tree: RefCell::new(Tree::new()),
        journal,
        stop,
    });
    for listener in listeners {
        let shared = Rc::clone(&shared);
        glommio::spawn_local(async move {
            shared.unless_stopped(serve(listener, &shared)).await;
        })
        .detach();
    }
    Ok(addresses)
}

/// One session for each connection, until the listener is broken.
async fn serve(mut listener: Listener, shared: &Rc<Shared>) {
    loop {
        match poll_fn(|cx| listener.poll_accept(cx)).await {
            Ok(stream) => {
                let shared = Rc::clone(shared);
                glommio::spawn_local(async move {
                    let session = Session::new(stream, Rc::clone(&shared));
                    shared.unless_stopped(session.run()).await;
                })
                .detach();
            }
            Err(Fault::OutOfDescriptors(_)) => {
                within(BREATH, |_| std::task::Poll::<()>::Pending).await;
            }
            Err(_) => return,
        }
    }
}

/// How long to wait where there are no descriptors: somebody has to close one first.
const BREATH: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
