//! The client of a cell: one transfer with its arrival and its ending, and what was seen of it.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::{DRIP_PAUSE, DRIPS, PAYLOAD};
use crate::cells::{Arrival, Cell, Ending, Mode, Prot, Size, Tls, Verb};
use crate::oracle::End;
use crate::support::certs::{Authority, Versions};
use crate::support::deadline;
use crate::support::door;
use crate::support::strict::{Event, Strict};
use crate::support::wire::{Got, Wire};

/// How late a late client is.
const LATE: Duration = Duration::from_secs(2);
/// The pause between two looks at both connections.
const PAUSE: Duration = Duration::from_millis(2);

/// What the client saw.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// All replies to the command, in order; the last one is final.
    pub(crate) replies: Vec<u16>,
    pub(crate) text: String,
    /// How the gate ended the data connection; nothing: the client did not look.
    pub(crate) end: Option<End>,
    /// The final reply was there, and the end of the data connection was not.
    pub(crate) reply_before_end: bool,
    pub(crate) received: usize,
    /// What came is the beginning of the file.
    pub(crate) is_prefix: bool,
    /// Bytes of an upload that were handed over before its end.
    pub(crate) sent: usize,
    /// The control connection ended before the final reply.
    pub(crate) silence: bool,
}

impl Sight {
    pub(crate) fn reply(&self) -> Option<u16> {
        self.replies.last().copied().filter(|code| *code >= 200)
    }
}

/// Where the data connection comes about.
enum Meeting {
    Nowhere,
    There(SocketAddr),
    Here(TcpListener),
}

/// A session in the ways of the cell, logged in.
pub(crate) fn open(cell: &Cell, address: SocketAddr, authority: &Authority) -> Strict {
    let versions = match cell.client.tls {
        Tls::V12 => Versions::Only12,
        Tls::V13 => Versions::Only13,
    };
    let mut client = Strict::open(address, authority, versions);
    if cell.client.prot == Prot::C {
        client.protect('C');
    }
    client.pasv = cell.client.mode == Mode::Pasv;
    client.active = match cell.client.mode {
        Mode::Port => Some("PORT"),
        Mode::Eprt => Some("EPRT"),
        _ => None,
    };
    client
}

/// The transfer of the cell.
pub(crate) fn play(client: &mut Strict, cell: &Cell, number: usize) -> Sight {
    client.say(&format!("SITE CELL {number}")).expect(&[200]);
    let mut sight = Sight {
        is_prefix: true,
        ..Sight::default()
    };
    let mut meeting = match client.active {
        Some(verb) => Meeting::Here(client.listen(verb)),
        None => Meeting::There(client.passive()),
    };
    let early = match (cell.arrival, &meeting) {
        (Arrival::Early, Meeting::There(address)) => Some(Wire::connect(*address).unwrap()),
        _ => None,
    };
    let mut refusing = None;
    if cell.arrival == Arrival::Never {
        if let Meeting::Here(listener) = meeting {
            // Nobody listens there any more, and no other cell can: the gate would be sent to it.
            door::refuse(&listener);
            refusing = Some(listener);
        }
        meeting = Meeting::Nowhere;
    }
    client.tell(&command(cell.verb));
    let data = early.or_else(|| arrive(client, cell, &meeting, &mut sight));
    drop(meeting);
    let data = data.and_then(|data| use_data(client, cell, data, &mut sight));
    watch(client, cell, data, &mut sight);
    drop(refusing);
    sight
}

fn command(verb: Verb) -> String {
    match verb {
        Verb::Stou => "STOU".to_owned(),
        verb => format!("{verb:?} file").to_uppercase(),
    }
}

/// Takes down what is on the control connection; true when the final reply is there.
fn overhear(client: &mut Strict, sight: &mut Sight) -> bool {
    loop {
        match client.overhear() {
            Ok(Some(reply)) => {
                sight.replies.push(reply.code);
                sight.text = reply.text;
                if reply.code >= 200 {
                    return true;
                }
            }
            Ok(None) => return false,
            Err(_) => {
                sight.silence = true;
                return true;
            }
        }
    }
}

/// The data connection, when its time has come, unless the final reply comes before. In active mode one may wait in the
/// kernel even then, complete and closed.
fn arrive(client: &mut Strict, cell: &Cell, meeting: &Meeting, sight: &mut Sight) -> Option<Wire> {
    let began = Instant::now();
    let limit = deadline();
    loop {
        let is_over = sight.reply().is_some() || overhear(client, sight);
        if is_over && (cell.arrival == Arrival::Never || !cell.client.mode.is_active()) {
            return None;
        }
        let is_time = match cell.arrival {
            Arrival::AfterPreliminary => !sight.replies.is_empty(),
            Arrival::Late => began.elapsed() >= LATE,
            _ => true,
        } || is_over;
        match meeting {
            Meeting::Nowhere => return None,
            Meeting::There(address) if is_time => return Wire::connect(*address).ok(),
            Meeting::Here(listener) if is_time => match listener.accept() {
                Ok((tcp, _)) => {
                    tcp.set_nonblocking(false).unwrap();
                    return Some(Wire::new(tcp));
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            },
            _ => {}
        }
        if is_over {
            return None;
        }
        assert!(Instant::now() < limit, "no data connection comes");
        thread::sleep(PAUSE);
    }
}

/// Handshake and upload, as far as the cell goes; the connection, while there is something left to see on it.
fn use_data(client: &Strict, cell: &Cell, mut data: Wire, sight: &mut Sight) -> Option<Wire> {
    if cell.ending == Ending::Bare {
        data.fin().ok();
        return Some(data);
    }
    if client.secure_data(&mut data).is_err() {
        sight.end = Some(End::Bare);
        return None;
    }
    if !cell.verb.is_upload() {
        if cell.ending == Ending::Reset && cell.size == Size::Empty {
            data.reset();
            return None;
        }
        return Some(data);
    }
    let length = match cell.ending {
        Ending::Stops => cell.size.bytes() / 2,
        _ => cell.size.bytes(),
    };
    let piece = match cell.size {
        Size::Drip => cell.size.bytes() / DRIPS,
        _ => length.max(1),
    };
    for bytes in PAYLOAD[..length].chunks(piece) {
        // A gate that has given up may have closed already: the reply will say so, not this write.
        if data.write(bytes).is_ok() {
            sight.sent += bytes.len();
        }
        if cell.size == Size::Drip {
            thread::sleep(DRIP_PAUSE);
        }
    }
    match cell.ending {
        Ending::Stops => {}
        Ending::Unfinished => drop(data.fin()),
        Ending::Reset => {
            data.reset();
            return None;
        }
        _ => drop(data.close_notify().and_then(|()| data.fin())),
    }
    Some(data)
}

/// Watches both connections until the data connection is at its end and the final reply is here.
fn watch(client: &mut Strict, cell: &Cell, mut data: Option<Wire>, sight: &mut Sight) {
    let limit = deadline();
    // Who stops reading sees no end, and who sends an upload is not shown one that matters.
    let looks = cell.ending != Ending::Stops && !cell.verb.is_upload();
    loop {
        // Control first: what the data connection got before this reply is then certainly there to be seen.
        let answered = sight.reply().is_some() || sight.silence || overhear(client, sight);
        if let Some(wire) = data.take_if(|_| looks) {
            data = read_on(wire, cell, sight);
        }
        if answered && (data.is_none() || !looks) {
            return;
        }
        if answered && !sight.reply_before_end {
            sight.reply_before_end = true;
        }
        assert!(
            Instant::now() < limit,
            "the transfer does not end: {:?}",
            sight
        );
        thread::sleep(PAUSE);
    }
}

/// Takes everything that has arrived on the data connection of a download; nothing when it is at its end.
fn read_on(mut data: Wire, cell: &Cell, sight: &mut Sight) -> Option<Wire> {
    loop {
        match data.try_read() {
            Ok(None) => return Some(data),
            Ok(Some(Got::Bytes(bytes))) => {
                let from = sight.received.min(PAYLOAD.len());
                sight.is_prefix &= PAYLOAD[from..].starts_with(&bytes);
                sight.received += bytes.len();
                if cell.ending == Ending::Reset {
                    data.reset();
                    return None;
                }
            }
            Ok(Some(Got::CloseNotify)) => {
                sight.end = Some(End::Clean);
                // Answered at once, but for those who never do.
                if cell.ending != Ending::Unfinished {
                    data.close_notify().ok();
                }
            }
            Ok(Some(Got::Fin)) => {
                let without = match cell.client.prot {
                    Prot::C => End::Clean,
                    Prot::P if data.is_private() => End::Unfinished,
                    Prot::P => End::Bare,
                };
                sight.end.get_or_insert(without);
                return None;
            }
            Err(_) => {
                sight.end = Some(End::Reset);
                return None;
            }
        }
    }
}

/// Rule 4: the session goes on, and its next transfer is right. What is wrong with it, if anything is.
pub(crate) fn goes_on(client: &mut Strict, cell: &Cell) -> Result<(), String> {
    let noop = client.say("NOOP");
    if noop.code != 200 {
        return Err(format!("NOOP behind it was answered with {}", noop.text));
    }
    client.say("SITE CELL 0").expect(&[200]);
    let next = client.download("RETR next");
    let wanted = &PAYLOAD[..Size::Record.bytes()];
    let mut order = vec![Event::Connected];
    if cell.client.prot == Prot::P {
        order.extend([Event::Handshake, Event::Bytes, Event::CloseNotify]);
    } else {
        order.push(Event::Bytes);
    }
    order.extend([Event::Fin, Event::Reply(226)]);
    let mut seen = next.order();
    if cell.client.mode.is_active() && cell.client.prot == Prot::C {
        // All of it may have waited in the kernel before the client took its connection: only then it looks.
        seen.sort_by_key(|event| matches!(event, Event::Reply(_)));
    }
    if seen != order || next.bytes != wanted {
        return Err(format!(
            "the next transfer went {:?} with {} bytes",
            next.events,
            next.bytes.len()
        ));
    }
    Ok(())
}

/// One or the other: rule 4 or rule 13.
pub(crate) fn goes_on_or_ends(
    client: &mut Strict,
    cell: &Cell,
    sight: &Sight,
) -> Result<(), String> {
    // The connection may be gone already.
    client.control().write(b"NOOP\r\n").ok();
    match client.hear_or_end() {
        Ok(reply) if reply.code == 200 => goes_on(client, cell),
        Ok(reply) if reply.code == 421 => Ok(()),
        Err(_) if sight.reply() == Some(421) => Ok(()),
        other => Err(format!("the session ended without a 421: {other:?}")),
    }
}

/// Rule 13: the session of a lost backend ends with a 421, and not without a word.
pub(crate) fn is_told_of_its_end(client: &mut Strict, sight: &Sight) -> Result<(), String> {
    let mut told = sight.reply() == Some(421);
    while let Ok(reply) = client.hear_or_end() {
        told |= reply.code == 421;
    }
    told.then_some(())
        .ok_or_else(|| "the session ended without a 421".to_owned())
}
