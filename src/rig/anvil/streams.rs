//! What a relay that knows no protocol is measured with: echo, source and sink over TCP or TLS.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;

use super::{PATIENCE, Port, Service, Shared};
use crate::leg::Fault;
use crate::limits;
use crate::net::Stream;
use crate::rig::goods::Goods;
use crate::rig::wait::within;
use crate::rig::wire::{Taken, Wire};

/// This TLS with nothing in it that a later connection could resume: a proxy that keeps tickets is measured by the same
/// handshakes as one that does not.
pub(super) fn without_resumption(tls: &Arc<ServerConfig>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::clone(tls);
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Arc::new(config)
}

/// Serves one connection to its end. A peer that fails has nobody left to tell.
pub(super) async fn serve(stream: Stream, port: Port, shared: &Shared) {
    let tls = shared.stream_tls.clone().filter(|_| port.private);
    let mut shaking = pin!(Wire::accept(stream, tls));
    let Some(Ok(mut wire)) = within(PATIENCE, |cx| shaking.as_mut().poll(cx)).await else {
        return;
    };
    let served = match port.service {
        Service::Source => source(&mut wire, shared).await,
        _ => sink(&mut wire, port.service == Service::Echo, shared).await,
    };
    if served.is_ok() && wire.part().await.is_ok() {
        wire.linger(limits::LINGER_TIMEOUT);
    }
}

/// Takes what comes, and gives it back if it is to be an echo.
async fn sink(wire: &mut Wire, echo: bool, shared: &Shared) -> Result<(), Fault> {
    let mut buffer = Vec::new();
    loop {
        let taken =
            poll_fn(|cx| wire.poll_take(cx, &mut buffer, limits::RELAY_CHUNK_BYTES)).await?;
        let Taken::Bytes(len) = taken else {
            return Ok(());
        };
        shared.count(|totals| totals.bytes += len as u64);
        if echo {
            wire.send_all(&buffer).await?;
        }
        buffer.clear();
        glommio::yield_if_needed().await;
    }
}

/// Sends until the peer ends its direction or the connection.
async fn source(wire: &mut Wire, shared: &Shared) -> Result<(), Fault> {
    let goods = Goods::file(ENDLESS).ok_or(Fault::Closed)?;
    let (mut at, mut scrap) = (0, Vec::new());
    loop {
        let piece = goods.piece(at, limits::RELAY_CHUNK_BYTES);
        let turn = poll_fn(|cx| {
            // Whoever has heard enough says so by its own end.
            match wire.poll_take(cx, &mut scrap, limits::TLS_RECORD_BYTES_MAX) {
                Poll::Ready(Ok(Taken::Bytes(_))) => scrap.clear(),
                Poll::Ready(Ok(_)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                Poll::Pending => {}
            }
            wire.poll_send(cx, piece).map_ok(Some)
        });
        let Some(sent) = turn.await? else {
            return Ok(());
        };
        at += sent as u64;
        shared.count(|totals| totals.bytes += sent as u64);
        glommio::yield_if_needed().await;
    }
}

/// The file that a source sends: more than anybody takes.
pub(in crate::rig) const ENDLESS: &str = "1000000GiB";
