//! The record layer of one connection: ciphertext in and plain bytes out, plain bytes in and ciphertext out.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, CommonState, ProtocolVersion, ServerConfig};

use super::{Fault, TlsFacts};
use crate::limits;
use crate::net::Buffer;

/// One TLS connection without its socket.
///
/// A driver reads into `space`, tells `fill`, calls `process`, writes `outgoing` and tells `advance`; nothing else
/// matters. After a fault `outgoing` holds the alert for the peer, and every later call gives the same fault.
pub struct Records {
    side: Side,
    incoming: Buffer,
    outgoing: Buffer,
    /// What was decrypted while we were doing something else; `process` gives it out first.
    early: Vec<u8>,
    peer_closed: bool,
    close_notify_sent: bool,
    broken: Option<Fault>,
}

enum Side {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// Whether more can come after what `process` gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More may come.
    Open,
    /// The peer's close_notify is behind the last byte: this end is authentic.
    Closed,
}

impl Records {
    /// The server's side; the peer speaks first.
    ///
    /// # Errors
    /// `Ours`: the configuration does not fit.
    pub fn accept(config: Arc<ServerConfig>) -> Result<Self, Fault> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self::of(Side::Server(Box::new(connection))))
    }

    /// The client's side; `process` makes the first flight.
    ///
    /// # Errors
    /// `Ours`: the configuration does not fit.
    pub fn connect(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Fault> {
        let connection = UnbufferedClientConnection::new(config, name)?;
        Ok(Self::of(Side::Client(Box::new(connection))))
    }

    fn of(side: Side) -> Self {
        Self {
            side,
            incoming: Buffer::default(),
            outgoing: Buffer::default(),
            early: Vec::new(),
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
    }

    /// Nothing came after all: gives back the room, if nothing else is in it.
    pub fn unfill(&mut self) {
        self.incoming.release_if_empty();
    }

    /// Copies ciphertext in: for tests and for bytes that were read elsewhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.incoming.append(bytes);
    }

    /// Decrypts every whole record that has come, appending to `plain`, and goes on with the handshake. What TLS itself
    /// has to say (handshake, tickets, answers to key updates) is in `outgoing` afterwards.
    ///
    /// # Errors
    /// The connection is broken, for good; `plain` holds what came before that.
    pub fn process(&mut self, plain: &mut Vec<u8>) -> Result<Progress, Fault> {
        plain.append(&mut self.early);
        self.early = Vec::new();
        self.drive(Order::Receive, plain)?;
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

    /// Whether application data cannot flow yet. When this turns false there may be a last flight in `outgoing`.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }

    /// Whether all that is in `outgoing` may wait for the first byte of ours: the handshake is complete, and what is left
    /// of it are tickets (TLS 1.3, server).
    #[must_use]
    pub fn has_only_tickets(&self) -> bool {
        let is_server = matches!(self.side, Side::Server(_));
        let is_v13 = self.common().protocol_version() == Some(ProtocolVersion::TLSv1_3);
        is_server && is_v13 && !self.is_handshaking()
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
        !self.incoming.is_empty()
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
        TlsFacts::of(self.common())
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.incoming.held() + self.outgoing.held() + self.early.capacity()
    }

    fn common(&self) -> &CommonState {
        match &self.side {
            Side::Server(connection) => connection,
            Side::Client(connection) => connection,
        }
    }

    /// Drives for something else than receiving: what is decrypted on the way waits in `early`.
    fn drive_aside(&mut self, order: Order<'_>) -> Result<(), Fault> {
        let mut early = std::mem::take(&mut self.early);
        let driven = self.drive(order, &mut early);
        self.early = early;
        driven
    }

    /// Turns rustls' states until it wants bytes that are not there, and carries out the order on the way.
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
                    return Err(fault);
                }
            }
        }
        if self.peer_closed {
            // TLS ignores what comes behind close_notify (RFC 8446 section 6.1), so nobody will ever take it out.
            self.incoming.discard(self.incoming.len());
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
        while self.common().wants_write()
            && turns > 0
            && self.turn(&mut Order::Receive, plain).is_ok()
        {
            turns -= 1;
        }
    }

    fn turn(&mut self, order: &mut Order<'_>, plain: &mut Vec<u8>) -> Result<Turn, Fault> {
        let incoming = self.incoming.filled_mut();
        let (discard, turn) = match &mut self.side {
            Side::Server(connection) => {
                let status = connection.process_tls_records(incoming);
                settle(status, order, plain, &mut self.outgoing)
            }
            Side::Client(connection) => {
                let status = connection.process_tls_records(incoming);
                settle(status, order, plain, &mut self.outgoing)
            }
        };
        // Not `Buffer::discard`: the memory stays for the turns to come, and rustls' positions with it.
        self.incoming.skip(discard);
        turn
    }
}

/// What to do when application data may be sent.
enum Order<'a> {
    Receive,
    Seal(&'a [u8]),
    CloseNotify,
}

enum Turn {
    Again,
    PeerClosed,
    Rest,
}

/// Handles one state of rustls, on either side; says how much of the incoming bytes is done with.
fn settle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    order: &mut Order<'_>,
    plain: &mut Vec<u8>,
    outgoing: &mut Buffer,
) -> (usize, Result<Turn, Fault>) {
    let mut discard = status.discard;
    let state = match status.state {
        Ok(state) => state,
        Err(error) => return (discard, Err(error.into())),
    };
    let turn = match state {
        ConnectionState::ReadTraffic(mut traffic) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    plain.extend_from_slice(record.payload);
                }
                Some(Err(error)) => break Err(error.into()),
                None => break Ok(Turn::Again),
            }
        },
        ConnectionState::EncodeTlsData(mut data) => loop {
            match data.encode(outgoing.room(0)) {
                Ok(len) => {
                    outgoing.fill(len);
                    break Ok(Turn::Again);
                }
                Err(EncodeError::InsufficientSize(short)) => {
                    outgoing.room(short.required_size);
                }
                Err(EncodeError::AlreadyEncoded) => break Ok(Turn::Again),
            }
        },
        // Everything in `outgoing` is sent in its order, by whoever drives us: as good as transmitted.
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Turn::Again)
        }
        ConnectionState::PeerClosed => Ok(Turn::PeerClosed),
        ConnectionState::WriteTraffic(traffic) => carry_out(order, traffic, outgoing),
        // Early data is never offered nor accepted: our configurations leave it off.
        ConnectionState::BlockedHandshake | ConnectionState::Closed => Ok(Turn::Rest),
        _ => Err(Fault::Ours(
            "a state of the TLS library that we do not know".into(),
        )),
    };
    (discard, turn)
}

fn carry_out<Data>(
    order: &mut Order<'_>,
    mut traffic: WriteTraffic<'_, Data>,
    outgoing: &mut Buffer,
) -> Result<Turn, Fault> {
    let expected = match order {
        Order::Receive => return Ok(Turn::Rest),
        Order::Seal(plain) => {
            plain.len() + (plain.len() / RECORD_PLAIN_BYTES + 1) * RECORD_OVERHEAD_BYTES
        }
        Order::CloseNotify => RECORD_OVERHEAD_BYTES,
    };
    let mut room = outgoing.room(expected);
    loop {
        let sealed = match order {
            Order::Seal(plain) => traffic.encrypt(plain, room),
            _ => traffic.queue_close_notify(room),
        };
        match sealed {
            Ok(len) => {
                outgoing.fill(len);
                *order = Order::Receive;
                return Ok(Turn::Again);
            }
            Err(EncryptError::InsufficientSize(short)) => room = outgoing.room(short.required_size),
            Err(EncryptError::EncryptExhausted) => {
                return Err(Fault::Ours("the keys are used up".into()));
            }
        }
    }
}

/// Most plain bytes in one record (RFC 8446 section 5.1).
const RECORD_PLAIN_BYTES: usize = 16 * 1024;

/// More than any record of ours is longer than its plain bytes: header 5, explicit nonce 8, tag 16, type 1, and room for
/// a key update or an alert beside it. A short guess costs a second try, nothing else.
const RECORD_OVERHEAD_BYTES: usize = 64;
