//! The gate's counterparts: a backend that can misbehave, a client that looks closely, the demo; a backend and a client for load.
//! The command line uses the demo and those for load; tests use backend and client, around a gate or alone.
//! It never serves a real user: everything that is uploaded stays in memory, and any name may log in.

pub mod anvil;
pub mod backend;
pub mod certificates;
pub mod client;
pub mod demo;
mod goods;
pub mod load;
mod pattern;
pub mod suite;
mod wait;
mod wire;

pub use pattern::{Crc, PERIOD_BYTES, Source, Stretch};

use std::time::Duration;

use crate::tls::{TlsFacts, TlsVersion};

/// How a data connection became private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What was agreed on.
    pub version: TlsVersion,
    /// Whether the control connection's session was resumed.
    pub resumed: bool,
    /// From TCP established to the end of the handshake.
    pub took: Duration,
}

impl Handshake {
    fn new(facts: &TlsFacts, took: Duration) -> Self {
        Self {
            version: facts.version,
            resumed: facts.resumed,
            took,
        }
    }
}
