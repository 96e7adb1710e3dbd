//! A data connection of the rig: private through a leg, clear without one, because a leg would copy what it sends.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use super::goods::Goods;
use crate::leg::{Fault, Leg, Read};
use crate::limits;
use crate::net::Stream;

/// One connection as bytes both ways.
#[allow(
    clippy::large_enum_variant,
    reason = "made once a connection and never moved while bytes flow"
)]
pub(super) enum Wire {
    Clear(Stream),
    Private(Leg),
}

/// What one read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// So many bytes were appended.
    Bytes(usize),
    /// The peer's direction is over: by close_notify where private, by FIN where clear.
    End,
    /// FIN without close_notify on a private connection.
    Unfinished,
}

impl Wire {
    /// As the server of TLS, where there is any.
    pub(super) async fn accept(
        stream: Stream,
        tls: Option<Arc<ServerConfig>>,
    ) -> Result<Self, Fault> {
        let Some(config) = tls else {
            return Ok(Self::Clear(stream));
        };
        let mut leg = Leg::new(stream);
        leg.secure_as_server(config)?;
        poll_fn(|cx| leg.poll_handshake(cx)).await?;
        Ok(Self::Private(leg))
    }

    /// As the client of TLS, where there is any.
    pub(super) async fn connect(
        stream: Stream,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    ) -> Result<Self, Fault> {
        let Some((config, name)) = tls else {
            return Ok(Self::Clear(stream));
        };
        let mut leg = Leg::new(stream);
        leg.secure_as_client(config, name)?;
        poll_fn(|cx| leg.poll_handshake(cx)).await?;
        Ok(Self::Private(leg))
    }

    /// Takes some of `bytes` for the peer, and says how many.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Fault>> {
        match self {
            Self::Clear(stream) => stream.poll_write(cx, bytes).map_err(Fault::from),
            Self::Private(leg) => {
                ready!(leg.poll_flush(cx))?;
                leg.queue(bytes)?;
                // What does not leave now leaves before the next bytes, or before the end.
                match leg.poll_flush(cx) {
                    Poll::Ready(Err(fault)) => Poll::Ready(Err(fault)),
                    _ => Poll::Ready(Ok(bytes.len())),
                }
            }
        }
    }

    /// Ready when nothing waits for the socket.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        match self {
            Self::Clear(_) => Poll::Ready(Ok(())),
            Self::Private(leg) => leg.poll_flush(cx),
        }
    }

    /// Sends all of `bytes`.
    pub(super) async fn send_all(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let sent = poll_fn(|cx| self.poll_send(cx, bytes)).await?;
            bytes = &bytes[sent..];
        }
        poll_fn(|cx| self.poll_sent(cx)).await
    }

    /// Sends all of `goods`, and tells `progress` of every piece.
    pub(super) async fn send_goods(
        &mut self,
        goods: Goods,
        mut progress: impl FnMut(u64),
    ) -> Result<(), Fault> {
        let mut at = 0;
        while at < goods.len() {
            let piece = goods.piece(at, limits::RELAY_CHUNK_BYTES);
            let sent = poll_fn(|cx| self.poll_send(cx, piece)).await? as u64;
            at += sent;
            progress(sent);
            glommio::yield_if_needed().await;
        }
        poll_fn(|cx| self.poll_sent(cx)).await
    }

    /// Reads once, at most `max` bytes off the socket, and appends what they say.
    pub(super) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
        max: usize,
    ) -> Poll<Result<Taken, Fault>> {
        Poll::Ready(Ok(match self {
            Self::Clear(stream) => match ready!(stream.poll_receive(cx, into, max))? {
                0 => Taken::End,
                got => Taken::Bytes(got),
            },
            Self::Private(leg) => match ready!(leg.poll_read(cx, into, max))? {
                Read::Bytes(got) => Taken::Bytes(got),
                Read::CloseNotify => Taken::End,
                Read::Fin => Taken::Unfinished,
            },
        }))
    }

    /// Reads to the end of the peer's direction; `seen` is told of every piece and where it belongs.
    ///
    /// Gives how many bytes came, and whether the end was a proper one.
    pub(super) async fn take_all(
        &mut self,
        mut seen: impl FnMut(u64, &[u8]),
    ) -> Result<(u64, bool), Fault> {
        let mut buffer = Vec::new();
        let mut at = 0;
        loop {
            let taken = poll_fn(|cx| self.poll_take(cx, &mut buffer, limits::RELAY_CHUNK_BYTES));
            match taken.await? {
                Taken::Bytes(len) => {
                    seen(at, &buffer);
                    at += len as u64;
                    buffer.clear();
                }
                Taken::End => return Ok((at, true)),
                Taken::Unfinished => return Ok((at, false)),
            }
            glommio::yield_if_needed().await;
        }
    }

    /// Ends our direction: close_notify where private, everything flushed, FIN.
    pub(super) async fn part(&mut self) -> Result<(), Fault> {
        match self {
            Self::Clear(stream) => Ok(stream.finish()?),
            Self::Private(leg) => {
                leg.queue_close_notify()?;
                poll_fn(|cx| leg.poll_flush(cx)).await?;
                leg.finish()
            }
        }
    }

    /// Reads what is left of the peer's direction and drops it, for a bounded while, beside whatever comes next: bytes
    /// that are left unread would make the kernel reset what the peer still reads.
    pub(super) fn linger(mut self, limit: Duration) {
        glommio::spawn_local(async move {
            let mut scrap = Vec::new();
            let mut dropped = 0;
            let over = super::wait::within(limit, |cx| match &mut self {
                Self::Clear(stream) => loop {
                    scrap.clear();
                    match ready!(stream.poll_receive(cx, &mut scrap, limits::TLS_RECORD_BYTES_MAX))
                    {
                        Ok(got) if got > 0 && dropped < limits::DRAIN_BYTES_MAX => dropped += got,
                        _ => return Poll::Ready(()),
                    }
                },
                Self::Private(leg) => leg.poll_end(cx).map(|_| ()),
            });
            over.await;
        })
        .detach();
    }

    /// Whether the handshake resumed an earlier session; nothing where clear.
    pub(super) fn resumed(&self) -> Option<bool> {
        match self {
            Self::Clear(_) => None,
            Self::Private(leg) => leg.facts().map(|facts| facts.resumed),
        }
    }
}
