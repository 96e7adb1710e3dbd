//! TLS that the kernel takes over amid a stream: from then on bytes go from socket to pipe to socket as if there were none.

use std::task::{Context, Poll, ready};

use super::{Path, Step, buffers, in_place::InPlace, sealed::Sealed, spliced::Spliced};
use crate::leg::{Fault, Leg, Read};

/// The way of a stream that begins in the process.
pub(super) struct Kernel {
    now: Now,
    /// Bytes until the kernel is asked; none once it has answered.
    until: Option<usize>,
}

/// Where the bytes go just now.
enum Now {
    InPlace(InPlace),
    Sealed(Sealed),
    Spliced(Spliced),
}

impl Kernel {
    /// For two legs of which the kernel is asked after so many bytes; nothing where it could do nothing for them.
    pub(super) fn between(source: &Leg, sink: &Leg, after: usize) -> Option<Self> {
        let is_plain_then = |leg: &Leg| !leg.is_private() || leg.is_for_kernel();
        let is_private = source.is_private() || sink.is_private();
        if !is_private || !is_plain_then(source) || !is_plain_then(sink) {
            return None;
        }
        Some(Self {
            now: match source.passes_to(sink) {
                true => Now::InPlace(InPlace::default()),
                false => Now::Sealed(Sealed::default()),
            },
            until: Some(after),
        })
    }

    pub(super) const fn path(&self) -> Path {
        match self.now {
            Now::InPlace(_) => Path::InPlace,
            Now::Sealed(_) => Path::Sealed,
            Now::Spliced(_) => Path::Kernel,
        }
    }

    /// Reads once, and takes over what it brings; everything before has been flushed.
    pub(super) fn poll_read(
        &mut self,
        source: &mut Leg,
        sink: &mut Leg,
        cx: &mut Context<'_>,
    ) -> Poll<Step> {
        if self.until == Some(0) {
            // What was sealed here and may wait, tickets of ours, leaves before anything that the kernel seals.
            if ready!(sink.poll_flush(cx)).is_err() {
                return Poll::Ready(Step::SinkBroken);
            }
            let mut plain = buffers::take();
            match ready!(source.poll_border(cx, &mut plain)) {
                Ok(None) => self.hand_over(source, sink),
                Ok(Some(Read::Bytes(_))) if sink.queue(&plain).is_err() => {
                    return Poll::Ready(Step::SinkBroken);
                }
                Ok(Some(read)) => return Poll::Ready(read.into()),
                Err(fault) => return Poll::Ready(fault.into()),
            }
        }
        let step = ready!(match &mut self.now {
            Now::InPlace(in_place) => in_place.poll_read(source, sink, cx),
            Now::Sealed(sealed) => sealed.poll_read(source, sink, cx),
            Now::Spliced(spliced) => spliced.poll_read(source, sink, cx),
        });
        if let (Step::Moved(bytes), Some(until)) = (&step, &mut self.until) {
            *until = until.saturating_sub(*bytes);
        }
        Poll::Ready(step)
    }

    /// What it refuses stays here, now and for the rest of the stream.
    fn hand_over(&mut self, source: &mut Leg, sink: &mut Leg) {
        self.until = None;
        if !source.attach_kernel() || !sink.attach_kernel() || !sink.seal_by_kernel() {
            return;
        }
        self.now = match source.open_by_kernel() {
            true => Now::Spliced(Spliced::default()),
            // In place is no more: one of the two keys is gone.
            false => Now::Sealed(Sealed::default()),
        };
    }

    /// Ready when everything that was read has gone to the sink's socket.
    pub(super) fn poll_flush(
        &mut self,
        sink: &mut Leg,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        match &mut self.now {
            Now::Spliced(spliced) => spliced.poll_flush(sink, cx),
            Now::Sealed(_) | Now::InPlace(_) => sink.poll_flush(cx),
        }
    }

    /// Bytes that were read and are not in the sink's queue yet.
    pub(super) fn held(&self) -> usize {
        match &self.now {
            Now::Spliced(spliced) => spliced.held(),
            Now::Sealed(_) | Now::InPlace(_) => 0,
        }
    }

    /// Stops here: what was read goes to the sink's queue.
    pub(super) fn leave(&mut self, sink: &mut Leg) {
        if let Now::Spliced(spliced) = &mut self.now {
            spliced.leave(sink);
        }
    }
}
