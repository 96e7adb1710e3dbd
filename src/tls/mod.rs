//! TLS without sockets: configurations, the record layer as bytes in and bytes out, and resumption per session.
//! Used by `leg`, which moves the bytes, and by the gate, which loads certificates and checks configurations.
//! It never touches a socket, never waits, and never decides whether a peer's resumption is demanded.

mod certs;
mod clients;
mod direct;
mod expiry;
mod facts;
mod fault;
mod hosts;
mod identity;
mod keys;
mod library;
mod parting;
pub mod readers;
mod reason;
mod records;
mod resume;
pub mod setup;
mod stores;
mod trusted;
mod turn;
mod verify;

pub use direct::{ALERT, APPLICATION_DATA};
pub use expiry::{Expiry, expiries};
pub use facts::{TlsFacts, TlsVersion};
pub use fault::{Broken, Fault};
pub use records::Records;
pub use resume::{ClientResume, Demand, ServerResume, Unmet};
pub use turn::Progress;

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
pub(crate) use direct::{Heard, Peer, ticket};
