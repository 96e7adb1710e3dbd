//! A session between a client and a backend that say whatever they like, whenever they like.
//!
//! The simulation has peers that mean something; these do not. What the world itself does (connections, legs, ports,
//! the clock) is as the contract of `dialog` has it, in any order that it allows.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use sluicegate::dialog::{
    Action, Close, DataNews, Dialog, End, FromBackend, FromClient, Input, Loss, Phase, Side,
};
use sluicegate::ftp::{Class, ReplyReader, escape};
use sluicegate::limits::ACTIONS_PER_STEP_MAX;
use sluicegate::policy::{
    BackendCcc, BackendProtection, BackendTls, ClientCcc, ClientIdentity, ClientProtection,
    ClientTls, OnEmpty, OnUnfinished, PassiveStyle, PasvAddress, Patience, Pbsz, SiteRules,
};

use super::tape::Tape;

/// What a client may say beside its own words; a space behind it asks for more from the tape.
const COMMANDS: &[&str] = &[
    "USER joe",
    "PASS secret",
    "AUTH TLS",
    "PBSZ 0",
    "PROT P",
    "PROT C",
    "CCC",
    "REIN",
    "FEAT",
    "EPSV",
    "PASV",
    "EPSV ALL",
    "PORT 192,0,2,7,4,1",
    "EPRT |1|192.0.2.7|1025|",
    "TYPE I",
    "REST 5",
    "RETR a",
    "STOR a",
    "LIST",
    "STOU",
    "APPE a",
    "ABOR",
    "STAT",
    "NOOP",
    "QUIT",
    "SIZE a",
    "HOST a",
    "CWD ",
    "SITE ",
    "MODE Z",
    "ACCT ",
    "",
];

/// What a backend may say.
const REPLIES: &[&str] = &[
    "220 ready",
    "234 go on",
    "331 password",
    "230 in",
    "200 fine",
    "211-Features:",
    " SIZE",
    "211 End",
    "227 at (10,0,0,1,195,81)",
    "229 at (|||50001|)",
    "150 data",
    "125 more",
    "226 done",
    "250 done",
    "426 broken",
    "425 no",
    "550 no",
    "421 bye",
    "257 \"/\"",
    "213 0",
    "213 7",
    "350 go on",
    "500 what",
    "533 no",
    "120 later",
    "150-",
    "226-",
    "",
];

/// Deadlines until a session that nobody speaks in any more is over: the longest way is a transfer given up, its replies
/// brought into step, and an idle timer.
const QUIET_DEADLINES_MAX: usize = 64;

#[derive(Clone, Copy, PartialEq)]
enum Leg {
    Opening,
    Connected,
    Up,
    Over,
}

struct World {
    dialog: Dialog,
    now: Instant,
    /// What the world owes the dialog, in order.
    due: VecDeque<Input>,
    securing: [bool; 2],
    there: bool,
    /// It has heard of the client.
    chosen: bool,
    /// A member of the pool that has not been tried.
    other: bool,
    legs: Option<[Leg; 2]>,
    flows: bool,
    replies: ReplyReader,
    /// Final replies that the client may still get.
    owed: usize,
    closed: bool,
}

/// Whatever is said, a session stays within its bounds, answers no command twice, and ends when nobody speaks any more.
pub(super) fn dialog(bytes: &[u8]) {
    let mut tape = Tape::new(bytes);
    let peer = [192, 0, 2, 7].into();
    let now = instant();
    let (dialog, actions) = Dialog::open(Arc::new(rules(&mut tape)), peer, now);
    let mut world = World {
        dialog,
        now,
        due: VecDeque::new(),
        securing: [false; 2],
        there: false,
        chosen: false,
        other: true,
        legs: None,
        flows: false,
        replies: ReplyReader::default(),
        // The greeting.
        owed: 1,
        closed: false,
    };
    world.perform(actions);
    while !tape.is_over() && world.dialog.ending().is_none() {
        world.happen(&mut tape);
    }
    for _ in 0..QUIET_DEADLINES_MAX {
        world.settle();
        world.stall();
        if let Some(due) = world.dialog.deadline() {
            world.now = world.now.max(due);
            world.step(Input::Deadline);
        }
    }
    assert!(world.closed, "a session that never ends");
}

impl World {
    fn step(&mut self, input: Input) {
        if self.dialog.ending().is_some() {
            return;
        }
        match input {
            Input::Client(FromClient::Secured) => self.securing[0] = false,
            Input::Backend(FromBackend::Secured) => self.securing[1] = false,
            Input::Backend(FromBackend::Reached | FromBackend::ReachedFor(_)) => self.there = true,
            _ => {}
        }
        let actions = self.dialog.step(self.now, input);
        assert!(actions.len() <= ACTIONS_PER_STEP_MAX);
        self.perform(actions);
        // Bytes that flow have the relay's deadlines, and what the world owes comes at once.
        let is_bounded = self.dialog.deadline().is_some() || self.flows || !self.due.is_empty();
        assert!(is_bounded || self.closed, "nothing will ever happen again");
    }

    fn happen(&mut self, tape: &mut Tape<'_>) {
        match tape.byte() % 16 {
            0..=4 => self.client_speaks(tape),
            5..=9 => self.backend_speaks(tape),
            10..=12 => self.world_moves(tape),
            13 => self.settle(),
            14 => {
                let wait = Duration::from_secs(u64::from(tape.byte()) % 40);
                let until = self.now + wait;
                let due = self.dialog.deadline().filter(|due| *due <= until);
                self.now = due.map_or(until, |due| self.now.max(due));
                if due.is_some() {
                    self.step(Input::Deadline);
                }
            }
            _ => {
                let input = match tape.byte() % 16 {
                    0 => Input::Drain,
                    1 => Input::Killed,
                    2 if self.reads_client() => {
                        self.owed += 1;
                        Input::Client(FromClient::TooLong)
                    }
                    3 if self.reads_client() => Input::Client(FromClient::Lost(Loss::Closed)),
                    4 if self.there => Input::Backend(FromBackend::TooLong),
                    5 if self.there => Input::Backend(FromBackend::Lost(Loss::Closed)),
                    6 if self.there => Input::Backend(FromBackend::Lost(Loss::Broken)),
                    _ => return,
                };
                self.step(input);
            }
        }
    }

    /// While TLS comes about nothing is read, and beyond the bound neither.
    fn reads_client(&self) -> bool {
        !self.securing[0] && self.dialog.wants_client()
    }

    fn client_speaks(&mut self, tape: &mut Tape<'_>) {
        if !self.reads_client() {
            return;
        }
        let line = said(tape, COMMANDS);
        self.owed += 1;
        self.step(Input::Client(FromClient::Line(line)));
    }

    fn backend_speaks(&mut self, tape: &mut Tape<'_>) {
        if self.there && !self.securing[1] {
            let line = said(tape, REPLIES);
            self.step(Input::Backend(FromBackend::Line(line)));
        }
    }

    /// One thing that connections do by themselves.
    fn world_moves(&mut self, tape: &mut Tape<'_>) {
        let choice = tape.byte();
        if let Some(input) = self.due.pop_front() {
            return self.step(input);
        }
        let side = [Side::Client, Side::Backend][usize::from(choice & 1)];
        let Some(legs) = &mut self.legs else {
            return;
        };
        let leg = &mut legs[side as usize];
        let news = match (*leg, choice / 2 % 8) {
            (Leg::Over, _) => return,
            (Leg::Up, _) if !self.flows => return,
            (Leg::Opening, 0) => ended(leg, side, End::Refused),
            (Leg::Opening, _) => {
                *leg = Leg::Connected;
                DataNews::Connected(side)
            }
            (Leg::Connected, 0) => ended(leg, side, End::Bare),
            (Leg::Connected, 1) => ended(leg, side, End::HandshakeFailed),
            (Leg::Connected, _) => {
                *leg = Leg::Up;
                DataNews::Up(side)
            }
            (Leg::Up, choice) => {
                *leg = Leg::Over;
                self.flows = false;
                DataNews::Flowed {
                    bytes: u64::from(choice / 4),
                    side,
                    end: [End::Clean, End::Unfinished, End::Reset, End::Clean]
                        [usize::from(choice % 4)],
                }
            }
        };
        if *legs == [Leg::Up; 2] && matches!(news, DataNews::Up(_)) {
            self.flows = true;
        }
        self.step(Input::Data(news));
    }

    /// All that is under way comes about.
    fn settle(&mut self) {
        while let Some(input) = self.due.pop_front() {
            self.step(input);
        }
    }

    /// The relay's deadline: bytes that flow flow no more.
    fn stall(&mut self) {
        if let Some(legs) = self.legs.as_mut().filter(|_| self.flows) {
            legs[Side::Backend as usize] = Leg::Over;
            self.flows = false;
            self.step(Input::Data(DataNews::Flowed {
                bytes: 1,
                side: Side::Backend,
                end: End::TimedOut(Phase::Stall),
            }));
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            assert!(!self.closed, "{action:?} behind the end");
            match action {
                Action::ToClient(wire) => self.tell_client(&wire),
                Action::ToBackend(wire) => {
                    self.chosen |= wire.starts_with(b"USER ");
                    let lines = wire.iter().filter(|byte| **byte == b'\n').count();
                    assert!(
                        self.there && wire.ends_with(b"\r\n") && lines == 1,
                        "{}",
                        escape(&wire)
                    );
                }
                Action::SecureClient => {
                    self.secure(Side::Client, Input::Client(FromClient::Secured))
                }
                Action::SecureBackend => {
                    self.secure(Side::Backend, Input::Backend(FromBackend::Secured))
                }
                Action::ReleaseBackend => {
                    self.part();
                    (self.chosen, self.other) = (false, true);
                }
                Action::ConnectBackend => {
                    assert!(!self.there, "it is there");
                    let share = Duration::from_secs(5);
                    self.due
                        .push_back(Input::Backend(FromBackend::ReachedFor(share)));
                }
                Action::PassOver(_) => {
                    assert!(self.there && !self.chosen, "it has to serve");
                    self.part();
                    let next = match std::mem::take(&mut self.other) {
                        true => FromBackend::Reached,
                        false => FromBackend::Unreachable,
                    };
                    self.due.push_back(Input::Backend(next));
                }
                Action::OpenPassive(side) => {
                    let address = ([203, 0, 113, 5], 50_000).into();
                    self.due.push_back(Input::Passive(side, Some(address)));
                }
                Action::ClosePassive(side) => {
                    self.due
                        .retain(|input| !matches!(input, Input::Passive(of, _) if *of == side));
                }
                Action::OpenData(_) => {
                    assert!(self.legs.is_none(), "two transfers");
                    (self.legs, self.flows) = (Some([Leg::Opening; 2]), false);
                }
                Action::EndData(side, close) => self.end(side, close),
                Action::CloseData => {
                    assert!(self.legs.take().is_some(), "no transfer");
                    self.due.retain(|input| !matches!(input, Input::Data(_)));
                }
                Action::Note(note) => assert!(!format!("{note:?}").contains("secret")),
                Action::Close => {
                    assert!(self.legs.is_none(), "closed amid a transfer");
                    self.closed = true;
                }
                Action::Clear(_) | Action::Choose(_) => {}
            }
        }
    }

    fn part(&mut self) {
        (self.there, self.securing[1]) = (false, false);
        self.due.retain(|input| !matches!(input, Input::Backend(_)));
    }

    fn secure(&mut self, side: Side, news: Input) {
        self.securing[side as usize] = true;
        self.due.push_back(news);
    }

    /// An order to end a leg is always answered, by how far it had come.
    fn end(&mut self, side: Side, close: Close) {
        let legs = self.legs.as_mut().expect("legs of a transfer");
        let leg = &mut legs[side as usize];
        let was = std::mem::replace(leg, Leg::Over);
        let end = match (was, close) {
            (Leg::Opening, _) => End::Refused,
            (Leg::Connected, _) => End::Bare,
            (_, Close::Clean) => End::Clean,
            (_, Close::Unfinished) => End::Unfinished,
            (_, Close::Reset) => End::Aborted,
        };
        let news = match was {
            // The news of its end is on its way, or told.
            Leg::Over => return,
            Leg::Up if std::mem::take(&mut self.flows) => DataNews::Flowed {
                bytes: 0,
                side,
                end: End::Aborted,
            },
            _ => DataNews::Ended(side, end),
        };
        self.due.push_back(Input::Data(news));
    }

    /// What the client reads are replies, and no more of them than it has said commands.
    fn tell_client(&mut self, wire: &[u8]) {
        let text = wire.strip_suffix(b"\r\n").expect("whole lines");
        for raw in text.split(|byte| *byte == b'\n') {
            let raw = raw.strip_suffix(b"\r").unwrap_or(raw).to_vec();
            let line = self.replies.read(raw).expect("a reply");
            let line = line.expect("no empty line");
            if line.last && line.code.class() != Class::Preliminary {
                let is_goodbye = line.code.number() == 421;
                assert!(self.owed > 0 || is_goodbye, "{line:?} answers nothing");
                self.owed = self.owed.saturating_sub(1);
            }
        }
    }
}

fn ended(leg: &mut Leg, side: Side, end: End) -> DataNews {
    *leg = Leg::Over;
    DataNews::Ended(side, end)
}

/// A line from the list, or of the tape's own; behind a space, both.
fn said(tape: &mut Tape<'_>, list: &[&str]) -> Vec<u8> {
    let word = list[usize::from(tape.byte()) % list.len()].as_bytes();
    let own = match word {
        [] | [.., b' '] => tape.string(),
        _ => &[],
    };
    let mut line = [word, own].concat();
    line.retain(|byte| *byte != b'\n');
    line
}

fn rules(tape: &mut Tape<'_>) -> SiteRules {
    let unfinished = [
        OnUnfinished::Mirror,
        OnUnfinished::Repair,
        OnUnfinished::Reject,
    ];
    let [first, second, third] = [tape.byte(), tape.byte(), tape.byte()];
    let one_of = |byte: u8, count: u8| usize::from(byte % count);
    let backend_protection = [
        BackendProtection::Private,
        BackendProtection::Clear,
        BackendProtection::Match,
    ][one_of(third, 3)];
    let has_ccc = third / 3 % 2 == 1 && backend_protection != BackendProtection::Match;
    SiteRules {
        banner: "Ready".to_owned(),
        client_tls: [
            ClientTls::Optional,
            ClientTls::Required,
            ClientTls::Implicit,
            ClientTls::Off,
        ][one_of(first, 4)],
        banner_first: first & 4 != 0,
        assume_private: first & 8 != 0,
        pbsz: Pbsz::Optional,
        client_ccc: if first & 16 != 0 {
            ClientCcc::Accept
        } else {
            ClientCcc::Refuse
        },
        client_identity: ClientIdentity::Ignore,
        client_protection: if first & 32 != 0 {
            ClientProtection::Private
        } else {
            ClientProtection::Any
        },
        backend_tls: [
            BackendTls::Off,
            BackendTls::Explicit,
            BackendTls::Implicit,
            BackendTls::Match,
        ][one_of(second, 4)],
        backend_banner_first: second & 4 != 0,
        backend_protection,
        backend_ccc: if has_ccc {
            BackendCcc::Try
        } else {
            BackendCcc::Off
        },
        mode_z: second & 8 != 0,
        on_empty: [OnEmpty::Complete, OnEmpty::Verify, OnEmpty::Reject][one_of(second / 16, 3)],
        client_unfinished: unfinished[one_of(third / 8, 3)],
        backend_unfinished: unfinished[one_of(third / 32, 3)],
        bare_uploads: first & 64 != 0,
        active: first & 128 == 0,
        passive: [
            PassiveStyle::Auto,
            PassiveStyle::Epsv,
            PassiveStyle::Pasv,
            PassiveStyle::Port,
        ][one_of(second / 64, 4)],
        pasv_address: PasvAddress::Ignore,
        patience: patience(),
        hosts: Vec::new(),
    }
}

fn patience() -> Patience {
    let seconds = Duration::from_secs;
    Patience {
        handshake: seconds(10),
        login: seconds(60),
        idle: seconds(300),
        backend_connect: seconds(10),
        backend_reply: seconds(60),
        data_connect: seconds(15),
        data_handshake: seconds(10),
        data_completion: seconds(20),
        linger: seconds(2),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "an Instant cannot be made otherwise; the session counts from it"
)]
fn instant() -> Instant {
    Instant::now()
}
