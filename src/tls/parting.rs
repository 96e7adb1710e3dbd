//! The border between TLS and clear text on one connection: which bytes are the peer's last records, and which are not.

use rustls::AlertDescription;

use super::records::next_record;
use super::{Fault, Records};

/// The first bytes of records (RFC 8446 section 5.1). No FTP command, reply or Telnet sequence begins with one of them.
const RECORD_KINDS: std::ops::RangeInclusive<u8> = 20..=24;

impl Records {
    /// Takes the peer's records up to its close_notify, and no byte more: gives what stands behind it, once it has come. A
    /// peer that sends none is over it with the first byte that begins no record. To be called when our own close_notify is
    /// sealed.
    ///
    /// # Errors
    /// The connection is broken; `plain` holds what the peer has still said in TLS.
    pub fn part(&mut self, plain: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Fault> {
        loop {
            if self.peer_closed() {
                return Ok(Some(self.take_incoming()));
            }
            let incoming = self.incoming.filled();
            let Some(kind) = incoming.first() else {
                return Ok(None);
            };
            if !RECORD_KINDS.contains(kind) {
                return Ok(Some(self.take_incoming()));
            }
            let length = next_record(incoming);
            if length == 0 {
                return Ok(None);
            }
            // One record at a time: what TLS is shown behind a close_notify it throws away.
            let behind = incoming[length..].to_vec();
            self.incoming.truncate(length);
            self.is_stirred = true;
            self.process(plain)?;
            if !self.incoming.is_empty() {
                return Err(Fault::Misbehaved("half a message at the end".into()));
            }
            self.incoming.append(&behind);
        }
    }

    /// rustls says access_denied where it is given no certificate; RFC 6066 section 3 has a better word.
    pub(super) fn name_alert(&mut self, fault: &Fault) {
        if *fault == Fault::UnknownHost
            && let Some(word) = self.outgoing.filled_mut().last_mut()
        {
            *word = AlertDescription::UnrecognisedName.into();
        }
    }

    fn take_incoming(&mut self) -> Vec<u8> {
        let bytes = self.incoming.filled().to_vec();
        self.incoming.discard(bytes.len());
        bytes
    }
}
