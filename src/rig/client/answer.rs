//! The server's replies, whole.

use std::fmt;

use super::Fault;
use crate::ftp::{Code, ReplyLine, ReplyReader, escape};
use crate::leg::Heard;

/// A reply of the server.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its code.
    pub code: Code,
    /// Its lines as they came.
    pub lines: Vec<ReplyLine>,
}

impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines.last() {
            Some(line) => out.write_str(&escape(&line.raw)),
            None => self.code.fmt(out),
        }
    }
}

/// Lines on their way to a reply.
#[derive(Default)]
pub(super) struct Replies {
    reader: ReplyReader,
    lines: Vec<ReplyLine>,
}

impl Replies {
    /// Takes what was heard; gives the reply that it completes.
    pub(super) fn take(&mut self, heard: Heard) -> Result<Option<Answer>, Fault> {
        let raw = match heard {
            Heard::Line(raw) => raw,
            Heard::TooLong => return Err(Fault::NotFtp),
            Heard::End { .. } => return Err(Fault::Gone),
        };
        let line = self.reader.read(raw).map_err(|_| Fault::NotFtp)?;
        let Some(line) = line else {
            return Ok(None);
        };
        let (code, last) = (line.code, line.last);
        self.lines.push(line);
        Ok(last.then(|| Answer {
            code,
            lines: std::mem::take(&mut self.lines),
        }))
    }
}
