//! Sockets on glommio, poll by poll: streams, their buffers, listeners, dials, the alarm, the end of a turn and the passive ports.
//! Used by `leg` for its bytes, by `data` and `shard` for connections, by every session for its one deadline.
//! It never reads a protocol, never spawns a task, and never loses a byte or a connection when a future is dropped.
//!
//! Everything is `poll_…(&mut self, cx)`: one session task polls two control legs, a transfer and an alarm from one
//! `poll_fn`. All state lives in these types, none in a future, so there is nothing that a dropped future could take
//! with it (docs/decisions/0001-thread-per-core.md).

mod alarm;
mod buffer;
mod dial;
mod header;
mod introduction;
mod listen;
mod look;
mod pool;
mod ports;
mod stream;

pub use alarm::Alarm;
pub use buffer::Buffer;
pub use dial::Dial;
pub use header::{
    Ends, Header as ProxyHeader, HeaderFacts, HeaderTls, Parsed as ParsedHeader, proxy_header_v1,
    proxy_header_v2, read as read_proxy_header,
};
pub use introduction::Introduction;
pub use listen::{Listener, OpenPort};
pub use look::{Look, look};
pub use pool::{is_ample, lent_and_kept};
pub use ports::{PortLease, PortRange, open_passive};
pub use stream::{Opened, Stream};

use core::fmt;
use std::io;

/// What can go wrong with a listener or a passive port.
#[derive(Debug)]
pub enum Fault {
    /// When the process or the system is out of descriptors or memory: the connection still waits, back off and retry.
    OutOfDescriptors(io::Error),
    /// When no port of this shard's passive range is free.
    PortsExhausted,
    /// When the listener is broken and will not come back.
    Broken(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfDescriptors(error) => write!(
                out,
                "no descriptor for another connection ({error}); cure: a higher LimitNOFILE or fewer sessions"
            ),
            Self::PortsExhausted => out.write_str(
                "no passive port is free; cure: a wider passive_ports range or fewer sessions",
            ),
            Self::Broken(error) => write!(out, "the listener failed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;

/// Runs a test's future on an executor of its own.
#[cfg(test)]
pub(crate) fn on_core<F: Future<Output = ()> + 'static>(test: impl FnOnce() -> F + Send + 'static) {
    glommio::LocalExecutorBuilder::default()
        .io_memory(crate::limits::RING_MEMORY_BYTES)
        .preempt_timer(crate::limits::CORE_HOLD_MAX)
        .spawn(move || async move { test().await })
        .unwrap()
        .join()
        .unwrap();
}
