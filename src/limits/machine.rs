//! Bounds of what the machine gives to the process: rings, locked memory, descriptors.

use super::{LINGERING_LEGS_MAX, PIPES_PER_SHARD_MAX};

/// Memory for io_uring's registered buffers, per core: we use none, and 64 KiB is the least that glommio takes.
pub const RING_MEMORY_BYTES: usize = 64 * 1024;

/// Locked memory the ring of one core needs (measured: the builder fails below 512 KiB).
pub const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

/// Oldest kernel with io_uring as glommio needs it (its own minimum).
pub const KERNEL_RELEASE_MIN: (u32, u32) = (5, 8);

/// From this kernel on rings are charged to the memory cgroup, no longer to RLIMIT_MEMLOCK.
pub const KERNEL_RELEASE_RINGS_UNCHARGED: (u32, u32) = (5, 12);

/// Descriptors beside the sessions': rings, event descriptors, listeners with their probes, of a shard or the gate; and
/// both ends of a shard's pipes.
pub const DESCRIPTORS_PER_SHARD: u64 = 64 + 2 * PIPES_PER_SHARD_MAX as u64;

/// Descriptors a session holds at most: two control, for the next transfer a listener with its probe on each leg, one
/// dying, and the lingering ones of transfers before.
pub const DESCRIPTORS_PER_SESSION: u64 = 7 + LINGERING_LEGS_MAX as u64;

/// Descriptors of a session that transfers nothing: its two control connections.
pub const DESCRIPTORS_PER_IDLE_SESSION: u64 = 2;
