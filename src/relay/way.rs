//! One of the paths with what it needs, chosen by the legs it is between.

use std::task::{Context, Poll};

use super::Path;
use super::in_place::InPlace;
use super::kernel::Kernel;
use super::sealed::Sealed;
use super::spliced::Spliced;
use super::step::Step;
use crate::leg::{Fault, Leg};

/// A path with what it needs.
pub(super) enum Way {
    Spliced(Spliced),
    Sealed(Sealed),
    InPlace(InPlace),
    Kernel(Kernel),
}

impl Way {
    pub(super) fn between(source: &Leg, sink: &Leg) -> Self {
        if !source.is_private() && !sink.is_private() {
            Self::Spliced(Spliced::default())
        } else if source.passes_to(sink) {
            Self::InPlace(InPlace::default())
        } else {
            Self::Sealed(Sealed::default())
        }
    }

    pub(super) const fn path(&self) -> Path {
        match self {
            Self::Spliced(_) => Path::Spliced,
            Self::Sealed(_) => Path::Sealed,
            Self::InPlace(_) => Path::InPlace,
            Self::Kernel(kernel) => kernel.path(),
        }
    }

    /// Reads once, and takes over what it brings; everything before has been flushed.
    pub(super) fn poll_read(
        &mut self,
        source: &mut Leg,
        sink: &mut Leg,
        cx: &mut Context<'_>,
    ) -> Poll<Step> {
        match self {
            Self::Spliced(spliced) => spliced.poll_read(source, sink, cx),
            Self::Sealed(sealed) => sealed.poll_read(source, sink, cx),
            Self::InPlace(in_place) => in_place.poll_read(source, sink, cx),
            Self::Kernel(kernel) => kernel.poll_read(source, sink, cx),
        }
    }

    /// Ready when everything that was read has gone to the sink's socket.
    pub(super) fn poll_flush(
        &mut self,
        sink: &mut Leg,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        match self {
            Self::Spliced(spliced) => spliced.poll_flush(sink, cx),
            Self::Kernel(kernel) => kernel.poll_flush(sink, cx),
            Self::Sealed(_) | Self::InPlace(_) => sink.poll_flush(cx),
        }
    }

    /// Bytes that were read and are not in the sink's queue yet.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Spliced(spliced) => spliced.held(),
            Self::Kernel(kernel) => kernel.held(),
            Self::Sealed(_) | Self::InPlace(_) => 0,
        }
    }

    /// Stops here: what was read goes to the sink's queue.
    pub(super) fn leave(&mut self, sink: &mut Leg) {
        match self {
            Self::Spliced(spliced) => spliced.leave(sink),
            Self::Kernel(kernel) => kernel.leave(sink),
            Self::Sealed(_) | Self::InPlace(_) => {}
        }
    }
}
