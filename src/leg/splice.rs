//! Bytes of a leg that pass through a pipe and never come into the process: a plain one, or one whose TLS the kernel has.

use std::io;
use std::task::{Context, Poll, ready};

use super::{Fault, Leg, Read};
use crate::limits;
use crate::sys::pipe::Pipe;

impl Leg {
    /// As `poll_read`, into an empty pipe; on a leg that is plain, or opened by the kernel. Nothing where `poll_read` has to
    /// be asked instead.
    ///
    /// # Errors
    /// As `poll_read`.
    pub fn poll_draw(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Result<Option<Read>, Fault>> {
        if self.is_opened_by_kernel() {
            return self.poll_draw_opened(cx, pipe);
        }
        debug_assert!(!self.is_private(), "what TLS says cannot be spliced");
        let drawn = ready!(self.stream.poll_draw(cx, pipe))?;
        self.received_any |= drawn.is_some_and(|bytes| bytes > 0);
        Poll::Ready(Ok(drawn.map(|bytes| match bytes {
            0 => Read::Fin,
            bytes => Read::Bytes(bytes),
        })))
    }

    /// Sends what is queued, and then what the pipe holds; on a leg that is plain, or sealed by the kernel. Ready when nothing
    /// is left of either.
    ///
    /// When the socket takes no more, a little comes out of the pipe and is queued: glommio can wait with bytes for their
    /// turn, and not for a socket without any.
    ///
    /// # Errors
    /// `Reset`, `Io`.
    pub fn poll_pour(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<Result<(), Fault>> {
        debug_assert!(
            !self.is_private() || self.is_sealed_by_kernel(),
            "what the pipe holds is not sealed"
        );
        loop {
            ready!(self.poll_flush(cx))?;
            if pipe.is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.wear(pipe.held())?;
            match self.stream.pour(pipe) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.queue_from(pipe, limits::SPLICE_WAIT_BYTES)?;
                }
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Queues at most `max` bytes of what the pipe holds.
    ///
    /// # Errors
    /// `Io`: the pipe cannot be read.
    pub fn queue_from(&mut self, pipe: &mut Pipe, max: usize) -> Result<(), Fault> {
        let mut left = max.min(pipe.held());
        while left > 0 {
            let got = pipe.read(&mut self.queue.room(left)[..left])?;
            self.queue.fill(got);
            left -= got;
        }
        Ok(())
    }
}
