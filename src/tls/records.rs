//! The record layer of one connection: ciphertext in and plain bytes out, plain bytes in and ciphertext out.

mod kernel;
mod pass;
mod shaking;

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, CommonState, ProtocolVersion, ServerConfig};

use super::direct::Direct;
use super::keys::HEADER_BYTES;
use super::library::Library;
use super::turn::{Order, Progress, Turn};
use super::{Fault, TlsFacts, identity};
use crate::limits;
use crate::net::Buffer;
use crate::policy::PeerIdentity;

/// One TLS connection without its socket.
///
/// A driver reads into `space`, tells `fill`, calls `process`, writes `outgoing` and tells `advance`; nothing else
/// matters. After a fault `outgoing` holds the alert for the peer, and every later call gives the same fault.
pub struct Records {
    side: Side,
    pub(super) incoming: Buffer,
    pub(super) outgoing: Buffer,
    /// What was decrypted while we were doing something else; `process` gives it out first.
    early: Vec<u8>,
    /// Something has come since `process` has last been through with it, or nothing was ever said: it is asked at every
    /// wake of its session, mostly for nothing.
    pub(super) is_stirred: bool,
    peer_closed: bool,
    close_notify_sent: bool,
    broken: Option<Fault>,
}

enum Side {
    Library(Library),
    /// Amid its handshake, and shown one record at a time: what stands behind the peer's Finished must not be swallowed,
    /// it is for `Direct`.
    Shaking {
        library: Library,
        /// Bytes at the front of `incoming` that rustls knows of.
        shown: usize,
    },
    Direct(Box<Direct>),
    /// Between two of these. It stays where one could not become the other, and then `broken` says why.
    Nobody,
}

impl Records {
    /// The server's side; the peer speaks first. Where the configuration lets secrets be extracted, the records of TLS 1.3
    /// are our own, and can be passed on in place.
    ///
    /// # Errors
    /// `Ours`: the configuration does not fit.
    pub fn accept(config: Arc<ServerConfig>) -> Result<Self, Fault> {
        let is_direct = config.enable_secret_extraction;
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self::begin(
            Library::Server(Box::new(connection)),
            is_direct,
        ))
    }

    /// The client's side; `process` makes the first flight. As for the server; and the tickets of a connection with records
    /// of our own, as `ClientResume::control` has them, can be renewed.
    ///
    /// # Errors
    /// `Ours`: the configuration does not fit.
    pub fn connect(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Fault> {
        let is_direct = config.enable_secret_extraction;
        let connection = UnbufferedClientConnection::new(config, name)?;
        Ok(Self::begin(
            Library::Client(Box::new(connection)),
            is_direct,
        ))
    }

    const fn begin(library: Library, is_direct: bool) -> Self {
        Self::of(if is_direct {
            Side::Shaking { library, shown: 0 }
        } else {
            Side::Library(library)
        })
    }

    const fn of(side: Side) -> Self {
        Self {
            side,
            incoming: Buffer::new(),
            outgoing: Buffer::new(),
            early: Vec::new(),
            is_stirred: true,
            peer_closed: false,
            close_notify_sent: false,
            broken: None,
        }
    }

    /// Room for at least `len` bytes of ciphertext; `fill` says how many came.
    pub fn space(&mut self, len: usize) -> &mut [u8] {
        self.incoming.room(len)
    }

    /// `len` bytes were read into `space`.
    pub fn fill(&mut self, len: usize) {
        self.incoming.fill(len);
        self.is_stirred |= len > 0;
    }

    /// Nothing came after all: gives back the room.
    pub fn unfill(&mut self) {
        self.incoming.shrink();
    }

    /// Bytes of ciphertext that have come and are not done with: the start of a record.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.incoming.len()
    }

    /// Copies ciphertext in: what was read elsewhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.incoming.append(bytes);
        self.is_stirred |= !bytes.is_empty();
    }

    /// Decrypts every whole record that has come, appending to `plain`, and goes on with the handshake. What TLS itself
    /// has to say (handshake, tickets, answers to key updates) is in `outgoing` afterwards.
    ///
    /// # Errors
    /// The connection is broken, for good; `plain` holds what came before that.
    pub fn process(&mut self, plain: &mut Vec<u8>) -> Result<Progress, Fault> {
        plain.append(&mut self.early);
        self.early = Vec::new();
        if self.is_stirred || self.broken.is_some() {
            self.drive(Order::Receive, plain)?;
            self.is_stirred = false;
        }
        Ok(if self.peer_closed {
            Progress::Closed
        } else {
            Progress::Open
        })
    }

    /// Encrypts `plain` to the end of `outgoing`, in as few records as there can be.
    ///
    /// # Errors
    /// The connection is broken, not yet through its handshake, or closed by us.
    pub fn seal(&mut self, plain: &[u8]) -> Result<(), Fault> {
        if plain.is_empty() {
            return Ok(());
        }
        if self.close_notify_sent {
            return Err(Fault::Ours("bytes behind our close_notify".into()));
        }
        self.drive_aside(Order::Seal(plain))
    }

    /// Says the authentic end of our direction, once. Not before the handshake is complete: there it says nothing.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn seal_close_notify(&mut self) -> Result<(), Fault> {
        if self.close_notify_sent || self.is_handshaking() {
            return Ok(());
        }
        self.drive_aside(Order::CloseNotify)?;
        self.close_notify_sent = true;
        Ok(())
    }

    /// Puts the newest ticket of this connection into the session store once more, for a data connection to resume.
    /// Does nothing where there is none, or none is needed: in TLS 1.2 a session serves again and again.
    ///
    /// # Errors
    /// `Ours`: the store cannot be used. The connection itself goes on.
    pub fn renew_ticket(&mut self) -> Result<(), Fault> {
        match &mut self.side {
            Side::Direct(direct) => direct.renew_ticket(),
            _ => Ok(()),
        }
    }

    /// Whether application data cannot flow yet. When this turns false there may be a last flight in `outgoing`.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        match &self.side {
            Side::Direct(_) => false,
            _ => self.common().is_none_or(CommonState::is_handshaking),
        }
    }

    /// Whether all that is in `outgoing` may wait for the first byte of ours: the handshake is complete, and what is left
    /// of it are tickets (TLS 1.3, server).
    #[must_use]
    pub fn has_only_tickets(&self) -> bool {
        match &self.side {
            Side::Library(library @ Library::Server(_)) => {
                library.protocol_version() == Some(ProtocolVersion::TLSv1_3)
                    && !library.is_handshaking()
            }
            Side::Direct(direct) => direct.is_server(),
            _ => false,
        }
    }

    /// Whether the peer's close_notify has come.
    #[must_use]
    pub const fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Whether our close_notify is sealed.
    #[must_use]
    pub const fn close_notify_sent(&self) -> bool {
        self.close_notify_sent
    }

    /// Whether the start of a record, and not the whole of it, has come.
    #[must_use]
    pub const fn is_amid_record(&self) -> bool {
        !self.peer_closed && !self.incoming.is_empty()
    }

    /// Ciphertext for the peer.
    #[must_use]
    pub fn outgoing(&self) -> &[u8] {
        self.outgoing.filled()
    }

    /// The first `len` bytes of `outgoing` were sent.
    pub fn advance(&mut self, len: usize) {
        self.outgoing.discard(len);
    }

    /// What was agreed on; none before the handshake is complete.
    #[must_use]
    pub fn facts(&self) -> Option<TlsFacts> {
        match &self.side {
            Side::Direct(direct) => Some(direct.facts().clone()),
            _ => TlsFacts::of(self.common()?),
        }
    }

    /// Who the peer is by the certificate it has shown, on a connection that is rustls'.
    #[must_use]
    pub fn identity(&self) -> Option<PeerIdentity> {
        let chain = self.common()?.peer_certificates()?;
        chain.first().map(identity::of)
    }

    #[cfg(test)]
    pub(super) fn direct(&mut self) -> Option<&mut Direct> {
        match &mut self.side {
            Side::Direct(direct) => Some(direct),
            _ => None,
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let held = self.incoming.held() + self.outgoing.held() + self.early.capacity();
        match &self.side {
            Side::Direct(direct) => held + direct.held(),
            _ => held,
        }
    }

    /// What rustls knows of the connection, while it has it.
    fn common(&self) -> Option<&CommonState> {
        match &self.side {
            Side::Library(library) | Side::Shaking { library, .. } => Some(library),
            Side::Direct(_) | Side::Nobody => None,
        }
    }

    /// Drives for something else than receiving: what is decrypted on the way waits in `early`.
    fn drive_aside(&mut self, order: Order<'_>) -> Result<(), Fault> {
        let mut early = std::mem::take(&mut self.early);
        let driven = self.drive(order, &mut early);
        self.early = early;
        driven
    }

    /// Takes turns until bytes are wanted that are not there, and carries out the order on the way.
    fn drive(&mut self, mut order: Order<'_>, plain: &mut Vec<u8>) -> Result<(), Fault> {
        if let Some(fault) = &self.broken {
            return Err(fault.clone());
        }
        loop {
            match self.turn(&mut order, plain) {
                Ok(Turn::Again) => {}
                Ok(Turn::PeerClosed) => self.peer_closed = true,
                Ok(Turn::Rest) => break,
                Err(fault) => {
                    self.broken = Some(fault.clone());
                    self.fetch_alert(plain);
                    self.name_alert(&fault);
                    return Err(fault);
                }
            }
        }
        if self.peer_closed && self.is_handshaking() {
            // TLS ignores what comes behind close_notify (RFC 8446 section 6.1), so nobody will ever take it out. Behind a
            // handshake it may be clear text that goes on there (`part`).
            self.incoming.discard(self.incoming.len());
            if let Side::Shaking { shown, .. } = &mut self.side {
                *shown = 0;
            }
        }
        self.incoming.release_if_empty();
        match order {
            Order::Receive => Ok(()),
            Order::Seal(_) | Order::CloseNotify => {
                Err(Fault::Ours("not ready for application data".into()))
            }
        }
    }

    /// After a fatal error rustls has an alert for the peer: it comes out before anything else is looked at.
    ///
    /// Only as long as there is one: rustls does not expect to look at the same bad bytes a second time.
    fn fetch_alert(&mut self, plain: &mut Vec<u8>) {
        let mut turns = limits::ALERT_TURNS_MAX;
        while self.common().is_some_and(CommonState::wants_write)
            && turns > 0
            && self.turn(&mut Order::Receive, plain).is_ok()
        {
            turns -= 1;
        }
    }

    fn turn(&mut self, order: &mut Order<'_>, plain: &mut Vec<u8>) -> Result<Turn, Fault> {
        let incoming = self.incoming.filled_mut();
        let (discard, turn) = match &mut self.side {
            Side::Library(library) => library.turn(incoming, order, plain, &mut self.outgoing),
            Side::Shaking { library, shown } => {
                let incoming = &mut incoming[..*shown];
                let (discard, turn) = library.turn(incoming, order, plain, &mut self.outgoing);
                *shown -= discard;
                (discard, turn)
            }
            Side::Direct(direct) => {
                let (incoming, outgoing) = (&mut self.incoming, &mut self.outgoing);
                return match std::mem::replace(order, Order::Receive) {
                    Order::Seal(plain) => direct.seal(plain, outgoing).map(|()| Turn::Rest),
                    Order::CloseNotify => direct.seal_close_notify(outgoing).map(|()| Turn::Rest),
                    Order::Receive if self.peer_closed => Ok(Turn::Rest),
                    Order::Receive => match direct.open(incoming, outgoing, plain)? {
                        Progress::Open => Ok(Turn::Rest),
                        Progress::Closed => Ok(Turn::PeerClosed),
                    },
                };
            }
            Side::Nobody => return Err(Fault::Ours("nobody is there".into())),
        };
        // Not `Buffer::discard`: the memory stays for the turns to come, and rustls' positions with it.
        self.incoming.skip(discard);
        match turn {
            Ok(Turn::Rest) => self.shake_on(),
            turn => turn,
        }
    }
}

/// Length of the record at the front, 0 while it is not all there. What is no record is given whole, for rustls to refuse.
pub(super) fn next_record(bytes: &[u8]) -> usize {
    let &[kind, _, _, high, low, ..] = bytes else {
        return 0;
    };
    let len = HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if !(20..=24).contains(&kind) || len > limits::TLS_RECORD_BYTES_MAX {
        return bytes.len();
    }
    if len <= bytes.len() { len } else { 0 }
}
