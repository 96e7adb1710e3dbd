//! A control connection: FTP lines over a leg, never to be told apart from it.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use super::{Fault, Leg, Read};
use crate::ftp::{Cut, LineReader, Telnet};
use crate::limits;

/// A leg that speaks in lines. The reader of its lines stays with it, so that plaintext behind AUTH cannot be lost
/// sight of.
pub struct ControlLeg {
    leg: Leg,
    lines: LineReader,
}

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A whole line without its end.
    Line(Vec<u8>),
    /// A line longer than allowed. Nothing behind it can be trusted to be where a line begins: this ends the session.
    TooLong,
    /// The peer's direction has ended.
    End {
        /// Whether by close_notify on a private leg, by FIN on a plain one, and not amid a line.
        clean: bool,
    },
}

impl ControlLeg {
    /// Speaks in lines over `leg`: commands of a client (`Telnet::Strip`) or replies of a backend (`Telnet::Keep`), of
    /// at most `line_bytes_max` bytes.
    #[must_use]
    pub const fn new(leg: Leg, line_bytes_max: usize, telnet: Telnet) -> Self {
        Self {
            leg,
            lines: LineReader::new(line_bytes_max, telnet),
        }
    }

    /// The next line, or the end.
    ///
    /// # Errors
    /// The leg failed; lines that came before were given before.
    pub fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Result<Heard, Fault>> {
        let mut bytes = Vec::new();
        loop {
            match self.lines.next_line() {
                Cut::Line(line) => return Poll::Ready(Ok(Heard::Line(line))),
                Cut::TooLong => return Poll::Ready(Ok(Heard::TooLong)),
                Cut::Incomplete => {}
            }
            match ready!(
                self.leg
                    .poll_read(cx, &mut bytes, limits::CONTROL_READ_BYTES)
            )? {
                Read::Bytes(_) => {
                    self.lines.push(&bytes);
                    bytes.clear();
                }
                Read::CloseNotify => return Poll::Ready(Ok(self.end(true))),
                Read::Fin => return Poll::Ready(Ok(self.end(!self.leg.is_private()))),
            }
        }
    }

    fn end(&self, authentic: bool) -> Heard {
        Heard::End {
            clean: authentic && self.lines.is_empty(),
        }
    }

    /// Queues a line, or several; the caller writes CR LF.
    ///
    /// # Errors
    /// As `Leg::queue`.
    pub fn say(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.leg.queue(line)
    }

    /// Bytes that wait for the socket; beyond `CONTROL_QUEUE_BYTES_MAX` the other side should not be read.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.leg.queued()
    }

    /// Ready when everything said is sent.
    ///
    /// # Errors
    /// As `Leg::poll_flush`.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.leg.poll_flush(cx)
    }

    /// Goes on in TLS as the server, behind AUTH.
    ///
    /// # Errors
    /// `Injected` when the client has sent anything behind its AUTH; `Tls`.
    pub fn secure_as_server(&mut self, config: Arc<ServerConfig>) -> Result<(), Fault> {
        self.refuse_injection()?;
        self.leg.secure_as_server(config)
    }

    /// Goes on in TLS as the client, behind the backend's 234; with `tls::ClientResume::control`, if tickets are to be
    /// renewed.
    ///
    /// # Errors
    /// `Injected` when the backend has sent anything behind its 234; `Tls`.
    pub fn secure_as_client(
        &mut self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<(), Fault> {
        self.refuse_injection()?;
        self.leg.secure_as_client(config, name)
    }

    /// Goes on in clear text, behind CCC or REIN or the backend's answer to it.
    ///
    /// # Errors
    /// As `Leg::clear`; `Injected` also when anything stands behind the line that ends TLS.
    pub fn clear(&mut self, pause: Option<Duration>) -> Result<(), Fault> {
        self.refuse_injection()?;
        self.leg.clear(pause)
    }

    /// Makes the newest ticket of this connection good for one more data connection, towards a backend that gives too
    /// few (`tls::ClientResume::is_dry`).
    ///
    /// # Errors
    /// `Tls`: the next data connection cannot resume. This one goes on.
    pub fn renew_ticket(&mut self) -> Result<(), Fault> {
        self.leg.renew_ticket()
    }

    /// What was sent in the clear must not be read as if it had come through TLS (CVE-2011-0411 and its kin).
    fn refuse_injection(&self) -> Result<(), Fault> {
        if self.lines.is_empty() {
            Ok(())
        } else {
            Err(Fault::Injected)
        }
    }

    /// Resets the connection now.
    pub fn abort(self) {
        self.leg.abort();
    }

    /// The leg beneath, to be ended.
    #[must_use]
    pub fn into_leg(self) -> Leg {
        self.leg
    }

    /// The leg beneath.
    #[must_use]
    pub const fn leg(&self) -> &Leg {
        &self.leg
    }

    /// The leg beneath, for its handshake and its end. Reading from it directly would lose lines.
    pub const fn leg_mut(&mut self) -> &mut Leg {
        &mut self.leg
    }
}
