//! Our own records against rustls', which is the oracle: what one seals the other opens, and both refuse alike.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::client::ClientSessionStore as _;
use rustls::crypto::aws_lc_rs::{self as provider, cipher_suite};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::ConnectionState;
use rustls::{
    ClientConfig, ExtractedSecrets, RootCertStore, ServerConfig, ServerConnection,
    SupportedCipherSuite,
};

use super::*;
use crate::tls::tests::{configs, name};
use crate::tls::{ClientResume, Records};

pub(super) const SUITES: [SupportedCipherSuite; 3] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// Both configurations of TLS 1.3, with this suite only.
pub(super) fn with_suite(suite: SupportedCipherSuite) -> (ServerConfig, ClientConfig) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["gate.test".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let mut crypto = provider::default_provider();
    crypto.cipher_suites = vec![suite];
    let crypto = Arc::new(crypto);
    let server = ServerConfig::builder_with_provider(Arc::clone(&crypto))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, client)
}

/// Our end, and rustls' buffered connection as the server.
struct Pair {
    ours: Records,
    theirs: ServerConnection,
    resume: ClientResume,
    /// What we have opened.
    plain: Vec<u8>,
}

impl Pair {
    fn new(server: ServerConfig, client: &ClientConfig) -> Self {
        let resume = ClientResume::new(client);
        let mut theirs = ServerConnection::new(Arc::new(server)).unwrap();
        theirs.set_buffer_limit(None);
        let mut pair = Self {
            ours: Records::connect(resume.control(), name()).unwrap(),
            theirs,
            resume,
            plain: Vec::new(),
        };
        pair.ours.process(&mut pair.plain).unwrap();
        while pair.ours.is_handshaking() || pair.theirs.is_handshaking() {
            pair.upstream().unwrap();
            pair.downstream(usize::MAX).unwrap();
        }
        pair
    }

    fn fresh() -> Self {
        let (server, client) = configs(&[&rustls::version::TLS13]);
        Self::new(server, &client)
    }

    /// What we have to say reaches them; gives what they read.
    fn upstream(&mut self) -> Result<Vec<u8>, Error> {
        let mut wire = self.ours.outgoing();
        let mut got = Vec::new();
        while !wire.is_empty() {
            self.theirs.read_tls(&mut wire).unwrap();
            self.theirs.process_new_packets()?;
            // What says that there is no more for now, or no close_notify, is no matter here.
            self.theirs.reader().read_to_end(&mut got).ok();
        }
        let len = self.ours.outgoing().len();
        self.ours.advance(len);
        Ok(got)
    }

    fn wire(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.theirs.wants_write() {
            self.theirs.write_tls(&mut wire).unwrap();
        }
        wire
    }

    /// What they have to say reaches us, in pieces.
    fn downstream(&mut self, piece: usize) -> Result<Progress, Fault> {
        let wire = self.wire();
        let mut progress = Progress::Open;
        for part in wire.chunks(piece) {
            self.ours.feed(part);
            progress = self.ours.process(&mut self.plain)?;
        }
        Ok(progress)
    }

    fn direct(&mut self) -> &mut Direct {
        self.ours.direct().expect("it is past its handshake")
    }
}

/// Our end with the server's keys in the test's hand, to make records that rustls would not.
struct Forger {
    ours: Records,
    sealer: Key,
    opener: Key,
}

impl Forger {
    fn new() -> Self {
        let (mut server, client) = configs(&[&rustls::version::TLS13]);
        server.enable_secret_extraction = true;
        server.send_tls13_tickets = 0;
        let mut server = UnbufferedServerConnection::new(Arc::new(server)).unwrap();
        let control = ClientResume::new(&client).control();
        let mut ours = Records::connect(control, name()).unwrap();
        let mut incoming = Vec::new();
        loop {
            ours.process(&mut Vec::new()).unwrap();
            incoming.extend_from_slice(ours.outgoing());
            ours.advance(ours.outgoing().len());
            if server_turns(&mut server, &mut incoming, &mut ours) {
                break;
            }
        }
        ours.process(&mut Vec::new()).unwrap();
        assert!(!ours.is_handshaking());
        let (ExtractedSecrets { tx, rx }, _) = server.dangerous_into_kernel_connection().unwrap();
        Self {
            ours,
            sealer: Key::new(tx.0, tx.1).unwrap(),
            opener: Key::new(rx.0, rx.1).unwrap(),
        }
    }

    /// A record with this inside, type and padding included.
    fn record(&mut self, inner: &[u8]) -> Vec<u8> {
        let len = ((inner.len() + TAG_BYTES) as u16).to_be_bytes();
        let mut record = [&[23, 3, 3, len[0], len[1]], inner, &[0; TAG_BYTES]].concat();
        self.sealer.seal(&mut record).unwrap();
        record
    }

    /// We are given a record with this inside.
    fn give(&mut self, inner: &[u8]) -> Result<(Progress, Vec<u8>), Fault> {
        let record = self.record(inner);
        self.give_raw(&record)
    }

    fn give_raw(&mut self, bytes: &[u8]) -> Result<(Progress, Vec<u8>), Fault> {
        let mut plain = Vec::new();
        self.ours.feed(bytes);
        let progress = self.ours.process(&mut plain)?;
        Ok((progress, plain))
    }

    /// The record that we have sent, opened.
    fn heard(&mut self) -> Vec<u8> {
        let mut record = self.ours.outgoing().to_vec();
        self.ours.advance(record.len());
        self.opener.open(&mut record).unwrap().to_vec()
    }

    fn refuses(mut self, inner: &[u8], alert: AlertDescription) {
        let fault = self.give(inner).unwrap_err();
        assert!(matches!(fault, Fault::Misbehaved(_)), "{fault}");
        assert_eq!(self.heard(), [FATAL, u8::from(alert), ALERT], "{fault}");
        assert_eq!(self.give(b"\x17"), Err(fault.clone()));
        assert_eq!(self.ours.seal(b"x"), Err(fault));
    }
}

/// Drives the server through its handshake; says whether it is complete.
fn server_turns(
    server: &mut UnbufferedServerConnection,
    incoming: &mut Vec<u8>,
    to: &mut Records,
) -> bool {
    loop {
        let status = server.process_tls_records(incoming);
        let discard = status.discard;
        let done = match status.state.unwrap() {
            ConnectionState::EncodeTlsData(mut data) => {
                let mut flight = vec![0; 16_384];
                let len = data.encode(&mut flight).unwrap();
                to.feed(&flight[..len]);
                None
            }
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                None
            }
            ConnectionState::WriteTraffic(_) => Some(true),
            _ => Some(false),
        };
        incoming.drain(..discard);
        if let Some(done) = done {
            return done;
        }
    }
}

pub(super) fn noise(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

#[test]
fn bytes_of_any_number_arrive_both_ways_with_every_cipher() {
    for suite in SUITES {
        let (server, client) = with_suite(suite);
        let mut pair = Pair::new(server, &client);
        pair.direct();
        let named = format!("{:?}", suite.suite());
        assert!(pair.ours.facts().unwrap().suite.ends_with(&named[5..]));
        for len in [
            1, 2, 100, 4096, 16_383, 16_384, 16_385, 32_768, 32_769, 100_000,
        ] {
            let sent = noise(len);
            pair.ours.seal(&sent).unwrap();
            assert_eq!(
                pair.ours.outgoing().len(),
                len + len.div_ceil(16_384) * 22,
                "in as few records as there can be"
            );
            assert!(pair.upstream().unwrap() == sent);
            pair.theirs.writer().write_all(&sent).unwrap();
            pair.downstream(1 + len / 3).unwrap();
            assert!(pair.plain == sent);
            pair.plain.clear();
            assert_eq!(pair.ours.held(), 0, "at rest it holds nothing");
        }
    }
}

#[test]
fn records_may_be_cut_at_every_byte() {
    let mut pair = Pair::fresh();
    for piece in 1..130 {
        pair.theirs.writer().write_all(b"200 one\r\n").unwrap();
        pair.theirs.writer().write_all(&[7; 50]).unwrap();
        pair.downstream(piece).unwrap();
        assert_eq!(pair.plain, [b"200 one\r\n", &[7; 50][..]].concat());
        assert!(!pair.ours.is_amid_record());
        pair.plain.clear();
    }
    // And the handshake itself, with the tickets and a reply that stand behind it at once.
    for piece in (1..60).chain([500, 1000, 5000]) {
        let (server, client) = configs(&[&rustls::version::TLS13]);
        let resume = ClientResume::new(&client);
        let mut theirs = ServerConnection::new(Arc::new(server)).unwrap();
        theirs.writer().write_all(b"220 there\r\n").unwrap();
        let mut pair = Pair {
            ours: Records::connect(resume.control(), name()).unwrap(),
            theirs,
            resume,
            plain: Vec::new(),
        };
        pair.ours.process(&mut Vec::new()).unwrap();
        while pair.plain.is_empty() {
            pair.upstream().unwrap();
            pair.downstream(piece).unwrap();
        }
        assert_eq!(pair.plain, b"220 there\r\n");
        assert!(!pair.resume.is_dry());
        pair.ours.seal(b"hello").unwrap();
        assert_eq!(pair.upstream().unwrap(), b"hello");
    }
}

#[test]
fn what_stands_behind_finished_is_not_swallowed() {
    // A server may send data with its very Finished, before it has heard ours (RFC 8446 section 4.4.4).
    let (mut server, client) = configs(&[&rustls::version::TLS13]);
    server.send_half_rtt_data = true;
    for piece in (1..60).chain([100, usize::MAX]) {
        let resume = ClientResume::new(&client);
        let mut pair = Pair {
            ours: Records::connect(resume.control(), name()).unwrap(),
            theirs: ServerConnection::new(Arc::new(server.clone())).unwrap(),
            resume,
            plain: Vec::new(),
        };
        pair.ours.process(&mut Vec::new()).unwrap();
        pair.upstream().unwrap();
        pair.theirs.writer().write_all(b"early").unwrap();
        pair.downstream(piece).unwrap();
        assert!(pair.theirs.is_handshaking() && !pair.ours.is_handshaking());
        assert_eq!(pair.plain, b"early");
        pair.ours.seal(b"hello").unwrap();
        assert_eq!(pair.upstream().unwrap(), b"hello");
    }
}

#[test]
fn key_updates_are_followed_and_answered_once() {
    let mut pair = Pair::fresh();
    for round in 0..100u8 {
        // Three times over without data between: one answer of ours is enough.
        for _ in 0..=round % 3 {
            pair.theirs.refresh_traffic_keys().unwrap();
        }
        pair.theirs.writer().write_all(&[round; 100]).unwrap();
        pair.downstream(37).unwrap();
        assert_eq!(pair.plain, [round; 100]);
        pair.plain.clear();
        assert!(pair.ours.outgoing().is_empty(), "due before our next data");
        pair.ours.seal(&[round; 50]).unwrap();
        assert_eq!(pair.ours.outgoing().len(), 22 + 5 + 22 + 50);
        assert_eq!(pair.upstream().unwrap(), [round; 50]);
    }
}

#[test]
fn our_key_is_changed_before_it_is_worn_out() {
    for suite in SUITES {
        let (server, client) = with_suite(suite);
        let mut pair = Pair::new(server, &client);
        let limit = pair.direct().seals_max;
        assert!(limit > 1 << 23);
        assert!(limit <= (1 << 24) - SEALS_RESERVED || suite.suite() == SUITES[2].suite());
        pair.direct().seals_max = 3;
        let mut updates = 0;
        for round in 0..20u8 {
            pair.ours.seal(&[round; 10]).unwrap();
            updates += usize::from(pair.ours.outgoing().len() > 22 + 10);
            assert_eq!(pair.upstream().unwrap(), [round; 10]);
        }
        assert!(updates >= 6, "{updates}");
    }
}

#[test]
fn a_ticket_amid_data_is_kept_and_the_newest_is_renewed() {
    let (mut server, client) = configs(&[&rustls::version::TLS13]);
    server.send_tls13_tickets = 1;
    let mut pair = Pair::new(server, &client);
    pair.downstream(usize::MAX).unwrap();
    let store = pair.resume.store();
    assert!(store.take_tls13_ticket(&name()).is_some());
    assert!(pair.resume.is_dry());
    for _ in 0..10 {
        pair.ours.renew_ticket().unwrap();
        assert!(!pair.resume.is_dry());
        assert!(store.take_tls13_ticket(&name()).is_some());
        assert!(pair.resume.is_dry());
    }
    // Not beyond its lifetime.
    pair.direct().ticket.as_mut().unwrap().lifetime = Duration::ZERO;
    pair.ours.renew_ticket().unwrap();
    assert!(pair.resume.is_dry());
    assert!(pair.direct().ticket.is_none());
    // The connection has not noticed.
    pair.ours.seal(b"NOOP\r\n").unwrap();
    assert_eq!(pair.upstream().unwrap(), b"NOOP\r\n");
}

/// A ticket as a handshake message.
pub(crate) fn ticket(len: usize) -> Vec<u8> {
    let (body, len) = ((13 + len) as u32, (len as u16).to_be_bytes());
    let mut message = vec![NEW_SESSION_TICKET];
    message.extend_from_slice(&body.to_be_bytes()[1..]);
    message.extend_from_slice(&[0, 0, 14, 16, 1, 2, 3, 4, 0, len[0], len[1]]);
    message.resize(message.len() + usize::from(u16::from_be_bytes(len)), 9);
    message.extend_from_slice(&[0, 0]);
    message
}

#[test]
fn padding_is_taken_off() {
    for zeros in [0, 1, 2, 255, 16_000] {
        let mut forger = Forger::new();
        let inner = [b"data".as_slice(), &[23], &vec![0; zeros]].concat();
        let opened = forger.give(&inner).unwrap();
        assert_eq!(opened, (Progress::Open, b"data".to_vec()));
        // Content that ends in zeros keeps them.
        let opened = forger.give(&[5, 0, 0, 23, 0, 0]).unwrap();
        assert_eq!(opened.1, [5, 0, 0]);
    }
    Forger::new().refuses(&[0; 40], AlertDescription::UnexpectedMessage);
    Forger::new().refuses(&[], AlertDescription::UnexpectedMessage);
}

#[test]
fn the_largest_record_is_taken_and_a_larger_one_refused() {
    let full = [noise(16_384), vec![23]].concat();
    assert!(Forger::new().give(&full).unwrap().1 == full[..16_384]);
    let more = [&full[..16_384], &[1, 23]].concat();
    Forger::new().refuses(&more, AlertDescription::RecordOverflow);
    let padded = [&full[..], &[0]].concat();
    Forger::new().refuses(&padded, AlertDescription::RecordOverflow);
    // One whose length says it already is refused before it has come.
    let mut forger = Forger::new();
    let fault = forger.give_raw(&[23, 3, 3, 0x41, 1]).unwrap_err();
    assert!(matches!(fault, Fault::Misbehaved(_)), "{fault}");
    assert_eq!(forger.heard()[1], 22);
}

#[test]
fn a_record_changed_anywhere_is_a_fault_and_what_came_before_it_counts() {
    let len = Forger::new().record(b"not so good\x17").len();
    // The version stands for nothing, but what was sealed with it must be opened with it.
    for at in (1..3).chain(HEADER_BYTES..len) {
        let mut forger = Forger::new();
        let good = forger.record(b"good\x17");
        let mut bad = forger.record(b"not so good\x17");
        bad[at] ^= 4;
        forger.ours.feed(&[good, bad].concat());
        let mut plain = Vec::new();
        assert_eq!(forger.ours.process(&mut plain), Err(Fault::BadRecord));
        assert_eq!(plain, b"good");
        assert_eq!(forger.heard(), [FATAL, 20, ALERT]);
    }
    // Shorter than it was made, down to nothing.
    for shorter in 1..=len - HEADER_BYTES {
        let mut forger = Forger::new();
        let mut bad = forger.record(b"not so good\x17");
        bad[4] -= shorter as u8;
        assert_eq!(forger.give_raw(&bad), Err(Fault::BadRecord));
    }
    // Out of its turn, or twice.
    let mut forger = Forger::new();
    forger.record(b"first\x17");
    let second = forger.record(b"second\x17");
    assert_eq!(forger.give_raw(&second), Err(Fault::BadRecord));
    let mut forger = Forger::new();
    let once = forger.record(b"once\x17");
    forger.give_raw(&once).unwrap();
    assert_eq!(forger.give_raw(&once), Err(Fault::BadRecord));
}

#[test]
fn handshake_messages_may_span_records_and_share_them() {
    // Two tickets in one record, a key update behind them, data under the new key.
    let mut forger = Forger::new();
    let two = [ticket(100), ticket(200), vec![HANDSHAKE]].concat();
    forger.give(&two).unwrap();
    assert_eq!(forger.kept(), 13 + 200);
    // One ticket in pieces of every size; the last piece is not full.
    for piece in [1, 2, 3, 4, 5, 63, 100, 300] {
        let whole = ticket(300 + piece);
        for part in whole.chunks(piece) {
            assert_eq!(
                forger.give(&[part, &[HANDSHAKE]].concat()).unwrap().1,
                b"".to_vec()
            );
        }
        assert_eq!(forger.kept(), 13 + 300 + piece);
        assert_eq!(forger.ours.held(), 0);
    }
    // The longest there can be is taken, but not kept.
    let whole = ticket(0xffff - 13);
    for part in whole.chunks(16_384) {
        forger.give(&[part, &[HANDSHAKE]].concat()).unwrap();
    }
    assert_eq!(forger.kept(), 13 + 600);
    forger.refuses(
        &[NEW_SESSION_TICKET, 1, 0, 0, HANDSHAKE],
        AlertDescription::DecodeError,
    );
}

#[test]
fn what_is_out_of_place_is_refused_with_its_alert() {
    let unexpected = AlertDescription::UnexpectedMessage;
    for kind in [0, 1, 19, 20, 24, 255] {
        Forger::new().refuses(&[1, kind], unexpected);
    }
    Forger::new().refuses(&[HANDSHAKE], unexpected);
    // A Finished, a request for a certificate.
    Forger::new().refuses(&[20, 0, 0, 1, 0, HANDSHAKE], unexpected);
    Forger::new().refuses(&[13, 0, 0, 0, HANDSHAKE], unexpected);
    // Data, and an alert, amid a message.
    for inner in [b"x\x17".as_slice(), &[1, 0, ALERT]] {
        let mut forger = Forger::new();
        forger.give(&[NEW_SESSION_TICKET, 0, HANDSHAKE]).unwrap();
        forger.refuses(inner, unexpected);
    }
    // A key update that does not end its record, says neither 0 nor 1, has no word or too many.
    let update = [KEY_UPDATE, 0, 0, 1, 0];
    Forger::new().refuses(&[&update[..], &update, &[HANDSHAKE]].concat(), unexpected);
    Forger::new().refuses(
        &[KEY_UPDATE, 0, 0, 1, 2, HANDSHAKE],
        AlertDescription::IllegalParameter,
    );
    Forger::new().refuses(
        &[KEY_UPDATE, 0, 0, 0, HANDSHAKE],
        AlertDescription::DecodeError,
    );
    // Tickets that are none.
    let mut broken = ticket(10);
    let end = broken.len() - 1;
    broken[end] = 1;
    Forger::new().refuses(
        &[&broken[..], &[HANDSHAKE]].concat(),
        AlertDescription::DecodeError,
    );
    // Alerts of one byte, of three.
    Forger::new().refuses(&[1, ALERT], AlertDescription::DecodeError);
    Forger::new().refuses(&[1, 0, 0, ALERT], AlertDescription::DecodeError);
    // In the clear, whatever it is.
    for record in [
        &[21, 3, 3, 0, 2, 1, 0][..],
        &[20, 3, 3, 0, 1, 1],
        b"226 done\r\n",
    ] {
        let mut forger = Forger::new();
        let fault = forger.give_raw(record).unwrap_err();
        assert!(matches!(fault, Fault::Misbehaved(_)), "{fault}");
        assert_eq!(forger.heard(), [FATAL, 10, ALERT]);
    }
}

#[test]
fn fruitless_records_are_borne_with_for_a_while() {
    let mut forger = Forger::new();
    for _ in 0..3 {
        for _ in 0..limits::FRUITLESS_RECORDS_MAX / 2 {
            assert_eq!(forger.give(&[23]).unwrap().1, b"");
            assert_eq!(forger.give(&[1, 90, ALERT]).unwrap().1, b"");
        }
        forger.give(b"data\x17").unwrap();
    }
    for _ in 0..limits::FRUITLESS_RECORDS_MAX {
        forger.give(&[23]).unwrap();
    }
    forger.refuses(&[23], AlertDescription::UnexpectedMessage);
}

#[test]
fn alerts_end_it_and_close_notify_is_no_fault() {
    // An error is one whatever its level says, and is not answered.
    for level in [WARNING, FATAL] {
        let mut forger = Forger::new();
        let fault = forger.give(&[level, 40, ALERT]).unwrap_err();
        assert_eq!(fault, Fault::Alert(AlertDescription::HandshakeFailure));
        assert!(forger.ours.outgoing().is_empty());
    }
    let mut forger = Forger::new();
    let mut wire = forger.record(b"last\x17");
    wire.extend(forger.record(&[WARNING, 0, ALERT]));
    wire.extend_from_slice(b"whatever stands behind");
    let closed = forger.give_raw(&wire).unwrap();
    assert_eq!(closed, (Progress::Closed, b"last".to_vec()));
    assert!(forger.ours.peer_closed() && !forger.ours.is_amid_record());
    assert_eq!(forger.give_raw(b"more").unwrap().0, Progress::Closed);
    assert!(!forger.ours.is_amid_record());
    // Our direction goes on, until we end it; once.
    forger.ours.seal(b"QUIT").unwrap();
    assert_eq!(forger.heard(), b"QUIT\x17");
    forger.ours.seal_close_notify().unwrap();
    forger.ours.seal_close_notify().unwrap();
    assert_eq!(forger.heard(), [WARNING, 0, ALERT]);
    assert!(forger.ours.seal(b"more").is_err());

    let mut pair = Pair::fresh();
    pair.theirs.send_close_notify();
    assert_eq!(pair.downstream(usize::MAX), Ok(Progress::Closed));
    pair.ours.seal_close_notify().unwrap();
    let mut wire = pair.ours.outgoing();
    pair.theirs.read_tls(&mut wire).unwrap();
    assert!(pair.theirs.process_new_packets().unwrap().peer_has_closed());
}

impl Forger {
    /// Bytes of the ticket that can be renewed.
    fn kept(&mut self) -> usize {
        let ticket = self.ours.direct().unwrap().ticket.as_ref();
        ticket.unwrap().payload.len()
    }
}

/// What stands in a record of this kind: mostly something that says what it is.
pub(super) fn of_kind(kind: u8, mut inner: Vec<u8>) -> Vec<u8> {
    match kind {
        0 => inner.push(ALERT),
        1 | 2 => inner.push(HANDSHAKE),
        3 => inner.extend([KEY_UPDATE, 0, 0, 1, 1, HANDSHAKE]),
        4 => inner.push(APPLICATION_DATA),
        _ => {}
    }
    inner
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    /// Whatever comes, sealed or not, in whatever pieces: nothing panics, and a fault stays.
    #[test]
    fn nothing_that_comes_reaches_a_panic(
        inners in proptest::collection::vec((0u8..6, proptest::collection::vec(0u8..26, 0..40)), 0..12),
        raw in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        piece in 1usize..300,
    ) {
        let mut forger = Forger::new();
        let mut wire = Vec::new();
        for (kind, inner) in inners {
            wire.extend(forger.record(&of_kind(kind, inner)));
        }
        wire.extend(raw);
        let mut plain = Vec::new();
        for part in wire.chunks(piece) {
            forger.ours.feed(part);
            if let Err(fault) = forger.ours.process(&mut plain) {
                proptest::prop_assert_eq!(forger.ours.process(&mut plain), Err(fault.clone()));
                proptest::prop_assert_eq!(forger.ours.seal(b"x"), Err(fault));
            }
        }
        proptest::prop_assert!(plain.len() <= wire.len());
        forger.ours.renew_ticket().ok();
    }
}
