//! One leg, plain or private: bytes both ways, and every kind of end.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "some peers of these tests are ordinary blocking sockets"
)]

use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use rustls::SupportedProtocolVersion;

use super::*;
use crate::net::{Alarm, Dial, Listener, on_core};
use crate::tls;
use crate::tls::tests::{VERSIONS, configs, name};

/// Two legs that are each other's peer, plain.
pub(super) async fn plain_pair() -> (Leg, Leg) {
    let mut listener = Listener::listen_passive((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let mut dial = Dial::start(listener.local(), None).unwrap();
    let client = poll_fn(|cx| dial.poll(cx)).await.unwrap();
    let server = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    (Leg::new(server), Leg::new(client))
}

/// A leg and a blocking peer.
pub(super) async fn rough_pair() -> (Leg, TcpStream) {
    let mut listener = Listener::listen_passive((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let peer = TcpStream::connect(listener.local()).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let ours = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    (Leg::new(ours), peer)
}

pub(super) async fn handshake(
    server: &mut Leg,
    client: &mut Leg,
) -> (Result<(), Fault>, Result<(), Fault>) {
    let (mut by_server, mut by_client) = (None, None);
    poll_fn(|cx| {
        if by_server.is_none()
            && let Poll::Ready(outcome) = server.poll_handshake(cx)
        {
            by_server = Some(outcome);
        }
        if by_client.is_none()
            && let Poll::Ready(outcome) = client.poll_handshake(cx)
        {
            by_client = Some(outcome);
        }
        match (by_server.take(), by_client.take()) {
            (Some(server), Some(client)) => Poll::Ready((server, client)),
            (server, client) => {
                (by_server, by_client) = (server, client);
                Poll::Pending
            }
        }
    })
    .await
}

pub(super) async fn private_pair(version: &'static SupportedProtocolVersion) -> (Leg, Leg) {
    let (mut server, mut client) = plain_pair().await;
    begin_tls(&mut server, &mut client, version).await;
    (server, client)
}

/// Both go on in TLS of this version.
pub(super) async fn begin_tls(
    server: &mut Leg,
    client: &mut Leg,
    version: &'static SupportedProtocolVersion,
) {
    let (for_server, for_client) = configs(&[version]);
    server.secure_as_server(Arc::new(for_server)).unwrap();
    client
        .secure_as_client(Arc::new(for_client), name())
        .unwrap();
    assert_eq!(handshake(server, client).await, (Ok(()), Ok(())));
}

pub(super) async fn read(leg: &mut Leg, into: &mut Vec<u8>) -> Result<Read, Fault> {
    poll_fn(|cx| leg.poll_read(cx, into, limits::RELAY_CHUNK_BYTES)).await
}

pub(super) async fn flush(leg: &mut Leg) -> Result<(), Fault> {
    poll_fn(|cx| leg.poll_flush(cx)).await
}

async fn end(leg: &mut Leg) -> Result<Ended, Fault> {
    poll_fn(|cx| leg.poll_end(cx)).await
}

pub(super) async fn pause() {
    let mut alarm = Alarm::new();
    alarm.set(Some(Instant::now() + Duration::from_millis(10)));
    poll_fn(|cx| alarm.poll(cx)).await;
}

#[test]
fn a_mebibyte_goes_through_any_leg_whole() {
    on_core(|| async {
        let mut pairs = vec![plain_pair().await];
        for version in VERSIONS {
            pairs.push(private_pair(version).await);
            // The other way round, the sender has tickets to read before it may close.
            let (server, client) = private_pair(version).await;
            pairs.push((client, server));
        }
        for (mut from, mut to) in pairs {
            let sent: Vec<u8> = (0..1 << 20).map(|at: u32| (at / 3) as u8).collect();
            let mut got = Vec::new();
            from.queue(&sent).unwrap();
            from.queue_close_notify().unwrap();
            let mut finished = false;
            let ended = poll_fn(|cx| {
                if !finished && from.poll_flush(cx).is_ready() {
                    from.finish().unwrap();
                    finished = true;
                }
                loop {
                    match to.poll_read(cx, &mut got, limits::RELAY_CHUNK_BYTES) {
                        Poll::Ready(Ok(Read::Bytes(_))) => {}
                        other => return other,
                    }
                }
            })
            .await;
            assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
            let expected = if to.is_private() {
                Read::CloseNotify
            } else {
                Read::Fin
            };
            assert_eq!(ended, Ok(expected));
            assert_eq!(read(&mut to, &mut got).await, Ok(expected));
            assert_eq!(end(&mut to).await, Ok(Ended::Clean));
            assert_eq!(poll_fn(|cx| to.poll_close(cx)).await, Ok(Ended::Clean));
            assert_eq!(end(&mut from).await, Ok(Ended::Clean));
        }
    });
}

#[test]
fn a_polite_close_of_both_sides_at_once_is_clean() {
    on_core(|| async {
        for version in VERSIONS {
            let (mut server, mut client) = private_pair(version).await;
            let (mut by_server, mut by_client) = (None, None);
            poll_fn(|cx| {
                if by_server.is_none()
                    && let Poll::Ready(ended) = server.poll_close(cx)
                {
                    by_server = Some(ended);
                }
                if by_client.is_none()
                    && let Poll::Ready(ended) = client.poll_close(cx)
                {
                    by_client = Some(ended);
                }
                if by_server.is_some() && by_client.is_some() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
            assert_eq!(
                (by_server, by_client),
                (Some(Ok(Ended::Clean)), Some(Ok(Ended::Clean)))
            );
        }
    });
}

#[test]
fn the_tickets_of_a_control_connection_serve_its_data_connections() {
    on_core(|| async {
        for version in VERSIONS {
            let (for_server, for_client) = configs(&[version]);
            let ours = tls::ServerResume::new(&for_server);
            let theirs = tls::ClientResume::new(&for_client);
            let (mut server, mut client) = plain_pair().await;
            server.secure_as_server(ours.control()).unwrap();
            client.secure_as_client(theirs.control(), name()).unwrap();
            assert_eq!(handshake(&mut server, &mut client).await, (Ok(()), Ok(())));
            // The tickets stand before the first reply, and are read with it.
            server.queue(b"230 in\r\n").unwrap();
            flush(&mut server).await.unwrap();
            assert_eq!(read(&mut client, &mut Vec::new()).await, Ok(Read::Bytes(8)));
            for upload in [true, false].repeat(20) {
                let (mut data_server, mut data_client) = plain_pair().await;
                data_server
                    .secure_as_server(if upload {
                        ours.upload()
                    } else {
                        ours.download()
                    })
                    .unwrap();
                data_client.secure_as_client(theirs.data(), name()).unwrap();
                let both = handshake(&mut data_server, &mut data_client).await;
                assert_eq!(both, (Ok(()), Ok(())));
                assert!(data_client.facts().unwrap().resumed);
                let (mut from, mut to) = if upload {
                    (data_client, data_server)
                } else {
                    (data_server, data_client)
                };
                from.queue(b"a file").unwrap();
                from.queue_close_notify().unwrap();
                flush(&mut from).await.unwrap();
                from.finish().unwrap();
                assert_eq!(read(&mut to, &mut Vec::new()).await, Ok(Read::Bytes(6)));
                assert_eq!(poll_fn(|cx| to.poll_close(cx)).await, Ok(Ended::Clean));
                // Nothing lies unread at either end, so no reset answers the close.
                assert_eq!(end(&mut from).await, Ok(Ended::Clean));
            }
        }
    });
}

#[test]
fn the_last_flight_of_a_client_can_wait_for_its_first_words() {
    on_core(|| async {
        let (mut server, mut client) = plain_pair().await;
        let (for_server, for_client) = configs(&[&rustls::version::TLS13]);
        server.secure_as_server(Arc::new(for_server)).unwrap();
        client
            .secure_as_client(Arc::new(for_client), name())
            .unwrap();
        let shaken = poll_fn(|cx| {
            assert!(server.poll_handshake(cx).is_pending(), "without Finished");
            client.poll_shaken(cx)
        });
        assert_eq!(shaken.await, Ok(()));
        assert!(client.queued() > 0);
        client.queue(b"USER alice\r\n").unwrap();
        flush(&mut client).await.unwrap();
        poll_fn(|cx| server.poll_handshake(cx)).await.unwrap();
        let mut got = Vec::new();
        read(&mut server, &mut got).await.unwrap();
        assert_eq!(got, b"USER alice\r\n");
    });
}

#[test]
fn facts_are_told_on_both_sides() {
    on_core(|| async {
        for version in VERSIONS {
            let (server, client) = private_pair(version).await;
            let shown = client.facts().unwrap().peer;
            assert!(shown.is_some(), "the server's certificate");
            let theirs = server.facts().map(|facts| TlsFacts {
                peer: shown,
                ..facts
            });
            assert_eq!(theirs, client.facts());
            assert!(server.facts().is_some() && server.is_private() && server.received_any());
            assert_eq!(server.peer(), client.local());
        }
        let (server, _client) = plain_pair().await;
        assert!(server.facts().is_none() && !server.is_private());
    });
}

#[test]
fn the_ends_of_a_private_leg_are_told_apart() {
    on_core(|| async {
        for version in VERSIONS {
            // FIN without close_notify: unfinished.
            let (mut server, mut client) = private_pair(version).await;
            client.queue(b"part").unwrap();
            flush(&mut client).await.unwrap();
            client.finish().unwrap();
            let mut got = Vec::new();
            assert_eq!(read(&mut server, &mut got).await, Ok(Read::Bytes(4)));
            assert_eq!(read(&mut server, &mut got).await, Ok(Read::Fin));
            assert_eq!(read(&mut server, &mut got).await, Ok(Read::Fin));
            assert_eq!(end(&mut server).await, Ok(Ended::Unfinished));

            // A reset: a fault, again and again, whatever came before it.
            let (mut server, mut client) = private_pair(version).await;
            client.queue(b"part").unwrap();
            flush(&mut client).await.unwrap();
            client.abort();
            pause().await;
            assert_eq!(read(&mut server, &mut got).await, Ok(Read::Bytes(4)));
            for _ in 0..3 {
                assert_eq!(read(&mut server, &mut got).await, Err(Fault::Reset));
            }
            assert_eq!(end(&mut server).await, Err(Fault::Reset));

            // close_notify, then a reset: the end was authentic, the drain says how the connection went.
            let (mut server, mut client) = private_pair(version).await;
            client.queue_close_notify().unwrap();
            flush(&mut client).await.unwrap();
            client.abort();
            pause().await;
            assert_eq!(read(&mut server, &mut got).await, Ok(Read::CloseNotify));
            assert_eq!(end(&mut server).await, Err(Fault::Reset));
        }
    });
}

#[test]
fn a_bare_close_is_told_from_a_broken_handshake() {
    on_core(|| async {
        let (config, _) = configs(&VERSIONS);
        let config = Arc::new(config);

        let (mut server, client) = plain_pair().await;
        server.secure_as_server(Arc::clone(&config)).unwrap();
        let mut client = client;
        client.finish().unwrap();
        let outcome = poll_fn(|cx| server.poll_handshake(cx)).await;
        assert_eq!(
            (outcome, server.received_any()),
            (Err(Fault::Closed), false)
        );

        let (mut server, client) = plain_pair().await;
        server.secure_as_server(Arc::clone(&config)).unwrap();
        client.abort();
        let outcome = poll_fn(|cx| server.poll_handshake(cx)).await;
        assert_eq!((outcome, server.received_any()), (Err(Fault::Reset), false));

        let (mut server, mut client) = rough_pair().await;
        server.secure_as_server(Arc::clone(&config)).unwrap();
        client.write_all(&[22, 3, 1]).unwrap();
        drop(client);
        let outcome = poll_fn(|cx| server.poll_handshake(cx)).await;
        assert_eq!((outcome, server.received_any()), (Err(Fault::Closed), true));

        // Not TLS: the fault is named, and the peer is told by an alert before it is reset.
        let (mut server, mut client) = rough_pair().await;
        server.secure_as_server(config).unwrap();
        client.write_all(b"USER anonymous\r\n").unwrap();
        let outcome = poll_fn(|cx| server.poll_handshake(cx)).await;
        assert_eq!(outcome, Err(Fault::Tls(tls::Fault::NotTls)));
        let mut alert = [0; 7];
        client.read_exact(&mut alert).unwrap();
        assert_eq!(alert[0], 21);
    });
}

#[test]
fn what_a_refused_peer_still_says_is_read_to_its_end() {
    on_core(|| async {
        let (mut server, mut client) = rough_pair().await;
        let config = Arc::new(configs(&VERSIONS).0);
        server.secure_as_server(config).unwrap();
        client.write_all(b"USER anonymous\r\n").unwrap();
        let refused = poll_fn(|cx| server.poll_handshake(cx)).await;
        assert_eq!(refused, Err(Fault::Tls(tls::Fault::NotTls)));
        // A close now would answer what is still to come by a reset, and that could overtake the alert.
        let closed = poll_fn(|cx| Poll::Ready(server.poll_close(cx).is_ready())).await;
        assert!(!closed, "the peer has not ended");
        client.write_all(b"PASS guest\r\n").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let closed = poll_fn(|cx| server.poll_close(cx)).await;
        assert_eq!(closed, Err(Fault::Tls(tls::Fault::NotTls)));
        drop(server);
        let mut alert = Vec::new();
        client.read_to_end(&mut alert).unwrap();
        assert_eq!(alert[0], 21);
    });
}

#[test]
fn a_refused_certificate_is_told_to_both() {
    on_core(|| async {
        let (mut server, mut client) = plain_pair().await;
        server
            .secure_as_server(Arc::new(configs(&VERSIONS).0))
            .unwrap();
        client
            .secure_as_client(Arc::new(configs(&VERSIONS).1), name())
            .unwrap();
        let (by_server, by_client) = handshake(&mut server, &mut client).await;
        assert!(
            matches!(by_client, Err(Fault::Tls(tls::Fault::Certificate(_)))),
            "{by_client:?}"
        );
        assert!(
            matches!(by_server, Err(Fault::Tls(tls::Fault::Alert(_)))),
            "{by_server:?}"
        );
    });
}

#[test]
fn a_peer_that_does_not_read_keeps_the_queue_and_nothing_is_lost() {
    on_core(|| async {
        for version in VERSIONS {
            let (mut server, mut client) = private_pair(version).await;
            let sent = vec![9; 16 << 20];
            client.queue(&sent).unwrap();
            poll_fn(|cx| {
                assert!(client.poll_flush(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            assert!(client.queued() > 0);
            let mut got = Vec::new();
            poll_fn(|cx| {
                let flushed = client.poll_flush(cx).is_ready();
                while let Poll::Ready(read) =
                    server.poll_read(cx, &mut got, limits::RELAY_CHUNK_BYTES)
                {
                    assert!(matches!(read.unwrap(), Read::Bytes(1..)));
                }
                if flushed && got.len() == sent.len() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
            assert_eq!(client.queued(), 0);
        }
    });
}

#[test]
fn draining_is_bounded_over_all_its_polls() {
    on_core(|| async {
        let (mut ours, mut peer) = rough_pair().await;
        let flood = std::thread::spawn(move || while peer.write_all(&[0; 64 * 1024]).is_ok() {});
        assert_eq!(end(&mut ours).await, Err(Fault::Overlong));
        drop(ours);
        flood.join().unwrap();
    });
}
