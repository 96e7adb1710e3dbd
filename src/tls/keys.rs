//! The key of one direction in TLS 1.3: records opened and sealed in place (RFC 8446 sections 5.2 and 5.3).

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use rustls::ConnectionTrafficSecrets;

use super::Fault;
use crate::sys::ktls::RecordKey;

/// Bytes of a record before what is encrypted: type, version, length.
pub(super) const HEADER_BYTES: usize = 5;

/// Bytes that authenticate a record, with each of the three ciphers.
pub(super) const TAG_BYTES: usize = 16;

/// A key, and the number of the record that it is used for next.
///
/// Opens or seals, never both: the sequence is that of one direction.
pub(super) struct Key {
    aead: LessSafeKey,
    iv: [u8; NONCE_LEN],
    sequence: u64,
    /// What it was made of, for the kernel.
    secrets: ConnectionTrafficSecrets,
}

impl Key {
    /// The key that these secrets hold, from record `sequence` on.
    pub(super) fn new(sequence: u64, secrets: ConnectionTrafficSecrets) -> Result<Self, Fault> {
        let (algorithm, key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(unfit()),
        };
        let unbound = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| unfit())?;
        Ok(Self {
            aead: LessSafeKey::new(unbound),
            iv: iv.as_ref().try_into().map_err(|_| unfit())?,
            sequence,
            secrets,
        })
    }

    /// As it is for the next record; nothing for a cipher that is not left to the kernel.
    pub(super) fn for_kernel(&self) -> Option<RecordKey<'_>> {
        match &self.secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, .. }
            | ConnectionTrafficSecrets::Aes256Gcm { key, .. } => Some(RecordKey {
                key: key.as_ref(),
                iv: &self.iv,
                sequence: self.sequence,
            }),
            _ => None,
        }
    }

    /// How many records were opened or sealed, the key's predecessors not counted.
    pub(super) const fn used(&self) -> u64 {
        self.sequence
    }

    /// Decrypts a whole record, its header included, and gives what was in it: content, its type, and padding. None when
    /// the record was not made with this key, for this place.
    pub(super) fn open<'r>(&mut self, record: &'r mut [u8]) -> Option<&'r [u8]> {
        let (header, sealed) = record.split_at_mut_checked(HEADER_BYTES)?;
        let nonce = self.next_nonce()?;
        let opened = self
            .aead
            .open_in_place(nonce, Aad::from(header), sealed)
            .ok()?;
        Some(opened)
    }

    /// Encrypts a whole record: its header, what is to be in it, and room for the tag. None when that cannot be.
    pub(super) fn seal(&mut self, record: &mut [u8]) -> Option<()> {
        let (header, rest) = record.split_at_mut_checked(HEADER_BYTES)?;
        let (inner, room) = rest.split_at_mut_checked(rest.len().checked_sub(TAG_BYTES)?)?;
        let nonce = self.next_nonce()?;
        let tag = self
            .aead
            .seal_in_place_separate_tag(nonce, Aad::from(header), inner)
            .ok()?;
        room.copy_from_slice(tag.as_ref());
        Some(())
    }

    /// Each number once: a nonce used twice would give the key away. None when there are no numbers left.
    fn next_nonce(&mut self) -> Option<Nonce> {
        let mut nonce = self.iv;
        for (byte, mask) in nonce[NONCE_LEN - 8..]
            .iter_mut()
            .zip(self.sequence.to_be_bytes())
        {
            *byte ^= mask;
        }
        self.sequence = self.sequence.checked_add(1)?;
        Some(Nonce::assume_unique_for_key(nonce))
    }
}

fn unfit() -> Fault {
    Fault::Ours("a cipher whose records we do not make".into())
}
