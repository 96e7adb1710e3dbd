//! Both legs in the clear: bytes go from socket to pipe to socket, and the process never sees them.

use std::task::{Context, Poll, ready};

use super::pipes::{self, PipeLease};
use super::{Step, sealed::Sealed};
use crate::leg::{Fault, Leg};

/// The way of a stream between two plain legs.
#[derive(Default)]
pub(super) struct Spliced {
    /// Held only while there are bytes in it.
    pipe: Option<PipeLease>,
    /// For bytes that cannot be spliced, and for when there is no pipe.
    copied: Sealed,
}

impl Spliced {
    /// Reads once; nothing is in the pipe before.
    pub(super) fn poll_read(
        &mut self,
        source: &mut Leg,
        sink: &mut Leg,
        cx: &mut Context<'_>,
    ) -> Poll<Step> {
        let Some(mut pipe) = pipes::take() else {
            return self.copied.poll_read(source, sink, cx);
        };
        match ready!(source.poll_draw(cx, &mut pipe)) {
            Ok(None) => self.copied.poll_read(source, sink, cx),
            Ok(Some(read)) => {
                if !pipe.is_empty() {
                    self.pipe = Some(pipe);
                }
                Poll::Ready(read.into())
            }
            Err(fault) => Poll::Ready(fault.into()),
        }
    }

    /// Ready when everything that was read has gone to the sink's socket.
    pub(super) fn poll_flush(
        &mut self,
        sink: &mut Leg,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        if let Some(pipe) = &mut self.pipe {
            let poured = sink.poll_pour(cx, pipe);
            if pipe.is_empty() {
                // The last of it may be waiting for the socket: others can have the pipe meanwhile.
                self.pipe = None;
            }
            ready!(poured)?;
        }
        sink.poll_flush(cx)
    }

    /// Bytes that were read and are not in the sink's queue yet.
    pub(super) fn held(&self) -> usize {
        self.pipe.as_ref().map_or(0, |pipe| pipe.held())
    }

    /// Stops here: what was read goes to the sink's queue, so that nothing is lost.
    pub(super) fn leave(&mut self, sink: &mut Leg) {
        if let Some(mut pipe) = self.pipe.take() {
            let held = pipe.held();
            // A pipe of ours that cannot be read is dropped with what it holds, and the sink is told so by a reset.
            if sink.queue_from(&mut pipe, held).is_err() {
                sink.reset();
            }
        }
    }
}
