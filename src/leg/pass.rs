//! From a private leg to another in place: plain bytes are nowhere but in the buffer they came in, and only for a moment.

use std::task::{Context, Poll};

use super::{Fault, Leg, Read};
use crate::tls;

/// Which of two legs cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The one that is read: not an end.
    Source(Fault),
    /// The one that is written.
    Sink(Fault),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Source(fault)
    }
}

impl From<tls::Broken> for Broken {
    fn from(broken: tls::Broken) -> Self {
        match broken {
            tls::Broken::Source(fault) => Self::Source(fault.into()),
            tls::Broken::Sink(fault) => Self::Sink(fault.into()),
        }
    }
}

impl Leg {
    /// Whether `poll_pass` can be used towards `sink`: TLS 1.3 on both legs, where the configuration allows it.
    #[must_use]
    pub fn passes_to(&self, sink: &Self) -> bool {
        match (&self.tls, &sink.tls) {
            (Some(from), Some(to)) => from.passes_to(to),
            _ => false,
        }
    }

    /// Reads once, into a buffer of `max` bytes, and queues at `sink` what they say.
    ///
    /// # Errors
    /// As `poll_read` and as `queue`, told apart.
    pub fn poll_pass(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut Self,
        max: usize,
    ) -> Poll<Result<Read, Broken>> {
        let Some(to) = &mut sink.tls else {
            return Poll::Ready(Err(Broken::Sink(Fault::Closed)));
        };
        self.poll_records(cx, max, |from| {
            let (moved, progress) = from.pass(to);
            (moved, progress.map_err(Broken::from))
        })
    }
}
