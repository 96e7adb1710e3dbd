//! Reload after reload: under load, two hundred of them, and what may be resumed across one.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};
use serde_json::Value;

use crate::reload::Bed;
use crate::streams::{self, OFF, TLS, server};
use crate::support::admin::{Series, assert_adds_up, assert_never_falls};
use crate::support::certs::Versions;
use crate::support::gate::Gate;
use crate::support::{PATIENCE, Scene, eventually, noise};

/// The sum of what cores count is what all of them count, in one answer: every counter, and every histogram bucket by bucket.
fn adds_up(status: &Value) {
    let cores = status["cores"].as_array().unwrap();
    let sum = |of: &dyn Fn(&Value) -> Option<u64>| cores.iter().filter_map(of).sum::<u64>();
    for (name, total) in status["total"]["counters"].as_object().unwrap() {
        let sum = sum(&|core| core["counters"][name].as_u64());
        assert_eq!(sum, total.as_u64().unwrap(), "{name}");
    }
    for (name, total) in status["total"]["phases"].as_object().unwrap() {
        let sums = sum(&|core| core["phases"][name]["count"].as_u64());
        assert_eq!(sums, total["count"].as_u64().unwrap(), "{name}");
        for (octave, count) in total["octaves"].as_array().unwrap().iter().enumerate() {
            let sum = sum(&|core| core["phases"][name]["octaves"][octave].as_u64());
            assert_eq!(sum, count.as_u64().unwrap(), "{name}, 2^{octave} us");
        }
    }
}

/// Says when it is dropped that it is over: a test that fails in between must not have its readers go on for ever.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Downloads of each session under load.
const TRANSFERS: usize = 25;

/// Three sessions of a client, one after the other, each of which must come to its own end.
fn sessions(bed: &Bed, client: usize) {
    for session in 0..3 {
        let stored = format!("STOR up{client}-{session}");
        let mut client = bed.client();
        for _ in 0..TRANSFERS {
            client.download("RETR file").assert_complete(&noise(10_000));
        }
        client.upload(&stored, b"payload").reply.expect(&[226]);
        client.say("QUIT").expect(&[221]);
    }
}

#[test]
fn nothing_is_lost_or_cut_and_all_sums_hold_while_it_is_reloaded_under_load() {
    let bed = &Bed::new(|setup| setup.timeout("idle", "100s"));
    let is_over = AtomicBool::new(false);
    let reloads = std::thread::scope(|scope| {
        let over = Over(&is_over);
        let workers: Vec<_> = (0..4)
            .map(|number| scope.spawn(move || sessions(bed, number)))
            .collect();
        let readers = scope.spawn(|| {
            let mut before = Series::new();
            let mut seen = 0;
            while !is_over.load(Ordering::Relaxed) {
                adds_up(&bed.json("/status"));
                let now = bed.all_series("");
                assert_never_falls(&before, &now);
                (before, seen) = (now, seen + 1);
            }
            seen
        });
        let mut reloads = 0;
        while !workers
            .iter()
            .all(std::thread::ScopedJoinHandle::is_finished)
        {
            let (old, new) = [("100s", "90s"), ("90s", "100s")][reloads % 2];
            bed.change(old, new);
            bed.reload();
            reloads += 1;
        }
        for worker in workers {
            worker.join().unwrap();
        }
        drop(over);
        assert!(readers.join().unwrap() > 0);
        reloads
    });
    assert!(reloads > 1, "{reloads} reloads amid all transfers");
    eventually("all sessions are gone", || {
        bed.json("/status")["sessions"] == 0
    });
    let (all, cores) = (bed.all_series(""), bed.all_series("?by=core"));
    assert_adds_up(&all, &cores);
    let counted = |name: &str| all[name];
    let verb = |verb: &str| {
        counted(&format!(
            "sluicegate_transfer_verbs_total{{verb=\"{verb}\",outcome=\"completed\"}}"
        ))
    };
    assert_eq!(
        (verb("RETR"), verb("STOR")),
        (12.0 * TRANSFERS as f64, 12.0)
    );
    assert_eq!(counted("sluicegate_sessions_opened_total"), 12.0);
    assert_eq!(counted("sluicegate_sessions_ended_total"), 12.0);
    assert_eq!(
        counted("sluicegate_config_reloads_total{outcome=\"loaded\"}"),
        reloads as f64
    );
}

/// What the allocator may keep: a configuration that stays behind takes some 5 KiB on two cores, and so 700 here.
const SLACK_KIB: usize = 400;

#[test]
fn hundreds_of_reloads_leave_nothing_behind() {
    let bed = Bed::new(|setup| {
        let setup = setup.log("level", "\"info\"").narrow(40);
        // The histograms of an answer go back to the kernel each time, or not at all as the allocator has it: megabytes.
        let setup = setup.environment("MALLOC_MMAP_THRESHOLD_", "131072");
        // A name is looked up by a thread of its own, which must go with its configuration.
        setup
            .listener("advertise", "\"localhost\"")
            .timeout("idle", "100s")
    });
    let (one, ports) = (bed.text(), bed.gate.ports());
    let address = format!("\"{}\"", bed.gate.address());
    let two = format!("[\"127.0.0.1:{}\", {address}]", ports.control() + 1);
    // Another TLS each time as well: what stays the same is kept.
    let two = one
        .replace("[[listener]]", "[[listener]]\nalpn = \"ignore\"")
        .replace(&address, &two);
    let mut old = None;
    let mut round = |count: usize| {
        for number in 0..count {
            bed.write([&two, &one][number % 2]);
            bed.reload();
            // A session that has begun with the configuration before is over only now: what it had goes with it.
            let mut new = bed.client();
            new.say("NOOP").expect(&[200]);
            old = Some(new);
        }
        old = None;
        eventually("all sessions are gone", || {
            bed.json("/status")["sessions"] == 0
        });
        (
            bed.gate.resident_kib(),
            bed.gate.descriptors(),
            bed.gate.threads(),
        )
    };
    // The histograms that cores and collector hand to and fro are in memory once each of them has been cleared.
    for _ in 0..4 {
        adds_up(&bed.json("/status"));
    }
    let (early_kib, early_descriptors, early_threads) = round(50);
    // What is made when it is first needed, such as the cells of a second reading, comes once, in any round. What stays
    // behind comes in each.
    let sizes = [early_kib, round(100).0, round(100).0, round(100).0];
    let is_steady = |pair: &[usize]| pair[1] < pair[0] + SLACK_KIB;
    assert!(sizes.windows(2).any(is_steady), "{sizes:?} KiB");
    bed.gate.wait_for_descriptors(early_descriptors + 2);
    eventually("the threads of old configurations have ended", || {
        bed.gate.threads() <= early_threads + 1
    });
}

/// One stream through the gate: how its handshake went, or what the gate has said against it.
fn visit(
    gate: &Gate,
    backend: &TcpListener,
    config: &Arc<ClientConfig>,
) -> io::Result<Option<HandshakeKind>> {
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::clone(config), name).unwrap();
    let socket = TcpStream::connect(gate.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(client, socket);
    // The backend is dialled at once, whoever the client turns out to be.
    let mut backend = backend.accept().unwrap().0;
    backend.write_all(b"hello").unwrap();
    drop(backend);
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard)?;
    assert_eq!(heard, b"hello");
    Ok(stream.conn.handshake_kind())
}

#[test]
fn what_was_issued_before_is_resumed_unless_anything_has_changed() {
    for versions in [Versions::Only12, Versions::Only13] {
        let (listener, address): (_, SocketAddr) = server();
        let bed = Bed::before(address, streams::setup(TLS, OFF));
        let config = bed.scene.authority.client(versions);
        let try_visit = || visit(&bed.gate, &listener, &config);
        let visit = || try_visit().unwrap();
        assert_eq!(visit(), Some(HandshakeKind::Full));
        assert_eq!(visit(), Some(HandshakeKind::Resumed));
        bed.change("[log]", "[timeouts]\nidle = \"90s\"\n[log]");
        bed.reload();
        assert_eq!(visit(), Some(HandshakeKind::Resumed), "{versions:?}");
        // Another certificate, though of the same authority.
        let renewed: Scene = Scene::new();
        let [certificate, key] = bed
            .scene
            .authority
            .issue(&renewed.folder("new"), "localhost");
        std::fs::copy(certificate, bed.scene.authority.certificate_file()).unwrap();
        std::fs::copy(key, bed.scene.authority.key_file()).unwrap();
        bed.reload();
        assert_eq!(visit(), Some(HandshakeKind::Full), "{versions:?}");
        assert_eq!(visit(), Some(HandshakeKind::Resumed));
        // A certificate is asked for now: nobody gets round that by what he had before.
        let ca = bed.scene.authority.ca_file().display().to_string();
        let asked =
            format!("[[listener]]\nclient_certificates = \"required\"\nclient_ca = \"{ca}\"");
        bed.change("[[listener]]", &asked);
        bed.reload();
        let told = try_visit().unwrap_err().to_string();
        assert!(told.contains("CertificateRequired"), "{versions:?}: {told}");
    }
}
