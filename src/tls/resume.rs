//! Resumption, bound to one FTP session: what its control connection begins, only its data connections go on with.

use std::cell::OnceCell;
use std::fmt;
use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::server::ProducesTickets;
use rustls::{ClientConfig, ServerConfig};

use super::TlsFacts;
use super::hosts::Chooser;
use super::stores::{ClientSessions, ServerSessions};
use crate::config::Pin;
use crate::limits;

/// The server side of one session: its connections resume each other's TLS sessions, and nobody else's.
///
/// The sessions are kept here, not in tickets, so a TLS session that was resumed proves in TLS 1.2 and 1.3 alike that
/// the peer holds secrets of this very control connection (`TlsFacts::resumed`).
///
/// Configurations are made when they are first asked for: most sessions rest most of the time, and many move no file.
pub struct ServerResume {
    base: Arc<ServerConfig>,
    data: Arc<ServerConfig>,
    for_control: Arc<ServerSessions>,
    for_data: Arc<ServerSessions>,
    download: OnceCell<Arc<ServerConfig>>,
    upload: OnceCell<Arc<ServerConfig>>,
    /// Whether data connections must resume.
    is_bound: bool,
    chooser: Option<Arc<Chooser>>,
}

/// What a data connection's handshake must have come to, beyond succeeding.
pub struct Demand {
    /// Where it must have resumed a TLS session of its own FTP session: those that it may.
    resumption: Option<Arc<ServerSessions>>,
    /// Post-quantum protection: by its own key exchange, or by what it resumes.
    hybrid: bool,
    /// The certificate that its peer has shown on the control connection.
    certificate: Option<Pin>,
}

/// Which demand was not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// It resumed nothing.
    Resumption,
    /// Its keys are classical.
    Hybrid,
    /// Its peer has shown another certificate, or none.
    Certificate,
}

impl ServerResume {
    /// Makes what one session has of the listener's configuration.
    #[must_use]
    pub fn new(base: &ServerConfig) -> Self {
        let base = Arc::new(base.clone());
        Self::of(&base, &base, false)
    }

    /// As `new`, from a base for each kind of connection. Where data connections must resume, each `demand` says so.
    pub(super) fn of(base: &Arc<ServerConfig>, data: &Arc<ServerConfig>, is_bound: bool) -> Self {
        let (for_control, for_data) = ServerSessions::pair(is_bound);
        Self {
            base: Arc::clone(base),
            data: Arc::clone(data),
            for_control,
            for_data,
            download: OnceCell::new(),
            upload: OnceCell::new(),
            is_bound,
            chooser: None,
        }
    }

    /// The same for a session that chooses among certificates.
    pub(super) fn choosing(mut self, chooser: Chooser) -> Self {
        self.chooser = Some(Arc::new(chooser));
        self
    }

    /// The host that the client has named in its first handshake, where the listener has hosts.
    #[must_use]
    pub fn host_shown(&self) -> Option<&str> {
        self.chooser.as_ref().and_then(|chooser| chooser.shown())
    }

    /// For the control connection.
    #[must_use]
    pub fn control(&self) -> Arc<ServerConfig> {
        let mut control = self.made_of(&self.base, &self.for_control, limits::CONTROL_TICKETS);
        // It stays with rustls, which knows who its peer is.
        control.enable_secret_extraction = false;
        Arc::new(control)
    }

    /// For a data connection on which we send.
    #[must_use]
    pub fn download(&self) -> Arc<ServerConfig> {
        let make = || {
            self.made_of(&self.data, &self.for_data, limits::DATA_TICKETS)
                .into()
        };
        Arc::clone(self.download.get_or_init(make))
    }

    /// For a data connection on which the client sends. It gets no tickets here: clients such as lftp close without
    /// having read them, which makes their kernel send a reset, and that may cut off the file's end.
    #[must_use]
    pub fn upload(&self) -> Arc<ServerConfig> {
        let make = || self.made_of(&self.data, &self.for_data, 0).into();
        Arc::clone(self.upload.get_or_init(make))
    }

    fn made_of(
        &self,
        base: &ServerConfig,
        sessions: &Arc<ServerSessions>,
        tickets: usize,
    ) -> ServerConfig {
        let mut config = base.clone();
        config.ticketer = no_tickets();
        config.session_storage = Arc::clone(sessions) as Arc<_>;
        config.send_tls13_tickets = tickets;
        if let Some(chooser) = &self.chooser {
            config.cert_resolver = Arc::clone(chooser) as Arc<_>;
        }
        config
    }

    /// What the next data connection is measured by, given what the control connection has come to.
    #[must_use]
    pub fn demand(&self, control: Option<&TlsFacts>) -> Demand {
        let resumption = self.is_bound.then(|| {
            // One that ended before it was judged has begun nothing.
            self.for_data.judge(false);
            Arc::clone(&self.for_data)
        });
        Demand {
            resumption,
            hybrid: false,
            certificate: control.and_then(|facts| facts.peer),
        }
    }
}

impl Demand {
    /// Judges a data connection right after its handshake. What one that must resume and did not has begun is forgotten,
    /// and its tickets must not be sent.
    ///
    /// # Errors
    /// The demand that is not met.
    pub fn judge(&self, facts: Option<&TlsFacts>) -> Result<(), Unmet> {
        let is_resumed = facts.is_some_and(|facts| facts.resumed);
        if let Some(sessions) = &self.resumption {
            sessions.judge(is_resumed);
            if !is_resumed {
                return Err(Unmet::Resumption);
            }
        }
        if self.hybrid && !is_resumed && !facts.is_some_and(TlsFacts::is_hybrid) {
            return Err(Unmet::Hybrid);
        }
        // Asked of one that has resumed as well: it may have resumed what a stranger has begun beside it.
        if self.certificate.is_some() && facts.and_then(|facts| facts.peer) != self.certificate {
            return Err(Unmet::Certificate);
        }
        Ok(())
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Resumption => "its TLS session is not resumed from this control connection",
            Self::Hybrid => {
                "its key exchange is not post-quantum, and it has resumed nothing that was"
            }
            Self::Certificate => "its certificate is not that of its control connection",
        })
    }
}

/// The client side of one session, towards one backend: its data connections resume its control connection.
///
/// Made by cloning one base, never built anew: rustls resumes only under the same verifier object. Those for data
/// connections are made when they are first asked for, as `ServerResume` does it.
pub struct ClientResume {
    store: Arc<ClientSessions>,
    control: Arc<ClientConfig>,
    /// The base for data connections with something to resume, and what became of it.
    resuming: Arc<ClientConfig>,
    resumes: OnceCell<Arc<ClientConfig>>,
    is_hybrid: bool,
}

impl ClientResume {
    /// Makes what one session has of the pool's configuration.
    #[must_use]
    pub fn new(base: &ClientConfig) -> Self {
        Self::of(base, &Arc::new(base.clone()), false)
    }

    /// As `new`, with a base of its own for data connections that have something to resume.
    pub(super) fn of(base: &ClientConfig, resuming: &Arc<ClientConfig>, is_hybrid: bool) -> Self {
        let store = Arc::new(ClientSessions::new());
        let mut control = base.clone();
        control.resumption = Resumption::store(Arc::clone(&store) as Arc<_>);
        // It is we who go on after its handshake (`Records::connect`).
        control.enable_secret_extraction = true;
        Self {
            control: Arc::new(control),
            resuming: Arc::clone(resuming),
            resumes: OnceCell::new(),
            is_hybrid,
            store,
        }
    }

    /// For the control connection of this session.
    #[must_use]
    pub fn control(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.control)
    }

    /// For the next data connection of this session; with the same server name as the control connection.
    #[must_use]
    pub fn data(&self) -> Arc<ClientConfig> {
        if self.is_dry() {
            // With the groups of the control connection: nothing protects it but its own key exchange.
            let mut anew = ClientConfig::clone(&self.control);
            anew.alpn_protocols
                .clone_from(&self.resuming.alpn_protocols);
            anew.enable_secret_extraction = self.resuming.enable_secret_extraction;
            return Arc::new(anew);
        }
        let make = || {
            let mut data = ClientConfig::clone(&self.resuming);
            data.resumption = Resumption::store(Arc::clone(&self.store) as Arc<_>);
            Arc::new(data)
        };
        Arc::clone(self.resumes.get_or_init(make))
    }

    /// What each data connection is measured by, given what the control connection has come to.
    #[must_use]
    pub fn demand(&self, control: Option<&TlsFacts>) -> Demand {
        Demand {
            resumption: None,
            hybrid: self.is_hybrid,
            certificate: control.and_then(|facts| facts.peer),
        }
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

/// One for all sessions: there is nothing in it.
fn no_tickets() -> Arc<dyn ProducesTickets> {
    static NONE: LazyLock<Arc<NoTickets>> = LazyLock::new(|| Arc::new(NoTickets));
    Arc::clone(&NONE) as Arc<_>
}

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
