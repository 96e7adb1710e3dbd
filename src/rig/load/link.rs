//! What a worker keeps from one unit to the next: a session, a stream, or nothing.

use std::fmt::{self, Display};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;

use super::Scenario;
use super::core::Core;
use super::guest::Guest;
use super::tally::Phase;
use crate::ftp::ReplyLine;
use crate::limits;
use crate::net::{Dial, Stream};
use crate::rig::anvil::ENDLESS;
use crate::rig::goods::Goods;
use crate::rig::wire::{Taken, Wire};
use crate::sys::clock;

/// Why a unit failed: in which step, and what happened. Few words, as they are what failures are counted by.
#[derive(Debug)]
pub(super) struct Mishap(String);

impl Mishap {
    pub(super) fn new(step: &str, why: impl Display) -> Self {
        Self(format!("{step}: {why}"))
    }

    pub(super) fn refused(step: &str, reply: &ReplyLine) -> Self {
        Self::new(step, format!("refused with {}", reply.code))
    }
}

impl Display for Mishap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// An open connection of a worker.
#[allow(clippy::large_enum_variant, reason = "one for each worker, made once")]
pub(super) enum Link {
    /// An FTP session.
    Session(Guest),
    /// A plain stream, and how many bytes of it were moved.
    Stream(Wire, u64),
    /// Every unit makes its own.
    Nothing,
}

impl Link {
    /// Opens what the scenario keeps open.
    pub(super) async fn open(core: &Core) -> Result<Self, Mishap> {
        match core.plan.scenario {
            Scenario::Login | Scenario::StreamConnect => Ok(Self::Nothing),
            scenario if scenario.is_stream() => Ok(Self::Stream(connect(core).await?, 0)),
            _ => Guest::enter(core).await.map(Self::Session),
        }
    }

    /// Does one unit.
    pub(super) async fn unit(&mut self, core: &Core) -> Result<(), Mishap> {
        match self {
            Self::Session(guest) => guest.unit(core).await,
            Self::Stream(wire, at) => match core.plan.scenario {
                Scenario::StreamGet => get(core, wire, at).await,
                Scenario::StreamPut => put(core, wire).await,
                _ => echo(core, wire).await,
            },
            Self::Nothing if core.plan.scenario == Scenario::Login => {
                Guest::enter(core).await?.leave().await
            }
            Self::Nothing => {
                let mut wire = connect(core).await?;
                echo(core, &mut wire).await?;
                close(core, wire).await
            }
        }
    }

    /// Waits for what should not happen.
    pub(super) async fn idle(&mut self) -> Mishap {
        match self {
            Self::Session(guest) => guest.idle().await,
            _ => std::future::pending().await,
        }
    }

    /// Ends it politely.
    pub(super) async fn leave(self) -> Result<(), Mishap> {
        match self {
            Self::Session(guest) => guest.leave().await,
            Self::Stream(mut wire, _) => {
                wire.part().await.map_err(told)?;
                // A source goes on sending until it has seen our end: that is not worth waiting for.
                wire.linger(limits::LINGER_TIMEOUT);
                Ok(())
            }
            Self::Nothing => Ok(()),
        }
    }
}

/// A connection, or why there is none.
pub(super) async fn dial(to: SocketAddr) -> Result<Stream, Mishap> {
    let told = |error: std::io::Error| Mishap::new("connect", error.kind());
    let mut dial = Dial::start(to, None).map_err(told)?;
    poll_fn(|cx| dial.poll(cx)).await.map_err(told)
}

async fn connect(core: &Core) -> Result<Wire, Mishap> {
    let begun = clock::now();
    let stream = dial(core.plan.target).await?;
    let begun = core.observe(Phase::Connect, begun);
    let wire = Wire::connect(stream, core.plan.tls.clone()).await;
    let wire = wire.map_err(|fault| Mishap::new("handshake", fault))?;
    if wire.resumed().is_some() {
        core.observe(Phase::Secure, begun);
    }
    Ok(wire)
}

/// Sends so many bytes and takes them back, both at once: neither end ever waits for the other to be read.
async fn echo(core: &Core, wire: &mut Wire) -> Result<(), Mishap> {
    let goods = core.plan.goods;
    let (mut sent, mut taken, mut buffer) = (0, 0, Vec::new());
    while taken < goods.len() {
        let turn = poll_fn(|cx| {
            if sent < goods.len()
                && let Poll::Ready(more) =
                    wire.poll_send(cx, goods.piece(sent, limits::RELAY_CHUNK_BYTES))
            {
                return Poll::Ready(more.map(Turn::Sent));
            }
            if let Poll::Ready(Err(fault)) = wire.poll_sent(cx) {
                return Poll::Ready(Err(fault));
            }
            wire.poll_take(cx, &mut buffer, limits::RELAY_CHUNK_BYTES)
                .map_ok(Turn::Taken)
        });
        match turn.await.map_err(told)? {
            Turn::Sent(len) => {
                sent += len as u64;
                core.moved(len as u64);
            }
            Turn::Taken(Taken::Bytes(len)) => {
                if !goods.seems(taken, &buffer) {
                    return Err(Mishap::new("stream", "other bytes than there should be"));
                }
                taken += len as u64;
                core.moved(len as u64);
                buffer.clear();
            }
            Turn::Taken(_) => return Err(Mishap::new("stream", "it ended early")),
        }
        glommio::yield_if_needed().await;
    }
    Ok(())
}

enum Turn {
    Sent(usize),
    Taken(Taken),
}

/// Takes at least as many bytes as a unit has, from a source.
async fn get(core: &Core, wire: &mut Wire, at: &mut u64) -> Result<(), Mishap> {
    let endless = Goods::file(ENDLESS).ok_or_else(|| Mishap::new("stream", "no source"))?;
    let (mut taken, mut buffer) = (0, Vec::new());
    while taken < core.plan.goods.len() {
        let read = poll_fn(|cx| wire.poll_take(cx, &mut buffer, limits::RELAY_CHUNK_BYTES));
        let Taken::Bytes(len) = read.await.map_err(told)? else {
            return Err(Mishap::new("stream", "it ended early"));
        };
        if !endless.seems(*at, &buffer) {
            return Err(Mishap::new("stream", "other bytes than there should be"));
        }
        *at += len as u64;
        taken += len as u64;
        core.moved(len as u64);
        buffer.clear();
        glommio::yield_if_needed().await;
    }
    Ok(())
}

/// Sends as many bytes as a unit has, to a sink.
async fn put(core: &Core, wire: &mut Wire) -> Result<(), Mishap> {
    let sent = wire
        .send_goods(core.plan.goods, |bytes| core.moved(bytes))
        .await;
    sent.map_err(told)
}

/// Ends our direction and reads the other one to its end. One without close_notify is counted: nothing can be cut off
/// behind a byte that is there, and nginx ends its streams so.
async fn close(core: &Core, mut wire: Wire) -> Result<(), Mishap> {
    wire.part().await.map_err(told)?;
    match wire.take_all(|_, _| {}).await.map_err(told)? {
        (0, is_clean) => {
            core.count(|tally| tally.unfinished += u64::from(!is_clean));
            Ok(())
        }
        _ => Err(Mishap::new("stream", "more bytes than there should be")),
    }
}

fn told(fault: crate::leg::Fault) -> Mishap {
    Mishap::new("stream", fault)
}
