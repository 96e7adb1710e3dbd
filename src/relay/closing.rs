//! Ending one leg as ordered: flushed, closed, and read to its end, each within a bound (rule 6 of the contract).

use std::borrow::BorrowMut;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::dialog::{Close, End, Phase};
use crate::leg::Leg;
use crate::net::Alarm;
use crate::sys::clock;

/// A leg on its way out: its own, or one that is lent. Dropping a leg before our FIN has left resets it.
pub struct Closing<L = Leg> {
    leg: L,
    close: Close,
    linger: Duration,
    step: Step,
    alarm: Alarm,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// What is queued, and close_notify, are being handed to the kernel.
    Flushing,
    /// Our FIN has left; the peer's direction is read to its end.
    Lingering,
    Over,
}

/// What has been reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Our side has ended like this; told once. The leg may linger on.
    Ours(End),
    /// Nothing more is to come from the peer, or it has taken too long to come.
    Both,
}

impl<L: BorrowMut<Leg>> Closing<L> {
    /// Begins to end `leg`; `flush` bounds what is still to be sent, `linger` what the peer takes for its own end.
    #[must_use]
    pub fn new(leg: L, close: Close, flush: Duration, linger: Duration) -> Self {
        let mut alarm = Alarm::new();
        alarm.set(Some(clock::now() + flush));
        Self {
            leg,
            close,
            linger,
            step: Step::Flushing,
            alarm,
        }
    }

    /// The next thing reached; `Both` is the last.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        match self.step {
            Step::Flushing => match self.poll_flush(cx) {
                Poll::Ready(end) => Poll::Ready(Closed::Ours(end)),
                Poll::Pending => Poll::Pending,
            },
            Step::Lingering => {
                let is_over =
                    self.leg.borrow_mut().poll_end(cx).is_ready() || self.alarm.poll(cx).is_ready();
                if !is_over {
                    return Poll::Pending;
                }
                self.step = Step::Over;
                Poll::Ready(Closed::Both)
            }
            Step::Over => Poll::Ready(Closed::Both),
        }
    }

    /// Whether there is nothing more to wait for.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.step == Step::Over
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let leg = self.leg.borrow_mut();
        let sent = match self.close {
            Close::Clean => leg.queue_close_notify(),
            Close::Unfinished => Ok(()),
            Close::Reset => return Poll::Ready(self.over(End::Aborted)),
        };
        if sent.is_err() {
            return Poll::Ready(self.over(End::Reset));
        }
        match leg.poll_flush(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(self.over(End::Reset)),
            Poll::Pending if self.alarm.poll(cx).is_ready() => {
                return Poll::Ready(self.over(End::TimedOut(Phase::Completion)));
            }
            Poll::Pending => return Poll::Pending,
        }
        if leg.finish().is_err() {
            return Poll::Ready(self.over(End::Reset));
        }
        let end = match self.close {
            Close::Unfinished if leg.is_private() => End::Unfinished,
            _ => End::Clean,
        };
        self.step = Step::Lingering;
        self.alarm.set(Some(clock::now() + self.linger));
        Poll::Ready(end)
    }

    /// Without our FIN: the drop of the leg resets it.
    fn over(&mut self, end: End) -> End {
        self.step = Step::Over;
        end
    }
}
