//! Reaching a backend: one member after the other until TCP stands, and the next one where it was of no use.
//! `session` polls a [`Reach`] when its dialog wants a backend.
//! It never speaks FTP: greeting, AUTH and login are the dialog's.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::ftp::Telnet;
use crate::leg::{ControlLeg, Fault, Leg};
use crate::limits::REPLY_LINE_BYTES_MAX;
use crate::net::{Alarm, Dial, Stream};
use crate::pool::{Failure, Hold, MemberId, Pool};
use crate::sys::clock;
use crate::tls;

/// A backend on its way.
pub struct Reach {
    /// Whose: its number in the log.
    session: u64,
    pool: Rc<Pool>,
    /// Those that are still to be tried, the next one last.
    left: Vec<MemberId>,
    dial: Option<(Hold, Dial)>,
    /// What the connection begins with: a PROXY header.
    first: Vec<u8>,
    share: Duration,
    alarm: Alarm,
    /// What ended the handshake with the one that was reached.
    fault: Option<Fault>,
}

/// A backend that answers on its port; its greeting is still to come.
pub struct Reached {
    /// Which member it is.
    pub member: MemberId,
    /// Its control connection.
    pub leg: ControlLeg,
    /// The session's place with it.
    pub hold: Hold,
    /// How long it has to be ready for a login, where others wait behind it.
    pub share: Option<Duration>,
}

impl Reach {
    /// Begins to try the members of `pool` for this session and its client; all of them together have `whole`. The first that
    /// answers is sent `first`.
    #[must_use]
    pub fn start(
        session: u64,
        pool: &Rc<Pool>,
        client: IpAddr,
        whole: Duration,
        first: Vec<u8>,
    ) -> Self {
        let mut left = pool.candidates(clock::now(), client);
        left.reverse();
        Self {
            session,
            pool: Rc::clone(pool),
            left,
            dial: None,
            first,
            share: pool.share(whole),
            alarm: Alarm::new(),
            fault: None,
        }
    }

    /// The next member that answers; `None`, once, when none is left that does.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Reached>> {
        loop {
            let Some((hold, mut dial)) = self.dial.take() else {
                let Some(member) = self.left.pop() else {
                    self.pool.exhausted();
                    return Poll::Ready(None);
                };
                self.try_member(member);
                continue;
            };
            let member = hold.member();
            match dial.poll(cx) {
                Poll::Ready(Ok(stream)) => match self.reached(hold, stream) {
                    Ok(reached) => return Poll::Ready(Some(reached)),
                    Err(fault) => self.failed(member, Failure::Reset, &fault.to_string()),
                },
                Poll::Ready(Err(error)) => self.not_dialled(member, &error),
                Poll::Pending if self.alarm.poll(cx).is_ready() => {
                    self.failed(member, Failure::Timeout, "it did not answer in time");
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
            Err(error) => self.not_dialled(member, &error),
        }
    }

    fn reached(&self, hold: Hold, stream: Stream) -> Result<Reached, Fault> {
        let member = hold.member();
        let mut leg = Leg::new(stream);
        leg.queue(&self.first)?;
        let leg = ControlLeg::new(leg, REPLY_LINE_BYTES_MAX, Telnet::Keep);
        let share = (!self.left.is_empty()).then_some(self.share);
        Ok(Reached {
            member,
            leg,
            hold,
            share,
        })
    }

    fn not_dialled(&self, member: MemberId, error: &io::Error) {
        use libc::{EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM};
        let failure = match (error.raw_os_error(), error.kind()) {
            (Some(EADDRNOTAVAIL | EMFILE | ENFILE | ENOBUFS | ENOMEM), _) => Failure::Ours,
            (_, ErrorKind::ConnectionRefused) => Failure::Refused,
            (_, ErrorKind::ConnectionReset) => Failure::Reset,
            (_, ErrorKind::TimedOut) => Failure::Timeout,
            _ => Failure::Unreachable,
        };
        self.failed(member, failure, &error.to_string());
    }

    /// The member that was reached is ready to serve.
    pub fn ready(&self, member: MemberId) {
        self.pool.ready(member);
    }

    /// The handshake with the member that was reached has failed, or could not begin.
    pub fn blame(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// The member that was reached is passed over, as its handshake has failed.
    pub fn failed_handshake(&mut self, member: MemberId) {
        let fault = self.fault.take();
        let failure = match &fault {
            Some(Fault::Tls(tls::Fault::Certificate(_))) => Failure::Certificate,
            _ => Failure::Handshake,
        };
        let why = fault.map_or_else(String::new, |fault| format!(": {fault}"));
        let why = format!("its TLS handshake failed{why}");
        self.failed(member, failure, &why);
    }

    /// A member is passed over, reached or not, and comes last for a while unless it has just said no, or it was our fault.
    pub fn failed(&self, member: MemberId, failure: Failure, why: &str) {
        self.pool.failed(member, clock::now(), failure, why);
        let (address, reason) = (self.pool.address(member), failure.word());
        let (session, pool) = (self.session, &self.pool.name);
        tracing::warn!(session, pool, %address, reason, why, "backend not reached");
    }
}
