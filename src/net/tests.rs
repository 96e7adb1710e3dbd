#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the peers of these tests are ordinary blocking sockets, and some tests block the core on purpose"
)]

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::sys::clock;
use crate::sys::pipe::Pipe;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn here(port: u16) -> SocketAddr {
    (HERE, port).into()
}

fn listener() -> Listener {
    Listener::listen_passive(here(0)).unwrap()
}

async fn accepted(listener: &mut Listener) -> Stream {
    poll_fn(|cx| listener.poll_accept(cx)).await.unwrap()
}

/// Our stream and a blocking peer.
async fn pair() -> (Stream, TcpStream) {
    let mut listener = listener();
    let peer = TcpStream::connect(listener.local()).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    (accepted(&mut listener).await, peer)
}

async fn read(stream: &mut Stream, buffer: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| stream.poll_read(cx, buffer)).await
}

async fn write_all(stream: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let wrote = poll_fn(|cx| stream.poll_write(cx, bytes)).await?;
        bytes = &bytes[wrote..];
    }
    Ok(())
}

async fn sleep(duration: Duration) {
    let mut alarm = Alarm::new();
    alarm.set(Some(Instant::now() + duration));
    poll_fn(|cx| alarm.poll(cx)).await;
}

#[test]
fn bytes_go_both_ways_and_ends_are_seen() {
    on_core(|| async {
        let (mut ours, mut peer) = pair().await;
        assert_eq!(ours.peer(), peer.local_addr().unwrap());
        assert_eq!(ours.local(), peer.peer_addr().unwrap());
        peer.write_all(b"hello").unwrap();
        let mut buffer = [0; 16];
        assert_eq!(read(&mut ours, &mut buffer).await.unwrap(), 5);
        write_all(&mut ours, b"world").await.unwrap();
        assert_eq!(peer.read(&mut buffer).unwrap(), 5);
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read(&mut ours, &mut buffer).await.unwrap(), 0);
        assert_eq!(read(&mut ours, &mut buffer).await.unwrap(), 0);
        let mut appended = b"x".to_vec();
        assert_eq!(
            poll_fn(|cx| ours.poll_receive(cx, &mut appended, 10))
                .await
                .unwrap(),
            0
        );
        assert_eq!(appended, b"x");
    });
}

#[test]
fn receiving_waits_without_memory_and_appends() {
    on_core(|| async {
        let (mut ours, mut peer) = pair().await;
        let mut got = Vec::new();
        poll_fn(|cx| {
            assert!(ours.poll_receive(cx, &mut got, 4096).is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(ours.is_waiting());
        let mut got = Vec::new();
        poll_fn(|cx| {
            assert!(ours.poll_receive(cx, &mut got, 4096).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(got.capacity(), 0);
        peer.write_all(b"abc").unwrap();
        assert_eq!(
            poll_fn(|cx| ours.poll_receive(cx, &mut got, 2))
                .await
                .unwrap(),
            2
        );
        assert_eq!(
            poll_fn(|cx| ours.poll_receive(cx, &mut got, 2))
                .await
                .unwrap(),
            1
        );
        assert_eq!(got, b"abc");
    });
}

#[test]
fn what_a_stream_needs_is_inherited_from_its_listener() {
    on_core(|| async {
        let (ours, _peer) = pair().await;
        let socket = socket2::SockRef::from(&ours);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.linger().unwrap(), Some(Duration::ZERO));
    });
}

#[test]
fn a_short_read_is_the_last_one_until_there_is_news() {
    on_core(|| async {
        let (mut ours, mut peer) = pair().await;
        let mut buffer = [0; 16];
        for _ in 0..3 {
            let mut none = Vec::new();
            // The first time nobody knows yet that there is nothing.
            let waits = poll_fn(|cx| Poll::Ready(ours.poll_receive(cx, &mut none, 16)));
            assert!(waits.await.is_pending());
            peer.write_all(b"hello").unwrap();
            assert_eq!(read(&mut ours, &mut buffer).await.unwrap(), 5);
            assert!(ours.is_waiting(), "that was all");
        }
    });
}

#[test]
fn an_end_right_behind_the_last_bytes_is_seen() {
    on_core(|| async {
        for awaited in [false, true] {
            let (mut ours, mut peer) = pair().await;
            let mut got = Vec::new();
            if awaited {
                poll_fn(|cx| Poll::Ready(ours.poll_receive(cx, &mut got, 16).is_pending())).await;
            }
            peer.write_all(b"bye").unwrap();
            drop(peer);
            let mut buffer = [0; 16];
            assert_eq!(read(&mut ours, &mut buffer).await.unwrap(), 3);
            assert_eq!(read(&mut ours, &mut buffer).await.unwrap(), 0);
        }
    });
}

#[test]
fn a_read_that_stops_at_an_urgent_mark_is_not_the_last() {
    on_core(|| async {
        let mut listener = Listener::listen_shared(here(0), None).unwrap();
        let peer = TcpStream::connect(listener.local()).unwrap();
        let mut ours = accepted(&mut listener).await;
        let urgent = socket2::SockRef::from(&peer);
        for _ in 0..3 {
            let mut got = Vec::new();
            poll_fn(|cx| Poll::Ready(ours.poll_receive(cx, &mut got, 16).is_pending())).await;
            urgent.send_out_of_band(b"abc").unwrap();
            (&peer).write_all(b"defg").unwrap();
            while got.len() < 7 {
                let read = poll_fn(|cx| ours.poll_receive(cx, &mut got, 16)).await;
                assert_ne!(read.unwrap(), 0);
            }
            assert_eq!(got, b"abcdefg");
        }
    });
}

#[test]
fn bytes_behind_an_urgent_mark_are_drawn_or_received() {
    on_core(|| async {
        let mut listener = Listener::listen_shared(here(0), None).unwrap();
        let peer = TcpStream::connect(listener.local()).unwrap();
        let mut ours = accepted(&mut listener).await;
        let urgent = socket2::SockRef::from(&peer);
        for _ in 0..3 {
            let mut got = Vec::new();
            poll_fn(|cx| Poll::Ready(ours.poll_readable(cx).is_pending())).await;
            urgent.send_out_of_band(b"abc").unwrap();
            (&peer).write_all(b"defg").unwrap();
            while got.len() < 7 {
                let mut pipe = Pipe::open(&[1 << 20]).unwrap();
                let drawn = poll_fn(|cx| ours.poll_draw(cx, &mut pipe)).await;
                match drawn.unwrap() {
                    Some(drawn) => {
                        let mut bytes = vec![0; drawn];
                        assert_eq!(pipe.read(&mut bytes).unwrap(), drawn);
                        got.append(&mut bytes);
                    }
                    None => {
                        let received = poll_fn(|cx| ours.poll_receive(cx, &mut got, 16)).await;
                        assert_ne!(received.unwrap(), 0);
                    }
                }
            }
            assert_eq!(got, b"abcdefg");
        }
    });
}

#[test]
fn writers_wait_for_room_as_often_as_there_is_none() {
    on_core(|| async {
        let (mut ours, peer) = pair().await;
        let reader = std::thread::spawn(move || {
            let mut total = 0;
            let mut buffer = vec![0; 100_000];
            while let Ok(got @ 1..) = (&peer).read(&mut buffer) {
                total += got;
            }
            total
        });
        let bytes = vec![7; 32 << 20];
        write_all(&mut ours, &bytes).await.unwrap();
        ours.finish().unwrap();
        assert_eq!(reader.join().unwrap(), bytes.len());
    });
}

#[test]
fn what_is_held_leaves_with_the_end_or_when_it_is_released() {
    on_core(|| async {
        for ends in [true, false] {
            let (mut ours, mut peer) = pair().await;
            write_all(&mut ours, b"first ").await.unwrap();
            ours.hold();
            write_all(&mut ours, b"and last").await.unwrap();
            if ends {
                ours.finish().unwrap();
            } else {
                ours.release();
            }
            // It does not wait for the kernel's own patience with what it keeps back.
            assert_eq!(ours.unsent().unwrap(), 0);
            let mut got = [0; 14];
            peer.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"first and last");
            if ends {
                assert_eq!(peer.read(&mut got).unwrap(), 0);
            }
        }
    });
}

#[test]
fn fin_leaves_at_once_although_the_core_is_busy() {
    on_core(|| async {
        let (mut ours, mut peer) = pair().await;
        // A poll is armed in the ring and holds the file.
        poll_fn(|cx| {
            assert!(ours.poll_read(cx, &mut [0; 1]).is_pending());
            Poll::Ready(())
        })
        .await;
        sleep(Duration::from_millis(5)).await;
        ours.finish().unwrap();
        drop(ours);
        // This read blocks the core: nothing but the shutdown itself can have sent the FIN.
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn abort_and_a_plain_drop_are_resets_at_once() {
    on_core(|| async {
        for dropped in [false, true] {
            let (mut ours, mut peer) = pair().await;
            poll_fn(|cx| {
                assert!(ours.poll_read(cx, &mut [0; 1]).is_pending());
                Poll::Ready(())
            })
            .await;
            sleep(Duration::from_millis(5)).await;
            if dropped {
                drop(ours)
            } else {
                ours.abort()
            }
            let error = peer.read(&mut [0; 8]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
    });
}

/// What is told of a stream within this time while nobody reads it.
async fn is_broken(stream: &mut Stream, within: Duration) -> bool {
    let mut alarm = Alarm::new();
    alarm.set(Some(Instant::now() + within));
    poll_fn(|cx| match stream.poll_broken(cx).is_ready() {
        true => Poll::Ready(true),
        false => alarm.poll(cx).map(|()| false),
    })
    .await
}

#[test]
fn whoever_waits_for_a_break_takes_nothing_from_who_reads_later() {
    on_core(|| async {
        for resets in [false, true] {
            for bytes in [0, 4] {
                let (mut ours, mut peer) = pair().await;
                peer.write_all(&b"word"[..bytes]).unwrap();
                if resets {
                    socket2::SockRef::from(&peer)
                        .set_linger(Some(Duration::ZERO))
                        .unwrap();
                    drop(peer);
                } else {
                    peer.shutdown(Shutdown::Write).unwrap();
                }
                let is_gone = resets && bytes == 0;
                let within = Duration::from_millis(if is_gone { 5000 } else { 20 });
                assert_eq!(is_broken(&mut ours, within).await, is_gone);
                let mut buffer = [0; 64];
                if bytes > 0 {
                    assert_eq!(read(&mut ours, &mut buffer).await.unwrap(), bytes);
                }
                // Not told a second time: whoever has not kept it waits for ever.
                let mut alarm = Alarm::new();
                alarm.set(Some(Instant::now() + Duration::from_secs(5)));
                let end = poll_fn(|cx| {
                    assert!(alarm.poll(cx).is_pending(), "{resets} {bytes}");
                    ours.poll_read(cx, &mut buffer)
                });
                match resets {
                    true => assert_eq!(
                        end.await.unwrap_err().kind(),
                        io::ErrorKind::ConnectionReset
                    ),
                    false => assert_eq!(end.await.unwrap(), 0),
                }
            }
        }
    });
}

#[test]
fn abort_works_after_our_fin_too() {
    on_core(|| async {
        let (mut ours, mut peer) = pair().await;
        ours.finish().unwrap();
        ours.abort();
        let _end = peer.read(&mut [0; 8]);
        assert!(peer.write_all(b"x").is_err() || peer.read(&mut [0; 8]).is_err());
    });
}

#[test]
fn a_reset_is_a_fault_again_and_again_and_never_an_end() {
    on_core(|| async {
        for readiness_first in [true, false] {
            let (mut ours, mut peer) = pair().await;
            peer.write_all(b"half a file").unwrap();
            socket2::SockRef::from(&peer)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            drop(peer);
            sleep(Duration::from_millis(5)).await;
            if readiness_first {
                // There are bytes before the reset, so this is no error yet.
                poll_fn(|cx| ours.poll_readable(cx)).await.unwrap();
            }
            let mut buffer = [0; 64];
            assert_eq!(read(&mut ours, &mut buffer).await.unwrap(), 11);
            if readiness_first {
                let error = poll_fn(|cx| ours.poll_readable(cx)).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            }
            for _ in 0..3 {
                let error = read(&mut ours, &mut buffer).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                let mut into = Vec::new();
                let got = poll_fn(|cx| ours.poll_receive(cx, &mut into, 10)).await;
                assert_eq!(got.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
            }
            assert!(ours.finish().is_err());
        }
    });
}

#[test]
fn an_error_that_a_write_has_eaten_is_no_end_for_the_reader() {
    on_core(|| async {
        let (mut ours, peer) = pair().await;
        socket2::SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        sleep(Duration::from_millis(5)).await;
        assert!(write_all(&mut ours, b"x").await.is_err());
        assert!(read(&mut ours, &mut [0; 8]).await.is_err());
    });
}

#[test]
fn no_connection_is_lost_when_waits_are_given_up() {
    on_core(|| async {
        let mut listener = listener();
        let address = listener.local();
        let in_time = async |listener: &mut Listener| {
            let mut alarm = Alarm::new();
            alarm.set(Some(Instant::now() + Duration::from_micros(200)));
            let got = poll_fn(|cx| match listener.poll_accept(cx) {
                Poll::Ready(got) => Poll::Ready(Some(got.unwrap())),
                Poll::Pending => alarm.poll(cx).map(|()| None),
            });
            got.await
        };
        // One is given up for certain; how many behind it are, the machine decides.
        assert!(in_time(&mut listener).await.is_none());
        let before = open_descriptors();
        let peers = std::thread::spawn(move || {
            (0..500)
                .map(|at| {
                    if at % 10 == 0 {
                        std::thread::sleep(Duration::from_micros(300));
                    }
                    TcpStream::connect(address).unwrap()
                })
                .collect::<Vec<_>>()
        });
        let mut streams = Vec::new();
        while streams.len() < 500 {
            streams.extend(in_time(&mut listener).await);
        }
        let peers = peers.join().unwrap();
        drop((streams, peers, listener));
        // This test process runs other tests meanwhile: only hundreds are told apart from their noise.
        let deadline = Instant::now() + Duration::from_secs(30);
        while open_descriptors() >= before + 400 {
            assert!(Instant::now() < deadline, "descriptors were leaked");
            sleep(Duration::from_millis(5)).await;
        }
    });
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Descriptors are the process's, so this test runs in a process of its own: itself, with few of them.
#[test]
fn out_of_descriptors_is_said_and_nobody_is_lost() {
    if std::env::var_os("SLUICEGATE_TEST_FEW_DESCRIPTORS").is_none() {
        let name = "net::tests::out_of_descriptors_is_said_and_nobody_is_lost";
        let status = std::process::Command::new("sh")
            .args(["-c", r#"ulimit -n 100 && exec "$0" --exact "$1""#])
            .arg(std::env::current_exe().unwrap())
            .arg(name)
            .env("SLUICEGATE_TEST_FEW_DESCRIPTORS", "1")
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success());
        return;
    }
    on_core(|| async {
        let mut listener = listener();
        let mut peers = Vec::new();
        while let Ok(peer) = TcpStream::connect(listener.local()) {
            peers.push(peer);
            // Room for the reading end of a few of them.
            if peers.len() == 50 {
                break;
            }
        }
        let mut streams = Vec::new();
        let fault = loop {
            match poll_fn(|cx| listener.poll_accept(cx)).await {
                Ok(stream) => streams.push(stream),
                Err(fault) => break fault,
            }
        };
        assert!(matches!(fault, Fault::OutOfDescriptors(_)), "{fault}");
        assert!(!streams.is_empty() && streams.len() < peers.len());
        let mut taken = streams.len();
        while taken < peers.len() {
            streams.pop();
            match poll_fn(|cx| listener.poll_accept(cx)).await {
                Ok(stream) => {
                    taken += 1;
                    drop(stream);
                }
                Err(fault) => assert!(matches!(fault, Fault::OutOfDescriptors(_)), "{fault}"),
            }
        }
    });
}

#[test]
fn a_dropped_listener_is_gone_at_once_and_its_port_free() {
    on_core(|| async {
        let mut first = listener();
        poll_fn(|cx| {
            assert!(first.poll_accept(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        sleep(Duration::from_millis(5)).await;
        let address = first.local();
        let taken = Listener::listen_passive(address);
        assert_eq!(
            taken.err().map(|error| error.kind()),
            Some(io::ErrorKind::AddrInUse)
        );
        drop(first);
        // No await between: the ring still holds the old socket.
        assert!(TcpStream::connect(address).is_err());
        let mut second = Listener::listen_passive(address).unwrap();
        let _peer = TcpStream::connect(address).unwrap();
        accepted(&mut second).await;
    });
}

#[test]
fn shared_listeners_stand_side_by_side() {
    on_core(|| async {
        let first = Listener::listen_shared(here(0), Some(0)).unwrap();
        let _second = Listener::listen_shared(first.local(), None).unwrap();
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, first.local().port()));
        let _third = Listener::listen_shared(v6, None).unwrap();
        assert!(Listener::listen_passive(first.local()).is_err());
    });
}

#[test]
fn dials_succeed_fail_and_can_be_given_up() {
    on_core(|| async {
        let far = TcpListener::bind(here(0)).unwrap();
        let address = far.local_addr().unwrap();
        let mut dial = Dial::start(address, Some(HERE)).unwrap();
        let mut ours = poll_fn(|cx| dial.poll(cx)).await.unwrap();
        let (mut peer, _) = far.accept().unwrap();
        assert_eq!(ours.local(), peer.peer_addr().unwrap());
        write_all(&mut ours, b"hi").await.unwrap();
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 2);
        // Reading works although the stream began its life unconnected.
        peer.write_all(b"there").unwrap();
        assert_eq!(read(&mut ours, &mut [0; 8]).await.unwrap(), 5);

        // Where we speak first, what is said to us before is read all the same.
        let mut dial = Dial::start_to_speak(address, None).unwrap();
        let mut ours = poll_fn(|cx| dial.poll(cx)).await.unwrap();
        write_all(&mut ours, b"hello").await.unwrap();
        let (mut peer, _) = far.accept().unwrap();
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 5);
        peer.write_all(b"there").unwrap();
        let mut dial = Dial::start_to_speak(address, None).unwrap();
        let mut hasty = poll_fn(|cx| dial.poll(cx)).await.unwrap();
        // The peer has the connection by the kernel's own acknowledgement, late and without a word of ours.
        let (mut late, _) = far.accept().unwrap();
        late.write_all(b"banner").unwrap();
        assert_eq!(read(&mut hasty, &mut [0; 8]).await.unwrap(), 6);
        assert_eq!(read(&mut ours, &mut [0; 8]).await.unwrap(), 5);

        drop(far);
        let refused = match Dial::start(address, None) {
            Ok(mut dial) => poll_fn(|cx| dial.poll(cx)).await.err(),
            Err(error) => Some(error),
        };
        assert_eq!(refused.unwrap().kind(), io::ErrorKind::ConnectionRefused);

        // Nobody answers there (RFC 5737); without a route it fails at once, which is as good.
        if let Ok(mut dial) = Dial::start("192.0.2.1:9".parse().unwrap(), None) {
            poll_fn(|cx| {
                let _pending = dial.poll(cx);
                Poll::Ready(())
            })
            .await;
        }
    });
}

#[test]
fn alarms_ring_in_time_and_move_without_a_timer() {
    on_core(|| async {
        let begun = Instant::now();
        let mut alarm = Alarm::new();
        poll_fn(|cx| {
            assert!(alarm.poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        alarm.set(Some(begun + Duration::from_millis(200)));
        let moves = Cell::new(0);
        // Moved later while it is armed: rings at the later time only.
        poll_fn(|cx| {
            if moves.get() == 0 {
                assert!(alarm.poll(cx).is_pending());
                alarm.set(Some(begun + Duration::from_millis(400)));
            }
            moves.set(moves.get() + 1);
            alarm.poll(cx)
        })
        .await;
        assert!(begun.elapsed() >= Duration::from_millis(400));
        assert!(moves.get() <= 4, "woken {} times", moves.get());
        // Ready again and again, until it is set anew.
        poll_fn(|cx| alarm.poll(cx)).await;

        // Moved earlier while it is armed.
        let begun = Instant::now();
        alarm.set(Some(begun + Duration::from_secs(60)));
        poll_fn(|cx| {
            assert!(alarm.poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        alarm.set(Some(begun + Duration::from_millis(20)));
        poll_fn(|cx| alarm.poll(cx)).await;
        assert!(begun.elapsed() < Duration::from_secs(60));
    });
}

#[test]
fn ports_are_leased_once_given_back_and_exhausted() {
    on_core(|| async {
        let range = (1..100u16)
            .map(|at| 20_000 + at * 100)
            .find(|&first| (first..first + 4).all(|port| TcpListener::bind(here(port)).is_ok()))
            .map(|first| Rc::new(PortRange::slice(&(first..=first + 3), 0, 1)))
            .unwrap();
        let mut open = Vec::new();
        for expected in 1..=4 {
            open.push(open_passive(&range, HERE).unwrap());
            assert_eq!(range.in_use(), expected);
        }
        assert!(matches!(
            open_passive(&range, HERE),
            Err(Fault::PortsExhausted)
        ));
        let (listener, lease) = open.pop().unwrap();
        assert_eq!(listener.local().port(), lease.port());
        drop((listener, lease));
        assert_eq!(range.in_use(), 3);
        let (listener, lease) = open_passive(&range, HERE).unwrap();
        // A port that somebody else has is passed over.
        let port = lease.port();
        drop((listener, lease));
        let _stranger = TcpListener::bind(here(port)).unwrap();
        assert!(matches!(
            open_passive(&range, HERE),
            Err(Fault::PortsExhausted)
        ));
        open.clear();
        assert_eq!(range.in_use(), 0);
        let nothing = Rc::new(PortRange::slice(&(50_000..=50_000), 1, 2));
        assert_eq!(
            nothing.len() + PortRange::slice(&(50_000..=50_000), 0, 2).len(),
            1
        );
    });
}

/// Whoever was told of a port and has not come may come yet, and must not meet somebody else's transfer.
#[test]
fn a_port_that_nobody_came_for_rests() {
    let range = Rc::new(PortRange::slice(&(40_000..=40_003), 0, 1));
    let late = range.lease(2, false).unwrap().port();
    assert_eq!(range.in_use(), 0, "it is no lease any more");
    assert!(range.lease(2, false).is_none());
    let lease = range.lease(2, true).unwrap();
    assert_eq!(lease.port(), late, "better than none");
    drop(lease);
    let mut taken = range.lease(1, false).unwrap();
    taken.taken();
    drop(taken);
    assert!(range.lease(1, false).is_some(), "its peer has come");
}

proptest! {
    #[test]
    fn slices_are_disjoint_and_together_the_whole(first in 1u16.., length in 0u16.., shards in 1usize..300) {
        let last = first.saturating_add(length);
        let mut next = usize::from(first);
        for shard in 0..shards {
            let slice = PortRange::slice(&(first..=last), shard, shards);
            if !slice.is_empty() {
                let slice = Rc::new(slice);
                let [low, high] = [0, slice.len() - 1].map(|index| slice.lease(index, false));
                let low = low.unwrap().port();
                prop_assert_eq!(usize::from(low), next);
                let high = high.map_or(low, |lease| lease.port());
                prop_assert_eq!(usize::from(high - low) + 1, slice.len());
                next += slice.len();
            }
        }
        prop_assert_eq!(next, usize::from(last) + 1);
    }
}

/// What glommio's preemption timer must never do: pass before the first task is run. The core slept with that task until
/// something else happened (docs/decisions/0034-looks.md), within seconds where the timer was 1 ms.
#[test]
fn a_core_that_is_held_up_does_not_sleep_with_tasks_to_run() {
    let is_over = Arc::new(AtomicBool::new(false));
    let competitors: Vec<_> = std::iter::repeat_with(|| {
        let is_over = Arc::clone(&is_over);
        std::thread::spawn(move || {
            while !is_over.load(Relaxed) {
                std::hint::spin_loop();
            }
        })
    })
    .take(2 * std::thread::available_parallelism().unwrap().get())
    .collect();
    let (told, outcome) = std::sync::mpsc::channel();
    on_core(move || async move {
        let mut listener = listener();
        let mut near = TcpStream::connect(listener.local()).unwrap();
        let mut far = accepted(&mut listener).await;
        for _ in 0..10_000 {
            // A new one for each: one that was put off would wake the core when it was to pass before.
            let mut alarm = Alarm::new();
            alarm.set(Some(clock::now() + Duration::from_secs(30)));
            let mut byte = [0];
            let early = poll_fn(|cx| Poll::Ready(far.poll_read(cx, &mut byte)));
            assert!(early.await.is_pending());
            near.write_all(&[7]).unwrap();
            // The byte is there, so that only a core asleep can miss it until the alarm.
            let is_asleep = poll_fn(|cx| match alarm.poll(cx) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending => far.poll_read(cx, &mut byte).map(|got| got.unwrap() != 1),
            });
            if is_asleep.await {
                told.send("asleep").unwrap();
                break;
            }
        }
        drop(told);
    });
    is_over.store(true, Relaxed);
    for competitor in competitors {
        competitor.join().unwrap();
    }
    assert_eq!(outcome.try_recv().ok(), None);
}

#[test]
fn an_event_waits_for_one_turn_however_many_tasks_never_rest() {
    on_core(|| async {
        let mut listener = listener();
        let mut near = TcpStream::connect(listener.local()).unwrap();
        let mut far = accepted(&mut listener).await;
        let turns = Rc::new(Cell::new(0_u32));
        // Far from any of their turns being over by itself: only the look gives the core away.
        let restless: Vec<_> = (0..5)
            .map(|_| {
                let turns = Rc::clone(&turns);
                glommio::spawn_local(async move {
                    loop {
                        turns.set(turns.get() + 1);
                        look().await;
                    }
                })
            })
            .collect();
        for _ in 0..20 {
            // Until the reading side is under watch, and all of them have had a turn.
            let before = turns.get();
            let mut byte = [0];
            let early = poll_fn(|cx| Poll::Ready(far.poll_read(cx, &mut byte)));
            assert!(early.await.is_pending());
            while turns.get() < before + 10 {
                look().await;
            }
            near.write_all(&[7]).unwrap();
            let written = turns.get();
            assert_eq!(poll_fn(|cx| far.poll_read(cx, &mut byte)).await.unwrap(), 1);
            assert!(
                turns.get() <= written + 1,
                "{} turns",
                turns.get() - written
            );
        }
        assert!(turns.get() > 100, "they do not rest");
        for task in restless {
            task.cancel().await;
        }
    });
}

#[test]
fn a_look_that_is_asked_for_again_keeps_its_place() {
    on_core(|| async {
        let mut looking = Look::default();
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            match polls {
                1 => {
                    for _ in 0..5 {
                        looking.ask(cx);
                    }
                    assert!(looking.is_pending(cx));
                    Poll::Pending
                }
                _ if looking.is_pending(cx) => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await;
        // Whoever asks now is next: nothing was left behind.
        let mut first = Look::default();
        let mut order = Vec::new();
        poll_fn(|cx| {
            if order.is_empty() {
                first.ask(cx);
            }
            order.push(looking.is_pending(cx) || first.is_pending(cx));
            match order.last() {
                Some(true) => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await;
        assert_eq!(order, [true, false]);
    });
}
#[test]
fn a_task_that_never_rests_lets_its_core_look_for_events() {
    on_core(|| async {
        let mut listener = listener();
        let mut near = TcpStream::connect(listener.local()).unwrap();
        let mut far = accepted(&mut listener).await;
        let is_heard = Rc::new(Cell::new(false));
        let hearing = glommio::spawn_local({
            let is_heard = Rc::clone(&is_heard);
            async move {
                let mut byte = [0];
                assert_eq!(poll_fn(|cx| far.poll_read(cx, &mut byte)).await.unwrap(), 1);
                is_heard.set(true);
            }
        });
        look().await;
        near.write_all(&[7]).unwrap();
        let mut turns = 0;
        while !is_heard.get() {
            turns += 1;
            look().await;
        }
        // The ring is asked between two turns, and whoever it tells of goes first.
        assert_eq!(turns, 1);
        hearing.await;
    });
}
