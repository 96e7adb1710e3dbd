//! An FTPS backend in memory that misbehaves where its script says so, and writes down what was done to it.
//!
//! A thread per session, blocking, every wait bounded. It is strict where it has the choice: an upload counts as a
//! file only when it ended with close_notify (or with FIN where data is clear).

mod data;
mod script;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;

use super::door::{self, Door};
use super::wire::{Got, Wire};
use super::{PASSWORD, Scene};
pub(crate) use data::{CUT_RECORD, DRIP_PAUSE, DRIPS};
pub(crate) use script::{Act, Script};

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
}

/// A running backend; it takes no more sessions when it is dropped, and those that stand go on.
pub(crate) struct Rude {
    door: Door,
    notes: Arc<Notes>,
}

impl Rude {
    pub(crate) fn start(scene: &Scene, script: Script) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), scene, script)
    }

    /// Starts it on another address than the usual one.
    pub(crate) fn start_at(ip: IpAddr, scene: &Scene, script: Script) -> Self {
        let config = scene.authority.server(script.versions);
        let notes = Arc::new(Notes::default());
        notes.stored.lock().unwrap().extend(
            script
                .files
                .iter()
                .map(|(name, bytes)| ((*name).into(), bytes.clone())),
        );
        let shared = Arc::clone(&notes);
        let door = Door::open(ip, move |tcp| {
            *shared.sessions.lock().unwrap() += 1;
            // The end of a session, however it comes, is nothing to report: tests look at the notes.
            drop(Session::new(tcp, &script, &shared, Arc::clone(&config)).serve());
            *shared.sessions.lock().unwrap() -= 1;
        });
        Self { door, notes }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// Takes no more sessions; nobody else does so in its place.
    pub(crate) fn leave(&mut self) {
        self.door.shut();
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

struct Session<'a> {
    control: Wire,
    heard: Vec<u8>,
    script: &'a Script,
    notes: &'a Notes,
    config: Arc<ServerConfig>,
    passive: Option<TcpListener>,
    /// The port that was closed last: the gate may still be about to connect to it.
    closed: Option<TcpListener>,
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
            closed: None,
            private: false,
            rest: 0,
        }
    }

    fn serve(mut self) -> io::Result<()> {
        self.control.write(self.script.greeting.as_bytes())?;
        if self.script.banner_first {
            let config = Arc::clone(&self.config);
            self.control.secure_as_server(&config)?;
        }
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
                Act::Endless => {
                    let many = "150 And another one\r\n".repeat(100);
                    loop {
                        self.control.write(many.as_bytes())?;
                    }
                }
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
        let listener = door::listener(self.control.local().ip());
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

    /// Refuses data connections from here on.
    fn close_port(&mut self) {
        if let Some(listener) = self.passive.take() {
            door::refuse(&listener);
            self.closed = Some(listener);
        }
    }

    /// Does nothing until the gate aborts.
    fn hang(&mut self) -> io::Result<()> {
        loop {
            let line = self.hear()?;
            self.notes.commands.lock().unwrap().push(line.clone());
            if line == "ABOR" {
                self.close_port();
                self.say("426 Aborted")?;
                return self.say("226 Done");
            }
        }
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
