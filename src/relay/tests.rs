//! Streams of every way between peers of ours: whole, held back, broken, stopped, and never out of turn.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "some peers of these tests are ordinary blocking sockets"
)]

use std::cell::Cell;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use super::*;
use crate::leg::Ended;
use crate::net::{Dial, Listener, look, on_core};
use crate::sys::ktls;
use crate::tls::tests::{configs, name};

/// How the two legs of a relay are protected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Legs {
    Clear,
    FromClear,
    ToClear,
    Private,
    InPlace,
    /// Taken over by the kernel at once.
    Kernel,
    FromKernel,
    ToKernel,
}

pub(super) const ALL: [Legs; 5] = [
    Legs::Clear,
    Legs::FromClear,
    Legs::ToClear,
    Legs::Private,
    Legs::InPlace,
];

/// All ways that this kernel offers.
fn every() -> Vec<Legs> {
    let in_kernel = [Legs::Kernel, Legs::FromKernel, Legs::ToKernel];
    let in_kernel = in_kernel.into_iter().filter(|_| ktls::offered().is_ok());
    ALL.into_iter().chain(in_kernel).collect()
}

pub(super) const BUDGET: Budget = Budget {
    first_byte: Duration::from_secs(30),
    stall: Duration::from_secs(30),
};

/// More than all sockets between two peers hold.
const ROOM_BYTES_MAX: usize = 64 << 20;

pub(super) async fn clear_pair() -> (Leg, Leg) {
    let mut listener = Listener::listen_passive((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let mut dial = Dial::start(listener.local(), None).unwrap();
    let client = poll_fn(|cx| dial.poll(cx)).await.unwrap();
    let server = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    (Leg::new(server), Leg::new(client))
}

/// TLS 1.3 between two legs; the records of one of them may be our own.
pub(super) async fn private_pair(server_direct: bool, client_direct: bool) -> (Leg, Leg) {
    let (mut server, mut client) = clear_pair().await;
    let (mut for_server, mut for_client) = configs(&[&rustls::version::TLS13]);
    for_server.enable_secret_extraction = server_direct;
    for_client.enable_secret_extraction = client_direct;
    server.secure_as_server(Arc::new(for_server)).unwrap();
    client
        .secure_as_client(Arc::new(for_client), name())
        .unwrap();
    poll_fn(|cx| {
        let by_client = client.poll_handshake(cx);
        match (server.poll_handshake(cx), by_client) {
            (Poll::Ready(server), Poll::Ready(client)) => {
                server.unwrap();
                client.unwrap();
                Poll::Ready(())
            }
            _ => Poll::Pending,
        }
    })
    .await;
    (server, client)
}

/// A download: the peer who sends, the relay, the peer who receives.
async fn download(legs: Legs) -> (Leg, Relay, Leg) {
    let (sender, source) = match legs {
        Legs::Clear | Legs::FromClear | Legs::ToKernel => clear_pair().await,
        Legs::ToClear | Legs::Private => private_pair(false, false).await,
        Legs::InPlace | Legs::Kernel | Legs::FromKernel => private_pair(false, true).await,
    };
    let (sink, receiver) = match legs {
        Legs::Clear | Legs::ToClear | Legs::FromKernel => clear_pair().await,
        Legs::FromClear | Legs::Private => private_pair(false, false).await,
        Legs::InPlace | Legs::Kernel | Legs::ToKernel => private_pair(true, false).await,
    };
    let mut relay = Relay::new(sink, source, Direction::Download, BUDGET);
    if matches!(legs, Legs::Kernel | Legs::FromKernel | Legs::ToKernel) {
        relay = relay.through_kernel_after(0);
        taken_over(&mut relay).await;
        return (sender, relay, receiver);
    }
    let path = match legs {
        Legs::Clear => Path::Spliced,
        Legs::InPlace => Path::InPlace,
        _ => Path::Sealed,
    };
    assert_eq!(relay.path(), path);
    (sender, relay, receiver)
}

/// The kernel has taken over, and nothing has come yet.
pub(super) async fn taken_over(relay: &mut Relay) {
    poll_fn(|cx| {
        assert!(relay.poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    assert_eq!(relay.path(), Path::Kernel);
}

/// Bytes that differ from those of every other place nearby; the period is prime, so no buffer's size divides it.
pub(super) fn noise(len: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..65_537u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut noise = period.repeat(len / period.len() + 1);
    noise.truncate(len);
    noise
}

/// Everything that comes until its end.
pub(super) async fn receive(leg: &mut Leg) -> (Vec<u8>, Result<Read, Fault>) {
    let mut got = Vec::new();
    loop {
        match poll_fn(|cx| leg.poll_read(cx, &mut got, 1 << 18)).await {
            Ok(Read::Bytes(_)) => {}
            end => return (got, end),
        }
    }
}

pub(super) async fn send(leg: &mut Leg, bytes: &[u8]) {
    leg.queue(bytes).unwrap();
    poll_fn(|cx| leg.poll_flush(cx)).await.unwrap();
}

pub(super) async fn finish(leg: &mut Leg) {
    leg.queue_close_notify().unwrap();
    poll_fn(|cx| leg.poll_flush(cx)).await.unwrap();
    leg.finish().unwrap();
}

/// Polls the relay and the future beside it until both are ready.
pub(super) async fn together<T>(relay: &mut Relay, beside: impl Future<Output = T>) -> (Report, T) {
    futures_lite::future::zip(poll_fn(|cx| relay.poll(cx)), beside).await
}

#[test]
fn streams_of_any_length_arrive_whole_and_end_clean() {
    on_core(|| async {
        for legs in every() {
            for len in [0, 1, 4096, 70_000, 3 << 20] {
                let (mut sender, mut relay, mut receiver) = download(legs).await;
                let sent = noise(len);
                let sending = async {
                    send(&mut sender, &sent).await;
                    finish(&mut sender).await;
                };
                let receiving = async {
                    let mut got = vec![0; 0];
                    while got.len() < len {
                        let read = poll_fn(|cx| receiver.poll_read(cx, &mut got, 1 << 18)).await;
                        assert!(matches!(read, Ok(Read::Bytes(_))), "{read:?}");
                    }
                    got
                };
                let both = futures_lite::future::zip(sending, receiving);
                let (report, ((), got)) = together(&mut relay, both).await;
                assert!(got == sent, "{legs:?} {len}");
                assert_eq!(
                    (report.bytes, report.end),
                    (len as u64, End::Clean),
                    "{legs:?}"
                );
                assert_eq!(report.first_byte.is_some(), len > 0);
                // How the sink ends is not the relay's to say: nothing has ended yet.
                let (_source, mut sink) = relay.into_legs();
                finish(&mut sink).await;
                let (rest, end) = receive(&mut receiver).await;
                assert_eq!(rest, b"");
                let clean = [Read::Fin, Read::CloseNotify][usize::from(receiver.is_private())];
                assert_eq!(end, Ok(clean));
                let ended = poll_fn(|cx| receiver.poll_end(cx)).await;
                assert_eq!(ended, Ok(Ended::Clean));
            }
        }
    });
}

/// Sends as much of `bytes` as there is room for between the sender and a receiver who does not read.
async fn stuff(sender: &mut Leg, relay: &mut Relay, bytes: &[u8]) -> usize {
    let (mut sent, mut quiet) = (0, 0);
    // What has left may have made room that is found a moment later.
    while quiet < 3 {
        if sender.queued() == 0 {
            let piece = &bytes[sent..][..100_000];
            sender.queue(piece).unwrap();
            sent += piece.len();
        }
        let before = (sender.queued(), relay.moved, relay.waiting());
        poll_fn(|cx| {
            let _pending = sender.poll_flush(cx);
            assert!(relay.poll(cx).is_pending(), "nobody has ended");
            Poll::Ready(())
        })
        .await;
        let is_full = sender.queued() > 0 && relay.waiting() > 0;
        let is_quiet = is_full && before == (sender.queued(), relay.moved, relay.waiting());
        quiet = if is_quiet { quiet + 1 } else { 0 };
        look().await;
    }
    sent
}

#[test]
fn a_receiver_that_pauses_gets_every_byte_and_one_that_stops_loses_none() {
    on_core(|| async {
        let bytes = noise(ROOM_BYTES_MAX);
        for legs in every() {
            for is_stopped in [false, true] {
                let (mut sender, mut relay, mut receiver) = download(legs).await;
                let sent = stuff(&mut sender, &mut relay, &bytes).await;
                if is_stopped {
                    let report = relay.stopped(End::Aborted);
                    let (_source, mut sink) = relay.into_legs();
                    let (got, ()) = futures_lite::future::zip(receive(&mut receiver), async {
                        finish(&mut sink).await;
                    })
                    .await;
                    assert_eq!(got.0.len() as u64, report.bytes, "{legs:?}");
                    assert!(bytes.starts_with(&got.0), "{legs:?}");
                    continue;
                }
                let sending = async {
                    poll_fn(|cx| sender.poll_flush(cx)).await.unwrap();
                    finish(&mut sender).await;
                };
                let receiving = async {
                    let mut got = Vec::new();
                    while got.len() < sent {
                        let read = poll_fn(|cx| receiver.poll_read(cx, &mut got, 100_000)).await;
                        assert!(matches!(read, Ok(Read::Bytes(_))), "{read:?}");
                    }
                    got
                };
                let both = futures_lite::future::zip(sending, receiving);
                let (report, ((), got)) = together(&mut relay, both).await;
                assert!(got == bytes[..sent], "{legs:?}");
                assert_eq!((report.bytes, report.end), (sent as u64, End::Clean));
            }
        }
    });
}

#[test]
fn a_reset_is_no_end_on_either_side_whatever_the_relay_was_doing() {
    on_core(|| async {
        for legs in every() {
            for is_asleep in [false, true] {
                let (mut sender, mut relay, mut receiver) = download(legs).await;
                if is_asleep {
                    // Nothing there: it waits for readiness, and it is the wait that is told of the reset.
                    assert!(poll_fn(|cx| Poll::Ready(relay.poll(cx))).await.is_pending());
                }
                send(&mut sender, b"half of it").await;
                let mut got = Vec::new();
                let (mut is_reset, mut report) = (false, None);
                while report.is_none() {
                    let (ended, _) = poll_fn(|cx| {
                        Poll::Ready((relay.poll(cx), receiver.poll_read(cx, &mut got, 100)))
                    })
                    .await;
                    if let Poll::Ready(ended) = ended {
                        report = Some(ended);
                    } else if got == b"half of it" && !is_reset {
                        sender.reset();
                        is_reset = true;
                    }
                    look().await;
                }
                let report = report.unwrap();
                assert_eq!(
                    (report.side, report.end),
                    (Side::Backend, End::Reset),
                    "{legs:?}"
                );
                assert_eq!(report.bytes, 10);

                let (mut sender, mut relay, receiver) = download(legs).await;
                receiver.reset();
                let sending = async { send(&mut sender, &noise(4096)).await };
                let (report, ()) = together(&mut relay, sending).await;
                assert_eq!(
                    (report.side, report.end),
                    (Side::Client, End::Reset),
                    "{legs:?}"
                );
            }
        }
    });
}

#[test]
fn a_turn_is_bounded_in_bytes_however_much_there_is() {
    on_core(|| async {
        let mut long_sends = 0;
        for legs in every() {
            let (mut sender, mut relay, mut receiver) = download(legs).await;
            let sent = noise(8 << 20);
            sender.queue(&sent).unwrap();
            let (mut got, mut turns) = (Vec::new(), 0u64);
            while got.len() < sent.len() {
                let before = relay.moved;
                let is_long_send = relay.waiting() >= LONG_STEP_BYTES_MIN;
                poll_fn(|cx| {
                    let _pending = sender.poll_flush(cx);
                    assert!(relay.poll(cx).is_pending());
                    let _pending = receiver.poll_read(cx, &mut got, 1 << 20);
                    Poll::Ready(())
                })
                .await;
                let turn = relay.moved - before;
                assert!(turn <= 2 * RELAY_TURN_BYTES as u64, "{legs:?}: {turn}");
                // What takes as long as a read has a turn to itself.
                assert!(
                    !is_long_send || turn == 0,
                    "{legs:?}: {turn} read behind a long send"
                );
                long_sends += u32::from(is_long_send);
                turns += 1;
                look().await;
            }
            assert!(turns >= (sent.len() / (2 * RELAY_TURN_BYTES)) as u64);
        }
        assert!(long_sends > 0);
    });
}

#[test]
fn neighbours_have_their_turn_between_two_of_a_bulk_stream() {
    on_core(|| async {
        for legs in every() {
            let (mut sender, mut relay, mut receiver) = download(legs).await;
            let moved = Rc::new(Cell::new(0));
            let sent = noise(16 << 20);
            let peers = glommio::spawn_local({
                let len = sent.len();
                async move {
                    sender.queue(&sent).unwrap();
                    let mut got = Vec::new();
                    poll_fn(|cx| {
                        let _pending = sender.poll_flush(cx);
                        while got.len() < len {
                            let before = got.len();
                            let read = receiver.poll_read(cx, &mut got, 1 << 20);
                            if read.is_pending() {
                                return Poll::Pending;
                            }
                            assert!(got.len() > before);
                        }
                        Poll::Ready(())
                    })
                    .await;
                }
            });
            let bulk = glommio::spawn_local({
                let moved = Rc::clone(&moved);
                async move {
                    poll_fn(|cx| {
                        let polled = relay.poll(cx);
                        moved.set(relay.moved);
                        polled
                    })
                    .await
                }
            });
            let neighbour = glommio::spawn_local(async move {
                let (mut before, mut most) = (moved.get(), 0);
                while before < 16 << 20 {
                    look().await;
                    let now = moved.get();
                    most = most.max(now - before);
                    before = now;
                }
                most
            });
            // Between two turns of its neighbour the stream has had one.
            let most = neighbour.await;
            assert!(most <= 2 * RELAY_TURN_BYTES as u64, "{legs:?}: {most}");
            peers.await;
            // Its peers have gone without an end, which it may have heard by now.
            let _ended = bulk.cancel().await;
        }
    });
}

/// A plain relay whose sender is an ordinary socket.
async fn from_rough() -> (TcpStream, Relay, Leg) {
    let mut listener = Listener::listen_passive((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let sender = TcpStream::connect(listener.local()).unwrap();
    let source = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    let (sink, receiver) = clear_pair().await;
    let relay = Relay::new(sink, Leg::new(source), Direction::Download, BUDGET);
    (sender, relay, receiver)
}

#[test]
fn an_urgent_byte_stops_neither_the_stream_nor_the_core() {
    on_core(|| async {
        let (mut sender, mut relay, mut receiver) = from_rough().await;
        sender.write_all(b"before").unwrap();
        socket2::SockRef::from(&sender)
            .send_out_of_band(b"!")
            .unwrap();
        let mut got = Vec::new();
        let mut said = false;
        while got.len() < 12 {
            poll_fn(|cx| {
                assert!(relay.poll(cx).is_pending());
                let _pending = receiver.poll_read(cx, &mut got, 100);
                Poll::Ready(())
            })
            .await;
            if got == b"before" && !said {
                sender.write_all(b"behind").unwrap();
                said = true;
            }
            look().await;
        }
        assert_eq!(got, b"beforebehind");
        assert_eq!(relay.moved, 12);
    });
}

#[test]
fn without_a_pipe_the_bytes_are_copied() {
    on_core(|| async {
        let taken: Vec<_> = std::iter::from_fn(pipes::take).collect();
        let (mut sender, mut relay, mut receiver) = download(Legs::Clear).await;
        let sent = noise(1 << 20);
        let sending = async {
            send(&mut sender, &sent).await;
            finish(&mut sender).await;
        };
        let receiving = async {
            let mut got = Vec::new();
            while got.len() < sent.len() {
                poll_fn(|cx| receiver.poll_read(cx, &mut got, 1 << 18))
                    .await
                    .unwrap();
            }
            got
        };
        let (report, ((), got)) =
            together(&mut relay, futures_lite::future::zip(sending, receiving)).await;
        assert!(got == sent);
        assert_eq!((report.bytes, report.end), (1 << 20, End::Clean));
        drop(taken);
    });
}

#[test]
fn a_pipe_is_held_only_while_bytes_are_in_it() {
    on_core(|| async {
        let (mut sender, mut relay, mut receiver) = download(Legs::Clear).await;
        let is_holding = |relay: &Relay| match &relay.way {
            Way::Spliced(spliced) => spliced.held() > 0,
            _ => false,
        };
        let mut got = Vec::new();
        for round in 0..10 {
            send(&mut sender, &[round; 1000]).await;
            while got.len() < 1000 * (usize::from(round) + 1) {
                poll_fn(|cx| {
                    assert!(relay.poll(cx).is_pending());
                    let _pending = receiver.poll_read(cx, &mut got, 4096);
                    Poll::Ready(())
                })
                .await;
                look().await;
            }
            assert!(!is_holding(&relay));
            assert_eq!(pipes::lent(), 0);
        }
        let bytes = noise(ROOM_BYTES_MAX);
        // What has not gone may be so little that all of it waits for the socket, out of the pipe: then it is tried again.
        for _ in 0..20 {
            stuff(&mut sender, &mut relay, &bytes).await;
            assert_eq!(pipes::lent(), usize::from(is_holding(&relay)));
            if is_holding(&relay) {
                break;
            }
            got.clear();
            let read = poll_fn(|cx| receiver.poll_read(cx, &mut got, 1 << 18));
            assert!(matches!(read.await, Ok(Read::Bytes(_))));
        }
        assert!(is_holding(&relay));
        drop(relay);
        assert_eq!(pipes::lent(), 0);
    });
}
