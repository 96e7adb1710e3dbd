//! TLS on a leg, or on both: what one read brings is opened, sealed for the other leg, and sent at once.

use std::task::{Context, Poll, ready};

use super::{Step, buffers, chunk::Chunk};
use crate::leg::{Leg, Read};

/// The way of a stream whose bytes come into the process.
#[derive(Default)]
pub(super) struct Sealed {
    chunk: Chunk,
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
        let read = ready!(source.poll_read(cx, &mut plain, self.chunk.bytes()));
        self.chunk.learn(source);
        Poll::Ready(match read {
            Ok(Read::Bytes(_)) if sink.queue(&plain).is_err() => Step::SinkBroken,
            Ok(read) => read.into(),
            Err(fault) => fault.into(),
        })
    }
}
