//! TLS on a leg, or on both: what one read brings is opened, sealed for the other leg, and sent at once.

use std::task::{Context, Poll, ready};

use super::{Step, buffers};
use crate::leg::{Leg, Read};
use crate::limits::{RELAY_CHUNK_BYTES_MAX, RELAY_CHUNK_BYTES_MIN};
use crate::net::is_ample;

/// The way of a stream whose bytes come into the process.
pub(super) struct Sealed {
    /// Bytes to be read next: few at first, more when there are more.
    chunk: usize,
}

impl Default for Sealed {
    fn default() -> Self {
        Self {
            chunk: RELAY_CHUNK_BYTES_MIN,
        }
    }
}

impl Sealed {
    /// Reads once, and queues what it brings.
    pub(super) fn poll_read(
        &mut self,
        source: &mut Leg,
        sink: &mut Leg,
        cx: &mut Context<'_>,
    ) -> Poll<Step> {
        let mut plain = buffers::take();
        let read = ready!(source.poll_read(cx, &mut plain, self.chunk));
        self.learn(source);
        Poll::Ready(match read {
            Ok(Read::Bytes(_)) if sink.queue(&plain).is_err() => Step::SinkBroken,
            Ok(read) => read.into(),
            Err(fault) => fault.into(),
        })
    }

    /// A read that filled its buffer has left something behind: the next one may be larger.
    fn learn(&mut self, source: &Leg) {
        if !is_ample() {
            self.chunk = RELAY_CHUNK_BYTES_MIN;
        } else if source.has_filled() {
            self.chunk = (2 * self.chunk).min(RELAY_CHUNK_BYTES_MAX);
        }
    }
}
