//! Bounds of the audit journal.

use core::time::Duration;

/// Records that wait for the journal's thread; beyond it they are dropped and counted. Some seconds of a busy gate at
/// about 1 KiB each, and a path of 4 KiB in every one of them would still fit.
pub const JOURNAL_RECORDS_MAX: usize = 16 * 1024;

/// Refusals of one session that have a record each; all are counted in its last one.
pub const JOURNAL_REFUSALS_PER_SESSION_MAX: u64 = 64;

/// Records that are written at once: what is between two looks at orders.
pub const JOURNAL_BATCH_RECORDS_MAX: usize = 512;

/// How long what is written may not be on the disk yet: what a power failure can take.
pub const JOURNAL_SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How long the process waits for the journal at its end: a disk that hangs must not keep it.
pub const JOURNAL_LAST_WORDS: Duration = Duration::from_secs(3);

/// A journal file's size before the next one is begun, unless the operator says otherwise.
pub const JOURNAL_BYTES: usize = 100 * 1024 * 1024;

/// The least of it: below it files would be turned over for a handful of lines.
pub const JOURNAL_BYTES_MIN: usize = 4 * 1024;

/// Old journal files that are kept, unless the operator says otherwise.
pub const JOURNALS_KEPT: usize = 10;

/// Most of them: each is renamed when one is begun.
pub const JOURNALS_KEPT_MAX: usize = 1000;
