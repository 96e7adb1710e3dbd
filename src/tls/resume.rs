//! Resumption, bound to one FTP session: what its control connection begins, only its data connections go on with.

use std::fmt;
use std::sync::Arc;

use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::server::{ProducesTickets, ServerSessionMemoryCache};
use rustls::{ClientConfig, ServerConfig};

use crate::limits;

/// The server side of one session: its connections resume each other's TLS sessions, and nobody else's.
///
/// The sessions are kept here, not in tickets, so a TLS session that was resumed proves in TLS 1.2 and 1.3 alike that
/// the peer holds secrets of this very control connection (`TlsFacts::resumed`).
pub struct ServerResume {
    control: Arc<ServerConfig>,
    data: Arc<ServerConfig>,
}

impl ServerResume {
    /// Makes the configurations of one session from the listener's.
    #[must_use]
    pub fn new(base: &ServerConfig) -> Self {
        let mut control = base.clone();
        control.session_storage = ServerSessionMemoryCache::new(limits::CLIENT_TICKETS_KEPT_MAX);
        control.ticketer = Arc::new(NoTickets);
        control.send_tls13_tickets = limits::CONTROL_TICKETS;
        let mut data = control.clone();
        data.send_tls13_tickets = limits::DATA_TICKETS;
        Self {
            control: Arc::new(control),
            data: Arc::new(data),
        }
    }

    /// For the control connection.
    #[must_use]
    pub fn control(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.control)
    }

    /// For each data connection.
    #[must_use]
    pub fn data(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.data)
    }
}

/// The client side of one session, towards one backend: its data connections resume its control connection.
///
/// Made by cloning one base, never built anew: rustls resumes only under the same verifier object.
pub struct ClientResume {
    config: Arc<ClientConfig>,
}

impl ClientResume {
    /// Makes the configuration of one session from the pool's.
    #[must_use]
    pub fn new(base: &ClientConfig) -> Self {
        let store = ClientSessionMemoryCache::new(limits::BACKEND_TICKETS_KEPT_MAX);
        let mut config = base.clone();
        config.resumption = Resumption::store(Arc::new(store));
        Self {
            config: Arc::new(config),
        }
    }

    /// For the control and each data connection of this session; always with the same server name.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

/// No stateless tickets: they would be good on every session of the listener.
struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

impl fmt::Debug for NoTickets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("NoTickets")
    }
}
