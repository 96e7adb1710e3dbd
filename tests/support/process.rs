//! Child processes that end with the test: servers, the gate, and clients that run to their end.
//!
//! A child leads a process group of its own, which is killed as a whole; what it printed is kept, and shown when
//! the test that owns it fails.

use std::io::{BufRead as _, BufReader, Read};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{PATIENCE, deadline, eventually};

#[derive(Default)]
struct Output {
    text: String,
    /// Outputs that the child has not closed: none when it has ended.
    open: usize,
}

/// What a child printed so far, on both of its outputs.
#[derive(Clone, Default)]
struct Printed(Arc<(Mutex<Output>, Condvar)>);

impl Printed {
    fn collect(&self, pipe: impl Read + Send + 'static) {
        self.0.0.lock().unwrap().open += 1;
        let printed = self.clone();
        thread::spawn(move || {
            let mut lines = BufReader::new(pipe);
            let mut line = Vec::new();
            let (output, changed) = &*printed.0;
            while matches!(lines.read_until(b'\n', &mut line), Ok(length) if length > 0) {
                let text = String::from_utf8_lossy(&line).into_owned();
                output.lock().unwrap().text.push_str(&text);
                changed.notify_all();
                line.clear();
            }
            output.lock().unwrap().open -= 1;
            changed.notify_all();
        });
    }

    fn text(&self) -> String {
        self.0.0.lock().unwrap().text.clone()
    }

    /// Waits until so many lines were printed for which `wanted` holds; those that were, when there never will be more.
    fn wait_for(&self, count: usize, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let deadline = Instant::now() + 4 * PATIENCE;
        let (output, changed) = &*self.0;
        let mut output = output.lock().unwrap();
        loop {
            let found: Vec<&str> = output.text.lines().filter(|line| wanted(line)).collect();
            let left = deadline.saturating_duration_since(Instant::now());
            if found.len() >= count || left.is_zero() || output.open == 0 {
                return found.into_iter().map(str::to_owned).collect();
            }
            output = changed.wait_timeout(output, left).unwrap().0;
        }
    }

    /// Waits until the child has closed its outputs: then everything it printed is here.
    fn wait_for_end(&self) {
        let (output, changed) = &*self.0;
        let output = output.lock().unwrap();
        let ended = changed.wait_timeout_while(output, PATIENCE, |output| output.open > 0);
        assert!(
            !ended.unwrap().1.timed_out(),
            "somebody keeps its outputs open"
        );
    }
}

/// A server that runs until it is dropped; when `drop` has returned, all of its processes are gone.
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    printed: Printed,
    log_files: Vec<PathBuf>,
    is_ended: bool,
}

impl Server {
    /// Starts it; `log_files` are shown beside its output when the test fails.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        log_files: Vec<PathBuf>,
    ) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let printed = Printed::default();
        printed.collect(child.stdout.take().unwrap());
        printed.collect(child.stderr.take().unwrap());
        Self {
            name,
            child,
            printed,
            log_files,
            is_ended: false,
        }
    }

    /// Waits until it takes connections on a port of the loopback address.
    pub(crate) fn wait_until_listening(&mut self, port: u16) {
        let name = self.name;
        eventually(&format!("{name} listens on port {port}"), || {
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "{name} ended: {}",
                self.log()
            );
            listens(port)
        });
    }

    /// As `wait_until_listening`, where others may listen on the same port of another address.
    pub(crate) fn wait_until_listening_at(&mut self, ip: Ipv4Addr, port: u16) {
        let name = self.name;
        let local = format!("{:08X}:{port:04X}", u32::from_le_bytes(ip.octets()));
        eventually(&format!("{name} listens on {ip}:{port}"), || {
            let log = self.log();
            assert!(self.is_running(), "{name} ended: {log}");
            listens_at(&local)
        });
    }

    /// Waits for a printed line, and gives it back.
    pub(crate) fn wait_for_line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.wait_for_lines(1, what, wanted).remove(0)
    }

    /// Waits until a line like this was printed so many times, and gives all of them back: what another process does is
    /// printed some time after it can be seen.
    pub(crate) fn wait_for_lines(
        &self,
        count: usize,
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let found = self.printed.wait_for(count, wanted);
        assert!(
            found.len() >= count,
            "{} printed {what} {} times of {count}:\n{}",
            self.name,
            found.len(),
            self.log()
        );
        found
    }

    /// Everything it printed and logged.
    pub(crate) fn log(&self) -> String {
        let mut all = self.printed.text();
        for file in &self.log_files {
            all.push_str(&std::fs::read_to_string(file).unwrap_or_default());
        }
        all
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success(), "SIG{name} was not sent");
    }

    /// Waits until it has ended by itself, and all that it printed is here; its exit code, none when a signal has ended it.
    pub(crate) fn wait_for_exit(&mut self) -> Option<i32> {
        eventually("the process ends", || !self.is_running());
        self.printed.wait_for_end();
        self.child.wait().unwrap().code()
    }

    /// Ends it; all that it has printed is here then.
    pub(crate) fn end(&mut self) {
        kill_group(&mut self.child);
        self.is_ended = true;
        self.printed.wait_for_end();
    }

    /// True while the process has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.is_ended {
            kill_group(&mut self.child);
        }
        if thread::panicking() {
            eprintln!("--- {} said:\n{}", self.name, self.log());
        }
    }
}

/// What a client that ran to its end left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    /// Fails the test unless the client was content.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!(
            self.status.success(),
            "{}\n{}\n{}",
            self.status,
            String::from_utf8_lossy(&self.stdout),
            self.stderr
        );
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Runs a client to its end; one that does not end in time is killed, and the test fails.
pub(crate) fn run(command: &mut Command) -> Ran {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let out = thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    let err = thread::spawn(move || {
        let mut bytes = Vec::new();
        stderr.read_to_end(&mut bytes).map(|_| bytes)
    });
    // A client may make a thousand transfers in one run, sleep for a second in each of them (curl), and share its machine.
    let deadline = deadline() + 39 * PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > deadline {
            kill_group(&mut child);
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let stdout = out.join().unwrap().unwrap();
    let stderr = String::from_utf8_lossy(&err.join().unwrap().unwrap()).into_owned();
    let Some(status) = status else {
        panic!(
            "{command:?} hangs:\n{}\n{stderr}",
            String::from_utf8_lossy(&stdout)
        );
    };
    Ran {
        status,
        stdout,
        stderr,
    }
}

fn kill_group(child: &mut Child) {
    // A group whose leader has been waited for may be gone; then there is nothing left to kill.
    let killed = Command::new("kill")
        .args(["-KILL", "--", &format!("-{}", child.id())])
        .stderr(Stdio::null())
        .status();
    if !killed.is_ok_and(|status| status.success()) {
        child.kill().ok();
    }
    child.wait().ok();
    // A server's sessions hold its ports and its files until they are gone as well.
    let deadline = deadline();
    while is_alive(child.id()) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a process of this group has not ended; those that nobody has waited for have.
fn is_alive(group: u32) -> bool {
    let lives = |stat: &str| {
        // Behind the name, which may hold anything: state, parent, group.
        let mut columns = stat.rsplit_once(')')?.1.split_whitespace();
        let is_over = matches!(columns.next()?, "Z" | "X");
        Some(!is_over && columns.nth(1)?.parse() == Ok(group))
    };
    std::fs::read_dir("/proc").unwrap().any(|process| {
        process
            .and_then(|process| std::fs::read_to_string(process.path().join("stat")))
            .is_ok_and(|stat| lives(&stat).unwrap_or_default())
    })
}

/// Whether something listens on a TCP port, as the kernel tells: connecting would be seen by the server.
fn listens(port: u16) -> bool {
    listens_at(&format!(":{port:04X}"))
}

/// The same by the end of what the kernel writes for the address.
fn listens_at(end: &str) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        std::fs::read_to_string(table)
            .unwrap_or_default()
            .lines()
            .any(|line| {
                let mut columns = line.split_whitespace().skip(1);
                let local = columns.next().unwrap_or_default();
                let state = columns.nth(1).unwrap_or_default();
                state == "0A" && local.ends_with(end)
            })
    })
}
