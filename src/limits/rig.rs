//! Bounds of the rig: a backend and a client for the demo and the tests.

use core::time::Duration;

/// What the rig moves at once: large enough to batch records, small enough to share a core.
pub const RELAY_CHUNK_BYTES: usize = 256 * 1024;

/// Longest upload that the rig's backend keeps: enough to compare what came, and longer ones are counted and summed.
pub const RIG_UPLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Memory in all uploads that the rig's backend keeps.
pub const RIG_UPLOADS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Records of transfers that wait for whoever asks the rig's backend; beyond it the oldest are dropped.
pub const RIG_RECORDS_MAX: usize = 16 * 1024;

/// Longest download that the rig's client keeps in memory.
pub const RIG_DOWNLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long either of the rig's sides waits for a step of the other: longer than the gate's own bounds in the demo.
pub const RIG_PATIENCE: Duration = Duration::from_secs(30);
