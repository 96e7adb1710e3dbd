//! Resumption, bound to one FTP session: what its control connection begins, only its data connections go on with.

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::server::ProducesTickets;
use rustls::{ClientConfig, ServerConfig};

use super::TlsFacts;
use super::stores::{ClientSessions, ServerSessions};
use crate::limits;

/// The server side of one session: its connections resume each other's TLS sessions, and nobody else's.
///
/// The sessions are kept here, not in tickets, so a TLS session that was resumed proves in TLS 1.2 and 1.3 alike that
/// the peer holds secrets of this very control connection (`TlsFacts::resumed`).
pub struct ServerResume {
    control: Arc<ServerConfig>,
    download: Arc<ServerConfig>,
    upload: Arc<ServerConfig>,
    binding: Option<Binding>,
}

/// The demand that a data connection resumes a TLS session of its own FTP session.
#[derive(Clone)]
pub struct Binding(Arc<ServerSessions>);

impl ServerResume {
    /// Makes the configurations of one session from the listener's.
    #[must_use]
    pub fn new(base: &ServerConfig) -> Self {
        Self::make(base, false)
    }

    /// As `new`, and data connections must resume: `binding` is for their judge.
    #[must_use]
    pub fn bound(base: &ServerConfig) -> Self {
        Self::make(base, true)
    }

    fn make(base: &ServerConfig, is_bound: bool) -> Self {
        let (for_control, for_data) = ServerSessions::pair(is_bound);
        let binding = is_bound.then(|| Binding(Arc::clone(&for_data)));
        let mut control = base.clone();
        control.session_storage = for_control;
        control.ticketer = Arc::new(NoTickets);
        control.send_tls13_tickets = limits::CONTROL_TICKETS;
        let mut download = control.clone();
        download.session_storage = for_data;
        download.send_tls13_tickets = limits::DATA_TICKETS;
        let mut upload = download.clone();
        upload.send_tls13_tickets = 0;
        Self {
            control: Arc::new(control),
            download: Arc::new(download),
            upload: Arc::new(upload),
            binding,
        }
    }

    /// For the control connection.
    #[must_use]
    pub fn control(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.control)
    }

    /// For a data connection on which we send.
    #[must_use]
    pub fn download(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.download)
    }

    /// For a data connection on which the client sends. It gets no tickets here: clients such as lftp close without
    /// having read them, which makes their kernel send a reset, and that may cut off the file's end.
    #[must_use]
    pub fn upload(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.upload)
    }

    /// What the next data connection is measured by; nothing where it need not resume.
    #[must_use]
    pub fn binding(&self) -> Option<Binding> {
        let binding = self.binding.clone()?;
        // One that ended before it was judged has begun nothing.
        binding.0.judge(false);
        Some(binding)
    }
}

impl Binding {
    /// Whether a data connection may be used, to be asked right after its handshake. What one that may not has begun
    /// is forgotten, and its tickets must not be sent.
    #[must_use]
    pub fn admits(&self, facts: Option<&TlsFacts>) -> bool {
        let is_theirs = facts.is_some_and(|facts| facts.resumed);
        self.0.judge(is_theirs);
        is_theirs
    }
}

/// The client side of one session, towards one backend: its data connections resume its control connection.
///
/// Made by cloning one base, never built anew: rustls resumes only under the same verifier object.
pub struct ClientResume {
    store: Arc<ClientSessions>,
    control: Arc<ClientConfig>,
    data: Arc<ClientConfig>,
}

impl ClientResume {
    /// Makes the configurations of one session from the pool's.
    #[must_use]
    pub fn new(base: &ClientConfig) -> Self {
        let store = Arc::new(ClientSessions::new());
        let mut data = base.clone();
        data.resumption = Resumption::store(Arc::clone(&store) as Arc<_>);
        data.enable_secret_extraction = false;
        let mut control = data.clone();
        // It is we who go on after its handshake (`Records::connect`).
        control.enable_secret_extraction = true;
        Self {
            store,
            control: Arc::new(control),
            data: Arc::new(data),
        }
    }

    /// For the control connection of this session.
    #[must_use]
    pub fn control(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.control)
    }

    /// For each data connection of this session; with the same server name as the control connection.
    #[must_use]
    pub fn data(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.data)
    }

    /// Whether there is nothing left to resume. In TLS 1.3 each ticket is given to one connection, and not every
    /// server gives a new one there: then the control connection renews its own (`Records::renew_ticket`).
    #[must_use]
    pub fn is_dry(&self) -> bool {
        self.store.is_dry()
    }

    #[cfg(test)]
    pub(super) fn store(&self) -> &ClientSessions {
        &self.store
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
