//! A record layer of our own for TLS 1.3, from the end of the handshake on.
//!
//! It exists for two things that rustls does not offer: to use a ticket again (`renew_ticket`), and to seal a record where
//! it was opened (`reseal`). rustls stays the one who shakes hands and derives keys; what it would do with each record
//! (RFC 8446 sections 4.6, 5 and 6) is done here.

mod kernel;
mod refusal;
mod reseal;
mod update;

use std::time::{Duration, Instant};

use rustls::{AlertDescription, Error, SupportedCipherSuite};

use super::keys::{HEADER_BYTES, Key, TAG_BYTES};
use super::library::{KeyMaker, Library};
use super::{Fault, Progress, TlsFacts};
use crate::limits;
use crate::net::Buffer;
use crate::sys::clock;
use refusal::{Refusal, misbehaved, overlong, unexpected, unopened};

/// An established connection whose records are opened and sealed here.
pub(super) struct Direct {
    maker: KeyMaker,
    facts: TlsFacts,
    /// Each is gone for good where the kernel has it: a key that two use would make a nonce twice.
    opener: Option<Key>,
    sealer: Option<Key>,
    /// What is still to be said through the kernel that seals.
    word: Option<[u8; 2]>,
    /// Records after which the sealing key is changed: few enough to leave room for the change itself and an alert.
    seals_max: u64,
    /// The start of a handshake message whose rest is still to come.
    message: Vec<u8>,
    /// The newest ticket.
    ticket: Option<Ticket>,
    /// The peer has asked for a change of our key. It is due before our next application data, however often it asks
    /// until then (RFC 8446 section 4.6.3), so a peer that asks and does not read makes no queue.
    update_owed: bool,
    /// Records since the last data that have cost work and brought nothing.
    fruitless: u32,
}

/// A ticket as it came: rustls makes a session of it as often as it is told.
struct Ticket {
    payload: Box<[u8]>,
    came: Instant,
    lifetime: Duration,
}

/// What was in a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opened {
    /// So many bytes of data, never none.
    Data(usize),
    /// Something for TLS itself.
    Heard(Progress),
}

impl Direct {
    /// Takes over from rustls, right after the handshake.
    pub(super) fn adopt(library: Library) -> Result<Self, Fault> {
        let facts = TlsFacts::of(&library).ok_or(Error::HandshakeNotComplete)?;
        let (secrets, maker) = library.retire()?;
        let SupportedCipherSuite::Tls13(suite) = maker.suite() else {
            return Err(Fault::Ours("records of TLS 1.2 are left to rustls".into()));
        };
        let limit = suite.common.confidentiality_limit;
        Ok(Self {
            facts,
            opener: Some(Key::new(secrets.rx.0, secrets.rx.1)?),
            sealer: Some(Key::new(secrets.tx.0, secrets.tx.1)?),
            word: None,
            seals_max: limit.saturating_sub(SEALS_RESERVED),
            message: Vec::new(),
            ticket: None,
            update_owed: false,
            fruitless: 0,
            maker,
        })
    }

    /// Whether we are the server.
    pub(super) const fn is_server(&self) -> bool {
        matches!(self.maker, KeyMaker::Server(_))
    }

    /// What the handshake has agreed on.
    pub(super) const fn facts(&self) -> &TlsFacts {
        &self.facts
    }

    /// Decrypts every whole record in `incoming`, up to close_notify. After a fault `outgoing` has the alert for the peer.
    pub(super) fn open(
        &mut self,
        incoming: &mut Buffer,
        outgoing: &mut Buffer,
        plain: &mut Vec<u8>,
    ) -> Result<Progress, Fault> {
        self.open_all(incoming, plain)
            .map_err(|refusal| self.refuse(refusal, outgoing))
    }

    fn refuse(&mut self, refusal: Refusal, outgoing: &mut Buffer) -> Fault {
        if let Some(alert) = refusal.alert {
            // Without a key that still seals there is no alert; the fault is told all the same.
            let _told = self.seal_record(ALERT, &[FATAL, alert.into()], outgoing);
        }
        refusal.fault
    }

    /// Encrypts `plain`, in as few records as there can be, behind what is in `outgoing`.
    pub(super) fn seal(&mut self, plain: &[u8], outgoing: &mut Buffer) -> Result<(), Fault> {
        let records = plain.len().div_ceil(PLAIN_BYTES_MAX);
        outgoing.room(plain.len() + records * (HEADER_BYTES + 1 + TAG_BYTES));
        for part in plain.chunks(PLAIN_BYTES_MAX) {
            if self.is_update_due() {
                self.update_sealer(outgoing)?;
            }
            self.seal_record(APPLICATION_DATA, part, outgoing)?;
        }
        Ok(())
    }

    /// Says the authentic end of our direction.
    pub(super) fn seal_close_notify(&mut self, outgoing: &mut Buffer) -> Result<(), Fault> {
        let close_notify = AlertDescription::CloseNotify.into();
        self.seal_record(ALERT, &[WARNING, close_notify], outgoing)
    }

    /// Puts the newest ticket into the session store once more, as if the peer had sent it again.
    ///
    /// RFC 8446 (appendix C.4) would have each ticket used once, so that an onlooker cannot tell that two connections are
    /// of one client. Within an FTP session the control connection says so anyway, and some servers give no
    /// tickets on data connections. A ticket is not renewed beyond the lifetime that the peer gave it.
    pub(super) fn renew_ticket(&mut self) -> Result<(), Fault> {
        let Some(ticket) = &self.ticket else {
            return Ok(());
        };
        if clock::now().duration_since(ticket.came) >= ticket.lifetime {
            self.ticket = None;
            return Ok(());
        }
        match &mut self.maker {
            KeyMaker::Client(kernel) => Ok(kernel.handle_new_session_ticket(&ticket.payload)?),
            KeyMaker::Server(_) => Ok(()),
        }
    }

    #[cfg(test)]
    pub(super) const fn held(&self) -> usize {
        self.message.capacity()
    }

    fn open_all(
        &mut self,
        incoming: &mut Buffer,
        plain: &mut Vec<u8>,
    ) -> Result<Progress, Refusal> {
        while let Some(len) = whole_record(incoming.filled())? {
            let record = &mut incoming.filled_mut()[..len];
            let opened = self.open_record(record)?;
            if let Opened::Data(content) = opened {
                plain.extend_from_slice(&record[HEADER_BYTES..][..content]);
            }
            incoming.skip(len);
            if opened == Opened::Heard(Progress::Closed) {
                return Ok(Progress::Closed);
            }
        }
        Ok(Progress::Open)
    }

    /// Data stays where it is, behind the header, and behind it its type and its padding.
    fn open_record(&mut self, record: &mut [u8]) -> Result<Opened, Refusal> {
        let opener = self.opener.as_mut().ok_or_else(kernel::gone)?;
        let inner = opener.open(record).ok_or_else(unopened)?;
        if inner.len() > PLAIN_BYTES_MAX + 1 {
            return Err(overlong());
        }
        // Behind the content stand its type and any number of zeros (RFC 8446 section 5.4).
        let Some(end) = inner.iter().rposition(|&byte| byte != 0) else {
            return Err(unexpected("a record of nothing but padding"));
        };
        self.take(inner[end], &inner[..end])
    }

    fn take(&mut self, kind: u8, content: &[u8]) -> Result<Opened, Refusal> {
        if kind != HANDSHAKE && !self.message.is_empty() {
            return Err(unexpected("a record amid a handshake message"));
        }
        match kind {
            APPLICATION_DATA if content.is_empty() => self.tolerate()?,
            APPLICATION_DATA => {
                self.fruitless = 0;
                return Ok(Opened::Data(content.len()));
            }
            HANDSHAKE if content.is_empty() => {
                return Err(unexpected("an empty handshake record"));
            }
            HANDSHAKE => self.hear(content)?,
            ALERT => return self.hear_alert(content).map(Opened::Heard),
            _ => return Err(unexpected("a record that is out of place")),
        }
        Ok(Opened::Heard(Progress::Open))
    }

    /// Handshake messages may span records, and several may stand in one (RFC 8446 section 5.1).
    fn hear(&mut self, content: &[u8]) -> Result<(), Refusal> {
        let mut messages = std::mem::take(&mut self.message);
        messages.extend_from_slice(content);
        let mut at = 0;
        while let Some(end) = whole_message(&messages[at..])? {
            let message = &messages[at..at + end];
            at += end;
            let (kind, body) = (message[0], &message[MESSAGE_HEADER_BYTES..]);
            match kind {
                NEW_SESSION_TICKET => self.hear_ticket(body)?,
                // What stands behind it in its record would be under the old key (RFC 8446 section 5.1).
                KEY_UPDATE if at < messages.len() => {
                    return Err(unexpected("a message behind a key update in one record"));
                }
                KEY_UPDATE => self.hear_key_update(body)?,
                _ => return Err(unexpected("a handshake message that is out of place")),
            }
        }
        if at < messages.len() {
            messages.drain(..at);
            self.message = messages;
        }
        Ok(())
    }

    fn hear_ticket(&mut self, payload: &[u8]) -> Result<(), Refusal> {
        let KeyMaker::Client(kernel) = &mut self.maker else {
            return Err(unexpected("a ticket of a client"));
        };
        kernel
            .handle_new_session_ticket(payload)
            .map_err(|error| Refusal {
                alert: Some(AlertDescription::DecodeError),
                fault: error.into(),
            })?;
        if let Some(&seconds) = payload.first_chunk()
            && payload.len() <= limits::TICKET_RENEWED_BYTES_MAX
        {
            let lifetime = Duration::from_secs(u32::from_be_bytes(seconds).into());
            self.ticket = Some(Ticket {
                payload: payload.into(),
                came: clock::now(),
                lifetime: lifetime.min(TICKET_LIFETIME_MAX),
            });
        }
        Ok(())
    }

    /// Whatever its level says, an alert is an error unless it is one of two (RFC 8446 section 6).
    fn hear_alert(&mut self, content: &[u8]) -> Result<Progress, Refusal> {
        let &[_, alert] = content else {
            return Err(misbehaved(AlertDescription::DecodeError, "an alert"));
        };
        match AlertDescription::from(alert) {
            AlertDescription::CloseNotify => Ok(Progress::Closed),
            AlertDescription::UserCanceled => self.tolerate().map(|()| Progress::Open),
            alert => Err(Refusal {
                alert: None,
                fault: Fault::Alert(alert),
            }),
        }
    }

    fn tolerate(&mut self) -> Result<(), Refusal> {
        self.fruitless += 1;
        if self.fruitless > limits::FRUITLESS_RECORDS_MAX {
            return Err(unexpected("record after record that brings nothing"));
        }
        Ok(())
    }

    fn seal_record(
        &mut self,
        kind: u8,
        content: &[u8],
        outgoing: &mut Buffer,
    ) -> Result<(), Fault> {
        debug_assert!(content.len() <= PLAIN_BYTES_MAX, "callers cut it");
        let Some(sealer) = &mut self.sealer else {
            return self.leave_word(kind, content);
        };
        let sealed = content.len() + 1 + TAG_BYTES;
        let record = &mut outgoing.room(HEADER_BYTES + sealed)[..HEADER_BYTES + sealed];
        let [high, low] = (sealed as u16).to_be_bytes();
        record[..HEADER_BYTES].copy_from_slice(&[APPLICATION_DATA, 3, 3, high, low]);
        record[HEADER_BYTES..][..content.len()].copy_from_slice(content);
        record[HEADER_BYTES + content.len()] = kind;
        sealer
            .seal(record)
            .ok_or_else(|| Fault::Ours("the keys are used up".into()))?;
        outgoing.fill(HEADER_BYTES + sealed);
        Ok(())
    }
}

/// Length of the record at the front, once the whole of it is there.
fn whole_record(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let &[kind, _, _, high, low, ..] = bytes else {
        return Ok(None);
    };
    if kind != APPLICATION_DATA {
        return Err(unexpected("a record in the clear behind the handshake"));
    }
    let len = HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if len > limits::TLS_RECORD_BYTES_MAX {
        return Err(overlong());
    }
    Ok((bytes.len() >= len).then_some(len))
}

/// Length of the handshake message at the front, once the whole of it is there.
fn whole_message(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let &[_, high, middle, low, ..] = bytes else {
        return Ok(None);
    };
    let len = u32::from_be_bytes([0, high, middle, low]) as usize;
    if len > limits::HANDSHAKE_MESSAGE_BYTES_MAX {
        return Err(misbehaved(
            AlertDescription::DecodeError,
            "a handshake message that is too long",
        ));
    }
    let len = MESSAGE_HEADER_BYTES + len;
    Ok((bytes.len() >= len).then_some(len))
}

// What records hold (RFC 8446 section 5.1).
/// An alert; close_notify is one.
pub const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// Application data.
pub const APPLICATION_DATA: u8 = 23;

// Handshake messages behind the handshake (RFC 8446 section 4).
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

// Levels of alerts (RFC 8446 section 6).
const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// Type and length before each handshake message.
const MESSAGE_HEADER_BYTES: usize = 4;

/// Most plain bytes in one record (RFC 8446 section 5.1).
const PLAIN_BYTES_MAX: usize = 16 * 1024;

/// Records of a sealing key that data leaves alone: the key update that ends it, close_notify and a fatal alert.
const SEALS_RESERVED: u64 = 4;

/// No ticket lives longer, whatever the peer says (RFC 8446 section 4.6.1).
const TICKET_LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[cfg(test)]
#[path = "direct_tests.rs"]
mod tests;
#[cfg(test)]
pub(crate) use reseal::{Heard, Peer};
#[cfg(test)]
pub(crate) use tests::ticket;
