//! Opening the two data legs of a transfer: each for itself, so that neither waits for the other (rule 8 of the contract).
//! `session` polls an [`Opening`] for each leg and hears when TCP is there, when the leg is up, or how it failed.
//! It never moves a byte of a file, never decides what a failure means, and watches no clock: the dialog does.

mod guard;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use crate::dialog::{Close, End};
use crate::leg::{self, Leg};
use crate::limits::STRANGERS_PER_LISTENER_MAX;
use crate::net::{Dial, Listener, PortLease, Stream};
use crate::tls::{self, Demand, Unmet};

pub use guard::{Guard, PeerChecked};

/// TLS for a data leg, if it is private. The FTP client is always the TLS client (RFC 4217 section 7).
pub enum Secure {
    /// PROT C.
    Clear,
    /// PROT P towards the client: we are the server.
    AsServer(Arc<ServerConfig>, Demand),
    /// PROT P towards the backend: we are the client.
    AsClient(Arc<ClientConfig>, ServerName<'static>, Demand),
}

/// A port of ours that waits for a peer's data connection. The port is free again when this is dropped.
pub struct Passive {
    // The order of the fields is the order of their end: the listener goes before its port is given back.
    listener: Listener,
    _lease: PortLease,
}

impl Passive {
    /// Takes over a listener and its port.
    #[must_use]
    pub const fn new(listener: Listener, lease: PortLease) -> Self {
        Self {
            listener,
            _lease: lease,
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.listener.local()
    }
}

/// A data leg on its way up.
pub struct Opening {
    step: Step,
    /// Taken when TLS begins.
    secure: Secure,
    /// Connections that were somebody else's.
    pub strangers: u32,
}

enum Step {
    Listening(Passive, Guard),
    Dialing(Dial),
    Handshaking(Leg, Demand),
    /// Up or failed: told already.
    Over,
}

/// News of a leg on its way up.
#[allow(
    clippy::large_enum_variant,
    reason = "made once a transfer and taken apart at once: a box would only cost"
)]
pub enum Opened {
    /// TCP is there; TLS is still to come.
    Connected,
    /// Ready for bytes.
    Up(Leg),
    /// It will not be, and why, for the log.
    Failed(End, String),
}

impl Opening {
    /// Waits for the peer on a port that is open already.
    #[must_use]
    pub const fn listen(passive: Passive, guard: Guard, secure: Secure) -> Self {
        Self {
            step: Step::Listening(passive, guard),
            secure,
            strangers: 0,
        }
    }

    /// Connects to the peer, from `source` where given.
    ///
    /// # Errors
    /// When the kernel knows at once that it cannot be reached; for the log.
    pub fn dial(
        target: SocketAddr,
        source: Option<IpAddr>,
        secure: Secure,
    ) -> std::io::Result<Self> {
        Ok(Self {
            step: Step::Dialing(Dial::start(target, source)?),
            secure,
            strangers: 0,
        })
    }

    /// The next news; after `Up` or `Failed` there is none.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Opened> {
        let (stream, checked) = match &mut self.step {
            Step::Listening(passive, guard) => {
                match ready!(admit(passive, guard, &mut self.strangers, cx)) {
                    Ok(admitted) => admitted,
                    Err(why) => return self.fail(End::Refused, why),
                }
            }
            Step::Dialing(dial) => match ready!(dial.poll(cx)) {
                Ok(stream) => (stream, PeerChecked::dialed()),
                Err(error) => return self.fail(End::Refused, error.to_string()),
            },
            Step::Handshaking(leg, _) => {
                let outcome = ready!(leg.poll_handshake(cx));
                return self.handshaken(outcome);
            }
            Step::Over => return Poll::Pending,
        };
        self.connected(stream, checked)
    }

    /// TLS, or what else the leg is to be, only for a peer that has been checked (rule 10 of the contract).
    fn connected(&mut self, stream: Stream, _checked: PeerChecked) -> Poll<Opened> {
        let mut leg = Leg::new(stream);
        let (secured, demand) = match std::mem::replace(&mut self.secure, Secure::Clear) {
            Secure::Clear => {
                self.step = Step::Over;
                return Poll::Ready(Opened::Up(leg));
            }
            Secure::AsServer(config, demand) => (leg.secure_as_server(config), demand),
            Secure::AsClient(config, name, demand) => (leg.secure_as_client(config, name), demand),
        };
        if let Err(fault) = secured {
            return self.fail(End::HandshakeFailed, fault.to_string());
        }
        self.step = Step::Handshaking(leg, demand);
        Poll::Ready(Opened::Connected)
    }

    fn handshaken(&mut self, outcome: Result<(), leg::Fault>) -> Poll<Opened> {
        let Step::Handshaking(leg, demand) = std::mem::replace(&mut self.step, Step::Over) else {
            return Poll::Pending;
        };
        match outcome {
            Ok(()) => Poll::Ready(match demand.judge(leg.facts().as_ref()) {
                Ok(()) => Opened::Up(leg),
                // Dropped, and so reset, with our tickets unsent: they would let a stranger resume next time.
                Err(unmet) => {
                    let end = match unmet {
                        Unmet::Resumption => End::NotResumed,
                        Unmet::Hybrid => End::HandshakeFailed,
                        Unmet::Certificate => End::OtherCertificate,
                    };
                    Opened::Failed(end, unmet.to_string())
                }
            }),
            Err(fault) => {
                let end = match fault {
                    // Closed or reset, and not a byte of TLS: nothing of a file can have been in it.
                    leg::Fault::Closed | leg::Fault::Reset if !leg.received_any() => End::Bare,
                    leg::Fault::Tls(tls::Fault::Certificate(_) | tls::Fault::NoCertificate) => {
                        End::OtherCertificate
                    }
                    _ => End::HandshakeFailed,
                };
                Poll::Ready(Opened::Failed(end, fault.to_string()))
            }
        }
    }

    fn fail(&mut self, end: End, why: String) -> Poll<Opened> {
        self.step = Step::Over;
        Poll::Ready(Opened::Failed(end, why))
    }

    /// Gives it up, and says how far it had come: what a leg was that never came up.
    #[must_use]
    pub fn give_up(self, close: Close) -> End {
        let Step::Handshaking(mut leg, _) = self.step else {
            return End::Refused;
        };
        let end = if leg.received_any() {
            End::HandshakeFailed
        } else {
            End::Bare
        };
        // No stream has begun, so a plain FIN misleads nobody; what is half said is better reset.
        if close == Close::Reset || leg.queued() > 0 || leg.finish().is_err() {
            leg.abort();
        }
        end
    }
}

/// The first connection of the right peer; strangers are turned away, and the listener goes on waiting.
fn admit(
    passive: &mut Passive,
    guard: &Guard,
    strangers: &mut u32,
    cx: &mut Context<'_>,
) -> Poll<Result<(Stream, PeerChecked), String>> {
    loop {
        let stream = match ready!(passive.listener.poll_accept(cx)) {
            Ok(stream) => stream,
            Err(fault) => return Poll::Ready(Err(fault.to_string())),
        };
        if let Some(checked) = guard.check(stream.peer()) {
            return Poll::Ready(Ok((stream, checked)));
        }
        stream.abort();
        *strangers += 1;
        if *strangers >= STRANGERS_PER_LISTENER_MAX {
            return Poll::Ready(Err("too many strangers at the passive port".to_owned()));
        }
    }
}
