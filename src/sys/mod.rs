//! What the operating system offers and no library wraps safely: descriptors, CPUs, resource limits, the clock.
//! Used by `net` for its sockets, by `session` for the time, and by the gate for its start-up checks.
//! It never waits, never decides and never speaks a protocol; the only `unsafe` of the house lives here.

#![allow(unsafe_code)] // this is its floor; every block says why it is sound

pub mod clock;
pub mod cpus;
pub mod ktls;
pub mod pipe;
pub mod process;
pub mod rlimits;
pub mod schedstat;
pub mod sockopt;
pub mod splice;
