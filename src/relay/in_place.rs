//! TLS 1.3 on both legs: records are opened and sealed in the buffer they came in, which is then sent.

use std::task::{Context, Poll, ready};

use super::{Step, chunk::Chunk};
use crate::leg::{Broken, Leg};

/// The way of a stream whose bytes are copied nowhere.
#[derive(Default)]
pub(super) struct InPlace {
    chunk: Chunk,
}

impl InPlace {
    /// Reads once, and queues what it brings.
    pub(super) fn poll_read(
        &mut self,
        source: &mut Leg,
        sink: &mut Leg,
        cx: &mut Context<'_>,
    ) -> Poll<Step> {
        let read = ready!(source.poll_pass(cx, sink, self.chunk.bytes()));
        self.chunk.learn(source);
        Poll::Ready(match read {
            Ok(read) => read.into(),
            Err(Broken::Source(fault)) => fault.into(),
            Err(Broken::Sink(_)) => Step::SinkBroken,
        })
    }
}
