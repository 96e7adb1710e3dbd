//! How much: the counters and histograms of the process, and each core's own cells for them.
//! Shards and sessions count and observe; the gate collects snapshots and merges them.
//! It never reads a clock, shares a cell between cores, or knows how its numbers are shown.

mod catalog;
mod families;
mod ledger;
mod recorder;
mod snapshot;
mod spread;

pub use catalog::{Counter, Gauge, Phase, Reading};
pub use ledger::{Account, Ledger};
pub use recorder::{IS_RECORDING, Recorder};
pub use snapshot::Snapshot;
pub use spread::{CLASSIC_BOUNDS, NATIVE_SCHEMA, Native, classic, native};
