//! Records passed on in place against the way through rustls, which is the oracle: same bytes, same end, whatever comes.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;

use super::super::tests::{SUITES, noise, of_kind, ticket, with_suite};
use super::super::*;
use super::*;
use crate::tls::keys::{Key, TAG_BYTES};
use crate::tls::library::{KeyMaker, Library};
use crate::tls::records::Records;
use crate::tls::tests::name;
use crate::tls::turn::{Order, Turn};

/// The other end of a connection of ours, with its keys in the test's hand: it makes what rustls never would.
pub(crate) struct Peer {
    maker: KeyMaker,
    sealer: Key,
    opener: Key,
}

/// What a peer was told.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Heard {
    pub(crate) plain: Vec<u8>,
    pub(crate) alerts: Vec<u8>,
    pub(crate) updates: usize,
}

impl Peer {
    /// A connection between us, whose records are our own or rustls', and a peer; behind its handshake.
    pub(crate) fn shaken(suite: usize, we_serve: bool, is_direct: bool) -> (Records, Self) {
        let (mut server, mut client) = with_suite(SUITES[suite]);
        server.enable_secret_extraction = is_direct || !we_serve;
        client.enable_secret_extraction = is_direct || we_serve;
        let (server, client) = (Arc::new(server), Arc::new(client));
        let (mut ours, mut theirs) = if we_serve {
            let theirs = UnbufferedClientConnection::new(client, name()).unwrap();
            let ours = Records::accept(server).unwrap();
            (ours, Library::Client(Box::new(theirs)))
        } else {
            let theirs = UnbufferedServerConnection::new(server).unwrap();
            let ours = Records::connect(client, name()).unwrap();
            (ours, Library::Server(Box::new(theirs)))
        };
        let (mut wire, mut said, mut none) = (Vec::new(), Buffer::new(), Vec::new());
        while ours.is_handshaking() || theirs.is_handshaking() {
            loop {
                let mut order = Order::Receive;
                let (done, turn) = theirs.turn(&mut wire, &mut order, &mut none, &mut said);
                wire.drain(..done);
                if matches!(turn.unwrap(), Turn::Rest) {
                    break;
                }
            }
            ours.feed(said.filled());
            said.discard(said.len());
            ours.process(&mut none).unwrap();
            if theirs.is_handshaking() {
                wire.extend_from_slice(ours.outgoing());
                ours.advance(ours.outgoing().len());
            }
        }
        assert!(none.is_empty() && wire.is_empty());
        assert_eq!(ours.direct().is_some(), is_direct);
        let (secrets, maker) = theirs.retire().unwrap();
        let key = |(sequence, secrets)| Key::new(sequence, secrets).unwrap();
        let peer = Self {
            maker,
            sealer: key(secrets.tx),
            opener: key(secrets.rx),
        };
        (ours, peer)
    }

    pub(crate) fn record(&mut self, inner: &[u8]) -> Vec<u8> {
        self.record_of_version(3, inner)
    }

    fn record_of_version(&mut self, minor: u8, inner: &[u8]) -> Vec<u8> {
        let len = ((inner.len() + TAG_BYTES) as u16).to_be_bytes();
        let mut record = [&[23, 3, minor, len[0], len[1]], inner, &[0; TAG_BYTES]].concat();
        self.sealer.seal(&mut record).unwrap();
        record
    }

    pub(crate) fn update(&mut self, asks: bool) -> Vec<u8> {
        let record = self.record(&[KEY_UPDATE, 0, 0, 1, u8::from(asks), HANDSHAKE]);
        let (sequence, secrets) = self.maker.next_sealer().unwrap();
        self.sealer = Key::new(sequence, secrets).unwrap();
        record
    }

    /// Everything that we have to say to this peer, record by record; what does not open is our fault.
    fn hear(&mut self, ours: &mut Records, heard: &mut Heard) {
        let mut wire = ours.outgoing().to_vec();
        ours.advance(wire.len());
        assert_eq!(
            self.hear_wire(&mut wire, heard),
            wire.len(),
            "whole records"
        );
    }

    /// As many whole records as there are; says how long they were.
    pub(crate) fn hear_wire(&mut self, wire: &mut [u8], heard: &mut Heard) -> usize {
        let mut rest = &mut *wire;
        let mut done = 0;
        while let Some(len) = whole_record(rest).ok().flatten() {
            let (record, behind) = rest.split_at_mut(len);
            rest = behind;
            done += len;
            assert_eq!(record[1..3], [3, 3]);
            let inner = self.opener.open(record).expect("sealed in its turn");
            assert!(inner.len() <= PLAIN_BYTES_MAX + 1);
            let end = inner.iter().rposition(|&byte| byte != 0).unwrap();
            match (inner[end], &inner[..end]) {
                (APPLICATION_DATA, content) => heard.plain.extend_from_slice(content),
                (ALERT, &[_, alert]) => heard.alerts.push(alert),
                (HANDSHAKE, &[KEY_UPDATE, ..]) => {
                    heard.updates += 1;
                    let (sequence, secrets) = self.maker.next_opener().unwrap();
                    self.opener = Key::new(sequence, secrets).unwrap();
                }
                (HANDSHAKE, &[NEW_SESSION_TICKET, ..]) => {}
                other => panic!("{other:?}"),
            }
        }
        done
    }
}

/// What a source's peer sends.
#[derive(Clone, Debug)]
enum Act {
    Data {
        len: usize,
        padding: usize,
    },
    Empty,
    Update {
        asks: bool,
    },
    /// In so many records.
    Ticket {
        len: usize,
        pieces: usize,
    },
    Canceled,
    /// The sink's peer asks for another key.
    SinkAsks,
}

/// And how he ends.
#[derive(Clone, Copy, Debug)]
enum Last {
    Nothing,
    Closed,
    Alert,
    Changed(usize),
    Overlong,
    AllPadding,
    Clear,
}

fn act() -> impl Strategy<Value = Act> {
    let len = prop_oneof![1usize..200, 1usize..16_385, Just(16_384)];
    let padding = prop_oneof![4 => Just(0usize), 1 => 0usize..300];
    prop_oneof![
        8 => (len, padding).prop_map(|(len, padding)| Act::Data { len, padding }),
        1 => Just(Act::Empty),
        1 => proptest::bool::ANY.prop_map(|asks| Act::Update { asks }),
        1 => (1usize..600, 1usize..4).prop_map(|(len, pieces)| Act::Ticket { len, pieces }),
        1 => Just(Act::Canceled),
        1 => Just(Act::SinkAsks),
    ]
}

fn last() -> impl Strategy<Value = Last> {
    prop_oneof![
        3 => Just(Last::Nothing),
        3 => Just(Last::Closed),
        1 => Just(Last::Alert),
        2 => (0usize..200).prop_map(Last::Changed),
        1 => Just(Last::Overlong),
        1 => Just(Last::AllPadding),
        1 => Just(Last::Clear),
    ]
}

/// The wire of a source's peer, in stretches between which the sink's peer asks for another key.
fn write(source: &mut Peer, acts: &[Act], last: Last) -> Vec<Vec<u8>> {
    let is_server = matches!(source.maker, KeyMaker::Server(_));
    let (mut wire, mut stretch, mut canceled) = (Vec::new(), Vec::new(), 0);
    for act in acts {
        let bytes = match *act {
            Act::Data { len, padding } => {
                let padding = padding.min(PLAIN_BYTES_MAX - len.min(PLAIN_BYTES_MAX));
                let inner = [noise(len), vec![APPLICATION_DATA], vec![0; padding]].concat();
                source.record(&inner)
            }
            Act::Empty => source.record(&[APPLICATION_DATA, 0, 0]),
            Act::Update { asks } => source.update(asks),
            Act::Ticket { len, pieces } if is_server => {
                let message = ticket(len);
                let parts = message.chunks(message.len().div_ceil(pieces));
                parts
                    .flat_map(|part| source.record(&[part, &[HANDSHAKE]].concat()))
                    .collect()
            }
            // rustls bears with four of them.
            Act::Canceled if canceled < 4 => {
                canceled += 1;
                source.record(&[WARNING, 90, ALERT])
            }
            Act::SinkAsks => {
                wire.push(std::mem::take(&mut stretch));
                Vec::new()
            }
            _ => Vec::new(),
        };
        stretch.extend(bytes);
    }
    stretch.extend(match last {
        Last::Nothing => Vec::new(),
        Last::Closed => [source.record(&[WARNING, 0, ALERT]), b"behind".to_vec()].concat(),
        Last::Alert => source.record(&[FATAL, 40, ALERT]),
        Last::Changed(at) => {
            let mut record = source.record(b"changed on its way\x17");
            let at = HEADER_BYTES + at % (record.len() - HEADER_BYTES);
            record[at] ^= 1;
            record
        }
        Last::Overlong => source.record(&[noise(PLAIN_BYTES_MAX + 1), vec![23]].concat()),
        Last::AllPadding => source.record(&[0; 30]),
        Last::Clear => b"\x15\x03\x03\x00\x02\x01\x00".to_vec(),
    });
    wire.push(stretch);
    wire
}

/// An end as both record layers must tell it; what they call a record that they refuse is their own.
#[derive(Debug, PartialEq)]
enum Verdict {
    Open,
    Closed,
    Alert(AlertDescription),
    Refused,
}

impl From<Result<Progress, Fault>> for Verdict {
    fn from(end: Result<Progress, Fault>) -> Self {
        match end {
            Ok(Progress::Open) => Self::Open,
            Ok(Progress::Closed) => Self::Closed,
            Err(Fault::Alert(alert)) => Self::Alert(alert),
            Err(Fault::BadRecord | Fault::Misbehaved(_)) => Self::Refused,
            Err(other) => panic!("{other}"),
        }
    }
}

/// One way from a source to a sink: what the sink's peer has read, how the source ended, and how many bytes were counted.
fn carry(
    is_direct: bool,
    [source_suite, sink_suite]: [usize; 2],
    is_download: bool,
    script: (&[Act], Last, usize),
) -> (Heard, Verdict, usize) {
    let (acts, last, piece) = script;
    let (mut source, mut sender) = Peer::shaken(source_suite, !is_download, is_direct);
    let (mut sink, mut receiver) = Peer::shaken(sink_suite, is_download, is_direct);
    if let Some(direct) = sink.direct() {
        direct.seals_max = 5;
    }
    let (mut heard, mut moved) = (Heard::default(), 0);
    let mut end = Ok(Progress::Open);
    for (at, stretch) in write(&mut sender, acts, last).into_iter().enumerate() {
        if at > 0 {
            sink.feed(&receiver.update(true));
            sink.process(&mut Vec::new()).unwrap();
        }
        for part in stretch.chunks(piece) {
            source.feed(part);
            end = if is_direct {
                let (bytes, end) = source.pass(&mut sink);
                moved += bytes;
                end.map_err(|broken| match broken {
                    Broken::Source(fault) => fault,
                    Broken::Sink(fault) => panic!("{fault}"),
                })
            } else {
                let mut plain = Vec::new();
                let end = source.process(&mut plain);
                sink.seal(&plain).unwrap();
                moved += plain.len();
                end
            };
            receiver.hear(&mut sink, &mut heard);
            if end != Ok(Progress::Open) {
                break;
            }
        }
    }
    // What the sink has to say afterwards is still in its turn.
    sink.seal_close_notify().unwrap();
    receiver.hear(&mut sink, &mut heard);
    // And the source's own peer is told, in its turn, what was wrong.
    sender.hear(&mut source, &mut Heard::default());
    (heard, end.into(), moved)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any records, in any pieces, with any ciphers, either way: what arrives and how it ends is what rustls makes of it.
    #[test]
    fn both_ways_bring_the_same_bytes_and_the_same_end(
        suites in [0usize..3, 0usize..3],
        is_download: bool,
        acts in proptest::collection::vec(act(), 0..25),
        last in last(),
        piece in prop_oneof![1usize..100, 1usize..20_000, Just(usize::MAX)],
    ) {
        let script = (&acts[..], last, piece.max(1 + acts.len() * 40));
        let (expected, oracle_end, oracle_moved) = carry(false, suites, is_download, script);
        let (got, end, moved) = carry(true, suites, is_download, script);
        prop_assert!(got.plain == expected.plain);
        prop_assert_eq!(got.alerts, expected.alerts);
        prop_assert_eq!(end, oracle_end);
        prop_assert_eq!(moved, oracle_moved);
        prop_assert_eq!(moved, got.plain.len());
    }

    /// Whatever comes, sealed or not, in whatever pieces: nothing panics, a fault stays, and what leaves are whole records.
    #[test]
    fn nothing_that_comes_reaches_a_panic(
        is_download: bool,
        inners in proptest::collection::vec((0u8..6, proptest::collection::vec(0u8..26, 0..40)), 0..12),
        raw in proptest::collection::vec(any::<u8>(), 0..200),
        piece in 1usize..300,
    ) {
        let (mut source, mut sender) = Peer::shaken(0, !is_download, true);
        let (mut sink, mut receiver) = Peer::shaken(1, is_download, true);
        let mut wire = Vec::new();
        for (kind, inner) in inners {
            wire.extend(sender.record(&of_kind(kind, inner)));
        }
        wire.extend(raw);
        let (mut heard, mut moved) = (Heard::default(), 0);
        for part in wire.chunks(piece) {
            source.feed(part);
            let (bytes, end) = source.pass(&mut sink);
            moved += bytes;
            if end.is_err() {
                prop_assert_eq!(source.pass(&mut sink), (0, end));
            }
            receiver.hear(&mut sink, &mut heard);
        }
        prop_assert_eq!(moved, heard.plain.len());
        prop_assert!(heard.alerts.is_empty(), "no end was ordered");
    }
}

/// A download between two connections of ours, with records of 1,000 bytes, `count` of them already received.
fn loaded(count: usize) -> (Records, Records, Peer, Peer) {
    let (mut source, mut sender) = Peer::shaken(0, false, true);
    let (mut sink, mut receiver) = Peer::shaken(2, true, true);
    receiver.hear(&mut sink, &mut Heard::default());
    for _ in 0..count {
        source.feed(&sender.record(&[noise(1000), vec![23]].concat()));
    }
    (source, sink, sender, receiver)
}

#[test]
fn the_bytes_leave_from_where_they_came() {
    let (mut source, mut sink, mut sender, mut receiver) = loaded(60);
    let at = source.space(0).as_ptr() as usize;
    let tail = sender.record(&[noise(1000), vec![23]].concat());
    source.feed(&tail[..500]);
    assert_eq!(source.pass(&mut sink), (60_000, Ok(Progress::Open)));
    let sent = sink.outgoing();
    assert_eq!(sent.len(), 60 * 1022, "in one piece, for one send");
    assert!(
        (at - 100_000..at).contains(&(sent.as_ptr() as usize)),
        "copied"
    );
    assert!(source.is_amid_record());
    let mut heard = Heard::default();
    receiver.hear(&mut sink, &mut heard);
    assert_eq!(sink.held(), 0, "at rest it holds nothing");
    source.feed(&tail[500..]);
    assert_eq!(source.pass(&mut sink), (1000, Ok(Progress::Open)));
    receiver.hear(&mut sink, &mut heard);
    assert!(heard.plain == noise(1000).repeat(61));
    assert_eq!(source.held() + sink.held(), 0);
}

#[test]
fn what_is_no_data_leaves_no_gap_and_costs_no_send() {
    let (mut source, mut sink, mut sender, mut receiver) = loaded(2);
    for _ in 0..10 {
        source.feed(&sender.record(&[&ticket(100)[..], &[HANDSHAKE]].concat()));
        source.feed(&sender.update(false));
        source.feed(&sender.record(&[noise(1000), vec![23]].concat()));
    }
    assert_eq!(source.pass(&mut sink).0, 12_000);
    assert_eq!(sink.outgoing().len(), 12 * 1022);
    let mut heard = Heard::default();
    receiver.hear(&mut sink, &mut heard);
    assert!(heard.plain == noise(1000).repeat(12));
}

#[test]
fn a_version_that_stands_for_nothing_is_not_passed_on() {
    let (mut source, mut sink, mut sender, mut receiver) = loaded(0);
    for minor in [0, 1, 4, 255] {
        source.feed(&sender.record_of_version(minor, b"data\x17"));
        assert_eq!(source.pass(&mut sink), (4, Ok(Progress::Open)));
        let mut heard = Heard::default();
        receiver.hear(&mut sink, &mut heard);
        assert_eq!(heard.plain, b"data");
    }
}

#[test]
fn a_record_that_does_not_verify_is_not_passed_on_and_nothing_behind_it() {
    let (mut source, mut sink, mut sender, mut receiver) = loaded(3);
    let mut bad = sender.record(b"bad\x17");
    bad[7] ^= 1;
    source.feed(&[bad, sender.record(b"behind\x17")].concat());
    let (moved, end) = source.pass(&mut sink);
    assert_eq!(
        (moved, &end),
        (3000, &Err(Broken::Source(Fault::BadRecord)))
    );
    let mut heard = Heard::default();
    receiver.hear(&mut sink, &mut heard);
    assert!(heard.plain == noise(1000).repeat(3));
    assert!(heard.alerts.is_empty());
    // Its sender is told, and it stays broken; the sink is none the worse.
    let mut told = Heard::default();
    sender.hear(&mut source, &mut told);
    assert_eq!(told.alerts, [u8::from(AlertDescription::BadRecordMac)]);
    assert_eq!(source.pass(&mut sink), (0, end));
    sink.seal(b"still there").unwrap();
    heard.plain.clear();
    receiver.hear(&mut sink, &mut heard);
    assert_eq!(heard.plain, b"still there");
}

#[test]
fn the_sinks_key_is_changed_before_it_is_worn_out() {
    let (mut source, mut sink, _sender, mut receiver) = loaded(50);
    let limit = sink.direct().unwrap().seals_max;
    assert!(limit > 1 << 23);
    sink.direct().unwrap().seals_max = 7;
    assert_eq!(source.pass(&mut sink).0, 50_000);
    let mut heard = Heard::default();
    receiver.hear(&mut sink, &mut heard);
    assert!(heard.plain == noise(1000).repeat(50));
    assert!(heard.updates >= 6, "{}", heard.updates);
}

#[test]
fn a_client_gives_no_tickets() {
    let (mut source, mut client) = Peer::shaken(0, true, true);
    let (mut sink, _backend) = Peer::shaken(0, false, true);
    source.feed(&client.record(&[&ticket(10)[..], &[HANDSHAKE]].concat()));
    let (_, end) = source.pass(&mut sink);
    assert!(
        matches!(end, Err(Broken::Source(Fault::Misbehaved(_)))),
        "{end:?}"
    );
}

#[test]
fn tickets_on_a_data_connection_reach_the_store() {
    let (server, client) = with_suite(SUITES[0]);
    let mut server = server;
    server.enable_secret_extraction = true;
    let mut client = client;
    client.enable_secret_extraction = true;
    let resume = crate::tls::ClientResume::new(&client);
    assert!(resume.is_dry());
    let mut theirs = Library::Server(Box::new(
        UnbufferedServerConnection::new(Arc::new(server)).unwrap(),
    ));
    let mut source = Records::connect(resume.data(), name()).unwrap();
    let (mut wire, mut said, mut none) = (Vec::new(), Buffer::new(), Vec::new());
    source.process(&mut none).unwrap();
    for _ in 0..4 {
        wire.extend_from_slice(source.outgoing());
        source.advance(source.outgoing().len());
        let mut rests = false;
        while !rests {
            let mut order = Order::Receive;
            let (done, turn) = theirs.turn(&mut wire, &mut order, &mut none, &mut said);
            wire.drain(..done);
            rests = matches!(turn.unwrap(), Turn::Rest);
        }
        if theirs.is_handshaking() {
            source.feed(said.filled());
            said.discard(said.len());
            source.process(&mut none).unwrap();
        }
    }
    // The tickets come while the bytes are on their way.
    let (mut sink, _receiver) = Peer::shaken(1, true, true);
    assert!(resume.is_dry() && !said.is_empty());
    source.feed(said.filled());
    assert_eq!(source.pass(&mut sink), (0, Ok(Progress::Open)));
    assert!(!resume.is_dry());
}
