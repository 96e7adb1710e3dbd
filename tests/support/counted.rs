//! A gate in this process, whose memory is counted byte by byte, and a backend in a child: for tests of what the gate takes.
//!
//! The tests of one such file stand alone in their process: there is one allocator, and everybody's memory is counted, but
//! that of threads which say that they are a client's.

#![allow(unsafe_code, reason = "a global allocator cannot be had without")]
#![allow(dead_code, reason = "no test asks for everything")]
#![allow(
    clippy::disallowed_types,
    reason = "a test may block: it is no core's business"
)]
#![allow(
    clippy::panic,
    reason = "a broken premise fails the test, as it should"
)]

mod ports;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicIsize, AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use sluicegate::gate;

/// Counts, and leaves the work to the system's allocator.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often memory was taken, how much of it in all, and how much is held.
static TAKEN: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static IS_CLIENT: Cell<bool> = const { Cell::new(false) };
}

/// How often memory was taken so far, and how many bytes.
pub(crate) fn taken() -> (u64, u64) {
    (TAKEN.load(Relaxed), BYTES.load(Relaxed))
}

/// How many bytes are held.
pub(crate) fn held() -> isize {
    HELD.load(Relaxed)
}

/// What this thread takes from now on is a client's, and not counted.
pub(crate) fn leave_out_this_thread() {
    IS_CLIENT.set(true);
}

fn take(bytes: usize) {
    if !IS_CLIENT.get() {
        TAKEN.fetch_add(1, Relaxed);
        BYTES.fetch_add(bytes as u64, Relaxed);
        HELD.fetch_add(bytes.cast_signed(), Relaxed);
    }
}

fn give(bytes: usize) {
    if !IS_CLIENT.get() {
        HELD.fetch_sub(bytes.cast_signed(), Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as the caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as the caller has promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        give(layout.size());
        take(size);
        // SAFETY: as the caller has promised.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        give(layout.size());
        // SAFETY: as the caller has promised.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// A child that ends with its value.
pub(crate) struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The program as a command of its own.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sluicegate"))
}

/// The backend, and where it listens. It makes the certificates for all.
pub(crate) fn backend(folder: &Path) -> (Ended, String) {
    let mut command = program();
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

/// A gate on one core before this backend, and its ports; `keys` stand in its listener and in its pool.
pub(crate) fn start(folder: &Path, backend: &str, keys: &str) -> (gate::Running, ports::Ports) {
    let ports = ports::Ports::reserve();
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
        {keys}
        [[pool]]
        name = "inside"
        members = ["{backend}"]
        ca = "{place}/ca.pem"
        server_name = "localhost"
        {keys}
        "#
    );
    let file = folder.join("gate.toml");
    std::fs::write(&file, text).expect("the configuration can be written");
    let prepared = gate::check::load(&file, SystemTime::now()).expect("the configuration is right");
    let started = gate::start(&prepared).ok();
    (started.expect("the gate can be started"), ports)
}
