//! The control connection's words: lines, commands, replies, and the addresses in them.

use sluicegate::ftp::{
    BadEprt, Command, Cut, Features, LineReader, Offer, ReplyReader, Telnet, escape, pasv_reply,
    read_eprt, read_epsv_ask, read_epsv_reply, read_host, read_pasv_reply, read_port, write_eprt,
    write_epsv_reply, write_port,
};

use super::tape::{Tape, in_pieces};

/// Long enough for a bound to be met by short inputs.
const LINE_BYTES_MAX: usize = 64;

/// Lines of a stream, and whether one was too long.
fn lines(telnet: Telnet, parts: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let mut reader = LineReader::new(LINE_BYTES_MAX, telnet);
    let mut lines = Vec::new();
    for part in parts {
        reader.push(part);
        loop {
            match reader.next_line() {
                Cut::Line(line) => {
                    assert!(line.len() <= LINE_BYTES_MAX && !line.contains(&b'\n'));
                    lines.push(line);
                }
                // Nothing behind it can be trusted.
                Cut::TooLong => return (lines, true),
                Cut::Incomplete => break,
            }
        }
    }
    (lines, false)
}

/// The lines do not depend on how the bytes came, and the reader holds no more than one.
fn cut(telnet: Telnet, tape: &mut Tape<'_>, bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    in_pieces(tape, bytes, |part| parts.push(part));
    let (whole, is_long) = lines(telnet, &[bytes]);
    let (cut, was_long) = lines(telnet, &parts);
    assert_eq!(whole, cut);
    assert_eq!(is_long, was_long);
    whole
}

/// A client's bytes.
pub(super) fn commands(bytes: &[u8]) {
    let mut tape = Tape::new(bytes);
    let mut pieces = Tape::new(tape.take(1));
    for line in cut(Telnet::Strip, &mut pieces, tape.rest()) {
        let shown = escape(&line);
        assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        let Ok(command) = Command::read(&line) else {
            continue;
        };
        // What goes to the backend is one line, and means what was meant.
        let wire = command.wire();
        let mut reader = LineReader::new(4 * LINE_BYTES_MAX, Telnet::Strip);
        reader.push(&wire);
        let Cut::Line(again) = reader.next_line() else {
            panic!("a command that is no line: {}", escape(&wire));
        };
        assert!(reader.is_empty(), "two lines: {}", escape(&wire));
        assert_eq!(Command::read(&again), Ok(command.clone()));
        let told = command.to_string();
        assert!(told.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        if command.verb.row().secret && !command.argument.is_empty() {
            assert_eq!(told, format!("{} ****", command.verb.word()));
        }
    }
}

/// A backend's bytes.
pub(super) fn replies(bytes: &[u8]) {
    let mut tape = Tape::new(bytes);
    let mut pieces = Tape::new(tape.take(1));
    let lines = cut(Telnet::Keep, &mut pieces, tape.rest());
    let (mut reader, mut open) = (ReplyReader::default(), None);
    for raw in &lines {
        let read = reader.read(raw.clone());
        let code = number(raw);
        let mark = raw.get(3).copied();
        let Ok(read) = read else {
            let is_reply = code.is_some() && matches!(mark, None | Some(b' ' | b'-'));
            assert!(open.is_none() && !is_reply, "{}", escape(raw));
            break;
        };
        let Some(line) = read else {
            assert!(open.is_none() && raw.is_empty());
            continue;
        };
        let number = line.code.number();
        // RFC 959 section 4.2: the code of the first line with a space behind it, and nothing else, is the last line.
        let closes = code == Some(number) && matches!(mark, None | Some(b' '));
        assert_eq!(line.last, closes, "{}", escape(raw));
        assert_eq!(number, open.unwrap_or(number));
        open = (!line.last).then_some(number);
        let wire = line.wire();
        assert!(wire.ends_with(b"\r\n") && wire.len() > 2);
        assert_eq!(wire.iter().filter(|byte| **byte == b'\n').count(), 1);
    }
    features(&lines);
}

/// The code that a line begins with: of RFC 959, or the sixth class of RFC 2228.
fn number(raw: &[u8]) -> Option<u16> {
    let digits = std::str::from_utf8(raw.get(..3)?).ok()?;
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| is_number)?;
    (100..700).contains(&number).then_some(number)
}

/// A list of features is one reply, whatever the backend's had in it.
fn features(lines: &[Vec<u8>]) {
    let offer = Offer {
        auth: true,
        active: true,
        ccc: true,
        host: true,
        mode_z: true,
    };
    let wire = Features::with_backend(offer, lines.iter().map(Vec::as_slice)).reply();
    let wire = String::from_utf8(wire.wire()).expect("printable");
    let mut reader = ReplyReader::default();
    let mut lasts = Vec::new();
    for line in wire.split_terminator("\r\n") {
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        let line = reader.read(line.as_bytes().to_vec()).expect("a reply");
        lasts.push(line.expect("no empty line").last);
    }
    assert_eq!(lasts.iter().position(|last| *last), Some(lasts.len() - 1));
}

/// Either's addresses.
pub(super) fn addresses(text: &[u8]) {
    if let Some(address) = read_pasv_reply(text) {
        assert_ne!(address.port(), 0);
        assert_eq!(
            read_pasv_reply(&pasv_reply(address).wire()[4..]),
            Some(address)
        );
    }
    if let Some(port) = read_epsv_reply(text) {
        assert_ne!(port, 0);
        assert_eq!(
            read_epsv_reply(&write_epsv_reply(port).wire()[4..]),
            Some(port)
        );
    }
    if let Some(address) = read_port(text) {
        assert_ne!(address.port(), 0);
        assert_eq!(read_port(write_port(address).as_bytes()), Some(address));
    }
    match read_eprt(text) {
        Ok(address) => {
            assert_ne!(address.port(), 0);
            assert_eq!(read_eprt(write_eprt(address).as_bytes()), Ok(address));
        }
        Err(BadEprt::Family | BadEprt::Syntax) => {}
    }
    let _asked = read_epsv_ask(text);
    if let Some(host) = read_host(text) {
        assert_eq!(read_host(host.as_bytes()).as_ref(), Some(&host));
    }
}
