//! Both ends of the record layer against each other, in memory; and configurations that other floors' tests use.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::unbuffered::ConnectionState;
use rustls::{ClientConfig, NamedGroup, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::stores::ClientSessions;
use super::*;
use crate::limits;

pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

/// A server's configuration and that of a client who trusts it.
pub(crate) fn configs(
    versions: &[&'static SupportedProtocolVersion],
) -> (ServerConfig, ClientConfig) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["gate.test".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let server = ServerConfig::builder_with_protocol_versions(versions)
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, client)
}

pub(crate) fn name() -> ServerName<'static> {
    ServerName::try_from("gate.test").unwrap()
}

/// Carries everything that `from` has to say to `to`, in pieces of `piece` bytes.
fn carry(
    from: &mut Records,
    to: &mut Records,
    plain: &mut Vec<u8>,
    piece: usize,
) -> Result<usize, Fault> {
    let mut carried = 0;
    while !from.outgoing().is_empty() {
        let len = from.outgoing().len().min(piece);
        to.feed(&from.outgoing()[..len]);
        from.advance(len);
        carried += len;
        to.process(plain)?;
    }
    Ok(carried)
}

/// Lets both talk until neither has anything to say.
fn settle(client: &mut Records, server: &mut Records, piece: usize) -> Result<(), Fault> {
    let mut none = Vec::new();
    client.process(&mut none)?;
    loop {
        let moved =
            carry(client, server, &mut none, piece)? + carry(server, client, &mut none, piece)?;
        if moved == 0 {
            break;
        }
    }
    assert!(none.is_empty());
    Ok(())
}

fn shaken(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> (Records, Records) {
    shaken_as(server, client, name()).unwrap()
}

/// A server and a client through their handshake.
pub(super) fn shaken_as(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<(Records, Records), Fault> {
    let mut server = Records::accept(Arc::clone(server)).unwrap();
    let mut client = Records::connect(Arc::clone(client), name).unwrap();
    assert_eq!(client.facts(), None);
    settle(&mut client, &mut server, usize::MAX)?;
    assert!(!client.is_handshaking() && !server.is_handshaking());
    assert_eq!(agreed(&client), agreed(&server));
    Ok((server, client))
}

fn fresh(version: &'static SupportedProtocolVersion) -> (Records, Records) {
    let (server, client) = configs(&[version]);
    shaken(&Arc::new(server), &Arc::new(client))
}

/// What both sides know alike: only one of them has been shown a certificate.
fn agreed(records: &Records) -> Option<TlsFacts> {
    let facts = records.facts()?;
    Some(TlsFacts {
        peer: None,
        ..facts
    })
}

#[test]
fn handshakes_agree_in_pieces_of_any_size() {
    for version in VERSIONS {
        for piece in [1, 7, 1000, usize::MAX] {
            let (server, client) = configs(&[version]);
            let mut server = Records::accept(Arc::new(server)).unwrap();
            let mut client = Records::connect(Arc::new(client), name()).unwrap();
            settle(&mut client, &mut server, piece).unwrap();
            let facts = server.facts().unwrap();
            assert_eq!(agreed(&client), agreed(&server));
            assert!(!facts.resumed);
            assert!(facts.group.is_some());
            assert!(facts.suite.starts_with("TLS"), "{facts:?}");
            let expected = if version.version == rustls::ProtocolVersion::TLSv1_2 {
                TlsVersion::V12
            } else {
                TlsVersion::V13
            };
            assert_eq!(facts.version, expected);
        }
    }
}

#[test]
fn bytes_arrive_whole_and_close_notify_ends_them() {
    for version in VERSIONS {
        let (mut server, mut client) = fresh(version);
        let sent: Vec<u8> = (0..300_000u32).map(|at| at as u8).collect();
        client.seal(&sent).unwrap();
        client.seal(&[]).unwrap();
        client.seal_close_notify().unwrap();
        client.seal_close_notify().unwrap();
        assert!(client.seal(b"more").is_err());
        let mut got = Vec::new();
        carry(&mut client, &mut server, &mut got, 5000).unwrap();
        assert!(got == sent);
        assert!(server.peer_closed());
        assert!(!server.is_amid_record());
        assert_eq!(server.process(&mut got), Ok(Progress::Closed));
        // The other direction goes on: TLS closes each for itself.
        server.seal(b"226 done\r\n").unwrap();
        server.seal_close_notify().unwrap();
        let mut reply = Vec::new();
        carry(&mut server, &mut client, &mut reply, usize::MAX).unwrap();
        assert_eq!(reply, b"226 done\r\n");
        assert!(client.peer_closed());
        // What comes behind close_notify is ignored, by all but `part`.
        server.feed(&[0; 100]);
        assert_eq!(server.process(&mut got), Ok(Progress::Closed));
        assert!(!server.is_amid_record());
    }
}

#[test]
fn sealing_in_between_loses_nothing_that_has_come() {
    for version in VERSIONS {
        let (mut server, mut client) = fresh(version);
        client.seal(b"one").unwrap();
        server.feed(client.outgoing());
        client.advance(client.outgoing().len());
        // Not processed yet: sealing decrypts it on its way and keeps it.
        server.seal(b"two").unwrap();
        let mut got = Vec::new();
        assert_eq!(server.process(&mut got), Ok(Progress::Open));
        assert_eq!(got, b"one");
        got.clear();
        carry(&mut server, &mut client, &mut got, usize::MAX).unwrap();
        assert_eq!(got, b"two");
    }
}

#[test]
fn key_updates_are_answered_and_survived() {
    // Our own client asks for one by itself only after 2^24 records, so the peer here is rustls' buffered connection.
    let (server, client) = configs(&[&rustls::version::TLS13]);
    let mut server = Records::accept(Arc::new(server)).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(client), name()).unwrap();
    let mut plain = Vec::new();
    let carry =
        |server: &mut Records, client: &mut rustls::ClientConnection, plain: &mut Vec<u8>| {
            loop {
                let mut wire = Vec::new();
                while client.wants_write() {
                    client.write_tls(&mut wire).unwrap();
                }
                server.feed(&wire);
                server.process(plain).unwrap();
                let answer = server.outgoing().to_vec();
                server.advance(answer.len());
                if wire.is_empty() && answer.is_empty() {
                    break;
                }
                let mut rest = &answer[..];
                while !rest.is_empty() {
                    client.read_tls(&mut rest).unwrap();
                    client.process_new_packets().unwrap();
                }
            }
        };
    carry(&mut server, &mut client, &mut plain);
    for round in 0..20u8 {
        client.refresh_traffic_keys().unwrap();
        std::io::Write::write_all(&mut client.writer(), &[round; 100]).unwrap();
        carry(&mut server, &mut client, &mut plain);
        assert_eq!(plain, [round; 100]);
        plain.clear();
        server.seal(&[round; 50]).unwrap();
        carry(&mut server, &mut client, &mut plain);
        let mut got = [0; 50];
        std::io::Read::read_exact(&mut client.reader(), &mut got).unwrap();
        assert_eq!(got, [round; 50]);
    }
}

#[test]
fn faults_are_named_kept_and_leave_an_alert() {
    // Not TLS at all.
    let (server, client) = configs(&VERSIONS);
    let mut deaf = Records::accept(Arc::new(server)).unwrap();
    deaf.feed(b"USER anonymous\r\n");
    assert_eq!(deaf.process(&mut Vec::new()), Err(Fault::NotTls));
    assert_eq!(deaf.process(&mut Vec::new()), Err(Fault::NotTls));
    assert_eq!(deaf.seal(b"x"), Err(Fault::NotTls));
    assert!(!deaf.outgoing().is_empty(), "an alert is due");

    // A certificate nobody vouches for: refused here, and by an alert there.
    let (stranger, _) = configs(&VERSIONS);
    let stranger = Arc::new(stranger);
    let control = ClientResume::new(&client).control();
    for mut refusing in [
        Records::connect(Arc::new(client), name()).unwrap(),
        Records::connect(Arc::clone(&control), name()).unwrap(),
    ] {
        let mut server = Records::accept(Arc::clone(&stranger)).unwrap();
        let refused = settle(&mut refusing, &mut server, usize::MAX).unwrap_err();
        assert!(matches!(refused, Fault::Certificate(_)), "{refused}");
        let told = carry(&mut refusing, &mut server, &mut Vec::new(), usize::MAX).unwrap_err();
        assert!(matches!(told, Fault::Alert(_)), "{told}");
    }

    // A backend that says 234 and goes on in the clear.
    let mut control = Records::connect(control, name()).unwrap();
    control.process(&mut Vec::new()).unwrap();
    control.feed(b"500 no\r\n");
    assert_eq!(control.process(&mut Vec::new()), Err(Fault::NotTls));

    // No version in common.
    let (server, _) = configs(&[&rustls::version::TLS12]);
    let (_, client) = configs(&[&rustls::version::TLS13]);
    let mut server = Records::accept(Arc::new(server)).unwrap();
    let mut client = Records::connect(Arc::new(client), name()).unwrap();
    let differing = settle(&mut client, &mut server, usize::MAX).unwrap_err();
    assert!(matches!(differing, Fault::NoCommonGround(_)), "{differing}");

    // A record changed on its way: what came before it is given, and it is no end.
    for version in VERSIONS {
        let (mut server, mut client) = fresh(version);
        client.seal(b"good").unwrap();
        let good = client.outgoing().len();
        client.seal(b"bad!").unwrap();
        let mut wire = client.outgoing().to_vec();
        wire[good + 12] ^= 1;
        server.feed(&wire);
        let mut got = Vec::new();
        assert_eq!(server.process(&mut got), Err(Fault::BadRecord));
        assert_eq!(got, b"good");
        assert!(!server.peer_closed());
        client.advance(wire.len());
        let alert = carry(&mut server, &mut client, &mut got, usize::MAX).unwrap_err();
        assert!(
            matches!(alert, Fault::Alert(rustls::AlertDescription::BadRecordMac)),
            "{alert}"
        );
    }
}

#[test]
fn hundreds_of_data_connections_resume_their_control_connection() {
    for version in VERSIONS {
        let (server, client) = configs(&[version]);
        let ours = ServerResume::new(&server);
        let theirs = ClientResume::new(&client);
        let control = shaken(&ours.control(), &theirs.control());
        assert!(!control.0.facts().unwrap().resumed);
        for round in 0..320 {
            // An upload brings no ticket, so a download brings one for it, too.
            let side = [ours.download(), ours.upload()][round % 2].clone();
            let (mut data_server, mut data_client) = shaken(&side, &theirs.data());
            assert!(data_server.facts().unwrap().resumed, "transfer {round}");
            assert!(data_client.facts().unwrap().resumed, "transfer {round}");
            assert!(!theirs.is_dry());
            data_server.seal(b"x").unwrap();
            let mut got = Vec::new();
            carry(&mut data_server, &mut data_client, &mut got, usize::MAX).unwrap();
            assert_eq!(got, b"x");
        }
        // Another session of the same listener and the same client: nothing to resume.
        let other = shaken(&ServerResume::new(&server).download(), &theirs.data());
        assert!(!other.0.facts().unwrap().resumed);
        let other = shaken(&ours.download(), &ClientResume::new(&client).data());
        assert!(!other.0.facts().unwrap().resumed);
    }
}

#[test]
fn the_control_connections_sessions_are_neither_used_up_nor_pushed_out() {
    // rustls' own client never offers a ticket twice; lftp offers nothing but the control connection's first one.
    let (server, _) = configs(&VERSIONS);
    let ours = ServerResume::new(&server);
    assert!(ours.control().session_storage.put(vec![0], vec![1]));
    for round in 1..1000_u32 {
        let data = ours.download().session_storage.clone();
        assert!(data.put(round.to_be_bytes().to_vec(), vec![2]));
        assert_eq!(data.take(&[0]), Some(vec![1]), "transfer {round}");
        assert_eq!(data.get(&[0]), Some(vec![1]), "transfer {round}");
    }
    let data = ours.download().session_storage.clone();
    let kept = |round: &u32| data.get(&round.to_be_bytes()).is_some();
    assert_eq!(
        (1..1000).filter(kept).count(),
        limits::CLIENT_TICKETS_KEPT_MAX,
        "the newest ones"
    );
    assert!(kept(&999));
    // What is put again is what is found.
    assert!(data.put(999_u32.to_be_bytes().to_vec(), vec![3]));
    assert_eq!(data.get(&999_u32.to_be_bytes()), Some(vec![3]));
    let others = ServerResume::new(&server);
    assert_eq!(others.download().session_storage.get(&[0]), None);
}

#[test]
fn a_thousand_uploads_resume_a_backend_that_gives_no_more_tickets() {
    for version in VERSIONS {
        let (server, client) = configs(&[version]);
        let (ours, theirs) = (ServerResume::new(&server), ClientResume::new(&client));
        assert!(theirs.is_dry());
        let (mut server, mut control) = shaken(&ours.control(), &theirs.control());
        let mut renewals = 0;
        for round in 0..1000 {
            if theirs.is_dry() {
                control.renew_ticket().unwrap();
                renewals += 1;
            }
            let (data, _) = shaken(&ours.upload(), &theirs.data());
            assert!(data.facts().unwrap().resumed, "transfer {round}");
        }
        let thirteen = version.version == rustls::ProtocolVersion::TLSv1_3;
        assert_eq!(
            renewals,
            if thirteen {
                1000 - limits::CONTROL_TICKETS.min(limits::BACKEND_TICKETS_KEPT_MAX)
            } else {
                0
            }
        );
        // The control connection has not noticed.
        control.seal(b"NOOP").unwrap();
        let mut got = Vec::new();
        carry(&mut control, &mut server, &mut got, usize::MAX).unwrap();
        assert_eq!(got, b"NOOP");
        assert_eq!(control.held(), 0);
    }
}

/// The store of a client who uses the tickets of its control connection only.
#[derive(Debug)]
struct ControlOnly {
    sessions: ClientSessions,
    data: std::sync::atomic::AtomicBool,
}

impl ClientSessionStore for ControlOnly {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.sessions.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        if !self.data.load(Ordering::Relaxed) {
            self.sessions.set_tls12_session(server, session);
        }
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.sessions.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.sessions.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        if !self.data.load(Ordering::Relaxed) {
            self.sessions.insert_tls13_ticket(server, ticket);
        }
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.sessions.take_tls13_ticket(server)
    }
}

#[test]
fn a_client_may_offer_the_same_ticket_for_every_transfer() {
    // As curl and lftp do. The tickets that downloads bring in between must not drive out the first ones.
    for version in VERSIONS {
        let (server, mut client) = configs(&[version]);
        let ours = ServerResume::new(&server);
        let store = Arc::new(ControlOnly {
            sessions: ClientSessions::new(),
            data: false.into(),
        });
        client.resumption = Resumption::store(Arc::clone(&store) as Arc<_>);
        client.enable_secret_extraction = true;
        let client = Arc::new(client);
        let (_server, mut control) = shaken(&ours.control(), &client);
        let thirteen = version.version == rustls::ProtocolVersion::TLSv1_3;
        while thirteen && store.take_tls13_ticket(&name()).is_some() {}
        for round in 0..300 {
            store.data.store(false, Ordering::Relaxed);
            control.renew_ticket().unwrap();
            store.data.store(true, Ordering::Relaxed);
            let side = [ours.download(), ours.upload()][round % 2].clone();
            let (data, _) = shaken(&side, &client);
            assert!(data.facts().unwrap().resumed, "transfer {round}");
        }
    }
}

#[test]
fn uploads_get_no_tickets_and_downloads_do() {
    let (server, client) = configs(&[&rustls::version::TLS13]);
    let ours = ServerResume::new(&server);
    let tickets = |config: Arc<ServerConfig>| {
        let mut client =
            rustls::client::UnbufferedClientConnection::new(Arc::new(client.clone()), name())
                .unwrap();
        let mut server = Records::accept(config).unwrap();
        let mut incoming = Vec::new();
        for _ in 0..30 {
            let status = client.process_tls_records(&mut incoming);
            let discard = status.discard;
            match status.state.unwrap() {
                ConnectionState::EncodeTlsData(mut data) => {
                    let mut flight = vec![0; 4096];
                    let len = data.encode(&mut flight).unwrap();
                    server.feed(&flight[..len]);
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                _ => server.process(&mut Vec::new()).map(drop).unwrap(),
            }
            incoming.drain(..discard);
            incoming.extend_from_slice(server.outgoing());
            server.advance(server.outgoing().len());
        }
        assert!(!server.is_handshaking());
        client.tls13_tickets_received() as usize
    };
    assert_eq!(tickets(ours.control()), limits::CONTROL_TICKETS);
    assert_eq!(tickets(ours.download()), limits::DATA_TICKETS);
    assert_eq!(tickets(ours.upload()), 0);
}

#[test]
fn resumption_goes_on_with_a_server_that_gives_one_ticket() {
    // OpenSSL gives one new ticket for each that was used; and some transfers take no ticket from their connection.
    let (mut server, client) = configs(&[&rustls::version::TLS13]);
    server.send_tls13_tickets = 1;
    let server = Arc::new(server);
    let theirs = ClientResume::new(&client);
    shaken(&server, &theirs.control());
    for _ in 0..300 {
        let (data, _) = shaken(&server, &theirs.data());
        assert!(data.facts().unwrap().resumed);
    }
    let mut without = client;
    without.resumption = Resumption::disabled();
    let without = Arc::new(without);
    shaken(&server, &without);
    assert!(!shaken(&server, &without).0.facts().unwrap().resumed);
}

#[test]
fn a_store_is_of_one_server() {
    let (server, client) = configs(&VERSIONS);
    let theirs = ClientResume::new(&client);
    shaken(&Arc::new(server), &theirs.control());
    assert!(!theirs.is_dry());
    let other = ServerName::try_from("other.test").unwrap();
    assert!(theirs.store().take_tls13_ticket(&other).is_none());
    assert!(theirs.is_dry());
}

#[test]
fn a_connection_at_rest_holds_no_buffers() {
    for version in VERSIONS {
        let (mut server, mut client) = fresh(version);
        client.seal(&[1; 20_000]).unwrap();
        let mut got = Vec::new();
        carry(&mut client, &mut server, &mut got, 4096).unwrap();
        assert!(client.outgoing().is_empty());
        assert_eq!(server.held() + client.held(), 0);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

    /// Nothing that a peer sends reaches a panic: one byte of a conversation is changed, cut anywhere.
    #[test]
    fn a_changed_byte_is_a_fault_or_harmless(
        at in 0usize..6000, change in 1u8.., piece in 1usize..3000, twelve in proptest::bool::ANY, by_client: bool,
        control: bool,
    ) {
        let (server, client) = configs(&[VERSIONS[usize::from(twelve)]]);
        let client = if control {
            ClientResume::new(&client).control()
        } else {
            Arc::new(client)
        };
        let mut ends = [Records::connect(client, name()).unwrap(), Records::accept(Arc::new(server)).unwrap()];
        let (mut passed, mut plain) = (0, Vec::new());
        ends[0].process(&mut plain).unwrap();
        let mut said = false;
        for turn in 0..40 {
            let [client, server] = &mut ends;
            let from_client = turn % 2 == 0;
            let (from, to) = if from_client { (client, server) } else { (server, client) };
            let mut wire = from.outgoing().to_vec();
            from.advance(wire.len());
            if from_client == by_client {
                if let Some(byte) = at.checked_sub(passed).and_then(|at| wire.get_mut(at)) {
                    *byte ^= change;
                }
                passed += wire.len();
            }
            for part in wire.chunks(piece) {
                to.feed(part);
                if let Err(fault) = to.process(&mut plain) {
                    proptest::prop_assert_eq!(to.process(&mut plain), Err(fault));
                }
            }
            if !said && ends.iter().all(|end| !end.is_handshaking()) {
                said = true;
                for end in &mut ends {
                    end.seal(&[7; 2000]).ok();
                    end.seal_close_notify().ok();
                }
            }
        }
        proptest::prop_assert!(plain.iter().all(|&byte| byte == 7));
    }
}
