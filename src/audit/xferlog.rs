//! The line of xferlog(5), as WU-FTPD wrote it and as its readers expect it.

use core::fmt::Write as _;

use super::{Micros, Transfer, utc};
use crate::ftp::{Direction, Verb};

/// Appends a line, with its end, for a transfer of a file: listings have none.
///
/// The fields: time, seconds, host, bytes, name, type, special action, direction, access mode, user, service,
/// authentication, authenticated user, completion.
pub(super) fn write(at: Micros, transfer: &Transfer, text: &mut String) {
    if !matches!(
        transfer.verb,
        Verb::Retr | Verb::Stor | Verb::Appe | Verb::Stou
    ) {
        return;
    }
    let at = utc(at);
    let weekday = &at.weekday().to_string()[..3];
    let month = &at.month().to_string()[..3];
    let (day, hour, minute, second) = (at.day(), at.hour(), at.minute(), at.second());
    let seconds = transfer.duration.as_secs().max(1);
    let host = transfer.peer.ip().to_canonical();
    let name = word_of(&transfer.path);
    let user = word_of(&transfer.user);
    let kind = if transfer.ascii { 'a' } else { 'b' };
    let direction = match transfer.direction {
        Direction::Download => 'o',
        Direction::Upload => 'i',
    };
    let is_anonymous = [&b"anonymous"[..], b"ftp"]
        .iter()
        .any(|name| transfer.user.eq_ignore_ascii_case(name));
    let mode = if is_anonymous { 'a' } else { 'r' };
    let completion = if transfer.is_complete { 'c' } else { 'i' };
    let (bytes, year) = (transfer.bytes, at.year());
    writeln!(
        text,
        "{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year:04} {seconds} {host} {bytes} {name} {kind} _ {direction} {mode} {user} ftp 0 * {completion}"
    )
    .expect("a string takes every write");
}

/// A field is one word: whatever is not printable ASCII becomes an underscore, as does a space.
fn word_of(bytes: &[u8]) -> String {
    let letters = bytes.iter().map(|&byte| match byte {
        b'!'..=b'~' => char::from(byte),
        _ => '_',
    });
    let word: String = letters.collect();
    if word.is_empty() {
        "_".to_owned()
    } else {
        word
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::super::Leg;
    use super::*;

    fn transfer(verb: Verb, direction: Direction, path: &[u8]) -> Transfer {
        let leg = Leg {
            mode: "passive",
            protection: "private",
            peer: None,
            tls: None,
            end: "clean",
        };
        Transfer {
            verb,
            path: path.to_vec(),
            direction,
            bytes: 1234,
            offset: 0,
            ascii: false,
            duration: Duration::from_millis(2500),
            code: None,
            outcome: "completed",
            is_complete: true,
            policies: Vec::new(),
            user: b"ann".to_vec(),
            peer: "[::ffff:192.0.2.1]:40000".parse().expect("an address"),
            strangers: 0,
            client: leg.clone(),
            backend: leg,
        }
    }

    fn line(transfer: &Transfer) -> String {
        let mut text = String::new();
        write(951_782_400_000_042, transfer, &mut text);
        text
    }

    #[test]
    fn the_fourteen_fields_stand_in_their_order() {
        assert_eq!(
            line(&transfer(Verb::Retr, Direction::Download, b"/in/a b\r\n")),
            "Tue Feb 29 00:00:00 2000 2 192.0.2.1 1234 /in/a_b__ b _ o r ann ftp 0 * c\n"
        );
        let mut upload = transfer(Verb::Stou, Direction::Upload, b"");
        upload.ascii = true;
        upload.is_complete = false;
        upload.user = b"Anonymous".to_vec();
        assert_eq!(
            line(&upload),
            "Tue Feb 29 00:00:00 2000 2 192.0.2.1 1234 _ a _ i a Anonymous ftp 0 * i\n"
        );
    }

    #[test]
    fn listings_are_no_files() {
        assert_eq!(line(&transfer(Verb::List, Direction::Download, b"")), "");
    }
}
