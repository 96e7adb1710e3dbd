//! Reaching a backend: one member after the other until TCP stands.
//! `session` polls a [`Reach`] when its dialog wants a backend.
//! It never speaks FTP: greeting, AUTH and login are the dialog's.

use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::ftp::Telnet;
use crate::leg::{ControlLeg, Fault, Leg};
use crate::limits::REPLY_LINE_BYTES_MAX;
use crate::net::{Alarm, Dial, Stream};
use crate::pool::{Hold, MemberId, Pool};
use crate::sys::clock;

/// A backend on its way.
pub struct Reach {
    pool: Rc<Pool>,
    /// Those that are still to be tried, the next one last.
    left: Vec<MemberId>,
    dial: Option<(Hold, Dial)>,
    /// What the connection begins with: a PROXY header.
    first: Vec<u8>,
    share: Duration,
    alarm: Alarm,
}

/// A backend that answers on its port; its greeting is still to come.
pub struct Reached {
    /// Which member it is.
    pub member: MemberId,
    /// Its control connection.
    pub leg: ControlLeg,
    /// The session's place with it.
    pub hold: Hold,
}

impl Reach {
    /// Begins to try the members of `pool` for this client; all of them together have `whole`. The first that answers is
    /// sent `first`.
    #[must_use]
    pub fn start(pool: &Rc<Pool>, client: IpAddr, whole: Duration, first: Vec<u8>) -> Self {
        let mut left = pool.candidates(clock::now(), client);
        left.reverse();
        Self {
            pool: Rc::clone(pool),
            left,
            dial: None,
            first,
            share: pool.share(whole),
            alarm: Alarm::new(),
        }
    }

    /// The next member that answers; `None` when none is left that does.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Reached>> {
        loop {
            let Some((hold, mut dial)) = self.dial.take() else {
                let Some(member) = self.left.pop() else {
                    return Poll::Ready(None);
                };
                self.try_member(member);
                continue;
            };
            let member = hold.member();
            match dial.poll(cx) {
                Poll::Ready(Ok(stream)) => match self.reached(hold, stream) {
                    Ok(reached) => return Poll::Ready(Some(reached)),
                    Err(fault) => self.failed(member, &fault.to_string()),
                },
                Poll::Ready(Err(error)) => self.failed(member, &error.to_string()),
                Poll::Pending if self.alarm.poll(cx).is_ready() => {
                    self.failed(member, "it did not answer in time");
                }
                Poll::Pending => {
                    self.dial = Some((hold, dial));
                    return Poll::Pending;
                }
            }
        }
    }

    fn try_member(&mut self, member: MemberId) {
        match Dial::start(self.pool.address(member), None) {
            Ok(dial) => {
                self.alarm.set(Some(clock::now() + self.share));
                self.dial = Some((self.pool.hold(member), dial));
            }
            Err(error) => self.failed(member, &error.to_string()),
        }
    }

    fn reached(&self, hold: Hold, stream: Stream) -> Result<Reached, Fault> {
        let member = hold.member();
        let mut leg = Leg::new(stream);
        leg.queue(&self.first)?;
        self.pool.reached(member);
        let leg = ControlLeg::new(leg, REPLY_LINE_BYTES_MAX, Telnet::Keep);
        Ok(Reached { member, leg, hold })
    }

    /// The member that was reached cannot be used after all: it is tried last for a while.
    pub fn failed(&self, member: MemberId, why: &str) {
        self.pool.failed(member, clock::now());
        let address = self.pool.address(member);
        tracing::warn!(pool = self.pool.name, %address, why, "backend not reached");
    }
}
