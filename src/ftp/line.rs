//! Bytes into lines: bounded, CR LF and LF, Telnet stripped; an incomplete line is an outcome, not an error.

use core::fmt::Write as _;

/// What the reader has cut from the bytes it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// One line, without its end.
    Line(Vec<u8>),
    /// The line exceeds the bound; nothing after it can be trusted to be where a line begins.
    TooLong,
    /// No line end has come yet.
    Incomplete,
}

/// Whether Telnet sequences are taken out of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telnet {
    /// Commands: IAC sequences vanish, a doubled IAC is one byte, CR NUL is CR (RFC 959 section 2.3, RFC 2640 section 3.1).
    Strip,
    /// Replies: passed on as the backend wrote them.
    Keep,
}

const IAC: u8 = 255;
/// WILL, WONT, DO and DONT take an option byte (RFC 854).
const NEGOTIATION: core::ops::RangeInclusive<u8> = 251..=254;
/// The other Telnet commands, from SE to SB; below them a byte behind IAC is data of a peer that does not double it.
const COMMANDS: core::ops::RangeInclusive<u8> = 240..=250;

/// Cuts lines from a stream of bytes; holds at most one line's bound plus one push.
#[derive(Debug)]
pub struct LineReader {
    telnet: Telnet,
    bytes_max: usize,
    /// Invariant: no line end stands before `searched`.
    buffer: Vec<u8>,
    searched: usize,
}

impl LineReader {
    /// A reader for lines of at most `bytes_max` bytes, without their end.
    #[must_use]
    pub const fn new(bytes_max: usize, telnet: Telnet) -> Self {
        Self {
            telnet,
            bytes_max,
            buffer: Vec::new(),
            searched: 0,
        }
    }

    /// Takes bytes in the order in which they arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line, if its end is there.
    pub fn next_line(&mut self) -> Cut {
        let Some(offset) = self.buffer[self.searched..]
            .iter()
            .position(|&byte| byte == b'\n')
        else {
            self.searched = self.buffer.len();
            return if self.searched > self.bytes_max + 1 {
                Cut::TooLong
            } else {
                Cut::Incomplete
            };
        };
        let end = self.searched + offset;
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        self.searched = 0;
        if self.buffer.is_empty() {
            // An idle session keeps no buffer.
            self.buffer = Vec::new();
        }
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if line.len() > self.bytes_max {
            return Cut::TooLong;
        }
        Cut::Line(match self.telnet {
            Telnet::Strip => strip(&line),
            Telnet::Keep => line,
        })
    }

    /// Whether nothing waits, neither a line nor a part of one: what must hold before TLS begins.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

fn strip(line: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        let taken = match (byte, after.first()) {
            (IAC, Some(&IAC)) => {
                plain.push(IAC);
                2
            }
            (IAC, Some(next)) if NEGOTIATION.contains(next) => 3,
            (IAC, Some(next)) if COMMANDS.contains(next) => 2,
            (b'\r', Some(0)) => {
                plain.push(b'\r');
                2
            }
            _ => {
                plain.push(byte);
                1
            }
        };
        rest = &rest[taken.min(rest.len())..];
    }
    plain
}

/// Undoes [`Telnet::Strip`]: a line that can be sent on without its bytes being taken for Telnet or a line end.
pub(super) fn stuff(line: &[u8], wire: &mut Vec<u8>) {
    for &byte in line {
        wire.push(byte);
        match byte {
            IAC => wire.push(IAC),
            b'\r' => wire.push(0),
            _ => {}
        }
    }
}

/// A peer's bytes for a log: one line, printable ASCII, everything else escaped; no terminal obeys it.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                write!(text, "\\x{byte:02x}").expect("a string takes every write");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn commands() -> LineReader {
        LineReader::new(16, Telnet::Strip)
    }

    #[test]
    fn lines_end_with_lf_or_cr_lf() {
        let mut reader = commands();
        reader.push(b"NOOP\r\nQUIT\nPA");
        assert_eq!(reader.next_line(), Cut::Line(b"NOOP".to_vec()));
        assert_eq!(reader.next_line(), Cut::Line(b"QUIT".to_vec()));
        assert_eq!(reader.next_line(), Cut::Incomplete);
        assert!(!reader.is_empty());
        reader.push(b"SV\r\n");
        assert_eq!(reader.next_line(), Cut::Line(b"PASV".to_vec()));
        assert!(reader.is_empty());
    }

    #[test]
    fn telnet_vanishes_from_commands() {
        let mut reader = commands();
        reader.push(b"\xff\xf4\xff\xf2ABOR\r\n\xff\xfb\x01NOOP\n");
        assert_eq!(reader.next_line(), Cut::Line(b"ABOR".to_vec()));
        assert_eq!(reader.next_line(), Cut::Line(b"NOOP".to_vec()));
        reader.push(b"DELE \xff\xffa\r\0b\n");
        assert_eq!(reader.next_line(), Cut::Line(b"DELE \xffa\rb".to_vec()));
    }

    #[test]
    fn an_undoubled_latin1_byte_survives() {
        let mut reader = commands();
        reader.push(b"CWD \xffle\r\n");
        assert_eq!(reader.next_line(), Cut::Line(b"CWD \xffle".to_vec()));
    }

    #[test]
    fn too_long_is_said_with_and_without_an_end() {
        let mut reader = commands();
        reader.push(&[b'A'; 17]);
        reader.push(b"\r\n");
        assert_eq!(reader.next_line(), Cut::TooLong);
        let mut reader = commands();
        reader.push(&[b'A'; 18]);
        assert_eq!(reader.next_line(), Cut::TooLong);
    }

    #[test]
    fn replies_keep_their_bytes() {
        let mut reader = LineReader::new(64, Telnet::Keep);
        reader.push(b"220 \xff\xf4 a\rb\r\n");
        assert_eq!(reader.next_line(), Cut::Line(b"220 \xff\xf4 a\rb".to_vec()));
    }

    #[test]
    fn escaped_text_is_one_printable_line() {
        assert_eq!(
            escape(b"a\r\n\x1b[31m\\\xff"),
            "a\\x0d\\x0a\\x1b[31m\\\\\\xff"
        );
    }

    proptest! {
        /// However the bytes are split, the same lines come out.
        #[test]
        fn cutting_does_not_depend_on_splitting(bytes in proptest::collection::vec(any::<u8>(), 0..64), at in 0_usize..64) {
            let cut_all = |parts: &[&[u8]]| {
                let mut reader = LineReader::new(1024, Telnet::Strip);
                let mut lines = Vec::new();
                for part in parts {
                    reader.push(part);
                    while let Cut::Line(line) = reader.next_line() {
                        lines.push(line);
                    }
                }
                lines
            };
            let at = at.min(bytes.len());
            prop_assert_eq!(cut_all(&[&bytes]), cut_all(&[&bytes[..at], &bytes[at..]]));
        }

        /// What is stuffed for the wire is read back as it was, and holds no line end.
        #[test]
        fn stuffing_round_trips(line in proptest::collection::vec(any::<u8>().prop_filter("no line end", |b| *b != b'\n' && *b != 0), 0..64)) {
            let mut wire = Vec::new();
            stuff(&line, &mut wire);
            let mut reader = LineReader::new(1024, Telnet::Strip);
            reader.push(&wire);
            reader.push(b"\r\n");
            prop_assert_eq!(reader.next_line(), Cut::Line(line));
        }

        #[test]
        fn escaping_leaves_nothing_to_obey(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(escape(&bytes).bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }
}
