//! Every bound in the house, each with its reason; relations between them are checked when compiling.
//!
//! The unit stands last in the name. What an operator may want to change is a config key whose default and range
//! stand here; what is fixed is fixed for the reason beside it.

use core::time::Duration;

mod admin;
mod journal;
mod machine;
mod rig;

pub use admin::*;
pub use journal::*;
pub use machine::*;
pub use rig::*;

// --- words on the control connection -------------------------------------------------------------------------

/// Longest command line taken from a client. IBM's own proxies allow 4,096; longer lines are an attack or a mistake.
pub const COMMAND_LINE_BYTES_MAX: usize = 4096;

/// Longest single reply line taken from a backend: servers send lines of 8 KiB, so twice that.
pub const REPLY_LINE_BYTES_MAX: usize = 16 * 1024;

/// Most lines of one reply of a backend: replies of 500 lines occur (STAT, SITE HELP), so sixteen times that.
pub const REPLY_LINES_MAX: usize = 8192;

/// Longest name of a host (RFC 1035 section 2.3.4, as text).
pub const HOST_BYTES_MAX: usize = 253;

/// Longest part of it between dots.
pub const LABEL_BYTES_MAX: usize = 63;

/// Most commands of a client that wait for their turn; beyond it the client is not read until one is done.
pub const PIPELINE_COMMANDS_MAX: usize = 32;

/// Most actions one step of the dialog can ask for: the longest is the end of a transfer with everything to say, and
/// every command that waited for it refused at once: three for one that gives back a port.
pub const ACTIONS_PER_STEP_MAX: usize = 16 + 3 * PIPELINE_COMMANDS_MAX;

/// Most lines of a backend's FEAT reply that are looked at; servers list about thirty.
pub const FEATURE_LINES_MAX: usize = 256;

/// Bytes of a transfer's final reply that are held until the client's data leg is over; its last line always is.
pub const REPLY_HELD_BYTES_MAX: usize = 32 * 1024;

/// One read from a control connection: a TLS record holds at most 16 KiB, an FTP line rarely 100 bytes.
pub const CONTROL_READ_BYTES: usize = 4 * 1024;

/// Bytes queued towards a control peer that does not read; beyond it the other side is not read either.
pub const CONTROL_QUEUE_BYTES_MAX: usize = 64 * 1024;

/// What a client that says CCC or REIN has for ending TLS itself before we do. lftp ends it at once, and takes our end in one
/// read with the answer for the end of the connection; curl ends nothing and waits for ours, by default for ten seconds.
pub const CLEAR_PAUSE: Duration = Duration::from_millis(200);

// --- sessions ------------------------------------------------------------------------------------------------

/// Inputs a session takes without a pause before its neighbours have their turn: a client that never stops asking.
pub const INPUTS_PER_TURN_MAX: u32 = 64;

/// Replies of a backend that belong to no command, between two commands of the client: a stray behind an ABOR is one
/// or two, and a backend that never stops would fill the log.
pub const UNSOLICITED_REPLIES_MAX: u32 = 32;

/// Data legs of ended transfers that one session still reads to their end, each for the time of `linger`: most peers
/// close at once, and one that never does must not collect descriptors. Beyond it the oldest is closed as it is.
pub const LINGERING_LEGS_MAX: usize = 4;

/// Wrong logins in one session before it is ended with 421 (RFC 2577 section 5 asks for three to five).
pub const LOGIN_ATTEMPTS_MAX: u32 = 5;

/// Unknown commands in one session before it is ended: a browser tricked into speaking to us sends nothing else.
pub const UNKNOWN_COMMANDS_MAX: u32 = 20;

/// Strangers a passive listener turns away before the transfer is given up.
pub const STRANGERS_PER_LISTENER_MAX: u32 = 64;

/// Most names of a certificate that are looked at, and most bytes of each text in it: partners have a handful, and an
/// authority that certifies long ones must not fill the log with them.
pub const IDENTITY_NAMES_MAX: usize = 16;
/// See `IDENTITY_NAMES_MAX`.
pub const IDENTITY_TEXT_BYTES_MAX: usize = 256;

// --- PROXY headers -------------------------------------------------------------------------------------------

/// Longest PROXY header of version 1, CR LF included: the specification's own bound (section 2.1).
pub const PROXY_V1_BYTES_MAX: usize = 107;

/// Longest PROXY header of version 2 taken: it could be 64 KiB; addresses and a certificate's names take some hundred
/// bytes, and a whole certificate, which nothing here reads, may come along.
pub const PROXY_V2_BYTES_MAX: usize = 4 * 1024;

/// Longest value written into a PROXY header: what a receiver may do with a unique id at most (section 2.2.5).
pub const PROXY_VALUE_BYTES_MAX: usize = 128;

// --- TLS -----------------------------------------------------------------------------------------------------

/// Largest TLS record on the wire: 2^14 bytes, 256 of expansion, 5 of header (RFC 8446 section 5.2).
pub const TLS_RECORD_BYTES_MAX: usize = 16 * 1024 + 256 + 5;

/// Tickets sent to a client after the handshake of its control connection: enough for parallel data connections.
pub const CONTROL_TICKETS: usize = 4;

/// Tickets sent after the handshake of a download: one for itself, one for an upload, which brings none.
pub const DATA_TICKETS: usize = 2;

/// Sessions remembered for one client's resumption beside those of its control connection, which are never dropped.
pub const CLIENT_TICKETS_KEPT_MAX: usize = 32;

/// Tickets of a backend kept for its data connections: one is used at a time, the newest, and connections that end amid
/// their handshake use up some. Each has the backend's chain of certificates in it, so they are few.
pub const BACKEND_TICKETS_KEPT_MAX: usize = 4;

/// Chains of backends that one core knows to lead to an authority: those of some pools, with members that share theirs.
pub const CHAINS_KNOWN_MAX: usize = 32;

/// Longest chain that is remembered so, in bytes: longer than any in use, and with the number of them half a MiB.
pub const CHAIN_KNOWN_BYTES_MAX: usize = 16 * 1024;

/// Tickets sent to the client of a stream: each connection takes one and brings one.
pub const STREAM_TICKETS: usize = 1;

/// TLS sessions towards a pool that one core keeps for streams to resume: more than a pool has members, as each keeps a few.
pub const STREAM_SESSIONS_KEPT: usize = 256;

/// Longest ticket kept for another use: servers send some hundred bytes, with a client's certificates in it some thousand.
pub const TICKET_RENEWED_BYTES_MAX: usize = 16 * 1024;

/// Longest handshake message behind a handshake, as rustls has it: a ticket of 64 KiB is the longest that can be written.
pub const HANDSHAKE_MESSAGE_BYTES_MAX: usize = 0xffff;

/// Key updates, empty records and the like that a peer may send between two pieces of data, as rustls has it.
pub const FRUITLESS_RECORDS_MAX: u32 = 32;

/// Turns to get the alert out of rustls after a fatal error: it queues one, so more would be its defect, not our loop.
pub const ALERT_TURNS_MAX: usize = 8;

/// What is read of a private leg before memory is taken for more: a flight of a handshake, a line, or a small file with the
/// tickets before it and the end behind it.
pub const LITTLE_READ_BYTES: usize = 8 * 1024;

/// Records without application data (tickets, key updates, empty ones) read in one turn before the core goes on.
pub const SILENT_READS_PER_TURN_MAX: usize = 16;

/// Longest PEM file: the authorities of a whole operating system take 220 KiB; a wrong path may name anything.
pub const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;

// --- backends ------------------------------------------------------------------------------------------------

/// What dialling may take beyond `backend_connect` before a session ends without its outcome: each member's part of the time
/// is counted from its own beginning and noticed a wake-up late, and whom it has run out for must be told and rest.
pub const REACH_SLACK: Duration = Duration::from_secs(1);

/// Most bytes that are told of what a member has said before it was passed over: enough for a reason.
pub const MEMBER_WORDS_MAX: usize = 200;

// --- data connections ----------------------------------------------------------------------------------------

/// Lowest port that a client may have a data connection opened to: below are services (RFC 2577 section 3).
pub const ACTIVE_PORT_MIN: u16 = 1024;

/// Buffer of a stream's first reads: most files are small.
pub const RELAY_CHUNK_BYTES_MIN: usize = 64 * 1024;

/// Buffer of a stream whose reads fill smaller ones: measured, the cost of a byte falls by a quarter up to here, and by a
/// twentieth up to twice as much, for which neighbours would wait twice as long.
pub const RELAY_CHUNK_BYTES_MAX: usize = 512 * 1024;

/// Bytes one stream may read or send before it gives the core to its neighbours: an eighth of a millisecond in TLS with AES,
/// three times that with ChaCha20.
pub const RELAY_TURN_BYTES: usize = 512 * 1024;

/// What a read costs beside its bytes, in bytes: a source that sends crumbs must not make its turns longer.
pub const RELAY_READ_BYTES: usize = 16 * 1024;

/// Longest time for which a core may be told to look for news before it sleeps: beyond it nearly every wake-up is saved, and what more
/// would bring is a CPU that never rests.
pub const BUSY_POLL_MAX: Duration = Duration::from_millis(10);

/// glommio's preemption timer: how long a core that always has something to do goes on before it looks for new events. One
/// that does is asked of the clock and of no timer, so it is short: a neighbour's event waits for one long turn, not for two.
pub const CORE_HOLD_MAX: Duration = Duration::from_millis(1);

/// Memory of the buffers that one core has lent to its streams, beyond which none of them gets a larger one: peers that
/// do not take what was read for them hold buffers for as long as they like.
pub const BUFFERS_LENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Memory of the buffers that one core keeps for reuse: beyond it a returned buffer is freed.
pub const BUFFERS_KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Buffers from this size on are kept for reuse; smaller ones cost less to allocate than to keep.
pub const BUFFER_POOLED_BYTES_MIN: usize = 32 * 1024;

/// What a buffer has beyond a power of two: sealed bytes are longer than plain ones, by 64 bytes for each 16 KiB at most.
pub const BUFFER_SLACK_BYTES: usize = 8 * 1024;

/// Sizes of a pipe, the first that the kernel grants: the cost of a byte halves from the last of them to the first.
pub const PIPE_BYTES: [usize; 2] = [1024 * 1024, 256 * 1024];

/// Pipes that one core has at most, idle ones included: peers that do not take what was read for them hold one each.
/// Streams beyond it are copied.
pub const PIPES_PER_SHARD_MAX: usize = 32;

/// Bytes taken out of a pipe to wait with for room in a socket, which comes in much larger pieces.
pub const SPLICE_WAIT_BYTES: usize = 4 * 1024;

/// Bytes of a stream that go through the process before the kernel takes over its TLS: small files need not pay for that.
pub const KERNEL_TLS_AFTER_BYTES: usize = 256 * 1024;

/// Bytes read and dropped while waiting for a peer's end after ours: tickets and alerts, not a second file.
pub const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// How often a leg that is being ended is looked at while its kernel still holds bytes for a slow peer.
pub const UNSENT_LOOK: Duration = Duration::from_millis(5);

/// How long a passive port that nobody came for is left alone, while there are others: who was told of it may still come,
/// and would meet somebody else's transfer there. As long as a data connection may take to come (`data_connect`).
pub const PORT_REST: Duration = Duration::from_secs(15);

/// Random ports tried before all of a passive range are tried in turn, from a random one on.
pub const PASSIVE_PORT_TRIES: u32 = 8;

// --- configuration -------------------------------------------------------------------------------------------

/// Longest configuration file: ten thousand listeners fit; a wrong path may name anything.
pub const CONFIG_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Longest name of a listener or pool: names stand in log lines.
pub const NAME_BYTES_MAX: usize = 64;

/// Rules of one `advertise`, networks of one `proxy_from`: a table that a person can check.
pub const NETWORKS_MAX: usize = 256;

/// Longest banner: a line of text, not a page; RFC 959 sets no bound.
pub const BANNER_BYTES_MAX: usize = 200;

/// Default of `limits.sessions`: what a host carries whose descriptor limit is raised (`DESCRIPTORS_PER_SESSION` each).
pub const SESSIONS: usize = 10_000;

/// Most sessions an operator can ask for: a mistyped number should be a complaint, not an attempt.
pub const SESSIONS_MAX: usize = 1_000_000;

/// Sessions that may share one passive port before the start warns: one session in ten transferring is usual.
pub const SESSIONS_PER_PASSIVE_PORT: usize = 10;

/// Longest of `[timeouts]`: a day; a longer bound bounds nothing.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

// --- the process ---------------------------------------------------------------------------------------------

/// Connections the kernel holds for a listener whose core is busy.
pub const LISTEN_BACKLOG: i32 = 1024;

/// How long a listener rests when there is no descriptor for another connection.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Most cores one process serves.
pub const SHARDS_MAX: usize = 256;

/// Messages waiting for a shard; the gate sends a handful in all.
pub const MAILBOX_MESSAGES_MAX: usize = 64;

/// How often the names behind `advertise` are looked up again: an address that has changed is wrong for a minute.
pub const NAMES_LOOKUP_PERIOD: Duration = Duration::from_secs(60);

/// Log lines waiting for the disk or the journal; beyond it lines are dropped and counted, never waited for.
pub const LOG_LINES_MAX: usize = 16 * 1024;

// --- measuring -----------------------------------------------------------------------------------------------

/// Shortest time a histogram tells from zero: a reply within one core takes tens of microseconds.
pub const HISTOGRAM_MIN: Duration = Duration::from_micros(1);

/// Longest time a histogram tells: an hour, at which a transfer is a long one whatever it says beyond.
pub const HISTOGRAM_MAX: Duration = Duration::from_secs(60 * 60);

/// Significant digits of a histogram: 0.1 % at some 200 KiB for each phase and core.
pub const HISTOGRAM_DIGITS: u8 = 3;

// --- time: defaults of `[timeouts]` ----------------------------------------------------------------------------

/// Control connection: TLS handshake, either leg.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From the banner to a completed login.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// A logged-in client that says nothing (RFC 1123 section 4.1.3.2 asks for at least five minutes).
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Reaching a backend: TCP and its greeting.
pub const BACKEND_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a member of a pool that has failed is tried behind the others: what a hung one costs, it costs once in this time.
pub const MEMBER_REST: Duration = Duration::from_secs(10);
/// A backend's reply to a command that moves no data.
pub const BACKEND_REPLY_TIMEOUT: Duration = Duration::from_secs(60);
/// Either data leg: TCP connected or accepted.
pub const DATA_CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Either data leg: TLS handshake, from TCP established.
pub const DATA_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From both legs up to the first byte or the end.
pub const DATA_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(60);
/// A stream that has begun and does not move.
pub const DATA_STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// The end of a data leg: flushing, the peer's own end, the backend's final reply after its data ended.
pub const DATA_COMPLETION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a data leg waits for the peer's close_notify or FIN after ours; some peers never send one.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// What sessions that were cut off at the end of the drain have for their last words.
pub const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long transfers may go on when the process is told to stop.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

const _: () = assert!(
    COMMAND_LINE_BYTES_MAX <= CONTROL_QUEUE_BYTES_MAX / 4,
    "a command must always fit the queue"
);
const _: () = assert!(
    REPLY_LINE_BYTES_MAX <= CONTROL_QUEUE_BYTES_MAX / 2,
    "a reply line must always fit the queue"
);
const _: () = assert!(
    RELAY_CHUNK_BYTES_MAX <= RELAY_TURN_BYTES && PIPE_BYTES[0] <= 2 * RELAY_TURN_BYTES,
    "a turn is at least one read, and what only the kernel handles costs half as much"
);
const _: () = assert!(
    RELAY_CHUNK_BYTES_MIN >= 2 * TLS_RECORD_BYTES_MAX,
    "a whole record must fit a buffer, behind the start of one"
);
const _: () = assert!(
    RELAY_CHUNK_BYTES_MIN >= BUFFER_POOLED_BYTES_MIN,
    "what streams read into is used again"
);
const _: () = assert!(
    BUFFER_SLACK_BYTES >= 64 * (RELAY_CHUNK_BYTES_MAX / (16 * 1024) + 1),
    "what was read with one buffer must be sealed in another of its size"
);
const _: () = assert!(
    LINGER_TIMEOUT.as_secs() < DATA_COMPLETION_TIMEOUT.as_secs(),
    "waiting for politeness must not eat the time for completion"
);
const _: () = assert!(
    SESSIONS <= SESSIONS_MAX,
    "a default must be within its range"
);
const _: () = assert!(
    IDLE_TIMEOUT.as_secs() <= TIMEOUT_MAX.as_secs(),
    "a default must be within its range"
);
const _: () = assert!(
    HISTOGRAM_MIN.as_micros() >= 1,
    "a histogram begins at one unit"
);
const _: () = assert!(
    HISTOGRAM_MAX.as_micros() >= 2 * HISTOGRAM_MIN.as_micros(),
    "a histogram needs some reach"
);
const _: () = assert!(
    HISTOGRAM_MAX.as_micros() < u32::MAX as u128,
    "microseconds of a histogram fit every integer used"
);
const _: () = assert!(
    HISTOGRAM_DIGITS <= 5,
    "more digits than a histogram can keep"
);
