//! Records passed on from one connection to another: in place, and by rustls, which is the oracle.

use rustls::AlertDescription;
use sluicegate::tls::{Broken, Fault, Progress, Records};

use super::peer::{ALERT, DATA, HANDSHAKE, Heard, Peer, SUITES};
use super::tape::Tape;

/// Bounds on what rustls bears with, as far as they are not ours: canceled handshakes, and key updates before data.
const CANCELED_MAX: usize = 4;
const UPDATES_MAX: usize = 20;
/// What an input can make us do.
const STEPS_MAX: usize = 64;
/// More than any record: behind it, nobody can still be waiting for the rest of one.
const RECORD_BYTES: usize = 1 << 15;

/// Type and version of a record.
const AUTHENTIC_BYTES: usize = 3;

/// One thing that a peer does.
enum Step<'a> {
    /// Seals this as it is, type and padding included.
    Sealed(Vec<u8>),
    Update(u8),
    /// Writes this without sealing it.
    Raw(&'a [u8]),
    /// Changes a byte of the last record.
    Spoil(u16),
    /// Leaves off the end of what it has written.
    Cut(u16),
    /// Writes its last record again.
    Again,
    /// The peer of the sink asks for another key.
    SinkAsks,
    /// The gate says something of its own at the sink.
    Own(&'a [u8]),
}

struct Script<'a> {
    suites: [usize; 2],
    is_download: bool,
    piece: usize,
    steps: Vec<Step<'a>>,
}

impl<'a> Script<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let mut tape = Tape::new(bytes);
        let suite = usize::from(tape.byte());
        let mut script = Self {
            suites: [suite % SUITES, suite / SUITES % SUITES],
            is_download: tape.flag(),
            piece: usize::from(tape.word()),
            steps: Vec::new(),
        };
        let (mut canceled, mut updates) = (0, 0);
        while !tape.is_over() && script.steps.len() < STEPS_MAX {
            let step = match tape.byte() % 12 {
                0..=2 => data(&mut tape),
                3 => {
                    let (len, kind) = (usize::from(tape.byte()) % 64, tape.byte());
                    Step::Sealed([tape.take(len), &[kind]].concat())
                }
                4 => {
                    updates += 1;
                    Step::Update(tape.byte() % 3)
                }
                5 => Step::Raw({
                    let len = usize::from(tape.byte()) % 64;
                    tape.take(len)
                }),
                6 => Step::Spoil(tape.word()),
                7 => Step::Cut(tape.word() % 40),
                8 => Step::Again,
                9 => {
                    updates += 1;
                    Step::SinkAsks
                }
                10 => ticket(&mut tape),
                _ => Step::Own({
                    let len = usize::from(tape.byte()) % 64;
                    tape.take(len)
                }),
            };
            canceled += usize::from(is_canceled(&step));
            if canceled <= CANCELED_MAX && updates <= UPDATES_MAX && !is_lenient(&step) {
                script.steps.push(step);
            }
        }
        script
    }
}

fn data(tape: &mut Tape<'_>) -> Step<'static> {
    let (len, padding) = (tape.word(), usize::from(tape.byte()));
    // Sizes at the bound of a record, and not more work than they are worth.
    let len = match len {
        0..=255 => usize::from(len),
        256..=32_767 => usize::from(len % 2048),
        _ => (1 << 14) - 8 + usize::from(len % 12),
    };
    let mut inner: Vec<u8> = (0..len).map(|at| (at * 7 + len) as u8).collect();
    inner.push(DATA);
    inner.resize(inner.len() + padding % 24, 0);
    Step::Sealed(inner)
}

/// A ticket (RFC 8446 section 4.6.1), or nearly one, or a part.
fn ticket(tape: &mut Tape<'_>) -> Step<'static> {
    let len = tape.byte() % 240;
    let (body, cut) = (13 + len, usize::from(tape.byte()));
    let mut inner = vec![4, 0, 0, body, 0, 0, 14, 16, 1, 2, 3, 4, 0, 0, len];
    inner.resize(inner.len() + usize::from(len), 9);
    inner.extend([0, 0]);
    if cut > 128 {
        inner.truncate(cut - 128);
    }
    inner.push(HANDSHAKE);
    Step::Sealed(inner)
}

/// The type of what is sealed, and what stands before it; padding is off.
fn opened<'s>(step: &'s Step<'_>) -> Option<(u8, &'s [u8])> {
    let Step::Sealed(inner) = step else {
        return None;
    };
    let padding = inner.iter().rev().take_while(|byte| **byte == 0).count();
    let (kind, content) = inner[..inner.len() - padding].split_last()?;
    Some((*kind, content))
}

fn is_canceled(step: &Step<'_>) -> bool {
    matches!(opened(step), Some((ALERT, [_, 90])))
}

/// Where RFC 8446 says what rustls does not do: an empty handshake record is refused (section 5.4), and the level of
/// user_canceled means nothing (section 6).
fn is_lenient(step: &Step<'_>) -> bool {
    matches!(opened(step), Some((HANDSHAKE, []) | (ALERT, [0 | 2.., 90])))
}

/// How a way ended, in what both record layers must agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Closed,
    Refused,
}

impl From<&Result<Progress, Fault>> for End {
    fn from(end: &Result<Progress, Fault>) -> Self {
        match end {
            Ok(Progress::Open) => Self::Open,
            // To rustls it is an error where its level is fatal; levels mean nothing (RFC 8446 section 6).
            Ok(Progress::Closed) | Err(Fault::Alert(AlertDescription::CloseNotify)) => Self::Closed,
            Err(_) => Self::Refused,
        }
    }
}

/// A source and a sink with their peers.
struct Way {
    is_own: bool,
    source: Records,
    sender: Peer,
    sink: Records,
    receiver: Peer,
    heard: Heard,
    moved: usize,
    end: Result<Progress, Fault>,
}

impl Way {
    fn new(script: &Script<'_>, is_own: bool) -> Self {
        let (source, sender) = Peer::shaken(script.suites[0], !script.is_download, is_own);
        let (sink, receiver) = Peer::shaken(script.suites[1], script.is_download, is_own);
        Self {
            is_own,
            source,
            sender,
            sink,
            receiver,
            heard: Heard::default(),
            moved: 0,
            end: Ok(Progress::Open),
        }
    }

    /// What has come goes on to the sink's peer.
    fn pass(&mut self) {
        if self.is_own {
            assert!(self.source.passes_to(&self.sink));
            let (moved, end) = self.source.pass(&mut self.sink);
            self.moved += moved;
            self.end = end.map_err(|broken| match broken {
                Broken::Source(fault) => fault,
                Broken::Sink(fault) => panic!("the sink: {fault}"),
            });
            if self.end.is_err() {
                let again = self.source.pass(&mut self.sink);
                let fault = self.end.clone().map_err(Broken::Source);
                assert_eq!(again, (0, fault), "a fault stays");
            }
        } else {
            let mut plain = Vec::new();
            self.end = self.source.process(&mut plain);
            self.moved += plain.len();
            self.sink.seal(&plain).expect("a sink that goes on");
        }
        self.receiver.hear(&mut self.sink, &mut self.heard);
    }

    fn feed(&mut self, wire: &[u8], piece: usize) {
        let piece = piece.max(1 + wire.len() / STEPS_MAX);
        for part in wire.chunks(piece) {
            if self.end != Ok(Progress::Open) {
                return;
            }
            self.source.feed(part);
            self.pass();
        }
    }

    /// Carries out the script; gives the bytes of the gate's own that were said.
    fn run(&mut self, script: &Script<'_>) -> usize {
        let (mut wire, mut last, mut own) = (Vec::new(), Vec::new(), 0);
        for step in &script.steps {
            match step {
                Step::Sealed(inner) => last = self.sender.record(inner),
                Step::Update(asks) => last = self.sender.update(*asks),
                Step::Raw(bytes) => last = bytes.to_vec(),
                Step::Spoil(at) => {
                    // Type and version are left: rustls never looks at them, and here they are part of what is sealed.
                    let (bytes, at) = (last.len().min(wire.len()), usize::from(*at));
                    let from = wire.len() - bytes + AUTHENTIC_BYTES.min(bytes);
                    if let Some(byte) = wire[from..].get_mut(at % bytes.max(1)) {
                        *byte ^= 1 << (at % 8);
                    }
                    continue;
                }
                Step::Cut(len) => {
                    let len: usize = (*len).into();
                    wire.truncate(wire.len().saturating_sub(len));
                    continue;
                }
                Step::Again => {}
                Step::SinkAsks => {
                    self.feed(&std::mem::take(&mut wire), script.piece);
                    let asked = self.receiver.update(1);
                    self.sink.feed(&asked);
                    self.sink.process(&mut Vec::new()).expect("a good record");
                    continue;
                }
                Step::Own(bytes) => {
                    self.feed(&std::mem::take(&mut wire), script.piece);
                    self.sink.seal(bytes).expect("a sink that goes on");
                    self.receiver.hear(&mut self.sink, &mut self.heard);
                    own += bytes.len();
                    continue;
                }
            }
            wire.extend_from_slice(&last);
        }
        self.feed(&wire, script.piece);
        own
    }
}

/// What arrives and how it ends is what rustls makes of it, whatever the peer sends and in whatever pieces.
pub(super) fn records(bytes: &[u8]) {
    let script = Script::read(bytes);
    let (mut ours, mut oracle) = (Way::new(&script, true), Way::new(&script, false));
    assert_eq!(ours.sender.is_server(), script.is_download);
    let own = ours.run(&script);
    oracle.run(&script);
    // Both refuse the same, but ours by the first five bytes of a record and rustls by the last one.
    if End::from(&ours.end) != End::from(&oracle.end) {
        let rest = [0; RECORD_BYTES];
        ours.feed(&rest, rest.len());
        oracle.feed(&rest, rest.len());
    }
    assert_eq!(
        End::from(&ours.end),
        End::from(&oracle.end),
        "{:?} {:?}",
        ours.end,
        oracle.end
    );
    assert!(ours.heard.plain == oracle.heard.plain, "other bytes");
    assert_eq!(ours.moved, oracle.moved);
    assert_eq!(ours.moved + own, ours.heard.plain.len());
    assert!(ours.heard.alerts.is_empty(), "no end was ordered");
    // The sink still ends as it is told, and the sender hears at most what was wrong.
    ours.sink.seal_close_notify().expect("a sink that goes on");
    ours.receiver.hear(&mut ours.sink, &mut ours.heard);
    assert_eq!(ours.heard.alerts, [0]);
    let mut told = Heard::default();
    ours.sender.hear(&mut ours.source, &mut told);
    assert!(told.plain.is_empty());
    assert!(told.alerts.len() <= usize::from(ours.end.is_err()));
}
