//! Streams whose TLS the kernel takes over: everything that peers may send, and how it ends. They need a kernel that has TLS
//! for sockets; `scripts/ktls` brings one.

use std::sync::Arc;

use rustls::AlertDescription;

use super::tests::{
    BUDGET, clear_pair, finish, noise, private_pair, receive, send, taken_over, together,
};
use super::*;
use crate::dialog::Close;
use crate::net::{look, on_core};
use crate::sys::ktls;
use crate::tls::tests::{configs, name};
use crate::tls::{ClientResume, Heard, Peer, ticket};

// What records hold (RFC 8446 section 5.1), and messages and alerts in them.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
const CLOSE_NOTIFY: &[u8] = &[1, 0, ALERT];

/// A relay that the kernel has taken over, between a peer who writes each record by hand and one of ours.
struct Forged {
    peer: Peer,
    /// The forger's end of the source's connection, without TLS of its own.
    wire: Leg,
    relay: Relay,
    receiver: Leg,
}

impl Forged {
    async fn new(suite: usize, direction: Direction) -> Self {
        let is_upload = direction == Direction::Upload;
        let (records, peer) = Peer::shaken(suite, is_upload, true);
        let (wire, mut source) = clear_pair().await;
        source.secure(records).unwrap();
        let mut relay;
        let receiver;
        if is_upload {
            let sink;
            (receiver, sink) = private_pair(false, true).await;
            relay = Relay::new(source, sink, direction, BUDGET);
        } else {
            let sink;
            (sink, receiver) = private_pair(true, false).await;
            relay = Relay::new(sink, source, direction, BUDGET);
        }
        relay = relay.through_kernel_after(0);
        taken_over(&mut relay).await;
        Self {
            peer,
            wire,
            relay,
            receiver,
        }
    }

    async fn data(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(10_000) {
            let record = self.peer.record(&[part, &[DATA]].concat());
            send(&mut self.wire, &record).await;
        }
    }

    async fn record(&mut self, inner: &[u8]) {
        let record = self.peer.record(inner);
        send(&mut self.wire, &record).await;
    }

    /// What stands behind the data; says how many bytes more of it arrive.
    async fn last(&mut self, last: &str) -> usize {
        // Each record has its place: one that is made has to be sent.
        let half = match last {
            "close_notify" => Vec::new(),
            _ => self.peer.record(b"whole\x17"),
        };
        let mut more = 0;
        match last {
            "close_notify" => self.record(CLOSE_NOTIFY).await,
            "nothing" => {
                send(&mut self.wire, &half).await;
                more = 5;
            }
            "half a record" => send(&mut self.wire, &half[..20]).await,
            "half a header" => send(&mut self.wire, &half[..3]).await,
            "fatal alert" => {
                send(&mut self.wire, &half).await;
                more = 5;
                self.record(&[2, 80, ALERT]).await;
            }
            "changed" => {
                let mut bad = half;
                bad[8] ^= 1;
                send(&mut self.wire, &bad).await;
            }
            "changed alert" => {
                send(&mut self.wire, &half).await;
                more = 5;
                let mut bad = self.peer.record(CLOSE_NOTIFY);
                bad[6] ^= 1;
                send(&mut self.wire, &bad).await;
            }
            "key update" => {
                send(&mut self.wire, &half).await;
                more = 5;
                let update = self.peer.update(false);
                send(&mut self.wire, &update).await;
                self.record(b"under another key\x17").await;
            }
            "data amid a ticket" => {
                send(&mut self.wire, &half).await;
                let part = [&ticket(100)[..50], &[HANDSHAKE]].concat();
                self.record(&part).await;
                self.record(b"data!\x17").await;
                more = 10;
            }
            "alert amid a ticket" => {
                send(&mut self.wire, &half).await;
                more = 5;
                let part = [&ticket(100)[..50], &[HANDSHAKE]].concat();
                self.record(&part).await;
                self.record(CLOSE_NOTIFY).await;
            }
            _ => {
                send(&mut self.wire, &half).await;
                more = 5;
                self.record(&[20, 0, 0, 1, 0, HANDSHAKE]).await;
            }
        }
        more
    }

    /// What the forger has been told until its connection ended.
    async fn told(&mut self) -> Heard {
        let (mut wire, _) = receive(&mut self.wire).await;
        let mut heard = Heard::default();
        self.peer.hear_wire(&mut wire, &mut heard);
        heard
    }

    /// How it ends, and all that has arrived by then.
    async fn ends(&mut self) -> (Report, Vec<u8>) {
        let mut got = Vec::new();
        let receiver = &mut self.receiver;
        let relay = &mut self.relay;
        let report = poll_fn(|cx| {
            let _pending = receiver.poll_read(cx, &mut got, 1 << 20);
            relay.poll(cx)
        })
        .await;
        while (got.len() as u64) < report.bytes {
            let read = poll_fn(|cx| receiver.poll_read(cx, &mut got, 1 << 20)).await;
            assert!(matches!(read, Ok(Read::Bytes(_))), "{read:?}");
        }
        (report, got)
    }
}

#[test]
#[ignore = "needs a kernel with TLS: scripts/ktls"]
fn this_kernel_has_tls() {
    ktls::offered().unwrap();
}

#[test]
#[ignore = "needs a kernel with TLS: scripts/ktls"]
fn streams_change_over_to_the_kernel_without_a_byte_amiss() {
    on_core(|| async {
        let beginning = KERNEL_TLS_AFTER_BYTES;
        for direction in [Direction::Download, Direction::Upload] {
            for (from_clear, to_clear) in [(false, false), (true, false), (false, true)] {
                for len in [0, 1, beginning - 1, beginning + 1, 1_000_003, 9_000_001] {
                    let pair = async |is_clear: bool, is_server: bool| match is_clear {
                        true => clear_pair().await,
                        false => private_pair(is_server, !is_server).await,
                    };
                    // The gate serves its client, and is its backend's client.
                    let is_download = direction == Direction::Download;
                    let (client, far_client) =
                        pair(if is_download { to_clear } else { from_clear }, true).await;
                    let (far_backend, backend) =
                        pair(if is_download { from_clear } else { to_clear }, false).await;
                    let (sender, mut receiver) = match is_download {
                        true => (far_backend, far_client),
                        false => (far_client, far_backend),
                    };
                    let mut relay = Relay::new(client, backend, direction, BUDGET).through_kernel();
                    let sent = noise(len);
                    let sending = async {
                        let mut sender = sender;
                        for part in sent.chunks(200_003) {
                            send(&mut sender, part).await;
                        }
                        sender
                    };
                    let receiving = async {
                        let mut got = Vec::new();
                        while got.len() < len {
                            let read = poll_fn(|cx| receiver.poll_read(cx, &mut got, 1 << 18));
                            assert!(matches!(read.await, Ok(Read::Bytes(_))));
                        }
                        got
                    };
                    // A FIN that is there already would make the kernel refuse.
                    let beside = async {
                        let both = futures_lite::future::zip(sending, receiving);
                        let (mut sender, got) = both.await;
                        finish(&mut sender).await;
                        (sender, got)
                    };
                    let (report, (mut sender, got)) = together(&mut relay, beside).await;
                    assert!(got == sent, "{direction:?} {from_clear} {to_clear} {len}");
                    assert_eq!((report.bytes, report.end), (len as u64, End::Clean));
                    // A few reads later than that at the latest; around it depends on how much each has brought.
                    if !(beginning..2 * beginning).contains(&len) {
                        let is_taken_over = relay.path() == Path::Kernel;
                        assert_eq!(
                            is_taken_over,
                            len > beginning,
                            "{direction:?} {from_clear} {to_clear} {len}"
                        );
                    }
                    let (source, sink) = relay.into_legs();
                    for leg in [source, sink] {
                        close(leg).await;
                    }
                    let (rest, end) = receive(&mut sender).await;
                    assert_eq!((rest, end.is_ok()), (Vec::new(), true));
                    let (rest, end) = receive(&mut receiver).await;
                    assert_eq!(rest, b"");
                    let clean = [Read::Fin, Read::CloseNotify];
                    assert_eq!(end, Ok(clean[usize::from(receiver.is_private())]));
                }
            }
        }
    });
}

/// Ends a leg as a transfer does, up to our own end.
async fn close(leg: Leg) {
    let long = Duration::from_secs(20);
    let mut closing = Closing::new(leg, Close::Clean, long, long);
    let closed = poll_fn(|cx| closing.poll(cx)).await;
    assert_eq!(closed, Closed::Ours(End::Clean));
}

#[test]
#[ignore = "needs a kernel with TLS: scripts/ktls"]
fn a_receiver_that_is_slow_gets_all_of_it_and_the_end() {
    on_core(|| async {
        for paused in [1, 9] {
            let (mut sender, source) = private_pair(false, true).await;
            let (sink, mut receiver) = private_pair(true, false).await;
            let mut relay = Relay::new(sink, source, Direction::Download, BUDGET);
            relay = relay.through_kernel_after(0);
            taken_over(&mut relay).await;
            let sent = noise(6_345_678);
            sender.queue(&sent).unwrap();
            sender.queue_close_notify().unwrap();
            let mut got = Vec::new();
            let mut turn = 0;
            // Now and then a little is taken: what has room is what the kernel holds back most.
            let report = loop {
                turn += 1;
                let polled = poll_fn(|cx| {
                    let _pending = sender.poll_flush(cx);
                    if turn % paused == 0 {
                        let _pending = receiver.poll_read(cx, &mut got, 40_000);
                    }
                    Poll::Ready(relay.poll(cx))
                });
                if let Poll::Ready(report) = polled.await {
                    break report;
                }
                look().await;
            };
            assert_eq!((report.bytes, report.end), (sent.len() as u64, End::Clean));
            assert_eq!(relay.path(), Path::Kernel);
            let (_source, sink) = relay.into_legs();
            let long = Duration::from_secs(60);
            let mut closing = Closing::new(sink, Close::Clean, long, long);
            let mut is_ended = false;
            let end = loop {
                let polled = poll_fn(|cx| {
                    is_ended = is_ended || closing.poll(cx).is_ready();
                    Poll::Ready(receiver.poll_read(cx, &mut got, 40_000))
                });
                match polled.await {
                    Poll::Ready(Ok(Read::Bytes(_))) | Poll::Pending => look().await,
                    Poll::Ready(end) => break end,
                }
            };
            assert_eq!(end, Ok(Read::CloseNotify), "{} {}", got.len(), sent.len());
            assert!(got == sent);
        }
    });
}

#[test]
#[ignore = "needs a kernel with TLS: scripts/ktls"]
fn what_is_no_data_is_heard_between_data() {
    on_core(|| async {
        for suite in [0, 1] {
            let mut forged = Forged::new(suite, Direction::Download).await;
            let sent = noise(300_000);
            let (first, rest) = sent.split_at(100_000);
            let (second, third) = rest.split_at(1);
            forged.data(first).await;
            // Two tickets in one record, and one in three.
            let two = [ticket(40), ticket(90), vec![HANDSHAKE]].concat();
            forged.record(&two).await;
            for part in ticket(500).chunks(200) {
                forged.record(&[part, &[HANDSHAKE]].concat()).await;
            }
            forged.data(second).await;
            forged.record(&[DATA]).await;
            forged.record(&[1, 90, ALERT]).await;
            forged
                .record(&[&third[..1000], &[DATA], &[0; 700]].concat())
                .await;
            forged.record(&[DATA, 0, 0, 0]).await;
            forged.data(&third[1000..]).await;
            forged.record(&[DATA]).await;
            forged.record(CLOSE_NOTIFY).await;
            // What is behind it is nobody's.
            forged.record(b"behind\x17").await;
            let (report, got) = forged.ends().await;
            assert!(got == sent, "{} of {}", got.len(), sent.len());
            assert_eq!((report.side, report.end), (Side::Backend, End::Clean));
        }
    });
}

/// What stands behind the data, how it ends, and what the sender is told, if he is told anything.
type Case = (&'static str, End, Option<AlertDescription>);
const CASES: &[Case] = &[
    (
        "close_notify",
        End::Clean,
        Some(AlertDescription::CloseNotify),
    ),
    ("nothing", End::Unfinished, None),
    ("half a record", End::Reset, None),
    ("half a header", End::Reset, None),
    ("fatal alert", End::Reset, None),
    ("changed", End::Reset, Some(AlertDescription::BadRecordMac)),
    (
        "changed alert",
        End::Reset,
        Some(AlertDescription::BadRecordMac),
    ),
    (
        "key update",
        End::Reset,
        Some(AlertDescription::InternalError),
    ),
    ("data amid a ticket", End::Unfinished, None),
    (
        "alert amid a ticket",
        End::Reset,
        Some(AlertDescription::UnexpectedMessage),
    ),
    (
        "finished again",
        End::Reset,
        Some(AlertDescription::UnexpectedMessage),
    ),
];

#[test]
#[ignore = "needs a kernel with TLS: scripts/ktls"]
fn an_end_is_told_from_a_broken_stream() {
    on_core(|| async {
        for direction in [Direction::Download, Direction::Upload] {
            for (len, &(last, end, alert)) in [0, 7, 200_000]
                .iter()
                .flat_map(|len| CASES.iter().map(move |case| (*len, case)))
            {
                // Only a server gives tickets.
                if last.contains("ticket") && direction == Direction::Upload {
                    continue;
                }
                let mut forged = Forged::new(0, direction).await;
                let sent = noise(len);
                forged.data(&sent).await;
                let more = forged.last(last).await;
                forged.wire.finish().unwrap();
                let (report, got) = forged.ends().await;
                let side = Side::source(direction);
                assert_eq!((report.side, report.end), (side, end), "{last} {len}");
                assert!(got[..len] == sent, "{last} {len}");
                assert_eq!(got.len(), len + more, "{last} {len}");
                // The sink is not told of an end that its source did not make.
                let asleep = poll_fn(|cx| {
                    Poll::Ready(
                        forged
                            .receiver
                            .poll_read(cx, &mut Vec::new(), 100)
                            .is_pending(),
                    )
                });
                assert!(asleep.await, "{last}");
                let relay = std::mem::replace(&mut forged.relay, idle_relay().await);
                let (mut source, _sink) = relay.into_legs();
                if end == End::Clean {
                    finish(&mut source).await;
                } else {
                    poll_fn(|cx| source.poll_flush(cx)).await.unwrap();
                    source.finish().unwrap();
                }
                let told = forged.told().await;
                assert_eq!(told.alerts.first().copied(), alert.map(u8::from), "{last}");
            }
        }
    });
}

/// Between peers that are gone.
async fn idle_relay() -> Relay {
    let ((client, _), (backend, _)) = (clear_pair().await, clear_pair().await);
    Relay::new(client, backend, Direction::Download, BUDGET)
}

#[test]
#[ignore = "needs a kernel with TLS: scripts/ktls"]
fn tickets_reach_the_store_also_when_the_kernel_opens() {
    on_core(|| async {
        let (server, client) = configs(&[&rustls::version::TLS13]);
        let resume = ClientResume::new(&client);
        let mut client = rustls::ClientConfig::clone(&resume.data());
        client.enable_secret_extraction = true;
        let (mut sender, mut source) = clear_pair().await;
        sender.secure_as_server(Arc::new(server)).unwrap();
        source.secure_as_client(Arc::new(client), name()).unwrap();
        poll_fn(|cx| {
            let by_source = source.poll_handshake(cx);
            match sender.poll_handshake(cx) {
                Poll::Ready(shaken) if by_source.is_ready() => {
                    shaken.unwrap();
                    Poll::Ready(())
                }
                _ => Poll::Pending,
            }
        })
        .await;
        let (sink, mut receiver) = private_pair(true, false).await;
        let mut relay = Relay::new(sink, source, Direction::Download, BUDGET);
        relay = relay.through_kernel_after(0);
        taken_over(&mut relay).await;
        assert!(
            resume.is_dry(),
            "a server of ours gives them with its first byte"
        );
        let sending = async {
            send(&mut sender, b"data").await;
            finish(&mut sender).await;
        };
        let mut got = Vec::new();
        let reading = poll_fn(|cx| receiver.poll_read(cx, &mut got, 100));
        let both = futures_lite::future::zip(sending, reading);
        let (report, _) = together(&mut relay, both).await;
        assert_eq!((report.bytes, report.end), (4, End::Clean));
        assert_eq!(got, b"data");
        assert!(!resume.is_dry());
    });
}

/// A download to a peer in the test's hand, over a sink that the kernel seals, and that may seal so many records.
async fn to_forger(seals_max: Option<u64>) -> (Leg, Relay, Peer, Leg) {
    let (mut records, peer) = Peer::shaken(0, true, true);
    if let Some(max) = seals_max {
        records.wear_out_at(max);
    }
    let (wire, mut sink) = clear_pair().await;
    sink.secure(records).unwrap();
    let (sender, source) = private_pair(false, true).await;
    let mut relay = Relay::new(sink, source, Direction::Download, BUDGET);
    relay = relay.through_kernel_after(0);
    taken_over(&mut relay).await;
    (sender, relay, peer, wire)
}

#[test]
#[ignore = "needs a kernel with TLS: scripts/ktls"]
fn a_receiver_may_change_its_own_key_and_not_ask_for_ours() {
    on_core(|| async {
        for asks in [false, true] {
            let (mut sender, mut relay, mut peer, mut wire) = to_forger(None).await;
            let update = peer.update(asks);
            send(&mut wire, &update).await;
            let again = peer.record(&[1, 90, ALERT]);
            send(&mut wire, &again).await;
            // Once the sink has been heard, which an idle relay does.
            for _ in 0..20 {
                assert!(poll_fn(|cx| Poll::Ready(relay.poll(cx).is_pending())).await);
                look().await;
            }
            let sending = async {
                send(&mut sender, b"for another key").await;
                finish(&mut sender).await;
            };
            let (report, ()) = together(&mut relay, sending).await;
            let expected = match asks {
                true => (Side::Client, End::Reset),
                false => (Side::Backend, End::Clean),
            };
            assert_eq!((report.side, report.end), expected);
            let (_source, mut sink) = relay.into_legs();
            let mut heard = Heard::default();
            if !asks {
                finish(&mut sink).await;
                let (mut bytes, _) = receive(&mut wire).await;
                peer.hear_wire(&mut bytes, &mut heard);
                assert_eq!(heard.plain, b"for another key");
                assert_eq!(heard.alerts, [0]);
            }
        }
    });
}

#[test]
#[ignore = "needs a kernel with TLS: scripts/ktls"]
fn a_key_that_is_worn_out_seals_nothing_more() {
    on_core(|| async {
        let (mut sender, mut relay, mut peer, mut wire) = to_forger(Some(50)).await;
        let sent = noise(40 * 16_384);
        sender.queue(&sent).unwrap();
        let mut bytes = Vec::new();
        let mut report = None;
        let mut rest = false;
        while !rest {
            let got = poll_fn(|cx| {
                let _pending = sender.poll_flush(cx);
                if report.is_none()
                    && let Poll::Ready(ended) = relay.poll(cx)
                {
                    report = Some(ended);
                }
                Poll::Ready(wire.poll_read(cx, &mut bytes, 1 << 18).is_ready())
            })
            .await;
            rest = report.is_some() && !got;
            if sender.queued() == 0 && report.is_none() {
                sender.queue(&sent[..16_384]).unwrap();
            }
            look().await;
        }
        let report = report.unwrap();
        assert_eq!((report.side, report.end), (Side::Client, End::Reset));
        let mut heard = Heard::default();
        let done = peer.hear_wire(&mut bytes, &mut heard);
        assert_eq!(done, bytes.len());
        // Our own count is never too low, and the kernel's settles it: nearly all of the key was used.
        let records = bytes.len() / 16_384;
        assert!((30..=50).contains(&records), "{records}");
    });
}

#[test]
#[ignore = "needs a kernel with TLS: scripts/ktls"]
fn what_is_not_for_the_kernel_stays_in_the_process() {
    on_core(|| async {
        // ChaCha20, and records that are rustls'.
        for is_direct in [true, false] {
            let (records, mut peer) = Peer::shaken(if is_direct { 2 } else { 0 }, false, is_direct);
            let (mut wire, mut source) = clear_pair().await;
            source.secure(records).unwrap();
            let (sink, mut receiver) = private_pair(true, false).await;
            let mut relay = Relay::new(sink, source, Direction::Download, BUDGET);
            relay = relay.through_kernel_after(0);
            let mut sent = peer.record(b"as ever\x17");
            sent.extend(peer.record(CLOSE_NOTIFY));
            send(&mut wire, &sent).await;
            let mut got = Vec::new();
            let reading = poll_fn(|cx| receiver.poll_read(cx, &mut got, 100));
            let (report, _) = together(&mut relay, reading).await;
            assert_eq!((report.bytes, report.end), (7, End::Clean));
            assert_eq!(got, b"as ever");
            let path = [Path::Sealed, Path::InPlace][usize::from(is_direct)];
            assert_eq!(relay.path(), path);
        }
    });
}
