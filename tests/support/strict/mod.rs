//! A strict FTPS client that writes down what happens on its connections, and can misbehave on purpose.
//!
//! The order of its journal is the proof of "226 only after close_notify and FIN": it looks at the control
//! connection first and at the data connection second, so a final reply that stands before the FIN was sent first.

mod journal;
mod transfer;

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::certs::{Authority, Versions};
use super::door;
use super::wire::{Got, Wire};
use super::{PASSWORD, USER};
pub(crate) use journal::{Event, Reply, Transfer};

/// How the client treats the data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Polite,
    /// Connects only after the preliminary reply.
    ConnectAfterPreliminary,
    /// Connects, then lets this time pass before its handshake.
    LateHandshake(Duration),
    /// Never opens the data connection.
    NeverConnect,
    /// Opens it, and closes it with FIN without a handshake.
    BareClose,
    /// Opens it, and resets it without a handshake.
    BareReset,
    /// Ends an upload with FIN, without close_notify.
    Unfinished,
    /// Resets an upload after its bytes.
    ResetAfterBytes,
    /// Speaks no TLS where it is awaited.
    PlainBytes,
    /// Opens it and then says and reads nothing at all.
    Silent,
}

/// A client session.
pub(crate) struct Strict {
    control: Wire,
    heard: Vec<u8>,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    /// Asks for the data port with PASV instead of EPSV.
    pub(crate) pasv: bool,
    /// Has data connections opened to it, having said PORT or EPRT.
    pub(crate) active: Option<&'static str>,
    private: bool,
}

impl Strict {
    /// Connects and hears the greeting.
    pub(crate) fn greet(address: SocketAddr, config: Arc<ClientConfig>) -> Self {
        let mut client = Self::connect(address, config);
        client.hear().expect(&[220]);
        client
    }

    /// Connects; the greeting is still to be heard.
    pub(crate) fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> Self {
        Self::over(Wire::connect(address).unwrap(), config)
    }

    /// Goes on with a connection that stands; the greeting is still to be heard.
    pub(crate) fn over(control: Wire, config: Arc<ClientConfig>) -> Self {
        Self {
            name: ServerName::from(control.peer().ip()),
            control,
            heard: Vec::new(),
            config,
            pasv: false,
            active: None,
            private: false,
        }
    }

    /// Calls the server by a name, which its certificate must bear; `shown` says whether in its handshakes, too.
    pub(crate) fn call(&mut self, name: &'static str, shown: bool) {
        self.name = ServerName::try_from(name).unwrap();
        Arc::make_mut(&mut self.config).enable_sni = shown;
    }

    /// As `open`, and it would rather have its keys exchanged by X25519MLKEM768.
    pub(crate) fn open_hybrid(address: SocketAddr, authority: &Authority) -> Self {
        let mut client = Self::greet(address, authority.hybrid_client());
        client.auth();
        client.login();
        client.protect('P');
        client
    }

    /// Forgets every TLS session: the next data connection begins a new one.
    pub(crate) fn forget(&mut self, authority: &Authority, versions: Versions) {
        self.go_by(authority.client(versions));
    }

    /// Its data connections resume the other client's TLS sessions.
    pub(crate) fn borrow(&mut self, other: &Self) {
        self.config = Arc::clone(&other.config);
    }

    /// Its data connections go by this from now on.
    pub(crate) fn go_by(&mut self, config: Arc<ClientConfig>) {
        self.config = config;
    }

    /// A private session, logged in, its data connections private.
    pub(crate) fn open(address: SocketAddr, authority: &Authority, versions: Versions) -> Self {
        Self::open_with(address, authority.client(versions))
    }

    /// The same for a client with its own idea of TLS, such as one that shows a certificate.
    pub(crate) fn open_with(address: SocketAddr, config: Arc<ClientConfig>) -> Self {
        let mut client = Self::greet(address, config);
        client.auth();
        client.login();
        client.protect('P');
        client.say("TYPE I").expect(&[200]);
        client
    }

    /// As `open`, where TLS comes first; nothing is said of PBSZ and PROT.
    pub(crate) fn open_implicit(
        address: SocketAddr,
        authority: &Authority,
        versions: Versions,
    ) -> Self {
        let mut client = Self::connect(address, authority.client(versions));
        client.secure().unwrap();
        client.hear().expect(&[220]);
        client.login();
        client.private = true;
        client.say("TYPE I").expect(&[200]);
        client
    }

    /// AUTH TLS and the handshake.
    pub(crate) fn auth(&mut self) {
        self.say("AUTH TLS").expect(&[234]);
        self.secure().unwrap();
    }

    /// The handshake of a data connection, if data is private.
    pub(crate) fn secure_data(&self, data: &mut Wire) -> io::Result<()> {
        if self.private {
            data.secure_as_client(&self.config, &self.name)?;
        }
        Ok(())
    }

    /// The handshake of the control connection.
    pub(crate) fn secure(&mut self) -> io::Result<()> {
        self.control.secure_as_client(&self.config, &self.name)
    }

    /// The end of TLS behind CCC or REIN, and what comes right behind it in clear text.
    pub(crate) fn clear(&mut self, behind: &[u8]) -> io::Result<()> {
        self.control.clear(behind)
    }

    pub(crate) fn login(&mut self) {
        let reply = self.say(&format!("USER {USER}")).expect(&[230, 331]);
        if reply.code == 331 {
            self.say(&format!("PASS {PASSWORD}")).expect(&[230]);
        }
    }

    /// PBSZ 0 and PROT with this letter.
    pub(crate) fn protect(&mut self, level: char) {
        self.say("PBSZ 0").expect(&[200]);
        self.say(&format!("PROT {level}")).expect(&[200]);
        self.private = level == 'P';
    }

    /// Takes data connections for private without a word of PBSZ or PROT.
    pub(crate) const fn assume_private(&mut self) {
        self.private = true;
    }

    pub(crate) fn tell(&mut self, line: &str) {
        self.control
            .write(format!("{line}\r\n").as_bytes())
            .unwrap();
    }

    /// Bytes into the control connection as they are, past TLS.
    pub(crate) fn control(&mut self) -> &mut Wire {
        &mut self.control
    }

    pub(crate) fn say(&mut self, line: &str) -> Reply {
        self.tell(line);
        self.hear()
    }

    /// Waits for a reply.
    pub(crate) fn hear(&mut self) -> Reply {
        self.hear_or_end()
            .unwrap_or_else(|error| panic!("the control connection ended: {error}"))
    }

    /// Waits for a reply or for the end of the control connection.
    pub(crate) fn hear_or_end(&mut self) -> io::Result<Reply> {
        loop {
            if let Some(reply) = self.cut_reply() {
                return Ok(reply);
            }
            match self.control.read()? {
                Got::Bytes(bytes) => self.heard.extend(bytes),
                Got::CloseNotify | Got::Fin => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Waits for the end of the control connection. A reply before it fails the test, as does an end that does not come.
    #[track_caller]
    pub(crate) fn hears_end(&mut self) {
        let end = match self.hear_or_end() {
            Ok(reply) => panic!("{reply:?} instead of an end"),
            Err(end) => end,
        };
        assert!(
            matches!(
                end.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
            ),
            "{end}"
        );
    }

    /// A reply that has arrived already.
    pub(crate) fn overhear(&mut self) -> io::Result<Option<Reply>> {
        loop {
            if let Some(reply) = self.cut_reply() {
                return Ok(Some(reply));
            }
            match self.control.try_read()? {
                Some(Got::Bytes(bytes)) => self.heard.extend(bytes),
                Some(Got::CloseNotify | Got::Fin) => return Err(ErrorKind::UnexpectedEof.into()),
                None => return Ok(None),
            }
        }
    }

    fn cut_reply(&mut self) -> Option<Reply> {
        let text = String::from_utf8_lossy(&self.heard);
        let code = text.get(..3)?.to_owned();
        let mut length = 0;
        for line in text.split_inclusive('\n') {
            length += line.len();
            if line.starts_with(&format!("{code} ")) && line.ends_with('\n') {
                let text = text[..length].trim_end().to_owned();
                self.heard.drain(..length);
                return Some(Reply {
                    code: code.parse().unwrap(),
                    text,
                });
            }
        }
        None
    }

    /// Asks for a data port.
    pub(crate) fn passive(&mut self) -> SocketAddr {
        let peer = self.control.peer();
        if self.pasv {
            let reply = self.say("PASV").expect(&[227]);
            let numbers = reply
                .text
                .rsplit_once('(')
                .unwrap()
                .1
                .split_once(')')
                .unwrap()
                .0;
            let n: Vec<u8> = numbers.split(',').map(|n| n.parse().unwrap()).collect();
            return SocketAddr::from((
                Ipv4Addr::new(n[0], n[1], n[2], n[3]),
                u16::from_be_bytes([n[4], n[5]]),
            ));
        }
        let reply = self.say("EPSV").expect(&[229]);
        let port = reply
            .text
            .split_once("(|||")
            .unwrap()
            .1
            .split_once('|')
            .unwrap()
            .0;
        SocketAddr::new(peer.ip(), port.parse().unwrap())
    }

    /// Says where it awaits the data connection.
    pub(crate) fn listen(&mut self, verb: &str) -> TcpListener {
        let listener = door::listener(self.control.local().ip());
        let address = listener.local_addr().unwrap();
        let argument = match address {
            SocketAddr::V4(v4) if verb == "PORT" => {
                let ([a, b, c, d], [high, low]) = (v4.ip().octets(), v4.port().to_be_bytes());
                format!("{a},{b},{c},{d},{high},{low}")
            }
            SocketAddr::V4(v4) => format!("|1|{}|{}|", v4.ip(), v4.port()),
            SocketAddr::V6(v6) => format!("|2|{}|{}|", v6.ip(), v6.port()),
        };
        self.say(&format!("{verb} {argument}")).expect(&[200]);
        listener.set_nonblocking(true).unwrap();
        listener
    }

    pub(crate) fn download(&mut self, command: &str) -> Transfer {
        self.transfer(command, None, Manner::Polite)
    }

    pub(crate) fn download_as(&mut self, command: &str, manner: Manner) -> Transfer {
        self.transfer(command, None, manner)
    }

    pub(crate) fn upload(&mut self, command: &str, bytes: &[u8]) -> Transfer {
        self.transfer(command, Some(bytes), Manner::Polite)
    }

    pub(crate) fn upload_as(&mut self, command: &str, bytes: &[u8], manner: Manner) -> Transfer {
        self.transfer(command, Some(bytes), manner)
    }
}
