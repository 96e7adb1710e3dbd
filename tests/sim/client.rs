//! A model client: it logs in, moves files and does small things, and sometimes it is rude, slow, or gone.

use std::collections::{HashMap, VecDeque};

use sluicegate::dialog::{End, Phase};
use sluicegate::ftp::{BrokenReply, Direction, ReplyLine, ReplyReader};

use crate::chance::Chance;
use crate::legs::{Conduct, Secure, When};

/// One thing that the client sets out to do.
#[derive(Debug, Clone)]
pub(crate) enum Move {
    /// Lines sent at once, without waiting for replies in between.
    Say(Vec<String>),
    /// One transfer, with ABOR or NOOP so long after its command.
    Transfer(String, Conduct, Option<(u64, &'static str)>),
    /// Says nothing more.
    Silence,
    /// The connection goes away, with or without notice.
    Vanish,
    TooLong,
}

/// A command that has been sent and has no final reply yet.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) tag: String,
    pub(crate) verb: String,
    pub(crate) preliminary: bool,
}

impl Asked {
    fn is_transfer(&self) -> bool {
        direction(&self.verb).is_some()
    }
}

/// In the gate's own words: the backend's replies say whose they are.
fn is_amid(text: &str) -> bool {
    text == "200 Fine" || (text.starts_with("213 ") && !text.contains('#'))
}

/// What a reply made of the client's state.
#[derive(Debug)]
pub(crate) enum Heard {
    Nothing,
    /// NOOP or STAT has been answered while a transfer runs.
    Amid,
    Preliminary(String),
    Final(Asked, u16),
    /// 421 or 221: the session is over.
    Goodbye(u16),
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) moves: VecDeque<Move>,
    pub(crate) asked: VecDeque<Asked>,
    pub(crate) conducts: HashMap<String, Conduct>,
    reader: ReplyReader,
    pub(crate) is_gone: bool,
    /// It has said QUIT and ended its own direction; it still listens.
    pub(crate) has_ended: bool,
    pub(crate) is_securing: bool,
    pub(crate) goodbye: Option<u16>,
    greeted: bool,
}

pub(crate) fn direction(verb: &str) -> Option<Direction> {
    match verb {
        "RETR" | "LIST" | "NLST" | "MLSD" => Some(Direction::Download),
        "STOR" | "APPE" | "STOU" => Some(Direction::Upload),
        _ => None,
    }
}

/// How data connections are asked for.
const ARRANGING: &[&str] = &[
    "EPSV",
    "EPSV",
    "PASV",
    "EPSV 1",
    "PORT 192,0,2,7,195,80",
    "EPRT |1|192.0.2.7|50000|",
];

fn say(line: &str) -> Move {
    Move::Say(vec![line.to_owned()])
}

impl Client {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let mut moves = VecDeque::new();
        match chance.below(20) {
            // In clear text, which the listener may allow.
            0 => moves.push_back(say("USER u")),
            1 => moves.extend([say("AUTH SSL"), say("USER u")]),
            2 => moves.push_back(Move::Say(vec!["AUTH TLS".into(), "USER u".into()])),
            _ => moves.extend([say("FEAT"), say("AUTH TLS"), say("USER u")]),
        }
        moves.push_back(say("PASS p"));
        let level = chance.pick(&["P", "P", "P", "P", "C"]);
        moves.extend([say("PBSZ 0"), say(&format!("PROT {level}"))]);
        for number in 0..2 + chance.below(7) {
            Self::plan(chance, &mut moves, number * 10);
        }
        moves.push_back(match chance.below(30) {
            0 => Move::Silence,
            1 => Move::Vanish,
            2 => Move::TooLong,
            _ => say("QUIT"),
        });
        Self {
            moves,
            asked: VecDeque::new(),
            conducts: HashMap::new(),
            reader: ReplyReader::default(),
            is_gone: false,
            has_ended: false,
            is_securing: false,
            goodbye: None,
            greeted: false,
        }
    }

    fn plan(chance: &mut Chance, moves: &mut VecDeque<Move>, number: u64) {
        match chance.below(100) {
            0..=69 => {
                if chance.percent(10) {
                    moves.push_back(say(chance.pick(&["REST 0", "REST 4096"])));
                }
                if chance.percent(5) {
                    moves.push_back(say(chance.pick(&["PROT C", "PROT P"])));
                }
                if chance.percent(5) {
                    moves.push_back(say(chance.pick(ARRANGING)));
                }
                moves.push_back(say(chance.pick(ARRANGING)));
                if chance.percent(4) {
                    moves.push_back(say(chance.pick(&["PROT C", "PROT P"])));
                }
                moves.push_back(Self::transfer(chance, number));
            }
            70..=84 => moves.push_back(Move::Say(vec![Self::small(chance, number)])),
            85..=94 => {
                let lines = 2 + chance.below(5);
                let small = (0..lines).map(|at| Self::small(chance, number + at));
                moves.push_back(Move::Say(small.collect()));
            }
            95..=96 => {
                moves.push_back(say("REIN"));
                moves.extend(["AUTH TLS", "USER u", "PASS p", "PBSZ 0", "PROT P"].map(say));
            }
            _ => {
                let odd = [
                    "XFOO",
                    "SIZE",
                    "PWD now",
                    "PORT 1,2,3,4,5,6",
                    "PORT 192,0,2,7,0,21",
                    "EPRT |2|::1|6000|",
                    "EPSV ALL",
                    "EPSV 2",
                    "CPSV",
                    "REST -1",
                    "MODE Z",
                    "ABOR",
                    "HELP",
                    "AUTH TLS",
                    "CCC",
                    "RETR early",
                    "PROT S",
                ];
                moves.push_back(say(chance.pick(&odd)));
            }
        }
    }

    fn small(chance: &mut Chance, number: u64) -> String {
        let verb = chance.pick(&["NOOP", "SIZE", "CWD", "MDTM", "DELE", "SITE", "STAT"]);
        format!("{verb} n{number}")
    }

    fn transfer(chance: &mut Chance, number: u64) -> Move {
        let verb = chance.pick(&[
            "RETR", "RETR", "RETR", "LIST", "NLST", "MLSD", "STOR", "STOR", "STOR", "APPE", "STOU",
        ]);
        let during = match chance.below(100) {
            0..=6 => Some((chance.delay(6000), "ABOR")),
            7..=10 => Some((chance.delay(6000), "NOOP")),
            11..=12 => Some((chance.delay(6000), "STAT")),
            13..=14 => Some((chance.delay(6000), "NOOP+ABOR")),
            15 => Some((chance.delay(6000), "ABOR+ABOR")),
            16 => Some((chance.delay(6000), "QUIT")),
            17 => Some((chance.delay(6000), "VANISH")),
            18..=19 => Some((chance.delay(6000), "STAT+SIZE+NOOP")),
            20 => Some((chance.delay(6000), "QUIT+FIN")),
            _ => None,
        };
        let conduct = Self::conduct(chance, direction(verb));
        Move::Transfer(format!("{verb} n{number}"), conduct, during)
    }

    fn conduct(chance: &mut Chance, direction: Option<Direction>) -> Conduct {
        let mut conduct = Conduct::good(chance);
        if chance.percent(30) {
            conduct.connect = When::After150(chance.delay(3000));
        }
        if chance.percent(70) {
            return conduct;
        }
        let is_upload = direction == Some(Direction::Upload);
        match chance.below(8) {
            0 if chance.percent(50) => conduct.refused = true,
            0 => conduct.connect = When::Never,
            1 => {
                conduct.connect = When::After150(12_000 + chance.below(9000));
                conduct.is_late = true;
            }
            2 => conduct.secure = Secure::Done(When::Never),
            3 => conduct.secure = Secure::Bare(chance.delay(900)),
            4 if chance.percent(50) => conduct.secure = Secure::Foreign(chance.delay(900)),
            4 => conduct.secure = Secure::Fails(chance.delay(900)),
            5 => {
                conduct.breaks = Some((chance.delay(9000), chance.pick(&[End::Reset, End::Clean])))
            }
            6 if is_upload => {
                conduct.end = chance.pick(&[
                    End::Unfinished,
                    End::Unfinished,
                    End::Reset,
                    match conduct.bytes {
                        0 => End::TimedOut(Phase::FirstByte),
                        _ => End::TimedOut(Phase::Stall),
                    },
                ]);
            }
            _ => conduct.closed = chance.pick(&[End::Reset, End::TimedOut(Phase::Completion)]),
        }
        conduct
    }

    /// A line that the client sends now.
    pub(crate) fn sends(&mut self, line: &str) {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        self.asked.push_back(Asked {
            tag: format!("{verb}:{argument}"),
            verb: verb.to_owned(),
            preliminary: false,
        });
    }

    /// Everything before QUIT has been answered.
    pub(crate) fn is_quitting(&self) -> bool {
        self.asked.front().is_some_and(|asked| asked.verb == "QUIT")
    }

    pub(crate) fn awaits(&self, tag: &str) -> bool {
        self.asked.iter().any(|asked| asked.tag == tag)
    }

    /// One line from the gate.
    pub(crate) fn hears(&mut self, raw: &[u8]) -> Result<Heard, String> {
        let text = String::from_utf8_lossy(raw).into_owned();
        let line = match self.reader.read(raw.to_vec()) {
            Ok(Some(line)) => line,
            Ok(None) => return Err("rule 13: a blank line between replies".to_owned()),
            Err(BrokenReply::NoCode(_) | BrokenReply::TooManyLines) => {
                return Err(format!("rule 7: not a reply: {text}"));
            }
        };
        if let Some(asked) = self.asked.front()
            && let Some((_, tag)) = text.split_once('#')
            && tag != asked.tag
        {
            return Err(format!("rule 7: `{}` is told {text}", asked.tag));
        }
        if is_amid(&text) && self.asked.front().is_some_and(Asked::is_transfer) {
            return self.hears_amid(&text, line.last);
        }
        if !line.last {
            return Ok(Heard::Nothing);
        }
        self.understands(&line)
    }

    /// What is answered while a transfer runs stands behind its 1xx, amid no other reply, and overtakes nothing.
    fn hears_amid(&mut self, text: &str, is_whole: bool) -> Result<Heard, String> {
        let has_begun = self.asked.front().is_some_and(|asked| asked.preliminary);
        let expected = match text.as_bytes()[0..3] {
            [b'2', b'0', b'0'] => "NOOP",
            _ => "STAT",
        };
        let is_next = self.asked.get(1).is_some_and(|asked| {
            asked.verb == expected && (expected == "NOOP" || asked.tag == "STAT:")
        });
        if !is_whole || !has_begun || !is_next {
            return Err(format!("rule 12: {text}, and {:?} are asked", self.asked));
        }
        self.asked.remove(1);
        Ok(Heard::Amid)
    }

    fn understands(&mut self, line: &ReplyLine) -> Result<Heard, String> {
        let code = line.code.number();
        if self.goodbye.is_some() {
            return Err(format!("rule 13: {code} behind the goodbye"));
        }
        if !self.greeted {
            self.greeted = true;
            return if code == 220 {
                Ok(Heard::Nothing)
            } else {
                Err(format!("greeted by {code}"))
            };
        }
        if code == 421 || code == 221 {
            self.goodbye = Some(code);
            return Ok(Heard::Goodbye(code));
        }
        let Some(asked) = self.asked.front_mut() else {
            return Err(format!("rule 13: {code}, and nothing was asked"));
        };
        if code < 200 {
            if direction(&asked.verb).is_none() || asked.preliminary {
                return Err(format!("rule 8: {code} to {}", asked.tag));
            }
            asked.preliminary = true;
            return Ok(Heard::Preliminary(asked.tag.clone()));
        }
        if code == 234 {
            self.is_securing = true;
        }
        if code == 332 {
            self.moves.push_front(say("ACCT a"));
        }
        let asked = self.asked.pop_front().expect("it was looked at");
        if asked.verb == "ABOR" && !matches!(code, 225 | 226 | 530) {
            return Err(format!("rule 12: ABOR is told {code}"));
        }
        Ok(Heard::Final(asked, code))
    }
}
