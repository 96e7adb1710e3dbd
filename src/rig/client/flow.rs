//! The data connection of one transfer, poll by poll: dial, handshake, bytes, end.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::channel::{Channel, Content};
use super::{Cargo, Manner, Sink};
use crate::leg::{Ended, Fault, Leg, Read};
use crate::limits;
use crate::net::{Dial, Look};
use crate::rig::{Crc, Handshake};
use crate::sys::{clock, sockopt};

/// A data connection from its dial to its end; what happens is written into `channel`.
pub(super) struct Flow {
    state: State,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    cargo: Cargo,
    began: Instant,
    buffer: Vec<u8>,
    pub(super) channel: Channel,
    progress: Option<Box<dyn FnMut(u64)>>,
    look: Look,
}

enum State {
    Dialing(Dial),
    /// With the time at which TCP was there.
    Handshaking(Leg, Duration),
    Receiving(Leg),
    /// With how much has been sent.
    Sending(Leg, u64),
    Closing(Leg),
    Over,
}

impl Flow {
    /// Dials at once: a client that waits for 150 first would hang on servers that wait for the connection.
    pub(super) fn start(
        to: SocketAddr,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
        cargo: Cargo,
        progress: Option<Box<dyn FnMut(u64)>>,
    ) -> Self {
        let began = clock::now();
        let mut channel = Channel {
            private: tls.is_some(),
            ..Channel::default()
        };
        channel.content = match &cargo {
            Cargo::Take(Sink::Keep) => Content::Kept(Vec::new(), Crc::default()),
            Cargo::Take(Sink::Compare(_)) => Content::Compared { equal: true },
            _ => Content::Unseen,
        };
        let state = match Dial::start(to, None) {
            Ok(dial) => State::Dialing(dial),
            Err(error) => {
                channel.fault = Some(error.into());
                State::Over
            }
        };
        Self {
            state,
            tls,
            cargo,
            began,
            buffer: Vec::new(),
            channel,
            progress,
            look: Look::default(),
        }
    }

    /// Since the transfer command.
    pub(super) fn elapsed(&self) -> Duration {
        clock::now() - self.began
    }

    /// Whether the data connection is established and not yet over.
    pub(super) const fn is_up(&self) -> bool {
        !matches!(self.state, State::Dialing(_) | State::Over)
    }

    /// Whether the server's FIN has arrived by now, read or not; nothing where no connection is or was there.
    pub(super) fn has_fin(&self) -> Option<bool> {
        let leg = match &self.state {
            State::Dialing(_) => return None,
            State::Over => return self.channel.established.map(|_| self.channel.fin.is_some()),
            State::Handshaking(leg, _)
            | State::Receiving(leg)
            | State::Sending(leg, _)
            | State::Closing(leg) => leg,
        };
        Some(sockopt::peer_has_finished(leg.as_fd()).unwrap_or(true))
    }

    /// Ready when the data connection is over, one way or the other.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut steps = 0;
        loop {
            match self.poll_step(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(true)) if steps == STEPS_PER_TURN_MAX => {
                    self.look.ask(cx);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(true)) => steps += 1,
                Poll::Ready(Ok(false)) => break,
                Poll::Ready(Err(fault)) => {
                    self.channel.fault = Some(fault);
                    break;
                }
            }
        }
        self.state = State::Over;
        if let (Content::Compared { equal }, Cargo::Take(Sink::Compare(expected))) =
            (&mut self.channel.content, &self.cargo)
        {
            *equal &= self.channel.bytes == expected.len();
        }
        Poll::Ready(())
    }

    /// One step; says whether there are more.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Fault>> {
        let elapsed = self.elapsed();
        match &mut self.state {
            State::Dialing(dial) => {
                let stream = ready!(dial.poll(cx))?;
                self.channel.established = Some(elapsed);
                return Poll::Ready(self.dialed(Leg::new(stream)));
            }
            State::Handshaking(leg, since) => {
                ready!(leg.poll_handshake(cx))?;
                let took = clock::now().saturating_duration_since(self.began + *since);
                self.channel.handshake = leg.facts().map(|facts| Handshake::new(&facts, took));
                self.go_on();
            }
            State::Receiving(leg) => {
                let got = ready!(leg.poll_read(cx, &mut self.buffer, limits::RELAY_CHUNK_BYTES))?;
                return Poll::Ready(self.received(got, elapsed));
            }
            State::Sending(leg, _) => {
                ready!(leg.poll_flush(cx))?;
                return Poll::Ready(self.give(elapsed));
            }
            State::Closing(leg) => {
                let ended = ready!(leg.poll_close(cx))?;
                self.channel.fin.get_or_insert(elapsed);
                if ended == Ended::Clean && leg.is_private() {
                    self.channel.close_notify.get_or_insert(elapsed);
                }
                return Poll::Ready(Ok(false));
            }
            State::Over => return Poll::Ready(Ok(false)),
        }
        Poll::Ready(Ok(true))
    }

    fn dialed(&mut self, mut leg: Leg) -> Result<bool, Fault> {
        if matches!(self.cargo, Cargo::Give(_, Manner::Bare)) {
            leg.finish()?;
            self.state = State::Closing(leg);
            return Ok(true);
        }
        let since = self.elapsed();
        if let Some((config, name)) = self.tls.clone() {
            leg.secure_as_client(config, name)?;
        }
        self.state = State::Handshaking(leg, since);
        Ok(true)
    }

    /// From the handshake to the bytes.
    fn go_on(&mut self) {
        self.state = match (std::mem::replace(&mut self.state, State::Over), &self.cargo) {
            (State::Handshaking(leg, _), Cargo::Take(_)) => State::Receiving(leg),
            (State::Handshaking(leg, _), Cargo::Give(..)) => State::Sending(leg, 0),
            (other, _) => other,
        };
    }

    fn received(&mut self, got: Read, elapsed: Duration) -> Result<bool, Fault> {
        match got {
            Read::Bytes(_) => {
                self.channel.first_byte.get_or_insert(elapsed);
                self.taste();
                Ok(true)
            }
            Read::CloseNotify | Read::Fin => {
                if got == Read::CloseNotify {
                    self.channel.close_notify = Some(elapsed);
                } else {
                    self.channel.fin = Some(elapsed);
                }
                // Answered at once: some servers hold FIN and reply until they have it.
                if let State::Receiving(leg) = std::mem::replace(&mut self.state, State::Over) {
                    self.state = State::Closing(leg);
                }
                Ok(true)
            }
        }
    }

    /// Looks at what came, and forgets it.
    fn taste(&mut self) {
        let bytes = &self.buffer;
        match (&mut self.channel.content, &self.cargo) {
            (Content::Kept(kept, crc), _) => {
                crc.update(bytes);
                let room = limits::RIG_DOWNLOAD_BYTES_MAX.saturating_sub(kept.len());
                kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            (Content::Compared { equal }, Cargo::Take(Sink::Compare(expected))) => {
                *equal = *equal && expected.has(self.channel.bytes, bytes);
            }
            _ => {}
        }
        self.channel.bytes += bytes.len() as u64;
        self.buffer.clear();
        if let Some(progress) = &mut self.progress {
            progress(self.channel.bytes);
        }
    }

    /// The next piece of an upload, or its end in the manner asked for.
    fn give(&mut self, elapsed: Duration) -> Result<bool, Fault> {
        let (State::Sending(leg, sent), Cargo::Give(source, manner)) =
            (&mut self.state, &self.cargo)
        else {
            return Ok(false);
        };
        let piece = source.piece(*sent, limits::RELAY_CHUNK_BYTES);
        if !piece.is_empty() {
            self.channel.first_byte.get_or_insert(elapsed);
            leg.queue(piece)?;
            *sent += piece.len() as u64;
            self.channel.bytes = *sent;
            return Ok(true);
        }
        if *manner == Manner::Unfinished {
            // A close of what is finished adds no close_notify.
            leg.finish()?;
        }
        let (state, manner) = (std::mem::replace(&mut self.state, State::Over), *manner);
        match state {
            State::Sending(leg, _) if manner == Manner::Reset => leg.abort(),
            State::Sending(leg, _) => self.state = State::Closing(leg),
            _ => {}
        }
        Ok(true)
    }
}

/// Steps of one turn: beyond it the core goes to its neighbours.
const STEPS_PER_TURN_MAX: usize = limits::RELAY_TURN_BYTES / limits::RELAY_CHUNK_BYTES;
