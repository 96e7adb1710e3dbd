//! The configuration in force, as readers see it, and what has become of the attempts to replace it.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_channel::Sender;
use rustls::ServerConfig;
use serde::{Serialize, Serializer};

use super::{Door, ListenerFacts};
use crate::config::{Complaint, Place};
use crate::tls::Expiry;

#[allow(
    clippy::disallowed_types,
    reason = "threads of the control plane share what is in force; no core ever sees it"
)]
type Shared<T> = std::sync::Mutex<T>;

/// A configuration that is served, as far as readers are concerned.
pub struct InForce {
    /// Who comes in.
    pub door: Door,
    /// TLS towards readers, where there is some.
    pub tls: Option<Arc<ServerConfig>>,
    /// Each listener, in the order of the configuration.
    pub listeners: Vec<ListenerFacts>,
    /// The configuration as it was written, without its comments, but for keys that wait for a restart: those are as they are
    /// in force. It holds paths of keys, and no secret.
    pub written: toml::Table,
    /// The SHA-256 of its text, in hexadecimal digits.
    pub sha256: String,
    /// When it was read.
    pub read: SystemTime,
    /// Until when its files are good.
    pub expiries: Vec<Expiry>,
    /// Keys of the file that wait for a restart.
    pub restart: Vec<String>,
}

/// What has come of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The new configuration is in force.
    Loaded,
    /// The one before goes on.
    Refused,
    /// The process is stopping: no core goes over to anything.
    Stopping,
}

/// One attempt to replace the configuration.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// When.
    #[serde(serialize_with = "as_seconds")]
    pub at: SystemTime,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was refused, all of it.
    pub complaints: Vec<Told>,
    /// Keys that wait for a restart.
    pub restart: Vec<String>,
    /// What should be known of a configuration that is in force.
    pub warnings: Vec<Told>,
}

/// A complaint for those who read JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// Line and column in the file.
    pub place: Option<String>,
    /// Path of the key.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub cure: String,
}

impl From<&Complaint> for Told {
    fn from(complaint: &Complaint) -> Self {
        let place = |Place { line, column }| format!("{line}:{column}");
        Self {
            place: complaint.place.map(place),
            key: complaint.key.clone(),
            problem: complaint.problem.clone(),
            cure: complaint.cure.clone(),
        }
    }
}

/// Somebody asks for a reload, and may wait for what comes of it.
pub type Asked = Option<Sender<Arc<Attempt>>>;

/// What is in force, and how it came to be.
pub struct Standing(Shared<Books>);

/// A copy of what is known, for one answer.
#[derive(Clone)]
pub struct Books {
    /// The configuration.
    pub in_force: Arc<InForce>,
    /// How often another one has come into force since the start.
    pub loaded: u64,
    /// How often one was refused.
    pub refused: u64,
    /// The last attempt, if there was one.
    pub last: Option<Arc<Attempt>>,
}

impl Standing {
    /// After a start.
    #[must_use]
    pub fn new(in_force: InForce) -> Self {
        Self(Shared::new(Books {
            in_force: Arc::new(in_force),
            loaded: 0,
            refused: 0,
            last: None,
        }))
    }

    /// Another configuration is in force.
    pub fn loaded(&self, in_force: InForce, attempt: &Arc<Attempt>) {
        let mut books = self.lock();
        books.in_force = Arc::new(in_force);
        books.loaded += 1;
        books.last = Some(Arc::clone(attempt));
    }

    /// One could not be.
    pub fn refused(&self, attempt: &Arc<Attempt>) {
        let mut books = self.lock();
        books.refused += 1;
        books.last = Some(Arc::clone(attempt));
    }

    /// The configuration.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.lock().in_force)
    }

    /// Everything at one moment.
    #[must_use]
    pub fn books(&self) -> Books {
        self.lock().clone()
    }

    /// Nothing panics while it is locked; if something did, it is still one configuration or the other.
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Whether the last reload, or the start, came into force.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !(self.last.as_ref()).is_some_and(|last| last.outcome == Outcome::Refused)
    }
}

fn as_seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(seconds(*time))
}

/// Since 1970.
pub(super) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
