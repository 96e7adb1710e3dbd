//! What is set up for the demo: certificates in a directory of their own, the backend, and the gate before it.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};

use crate::gate::{self, Running, check};
use crate::limits;
use crate::rig::backend::{self, Server};
use crate::rig::certificates::Authority;
use crate::sys::{cpus, rlimits};

/// Everything that is up while the demo is.
pub(super) struct Stage {
    /// Whom the client trusts.
    pub(super) trust: Arc<ClientConfig>,
    pub(super) backend: Server,
    pub(super) gate: SocketAddr,
    /// CPUs the gate serves on.
    pub(super) cores: usize,
    running: Running,
    directory: Directory,
}

impl Stage {
    /// Sets it up, or says everything that stands against it.
    pub(super) fn set() -> Result<Self, String> {
        let mut cores = cpus::available();
        cores.truncate(CORES_MAX);
        // Before the first executor: what the limits allow to be raised is raised here.
        let each = limits::DESCRIPTORS_PER_SESSION;
        let faults = rlimits::startup_faults(cores.len() + 2, 2 * SESSIONS, each);
        if !faults.is_empty() {
            return Err(lines(&faults));
        }
        let directory = Directory::new().map_err(|error| format!("no directory: {error}"))?;
        let (trust, backend) = counterparts(&directory)?;
        let file = directory.0.join("gate.toml");
        let text = configuration(&cores, backend.addresses()[0]);
        write(&file, &text)?;
        let prepared = check::load(&file, SystemTime::now()).map_err(|faults| lines(&faults))?;
        let running = gate::start(&prepared).map_err(|faults| lines(&faults))?;
        let gate = running.addresses().first().and_then(|all| all.first());
        let gate = *gate.ok_or("the gate has no address")?;
        Ok(Self {
            trust,
            backend,
            gate,
            cores: cores.len(),
            running,
            directory,
        })
    }

    /// The authority's certificate, for other clients.
    pub(super) fn authority(&self) -> PathBuf {
        self.directory.0.join(AUTHORITY)
    }

    /// Takes everything down again.
    pub(super) fn strike(self) -> io::Result<()> {
        self.running.stop()?;
        self.backend.stop();
        Ok(())
    }
}

/// More would show nothing more, and cost descriptors that an ordinary user may not have.
const CORES_MAX: usize = 2;

/// Sessions of the gate: enough for any client with parallel transfers, few enough for 1,024 descriptors.
const SESSIONS: usize = 50;

const AUTHORITY: &str = "ca.pem";

/// An authority, what it issues, and the backend that shows it.
fn counterparts(directory: &Directory) -> Result<(Arc<ClientConfig>, Server), String> {
    let told = |fault: crate::rig::certificates::Fault| fault.to_string();
    let authority = Authority::new().map_err(told)?;
    let loopback = [Ipv4Addr::LOCALHOST.into()];
    let issue = || authority.issue(&["localhost"], &loopback).map_err(told);
    let (gate, inside) = (issue()?, issue()?);
    write(&directory.0.join(AUTHORITY), &authority.pem())?;
    write(&directory.0.join("gate.pem"), &gate.certificate_pem())?;
    write(&directory.0.join("gate.key"), &gate.key_pem())?;
    let versions = [&TLS13, &TLS12];
    let backend = Server::start_thread(backend::Options {
        tls: Some(inside.server_config(&versions).map_err(told)?),
        ..backend::Options::default()
    });
    let backend = backend.map_err(|error| format!("the backend does not start: {error}"))?;
    let trust = authority.client_config(&versions).map_err(told)?;
    Ok((trust, backend))
}

/// As `config/demo.toml`, with ports that are free and as many cores as are shown.
fn configuration(cores: &[usize], backend: SocketAddr) -> String {
    format!(
        r#"
[process]
cores = {cores:?}

[limits]
sessions = {SESSIONS}

[timeouts]
data_connect = "5s"
data_handshake = "2s"
data_first_byte = "10s"
drain = "2s"

[[listener]]
name = "demo"
address = "127.0.0.1:0"
pool = "demo"
certificate = "gate.pem"
key = "gate.key"
passive_ports = "42000-42999"
banner = "sluicegate, a demonstration"

[[pool]]
name = "demo"
members = ["{backend}"]
ca = "{AUTHORITY}"
"#
    )
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn lines<T: std::fmt::Display>(faults: &[T]) -> String {
    faults.iter().fold(String::new(), |mut text, fault| {
        writeln!(text, "  {fault}").expect("a string takes every write");
        text
    })
}

/// A directory that only this user can enter and that goes with its value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> io::Result<Self> {
        // A name that others cannot guess, and an error where it exists all the same.
        let random = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let path = std::env::temp_dir().join(format!("sluicegate-demo-{random:016x}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed stays: a key of an authority that nobody trusts.
        fs::remove_dir_all(&self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one_that_would_be_served() {
        let directory = Directory::new().unwrap();
        let (_trust, backend) = counterparts(&directory).unwrap();
        let file = directory.0.join("gate.toml");
        write(&file, &configuration(&[0], backend.addresses()[0])).unwrap();
        let prepared = check::load(&file, SystemTime::now()).map_err(|faults| lines(&faults));
        assert_eq!(prepared.unwrap().config.warnings, []);
        let path = directory.0.clone();
        drop(directory);
        assert!(!path.exists());
    }
}
