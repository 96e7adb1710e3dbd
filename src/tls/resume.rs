//! Resumption, bound to one FTP session: what its control connection begins, only its data connections go on with.

use std::fmt;
use std::sync::Arc;

use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
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
        let of_control = ServerSessionMemoryCache::new(limits::CONTROL_TICKETS);
        let of_data = ServerSessionMemoryCache::new(limits::CLIENT_TICKETS_KEPT_MAX);
        let mut control = base.clone();
        control.ticketer = Arc::new(NoTickets);
        control.send_tls13_tickets = limits::CONTROL_TICKETS;
        let mut data = control.clone();
        data.send_tls13_tickets = limits::DATA_TICKETS;
        control.session_storage = Arc::new(Sessions {
            own: Arc::clone(&of_control),
            other: Arc::clone(&of_data),
        });
        data.session_storage = Arc::new(Sessions {
            own: of_data,
            other: of_control,
        });
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

/// The TLS sessions of one FTP session: those that a kind of connection has begun, and those of the other kind.
///
/// They are kept apart so that hundreds of data connections do not push out what the control connection has begun: some
/// clients (lftp) never use anything else. For their sake a TLS 1.3 ticket may also be used again. RFC 8446 appendix C.4
/// asks clients not to, because an onlooker could link the connections, which FTP tells him anyway; what a ticket must not
/// be used for twice, early data, is never accepted here.
#[derive(Debug)]
struct Sessions {
    own: Arc<ServerSessionMemoryCache>,
    other: Arc<ServerSessionMemoryCache>,
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.own.put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.own.get(key).or_else(|| self.other.get(key))
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.get(key)
    }

    fn can_cache(&self) -> bool {
        true
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
