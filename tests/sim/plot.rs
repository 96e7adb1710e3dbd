//! What a backend will do about one transfer: well most of the time, and else in a way that real ones have been seen to.

use sluicegate::dialog::{End, Phase};
use sluicegate::ftp::Direction;

use crate::chance::Chance;
use crate::legs::{Conduct, Secure, When};

/// When the first reply to a transfer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prelim {
    At(u64),
    /// In several lines.
    Lines(u64),
    /// Its first line, and never its last.
    Half(u64),
    /// Only when the data TCP connection is there, as vsftpd and ProFTPD do.
    OnConnect(u64),
    Never,
}

/// When its last reply comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Final {
    At(u64, u16),
    /// When its data connection is over; a bad end of an upload becomes 426.
    AfterLeg(u64, u16),
    Never,
}

/// How a backend goes about one transfer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plot {
    pub(crate) name: &'static str,
    pub(crate) prelim: Prelim,
    pub(crate) last: Final,
    pub(crate) leg: Conduct,
    /// The control connection is lost, or ended by 421, so long after the command.
    pub(crate) twist: Option<(u64, bool)>,
    /// Timely enough for every deadline of the gate.
    pub(crate) is_timely: bool,
}

impl Plot {
    pub(crate) fn draw(chance: &mut Chance, direction: Direction) -> Self {
        let mut plot = Self {
            name: "well",
            prelim: chance.pick(&[
                Prelim::At(0),
                Prelim::At(2500),
                Prelim::Lines(500),
                Prelim::OnConnect(20),
            ]),
            last: Final::AfterLeg(chance.delay(3000), chance.pick(&[226, 226, 250])),
            leg: Conduct::good(chance),
            twist: None,
            is_timely: true,
        };
        match chance.below(28) {
            0..=9 => {}
            10..=17 => plot.spoil_replies(chance),
            18..=24 => plot.spoil_leg(chance, direction),
            25 if chance.percent(20) => {
                plot.name = "lost";
                plot.twist = Some((chance.delay(9000), chance.percent(50)));
            }
            _ => {
                plot.spoil_replies(chance);
                plot.spoil_leg(chance, direction);
                plot.name = "both";
            }
        }
        if plot.prelim == Prelim::Never && plot.leg.secure != Secure::Bare(0) {
            // A leg that waits for a 150 that never comes would be another plot.
            if let Secure::Done(When::After150(delay)) = plot.leg.secure {
                plot.leg.secure = Secure::Done(When::After(delay));
            }
        }
        plot
    }

    fn spoil_replies(&mut self, chance: &mut Chance) {
        match chance.below(10) {
            9 => {
                self.name = "half a first reply";
                (self.prelim, self.last) = (Prelim::Half(chance.delay(900)), Final::Never);
                self.is_timely = false;
            }
            0 => (self.name, self.prelim) = ("no preliminary", Prelim::Never),
            1 => {
                self.name = "final before the data end";
                self.last = Final::At(chance.delay(3000), 226);
                // Who calls it a success has long taken the connection: no part of it is later than the gate's patience
                // with one that was never taken.
                self.leg.connect = When::After(chance.delay(900));
                self.leg.secure = Secure::Done(When::After(chance.delay(900)));
            }
            2 => {
                self.name = "refused with the data port closed";
                self.prelim = Prelim::Never;
                self.last = Final::At(chance.delay(3000), chance.pick(&[550, 450, 425]));
                self.leg.refused = chance.percent(50);
                self.leg.connect = chance.pick(&[When::After(0), When::After(1000), When::Never]);
            }
            3 => {
                self.name = "failed at the end";
                self.last = Final::AfterLeg(chance.delay(3000), chance.pick(&[426, 451, 552]));
            }
            4 => {
                self.name = "failed in the middle";
                self.last = Final::At(chance.delay(9000), chance.pick(&[426, 552]));
            }
            5 => {
                self.name = "hangs before the first reply";
                (self.prelim, self.last) = (Prelim::Never, Final::Never);
                self.leg.connect = chance.pick(&[When::After(0), When::Never]);
                self.is_timely = false;
            }
            6 => {
                self.name = "hangs before the last reply";
                self.last = Final::Never;
                self.is_timely = false;
            }
            7 => {
                self.name = "late";
                self.prelim = Prelim::At(chance.below(90_000));
                self.last = Final::AfterLeg(chance.below(30_000), 226);
                self.is_timely = false;
            }
            _ => {
                self.name = "odd success";
                self.last = Final::AfterLeg(0, chance.pick(&[200, 225, 253]));
            }
        }
    }

    fn spoil_leg(&mut self, chance: &mut Chance, direction: Direction) {
        let leg = &mut self.leg;
        match chance.below(8) {
            0 | 1 => {
                self.name = "bare";
                leg.secure = Secure::Bare(chance.delay(500));
                leg.bytes = 0;
            }
            2 => {
                self.name = "never takes the data connection";
                leg.bytes = 0;
                leg.refused = chance.percent(50);
                if !leg.refused {
                    leg.connect = When::Never;
                }
                self.prelim = chance.pick(&[Prelim::At(0), Prelim::Never]);
                self.last = Final::At(chance.delay(3000), 226);
            }
            3 => {
                self.name = "unfinished";
                leg.end = End::Unfinished;
            }
            4 => {
                self.name = "broken";
                leg.end = End::Reset;
                leg.breaks = Some((chance.delay(9000), End::Reset));
                if direction == Direction::Download && chance.percent(70) {
                    leg.breaks = None;
                }
            }
            5 => {
                self.name = "falls silent";
                leg.end = match leg.bytes {
                    0 => End::TimedOut(Phase::FirstByte),
                    _ => End::TimedOut(Phase::Stall),
                };
                self.is_timely = false;
            }
            6 => {
                self.name = "no handshake";
                leg.secure = chance.pick(&[
                    Secure::Done(When::Never),
                    Secure::Fails(100),
                    Secure::Foreign(100),
                ]);
                leg.bytes = 0;
                self.last = chance.pick(&[self.last, Final::At(1000, 226), Final::At(1000, 522)]);
                self.is_timely = false;
            }
            _ => {
                self.name = "closes badly";
                leg.closed = chance.pick(&[End::Reset, End::TimedOut(Phase::Completion)]);
            }
        }
    }
}
