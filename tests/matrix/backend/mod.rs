//! The backend of the matrix: a blocking server that plays each transfer by the script of its cell, and writes down how
//! the gate's data connection ended.
//!
//! A client says which cell comes next by `SITE CELL n`, which the gate passes on like any SITE; `SITE CELL 0` is a
//! good server. It shares no code with the gate, so that what both had wrong could not look right.

mod play;
mod transfer;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex};

use rustls::ServerConfig;

use crate::cells::{Cell, Family, Manner, Size};
use crate::oracle::End;
use crate::support::certs::{Authority, Versions};
use crate::support::door::{self, Door};
use crate::support::noise;
use crate::support::wire::{Got, Wire};
use play::{Play, Speech};
pub(crate) use transfer::{DRIP_PAUSE, DRIPS};

/// The bytes of every file: a file of n bytes is the first n of them.
pub(crate) static PAYLOAD: LazyLock<Vec<u8>> = LazyLock::new(|| noise(Size::Big.bytes()));

/// One transfer as the backend saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// How the gate ended its direction of the data connection.
    pub(crate) end: End,
    /// The bytes of an upload were the first of the file.
    pub(crate) right: bool,
    /// The upload was taken as a whole file of so many bytes.
    pub(crate) stored: Option<usize>,
}

/// What all sessions know.
struct Notes {
    cells: Vec<Cell>,
    authority: Arc<Authority>,
    seen: Mutex<HashMap<usize, Seen>>,
}

/// A running backend.
pub(crate) struct Backend {
    /// By family.
    doors: [Door; 2],
    notes: Arc<Notes>,
}

impl Backend {
    /// Starts it for these cells; cell n is the n-th, counted from 1.
    pub(crate) fn start(authority: Arc<Authority>, cells: Vec<Cell>) -> Self {
        let notes = Arc::new(Notes {
            cells,
            authority,
            seen: Mutex::default(),
        });
        let doors = Family::ALL.map(|family| {
            let notes = Arc::clone(&notes);
            // The end of a session, however it comes, is nothing to report: the judge looks at the notes.
            Door::open(family.ip(), move |tcp| {
                drop(Session::new(tcp, &notes).serve());
            })
        });
        Self { doors, notes }
    }

    pub(crate) fn address(&self, family: Family) -> SocketAddr {
        self.doors[family as usize].address()
    }

    /// What was seen of a cell's transfer; nothing: it was never asked for.
    pub(crate) fn seen(&self, number: usize) -> Option<Seen> {
        self.notes.seen.lock().unwrap().get(&number).cloned()
    }
}

/// Where the gate's data connection comes about.
enum Meeting {
    Nowhere,
    Here(TcpListener),
    There(SocketAddr),
}

struct Session<'a> {
    control: Wire,
    heard: Vec<u8>,
    notes: &'a Notes,
    /// Its own, so that nobody resumes the TLS session of somebody else.
    config: Arc<ServerConfig>,
    meeting: Meeting,
    private: bool,
    /// The number of the cell, and 0 for none.
    number: usize,
    /// `SIZE` speaks of the file of the last cell.
    size: Size,
}

impl<'a> Session<'a> {
    fn new(tcp: TcpStream, notes: &'a Notes) -> Self {
        Self {
            control: Wire::new(tcp),
            heard: Vec::new(),
            notes,
            config: notes.authority.server(Versions::Both),
            meeting: Meeting::Nowhere,
            private: false,
            number: 0,
            size: Size::Byte,
        }
    }

    fn manner(&self) -> Manner {
        let cell = self.number.checked_sub(1).map(|at| self.notes.cells[at]);
        cell.map_or(Manner::Well, |cell| cell.manner)
    }

    fn serve(mut self) -> io::Result<()> {
        self.say(220, "matrix")?;
        loop {
            let line = self.hear()?;
            let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
            match verb {
                "RETR" | "LIST" | "NLST" | "MLSD" | "STOR" | "APPE" | "STOU" => {
                    self.transfer(verb)?;
                }
                "QUIT" => return self.say(221, "Bye"),
                _ => self.answer(verb, argument)?,
            }
        }
    }

    /// The commands that move no data.
    fn answer(&mut self, verb: &str, argument: &str) -> io::Result<()> {
        match verb {
            "AUTH" => {
                self.say(234, "Go on")?;
                let config = Arc::clone(&self.config);
                self.control.secure_as_server(&config)
            }
            "PROT" => {
                self.private = argument == "P";
                self.say(200, "Protection set")
            }
            "USER" => self.say(331, "Password, please"),
            "PASS" => self.say(230, "Logged in"),
            "FEAT" => self.write("211-Features:\r\n EPSV\r\n EPRT\r\n SIZE\r\n211 End\r\n"),
            "PWD" => self.say(257, "\"/\" is current"),
            "SIZE" => self.say(213, &self.size.bytes().to_string()),
            "SITE" => {
                let number = argument.rsplit_once(' ').map(|(_, number)| number.parse());
                self.number = number.and_then(Result::ok).unwrap_or(0);
                if let Some(at) = self.number.checked_sub(1) {
                    self.size = self.notes.cells[at].size;
                }
                self.say(200, "As you wish")
            }
            "EPSV" | "PASV" => self.listen(verb),
            "PORT" | "EPRT" => {
                let target = read_target(verb, argument).ok_or(ErrorKind::InvalidData)?;
                self.meeting = Meeting::There(target);
                self.say(200, "Noted")
            }
            "ABOR" => self.say(226, "Nothing to abort"),
            "PBSZ" | "TYPE" | "MODE" | "STRU" | "NOOP" | "OPTS" => self.say(200, "Fine"),
            _ => self.say(500, "What?"),
        }
    }

    fn listen(&mut self, verb: &str) -> io::Result<()> {
        let listener = door::listener(self.control.local().ip());
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        self.meeting = Meeting::Here(listener);
        let [high, low] = port.to_be_bytes();
        match (verb, self.manner()) {
            ("EPSV", Manner::BrokenPasv) => self.say(229, "Extended (||||)"),
            ("EPSV", _) => self.say(229, &format!("Extended (|||{port}|)")),
            (_, Manner::BrokenPasv) => self.say(227, "Passive (127,0,0,1,many)"),
            (_, Manner::ForeignPasv) => self.say(227, &format!("Passive (192,0,2,1,{high},{low})")),
            _ => self.say(227, &format!("Passive (127,0,0,1,{high},{low})")),
        }
    }

    /// One reply in the speech of the cell.
    fn say(&mut self, code: u16, text: &str) -> io::Result<()> {
        let plain = format!("{code} {text}\r\n");
        match Play::of(self.manner()).speech {
            Speech::Split => {
                for byte in plain.as_bytes() {
                    self.control.write(&[*byte])?;
                }
                Ok(())
            }
            Speech::Odd => self.write(&format!(
                "{code}-\r\n331 is not what this says\r\n 425 neither\r\n\r\n{code}-226\r\n{plain}"
            )),
            Speech::Long => {
                let code = match code {
                    150 => 125,
                    226 => 250,
                    code => code,
                };
                self.write(&format!("{code} {text} {}\r\n", "x".repeat(900)))
            }
            Speech::Twice if code == 150 => self.write(&format!("{plain}{plain}")),
            _ => self.write(&plain),
        }
    }

    fn write(&mut self, wire: &str) -> io::Result<()> {
        self.control.write(wire.as_bytes())
    }

    /// The next command line.
    fn hear(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.heard.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.heard.drain(..end + 2).take(end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            match self.control.read()? {
                Got::Bytes(bytes) => self.heard.extend(bytes),
                Got::CloseNotify | Got::Fin => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

/// The address in the argument of PORT (RFC 959 section 4.1.2) or EPRT (RFC 2428 section 2).
fn read_target(verb: &str, argument: &str) -> Option<SocketAddr> {
    if verb == "EPRT" {
        let mut parts = argument.split('|').skip(2);
        let ip: IpAddr = parts.next()?.parse().ok()?;
        return Some(SocketAddr::new(ip, parts.next()?.parse().ok()?));
    }
    let numbers: Vec<u8> = argument
        .split(',')
        .map_while(|number| number.parse().ok())
        .collect();
    let [a, b, c, d, high, low] = numbers[..] else {
        return None;
    };
    Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into())
}
