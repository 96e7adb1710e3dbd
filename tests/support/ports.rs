//! Blocks of ports that no other test, of this process or another, uses at the same time.
//!
//! They lie below the range from which the kernel takes ports for outgoing connections, so a port of a block is
//! free unless something foreign listens on it; the servers and the gate are given whole blocks.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

const FIRST_PORT: u16 = 20_000;
const BLOCK_PORTS: u16 = 100;
const BLOCKS: u16 = 125;

/// Neighbouring blocks of ports, held by locked files until dropped.
pub(crate) struct Ports {
    first: u16,
    count: u16,
    _locks: Vec<File>,
}

impl Ports {
    /// One block.
    pub(crate) fn reserve() -> Self {
        Self::reserve_for(BLOCK_PORTS)
    }

    /// As many blocks side by side as hold `ports`.
    pub(crate) fn reserve_for(ports: u16) -> Self {
        let blocks = ports.div_ceil(BLOCK_PORTS);
        let mut start = 0;
        while start + blocks <= BLOCKS {
            let locks: Vec<File> = (start..start + blocks).map_while(lock).collect();
            if locks.len() == usize::from(blocks) {
                return Self {
                    first: FIRST_PORT + start * BLOCK_PORTS,
                    count: blocks * BLOCK_PORTS,
                    _locks: locks,
                };
            }
            start += 1;
        }
        panic!("no {blocks} blocks of ports are free: too many tests at once");
    }

    /// The port for a server's control connections.
    pub(crate) fn control(&self) -> u16 {
        self.first
    }

    /// The ports for its data connections.
    pub(crate) fn passive(&self) -> RangeInclusive<u16> {
        self.first + 10..=self.first + self.count - 1
    }
}

fn lock(block: u16) -> Option<File> {
    let path = std::env::temp_dir().join(format!("sluicegate-e2e-ports-{block}.lock"));
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
        .ok()?;
    file.try_lock().ok()?;
    // A server that outlived a killed test run still listens, and the gate's shared listeners would stand beside it.
    let control = FIRST_PORT + block * BLOCK_PORTS;
    TcpListener::bind((Ipv4Addr::LOCALHOST, control)).ok()?;
    Some(file)
}
