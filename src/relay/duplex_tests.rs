use std::future::poll_fn;
use std::time::Duration;

use futures_lite::future::zip;

use super::tests::{ALL, Legs, clear_pair, finish, noise, private_pair, receive, send};
use super::{Duplex, Outcome};
use crate::dialog::{End, Phase, Side};
use crate::leg::{Fault, Leg, Read};
use crate::net::on_core;

const LONG: Duration = Duration::from_secs(60);

/// The client, what is between, and the backend.
async fn streams(legs: Legs, idle: Duration) -> (Leg, Duplex, Leg) {
    bounded(legs, idle, LONG).await
}

async fn bounded(legs: Legs, idle: Duration, stall: Duration) -> (Leg, Duplex, Leg) {
    let (client, outer) = match legs {
        Legs::Clear | Legs::ToClear => clear_pair().await,
        Legs::FromClear | Legs::Private => private_pair(false, false).await,
        Legs::InPlace => private_pair(false, true).await,
        _ => unreachable!("it is not among ALL"),
    };
    let (inner, backend) = match legs {
        Legs::Clear | Legs::FromClear => clear_pair().await,
        Legs::ToClear | Legs::Private => private_pair(false, false).await,
        Legs::InPlace => private_pair(true, false).await,
        _ => unreachable!("it is not among ALL"),
    };
    (client, Duplex::new(outer, inner, idle, stall), backend)
}

async fn flow(mut duplex: Duplex) -> (Outcome, Duplex) {
    let outcome = poll_fn(|cx| duplex.poll(cx)).await;
    (outcome, duplex)
}

/// What a clean end looks like on this leg.
fn clean(leg: &Leg) -> Result<Read, Fault> {
    Ok([Read::Fin, Read::CloseNotify][usize::from(leg.is_private())])
}

/// Sends and receives at once.
async fn exchange(leg: &mut Leg, bytes: &[u8]) -> (Vec<u8>, Result<Read, Fault>) {
    leg.queue(bytes).unwrap();
    let (mut got, mut has_sent) = (Vec::new(), false);
    let end = poll_fn(|cx| {
        if !has_sent && leg.poll_flush(cx).is_ready() {
            has_sent = true;
            leg.queue_close_notify().unwrap();
            assert!(leg.poll_flush(cx).is_ready());
            leg.finish().unwrap();
        }
        loop {
            match leg.poll_read(cx, &mut got, 1 << 17) {
                std::task::Poll::Ready(Ok(Read::Bytes(_))) => {}
                // Not before everything has left.
                std::task::Poll::Ready(end) if has_sent => return std::task::Poll::Ready(end),
                _ => return std::task::Poll::Pending,
            }
        }
    })
    .await;
    (got, end)
}

#[test]
fn both_directions_flow_at_once_and_end_clean() {
    on_core(|| async {
        for legs in ALL {
            for (up, down) in [(0, 0), (1, 70_000), (3 << 20, 0), (3 << 20, 2_000_003)] {
                let (mut client, duplex, mut backend) = streams(legs, LONG).await;
                let (there, back) = (noise(up), noise(down));
                let ends = zip(exchange(&mut client, &there), exchange(&mut backend, &back));
                let ((outcome, duplex), (of_client, of_backend)) = zip(flow(duplex), ends).await;
                assert!(of_client.0 == back && of_backend.0 == there, "{legs:?}");
                assert_eq!(of_client.1, clean(&client), "{legs:?}");
                assert_eq!(of_backend.1, clean(&backend), "{legs:?}");
                assert_eq!((outcome.end, outcome.is_closed), (End::Clean, true));
                let moved = duplex.flows().map(|flow| flow.bytes);
                assert_eq!(moved, [up as u64, down as u64]);
            }
        }
    });
}

#[test]
fn one_end_leaves_the_other_direction_open() {
    on_core(|| async {
        for legs in ALL {
            for is_client in [true, false] {
                let (mut client, duplex, mut backend) = streams(legs, LONG).await;
                let (first, last) = match is_client {
                    true => (&mut client, &mut backend),
                    false => (&mut backend, &mut client),
                };
                let peers = async {
                    send(first, b"question").await;
                    finish(first).await;
                    assert_eq!(receive(last).await, (b"question".to_vec(), clean(last)));
                    send(last, b"answer").await;
                    finish(last).await;
                    assert_eq!(receive(first).await, (b"answer".to_vec(), clean(first)));
                };
                let ((outcome, _duplex), ()) = zip(flow(duplex), peers).await;
                assert_eq!(outcome.end, End::Clean, "{legs:?}");
            }
        }
    });
}

#[test]
fn a_reset_is_a_reset_on_the_other_side() {
    on_core(|| async {
        for legs in ALL {
            for is_client in [true, false] {
                let (client, duplex, backend) = streams(legs, LONG).await;
                let (mut first, mut last, side) = match is_client {
                    true => (client, backend, Side::Client),
                    false => (backend, client, Side::Backend),
                };
                let peers = async {
                    send(&mut first, b"half").await;
                    let mut got = Vec::new();
                    while got.len() < 4 {
                        let read = poll_fn(|cx| last.poll_read(cx, &mut got, 100)).await;
                        assert!(matches!(read, Ok(Read::Bytes(_))), "{read:?}");
                    }
                    first.abort();
                };
                let ((outcome, duplex), ()) = zip(flow(duplex), peers).await;
                let expected = (side, End::Reset, false);
                assert_eq!((outcome.side, outcome.end, outcome.is_closed), expected);
                duplex.reset();
                assert_eq!(receive(&mut last).await.1, Err(Fault::Reset), "{legs:?}");
            }
        }
    });
}

#[test]
fn an_end_without_close_notify_is_never_made_a_clean_one() {
    on_core(|| async {
        for legs in [Legs::FromClear, Legs::Private, Legs::InPlace] {
            let (mut client, duplex, mut backend) = streams(legs, LONG).await;
            let peers = async {
                send(&mut client, b"cut").await;
                client.finish().unwrap();
                if backend.is_private() {
                    // Just as unfinished there; and the answer still comes.
                    let cut = receive(&mut backend).await;
                    assert_eq!(cut, (b"cut".to_vec(), Ok(Read::Fin)), "{legs:?}");
                    send(&mut backend, b"answer").await;
                    finish(&mut backend).await;
                    let answer = receive(&mut client).await;
                    assert_eq!(answer, (b"answer".to_vec(), Ok(Read::CloseNotify)));
                }
            };
            let ((outcome, duplex), ()) = zip(flow(duplex), peers).await;
            assert_eq!((outcome.side, outcome.end), (Side::Client, End::Unfinished));
            assert_eq!(outcome.is_closed, backend.is_private());
            if !outcome.is_closed {
                duplex.reset();
                assert_eq!(receive(&mut backend).await.1, Err(Fault::Reset));
            }
        }
    });
}

#[test]
fn a_stream_in_which_nothing_moves_is_ended() {
    on_core(|| async {
        for legs in ALL {
            let (_client, duplex, _backend) = streams(legs, Duration::from_millis(20)).await;
            let (outcome, _duplex) = flow(duplex).await;
            assert_eq!(outcome.end, End::TimedOut(Phase::Stall), "{legs:?}");
            assert!(!outcome.is_closed);
        }
    });
}

#[test]
fn who_has_taken_everything_may_be_silent_for_longer_than_who_takes_nothing() {
    on_core(|| async {
        const STALL: Duration = Duration::from_millis(100);
        for legs in ALL {
            let (mut client, duplex, mut backend) = bounded(legs, LONG, STALL).await;
            let peers = async {
                for word in [b"one", b"two"] {
                    send(&mut client, word).await;
                    let mut got = Vec::new();
                    while got.len() < word.len() {
                        let read = poll_fn(|cx| backend.poll_read(cx, &mut got, 100)).await;
                        assert!(matches!(read, Ok(Read::Bytes(_))), "{legs:?}: {read:?}");
                    }
                    glommio::timer::sleep(2 * STALL).await;
                }
                finish(&mut client).await;
                finish(&mut backend).await;
            };
            let gate = async {
                let (outcome, duplex) = flow(duplex).await;
                if !outcome.is_closed {
                    duplex.reset();
                }
                outcome
            };
            let (outcome, ()) = zip(gate, peers).await;
            assert_eq!(outcome.end, End::Clean, "{legs:?}");
        }
    });
}
