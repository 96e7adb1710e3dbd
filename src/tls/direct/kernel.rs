//! What is left of a connection whose records the kernel opens or seals: tickets, alerts and the limits of its keys.

use rustls::AlertDescription;

use super::refusal::{Refusal, unopened};
use super::{ALERT, Direct, Opened};
use crate::net::Buffer;
use crate::sys::ktls::RecordKey;
use crate::tls::{Fault, Progress};

impl Direct {
    /// The key that the kernel is to open with from here on; nothing for a cipher that is not left to it, or amid a message.
    pub(in crate::tls) fn opener_for_kernel(&self) -> Option<RecordKey<'_>> {
        let key = self.opener.as_ref()?.for_kernel()?;
        self.message.is_empty().then_some(key)
    }

    /// As `opener_for_kernel`, to seal with; nothing while a key update is owed.
    pub(in crate::tls) fn sealer_for_kernel(&self) -> Option<RecordKey<'_>> {
        let key = self.sealer.as_ref()?.for_kernel()?;
        (!self.is_update_due()).then_some(key)
    }

    /// The kernel has it, and nobody else any more.
    pub(in crate::tls) fn give_up_opener(&mut self) {
        self.opener = None;
    }

    /// The kernel has it, and nobody else any more.
    pub(in crate::tls) fn give_up_sealer(&mut self) {
        self.sealer = None;
    }

    pub(in crate::tls) const fn has_opener(&self) -> bool {
        self.opener.is_some()
    }

    pub(in crate::tls) const fn has_sealer(&self) -> bool {
        self.sealer.is_some()
    }

    /// Takes a record that the kernel has opened and that is no data. After a fault there is a word for the peer, in
    /// `outgoing` or for the kernel.
    pub(in crate::tls) fn hear_opened(
        &mut self,
        kind: u8,
        content: &[u8],
        outgoing: &mut Buffer,
    ) -> Result<Progress, Fault> {
        match self.take(kind, content) {
            Ok(Opened::Heard(progress)) => Ok(progress),
            Ok(Opened::Data(_)) => Ok(Progress::Open),
            Err(refusal) => Err(self.refuse(refusal, outgoing)),
        }
    }

    /// Takes it that the kernel could not open a record; the rest is as for `hear_opened`.
    pub(in crate::tls) fn hear_unopened(&mut self, outgoing: &mut Buffer) -> Fault {
        self.refuse(unopened(), outgoing)
    }

    /// Whether nothing more may be sealed with the key that the kernel has, of which `sealed` records were made: it has no
    /// other, and its own may have to change (RFC 8446 sections 4.6.3 and 5.5).
    pub(in crate::tls) const fn is_worn_out(&self, sealed: u64) -> bool {
        self.update_owed || sealed >= self.seals_max
    }

    #[cfg(test)]
    pub(in crate::tls) const fn wear_out_at(&mut self, records: u64) {
        self.seals_max = records;
    }

    /// An alert that is to be said through the kernel.
    pub(in crate::tls) const fn word(&self) -> Option<[u8; 2]> {
        self.word
    }

    /// It was said.
    pub(in crate::tls) const fn word_said(&mut self) {
        self.word = None;
    }

    /// What is not data has no place among the bytes that the kernel is given to seal. Nothing follows an alert of ours, so
    /// there is one at most; the first stays.
    pub(super) fn leave_word(&mut self, kind: u8, content: &[u8]) -> Result<(), Fault> {
        match (kind, content.try_into()) {
            (ALERT, Ok(word)) => {
                self.word.get_or_insert(word);
                Ok(())
            }
            _ => Err(Fault::Ours("the kernel seals this connection".into())),
        }
    }
}

/// A key that the kernel has can be used by nobody else, nor changed.
pub(super) fn gone() -> Refusal {
    Refusal {
        alert: Some(AlertDescription::InternalError),
        fault: Fault::Ours("the kernel has the key of this direction, and keeps it".into()),
    }
}
