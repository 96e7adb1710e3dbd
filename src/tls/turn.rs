//! One turn of rustls' states, on either side: what it gives is taken, what it has to say is queued.

use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic,
};

use super::Fault;
use crate::net::Buffer;

/// What to do when application data may be sent.
pub(super) enum Order<'a> {
    /// Nothing but what comes.
    Receive,
    /// Encrypt this.
    Seal(&'a [u8]),
    /// Say the end of our direction.
    CloseNotify,
}

/// What to do after a turn.
pub(super) enum Turn {
    /// Take another.
    Again,
    /// The peer's close_notify has come; take another.
    PeerClosed,
    /// Wait for bytes that are not there yet.
    Rest,
}

/// Whether more can come after what `process` gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More may come.
    Open,
    /// The peer's close_notify is behind the last byte: this end is authentic.
    Closed,
}

/// Handles one state of rustls, on either side; says how much of the incoming bytes is done with.
pub(super) fn settle<Data>(
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
