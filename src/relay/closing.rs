//! Ending one leg as ordered: flushed, closed, and read to its end, each within a bound (rule 6 of the contract).

use std::borrow::BorrowMut;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::dialog::{Close, End, Phase};
use crate::leg::Leg;
use crate::limits::UNSENT_LOOK;
use crate::net::Alarm;
use crate::sys::clock;

/// A leg on its way out: its own, or one that is lent. Dropping a leg before our FIN has left resets it.
pub struct Closing<L = Leg> {
    leg: L,
    close: Close,
    linger: Duration,
    step: Step,
    flush: Duration,
    alarm: Alarm,
    /// When to look again whether the kernel has sent everything: no event tells it.
    look: Alarm,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// What is queued, and close_notify, are being handed to the kernel.
    Flushing,
    /// The kernel has everything and our FIN, and so many bytes wait there for the peer to make room.
    Leaving(usize),
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
            flush,
            alarm,
            look: Alarm::new(),
        }
    }

    /// The next thing reached; `Both` is the last.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        match self.step {
            Step::Flushing => self.poll_flush(cx).map(Closed::Ours),
            Step::Leaving(left) => self.poll_leaving(left, cx).map(Closed::Ours),
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
            Close::Reset => {
                leg.release();
                return Poll::Ready(self.over(End::Aborted));
            }
        };
        if sent.is_err() {
            return Poll::Ready(self.over(End::Reset));
        }
        // One packet for the last bytes, close_notify and FIN.
        leg.hold();
        match leg.poll_settled(cx) {
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
        self.poll_leaving(usize::MAX, cx)
    }

    /// The final reply must not overtake the data, nor be given for data that the peer never takes (rules 1 and 7 of the
    /// contract): what is in the kernel has its bound as well, anew whenever some of it has left.
    fn poll_leaving(&mut self, before: usize, cx: &mut Context<'_>) -> Poll<End> {
        let leg = self.leg.borrow_mut();
        let left = match leg.unsent() {
            Ok(0) => return Poll::Ready(self.left()),
            Ok(left) => left,
            Err(_) => return Poll::Ready(self.over(End::Reset)),
        };
        if let Poll::Ready(Err(_)) = leg.poll_end(cx) {
            return Poll::Ready(self.over(End::Reset));
        }
        let now = clock::now();
        if left < before {
            self.alarm.set(Some(now + self.flush));
        }
        self.step = Step::Leaving(left);
        if self.alarm.poll(cx).is_ready() {
            return Poll::Ready(self.over(End::TimedOut(Phase::Completion)));
        }
        // Set anew whenever it has rung, and at most once in each poll.
        if self.look.deadline().is_none_or(|at| at <= now) {
            self.look.set(Some(now + UNSENT_LOOK));
        }
        if self.look.poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Everything has left: what remains is the peer's own end.
    fn left(&mut self) -> End {
        self.step = Step::Lingering;
        self.alarm.set(Some(clock::now() + self.linger));
        match self.close {
            Close::Unfinished if self.leg.borrow_mut().is_private() => End::Unfinished,
            _ => End::Clean,
        }
    }

    /// Given up. A FIN of ours may wait in the kernel behind bytes that the peer does not take: neither may go on by itself.
    fn over(&mut self, end: End) -> End {
        self.leg.borrow_mut().reset();
        self.step = Step::Over;
        end
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Read as _;
    use std::net::Ipv4Addr;

    use super::*;
    use crate::net::{Listener, on_core};

    /// More than both sockets hold, so that some of it must wait for the peer.
    const BYTES: usize = 32 << 20;

    async fn connected() -> (Leg, socket2::Socket) {
        let mut listener = Listener::listen_passive((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let peer =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        peer.connect(&listener.local().into()).unwrap();
        let stream = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        (Leg::new(stream), peer)
    }

    /// Hands over as many bytes as the kernel takes from a peer that does not read.
    async fn fill(leg: &mut Leg) -> usize {
        let mut taken = 0;
        while taken < BYTES {
            leg.queue(&[7; 4096]).unwrap();
            if poll_fn(|cx| Poll::Ready(leg.poll_flush(cx).is_pending())).await {
                break;
            }
            taken += 4096;
        }
        taken
    }

    #[test]
    fn our_end_is_told_when_the_peer_has_made_room_for_it() {
        on_core(|| async {
            let (mut leg, mut peer) = connected().await;
            fill(&mut leg).await;
            let long = Duration::from_secs(20);
            let mut closing = Closing::new(leg, Close::Unfinished, long, long);
            let first = poll_fn(|cx| Poll::Ready(closing.poll(cx))).await;
            assert!(first.is_pending(), "the peer has read nothing yet");
            peer.set_nonblocking(true).unwrap();
            let mut buffer = vec![0; 1 << 20];
            let told = poll_fn(|cx| {
                while peer.read(&mut buffer).is_ok_and(|got| got > 0) {}
                closing.poll(cx)
            });
            assert_eq!(told.await, Closed::Ours(End::Clean));
        });
    }

    #[test]
    fn a_peer_that_takes_nothing_is_not_told_of_success() {
        on_core(|| async {
            let (mut leg, peer) = connected().await;
            fill(&mut leg).await;
            let short = Duration::from_millis(50);
            let mut closing = Closing::new(leg, Close::Unfinished, short, short);
            let told = poll_fn(|cx| closing.poll(cx)).await;
            assert_eq!(told, Closed::Ours(End::TimedOut(Phase::Completion)));
            // Nor does the kernel go on with it when we are gone: the peer sees that the stream was given up.
            drop(closing);
            let mut buffer = vec![0; 1 << 20];
            let end = std::iter::repeat_with(|| (&peer).read(&mut buffer))
                .find(|got| !matches!(got, Ok(1..)));
            assert!(end.is_some_and(|end| end.is_err()), "an end of file");
        });
    }
}
