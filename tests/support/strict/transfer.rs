//! One transfer of the strict client: the data connection opened, treated in its manner, and watched to its end.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use super::journal::{Event, Journal, Reply, Transfer};
use super::{Manner, Strict};
use crate::support::deadline;
use crate::support::wire::{Got, Wire};

/// How the data connection comes about.
enum Meeting {
    There(SocketAddr),
    Here(TcpListener),
}

impl Strict {
    /// Moves a file without a journal, for tests that want many sessions at once.
    pub(crate) fn fetch(&mut self, command: &str) -> (Vec<u8>, Reply) {
        let address = self.passive();
        self.tell(command);
        let mut data = self.connect_data(address);
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

    /// A data connection with its handshake done, for tests that go on by themselves.
    pub(crate) fn connect_data(&self, address: SocketAddr) -> Wire {
        let mut data = Wire::connect(address).unwrap();
        self.secure_data(&mut data).unwrap();
        data
    }

    pub(super) fn transfer(
        &mut self,
        command: &str,
        upload: Option<&[u8]>,
        manner: Manner,
    ) -> Transfer {
        let meeting = match self.active {
            None => Meeting::There(self.passive()),
            Some(verb) => Meeting::Here(self.listen(verb)),
        };
        self.transfer_to(&meeting, command, upload, manner)
    }

    /// A download over a data port that was asked for before.
    pub(crate) fn transfer_at(&mut self, address: SocketAddr, command: &str) -> Transfer {
        self.transfer_to(&Meeting::There(address), command, None, Manner::Polite)
    }

    fn transfer_to(
        &mut self,
        meeting: &Meeting,
        command: &str,
        upload: Option<&[u8]>,
        manner: Manner,
    ) -> Transfer {
        let began = Instant::now();
        self.tell(command);
        let mut journal = Journal::default();
        let mut data = self.open_data(meeting, manner, &mut journal);
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
        meeting: &Meeting,
        manner: Manner,
        journal: &mut Journal,
    ) -> Option<Wire> {
        if manner == Manner::NeverConnect {
            return None;
        }
        if manner == Manner::ConnectAfterPreliminary {
            journal.reply(self.hear());
        }
        let met = match meeting {
            Meeting::There(address) => Wire::connect(*address).ok(),
            Meeting::Here(listener) => self.accept(listener, journal),
        };
        let Some(mut wire) = met else {
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

    /// Awaits the data connection, unless the final reply comes before it.
    fn accept(&mut self, listener: &TcpListener, journal: &mut Journal) -> Option<Wire> {
        let deadline = deadline();
        loop {
            // What is there when the final reply is may wait for us in the kernel, complete and closed.
            let is_answered = journal.is_answered();
            match listener.accept() {
                Ok((tcp, peer)) => {
                    let server = self.control.peer().ip();
                    assert_eq!(peer.ip(), server, "a data connection of somebody else");
                    tcp.set_nonblocking(false).unwrap();
                    return Some(Wire::new(tcp));
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            if is_answered {
                return None;
            }
            self.listen_for(Duration::from_millis(2), journal);
            assert!(Instant::now() < deadline, "no data connection comes");
        }
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
