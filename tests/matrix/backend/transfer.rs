//! One transfer of the backend, step by step as its script has it.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::play::{Finish, Outset, Play, Preliminary, Taking, Verdict};
use super::{Meeting, PAYLOAD, Seen, Session};
use crate::cells::Size;
use crate::oracle::End;
use crate::support::door;
use crate::support::rude::CUT_RECORD;
use crate::support::wire::{Got, Wire};

/// How long the backend waits for a data connection: longer than any gate under test should need.
const DATA_PATIENCE: Duration = Duration::from_secs(25);
/// A file that drips comes in so many pieces.
pub(crate) const DRIPS: usize = 20;
/// The time between two of them.
pub(crate) const DRIP_PAUSE: Duration = Duration::from_millis(25);

impl Session<'_> {
    pub(super) fn transfer(&mut self, verb: &str) -> io::Result<()> {
        let play = Play::of(self.manner());
        let mut seen = Seen {
            end: End::Never,
            right: true,
            stored: None,
        };
        let played = self.play(verb, play, &mut seen);
        if self.number > 0 {
            let mut notes = self.notes.seen.lock().unwrap();
            notes.insert(self.number, seen);
        }
        self.number = 0;
        played
    }

    fn play(&mut self, verb: &str, play: Play, seen: &mut Seen) -> io::Result<()> {
        match play.outset {
            Outset::Go => {}
            Outset::Hang => return self.hang(),
            Outset::Lost => return Err(ErrorKind::Interrupted.into()),
            Outset::Refuse { closed } => {
                if closed {
                    self.close_port();
                }
                return self.say(550, "I will not");
            }
        }
        if play.preliminary == Preliminary::AtOnce {
            self.say(150, "Here it comes")?;
        }
        match play.taking {
            Taking::Never => {
                self.say(226, "That was it")?;
                // The connection waits in the kernel, for as long as somebody may still come for it.
                return self.hear_on();
            }
            Taking::Closed => {
                self.close_port();
                return self.say(226, "That was it");
            }
            Taking::Hang => return self.hang(),
            _ => {}
        }
        let Some(mut data) = self.meet()? else {
            return self.say(425, "You did not come");
        };
        seen.end = End::Reset;
        match play.taking {
            Taking::BareFin => {
                data.fin().ok();
                self.say(226, "That was it")?;
                // Closing with bytes unread would make a reset of the FIN.
                seen.end = end_of(data.read_to_end().1, &data, self.private);
                return Ok(());
            }
            Taking::BareReset => {
                data.reset();
                return self.say(226, "That was it");
            }
            Taking::HangBare => {
                self.hang()?;
                seen.end = end_of(data.read_to_end().1, &data, self.private);
                return Ok(());
            }
            _ => {}
        }
        if self.private && data.secure_as_server(&self.config).is_err() {
            seen.end = End::Bare;
            return self.say(425, "No TLS, no data");
        }
        if play.demands_reuse && !data.is_resumed() {
            return self.say(522, "Not the session of the control connection");
        }
        if play.preliminary == Preliminary::Late {
            self.say(150, "Here it comes")?;
        }
        if play.verdict == Verdict::Early {
            self.say(226, "That was it")?;
        }
        if matches!(verb, "STOR" | "APPE" | "STOU") {
            self.take(data, play, seen)
        } else {
            self.send(data, play, seen)
        }
    }

    fn send(&mut self, mut data: Wire, play: Play, seen: &mut Seen) -> io::Result<()> {
        let size = if self.number == 0 {
            Size::Record
        } else {
            self.size
        };
        let length = size.bytes() / if play.half { 2 } else { 1 };
        let piece = if size == Size::Drip {
            size.bytes() / DRIPS
        } else {
            length.max(1)
        };
        let mut sent = Ok(());
        for bytes in PAYLOAD[..length].chunks(piece) {
            sent = sent.and_then(|()| data.write(bytes));
            if size == Size::Drip {
                thread::sleep(DRIP_PAUSE);
            }
        }
        let ended = sent.and_then(|()| match play.finish {
            Finish::Clean | Finish::Patient => data.close_notify().and_then(|()| data.fin()),
            Finish::Unfinished => data.fin(),
            Finish::Cut => data.write_raw(CUT_RECORD).and_then(|()| data.fin()),
            Finish::Reset | Finish::Hang | Finish::Lost => Ok(()),
        });
        match play.finish {
            Finish::Lost => return Err(ErrorKind::Interrupted.into()),
            Finish::Reset => {
                data.reset();
                return self.judge(play, ended.is_ok());
            }
            Finish::Hang => self.hang()?,
            Finish::Patient => seen.end = end_of(data.read_to_end().1, &data, self.private),
            _ => {}
        }
        if play.finish == Finish::Hang {
            seen.end = end_of(data.read_to_end().1, &data, self.private);
            return Ok(());
        }
        let honest = ended.is_ok() && (play.finish != Finish::Patient || seen.end != End::Reset);
        if play.preliminary == Preliminary::Last {
            self.say(150, "There it was")?;
        }
        self.judge(play, honest)?;
        if play.finish != Finish::Patient {
            seen.end = end_of(data.read_to_end().1, &data, self.private);
        }
        Ok(())
    }

    fn take(&mut self, mut data: Wire, play: Play, seen: &mut Seen) -> io::Result<()> {
        let wanted = self.size.bytes() / 2;
        let mut bytes = Vec::new();
        let mut close_notify = false;
        let end = loop {
            if play.half && bytes.len() >= wanted {
                break None;
            }
            match data.read() {
                Ok(Got::Bytes(more)) => bytes.extend(more),
                Ok(Got::CloseNotify) => close_notify = true,
                Ok(Got::Fin) => break Some(Ok(close_notify)),
                Err(error) => break Some(Err(error)),
            }
        };
        seen.right = PAYLOAD.starts_with(&bytes);
        let Some(end) = end else {
            return self.leave_half(data, play, seen);
        };
        seen.end = end_of(end, &data, self.private);
        if play.finish == Finish::Unfinished {
            data.fin().ok();
        } else {
            // The gate may be gone already; what it did is known.
            data.close_notify().and_then(|()| data.fin()).ok();
        }
        let is_taken = match play.verdict {
            Verdict::Say(226) => matches!(seen.end, End::Clean | End::Unfinished),
            Verdict::Honest | Verdict::Early => seen.end == End::Clean,
            _ => false,
        };
        seen.stored = is_taken.then_some(bytes.len());
        self.judge(play, is_taken)
    }

    /// Half of an upload is here: the script ends it.
    fn leave_half(&mut self, mut data: Wire, play: Play, seen: &mut Seen) -> io::Result<()> {
        match play.finish {
            Finish::Lost => return Err(ErrorKind::Interrupted.into()),
            Finish::Hang => {
                self.hang()?;
                seen.end = end_of(data.read_to_end().1, &data, self.private);
                return Ok(());
            }
            Finish::Reset => data.reset(),
            Finish::Unfinished => {
                data.fin().ok();
                drop(data);
            }
            _ => {
                data.close_notify().and_then(|()| data.fin()).ok();
                drop(data);
            }
        }
        self.judge(play, false)
    }

    fn judge(&mut self, play: Play, went_well: bool) -> io::Result<()> {
        match play.verdict {
            Verdict::Honest if went_well => self.say(226, "That was it"),
            Verdict::Honest => self.say(426, "That was no end"),
            Verdict::Say(code) => self.say(code, "I say so"),
            Verdict::Early => Ok(()),
            Verdict::Silence => self.hang(),
        }
    }

    /// The data connection, as PASV, EPSV, PORT or EPRT arranged it; gives up when the gate says anything.
    fn meet(&mut self) -> io::Result<Option<Wire>> {
        let listener = match std::mem::replace(&mut self.meeting, Meeting::Nowhere) {
            Meeting::Nowhere => return Ok(None),
            Meeting::There(target) => return Ok(connect(target).ok().map(Wire::new)),
            Meeting::Here(listener) => listener,
        };
        let deadline = Instant::now() + DATA_PATIENCE;
        while Instant::now() < deadline && self.heard.is_empty() {
            match listener.accept() {
                Ok((tcp, _)) => {
                    tcp.set_nonblocking(false)?;
                    return Ok(Some(Wire::new(tcp)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    thread::sleep(Duration::from_millis(2));
                }
                Err(error) => return Err(error),
            }
            match self.control.try_read()? {
                Some(Got::Bytes(bytes)) => self.heard.extend(bytes),
                Some(_) => return Err(ErrorKind::UnexpectedEof.into()),
                None => {}
            }
        }
        Ok(None)
    }

    /// Closes the data port; it stays ours until the next one is asked for.
    fn close_port(&self) {
        if let Meeting::Here(listener) = &self.meeting {
            door::refuse(listener);
        }
    }

    /// Waits until the gate says anything, and leaves it to be heard.
    fn hear_on(&mut self) -> io::Result<()> {
        while self.heard.is_empty() {
            match self.control.read()? {
                Got::Bytes(bytes) => self.heard.extend(bytes),
                _ => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(())
    }

    /// Does nothing until the gate aborts.
    fn hang(&mut self) -> io::Result<()> {
        while self.hear()? != "ABOR" {}
        // The transfer is over: what is said now is not in its manner any more.
        self.say(426, "Aborted")?;
        self.say(226, "Done")
    }
}

/// Connects, and asks again and again whether the peer is still there: when a listener is closed just then, the kernel may
/// forget a connection without a word.
fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(target)?;
    let often = Duration::from_secs(1);
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(often)
        .with_interval(often);
    socket2::SockRef::from(&tcp).set_tcp_keepalive(&keepalive)?;
    Ok(tcp)
}

fn end_of(end: io::Result<bool>, data: &Wire, private: bool) -> End {
    match end {
        Ok(_) if private && !data.is_private() => End::Bare,
        Ok(true) => End::Clean,
        Ok(false) if !private => End::Clean,
        Ok(false) => End::Unfinished,
        Err(_) => End::Reset,
    }
}
