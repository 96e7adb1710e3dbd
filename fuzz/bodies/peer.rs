//! The other end of a TLS 1.3 connection with its keys in our hand: it seals what no TLS library would.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::crypto::aws_lc_rs::{self as provider, cipher_suite, kx_group};
use rustls::kernel::KernelConnection;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{
    ClientConfig, ConnectionTrafficSecrets, ExtractedSecrets, RootCertStore, ServerConfig,
};
use sluicegate::tls::Records;

/// How many suites there are to choose from.
pub(super) const SUITES: usize = 3;

pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const DATA: u8 = 23;

const HEADER_BYTES: usize = 5;
const TAG_BYTES: usize = 16;

/// Configurations by suite: ours with records of our own, ours with rustls' records, the peer's.
pub(super) struct Configs {
    /// By whether the records are our own.
    pub(super) server: [Arc<ServerConfig>; 2],
    /// The same.
    pub(super) client: [Arc<ClientConfig>; 2],
}

/// Made once: a certificate for each input would be most of the work.
pub(super) static CONFIGS: LazyLock<[Configs; SUITES]> = LazyLock::new(|| {
    let suites = [
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    let made = rcgen::generate_simple_self_signed(["gate.test".to_owned()]);
    let rcgen::CertifiedKey { cert, signing_key } = made.expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    suites.map(|suite| {
        let mut crypto = provider::default_provider();
        crypto.cipher_suites = vec![suite];
        crypto.kx_groups = vec![kx_group::X25519];
        let crypto = Arc::new(crypto);
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&crypto))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .expect("a certificate with its key");
        // Tickets stand in records only where a test puts them.
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.3")
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        client.resumption = rustls::client::Resumption::disabled();
        let (mut own_server, mut own_client) = (server.clone(), client.clone());
        own_server.enable_secret_extraction = true;
        own_client.enable_secret_extraction = true;
        Configs {
            server: [Arc::new(server), Arc::new(own_server)],
            client: [Arc::new(client), Arc::new(own_client)],
        }
    })
});

pub(super) fn name() -> ServerName<'static> {
    ServerName::try_from("gate.test").expect("a name")
}

/// rustls, amid its handshake.
pub(super) enum Shaking {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

impl Shaking {
    /// The peer of a server, or of a client.
    pub(super) fn towards(configs: &Configs, is_server: bool) -> Self {
        if is_server {
            let client = UnbufferedClientConnection::new(Arc::clone(&configs.client[1]), name());
            Self::Client(Box::new(client.expect("a client")))
        } else {
            let server = UnbufferedServerConnection::new(Arc::clone(&configs.server[1]));
            Self::Server(Box::new(server.expect("a server")))
        }
    }

    /// Hears all that is in `wire`, and gives what is to be said to it; nothing when it hears no more.
    pub(super) fn turn(&mut self, wire: &mut Vec<u8>) -> Option<Vec<u8>> {
        let mut said = Vec::new();
        loop {
            let (done, rests) = match self {
                Self::Server(server) => settle(server.process_tls_records(wire), &mut said)?,
                Self::Client(client) => settle(client.process_tls_records(wire), &mut said)?,
            };
            wire.drain(..done);
            if rests {
                return Some(said);
            }
        }
    }

    fn is_handshaking(&self) -> bool {
        match self {
            Self::Server(server) => server.is_handshaking(),
            Self::Client(client) => client.is_handshaking(),
        }
    }

    fn retire(self) -> Peer {
        let (secrets, maker) = match self {
            Self::Server(server) => {
                let (secrets, kernel) = server.dangerous_into_kernel_connection().expect("keys");
                (secrets, Maker::Server(kernel))
            }
            Self::Client(client) => {
                let (secrets, kernel) = client.dangerous_into_kernel_connection().expect("keys");
                (secrets, Maker::Client(kernel))
            }
        };
        let ExtractedSecrets { tx, rx } = secrets;
        Peer {
            maker,
            sealer: Key::new(tx),
            opener: Key::new(rx),
        }
    }
}

/// One state of rustls; what is done with of the wire, and whether it waits for more.
fn settle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    said: &mut Vec<u8>,
) -> Option<(usize, bool)> {
    let discard = status.discard;
    let rests = match status.state.ok()? {
        ConnectionState::EncodeTlsData(mut data) => {
            let mut flight = Vec::new();
            while let Err(EncodeError::InsufficientSize(short)) = data.encode(&mut flight) {
                flight.resize(short.required_size, 0);
            }
            said.extend(flight);
            false
        }
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            false
        }
        _ => true,
    };
    Some((discard, rests))
}

enum Maker {
    Server(KernelConnection<ServerConnectionData>),
    Client(KernelConnection<ClientConnectionData>),
}

/// A key with the number of its next record (RFC 8446 section 5.3).
struct Key {
    aead: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Key {
    fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Self {
        let (algorithm, key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => panic!("a suite of ours"),
        };
        let unbound = UnboundKey::new(algorithm, key.as_ref()).expect("a key");
        Self {
            aead: LessSafeKey::new(unbound),
            iv: iv.as_ref().try_into().expect("twelve bytes"),
            sequence,
        }
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce =
            u128::from_be_bytes([&[0; 4], &self.iv[..]].concat().try_into().expect("16"));
        nonce ^= u128::from(self.sequence);
        self.sequence += 1;
        Nonce::try_assume_unique_for_key(&nonce.to_be_bytes()[4..]).expect("twelve bytes")
    }
}

/// A peer behind its handshake.
pub(super) struct Peer {
    maker: Maker,
    sealer: Key,
    opener: Key,
}

/// What a peer was told.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Heard {
    pub(super) plain: Vec<u8>,
    pub(super) alerts: Vec<u8>,
}

/// Both ends of a connection before its handshake: our records, own or rustls', and a peer.
pub(super) fn strangers(suite: usize, we_serve: bool, is_own: bool) -> (Records, Shaking) {
    let (configs, own) = (&CONFIGS[suite], usize::from(is_own));
    let ours = if we_serve {
        Records::accept(Arc::clone(&configs.server[own]))
    } else {
        Records::connect(Arc::clone(&configs.client[own]), name())
    };
    let ours = ours.expect("a configuration that fits");
    (ours, Shaking::towards(configs, we_serve))
}

impl Peer {
    /// A connection between our records, own or rustls', and a peer: the server's side is ours, or its.
    pub(super) fn shaken(suite: usize, we_serve: bool, is_own: bool) -> (Records, Self) {
        let (mut ours, mut theirs) = strangers(suite % SUITES, we_serve, is_own);
        let (mut wire, mut none) = (Vec::new(), Vec::new());
        while ours.is_handshaking() || theirs.is_handshaking() {
            let said = theirs.turn(&mut wire).expect("a good handshake");
            ours.feed(&said);
            ours.process(&mut none).expect("a good handshake");
            wire.extend_from_slice(ours.outgoing());
            ours.advance(ours.outgoing().len());
        }
        assert!(none.is_empty() && wire.is_empty());
        (ours, theirs.retire())
    }

    pub(super) const fn is_server(&self) -> bool {
        matches!(self.maker, Maker::Server(_))
    }

    /// A record with this in it, its type and padding included.
    pub(super) fn record(&mut self, inner: &[u8]) -> Vec<u8> {
        let len = u16::try_from(inner.len() + TAG_BYTES).expect("short of 64 KiB");
        let [high, low] = len.to_be_bytes();
        let header = [DATA, 3, 3, high, low];
        let mut sealed = inner.to_vec();
        let nonce = self.sealer.nonce();
        self.sealer
            .aead
            .seal_in_place_append_tag(nonce, Aad::from(header), &mut sealed)
            .expect("sealed");
        [&header[..], &sealed].concat()
    }

    /// A key update (RFC 8446 section 4.6.3), which may ask for one.
    pub(super) fn update(&mut self, asks: u8) -> Vec<u8> {
        let record = self.record(&[24, 0, 0, 1, asks, HANDSHAKE]);
        self.sealer = Key::new(match &mut self.maker {
            Maker::Server(kernel) => kernel.update_tx_secret().expect("a key"),
            Maker::Client(kernel) => kernel.update_tx_secret().expect("a key"),
        });
        record
    }

    /// All that `ours` has to say, record by record; what does not open, or is no record, is our fault.
    pub(super) fn hear(&mut self, ours: &mut Records, heard: &mut Heard) {
        let wire = ours.outgoing().to_vec();
        ours.advance(wire.len());
        let mut rest = &wire[..];
        while let Some((header, behind)) = rest.split_first_chunk::<HEADER_BYTES>() {
            let [kind, 3, 3, high, low] = *header else {
                panic!("a header: {header:?}");
            };
            assert_eq!(kind, DATA, "in the clear");
            let len = usize::from(u16::from_be_bytes([high, low]));
            let (sealed, behind) = behind.split_at_checked(len).expect("whole records");
            rest = behind;
            let mut sealed = sealed.to_vec();
            let nonce = self.opener.nonce();
            let opened = self
                .opener
                .aead
                .open_in_place(nonce, Aad::from(header), &mut sealed);
            let inner = opened.expect("sealed in its turn");
            assert!(inner.len() <= (1 << 14) + 1);
            let end = inner.iter().rposition(|&byte| byte != 0).expect("a type");
            match (inner[end], &inner[..end]) {
                (DATA, content) => heard.plain.extend_from_slice(content),
                (ALERT, &[_, alert]) => heard.alerts.push(alert),
                (HANDSHAKE, &[24, 0, 0, 1, 0 | 1]) => {
                    self.opener = Key::new(match &mut self.maker {
                        Maker::Server(kernel) => kernel.update_rx_secret().expect("a key"),
                        Maker::Client(kernel) => kernel.update_rx_secret().expect("a key"),
                    });
                }
                other => panic!("what nobody asked for: {other:?}"),
            }
        }
        assert!(rest.is_empty(), "the beginning of a record");
    }
}
