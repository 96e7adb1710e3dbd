//! What this machine's primitives cost: the least that any proxy must spend, measured alone, one thread doing nothing else.
//!
//! `cargo bench --bench floors -- [--cores OWN,PEERS] [--seconds S] [--only NAME,NAME]` prints one JSON object. perf/run adds
//! them up to the floor of each unit. CPU time is the kernel's own count for the thread (`/proc/thread-self/schedstat`), waits excluded.

use std::cell::Cell;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
#[expect(clippy::disallowed_types, reason = "a floor is one thread that blocks")]
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustix::io::ioctl_fionread;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use rustls::{HandshakeKind, SupportedProtocolVersion, version};
use sluicegate::rig::certificates::Authority;
use sluicegate::sys::clock;

#[expect(clippy::disallowed_types, reason = "as where they are imported")]
type Listener = TcpListener;
#[expect(clippy::disallowed_types, reason = "as where they are imported")]
type Stream = TcpStream;

fn main() -> io::Result<()> {
    let flags: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        let at = flags.iter().position(|flag| flag == name)?;
        flags.get(at + 1).map(String::as_str)
    };
    let cores = after("--cores").unwrap_or("0,1");
    let (own, peers) = cores.split_once(',').unwrap_or((cores, cores));
    let core = |word: &str| word.parse().unwrap_or(0);
    let (own, peers) = (core(own), core(peers));
    let seconds = after("--seconds").and_then(|word| word.parse().ok());
    let span = Duration::from_secs_f64(seconds.unwrap_or(0.5));
    pin(own);
    let only = after("--only").map(|names| names.split(',').collect::<Vec<_>>());
    let is_there = |name: &&str| PRIMITIVES.iter().any(|(own, _)| own == name);
    if let Some(missing) = only.iter().flatten().find(|name| !is_there(name)) {
        return Err(io::Error::other(format!("{missing} is no primitive")));
    }
    let lines = PRIMITIVES
        .iter()
        .filter(|(name, _)| only.as_ref().is_none_or(|only| only.contains(name)))
        .map(|(name, measure)| Ok(format!("  \"{name}\": {:.4}", measure(peers, span)?)))
        .collect::<io::Result<Vec<_>>>()?;
    println!("{{\n{}\n}}", lines.join(",\n"));
    Ok(())
}

/// What one takes; told the core of its peers, and for how long to measure.
type Primitive = fn(usize, Duration) -> io::Result<f64>;

/// All there are, in the order of the output.
const PRIMITIVES: [(&str, Primitive); 11] = [
    ("full_1.2_us", |_, span| {
        Ok(handshake(&version::TLS12, false, span))
    }),
    ("resumed_1.2_us", |_, span| {
        Ok(handshake(&version::TLS12, true, span))
    }),
    ("full_1.3_us", |_, span| {
        Ok(handshake(&version::TLS13, false, span))
    }),
    ("resumed_1.3_us", |_, span| {
        Ok(handshake(&version::TLS13, true, span))
    }),
    ("aead_s_per_gb", |_, span| {
        Ok(aead(16 * 1024, span) * 1e3 / (16.0 * 1024.0))
    }),
    ("aead_line_us", |_, span| Ok(aead(64, span))),
    ("message_us", message),
    ("connection_us", connection),
    ("listener_us", |_, span| listener(span)),
    ("copy_s_per_gb", |peers, span| bulk(peers, span, copy)),
    ("splice_s_per_gb", |peers, span| bulk(peers, span, spliced)),
];

fn pin(core: usize) {
    // Where it is refused (a smaller cpuset), the kernel places the thread, and the figures are noisier.
    core_affinity::set_for_current(core_affinity::CoreId { id: core });
}

/// CPU time of this thread so far.
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Microseconds of CPU that one turn of `work` costs, over at least `span`.
fn cost(span: Duration, mut work: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    for _ in 0..20 {
        work()?;
    }
    let (began, before): (Instant, _) = (clock::now(), cpu());
    let mut turns = 0_u32;
    while clock::now() - began < span {
        for _ in 0..10 {
            work()?;
        }
        turns += 10;
    }
    Ok((cpu() - before).as_secs_f64() * 1e6 / f64::from(turns))
}

/// Server and client halves of a handshake, in memory: what a session break does once for each connection.
fn handshake(version: &'static SupportedProtocolVersion, resumes: bool, span: Duration) -> f64 {
    let authority = Authority::new().expect("an authority");
    let identity = authority.issue(&["localhost"], &[]).expect("a certificate");
    let server = identity.server_config(&[version]).expect("a server");
    let mut server = ServerConfig::clone(&server);
    // A ticket is used once: to resume the next time takes one, and without resumption none is worth sending.
    server.send_tls13_tickets = usize::from(resumes);
    if !resumes {
        server.session_storage = Arc::new(NoServerSessionStorage {});
    }
    let server = Arc::new(server);
    let client = authority.client_config(&[version]).expect("a client");
    let mut client = ClientConfig::clone(&client);
    client.resumption = if resumes {
        Resumption::in_memory_sessions(64)
    } else {
        Resumption::disabled()
    };
    let client = Arc::new(client);
    shake(&server, &client);
    let expected = if resumes {
        HandshakeKind::Resumed
    } else {
        HandshakeKind::Full
    };
    cost(span, || {
        assert_eq!(shake(&server, &client), expected, "another measurement");
        Ok(())
    })
    .expect("nothing here does I/O")
}

fn shake(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> HandshakeKind {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut server = ServerConnection::new(Arc::clone(server)).expect("a server");
    let mut client = ClientConnection::new(Arc::clone(client), name).expect("a client");
    let mut wire = Vec::new();
    loop {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("memory");
        }
        let mut went = wire.len();
        feed(&wire, |bytes| {
            server.read_tls(bytes).expect("memory");
            server.process_new_packets().expect("the client's part");
        });
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("memory");
        }
        went += wire.len();
        feed(&wire, |bytes| {
            client.read_tls(bytes).expect("memory");
            client.process_new_packets().expect("the server's part");
        });
        if went == 0 {
            return client.handshake_kind().expect("it is complete");
        }
    }
}

fn feed(mut wire: &[u8], mut take: impl FnMut(&mut &[u8])) {
    while !wire.is_empty() {
        take(&mut wire);
    }
}

/// Opens a record of one key and seals it with another, in place, AES-256-GCM; microseconds.
fn aead(len: usize, span: Duration) -> f64 {
    let key = |byte| LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[byte; 32]).expect("a key"));
    let (first, second) = (key(1), key(2));
    let nonce = || Nonce::assume_unique_for_key([7; 12]);
    let mut record = vec![0x5A; len];
    first
        .seal_in_place_append_tag(nonce(), Aad::empty(), &mut record)
        .expect("a record");
    let pristine = record.clone();
    // A record can be opened once: the copy that brings it back is what its arrival would cost, too.
    cost(span, || {
        record.copy_from_slice(&pristine);
        let plain = first
            .open_in_place(nonce(), Aad::empty(), &mut record)
            .expect("its own record");
        let tag = second
            .seal_in_place_separate_tag(nonce(), Aad::empty(), plain)
            .expect("a record");
        std::hint::black_box(tag.as_ref());
        Ok(())
    })
    .expect("nothing here does I/O")
}

fn listen() -> io::Result<(Listener, SocketAddr)> {
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// A line from a client to a backend and one back, over connections that stand: two reads and two writes. There are
/// several clients, as under load, so that a read seldom has to wait. The peers are threads of another core.
fn message(peers: usize, span: Duration) -> io::Result<f64> {
    let ((own, own_at), (backend, backend_at)) = (listen()?, listen()?);
    let without_delay = |stream: Stream| stream.set_nodelay(true).map(|()| stream);
    let accept = move |listener: &Listener| {
        listener
            .accept()
            .and_then(|(stream, _)| without_delay(stream))
    };
    let dial = move |address| Stream::connect(address).and_then(without_delay);
    let client = thread::spawn(move || -> io::Result<()> {
        pin(peers);
        let mut streams = several(|| dial(own_at))?;
        let mut line = [7; LINE_BYTES];
        for stream in &mut streams {
            stream.write_all(&line)?;
        }
        loop {
            for stream in &mut streams {
                stream.read_exact(&mut line)?;
                stream.write_all(&line)?;
            }
        }
    });
    let mut client_legs = several(|| accept(&own))?;
    let echo = thread::spawn(move || -> io::Result<()> {
        pin(peers);
        let mut streams = several(|| accept(&backend))?;
        let mut line = [0; LINE_BYTES];
        loop {
            for stream in &mut streams {
                stream.read_exact(&mut line)?;
                stream.write_all(&line)?;
            }
        }
    });
    let mut backend_legs = several(|| dial(backend_at))?;
    let mut line = [0; LINE_BYTES];
    let mut carry = |from: &mut [Stream], to: &mut [Stream]| -> io::Result<()> {
        for (from, to) in from.iter_mut().zip(to) {
            from.read_exact(&mut line)?;
            to.write_all(&line)?;
        }
        Ok(())
    };
    let cost = cost(span, || {
        carry(&mut client_legs, &mut backend_legs)?;
        carry(&mut backend_legs, &mut client_legs)
    });
    drop((client_legs, backend_legs));
    join(client)?;
    join(echo)?;
    cost.map(|cost| cost / CLIENTS as f64)
}

/// Clients that speak at once, as many as perf/run has sessions in most of its units.
const CLIENTS: usize = 8;

/// About what a command and a reply have with their record around them.
const LINE_BYTES: usize = 64;

/// A connection taken, one made behind it, a byte each way, both ends of both, closed: what a plain relay does at least.
/// As many at once as there are clients, step by step. Each step waits once for all of them, as an event loop under load
/// does: its peers go through theirs in the same order, so that where the last one is ready all are.
fn connection(peers: usize, span: Duration) -> io::Result<f64> {
    let ((own, own_at), (backend, backend_at)) = (listen()?, listen()?);
    let echo = thread::spawn(move || echo_bytes(&backend, peers));
    let done = Arc::new(AtomicBool::new(false));
    let is_done = Arc::clone(&done);
    let (mut bell, mut rope) = io::pipe()?;
    let client = thread::spawn(move || -> io::Result<()> {
        pin(peers);
        loop {
            let mut byte = [if is_done.load(Ordering::Relaxed) {
                LAST
            } else {
                7
            }];
            let mut legs = several(|| {
                let mut leg = Stream::connect(own_at)?;
                leg.write_all(&byte).map(|()| leg)
            })?;
            rope.write_all(&byte)?;
            for leg in &mut legs {
                leg.read_exact(&mut byte)?;
                leg.shutdown(Shutdown::Write)?;
            }
            legs.iter_mut().try_for_each(end)?;
            if byte[0] == LAST {
                return Ok(());
            }
        }
    });
    let is_last = Cell::new(false);
    let mut turn = || -> io::Result<()> {
        let mut byte = [0];
        bell.read_exact(&mut byte)?;
        let mut clients = several(|| Ok(own.accept()?.0))?;
        let mut backends = several(|| Stream::connect(backend_at))?;
        for (client, backend) in clients.iter_mut().zip(&mut backends) {
            client.read_exact(&mut byte)?;
            backend.write_all(&byte)?;
        }
        is_last.set(byte[0] == LAST);
        for (client, backend) in clients.iter_mut().zip(&mut backends).rev() {
            backend.read_exact(&mut byte)?;
            client.write_all(&byte)?;
        }
        for (client, backend) in clients.iter_mut().zip(&mut backends).rev() {
            end(client)?;
            backend.shutdown(Shutdown::Write)?;
        }
        // The clients' ends leave with their sockets.
        backends.iter_mut().rev().try_for_each(end)
    };
    let cost = cost(span, &mut turn);
    done.store(true, Ordering::Relaxed);
    while cost.is_ok() && !is_last.get() {
        turn()?;
    }
    join(client)?;
    join(echo)?;
    cost.map(|cost| cost / CLIENTS as f64)
}

/// Gives back the byte of each connection, until the last ones.
fn echo_bytes(listener: &Listener, peers: usize) -> io::Result<()> {
    pin(peers);
    loop {
        let mut legs = several(|| Ok(listener.accept()?.0))?;
        let mut byte = [0];
        for leg in &mut legs {
            leg.read_exact(&mut byte)?;
            leg.write_all(&byte)?;
        }
        legs.iter_mut().try_for_each(end)?;
        if byte[0] == LAST {
            return Ok(());
        }
    }
}

/// A port opened and closed again, as each transfer needs one; in no formula, since a proxy could keep its ports open.
fn listener(span: Duration) -> io::Result<f64> {
    cost(span, || {
        let (_listener, address) = listen()?;
        std::hint::black_box(address);
        Ok(())
    })
}

/// As many as there are clients.
fn several(mut open: impl FnMut() -> io::Result<Stream>) -> io::Result<Vec<Stream>> {
    (0..CLIENTS).map(|_| open()).collect()
}

/// Takes the other end's FIN.
fn end(stream: &mut Stream) -> io::Result<()> {
    match stream.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(io::Error::other("more than a byte")),
    }
}

/// The byte of the last connection.
const LAST: u8 = 9;

/// Seconds of CPU for a gigabyte from one connection to another.
fn bulk(
    peers: usize,
    span: Duration,
    relay: fn(&mut Stream, &mut Stream, GoesOn<'_>) -> io::Result<()>,
) -> io::Result<f64> {
    let ((own, own_at), (backend, backend_at)) = (listen()?, listen()?);
    let sink = thread::spawn(move || -> io::Result<()> {
        pin(peers);
        let (mut stream, _) = backend.accept()?;
        let mut buffer = vec![0; BUFFER_BYTES];
        while stream.read(&mut buffer)? > 0 {}
        Ok(())
    });
    let source = thread::spawn(move || -> io::Result<()> {
        pin(peers);
        let mut stream = Stream::connect(own_at)?;
        let buffer = vec![0x5A; BUFFER_BYTES];
        while stream.write_all(&buffer).is_ok() {}
        Ok(())
    });
    let (mut from, _) = own.accept()?;
    let mut to = Stream::connect(backend_at)?;
    let (began, mut moved, mut measured) = (clock::now(), 0_u64, None);
    // The first stretch lets TCP find its windows.
    relay(&mut from, &mut to, &mut |len| {
        let elapsed = clock::now() - began;
        match measured {
            None if elapsed > span / 4 => measured = Some(cpu()),
            None => {}
            Some(_) => moved += len as u64,
        }
        elapsed < 3 * span
    })?;
    let spent = cpu() - measured.unwrap_or_default();
    drop((from, to));
    join(source)?;
    join(sink)?;
    Ok(spent.as_secs_f64() * 1e9 / moved as f64)
}

/// Waits until enough is there to be worth a read: whoever takes each crumb as it comes pays for waking and for calls that
/// a loop with more to do does not have.
#[expect(
    clippy::disallowed_methods,
    reason = "a floor is one thread that blocks"
)]
fn gather(from: &Stream) -> io::Result<()> {
    for _ in 0..GATHERED_NAPS_MAX {
        if ioctl_fionread(from)? >= GATHERED_BYTES {
            break;
        }
        thread::sleep(NAP);
    }
    Ok(())
}

const GATHERED_BYTES: u64 = 256 * 1024;

/// A quarter of a MiB comes within it.
const NAP: Duration = Duration::from_micros(50);

/// While TCP finds its windows, and at the end, so much never comes.
const GATHERED_NAPS_MAX: usize = 4;

/// Told how many bytes went; whether there are to be more.
type GoesOn<'a> = &'a mut dyn FnMut(usize) -> bool;

const BUFFER_BYTES: usize = 1024 * 1024;

fn copy(from: &mut Stream, to: &mut Stream, goes_on: GoesOn<'_>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        gather(from)?;
        let len = from.read(&mut buffer)?;
        to.write_all(&buffer[..len])?;
        if len == 0 || !goes_on(len) {
            return Ok(());
        }
    }
}

fn spliced(from: &mut Stream, to: &mut Stream, goes_on: GoesOn<'_>) -> io::Result<()> {
    let (reader, writer) = io::pipe()?;
    // An ordinary user may have no more pipes of this size: then the floor is that of smaller ones.
    let _smaller = fcntl_setpipe_size(&writer, BUFFER_BYTES);
    loop {
        gather(from)?;
        let len = splice(&*from, None, &writer, None, BUFFER_BYTES, SpliceFlags::MOVE)?;
        let mut left = len;
        while left > 0 {
            left -= splice(&reader, None, &*to, None, left, SpliceFlags::MOVE)?;
        }
        if len == 0 || !goes_on(len) {
            return Ok(());
        }
    }
}

fn join(thread: thread::JoinHandle<io::Result<()>>) -> io::Result<()> {
    match thread.join() {
        // A peer that found its connection closed has ended as it should.
        Ok(_) => Ok(()),
        Err(_) => Err(io::Error::other("a peer has panicked")),
    }
}
