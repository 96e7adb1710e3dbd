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
use crate::net::{Dial, Introduction, Listener, PortLease, Stream};
use crate::tls::{self, Demand, Unmet};

use guard::Doorway;
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

impl Secure {
    /// What a leg was that never came up and was not looked at.
    const fn unseen(&self, was_there: bool) -> End {
        match (was_there, self) {
            (false, _) => End::Refused,
            // A TLS server says nothing of a file before it has heard from its client, and that is us.
            (true, Self::AsClient(..)) => End::Bare,
            (true, Self::Clear | Self::AsServer(..)) => End::NotTaken,
        }
    }
}

/// A port of ours that waits for a peer's data connection. The port is free again when this is dropped.
pub struct Passive {
    // The order of the fields is the order of their end: the listener goes before its port is given back.
    listener: Listener,
    lease: PortLease,
}

impl Passive {
    /// Takes over a listener and its port.
    #[must_use]
    pub const fn new(listener: Listener, lease: PortLease) -> Self {
        Self { listener, lease }
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
    /// What goes before everything else where we connect: a PROXY header.
    first: Vec<u8>,
    /// Taken when TLS begins.
    secure: Secure,
    /// Connections that were somebody else's.
    pub strangers: u32,
}

enum Step {
    /// With the connection whose PROXY header is being read, if there is one.
    Listening(Passive, Guard, Option<Introduction>),
    Dialing(Dial),
    /// Clear, and what goes first is not sent yet.
    Starting(Leg),
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
            step: Step::Listening(passive, guard, None),
            first: Vec::new(),
            secure,
            strangers: 0,
        }
    }

    /// Connects to the peer, from `source` where given, and begins with `first`.
    ///
    /// # Errors
    /// When the kernel knows at once that it cannot be reached; for the log.
    pub fn dial(
        target: SocketAddr,
        source: Option<IpAddr>,
        first: Vec<u8>,
        secure: Secure,
    ) -> std::io::Result<Self> {
        // A TLS client speaks first, also in FTP's active mode, where it is our peer.
        let dial = match &secure {
            Secure::AsClient(..) => Dial::start_to_speak(target, source)?,
            Secure::Clear | Secure::AsServer(..) => Dial::start(target, source)?,
        };
        Ok(Self {
            step: Step::Dialing(dial),
            first,
            secure,
            strangers: 0,
        })
    }

    /// The next news; after `Up` or `Failed` there is none.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Opened> {
        let (stream, checked) = match &mut self.step {
            Step::Listening(passive, guard, newcomer) => {
                match ready!(admit(passive, guard, newcomer, &mut self.strangers, cx)) {
                    Ok(admitted) => admitted,
                    // Who could not be taken may have sent a whole file: nothing here proves an empty one (rule 2).
                    Err(why) => return self.fail(End::NotTaken, why),
                }
            }
            Step::Dialing(dial) => match ready!(dial.poll(cx)) {
                Ok(stream) => (stream, PeerChecked::dialed()),
                Err(error) => {
                    let end = never_up(&error, &self.secure);
                    return self.fail(end, error.to_string());
                }
            },
            Step::Starting(leg) => {
                let sent = ready!(leg.poll_flush(cx));
                return self.started(sent);
            }
            Step::Handshaking(leg, _) => {
                let outcome = ready!(leg.poll_handshake(cx));
                return self.handshaken(outcome);
            }
            Step::Over => return Poll::Pending,
        };
        self.connected(stream, checked, cx)
    }

    /// TLS, or what else the leg is to be, only for a peer that has been checked (rule 10 of the contract).
    fn connected(
        &mut self,
        stream: Stream,
        _checked: PeerChecked,
        cx: &mut Context<'_>,
    ) -> Poll<Opened> {
        let mut leg = Leg::new(stream);
        if let Err(fault) = leg.queue(&std::mem::take(&mut self.first)) {
            return self.fail(End::Reset, fault.to_string());
        }
        let (secured, demand) = match std::mem::replace(&mut self.secure, Secure::Clear) {
            Secure::Clear => {
                self.step = Step::Starting(leg);
                return self.poll(cx);
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

    fn started(&mut self, sent: Result<(), leg::Fault>) -> Poll<Opened> {
        match (sent, std::mem::replace(&mut self.step, Step::Over)) {
            (Ok(()), Step::Starting(leg)) => Poll::Ready(Opened::Up(leg)),
            (Err(fault), _) => self.fail(End::Reset, fault.to_string()),
            (Ok(()), _) => Poll::Pending,
        }
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
    ///
    /// A core that was held up may hear of a deadline before it hears of the peer, so the kernel is asked: who was there, or
    /// has said something, was not absent, and what he sent may have been a file (rule 2).
    #[must_use]
    pub fn give_up(self, close: Close) -> End {
        let mut leg = match self.step {
            Step::Handshaking(leg, _) => leg,
            Step::Listening(passive, guard, newcomer) => {
                return self
                    .secure
                    .unseen(newcomer.is_some() || is_waited_at(passive, &guard));
            }
            Step::Dialing(dial) => return self.secure.unseen(dial.has_met()),
            Step::Starting(_) => return self.secure.unseen(true),
            Step::Over => return End::Refused,
        };
        let end = if leg.received_any() || leg.has_unread() {
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

/// Whether the right peer waits at a port. Strangers do not count, and behind a proxy nobody can tell who is one.
fn is_waited_at(mut passive: Passive, guard: &Guard) -> bool {
    for _ in 0..STRANGERS_PER_LISTENER_MAX {
        let stream = match passive.listener.take_waiting() {
            Ok(Some(stream)) => stream,
            Ok(None) => return false,
            // Nobody can tell.
            Err(_) => return true,
        };
        let peer = stream.peer();
        let is_theirs = match guard.doorway(peer) {
            Doorway::Open => guard.check(peer).is_some(),
            Doorway::Header => true,
            Doorway::Shut => false,
        };
        if is_theirs {
            return true;
        }
    }
    // Too many to look at them all.
    true
}

/// A reset comes only from who was there, and on a clear leg it may have taken the beginning of a file with it.
fn never_up(error: &std::io::Error, secure: &Secure) -> End {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    match (error.kind(), secure) {
        (ConnectionReset | BrokenPipe, Secure::Clear) => End::Reset,
        (ConnectionReset | BrokenPipe, _) => End::Bare,
        _ => End::Refused,
    }
}

/// The first connection of the right peer; strangers are turned away, and the listener goes on waiting.
fn admit(
    passive: &mut Passive,
    guard: &Guard,
    newcomer: &mut Option<Introduction>,
    strangers: &mut u32,
    cx: &mut Context<'_>,
) -> Poll<Result<(Stream, PeerChecked), String>> {
    loop {
        // One at a time: a proxy sends its header as soon as it is connected.
        let named = match newcomer {
            Some(introduction) => {
                let introduced = ready!(introduction.poll(cx));
                *newcomer = None;
                introduced.ok().map(|(stream, ends)| (stream, ends.client))
            }
            None => {
                let stream = match ready!(passive.listener.poll_accept(cx)) {
                    Ok(stream) => stream,
                    Err(fault) => return Poll::Ready(Err(fault.to_string())),
                };
                let peer = stream.peer();
                match guard.doorway(peer) {
                    Doorway::Open => Some((stream, peer)),
                    Doorway::Shut => None,
                    Doorway::Header => {
                        *newcomer = Some(Introduction::new(stream));
                        continue;
                    }
                }
            }
        };
        // Whoever is not let in is reset when dropped.
        if let Some((stream, client)) = named
            && let Some(checked) = guard.check(client)
        {
            passive.lease.taken();
            return Poll::Ready(Ok((stream, checked)));
        }
        *strangers += 1;
        if *strangers >= STRANGERS_PER_LISTENER_MAX {
            return Poll::Ready(Err("too many strangers at the passive port".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write as _;
    use std::net::Ipv4Addr;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;
    use crate::net::{PortRange, on_core, open_passive};
    use crate::policy::DataPeer;
    use crate::tls::ServerResume;

    fn socket() -> socket2::Socket {
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap()
    }

    fn listening() -> (socket2::Socket, SocketAddr) {
        let (listener, any) = (socket(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        listener.bind(&any.into()).unwrap();
        listener.listen(1).unwrap();
        let target = listener.local_addr().unwrap().as_socket().unwrap();
        (listener, target)
    }

    async fn failure(opening: &mut Opening) -> End {
        match poll_fn(|cx| opening.poll(cx)).await {
            Opened::Failed(end, _) => end,
            _ => panic!("it came up"),
        }
    }

    #[test]
    fn a_peer_that_was_there_and_reset_was_not_absent() {
        on_core(|| async {
            let (listener, target) = listening();
            let mut opening = Opening::dial(target, None, Vec::new(), Secure::Clear).unwrap();
            // All of this before the gate has looked at its connection for the first time.
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(b"the beginning of a file").unwrap();
            peer.set_linger(Some(Duration::ZERO)).unwrap();
            drop(peer);
            assert_eq!(failure(&mut opening).await, End::Reset);
            drop(listener);
            let mut opening = Opening::dial(target, None, Vec::new(), Secure::Clear).unwrap();
            assert_eq!(failure(&mut opening).await, End::Refused);
        });
    }

    /// A core that was held up may hear of the deadline before it hears of the connection.
    #[test]
    fn who_is_given_up_unseen_was_not_absent() {
        on_core(|| async {
            let (listener, target) = listening();
            let dial = || Opening::dial(target, None, Vec::new(), Secure::Clear).unwrap();
            let opening = dial();
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(b"a file").unwrap();
            assert_eq!(opening.give_up(Close::Reset), End::NotTaken);
            let opening = dial();
            let (peer, _) = listener.accept().unwrap();
            peer.set_linger(Some(Duration::ZERO)).unwrap();
            drop(peer);
            assert_eq!(opening.give_up(Close::Reset), End::NotTaken);
            drop(listener);
            assert_eq!(dial().give_up(Close::Reset), End::Refused);
        });
    }

    #[test]
    fn who_waits_at_a_port_that_is_given_up_was_not_absent() {
        on_core(|| async {
            let range = Rc::new(PortRange::slice(&(0..=0), 0, 1));
            for (peer, end) in [
                (Ipv4Addr::LOCALHOST.into(), End::NotTaken),
                ([192, 0, 2, 1].into(), End::Refused),
            ] {
                let (listener, lease) = open_passive(&range, Ipv4Addr::LOCALHOST.into()).unwrap();
                let passive = Passive::new(listener, lease);
                let target = passive.local();
                let guard = Guard::new(peer, DataPeer::Same);
                let opening = Opening::listen(passive, guard, Secure::Clear);
                let connected = socket();
                connected.connect(&target.into()).unwrap();
                assert_eq!(opening.give_up(Close::Reset), end);
            }
        });
    }

    #[test]
    fn tls_that_nobody_has_read_is_not_none() {
        on_core(|| async {
            let (server, _) = tls::tests::configs(&[&rustls::version::TLS13]);
            let server = Arc::new(server);
            let demand = || ServerResume::new(&server).demand(None);
            let range = Rc::new(PortRange::slice(&(0..=0), 0, 1));
            for (said, end) in [(&b""[..], End::Bare), (b"\x16", End::HandshakeFailed)] {
                let (listener, lease) = open_passive(&range, Ipv4Addr::LOCALHOST.into()).unwrap();
                let passive = Passive::new(listener, lease);
                let target = passive.local();
                let guard = Guard::new(Ipv4Addr::LOCALHOST.into(), DataPeer::Same);
                let secure = Secure::AsServer(Arc::clone(&server), demand());
                let mut opening = Opening::listen(passive, guard, secure);
                let mut peer = socket();
                peer.connect(&target.into()).unwrap();
                let connected = poll_fn(|cx| opening.poll(cx)).await;
                assert!(matches!(connected, Opened::Connected));
                peer.write_all(said).unwrap();
                assert_eq!(opening.give_up(Close::Reset), end);
            }
        });
    }

    #[test]
    fn a_port_that_strangers_have_worn_out_proves_no_absence() {
        on_core(|| async {
            let range = Rc::new(PortRange::slice(&(0..=0), 0, 1));
            let (listener, lease) = open_passive(&range, Ipv4Addr::LOCALHOST.into()).unwrap();
            let passive = Passive::new(listener, lease);
            let target = passive.local();
            let guard = Guard::new([192, 0, 2, 1].into(), DataPeer::Same);
            let mut opening = Opening::listen(passive, guard, Secure::Clear);
            for _ in 0..STRANGERS_PER_LISTENER_MAX {
                let stranger = socket();
                stranger.connect(&target.into()).unwrap();
            }
            assert_eq!(failure(&mut opening).await, End::NotTaken);
        });
    }
}
