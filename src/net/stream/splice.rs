//! A stream whose bytes go through a pipe and never come into the process.

use std::io;
use std::os::fd::AsFd as _;
use std::task::{Context, Poll, ready};

use super::Stream;
use crate::sys::pipe::Pipe;
use crate::sys::{sockopt, splice};

impl Stream {
    /// As `poll_receive`, into an empty pipe. Nothing where there is something that cannot be spliced: what stands before
    /// an urgent mark (tcp(7)) has to be received.
    ///
    /// # Errors
    /// As `poll_read`.
    pub fn poll_draw(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<Option<usize>>> {
        loop {
            ready!(self.poll_told(cx));
            match splice::draw(self.socket.as_fd(), pipe) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Never asked again here: the two would contradict each other for ever.
                    if self.poll_readable(cx)?.is_ready() {
                        return Poll::Ready(Ok(None));
                    }
                    return Poll::Pending;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                got => {
                    // Fewer bytes than it takes pieces cannot have filled the pipe, so there were no more.
                    let is_few = got
                        .as_ref()
                        .is_ok_and(|got| (1..pipe.pieces()).contains(got));
                    if is_few && !sockopt::is_at_mark(self.socket.as_fd()) {
                        self.settle_drained();
                    }
                    return Poll::Ready(self.judge_read(got).map(Some));
                }
            }
        }
    }

    /// Writes what the socket takes at once out of a pipe that holds something.
    ///
    /// # Errors
    /// `WouldBlock` where it takes nothing; no readiness is waited for. Otherwise as `poll_write`.
    pub fn pour(&mut self, pipe: &mut Pipe) -> io::Result<usize> {
        if let Some(kind) = self.broken {
            return Err(kind.into());
        }
        match splice::pour(pipe, self.socket.as_fd()) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(self.keep(error)),
            poured => poured.inspect(|&bytes| self.wrote(bytes)),
        }
    }
}
