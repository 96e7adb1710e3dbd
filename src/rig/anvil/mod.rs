//! A server to be struck with load: FTP and FTPS on any number of cores, and plain streams beside it.
//! The command `backend` runs it, `load` strikes it, through a gate or alone; perf/ puts it behind every proxy.
//! It never misbehaves on demand (`rig/backend` does), never keeps what is uploaded, and never asks who a user is.
//!
//! Every file is there, and its name tells its size (`/empty`, `/4KiB.bin`, `/1GiB.bin`); a directory whose name is a
//! number has that many entries. What is uploaded under such a name must be that file, as far as samples tell.

mod command;
mod session;
mod streams;
#[cfg(test)]
mod tests;

pub use command::{Arguments, run};
pub(super) use streams::ENDLESS;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::future;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};
use rustls::ServerConfig;

use super::wait::within;
use crate::limits;
use crate::net::{Fault, Listener, PortLease, PortRange, Stream, open_passive};
use session::Session;

/// What a port serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// FTP without TLS; AUTH is refused.
    Plain,
    /// FTP with AUTH TLS, which is demanded.
    Explicit,
    /// FTP in TLS from the first byte.
    Implicit,
    /// Gives back what comes (RFC 862).
    Echo,
    /// Sends without end (RFC 864, other bytes).
    Source,
    /// Takes without end (RFC 863).
    Sink,
}

/// One port.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// Where; port 0 is any.
    pub address: SocketAddr,
    /// What.
    pub service: Service,
    /// For streams: whether in TLS.
    pub private: bool,
}

/// How the server is set up.
#[derive(Clone)]
pub struct Options {
    /// Where it listens, and with what.
    pub ports: Vec<Port>,
    /// The CPUs it runs on, one thread for each; none: one thread that runs anywhere.
    pub cores: Vec<usize>,
    /// The base of every session's TLS.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether private data connections must resume their control connection's TLS session.
    pub demand_resumption: bool,
    /// Where clients connect for data; none: where the kernel likes. A port that the kernel gives is one less for a minute that
    /// anybody may connect from.
    pub passive: Option<RangeInclusive<u16>>,
}

/// What it has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections to a control port or a stream port.
    pub connections: u64,
    /// Transfers that were answered with 226.
    pub transfers: u64,
    /// Transfers that were not.
    pub failures: u64,
    /// Private data connections that resumed a session.
    pub resumed: u64,
    /// Bytes sent and taken on data connections and streams.
    pub bytes: u64,
}

/// A server at work. Dropping it stops it.
pub struct Anvil {
    addresses: Vec<SocketAddr>,
    running: Sender<Infallible>,
    threads: Vec<ExecutorJoinHandle<Totals>>,
}

impl Anvil {
    /// Starts it on threads of its own.
    ///
    /// # Errors
    /// An address cannot be listened on, a CPU is not there, or the kernel gives no ring.
    pub fn start(options: &Options) -> io::Result<Self> {
        let (running, stop) = async_channel::bounded(1);
        let mut anvil = Self {
            addresses: options.ports.iter().map(|port| port.address).collect(),
            running,
            threads: Vec::new(),
        };
        let places = match options.cores.as_slice() {
            [] => vec![Placement::Unbound],
            cores => cores.iter().map(|&core| Placement::Fixed(core)).collect(),
        };
        for (core, place) in places.into_iter().enumerate() {
            let mut options = options.clone();
            // The first core has found the ports where 0 was asked for; the others share them.
            for (port, address) in options.ports.iter_mut().zip(&anvil.addresses) {
                port.address = *address;
            }
            let (tell, told) = async_channel::bounded(1);
            let stop = stop.clone();
            let thread = LocalExecutorBuilder::new(place)
                .name("anvil")
                .io_memory(limits::RING_MEMORY_BYTES)
                .preempt_timer(limits::CORE_HOLD_MAX)
                .spawn(move || serve_all(core, options, stop, tell))
                .map_err(|error| io::Error::other(error.to_string()))?;
            anvil.threads.push(thread);
            anvil.addresses = told.recv_blocking().map_err(io::Error::other)??;
        }
        Ok(anvil)
    }

    /// Where it listens, in the order of the options.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops it and says what it has done.
    #[must_use]
    pub fn stop(mut self) -> Totals {
        self.running.close();
        let threads = std::mem::take(&mut self.threads).into_iter();
        // A thread that has panicked has said so on standard error.
        threads
            .filter_map(|thread| thread.join().ok())
            .fold(Totals::default(), Totals::with)
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        self.running.close();
    }
}

impl Totals {
    const fn with(self, other: Self) -> Self {
        Self {
            connections: self.connections + other.connections,
            transfers: self.transfers + other.transfers,
            failures: self.failures + other.failures,
            resumed: self.resumed + other.resumed,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// What the connections of one core share.
struct Shared {
    options: Options,
    /// The TLS of streams: each of them begins with a full handshake.
    stream_tls: Option<Arc<ServerConfig>>,
    /// A slice of them, as each core has one.
    passive: Option<Rc<PortRange>>,
    totals: RefCell<Totals>,
}

/// A data port; before the lease, as the listener goes first.
type Passive = (Listener, Option<PortLease>);

impl Shared {
    fn listen(&self, ip: IpAddr) -> Result<Passive, Fault> {
        match &self.passive {
            Some(range) => open_passive(range, ip).map(|(listener, lease)| (listener, Some(lease))),
            None => match Listener::listen_passive(SocketAddr::new(ip, 0)) {
                Ok(listener) => Ok((listener, None)),
                Err(error) => Err(Fault::Broken(error)),
            },
        }
    }

    fn count(&self, change: impl FnOnce(&mut Totals)) {
        change(&mut self.totals.borrow_mut());
    }
}

/// One core's life: listen, tell where, serve until the channel is closed.
async fn serve_all(
    core: usize,
    options: Options,
    stop: Receiver<Infallible>,
    tell: Sender<io::Result<Vec<SocketAddr>>>,
) -> Totals {
    let listeners = options.ports.iter();
    let listeners: io::Result<Vec<_>> = listeners
        .map(|port| Listener::listen_shared(port.address, None))
        .collect();
    let addresses = listeners
        .as_ref()
        .map(|all| all.iter().map(Listener::local).collect());
    // The starter waits for exactly this message.
    let _heard = tell
        .send(addresses.map_err(|error| io::Error::new(error.kind(), error.to_string())))
        .await;
    let passive = options.passive.as_ref();
    let shared = Rc::new(Shared {
        passive: passive
            .map(|range| Rc::new(PortRange::slice(range, core, options.cores.len().max(1)))),
        stream_tls: options.tls.as_ref().map(streams::without_resumption),
        options,
        totals: RefCell::default(),
    });
    for (at, listener) in listeners.into_iter().flatten().enumerate() {
        let port = shared.options.ports[at];
        let (shared, stop) = (Rc::clone(&shared), stop.clone());
        glommio::spawn_local(unless(stop.clone(), accept(listener, port, shared, stop))).detach();
    }
    let _closed = stop.recv().await;
    *shared.totals.borrow()
}

/// One task for each connection, until the listener is broken.
async fn accept(
    mut listener: Listener,
    port: Port,
    shared: Rc<Shared>,
    stop: Receiver<Infallible>,
) {
    loop {
        match poll_fn(|cx| listener.poll_accept(cx)).await {
            Ok(stream) => {
                shared.count(|totals| totals.connections += 1);
                let shared = Rc::clone(&shared);
                glommio::spawn_local(unless(stop.clone(), serve(stream, port, shared))).detach();
            }
            Err(Fault::OutOfDescriptors(_)) => {
                within(limits::ACCEPT_PAUSE, |_| std::task::Poll::<()>::Pending).await;
            }
            Err(_) => return,
        }
    }
}

async fn serve(stream: Stream, port: Port, shared: Rc<Shared>) {
    match port.service {
        Service::Plain | Service::Explicit | Service::Implicit => {
            Session::new(stream, port.service, shared).run().await;
        }
        Service::Echo | Service::Source | Service::Sink => {
            streams::serve(stream, port, &shared).await
        }
    }
}

/// The work, unless the server is stopped before it is done.
async fn unless(stop: Receiver<Infallible>, work: impl Future<Output = ()>) {
    let stopped = async {
        let _closed = stop.recv().await;
    };
    future::or(work, stopped).await;
}

/// How long a peer may take for one step before its connection is given up; a transfer may take as long for each piece.
const PATIENCE: Duration = limits::RIG_PATIENCE;
