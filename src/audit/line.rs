//! One object of JSON on one line of printable ASCII, whatever stands in it (RFC 8259).

use core::fmt::{Display, Write as _};

/// A line that is being written.
pub(super) struct Line<'a> {
    text: &'a mut String,
    is_empty: bool,
}

impl<'a> Line<'a> {
    /// Writes one object, with the members that `fill` gives it, and the end of the line.
    pub(super) fn write(text: &'a mut String, fill: impl FnOnce(&mut Line<'_>)) {
        object(text, fill);
        text.push('\n');
    }

    fn key(&mut self, key: &str) {
        if !std::mem::take(&mut self.is_empty) {
            self.text.push(',');
        }
        quote(self.text, key);
        self.text.push(':');
    }

    /// A text.
    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        quote(self.text, value);
    }

    /// Something that writes itself.
    pub(super) fn shown(&mut self, key: &str, value: impl Display) {
        self.text(key, &value.to_string());
    }

    /// A peer's bytes. Where they are no UTF-8, what can be read of them, and all of them in hexadecimal beside it.
    pub(super) fn bytes(&mut self, key: &str, value: &[u8]) {
        match std::str::from_utf8(value) {
            Ok(text) => self.text(key, text),
            Err(_) => {
                self.text(key, &String::from_utf8_lossy(value));
                let digits = value.iter().map(|byte| format!("{byte:02x}"));
                self.text(&format!("{key}_hex"), &digits.collect::<String>());
            }
        }
    }

    /// A number.
    pub(super) fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        self.push(value);
    }

    /// Seconds, to the microsecond.
    pub(super) fn seconds(&mut self, key: &str, value: core::time::Duration) {
        self.key(key);
        let (whole, micros) = (value.as_secs(), value.subsec_micros());
        self.push(format_args!("{whole}.{micros:06}"));
    }

    /// A yes or no.
    pub(super) fn truth(&mut self, key: &str, value: bool) {
        self.key(key);
        self.push(value);
    }

    /// Texts.
    pub(super) fn list<T: AsRef<str>>(&mut self, key: &str, values: &[T]) {
        self.key(key);
        for (at, value) in values.iter().enumerate() {
            self.text.push(if at == 0 { '[' } else { ',' });
            quote(self.text, value.as_ref());
        }
        self.text
            .push_str(if values.is_empty() { "[]" } else { "]" });
    }

    /// An object within.
    pub(super) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Line<'_>)) {
        self.key(key);
        object(self.text, fill);
    }

    fn push(&mut self, value: impl Display) {
        write!(self.text, "{value}").expect("a string takes every write");
    }
}

fn object(text: &mut String, fill: impl FnOnce(&mut Line<'_>)) {
    text.push('{');
    let mut line = Line {
        text,
        is_empty: true,
    };
    fill(&mut line);
    line.text.push('}');
}

/// Everything beyond printable ASCII is escaped, not only what JSON asks for: a terminal obeys ESC, and a reader is
/// misled by marks that turn the direction of writing.
fn quote(text: &mut String, value: &str) {
    text.push('"');
    for letter in value.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            ' '..='~' => text.push(letter),
            _ => {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    write!(text, "\\u{unit:04x}").expect("a string takes every write");
                }
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(value: &[u8]) -> String {
        let mut text = String::new();
        Line::write(&mut text, |line| line.bytes("path", value));
        text
    }

    #[test]
    fn what_misleads_a_reader_is_escaped() {
        assert_eq!(
            line("a\r\n\x1b[2J\"\\\u{202e}\u{1f600}".as_bytes()),
            "{\"path\":\"a\\u000d\\u000a\\u001b[2J\\\"\\\\\\u202e\\ud83d\\ude00\"}\n"
        );
        assert_eq!(
            line(b"a\xffb"),
            "{\"path\":\"a\\ufffdb\",\"path_hex\":\"61ff62\"}\n"
        );
    }

    proptest! {
        /// One line of printable ASCII, and nothing is lost.
        #[test]
        fn every_path_comes_back(path in proptest::collection::vec(any::<u8>(), 0..64)) {
            let text = line(&path);
            let body = text.strip_suffix('\n').expect("a whole line");
            prop_assert!(body.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let read: serde_json::Value = serde_json::from_str(body).expect("JSON");
            match read.get("path_hex") {
                None => prop_assert_eq!(read["path"].as_str().map(str::as_bytes), Some(path.as_slice())),
                Some(hex) => {
                    let digits: String = path.iter().map(|byte| format!("{byte:02x}")).collect();
                    prop_assert_eq!(hex.as_str(), Some(digits.as_str()));
                }
            }
        }
    }
}
