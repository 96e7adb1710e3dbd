//! Bytes to lines, until `ftp::line` stands: the same interface, and to be replaced by it.

/// Cuts lines out of what a peer sends.
pub(super) struct LineReader {
    max: usize,
    bytes: Vec<u8>,
    skipping: bool,
}

/// What stands at the front.
pub(super) enum Cut {
    /// A line without its end.
    Line(Vec<u8>),
    /// A line that is too long; it is skipped.
    TooLong,
    /// More must come first.
    Incomplete,
}

impl LineReader {
    pub(super) const fn new(max: usize) -> Self {
        Self {
            max,
            bytes: Vec::new(),
            skipping: false,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn next(&mut self) -> Cut {
        let Some(end) = self.bytes.iter().position(|&byte| byte == b'\n') else {
            let over = self.bytes.len() > self.max;
            if over || self.skipping {
                self.bytes.clear();
            }
            if over && !std::mem::replace(&mut self.skipping, true) {
                return Cut::TooLong;
            }
            return Cut::Incomplete;
        };
        let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
        if std::mem::take(&mut self.skipping) {
            return self.next();
        }
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        if line.len() > self.max {
            Cut::TooLong
        } else {
            Cut::Line(line)
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.skipping
    }
}
