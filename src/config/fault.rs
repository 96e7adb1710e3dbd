//! Complaints about a configuration: where, what is wrong, and how to cure it.

use core::fmt;
use core::ops::{Deref, Range};

/// A position in the text of the configuration, both counted from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One thing that an operator has to change, or should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Where it was written; nothing when it was not written at all.
    pub place: Option<Place>,
    /// Path of the key: `listener[0].passive_ports`; empty for the text as a whole.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub cure: String,
}

impl fmt::Display for Complaint {
    /// `12:3  listener[0].passive_ports: problem`, and the cure on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}  ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}\n    cure: {}", self.problem, self.cure)
    }
}

/// A value that remembers its key, so that what is found out later (a file that is not there, a port that is taken)
/// can still be told by line and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// What was configured.
    pub value: T,
    /// Where; nothing when it is the default.
    pub place: Option<Place>,
    /// Path of the key.
    pub key: String,
}

impl<T> Located<T> {
    /// A complaint about this value.
    pub fn complaint(&self, problem: impl Into<String>, cure: impl Into<String>) -> Complaint {
        Complaint {
            place: self.place,
            key: self.key.clone(),
            problem: problem.into(),
            cure: cure.into(),
        }
    }

    /// The same place with another value.
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located {
            value: change(self.value),
            place: self.place,
            key: self.key,
        }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Everything found while one text is read.
pub(super) struct Findings {
    /// Offset of the first byte of each line.
    line_starts: Vec<usize>,
    text: String,
    pub(super) faults: Vec<Complaint>,
    pub(super) warnings: Vec<Complaint>,
}

impl Findings {
    pub(super) fn new(text: &str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            line_starts: core::iter::once(0).chain(breaks).collect(),
            text: text.to_owned(),
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The position of a span's first byte.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let line = self
            .line_starts
            .partition_point(|start| *start <= span.start);
        let start = self
            .line_starts
            .get(line.wrapping_sub(1))
            .copied()
            .unwrap_or(0);
        let before = self.text.get(start..span.start).unwrap_or("");
        Place {
            line: line.max(1),
            column: before.chars().count() + 1,
        }
    }

    /// Notes a fault: the configuration cannot be used.
    pub(super) fn fault(
        &mut self,
        span: Option<&Range<usize>>,
        key: impl Into<String>,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) {
        let place = span.map(|span| self.place(span));
        self.faults.push(Complaint {
            place,
            key: key.into(),
            problem: problem.into(),
            cure: cure.into(),
        });
    }

    /// Faults and warnings, each in the order of the text.
    pub(super) fn into_parts(self) -> (Vec<Complaint>, Vec<Complaint>) {
        (in_order(self.faults), in_order(self.warnings))
    }
}

/// Complaints in the order of the text they are about; what was not written comes last.
#[must_use]
pub fn in_order(mut complaints: Vec<Complaint>) -> Vec<Complaint> {
    complaints.sort_by_key(|complaint| (complaint.place.is_none(), complaint.place));
    complaints
}
