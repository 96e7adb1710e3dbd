//! Bytes on their way to or from a socket, in memory that is given back when there are none.

use super::pool::{give, take};
use crate::limits::BUFFER_POOLED_BYTES_MIN;

/// A stretch of bytes that is filled at its end and emptied at its front.
#[derive(Default)]
pub struct Buffer {
    /// Every byte is initialised, also behind `end`: memory is cleared when taken, not for every read.
    bytes: Vec<u8>,
    /// Invariant: `start <= end <= bytes.len()`.
    start: usize,
    end: usize,
}

impl Buffer {
    /// An empty one, without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    /// What is filled and not yet taken.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// As `filled`, to work on in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// How many bytes are filled.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether none are.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// At least `len` bytes to write to behind what is filled; `fill` says how many were written.
    pub fn room(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() - self.end < len {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let needed = self.end + len;
        if self.bytes.len() < needed {
            let mut larger = take(needed);
            larger[..self.end].copy_from_slice(&self.bytes[..self.end]);
            give(std::mem::replace(&mut self.bytes, larger));
        }
        &mut self.bytes[self.end..]
    }

    /// `len` bytes were written to `room`.
    pub fn fill(&mut self, len: usize) {
        self.end += len;
        assert!(
            self.end <= self.bytes.len(),
            "more was written than there was room for"
        );
    }

    /// Appends a copy of `bytes`.
    pub fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.fill(bytes.len());
    }

    /// Drops `len` bytes at the front, and with the last of them the memory.
    pub fn discard(&mut self, len: usize) {
        self.skip(len);
        self.release_if_empty();
    }

    /// Drops `len` bytes at the front and keeps the memory.
    pub fn skip(&mut self, len: usize) {
        self.start += len;
        assert!(self.start <= self.end, "more was taken than there was");
    }

    /// Keeps `len` bytes at the front and drops those behind.
    pub fn truncate(&mut self, len: usize) {
        assert!(len <= self.len(), "more is to be kept than there is");
        self.end = self.start + len;
    }

    /// Bytes of memory that this holds now.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// At rest: what is left, which is little, moves to memory of its own size.
    pub fn shrink(&mut self) {
        if self.bytes.len() >= BUFFER_POOLED_BYTES_MIN && self.len() < BUFFER_POOLED_BYTES_MIN {
            drop(self.part(0, 0));
        }
        self.release_if_empty();
    }

    /// Gives away the memory with the first `front` bytes in it, and keeps what stands behind the first `done`.
    #[must_use]
    pub fn part(&mut self, front: usize, done: usize) -> Self {
        debug_assert!(front <= done, "no byte is in both");
        let mut rest = Self::new();
        rest.append(&self.filled()[done..]);
        let mut whole = std::mem::replace(self, rest);
        whole.end = whole.start + front;
        whole
    }

    /// Gives the memory back when nothing is in it: a connection at rest holds none.
    pub fn release_if_empty(&mut self) {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            give(std::mem::take(&mut self.bytes));
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_and_memory_goes_back() {
        let mut buffer = Buffer::default();
        for round in 0..50u8 {
            buffer.room(100)[..100].fill(round);
            buffer.fill(100);
            if round > 0 {
                assert_eq!(buffer.filled()[0], round - 1);
                buffer.discard(100);
            }
        }
        assert_eq!(buffer.len(), 100);
        buffer.discard(100);
        assert_eq!(buffer.held(), 0);
    }

    #[test]
    fn large_memory_is_used_again() {
        let mut buffer = Buffer::default();
        buffer.room(100_000)[0] = 1;
        let at = buffer.bytes.as_ptr();
        buffer.release_if_empty();
        let mut other = Buffer::default();
        other.room(90_000);
        assert_eq!(other.bytes.as_ptr(), at);
    }
}
