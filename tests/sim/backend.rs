//! A model backend: it speaks FTP in lines, and now and then misbehaves in a way that real ones have been seen to.

use std::time::Duration;

use sluicegate::dialog::{Close, End, FromBackend, Loss, Protection};
use sluicegate::ftp::Direction;

use crate::chance::Chance;
use crate::plot::{Final, Plot, Prelim};

/// What is said, so many milliseconds after what was said before.
pub(crate) type Says = Vec<(u64, FromBackend)>;

/// How a backend answers ABOR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AborHabit {
    Two,
    One,
    Ignored,
    Unknown,
    /// It never says anything again.
    Dead,
}

#[derive(Debug)]
struct Running {
    tag: String,
    plot: Plot,
    direction: Direction,
    has_begun: bool,
    is_answered: bool,
}

/// One backend, for one session.
#[derive(Debug)]
pub(crate) struct Backend {
    abor: AborHabit,
    knows_epsv: bool,
    knows_pwd: bool,
    misbehaves: u64,
    is_dead: bool,
    /// What PROT has made of its data connections.
    pub(crate) protection: Protection,
    /// TLS is off its control connection.
    pub(crate) is_cleared: bool,
    /// It has heard of the client: it has to serve it, whatever happens.
    pub(crate) is_chosen: bool,
    running: Option<Running>,
    /// A first reply that has begun and not ended.
    half: Option<String>,
    /// Why the session may end although the client did not ask for it.
    pub(crate) excuse: Option<&'static str>,
}

fn line(text: impl Into<Vec<u8>>) -> FromBackend {
    FromBackend::Line(text.into())
}

impl Backend {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        Self {
            abor: chance.pick(&[
                AborHabit::Two,
                AborHabit::Two,
                AborHabit::One,
                AborHabit::Ignored,
                AborHabit::Unknown,
                AborHabit::Dead,
            ]),
            knows_epsv: chance.percent(80),
            knows_pwd: chance.percent(95),
            misbehaves: chance.pick(&[0, 0, 0, 1, 4]),
            is_dead: false,
            protection: Protection::Clear,
            is_cleared: false,
            is_chosen: false,
            running: None,
            half: None,
            excuse: None,
        }
    }

    fn die(&mut self, excuse: &'static str) -> Says {
        self.is_dead = true;
        self.excuse = Some(excuse);
        Vec::new()
    }

    /// The gate reaches for it; it has so long to be ready where there are others.
    pub(crate) fn reached(&mut self, chance: &mut Chance, share: Option<Duration>) -> Says {
        if chance.percent(1) {
            return self.unreachable(chance);
        }
        let reached = share.map_or(FromBackend::Reached, FromBackend::ReachedFor);
        let mut says = vec![(chance.delay(3000), reached)];
        match chance.below(100) {
            0 => {
                self.excuse = Some("not ready");
                says.push((10, line("421 Too many users")));
            }
            1 => says.extend(self.die("no greeting")),
            2 => {
                self.excuse = Some("lost before its greeting");
                let loss = chance.pick(&[Loss::Closed, Loss::Broken]);
                says.push((chance.delay(500), FromBackend::Lost(loss)));
            }
            3 => {
                self.excuse = Some("no FTP from the beginning");
                let strange = [line("SSH-2.0-OpenSSH_9.2"), FromBackend::TooLong];
                says.push((10, chance.pick(&strange)));
            }
            4..=20 => {
                says.push((10, line("120 Soon")));
                says.push((10, line("220-Welcome")));
                says.push((10, line("421 is not what this line means")));
                says.push((10, line("")));
                says.push((chance.delay(2000), line("220 Ready")));
            }
            _ => says.push((chance.delay(2000), line("220 Ready"))),
        }
        says
    }

    /// There is none, or no other one.
    pub(crate) fn unreachable(&mut self, chance: &mut Chance) -> Says {
        self.excuse = Some("unreachable");
        vec![(chance.delay(9000), FromBackend::Unreachable)]
    }

    /// The TLS handshake that the gate starts.
    pub(crate) fn secured(&mut self, chance: &mut Chance) -> Says {
        let news = match chance.below(100) {
            0 => FromBackend::Lost(Loss::Handshake),
            1 => FromBackend::Lost(Loss::Injection),
            2 => return self.die("handshake hangs"),
            _ => return vec![(chance.delay(2000), FromBackend::Secured)],
        };
        self.excuse = Some("handshake");
        vec![(100, news)]
    }

    /// A reply, sometimes in several lines, each of which says what it belongs to.
    fn reply(chance: &mut Chance, code: u16, tag: &str) -> Says {
        let delay = chance.delay(1000);
        if !chance.percent(15) {
            return vec![(delay, line(format!("{code} said #{tag}")))];
        }
        vec![
            (delay, line(format!("{code}-first #{tag}"))),
            (0, line(format!(" 200 inside #{tag}"))),
            (10, line("")),
            (chance.delay(300), line(format!("{code} last #{tag}"))),
        ]
    }

    /// A command of the gate. The plot is what it will do about a transfer.
    pub(crate) fn hear(
        &mut self,
        chance: &mut Chance,
        command: &str,
        direction: Option<Direction>,
    ) -> Says {
        let (verb, argument) = command.split_once(' ').unwrap_or((command, ""));
        let tag = format!("{verb}:{argument}");
        self.is_chosen |= verb == "USER";
        if self.is_dead {
            return Vec::new();
        }
        if let Some(direction) = direction {
            return self.begin(chance, tag, direction);
        }
        if !matches!(verb, "ABOR" | "PWD" | "SIZE") {
            self.running = None;
        }
        if chance.below(1000) < self.misbehaves && verb != "QUIT" && self.running.is_none() {
            return self.misbehave(chance, &tag);
        }
        let code = match verb {
            "ABOR" => return self.abort(chance),
            "AUTH" => return self.auth(chance),
            "USER" => chance.pick(&[331, 331, 331, 331, 230]),
            "PASS" => chance.pick(&[230, 230, 230, 230, 230, 230, 530, 332]),
            "ACCT" => 230,
            "PBSZ" => chance.pick(&[200, 200, 500]),
            "CCC" if chance.percent(20) => {
                self.excuse = Some("refuses CCC");
                534
            }
            "CCC" => 200,
            "PROT" if chance.percent(2) => 536,
            "PROT" => {
                let is_private = argument == "P";
                self.protection = if is_private {
                    Protection::Private
                } else {
                    Protection::Clear
                };
                200
            }
            "EPSV" if !self.knows_epsv => 500,
            "EPSV" | "PASV" | "PORT" | "EPRT" if chance.percent(3) => 425,
            "PORT" | "EPRT" => 200,
            "EPSV" => return vec![(chance.delay(500), line("229 Here (|||4711|)"))],
            "PASV" => return vec![(chance.delay(500), line("227 Here 10,0,0,10,18,103"))],
            "FEAT" => {
                let lines = ["211-Features", " SIZE", " REST STREAM", "211 End"];
                return lines.map(|text| (0, line(text))).to_vec();
            }
            "PWD" if !self.knows_pwd => chance.pick(&[500, 550]),
            "PWD" => 257,
            "SIZE" => {
                let size = chance.pick(&["213 0", "213 0", "213 4096", "550 No"]);
                return vec![(chance.delay(500), line(format!("{size} #{tag}")))];
            }
            "NOOP" => 200,
            "REST" => 350,
            "QUIT" => 221,
            _ => chance.pick(&[200, 250, 253, 550]),
        };
        Self::reply(chance, code, &tag)
    }

    fn auth(&mut self, chance: &mut Chance) -> Says {
        if chance.percent(1) {
            self.excuse = Some("refuses TLS");
            return vec![(10, line("534 No TLS here"))];
        }
        vec![(chance.delay(300), line("234 Go on"))]
    }

    fn misbehave(&mut self, chance: &mut Chance, tag: &str) -> Says {
        match chance.below(5) {
            0 => self.die("does not answer"),
            1 => {
                self.excuse = Some("421");
                vec![(chance.delay(500), line(format!("421 Bye #{tag}")))]
            }
            2 => {
                self.excuse = Some("lost");
                let loss = chance.pick(&[Loss::Closed, Loss::Broken]);
                vec![(chance.delay(500), FromBackend::Lost(loss))]
            }
            3 => {
                self.excuse = Some("no FTP");
                vec![(
                    10,
                    chance.pick(&[FromBackend::TooLong, FromBackend::Lost(Loss::Broken)]),
                )]
            }
            _ => {
                self.is_dead = true;
                self.excuse = Some("dies within a reply");
                vec![(10, line(format!("200-first #{tag}")))]
            }
        }
    }

    fn begin(&mut self, chance: &mut Chance, tag: String, direction: Direction) -> Says {
        let plot = Plot::draw(chance, direction);
        let mut says = Vec::new();
        let mut running = Running {
            tag,
            plot,
            direction,
            has_begun: false,
            is_answered: false,
        };
        let is_slow = matches!(plot.prelim, Prelim::At(5000..));
        if is_slow || matches!(plot.last, Final::AfterLeg(5000.., _)) {
            self.excuse = Some("slow");
        }
        let text = format!("Opening #{}", running.tag);
        match plot.prelim {
            Prelim::At(delay) => says.push((delay, line(format!("150 {text}")))),
            Prelim::Lines(delay) => {
                says.push((delay, line(format!("150-{text}"))));
                says.push((0, line("  as you wished")));
                says.push((delay * 2, line(format!("150 {text}"))));
            }
            Prelim::Half(delay) => {
                says.push((delay, line(format!("150-{text}"))));
                self.half = Some(running.tag.clone());
            }
            Prelim::OnConnect(_) | Prelim::Never => {}
        }
        running.has_begun = !matches!(plot.prelim, Prelim::OnConnect(_));
        if let Final::At(delay, code) = plot.last {
            says.push((delay, line(format!("{code} Result #{}", running.tag))));
            running.is_answered = true;
        }
        if let Some((delay, is_closing)) = plot.twist {
            self.excuse = Some("twist");
            self.is_dead = true;
            says = vec![match is_closing {
                true => (delay, line(format!("421 Bye #{}", running.tag))),
                false => (delay, FromBackend::Lost(Loss::Broken)),
            }];
        }
        self.running = Some(running);
        says
    }

    /// What it will do on the data leg of the transfer that it has just heard of.
    pub(crate) fn plot(&self) -> Option<Plot> {
        self.running.as_ref().map(|running| running.plot)
    }

    /// Its data connection is there.
    pub(crate) fn connected(&mut self) -> Says {
        match &mut self.running {
            Some(running) if !running.has_begun && !self.is_dead => match running.plot.prelim {
                Prelim::OnConnect(delay) => {
                    running.has_begun = true;
                    if running.is_answered {
                        return Vec::new();
                    }
                    vec![(delay, line(format!("150 Opening #{}", running.tag)))]
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// Its data connection is over, as it sees it.
    pub(crate) fn leg_over(&mut self, ordered: Option<Close>, end: End) -> Says {
        let Some(running) = self.running.as_mut().filter(|running| !running.is_answered) else {
            return Vec::new();
        };
        if self.is_dead {
            return Vec::new();
        }
        let Final::AfterLeg(delay, code) = running.plot.last else {
            return Vec::new();
        };
        running.is_answered = true;
        let is_good = match (running.direction, ordered) {
            (Direction::Upload, ordered) => {
                ordered.is_some_and(|close| close != Close::Reset) && end != End::Reset
            }
            // What the peer of a download does not want is not a success.
            (Direction::Download, ordered) => ordered.is_none(),
        };
        let code = if is_good { code } else { code.max(426) };
        vec![(delay, line(format!("{code} Result #{}", running.tag)))]
    }

    /// ABOR: what has not been said about the transfer is said now, or never.
    fn abort(&mut self, chance: &mut Chance) -> Says {
        let mut says = Vec::new();
        let open = self
            .running
            .take()
            .filter(|running| !running.is_answered)
            .map(|running| running.tag);
        if !self.knows_pwd && self.abor != AborHabit::Two && self.abor != AborHabit::Unknown {
            self.excuse = Some("cannot be brought in step");
        }
        if let Some(tag) = self.half.take() {
            says.push((0, line(format!("150 closed #{tag}"))));
        }
        let Some(tag) = open else {
            let code = if self.abor == AborHabit::Unknown {
                500
            } else {
                225
            };
            if self.abor == AborHabit::Ignored {
                return says;
            }
            if !self.knows_pwd {
                self.excuse = Some("nothing to tell the replies apart by");
            }
            says.extend(Self::reply(chance, code, "ABOR:"));
            return says;
        };
        match self.abor {
            AborHabit::Dead => return self.die("does not answer ABOR"),
            AborHabit::Ignored => return says,
            AborHabit::One => {}
            AborHabit::Two | AborHabit::Unknown => {
                says.extend(Self::reply(chance, chance_code(self.abor), &tag));
            }
        }
        let code = if self.abor == AborHabit::Unknown {
            502
        } else {
            226
        };
        says.extend(Self::reply(chance, code, "ABOR:"));
        says
    }
}

const fn chance_code(habit: AborHabit) -> u16 {
    match habit {
        AborHabit::Unknown => 451,
        _ => 426,
    }
}
