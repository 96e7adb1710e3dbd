//! A strict FTPS client that writes down what happens on its connections, and can misbehave on purpose.
//!
//! The order of its journal is the proof of "226 only after close_notify and FIN": it looks at the control
//! connection first and at the data connection second, so a final reply that stands before the FIN was sent first.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::certs::{Authority, Versions};
use super::wire::{Got, Wire};
use super::{PASSWORD, USER, deadline};

/// A reply, its lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn is_final(&self) -> bool {
        self.code >= 200
    }

    /// Fails the test unless the code is one of these.
    #[track_caller]
    pub(crate) fn expect(self, codes: &[u16]) -> Self {
        assert!(
            codes.contains(&self.code),
            "wanted one of {codes:?}, got {self:?}"
        );
        self
    }
}

/// What happened during a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The data TCP connection stands.
    Connected,
    /// The data TCP connection was refused.
    Refused,
    /// The data connection's TLS handshake is complete.
    Handshake,
    HandshakeFailed,
    /// Payload; once, however many reads it took.
    Bytes,
    CloseNotify,
    Fin,
    Reset,
    /// A broken record or a fatal alert.
    Broken,
    /// A reply on the control connection.
    Reply(u16),
    /// The control connection ended.
    ControlEnded,
}

/// A transfer as the client saw it.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) events: Vec<Event>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) reply: Reply,
    pub(crate) resumed: bool,
    pub(crate) took: Duration,
}

impl Transfer {
    /// The events without the preliminary reply, whose place among the others is free.
    pub(crate) fn order(&self) -> Vec<Event> {
        let preliminary = |event: &&Event| !matches!(event, Event::Reply(100..200));
        self.events.iter().filter(preliminary).cloned().collect()
    }

    /// Fails the test unless this was a private download in the one right order, with these bytes.
    #[track_caller]
    pub(crate) fn assert_complete(&self, bytes: &[u8]) {
        let mut wanted = vec![Event::Connected, Event::Handshake];
        if !bytes.is_empty() {
            wanted.push(Event::Bytes);
        }
        wanted.extend([
            Event::CloseNotify,
            Event::Fin,
            Event::Reply(self.reply.code),
        ]);
        assert_eq!(self.order(), wanted, "{:?}", self.reply);
        assert!(matches!(self.reply.code, 226 | 250), "{:?}", self.reply);
        let preliminaries = self.events.len() - wanted.len();
        assert_eq!(preliminaries, 1, "one 150 must come: {:?}", self.events);
        assert_eq!(
            self.bytes.len(),
            bytes.len(),
            "bytes are missing or too many"
        );
        assert!(self.bytes == bytes, "the bytes differ");
    }

    /// Fails the test unless the transfer was said to have failed, and was not ended as if it had not.
    #[track_caller]
    pub(crate) fn assert_failed(&self) {
        assert!(
            matches!(self.reply.code, 425 | 426 | 451),
            "{:?} {:?}",
            self.reply,
            self.events
        );
        assert!(
            !self.events.contains(&Event::CloseNotify),
            "ended as if complete: {:?}",
            self.events
        );
    }
}

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
        Self {
            control: Wire::connect(address).unwrap(),
            heard: Vec::new(),
            config,
            name: ServerName::from(address.ip()),
            pasv: false,
            private: false,
        }
    }

    /// A private session, logged in, its data connections private.
    pub(crate) fn open(address: SocketAddr, authority: &Authority, versions: Versions) -> Self {
        let mut client = Self::greet(address, authority.client(versions));
        client.auth();
        client.login();
        client.protect('P');
        client.say("TYPE I").expect(&[200]);
        client
    }

    /// AUTH TLS and the handshake.
    pub(crate) fn auth(&mut self) {
        self.say("AUTH TLS").expect(&[234]);
        self.secure().unwrap();
    }

    /// The handshake of the control connection.
    pub(crate) fn secure(&mut self) -> io::Result<()> {
        self.control.secure_as_client(&self.config, &self.name)
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

    /// A reply that has arrived already.
    fn overhear(&mut self) -> io::Result<Option<Reply>> {
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

    /// Moves a file without a journal, for tests that want many sessions at once.
    pub(crate) fn fetch(&mut self, command: &str) -> (Vec<u8>, Reply) {
        let address = self.passive();
        self.tell(command);
        let mut data = Wire::connect(address).unwrap();
        data.secure_as_client(&self.config, &self.name).unwrap();
        let (bytes, end) = data.read_to_end();
        assert!(end.unwrap(), "no close_notify");
        data.close_notify().ok();
        drop(data);
        loop {
            let reply = self.hear();
            if reply.is_final() {
                return (bytes, reply);
            }
        }
    }

    fn transfer(&mut self, command: &str, upload: Option<&[u8]>, manner: Manner) -> Transfer {
        let address = self.passive();
        self.transfer_to(address, command, upload, manner)
    }

    /// A download over a data port that was asked for before.
    pub(crate) fn transfer_at(&mut self, address: SocketAddr, command: &str) -> Transfer {
        self.transfer_to(address, command, None, Manner::Polite)
    }

    fn transfer_to(
        &mut self,
        address: SocketAddr,
        command: &str,
        upload: Option<&[u8]>,
        manner: Manner,
    ) -> Transfer {
        let began = Instant::now();
        self.tell(command);
        let mut journal = Journal::default();
        let mut data = self.open_data(address, manner, &mut journal);
        let resumed = data.as_ref().is_some_and(Wire::is_resumed);
        if let (Some(wire), Some(bytes)) = (&mut data, upload) {
            // A server that refused may have closed already: the journal will say so, not this write.
            wire.write(bytes).ok();
        }
        if upload.is_some() {
            data = data.and_then(|wire| end_upload(wire, manner));
        }
        self.watch(data, manner, &mut journal);
        let reply = journal.last.unwrap_or_else(|| Reply {
            code: 0,
            text: "the control connection ended".into(),
        });
        Transfer {
            events: journal.events,
            bytes: journal.bytes,
            reply,
            resumed,
            took: began.elapsed(),
        }
    }

    /// Opens the data connection as far as the manner goes; `None` when there is nothing left of it.
    fn open_data(
        &mut self,
        address: SocketAddr,
        manner: Manner,
        journal: &mut Journal,
    ) -> Option<Wire> {
        if manner == Manner::NeverConnect {
            return None;
        }
        if manner == Manner::ConnectAfterPreliminary {
            journal.reply(self.hear());
        }
        let Ok(mut wire) = Wire::connect(address) else {
            journal.event(Event::Refused);
            return None;
        };
        journal.event(Event::Connected);
        match manner {
            Manner::LateHandshake(time) => self.listen_for(time, journal),
            Manner::BareClose => wire.fin().unwrap(),
            Manner::PlainBytes => {
                wire.write_raw(b"not a ClientHello\r\n").unwrap();
                wire.fin().unwrap();
            }
            Manner::BareReset => {
                wire.reset();
                return None;
            }
            _ => {}
        }
        if !self.private
            || matches!(
                manner,
                Manner::BareClose | Manner::PlainBytes | Manner::Silent
            )
        {
            return Some(wire);
        }
        if let Err(_refused) = wire.secure_as_client(&self.config, &self.name) {
            journal.event(Event::HandshakeFailed);
            return None;
        }
        journal.event(Event::Handshake);
        Some(wire)
    }

    /// Hears what is said on the control connection for a while.
    fn listen_for(&mut self, time: Duration, journal: &mut Journal) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            match self.overhear() {
                Ok(Some(reply)) => journal.reply(reply),
                Ok(None) => thread::sleep(Duration::from_millis(1)),
                Err(_ended) => return,
            }
        }
    }

    /// Watches both connections until the data connection is at its end and the final reply is here.
    fn watch(&mut self, mut data: Option<Wire>, manner: Manner, journal: &mut Journal) {
        let deadline = deadline();
        let mut pause = Duration::from_micros(50);
        loop {
            // Control first: what the data connection got before this reply is then certainly there to be seen.
            let overheard = self.overhear();
            let ended = data.as_mut().is_none_or(|data| drain(data, journal));
            if ended || (manner == Manner::Silent && journal.is_answered()) {
                data = None;
            }
            match overheard {
                Ok(Some(reply)) => journal.reply(reply),
                Ok(None) if data.is_none() && journal.is_answered() => return,
                Ok(None) => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(2));
                }
                Err(_) if data.is_none() => return journal.event(Event::ControlEnded),
                Err(_) => thread::sleep(pause),
            }
            assert!(
                Instant::now() < deadline,
                "the transfer does not end: {:?}",
                journal.events
            );
        }
    }
}

/// Ends an upload in its manner; gives the connection back while there is something left to see on it.
fn end_upload(mut wire: Wire, manner: Manner) -> Option<Wire> {
    // The same holds here: what a server that closed early makes of this is seen when reading.
    match manner {
        Manner::ResetAfterBytes => {
            wire.reset();
            return None;
        }
        Manner::Silent | Manner::BareClose | Manner::PlainBytes => {}
        Manner::Unfinished => drop(wire.fin()),
        _ => drop(wire.close_notify().and_then(|()| wire.fin())),
    }
    Some(wire)
}

/// Takes everything that has arrived on the data connection; true when it is at its end.
fn drain(data: &mut Wire, journal: &mut Journal) -> bool {
    loop {
        match data.try_read() {
            Ok(None) => return false,
            Ok(Some(Got::Bytes(bytes))) => {
                if journal.bytes.is_empty() {
                    journal.event(Event::Bytes);
                }
                journal.bytes.extend(bytes);
            }
            Ok(Some(Got::CloseNotify)) => {
                journal.event(Event::CloseNotify);
                // Answered at once, as vsftpd demands it of every client; it may be too late for a peer in a hurry.
                drop(data.close_notify());
            }
            Ok(Some(Got::Fin)) => {
                journal.event(Event::Fin);
                return true;
            }
            Err(error) => {
                let reset = matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                );
                journal.event(if reset { Event::Reset } else { Event::Broken });
                return true;
            }
        }
    }
}

/// What was seen so far.
#[derive(Default)]
struct Journal {
    events: Vec<Event>,
    bytes: Vec<u8>,
    last: Option<Reply>,
}

impl Journal {
    fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    fn reply(&mut self, reply: Reply) {
        self.events.push(Event::Reply(reply.code));
        self.last = Some(reply);
    }

    fn is_answered(&self) -> bool {
        self.last.as_ref().is_some_and(Reply::is_final)
    }
}
