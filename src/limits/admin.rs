//! Bounds of the admin server: of what a reader may hold, and of what a core may be asked at once; and of `sluicegate top`, one
//! of its readers.

use core::time::Duration;

/// Readers at once: a Prometheus, some pages, some hands; more wait in the socket's queue.
pub const ADMIN_CONNECTIONS_MAX: usize = 32;

/// Shortest token: what is made of sixteen random bytes is longer, and nobody remembers it.
pub const ADMIN_TOKEN_BYTES_MIN: usize = 16;

/// Longest token: it must fit into the head of a request with everything else.
pub const ADMIN_TOKEN_BYTES_MAX: usize = 1024;

/// The TLS handshake of a reader: whoever is no reader holds a place among them for so long.
pub const ADMIN_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The head of one request. Ours are a few hundred bytes; a browser's cookies for other ports of this host may come along.
pub const ADMIN_HEADER_BYTES_MAX: usize = 16 * 1024;

/// From the first byte of a request to the end of its head.
pub const ADMIN_HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// One connection in all: a page that polls comes back, a reader that does not read is cut off.
pub const ADMIN_CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);

/// How long the shards may take to answer a question: a core that runs answers within a turn.
pub const ADMIN_ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Sessions in one answer; the next page begins behind the last.
pub const ADMIN_SESSIONS_PER_PAGE_MAX: usize = 1000;

/// Sessions that a core describes in one answer; a page of more is asked for in pieces, and the core serves between them. Each
/// takes a microsecond (`perf/scrape`): with what an answer costs by itself, half of the 100 that a core may be kept for.
pub const ADMIN_SESSIONS_PER_ANSWER_MAX: usize = 25;

/// How long a reader waits for what comes of a reload: names may have to be looked up, with a resolver that does not answer.
pub const RELOAD_ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Requests for a reload that may wait for the one that is under way: one is enough for all, the others wait for its answer.
pub const RELOADS_WAITING_MAX: usize = 8;

const _: () = assert!(RELOAD_ANSWER_TIMEOUT.as_secs() < ADMIN_CONNECTION_TIMEOUT.as_secs());

/// How long the cores may take to go over to another configuration before one that has not is named: as for any question.
pub const RELOAD_TURN_TIMEOUT: Duration = ADMIN_ANSWER_TIMEOUT;

/// How often `sluicegate top` asks, as the live page does.
pub const TOP_PERIOD: Duration = Duration::from_secs(1);

/// How long it waits for an answer: longer than the gate waits for its cores.
pub const TOP_PATIENCE: Duration = Duration::from_secs(4);

/// How long a key may wait before the screen is drawn again.
pub const TOP_KEYS_PAUSE: Duration = Duration::from_millis(100);

/// The largest answer it takes: some kilobytes for each core.
pub const TOP_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

const _: () = assert!(ADMIN_SESSIONS_PER_ANSWER_MAX <= ADMIN_SESSIONS_PER_PAGE_MAX);
const _: () = assert!(TOP_PATIENCE.as_millis() > ADMIN_ANSWER_TIMEOUT.as_millis());
