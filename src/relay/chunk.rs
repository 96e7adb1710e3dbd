//! How much a stream reads at once: little at first, more when there is more.

use crate::leg::Leg;
use crate::limits::{RELAY_CHUNK_BYTES_MAX, RELAY_CHUNK_BYTES_MIN};
use crate::net::is_ample;

/// The size of a stream's next buffer.
pub(super) struct Chunk(usize);

impl Default for Chunk {
    fn default() -> Self {
        Self(RELAY_CHUNK_BYTES_MIN)
    }
}

impl Chunk {
    pub(super) const fn bytes(&self) -> usize {
        self.0
    }

    /// A read that filled its buffer has left something behind: the next one may be larger, while there is memory.
    pub(super) fn learn(&mut self, source: &Leg) {
        if !is_ample() {
            self.0 = RELAY_CHUNK_BYTES_MIN;
        } else if source.has_filled() {
            self.0 = (2 * self.0).min(RELAY_CHUNK_BYTES_MAX);
        }
    }
}
