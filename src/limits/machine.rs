//! Bounds of what the machine gives to the process: rings, locked memory, descriptors.

use super::{LINGERING_LEGS_MAX, PIPES_PER_SHARD_MAX};

/// Memory for io_uring's registered buffers, per core: we use none, and 64 KiB is the least that glommio takes.
pub const RING_MEMORY_BYTES: usize = 64 * 1024;

/// Locked memory the ring of one core needs (measured: the builder fails below 512 KiB).
pub const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

/// Oldest kernel with io_uring as our glommio needs it: polls that stay (5.13) and a bound for the wait (5.11).
pub const KERNEL_RELEASE_MIN: (u32, u32) = (5, 13);

/// Descriptors beside the sessions': rings, event descriptors and listeners of a shard or the gate; and both ends of a
/// shard's pipes.
pub const DESCRIPTORS_PER_SHARD: u64 = 64 + 2 * PIPES_PER_SHARD_MAX as u64;

/// Descriptors a session holds at most: two control, for the next transfer a listener on each leg, one dying, and the
/// lingering ones of transfers before.
pub const DESCRIPTORS_PER_SESSION: u64 = 5 + LINGERING_LEGS_MAX as u64;

/// Descriptors of a session that transfers nothing: its two control connections.
pub const DESCRIPTORS_PER_IDLE_SESSION: u64 = 2;
