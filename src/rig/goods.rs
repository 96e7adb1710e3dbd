//! What load moves: bytes that both ends know from a name, out of memory that is filled once.

use std::sync::LazyLock;

use super::Stretch;
use crate::limits;

/// A file or a listing, both known by name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goods {
    /// A synthetic file.
    File(Stretch),
    /// A listing of so many bytes, a whole number of lines.
    Listing(u64),
}

/// Lines of the longest listing.
pub(super) const LISTING_LINES_MAX: u64 = 10_000;

/// Bytes of each line of a listing.
const LINE_BYTES: u64 = 64;

/// Bytes that are compared at either end of a piece: enough to find a record that is lost, doubled or misplaced, at a
/// cost that does not depend on the size of what is moved.
const SAMPLE_BYTES: usize = 64;

static LISTING: LazyLock<Box<[u8]>> = LazyLock::new(|| {
    let line = |at| {
        format!(
            "-rw-r--r-- 1 rig rig {:>12} Jan 01 00:00 file-{at:06}.bin\r\n",
            at * 37
        )
    };
    (0..LISTING_LINES_MAX)
        .flat_map(|at| line(at).into_bytes())
        .collect()
});

impl Goods {
    /// The file at a path whose last component tells its size: `empty`, `4KiB`, `1GiB.bin`, `1500`.
    pub(super) fn file(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let size = read_size(name.strip_suffix(".bin").unwrap_or(name))?;
        Some(Self::File(Stretch::named(name, size)))
    }

    /// The listing of the directory at a path whose last component is its number of lines; of no other one nothing.
    pub(super) fn listing(path: &str) -> Self {
        let lines = path.rsplit('/').next().and_then(|name| name.parse().ok());
        Self::Listing(lines.unwrap_or(0).min(LISTING_LINES_MAX) * LINE_BYTES)
    }

    /// How many bytes it has.
    pub(super) const fn len(self) -> u64 {
        match self {
            Self::File(stretch) => stretch.len(),
            Self::Listing(len) => len,
        }
    }

    /// The bytes from `at` on: at most `max`, at most `RELAY_CHUNK_BYTES`, none behind the end.
    pub(super) fn piece(self, at: u64, max: usize) -> &'static [u8] {
        match self {
            Self::File(stretch) => stretch.piece(at, max),
            Self::Listing(len) => {
                let from = usize::try_from(at.min(len)).unwrap_or(usize::MAX);
                let left = usize::try_from(len - at.min(len)).unwrap_or(usize::MAX);
                &LISTING[from..from + left.min(max).min(limits::RELAY_CHUNK_BYTES)]
            }
        }
    }

    /// Whether these are its bytes from `at` on, as far as a sample at either end of them tells.
    pub(super) fn seems(self, at: u64, bytes: &[u8]) -> bool {
        let sample = SAMPLE_BYTES.min(bytes.len());
        let tail = bytes.len() - sample;
        self.has(at, &bytes[..sample]) && self.has(at + tail as u64, &bytes[tail..])
    }

    fn has(self, at: u64, bytes: &[u8]) -> bool {
        self.piece(at, bytes.len()) == bytes
    }
}

/// The size that a word tells: `4KiB`, `1MiB`, `3GiB`, `1500`, or `empty`.
pub(super) fn read_size(word: &str) -> Option<u64> {
    if word == "empty" {
        return Some(0);
    }
    let digits = word.find(|letter: char| !letter.is_ascii_digit());
    let (number, unit) = word.split_at(digits.unwrap_or(word.len()));
    let unit = match unit {
        "" => 1_u64,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_sizes() {
        for (path, size) in [
            ("/empty", Some(0)),
            ("4KiB", Some(4096)),
            ("/a/b/1GiB.bin", Some(1 << 30)),
            ("/1500", Some(1500)),
            ("/pub", None),
            ("/", None),
            ("/99999999999999999999", None),
            ("/9999999999999GiB", None),
        ] {
            assert_eq!(Goods::file(path).map(Goods::len), size, "{path}");
        }
    }

    #[test]
    fn a_listing_is_lines_of_one_length_and_every_one_is_another() {
        let listing = Goods::listing("/list/10000");
        let mut whole = Vec::new();
        while (whole.len() as u64) < listing.len() {
            whole.extend_from_slice(listing.piece(whole.len() as u64, 100_000));
        }
        let mut lines: Vec<&[u8]> = whole.chunks(64).collect();
        assert!(lines.iter().all(|line| line.ends_with(b".bin\r\n")));
        lines.dedup();
        assert_eq!(lines.len(), 10_000);
        assert_eq!(Goods::listing("/").len(), 0);
        assert!(listing.seems(0, &whole));
        assert!(!listing.seems(64, &whole[..640]));
    }

    #[test]
    fn a_sample_finds_what_is_misplaced() {
        let file = Goods::file("/1MiB.bin").unwrap();
        let piece = file.piece(4096, 20_000);
        assert!(file.seems(4096, piece));
        assert!(!file.seems(4097, piece));
        assert!(!file.seems(0, &[piece, piece].concat()));
        assert!(!Goods::file("/1MiB").unwrap().seems(4096, piece));
        assert!(
            file.seems(1 << 20, &[]) && !file.seems(1 << 20, b"x"),
            "nothing is behind the end"
        );
    }
}
