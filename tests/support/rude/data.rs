//! The transfers of the rude backend, each in the manner of its act.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::{Duration, Instant};

use super::script::Act;
use super::{Ended, Seen, Session};
use crate::support::wire::{Got, Wire};

/// How long the backend waits for a data connection: longer than any gate under test should need.
const DATA_PATIENCE: Duration = Duration::from_secs(20);

/// A file that drips comes in so many pieces.
pub(crate) const DRIPS: usize = 20;

/// The time between two of them.
pub(crate) const DRIP_PAUSE: Duration = Duration::from_millis(10);

/// The beginning of a TLS record of 16 KiB.
pub(crate) const CUT_RECORD: &[u8] = b"\x17\x03\x03\x40\x00whatever comes, this is not all of it";

impl Session<'_> {
    pub(super) fn download(
        &mut self,
        line: &str,
        verb: &str,
        argument: &str,
        act: Act,
    ) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        let Some(mut bytes) = self.content(verb, argument) else {
            self.close_port();
            return self.say("550 No such file");
        };
        bytes.drain(..rest.min(bytes.len()));
        match act {
            Act::NeverTake => {
                self.say("150 Here it comes")?;
                self.say("226 That was it")?;
                self.close_port();
                return Ok(());
            }
            Act::LeaveWaiting => {
                self.say("150 Here it comes")?;
                return self.say("226 That was it");
            }
            Act::NoPreliminary => {
                self.close_port();
                return self.say("226 That was it");
            }
            Act::Error550 => {
                self.close_port();
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
        if act == Act::Drip {
            for piece in bytes.chunks(bytes.len() / DRIPS + 1) {
                data.write(piece)?;
                thread::sleep(DRIP_PAUSE);
            }
        }
        let half = &bytes[..bytes.len() / 2];
        let whole = matches!(
            act,
            Act::Well | Act::Careless | Act::NotifyThenReset | Act::HangBefore226
        );
        let rest = match act {
            Act::Drip => &[],
            _ if whole => bytes,
            _ => half,
        };
        if data.write(rest).is_err() {
            self.note(line, 0, Ended::Reset, data.is_resumed());
            return self.say("426 You went away");
        }
        match act {
            Act::Stall => return self.hang(),
            Act::ControlLost => return Err(ErrorKind::Interrupted.into()),
            Act::CutRecord => {
                data.write_raw(CUT_RECORD)?;
                data.fin()?;
            }
            Act::PartialThen426 | Act::TruncateThen226 | Act::Careless => data.fin()?,
            Act::NotifyThenReset => {
                data.close_notify()?;
                data.reset();
                return self.say("226 That was it");
            }
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

    pub(super) fn upload(
        &mut self,
        line: &str,
        verb: &str,
        argument: &str,
        act: Act,
    ) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        match act {
            Act::Error550 => {
                self.close_port();
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
        if act == Act::NeverRead {
            // The session may have ended meanwhile; what became of its stream is still of interest.
            drop(self.hang());
            let (_, end) = data.read_to_end();
            self.note(line, 0, end_of(end, data.is_private()), data.is_resumed());
            return Ok(());
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
        if !argument.trim_end_matches('/').ends_with("empty") {
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
        let handshake =
            data.secure_as_server(self.script.data_tls.as_ref().unwrap_or(&self.config));
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

    fn note(&self, line: &str, bytes: usize, ended: Ended, resumed: bool) {
        self.notes.seen.lock().unwrap().push(Seen {
            command: line.into(),
            bytes,
            ended,
            resumed,
        });
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
