//! A connection that a proxy passes on: its header is read, and not one byte of what stands behind it.

use std::io;
use std::task::{Context, Poll, ready};

use super::Stream;
use super::header::{self, Ends, Header, Parsed};

/// A connection whose header is still to come. Whoever polls it has the deadline.
pub struct Introduction {
    /// Invariant: some until the outcome was given.
    stream: Option<Stream>,
    bytes: Vec<u8>,
}

impl Introduction {
    /// Awaits the header of a connection that was just taken.
    #[must_use]
    pub const fn new(stream: Stream) -> Self {
        Self {
            stream: Some(stream),
            bytes: Vec::new(),
        }
    }

    /// The connection and its true ends, once the header is there.
    ///
    /// # Errors
    /// Why there is none; the connection is reset when this is dropped.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Stream, Ends), String>> {
        loop {
            let wanted = match header::read(&self.bytes) {
                Ok(Parsed::Wants(wanted)) => wanted,
                Ok(Parsed::Whole(header, _)) => return Poll::Ready(self.introduced(header)),
                Err(why) => return Poll::Ready(Err(why.to_owned())),
            };
            let Some(stream) = &mut self.stream else {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::NotConnected).to_string()));
            };
            match ready!(stream.poll_receive(cx, &mut self.bytes, wanted)) {
                Ok(0) => {
                    return Poll::Ready(Err("the connection ended before its header".to_owned()));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(error.to_string())),
            }
        }
    }

    fn introduced(&mut self, header: Header) -> Result<(Stream, Ends), String> {
        let gone = || io::Error::from(io::ErrorKind::NotConnected).to_string();
        let stream = self.stream.take().ok_or_else(gone)?;
        let ends = match header {
            Header::Relayed(ends) => ends,
            Header::Own => stream.ends(),
        };
        Ok((stream, ends))
    }
}
