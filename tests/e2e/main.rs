//! End to end: real clients, the gate, and real servers, over loopback sockets.
//!
//! `direct` proves the test bed without the gate; every other module shows one part of the contract in
//! `docs/PROTOCOL.md` with the gate in between. Tests run in parallel on ports of their own.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test may block: it is no core's business"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a broken premise fails the test, as it should"
)]

mod admin;
mod apar;
mod backends;
mod balance;
mod binding;
mod bounds;
mod clearing;
mod cores;
mod dashboard;
mod direct;
mod during;
mod empties;
mod field;
mod growth;
mod habits;
mod hosts;
mod identity;
mod interop;
mod journal;
mod kernel;
mod limits;
mod login;
mod members;
mod metrics;
mod modes;
mod outcomes;
mod page;
mod panics;
mod paths;
mod pressure;
mod proxied;
mod readers;
mod reload;
mod reloads;
mod servers;
mod standing;
mod stop;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod top;
mod ways;
