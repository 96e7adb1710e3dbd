//! What a session at rest holds of the allocator: counted exactly, against a budget, so that growth is noticed where it
//! begins. Both control connections are in TLS, and the client has logged in.
//!
//! The gate runs in this process, and so do its clients, in a thread whose memory is not counted; the backend is a child.

#![allow(unsafe_code, reason = "a global allocator cannot be had without")]
#![allow(
    clippy::disallowed_types,
    reason = "a test may block: it is no core's business"
)]
#![allow(
    clippy::panic,
    reason = "a broken premise fails the test, as it should"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sluicegate::rig::client::{Client, Options, Sink};
use sluicegate::{gate, limits};

#[path = "support/ports.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod ports;

/// Counts what is held, and leaves the work to the system's allocator.
struct Counting;

/// Bytes that are held by whoever is not one of the clients.
static HELD: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static IS_CLIENT: Cell<bool> = const { Cell::new(false) };
}

fn count(bytes: isize) {
    if !IS_CLIENT.get() {
        HELD.fetch_add(bytes, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as the caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as the caller has promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: as the caller has promised.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as the caller has promised.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A child that ends with its value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The backend, and where it listens. It makes the certificates for all.
fn backend(folder: &Path) -> (Ended, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    command.args(["backend", "--explicit", "127.0.0.1:0", "--certificates"]);
    command.arg(folder).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the backend can be started");
    let said = child.stdout.take().expect("its words");
    let child = Ended(child);
    let mut lines = BufReader::new(said).lines().map_while(Result::ok);
    let first = lines.next().expect("where it listens");
    let (_, address) = first.rsplit_once(' ').expect("an address stands last");
    assert_eq!(lines.next().as_deref(), Some("ready"), "{first}");
    (child, address.to_owned())
}

/// A gate on one core, and where it listens.
fn start(folder: &Path, backend: &str, ports: &ports::Ports) -> (gate::Running, SocketAddr) {
    let place = folder.display();
    let passive = ports.passive();
    let (first, last) = (passive.start(), passive.end());
    let text = format!(
        r#"
        [process]
        cores = [0]
        [log]
        level = "error"
        [limits]
        sessions = 100
        [[listener]]
        name = "outside"
        address = "127.0.0.1:0"
        pool = "inside"
        certificate = "{place}/gate.pem"
        key = "{place}/gate.key"
        passive_ports = "{first}-{last}"
        [[pool]]
        name = "inside"
        members = ["{backend}"]
        ca = "{place}/ca.pem"
        server_name = "localhost"
        "#
    );
    let file = folder.join("gate.toml");
    std::fs::write(&file, text).expect("the configuration can be written");
    let prepared = gate::check::load(&file, SystemTime::now()).expect("the configuration is right");
    let gate = gate::start(&prepared).unwrap_or_else(|_| panic!("the gate can be started"));
    let address = gate.addresses()[0][0];
    (gate, address)
}

/// Whom the clients trust.
fn trusting(folder: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(folder.join("ca.pem")).expect("a certificate");
    roots.add(authority).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions();
    let config = builder.expect("its own suites");
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// What a session holds when it has logged in, and when it has moved a file.
async fn measure(options: &Options) -> [isize; 2] {
    // What the first ones take is of the core: its tables grow, and have room for those that are measured.
    let _warm = enter(options, WARM).await;
    let before = HELD.load(Relaxed);
    let mut clients = enter(options, SESSIONS).await;
    let idle = HELD.load(Relaxed) - before;
    for client in &mut clients {
        let file = client.retr("empty", Sink::Keep).await;
        file.expect("a session goes on");
        // Its legs have ended on both sides when this is answered.
        let class = sluicegate::ftp::Class::Completion;
        client.command("TYPE I", class).await.expect("an answer");
    }
    let used = HELD.load(Relaxed) - before;
    [idle, used].map(|held| held / SESSIONS.cast_signed())
}

async fn enter(options: &Options, sessions: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..sessions {
        let client = Client::start(options.clone(), "user", "password").await;
        clients.push(client.expect("whoever comes gets in"));
    }
    clients
}

/// Together they fit tables of 64, of which hash tables fill seven eighths.
const WARM: usize = 40;
const SESSIONS: usize = 16;

/// Bytes, of which a tenth are room. The rest of the 16 KiB that a session may take of the machine is what the allocator
/// adds and what lies idle between pieces.
const IDLE_MAX: isize = 13_800;

/// Configurations and tickets for data connections stay.
const USED_MAX: isize = 15_000;

#[test]
fn a_session_at_rest_stays_within_its_budget() {
    let place = tempfile::tempdir().expect("a directory");
    let folder = place.path();
    let (_backend, inside) = backend(folder);
    let ports = ports::Ports::reserve();
    let (gate, address) = start(folder, &inside, &ports);
    let name = ServerName::try_from("localhost").expect("a name");
    let options = Options::private(address, trusting(folder), name);
    let client = std::thread::spawn(move || {
        IS_CLIENT.set(true);
        let executor = glommio::LocalExecutorBuilder::new(glommio::Placement::Unbound)
            .io_memory(limits::RING_MEMORY_BYTES)
            .make();
        executor
            .expect("a ring for the clients")
            .run(async move { measure(&options).await })
    });
    let [idle, used] = client.join().expect("all clients get in");
    println!("a session at rest: {idle} bytes; when it has moved a file: {used}");
    gate.stop().expect("no core has died");
    assert!(idle <= IDLE_MAX, "{idle} of {IDLE_MAX}");
    assert!(used <= USED_MAX, "{used} of {USED_MAX}");
}
