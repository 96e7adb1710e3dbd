//! A handshake with bytes changed on their way, at a record layer of our own and at rustls'.

use sluicegate::tls::{Fault, Records};

use super::peer::{SUITES, strangers};
use super::tape::{Tape, in_pieces};

/// Flights that an input can change; a handshake has fewer.
const TURNS_MAX: usize = 4;

/// Handshakes that must all end otherwise than at rustls before it is a difference.
const TRIES: usize = 20;

/// Where it ended, in what both must agree on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Waits,
    Complete,
    Refused,
}

/// The same changes lead to the same outcome, and a fault stays.
pub(super) fn handshake(bytes: &[u8]) {
    // What was changed is random in part, and may have been changed into itself.
    let is_same = (0..TRIES).any(|_| shake(bytes, true) == shake(bytes, false));
    assert!(is_same, "another outcome than at rustls");
}

fn shake(bytes: &[u8], is_own: bool) -> Outcome {
    let mut tape = Tape::new(bytes);
    let (suite, we_serve) = (usize::from(tape.byte()) % SUITES, tape.flag());
    let (mut ours, mut theirs) = strangers(suite, we_serve, is_own);
    let (mut wire, mut plain) = (Vec::new(), Vec::new());
    let mut end = ours.process(&mut plain).map(drop);
    for _ in 0..TURNS_MAX {
        wire.extend_from_slice(ours.outgoing());
        ours.advance(ours.outgoing().len());
        let Some(said) = theirs.turn(&mut wire) else {
            break;
        };
        let said = changed(&mut tape, said);
        in_pieces(&mut tape, &said, |part| {
            ours.feed(part);
            if end.is_ok() {
                end = ours.process(&mut plain).map(drop);
            }
        });
        if end.is_err() || !ours.is_handshaking() {
            break;
        }
    }
    if end.is_ok() && (ours.is_handshaking() || ours.waiting() > 0) {
        // One of the two may wait for the rest of a record that the other has refused by its head.
        ours.feed(&[0; 1 << 15]);
        end = ours.process(&mut plain).map(drop);
    }
    assert!(plain.is_empty(), "nobody has sent any data");
    settled(&mut ours, end)
}

fn settled(ours: &mut Records, end: Result<(), Fault>) -> Outcome {
    match end {
        Err(fault) => {
            assert_eq!(ours.process(&mut Vec::new()), Err(fault.clone()));
            if !ours.is_handshaking() {
                assert_eq!(ours.seal(b"x"), Err(fault));
            }
            Outcome::Refused
        }
        Ok(()) if ours.is_handshaking() => Outcome::Waits,
        Ok(()) => {
            ours.seal(b"x").expect("a connection");
            Outcome::Complete
        }
    }
}

/// A flight as the tape has it arrive.
fn changed(tape: &mut Tape<'_>, mut said: Vec<u8>) -> Vec<u8> {
    for _ in 0..tape.byte() % 4 {
        let (kind, at) = (tape.byte(), usize::from(tape.word()));
        // Near the front, where the headers are, or near the end: what stands between is of other lengths each time.
        let (len, near) = (said.len(), at % 128);
        let at = if at < 1 << 15 {
            near.min(len)
        } else {
            len.saturating_sub(near)
        };
        match kind % 5 {
            0 if at < said.len() => said[at] ^= 1 << (kind / 5 % 8),
            1 if at < said.len() => said[at] ^= tape.byte().max(1),
            2 => {
                let len = usize::from(tape.byte()) % 32;
                said.splice(at..at, tape.take(len).iter().copied());
            }
            3 => {
                let len = usize::from(tape.byte()) % 64;
                said.drain(at..(at + len).min(said.len()));
            }
            _ => said.truncate(at),
        }
    }
    said
}
