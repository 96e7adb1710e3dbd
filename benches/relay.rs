//! What a byte costs: CPU of the relay's own core for each path, between peers on another core, over loopback sockets.
//!
//! `cargo bench --bench relay`; times are CPU times, and `thrpt` is what one core would do if its peers never made it wait.

use std::fs;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use glommio::{LocalExecutorBuilder, Placement};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sluicegate::ftp::Direction;
use sluicegate::leg::{Leg, Read};
use sluicegate::limits::{CORE_HOLD_MAX, RING_MEMORY_BYTES};
use sluicegate::net::{Dial, Listener};
use sluicegate::relay::{Budget, run};

const STREAM_BYTES: usize = 256 << 20;
const PIECE_BYTES: usize = 256 << 10;
const RELAY_CPU: usize = 0;
const PEERS_CPU: usize = 1;

/// TLS of all legs: none where they are clear.
#[derive(Clone)]
struct Tls {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Tls {
    fn new() -> Self {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["bench.test".to_owned()])
                .expect("a certificate for a name");
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let server = ServerConfig::builder_with_protocol_versions(&[&TLS13])
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .expect("its own key");
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).expect("a certificate");
        let client = ClientConfig::builder_with_protocol_versions(&[&TLS13])
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            server: Arc::new(server),
            client: Arc::new(client),
        }
    }

    /// The same certificate: what differs is who makes the records.
    fn with_records_of_its_own(&self) -> Self {
        let mut ours = self.clone();
        Arc::make_mut(&mut ours.server).enable_secret_extraction = true;
        Arc::make_mut(&mut ours.client).enable_secret_extraction = true;
        ours
    }
}

async fn accept(listener: &mut Listener, tls: Option<&Tls>) -> Leg {
    let accepted = poll_fn(|cx| listener.poll_accept(cx)).await;
    let mut leg = Leg::new(accepted.expect("a peer"));
    if let Some(tls) = tls {
        leg.secure_as_server(Arc::clone(&tls.server)).expect("TLS");
        poll_fn(|cx| leg.poll_handshake(cx)).await.expect("TLS");
    }
    leg
}

async fn dial(to: SocketAddr, tls: Option<&Tls>) -> Leg {
    let mut dial = Dial::start(to, None).expect("a way to it");
    let mut leg = Leg::new(poll_fn(|cx| dial.poll(cx)).await.expect("a listener"));
    if let Some(tls) = tls {
        let name = ServerName::try_from("bench.test").expect("a name");
        leg.secure_as_client(Arc::clone(&tls.client), name)
            .expect("TLS");
        poll_fn(|cx| leg.poll_handshake(cx)).await.expect("TLS");
    }
    leg
}

/// The way to the other thread.
struct Other(SyncSender<SocketAddr>, Receiver<SocketAddr>);

impl Other {
    /// Both listen before either dials.
    fn meet(self) -> (Listener, SocketAddr) {
        let ours = Listener::listen_passive((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        self.0.send(ours.local()).expect("the other");
        (ours, self.1.recv().expect("the other"))
    }
}

/// CPU time of this thread: its first field, in nanoseconds (proc(5)).
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel's accounts");
    let nanos = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}

/// Sends so many streams, one after the other, and receives what the relay makes of them.
async fn peers(rounds: u64, tls: Option<Tls>, other: Other) {
    let (mut backend, relay) = other.meet();
    let piece = vec![0x5a; PIECE_BYTES];
    for _ in 0..rounds {
        let (mut receiver, mut sender) = futures_lite::future::zip(
            dial(relay, tls.as_ref()),
            accept(&mut backend, tls.as_ref()),
        )
        .await;
        let sending = async {
            for _ in 0..STREAM_BYTES / PIECE_BYTES {
                sender.queue(&piece).expect("a leg");
                poll_fn(|cx| sender.poll_flush(cx)).await.expect("a leg");
            }
            sender.queue_close_notify().expect("a leg");
            poll_fn(|cx| sender.poll_flush(cx)).await.expect("a leg");
            sender.finish().expect("a leg");
        };
        let receiving = async {
            let (mut got, mut into) = (0, Vec::new());
            while got < STREAM_BYTES {
                into.clear();
                let read = poll_fn(|cx| receiver.poll_read(cx, &mut into, PIECE_BYTES)).await;
                let Ok(Read::Bytes(bytes)) = read else {
                    return;
                };
                got += bytes;
            }
        };
        futures_lite::future::zip(sending, receiving).await;
    }
}

/// Relays so many streams; gives the CPU time that their bytes took.
async fn relays(rounds: u64, tls: Option<Tls>, other: Other) -> Duration {
    let (mut ours, backend) = other.meet();
    let budget = Budget {
        first_byte: Duration::from_secs(60),
        stall: Duration::from_secs(60),
    };
    let mut took = Duration::ZERO;
    for _ in 0..rounds {
        let (client, backend) =
            futures_lite::future::zip(accept(&mut ours, tls.as_ref()), dial(backend, tls.as_ref()))
                .await;
        let before = cpu();
        let (_legs, report) = run(client, backend, Direction::Download, budget).await;
        took += cpu() - before;
        assert_eq!(report.bytes, STREAM_BYTES as u64, "{:?}", report.end);
    }
    took
}

fn core(cpu: usize) -> LocalExecutorBuilder {
    LocalExecutorBuilder::new(Placement::Fixed(cpu))
        .io_memory(RING_MEMORY_BYTES)
        .preempt_timer(CORE_HOLD_MAX)
}

fn measure(rounds: u64, at_relay: Option<&Tls>, at_peers: Option<&Tls>) -> Duration {
    let (to_peers, from_relay) = sync_channel(1);
    let (to_relay, from_peers) = sync_channel(1);
    let (at_relay, at_peers) = (at_relay.cloned(), at_peers.cloned());
    let relay = core(RELAY_CPU)
        .spawn(move || relays(rounds, at_relay, Other(to_peers, from_peers)))
        .expect("a core for the relay");
    let peers = core(PEERS_CPU)
        .spawn(move || peers(rounds, at_peers, Other(to_relay, from_relay)))
        .expect("a core for the peers");
    let took = relay.join().expect("a relay");
    peers.join().expect("peers");
    took
}

fn paths(criterion: &mut Criterion) {
    let rustls = Tls::new();
    let ours = rustls.with_records_of_its_own();
    let mut group = criterion.benchmark_group("relay");
    group.throughput(Throughput::Bytes(STREAM_BYTES as u64));
    group.sample_size(10);
    for (name, at_relay, at_peers) in [
        ("spliced", None, None),
        ("sealed", Some(&rustls), Some(&rustls)),
        ("in_place", Some(&ours), Some(&rustls)),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| measure(rounds, at_relay, at_peers));
        });
    }
    group.finish();
}

criterion_group!(benches, paths);
criterion_main!(benches);
