//! A connection whose records are made here, handed over to the kernel: one direction or both, and never back.

use super::{Progress, Records, Side, next_record};
use crate::limits::TLS_RECORD_BYTES_MAX;
use crate::sys::ktls::RecordKey;
use crate::tls::Fault;
use crate::tls::direct::Direct;
use crate::tls::keys::HEADER_BYTES;

impl Records {
    /// The key that the kernel is to open with from here on. Nothing where it cannot: another version, another cipher, or
    /// records that are rustls'; a broken or ended connection; the start of a record that has come (`missing`).
    #[must_use]
    pub fn opener_for_kernel(&self) -> Option<RecordKey<'_>> {
        let is_fit = self.broken.is_none()
            && !self.peer_closed
            && self.incoming.is_empty()
            && self.early.is_empty();
        self.made_here()?.opener_for_kernel().filter(|_| is_fit)
    }

    /// As `opener_for_kernel`, to seal with. Nothing as well while something that was sealed here is not sent.
    #[must_use]
    pub fn sealer_for_kernel(&self) -> Option<RecordKey<'_>> {
        let is_fit = self.broken.is_none() && !self.close_notify_sent && self.outgoing.is_empty();
        self.made_here()?.sealer_for_kernel().filter(|_| is_fit)
    }

    /// The kernel opens with what `opener_for_kernel` has given.
    pub fn opened_by_kernel(&mut self) {
        if let Side::Direct(direct) = &mut self.side {
            direct.give_up_opener();
        }
    }

    /// The kernel seals with what `sealer_for_kernel` has given.
    pub fn sealed_by_kernel(&mut self) {
        if let Side::Direct(direct) = &mut self.side {
            direct.give_up_sealer();
        }
    }

    /// Whether it does.
    #[must_use]
    pub fn is_opened_by_kernel(&self) -> bool {
        self.made_here().is_some_and(|direct| !direct.has_opener())
    }

    /// Whether it does.
    #[must_use]
    pub fn is_sealed_by_kernel(&self) -> bool {
        self.made_here().is_some_and(|direct| !direct.has_sealer())
    }

    /// Whether the records are made here with a cipher that could be left to the kernel.
    #[must_use]
    pub fn is_for_kernel(&self) -> bool {
        self.made_here()
            .is_some_and(|direct| direct.opener_for_kernel().is_some())
    }

    /// How many bytes are to be read next so that nothing behind the record that has begun is read with it: first the rest of
    /// its header, then its own. None where no record has begun.
    #[must_use]
    pub fn missing(&self) -> usize {
        let begun = self.incoming.filled();
        match *begun {
            [] => 0,
            [_, _, _, high, low, ..] => {
                let len = HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
                debug_assert_eq!(next_record(begun), 0, "whole records are worked off");
                len.min(TLS_RECORD_BYTES_MAX).saturating_sub(begun.len())
            }
            _ => HEADER_BYTES - begun.len(),
        }
    }

    /// What the peer has come to by now, where the kernel opens.
    ///
    /// # Errors
    /// As `process`.
    pub fn heard(&self) -> Result<Progress, Fault> {
        match &self.broken {
            Some(fault) => Err(fault.clone()),
            None if self.peer_closed => Ok(Progress::Closed),
            None => Ok(Progress::Open),
        }
    }

    /// Takes a record that the kernel has opened and that is no data; none where it could not open one.
    ///
    /// # Errors
    /// As `process`: for good, and with an alert in `outgoing` or in `word`.
    pub fn hear_opened(&mut self, record: Option<(u8, &[u8])>) -> Result<Progress, Fault> {
        if let Some(fault) = &self.broken {
            return Err(fault.clone());
        }
        let Side::Direct(direct) = &mut self.side else {
            return Err(Fault::Ours("the kernel has no part in this".into()));
        };
        let heard = match record {
            Some((kind, content)) => direct.hear_opened(kind, content, &mut self.outgoing),
            None => Err(direct.hear_unopened(&mut self.outgoing)),
        };
        match &heard {
            Ok(Progress::Closed) => self.peer_closed = true,
            Ok(Progress::Open) => {}
            Err(fault) => self.broken = Some(fault.clone()),
        }
        heard
    }

    /// Whether nothing more may be sealed by the kernel, which has made `sealed` records with the key that it has.
    ///
    /// # Errors
    /// `Ours`: it may not.
    pub fn may_seal(&self, sealed: u64) -> Result<(), Fault> {
        match self.made_here() {
            Some(direct) if self.close_notify_sent || direct.is_worn_out(sealed) => Err(
                Fault::Ours("the kernel has a key that may not be used any more".into()),
            ),
            _ => Ok(()),
        }
    }

    /// An alert that is to be said through the kernel, behind everything else.
    #[must_use]
    pub fn word(&self) -> Option<[u8; 2]> {
        self.made_here()?.word()
    }

    /// It was said.
    pub fn word_said(&mut self) {
        if let Side::Direct(direct) = &mut self.side {
            direct.word_said();
        }
    }

    #[cfg(test)]
    pub(crate) fn wear_out_at(&mut self, records: u64) {
        self.direct().unwrap().wear_out_at(records);
    }

    fn made_here(&self) -> Option<&Direct> {
        match &self.side {
            Side::Direct(direct) => Some(direct),
            _ => None,
        }
    }
}
