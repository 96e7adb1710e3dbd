//! An FTPS backend in memory that misbehaves where its script says so, and writes down what was done to it.
//!
//! A thread per session, blocking, every wait bounded. It is strict where it has the choice: an upload counts as a
//! file only when it ended with close_notify (or with FIN where data is clear).

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use super::scripts::{Act, Script};
use super::wire::{Got, Wire};
use super::{PASSWORD, Scene};

/// How the gate ended a data connection, as the backend saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// close_notify and FIN; FIN where data is clear.
    Clean,
    /// FIN without close_notify.
    Unfinished,
    /// Ended before a handshake.
    Bare,
    /// Reset, or broken in another way.
    Reset,
    /// Never connected.
    Never,
}

/// One transfer as the backend saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) command: String,
    pub(crate) bytes: usize,
    pub(crate) ended: Ended,
    /// The data connection resumed a TLS session of this backend.
    pub(crate) resumed: bool,
}

#[derive(Default)]
struct Notes {
    commands: Mutex<Vec<String>>,
    seen: Mutex<Vec<Seen>>,
    stored: Mutex<HashMap<String, Vec<u8>>>,
    /// Control connections that stand.
    sessions: Mutex<usize>,
    stopped: AtomicBool,
}

/// A running backend.
pub(crate) struct Rude {
    address: SocketAddr,
    notes: Arc<Notes>,
}

impl Rude {
    pub(crate) fn start(scene: &Scene, script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // Many sessions at once must not wait for the kernel to retry their SYN.
        socket2::SockRef::from(&listener).listen(4096).unwrap();
        let address = listener.local_addr().unwrap();
        let config = scene.authority.server(script.versions);
        let notes = Arc::new(Notes::default());
        notes.stored.lock().unwrap().extend(
            script
                .files
                .iter()
                .map(|(name, bytes)| ((*name).into(), bytes.clone())),
        );
        let (script, shared) = (Arc::new(script), Arc::clone(&notes));
        thread::spawn(move || {
            for tcp in listener.incoming() {
                if shared.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(tcp) = tcp else { continue };
                let (script, notes, config) = (
                    Arc::clone(&script),
                    Arc::clone(&shared),
                    Arc::clone(&config),
                );
                thread::spawn(move || {
                    *notes.sessions.lock().unwrap() += 1;
                    // The end of a session, however it comes, is nothing to report: tests look at the notes.
                    drop(Session::new(tcp, &script, &notes, config).serve());
                    *notes.sessions.lock().unwrap() -= 1;
                });
            }
        });
        Self { address, notes }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every command line heard, in order.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.notes.commands.lock().unwrap().clone()
    }

    /// The transfers of commands that begin like this.
    pub(crate) fn seen(&self, command: &str) -> Vec<Seen> {
        let seen = self.notes.seen.lock().unwrap();
        seen.iter()
            .filter(|seen| seen.command.starts_with(command))
            .cloned()
            .collect()
    }

    /// A file that was stored as complete.
    pub(crate) fn stored(&self, name: &str) -> Option<Vec<u8>> {
        self.notes.stored.lock().unwrap().get(name).cloned()
    }

    /// Control connections that stand.
    pub(crate) fn sessions(&self) -> usize {
        *self.notes.sessions.lock().unwrap()
    }
}

impl Drop for Rude {
    fn drop(&mut self) {
        self.notes.stopped.store(true, Ordering::Relaxed);
        // Wakes the accept loop; when it is gone already, there is nobody to wake.
        drop(TcpStream::connect(self.address));
    }
}

/// How long the backend waits for a data connection: longer than any gate under test should need.
const DATA_PATIENCE: Duration = Duration::from_secs(20);

struct Session<'a> {
    control: Wire,
    heard: Vec<u8>,
    script: &'a Script,
    notes: &'a Notes,
    config: Arc<ServerConfig>,
    passive: Option<TcpListener>,
    private: bool,
    rest: usize,
}

impl<'a> Session<'a> {
    fn new(
        tcp: TcpStream,
        script: &'a Script,
        notes: &'a Notes,
        config: Arc<ServerConfig>,
    ) -> Self {
        let control = Wire::new(tcp);
        Self {
            control,
            heard: Vec::new(),
            script,
            notes,
            config,
            passive: None,
            private: false,
            rest: 0,
        }
    }

    fn serve(mut self) -> io::Result<()> {
        self.control.write(self.script.greeting.as_bytes())?;
        loop {
            let line = self.hear()?;
            self.notes.commands.lock().unwrap().push(line.clone());
            let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
            match self.script.act(&line) {
                Act::Say(reply) => self.control.write(reply.as_bytes())?,
                Act::Dribble(reply) => {
                    for byte in reply.as_bytes() {
                        self.control.write(&[*byte])?;
                    }
                }
                Act::Mute => loop {
                    self.hear()?;
                },
                act => match verb {
                    "RETR" | "LIST" | "NLST" | "MLSD" => {
                        self.download(&line, verb, argument, act)?
                    }
                    "STOR" | "APPE" | "STOU" => self.upload(&line, verb, argument, act)?,
                    "QUIT" => return self.say("221 Bye"),
                    _ => self.answer(verb, argument, act)?,
                },
            }
        }
    }

    /// The commands that move no data.
    fn answer(&mut self, verb: &str, argument: &str, act: Act) -> io::Result<()> {
        let secure = self.control.is_private() || !self.script.tls;
        match verb {
            "AUTH" if self.script.tls => {
                let extra = if act == Act::PlainBehind { "230 Injected\r\n" } else { "" };
                self.control.write(format!("234 Go on\r\n{extra}").as_bytes())?;
                let config = Arc::clone(&self.config);
                self.control.secure_as_server(&config)
            }
            "PBSZ" if self.script.tls => self.say("200 PBSZ=0"),
            "PROT" if self.script.tls => {
                self.private = argument == "P";
                self.say("200 Protection set")
            }
            "USER" if !secure => self.say("530 TLS first"),
            "USER" => self.say("331 Password, please"),
            "PASS" if argument == PASSWORD => self.say("230-Welcome\r\n to the rude one\r\n230 Logged in"),
            "PASS" => self.say("530 Wrong"),
            "FEAT" => self.say("211-Features:\r\n EPSV\r\n MLST type*;size*;\r\n REST STREAM\r\n SIZE\r\n XRUDE\r\n211 End"),
            "SYST" => self.say("215 UNIX Type: L8"),
            "PWD" => self.say("257 \"/\" is current"),
            "SIZE" => match self.notes.stored.lock().unwrap().get(argument).map(Vec::len) {
                Some(length) => self.say(&format!("213 {length}")),
                None => self.say("550 No such file"),
            },
            "REST" => {
                self.rest = argument.parse().unwrap_or(0);
                self.say("350 Restarting")
            }
            "EPSV" | "PASV" => self.listen(verb, act),
            "ABOR" => self.say("226 Nothing to abort"),
            "STAT" => self.say("211 Fine"),
            "CWD" | "CDUP" | "DELE" | "MKD" | "RMD" => self.say("250 Done"),
            "TYPE" | "MODE" | "STRU" | "NOOP" | "OPTS" | "ALLO" => self.say("200 Fine"),
            _ => self.say("500 What?"),
        }
    }

    fn listen(&mut self, verb: &str, act: Act) -> io::Result<()> {
        let listener = TcpListener::bind((self.control.local().ip(), 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        self.passive = Some(listener);
        if verb == "EPSV" {
            return self.say(&format!("229 Extended (|||{port}|)"));
        }
        let address = if act == Act::ForeignAddress {
            "192,0,2,1"
        } else {
            "127,0,0,1"
        };
        let [high, low] = port.to_be_bytes();
        self.say(&format!("227 Passive ({address},{high},{low})"))
    }

    fn download(&mut self, line: &str, verb: &str, argument: &str, act: Act) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        let Some(mut bytes) = self.content(verb, argument) else {
            self.passive = None;
            return self.say("550 No such file");
        };
        bytes.drain(..rest.min(bytes.len()));
        match act {
            Act::NeverTake => {
                self.say("150 Here it comes")?;
                self.say("226 That was it")?;
                self.passive = None;
                return Ok(());
            }
            Act::NoPreliminary => {
                self.passive = None;
                return self.say("226 That was it");
            }
            Act::Error550 => {
                self.passive = None;
                return self.say("550 I will not");
            }
            Act::HangBefore150 => return self.hang(),
            _ => self.say("150 Here it comes")?,
        }
        if act == Act::HangAfter150 {
            return self.hang();
        }
        let Some(mut data) = self.accept()? else {
            self.note(line, 0, Ended::Never, false);
            return self.say("425 You did not come");
        };
        match act {
            Act::BareClose => {
                data.fin()?;
                self.say("226 That was it")?;
                // Closing with the ClientHello unread would make RST of the FIN.
                drop(data.read_to_end());
                return Ok(());
            }
            Act::BareReset => {
                data.reset();
                return self.say("226 That was it");
            }
            Act::HangHandshake => return self.hang(),
            _ => {}
        }
        if !self.secure(line, &mut data) {
            return self.say("425 No TLS, no data");
        }
        self.send(line, data, &bytes, act)
    }

    /// Sends a download in the manner of the act, from a complete handshake on.
    fn send(&mut self, line: &str, mut data: Wire, bytes: &[u8], act: Act) -> io::Result<()> {
        let half = &bytes[..bytes.len() / 2];
        let whole = matches!(act, Act::Well | Act::Careless | Act::HangBefore226);
        if data.write(if whole { bytes } else { half }).is_err() {
            self.note(line, 0, Ended::Reset, data.is_resumed());
            return self.say("426 You went away");
        }
        match act {
            Act::Stall => return self.hang(),
            Act::ControlLost => return Err(ErrorKind::Interrupted.into()),
            Act::PartialThen426 | Act::TruncateThen226 | Act::Careless => data.fin()?,
            // The peer may have reset the connection just now: then reading tells.
            _ => drop(data.close_notify().and_then(|()| data.fin())),
        }
        let (_none, end) = data.read_to_end();
        let ended = end_of(end, data.is_private());
        self.note(line, bytes.len(), ended, data.is_resumed());
        drop(data);
        match act {
            Act::PartialThen426 => self.say("426 Something broke"),
            Act::HangBefore226 => self.hang(),
            Act::Well if ended == Ended::Reset => self.say("426 You went away"),
            _ => self.say("226 That was it"),
        }
    }

    fn upload(&mut self, line: &str, verb: &str, argument: &str, act: Act) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        match act {
            Act::Error550 => {
                self.passive = None;
                return self.say("550 I will not");
            }
            Act::HangBefore150 => return self.hang(),
            _ => self.say("150 Let it come")?,
        }
        if act == Act::HangAfter150 {
            return self.hang();
        }
        let Some(mut data) = self.accept()? else {
            self.note(line, 0, Ended::Never, false);
            return self.say("425 You did not come");
        };
        if act == Act::HangHandshake {
            return self.hang();
        }
        if !self.secure(line, &mut data) {
            return self.say("425 No TLS, no data");
        }
        let (bytes, end) = data.read_to_end();
        let ended = end_of(end, data.is_private());
        // The gate may be gone already; what it did stands in `ended`.
        drop(data.close_notify());
        self.note(line, bytes.len(), ended, data.is_resumed());
        drop(data);
        if act == Act::HangBefore226 {
            return self.hang();
        }
        if ended != Ended::Clean && !(act == Act::Careless && ended == Ended::Unfinished) {
            return self.say("426 That was no end");
        }
        let name = if verb == "STOU" { "unique" } else { argument };
        let mut stored = self.notes.stored.lock().unwrap();
        let file = stored.entry(name.to_owned()).or_default();
        file.truncate(if verb == "APPE" { file.len() } else { rest });
        file.extend(bytes);
        drop(stored);
        self.say(&format!("226 Got {name}"))
    }

    fn content(&self, verb: &str, argument: &str) -> Option<Vec<u8>> {
        let stored = self.notes.stored.lock().unwrap();
        if verb == "RETR" {
            return stored.get(argument).cloned();
        }
        let mut listing = String::new();
        if !argument.ends_with("empty") {
            for (name, bytes) in stored.iter() {
                listing += &match verb {
                    "NLST" => format!("{name}\r\n"),
                    "MLSD" => format!("type=file;size={}; {name}\r\n", bytes.len()),
                    _ => format!("-rw-r--r-- 1 a b {} Jan 01 00:00 {name}\r\n", bytes.len()),
                };
            }
        }
        Some(listing.into_bytes())
    }

    /// Waits for the data connection; gives up early when the gate aborts.
    fn accept(&mut self) -> io::Result<Option<Wire>> {
        let Some(listener) = self.passive.take() else {
            return Ok(None);
        };
        let deadline = Instant::now() + DATA_PATIENCE;
        while Instant::now() < deadline && self.heard.is_empty() {
            match listener.accept() {
                Ok((tcp, _)) => {
                    tcp.set_nonblocking(false)?;
                    return Ok(Some(Wire::new(tcp)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    thread::sleep(Duration::from_millis(1))
                }
                Err(error) => return Err(error),
            }
            match self.control.try_read()? {
                Some(Got::Bytes(bytes)) => self.heard.extend(bytes),
                Some(Got::CloseNotify | Got::Fin) => return Err(ErrorKind::UnexpectedEof.into()),
                None => {}
            }
        }
        Ok(None)
    }

    /// The handshake of a data connection, if it is to have one; false when it failed.
    fn secure(&self, line: &str, data: &mut Wire) -> bool {
        if !self.private {
            return true;
        }
        let handshake = data.secure_as_server(&self.config);
        if let Err(error) = &handshake {
            let reset = error.kind() == ErrorKind::ConnectionReset;
            self.note(
                line,
                0,
                if reset { Ended::Reset } else { Ended::Bare },
                false,
            );
        }
        handshake.is_ok()
    }

    /// Does nothing until the gate aborts.
    fn hang(&mut self) -> io::Result<()> {
        loop {
            let line = self.hear()?;
            self.notes.commands.lock().unwrap().push(line.clone());
            if line == "ABOR" {
                self.passive = None;
                self.say("426 Aborted")?;
                return self.say("226 Done");
            }
        }
    }

    fn note(&self, line: &str, bytes: usize, ended: Ended, resumed: bool) {
        self.notes.seen.lock().unwrap().push(Seen {
            command: line.into(),
            bytes,
            ended,
            resumed,
        });
    }

    fn say(&mut self, reply: &str) -> io::Result<()> {
        self.control.write(format!("{reply}\r\n").as_bytes())
    }

    /// The next command line; sessions may idle as long as a test lasts.
    fn hear(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.heard.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.heard.drain(..end + 2).take(end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            match self.control.read() {
                Ok(Got::Bytes(bytes)) => self.heard.extend(bytes),
                Ok(Got::CloseNotify | Got::Fin) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn end_of(end: io::Result<bool>, private: bool) -> Ended {
    match end {
        Ok(true) => Ended::Clean,
        Ok(false) if !private => Ended::Clean,
        Ok(false) => Ended::Unfinished,
        Err(_) => Ended::Reset,
    }
}
