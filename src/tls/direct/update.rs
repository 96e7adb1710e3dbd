//! Keys that change under way, the peer's and ours (RFC 8446 section 4.6.3).

use rustls::AlertDescription;

use super::refusal::{Refusal, misbehaved};
use super::{Direct, HANDSHAKE, KEY_UPDATE, kernel};
use crate::net::Buffer;
use crate::tls::Fault;
use crate::tls::keys::Key;

impl Direct {
    pub(super) fn hear_key_update(&mut self, body: &[u8]) -> Result<(), Refusal> {
        self.tolerate()?;
        match body {
            [0] => {}
            [1] => self.update_owed = true,
            [_] => {
                return Err(misbehaved(
                    AlertDescription::IllegalParameter,
                    "a key update that says neither yes nor no",
                ));
            }
            _ => return Err(misbehaved(AlertDescription::DecodeError, "a key update")),
        }
        // The kernel that has the old one would have to be given it.
        let opener = self.opener.as_mut().ok_or_else(kernel::gone)?;
        let renewed = self.maker.next_opener().map_err(Fault::from);
        *opener = renewed
            .and_then(|(sequence, secrets)| Key::new(sequence, secrets))
            .map_err(|fault| Refusal {
                alert: Some(AlertDescription::InternalError),
                fault,
            })?;
        Ok(())
    }

    /// Whether our key has to change before our next data.
    pub(super) fn is_update_due(&self) -> bool {
        let used = self.sealer.as_ref().map(Key::used);
        self.update_owed || used.is_some_and(|used| used >= self.seals_max)
    }

    /// Tells the peer that our key changes, and changes it. Its own may stay.
    pub(super) fn update_sealer(&mut self, outgoing: &mut Buffer) -> Result<(), Fault> {
        self.seal_record(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0], outgoing)?;
        let (sequence, secrets) = self.maker.next_sealer()?;
        self.sealer = Some(Key::new(sequence, secrets)?);
        self.update_owed = false;
        Ok(())
    }
}
