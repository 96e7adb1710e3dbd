//! From one connection to another in place: a record is opened where it was received, and sealed there for the next peer.
//!
//! Each of the three ciphers of TLS 1.3 adds as much to what it seals, so the record keeps its length and its place, and
//! the memory in which it came is the memory from which it is sent.

use super::{APPLICATION_DATA, Direct, Opened, whole_record};
use crate::net::Buffer;
use crate::tls::keys::HEADER_BYTES;
use crate::tls::{Broken, Fault, Progress};

impl Direct {
    /// Opens every whole record in `incoming`, up to close_notify, and hands what is data to `outgoing`, sealed for the
    /// peer of `sink`; says how many bytes of it there were. What is to be said to our own peer is in `answers`.
    ///
    /// Padding stays: it is as long towards the next peer, who is told no more by it than an onlooker here.
    pub(in crate::tls) fn reseal(
        &mut self,
        incoming: &mut Buffer,
        answers: &mut Buffer,
        sink: &mut Self,
        outgoing: &mut Buffer,
    ) -> (usize, Result<Progress, Broken>) {
        let (mut moved, mut lump) = (0, Lump::default());
        let end = loop {
            let len = match whole_record(&incoming.filled()[lump.done..]) {
                Ok(Some(len)) => len,
                Ok(None) => break Ok(Progress::Open),
                Err(refusal) => break Err(refusal),
            };
            if sink.is_update_due() {
                // It stands before what comes, and behind what is sealed already.
                std::mem::take(&mut lump).hand_over(incoming, outgoing);
                if let Err(fault) = sink.update_sealer(outgoing) {
                    return (moved, Err(Broken::Sink(fault)));
                }
            }
            let record = lump.next(incoming, len);
            match self.open_record(record) {
                Ok(Opened::Data(content)) => {
                    if let Err(fault) = sink.seal_again(record) {
                        lump.hand_over(incoming, outgoing);
                        return (moved, Err(Broken::Sink(fault)));
                    }
                    lump.sealed += len;
                    moved += content;
                }
                Ok(Opened::Heard(Progress::Open)) => {}
                Ok(Opened::Heard(Progress::Closed)) => break Ok(Progress::Closed),
                Err(refusal) => break Err(refusal),
            }
        };
        lump.hand_over(incoming, outgoing);
        let end = end.map_err(|refusal| Broken::Source(self.refuse(refusal, answers)));
        (moved, end)
    }

    /// Seals a record that another connection has opened in its place: content, type and padding are as they were.
    fn seal_again(&mut self, record: &mut [u8]) -> Result<(), Fault> {
        // The peer may have written any version there (RFC 8446 section 5.1); the length stays.
        record[..HEADER_BYTES - 2].copy_from_slice(&[APPLICATION_DATA, 3, 3]);
        self.sealer
            .as_mut()
            .and_then(|sealer| sealer.seal(record))
            .ok_or_else(|| Fault::Ours("the keys are used up".into()))
    }
}

/// The front of a buffer of records, as far as it is worked off.
#[derive(Default)]
struct Lump {
    /// Bytes that are sealed for the next peer. Invariant: nothing else is among them, above all nothing opened.
    sealed: usize,
    /// Bytes that are done with. What was no data leaves a gap between the two.
    done: usize,
}

impl Lump {
    /// The next record, of `len` bytes, without a gap before it.
    fn next<'b>(&mut self, buffer: &'b mut Buffer, len: usize) -> &'b mut [u8] {
        let bytes = buffer.filled_mut();
        if self.sealed < self.done {
            bytes.copy_within(self.done..self.done + len, self.sealed);
        }
        self.done += len;
        &mut bytes[self.sealed..self.sealed + len]
    }

    /// What is sealed goes, and the memory with it where that can be; what is not done with stays.
    fn hand_over(self, from: &mut Buffer, to: &mut Buffer) {
        if to.is_empty() && self.sealed > 0 {
            *to = from.part(self.sealed, self.done);
        } else {
            to.append(&from.filled()[..self.sealed]);
            from.skip(self.done);
        }
    }
}

#[cfg(test)]
#[path = "reseal_tests.rs"]
mod tests;
#[cfg(test)]
pub(crate) use tests::{Heard, Peer};
