//! What a session at rest holds of the allocator: counted exactly, against a budget, so that growth is noticed where it
//! begins. Both control connections are in TLS, and the client has logged in.
//!
//! The gate runs in this process, and so do its clients, in a thread whose memory is not counted; the backend is a child.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sluicegate::limits;
use sluicegate::rig::client::{Client, Options, Sink};

#[path = "support/counted.rs"]
mod counted;

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
    let before = counted::held();
    let mut clients = enter(options, SESSIONS).await;
    let idle = counted::held() - before;
    for client in &mut clients {
        let file = client.retr("empty", Sink::Keep).await;
        file.expect("a session goes on");
        // Its legs have ended on both sides when this is answered.
        let class = sluicegate::ftp::Class::Completion;
        client.command("TYPE I", class).await.expect("an answer");
    }
    let used = counted::held() - before;
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
    let (_backend, inside) = counted::backend(folder);
    let (gate, _ports) = counted::start(folder, &inside, "");
    let address = gate.addresses()[0][0];
    let name = ServerName::try_from("localhost").expect("a name");
    let options = Options::private(address, trusting(folder), name);
    let client = std::thread::spawn(move || {
        counted::leave_out_this_thread();
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
