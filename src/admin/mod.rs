//! The gate seen from outside: a small HTTP server for operators, dashboards and Prometheus.
//! The gate starts it on a thread of its own; it asks the shards by mail and keeps what they have counted.
//! It never runs on a core that serves, never shows a secret, and never lets a slow reader hold more than its bound.

mod collector;
mod door;
mod exposition;
mod page;
mod readings;
mod routes;
mod secure;
mod server;
mod standing;
mod status;

use std::sync::Arc;
use std::time::SystemTime;

use crate::session::Tally;

pub use collector::Collector;
pub use door::Door;
pub use routes::ROUTES;
pub use server::{Bound, start};
pub use standing::{Asked, Attempt, Books, InForce, Outcome, Standing, Told};

/// What the server knows besides what it asks the shards.
pub struct About {
    /// When the gate was started.
    pub started: SystemTime,
    /// What has become of the journal's records, if one is kept.
    pub journal: Option<Arc<Tally>>,
    /// Lines of the log dropped so far.
    pub log_lines_dropped: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Ends the process as SIGTERM does.
    pub stop: Box<dyn Fn() + Send + Sync>,
    /// Reads the configuration again, as SIGHUP does; false if too many wait for that already.
    pub reload: Box<dyn Fn(Asked) -> bool + Send + Sync>,
}

/// A listener, for those who look.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ListenerFacts {
    /// Its name in the configuration.
    pub name: String,
    /// Where it listens.
    pub addresses: Vec<std::net::SocketAddr>,
    /// The pool behind it.
    pub pool: String,
}

/// Everything that a route may use.
pub struct Office {
    /// What was counted, and who to ask.
    pub collector: Arc<Collector>,
    /// What a reload changes.
    pub standing: Arc<Standing>,
    /// What does not change.
    pub about: About,
}
