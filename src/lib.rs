//! sluicegate: an FTPS-aware session-break reverse proxy that completes every data channel.
//!
//! The house, ground first. A module may import only modules on lower floors; `tests/house.rs` holds it to that.
//!
//! ```text
//!  13  main                                  the command line
//!  12  rig       top                         embedded backends, strict client, demo, load | the live view in a terminal
//!  11  gate                                  the process: shards, signals, start-up checks
//!  10  admin                                 HTTP: health, metrics, status, sessions, the page, drain
//!   9  shard                                 one core and all it owns
//!   8  session                               one client's life: wait, decide, perform
//!   7  data      relay     upstream          open two legs | move bytes | reach a backend
//!   6  leg                                   plain or TLS stream; FTP lines on it
//!   5  tls                                   configurations, certificates, records
//!   4  net                                   sockets on glommio: listen, dial, ready, ports
//!   3b sys                                   the only unsafe: descriptors, CPUs, limits, clock
//!  ~~~~~~~~~~~~~~~~~~~~~~~ waterline: no I/O, no clock, no runtime below ~~~~~~~~~~~~~~~~~~~~~~~
//!   3  dialog    config                      whose turn is it | what the operator wants
//!   2  policy    pool      metrics   audit   may it | which one | how much | what happened
//!   1  ftp                                   the words: lines, verbs, replies, addresses
//!   0  limits                                every bound, and why
//! ```
//!
//! The library exists for the binary and the tests: it makes no promise of semantic versions.

pub mod limits;

pub mod ftp;

pub mod audit;
pub mod metrics;
pub mod policy;
pub mod pool;

pub mod config;
pub mod dialog;

pub mod sys;

pub mod net;

pub mod tls;

pub mod leg;

pub mod data;
pub mod relay;
pub mod upstream;

pub mod session;

pub mod shard;

pub mod admin;

pub mod gate;

#[cfg(feature = "rig")]
pub mod rig;

#[cfg(feature = "top")]
pub mod top;
