//! Replies: the gate's own, written; a backend's, understood line by line (RFC 959 section 4.2).

use core::fmt;

use super::code::Code;
use crate::limits::REPLY_LINES_MAX;

/// A reply of the gate: one line or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its code.
    pub code: Code,
    /// Its text; the last line closes the reply. Invariant: at least one, none with a line end.
    lines: Vec<String>,
}

impl Reply {
    /// A reply of one line.
    #[must_use]
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            lines: vec![text.into()],
        }
    }

    /// A reply of a first line, indented lines between, and a last line (the form of RFC 2389 section 3.2).
    #[must_use]
    pub fn block(
        code: Code,
        first: &str,
        between: impl IntoIterator<Item = String>,
        last: &str,
    ) -> Self {
        let mut lines = vec![first.to_owned()];
        lines.extend(between.into_iter().map(|line| format!(" {line}")));
        lines.push(last.to_owned());
        Self { code, lines }
    }

    /// The bytes for the client, with line ends.
    #[must_use]
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = String::new();
        let last = self.lines.len() - 1;
        for (at, line) in self.lines.iter().enumerate() {
            let code = self.code;
            match at {
                _ if at == last => wire.push_str(&format!("{code} {line}\r\n")),
                0 => wire.push_str(&format!("{code}-{line}\r\n")),
                _ => wire.push_str(&format!("{line}\r\n")),
            }
        }
        wire.into_bytes()
    }
}

/// One line of a backend's reply, as it stood on the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct ReplyLine {
    /// The code of the reply that it belongs to.
    pub code: Code,
    /// The whole line, code included, without its end.
    pub raw: Vec<u8>,
    /// Whether it closes the reply.
    pub last: bool,
}

impl ReplyLine {
    /// The line behind its code, for the reply's first or last line.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.raw.get(4..).unwrap_or_default()
    }

    /// The bytes for the client, with the line end. An empty line gets a space: blank lines on the control connection
    /// break address translators on their way.
    #[must_use]
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = self.raw.clone();
        if wire.is_empty() || (self.last && wire.len() == 3) {
            wire.push(b' ');
        }
        wire.extend_from_slice(b"\r\n");
        wire
    }
}

impl fmt::Debug for ReplyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ReplyLine({}{})",
            super::escape(&self.raw),
            if self.last { "" } else { " …" }
        )
    }
}

/// What a backend said is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokenReply {
    /// This line outside any reply does not begin with a code.
    NoCode(Vec<u8>),
    /// More lines than any server's longest reply.
    TooManyLines,
}

/// Follows a backend's reply from its first line to its last.
#[derive(Debug, Default, Clone, Hash)]
pub struct ReplyReader {
    /// The code that will close the reply that is open.
    open: Option<Code>,
    lines: usize,
}

impl ReplyReader {
    /// The meaning of the next line; `None` for a blank line between replies, which some servers send.
    ///
    /// # Errors
    /// When the line cannot belong to a reply: from there on the backend cannot be followed.
    pub fn read(&mut self, raw: Vec<u8>) -> Result<Option<ReplyLine>, BrokenReply> {
        self.lines += 1;
        if self.lines > REPLY_LINES_MAX {
            return Err(BrokenReply::TooManyLines);
        }
        let head = head(&raw);
        let (code, last) = match (self.open, head) {
            // Only the same code with a space behind it closes; a line that looks like another code is text.
            (Some(open), Some((code, Mark::Closing))) if code == open => (open, true),
            (Some(open), _) => (open, false),
            (None, Some((code, mark))) => (code, mark == Mark::Closing),
            (None, None) if raw.is_empty() => return Ok(None),
            (None, None) => return Err(BrokenReply::NoCode(raw)),
        };
        if last {
            *self = Self::default();
        } else {
            self.open = Some(code);
        }
        Ok(Some(ReplyLine { code, raw, last }))
    }
}

#[derive(PartialEq)]
enum Mark {
    /// A space, or nothing at all: the only or the last line.
    Closing,
    /// A hyphen: more lines follow.
    Opening,
}

fn head(raw: &[u8]) -> Option<(Code, Mark)> {
    let code = Code::read(raw.get(..3)?.try_into().ok()?)?;
    match raw.get(3) {
        None | Some(b' ') => Some((code, Mark::Closing)),
        Some(b'-') => Some((code, Mark::Opening)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ftp::occasion;
    use proptest::prelude::*;

    fn read_all(text: &str) -> Vec<(u16, bool)> {
        let mut reader = ReplyReader::default();
        text.split("\r\n")
            .filter_map(|line| reader.read(line.as_bytes().to_vec()).expect("a reply"))
            .map(|line| (line.code.number(), line.last))
            .collect()
    }

    #[test]
    fn single_and_multi_line_replies() {
        assert_eq!(read_all("226 Done"), [(226, true)]);
        assert_eq!(read_all("226"), [(226, true)]);
        let feat =
            "211-Features:\r\n SIZE\r\n\r\n211-again\r\n226 no end\r\n211x\r\n211 End\r\n220 next";
        let expected = [
            (211, false),
            (211, false),
            (211, false),
            (211, false),
            (211, false),
            (211, false),
            (211, true),
            (220, true),
        ];
        assert_eq!(read_all(feat), expected);
    }

    #[test]
    fn blank_lines_between_replies_are_nothing_and_text_is_a_fault() {
        let mut reader = ReplyReader::default();
        assert_eq!(reader.read(Vec::new()), Ok(None));
        for line in [&b"hello"[..], b"22"] {
            let broken = BrokenReply::NoCode(line.to_vec());
            assert_eq!(reader.read(line.to_vec()), Err(broken));
        }
    }

    #[test]
    fn a_reply_without_end_is_cut_off() {
        let mut reader = ReplyReader::default();
        reader.read(b"211-".to_vec()).expect("opens");
        let outcome = (0..REPLY_LINES_MAX).find_map(|_| reader.read(b" x".to_vec()).err());
        assert_eq!(outcome, Some(BrokenReply::TooManyLines));
    }

    #[test]
    fn no_blank_line_is_emitted() {
        let mut reader = ReplyReader::default();
        reader.read(b"211-".to_vec()).expect("opens");
        let blank = reader.read(Vec::new()).expect("inside").expect("a line");
        assert_eq!(blank.wire(), b" \r\n");
        let bare = reader
            .read(b"211".to_vec())
            .expect("closes")
            .expect("a line");
        assert_eq!(bare.wire(), b"211 \r\n");
    }

    #[test]
    fn own_replies_are_written_as_rfc_2389_wants() {
        let reply = Reply::block(occasion::FEATURES, "Features:", ["SIZE".to_owned()], "End");
        assert_eq!(reply.wire(), b"211-Features:\r\n SIZE\r\n211 End\r\n");
        assert_eq!(Reply::new(occasion::OKAY, "fine").wire(), b"200 fine\r\n");
    }

    proptest! {
        /// Our own replies are understood by our own reader.
        #[test]
        fn reading_undoes_writing(lines in proptest::collection::vec("[ -~]{0,20}", 0..6)) {
            let reply = Reply::block(occasion::FEATURES, "first", lines, "last");
            let mut reader = ReplyReader::default();
            let wire = String::from_utf8(reply.wire()).expect("ASCII");
            let parts: Vec<_> = wire.strip_suffix("\r\n").expect("an end").split("\r\n").collect();
            for (at, part) in parts.iter().enumerate() {
                let line = reader.read(part.as_bytes().to_vec()).expect("a reply").expect("a line");
                prop_assert_eq!((line.code, line.last), (occasion::FEATURES, at + 1 == parts.len()));
            }
        }

        #[test]
        fn no_line_panics(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..16), 0..16)) {
            let mut reader = ReplyReader::default();
            for line in lines {
                let _read = reader.read(line).map(|line| line.map(|line| (line.wire(), line.text().len())));
            }
        }
    }
}
