//! Bytes that know their place: synthetic files of any size out of one buffer, and the checksum of everything else.

use std::sync::{Arc, LazyLock};

use crate::limits;

/// Where the pattern begins anew. A prime, so that no mistake by whole records, buffers or pages meets the same bytes.
pub const PERIOD_BYTES: usize = 1_048_573;

/// One period, and behind it the beginning of the next: every piece of a stretch is one slice, wherever it begins.
static PATTERN: LazyLock<Box<[u8]>> = LazyLock::new(|| {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut pattern: Vec<u8> = Vec::with_capacity(PERIOD_BYTES + limits::RELAY_CHUNK_BYTES);
    while pattern.len() < PERIOD_BYTES {
        // xorshift64: what matters is only that neighbours differ, and that every build makes the same bytes.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        pattern.extend_from_slice(&state.to_le_bytes());
    }
    pattern.truncate(PERIOD_BYTES);
    pattern.extend_from_within(..limits::RELAY_CHUNK_BYTES);
    pattern.into_boxed_slice()
});

const _: () = assert!(
    limits::RELAY_CHUNK_BYTES <= PERIOD_BYTES,
    "a piece is at most one period"
);

/// A synthetic file: a stretch of the pattern that begins where the file's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    start: u64,
    len: u64,
}

impl Stretch {
    /// `len` bytes for the file called `name` (its last component): other names, other bytes.
    #[must_use]
    pub fn named(name: &str, len: u64) -> Self {
        let mut crc = Crc::default();
        crc.update(name.rsplit('/').next().unwrap_or(name).as_bytes());
        Self {
            start: u64::from(crc.value()),
            len,
        }
    }

    /// How long it is.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes from `at` on: at most `max`, at most `RELAY_CHUNK_BYTES`, none behind the end.
    #[must_use]
    pub fn piece(&self, at: u64, max: usize) -> &'static [u8] {
        let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let len = left.min(max).min(limits::RELAY_CHUNK_BYTES);
        let from = (self.start + at) % PERIOD_BYTES as u64;
        let from = usize::try_from(from).unwrap_or(0); // below the period, which is a usize
        &PATTERN[from..from + len]
    }

    /// Whether these are its bytes from `at` on.
    #[must_use]
    pub fn has(&self, mut at: u64, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let piece = self.piece(at, bytes.len());
            let Some(rest) = bytes.strip_prefix(piece).filter(|_| !piece.is_empty()) else {
                return false;
            };
            at += piece.len() as u64;
            bytes = rest;
        }
        true
    }
}

/// What is sent over a data connection.
#[derive(Clone, Debug)]
pub enum Source {
    /// Synthetic.
    Pattern(Stretch),
    /// Kept in memory.
    Bytes(Arc<[u8]>),
}

impl Source {
    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Pattern(stretch) => stretch.len(),
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As [`Stretch::piece`].
    #[must_use]
    pub fn piece(&self, at: u64, max: usize) -> &[u8] {
        match self {
            Self::Pattern(stretch) => stretch.piece(at, max),
            Self::Bytes(bytes) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                &bytes[at..at + (bytes.len() - at).min(max)]
            }
        }
    }
}

/// CRC-32 as zip, gzip and XCRC write it, eight bytes at a step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crc(u32);

impl Crc {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut crc = !self.0;
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let [a, b, c, d, e, f, g, h] = chunk else {
                continue; // never: the chunks are exact
            };
            let low = (u32::from_le_bytes([*a, *b, *c, *d]) ^ crc).to_le_bytes();
            crc = TABLES[7][usize::from(low[0])]
                ^ TABLES[6][usize::from(low[1])]
                ^ TABLES[5][usize::from(low[2])]
                ^ TABLES[4][usize::from(low[3])]
                ^ TABLES[3][usize::from(*e)]
                ^ TABLES[2][usize::from(*f)]
                ^ TABLES[1][usize::from(*g)]
                ^ TABLES[0][usize::from(*h)];
        }
        for byte in chunks.remainder() {
            crc = TABLES[0][usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8);
        }
        self.0 = !crc;
    }

    /// The checksum of everything taken so far.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// The polynomial of CRC-32, reversed.
const POLYNOMIAL: u32 = 0xEDB8_8320;

/// `TABLES[n][b]`: what the byte `b` adds when `n` more bytes follow in the same step.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (if crc & 1 == 1 { POLYNOMIAL } else { 0 });
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xFF) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_everybody_knows() {
        let mut crc = Crc::default();
        crc.update(b"123456789");
        assert_eq!(crc.value(), 0xCBF4_3926);
        let mut parts = Crc::default();
        parts.update(b"12345678 and a few more than eight");
        let mut pieces = Crc::default();
        for piece in b"12345678 and a few more than eight".chunks(5) {
            pieces.update(piece);
        }
        assert_eq!(parts.value(), pieces.value());
    }

    #[test]
    fn a_stretch_knows_its_bytes_and_no_others() {
        let stretch = Stretch::named("/some/10MiB.bin", 3 * PERIOD_BYTES as u64 + 17);
        let mut whole = Vec::new();
        while (whole.len() as u64) < stretch.len() {
            whole.extend_from_slice(stretch.piece(whole.len() as u64, 100_000));
        }
        assert!(stretch.has(0, &whole));
        assert!(stretch.has(70_000, &whole[70_000..]));
        assert!(!stretch.has(70_001, &whole[70_000..70_100]));
        assert!(!stretch.has(1 << 14, &whole[..100]), "a record misplaced");
        whole.push(0);
        assert!(!stretch.has(0, &whole), "more bytes than there are");
        assert!(!Stretch::named("other", stretch.len()).has(0, &whole[..100]));
    }
}
