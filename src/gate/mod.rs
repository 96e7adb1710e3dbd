//! The process around the shards: it reads and checks the configuration, starts the log, and runs what serves.
//! The command line and the rig use it; it works on ordinary threads, before and beside the cores that serve.
//! It never moves a byte between a client and a backend.

pub mod check;
pub mod logging;
