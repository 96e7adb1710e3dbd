//! One FTP session of the load: as little as a client can do, each step timed, every byte accounted for.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use super::core::Core;
use super::link::{Mishap, dial};
use super::tally::Phase;
use super::{Approach, Scenario};
use crate::ftp::{Class, ReplyLine, ReplyReader, Telnet, read_epsv_reply};
use crate::leg::{ControlLeg, Heard, Leg};
use crate::limits;
use crate::rig::goods::Goods;
use crate::rig::wire::Wire;
use crate::sys::clock;
use crate::tls::ClientResume;

/// A session that is logged in.
pub(super) struct Guest {
    control: ControlLeg,
    replies: ReplyReader,
    resume: Option<ClientResume>,
    /// Where data connections go, but for the port.
    target: SocketAddr,
}

impl Guest {
    /// Connects, secures, logs in.
    pub(super) async fn enter(core: &Core) -> Result<Self, Mishap> {
        let plan = &core.plan;
        let begun = clock::now();
        let leg = Leg::new(dial(plan.target).await?);
        let mut guest = Self {
            control: ControlLeg::new(leg, limits::REPLY_LINE_BYTES_MAX, Telnet::Keep),
            replies: ReplyReader::default(),
            resume: None,
            target: plan.target,
        };
        let connected = core.observe(Phase::Connect, begun);
        if plan.approach == Approach::Implicit {
            guest.secure(core, connected).await?;
        }
        guest.expect("greeting", Class::Completion).await?;
        if plan.approach == Approach::Explicit {
            let begun = clock::now();
            guest.command("AUTH TLS", "AUTH", Class::Completion).await?;
            guest.secure(core, begun).await?;
        }
        let begun = clock::now();
        guest
            .command(&format!("USER {}", plan.user), "USER", Class::Intermediate)
            .await?;
        guest
            .command(
                &format!("PASS {}", plan.password),
                "PASS",
                Class::Completion,
            )
            .await?;
        // Behind the login, as curl has it: mod_proxy knows no backend before, and refuses.
        if plan.tls.is_some() {
            guest.command("PBSZ 0", "PBSZ", Class::Completion).await?;
            let protection = if plan.is_private { "PROT P" } else { "PROT C" };
            guest.command(protection, "PROT", Class::Completion).await?;
        }
        if plan.scenario.moves_files() {
            guest.command("TYPE I", "TYPE", Class::Completion).await?;
        }
        core.observe(Phase::Login, begun);
        Ok(guest)
    }

    async fn secure(&mut self, core: &Core, begun: Instant) -> Result<(), Mishap> {
        let Some((base, name)) = core.plan.tls.clone() else {
            return Err(Mishap::new("TLS", "there is none in this run"));
        };
        let resume = ClientResume::new(&base);
        let started = self.control.secure_as_client(resume.control(), name);
        started.map_err(|fault| Mishap::new("TLS", fault))?;
        let leg = self.control.leg_mut();
        let shaken = poll_fn(|cx| leg.poll_handshake(cx)).await;
        shaken.map_err(|fault| Mishap::new("control handshake", fault))?;
        self.resume = Some(resume);
        core.observe(Phase::Secure, begun);
        Ok(())
    }

    /// What one unit of the scenario is.
    pub(super) async fn unit(&mut self, core: &Core) -> Result<(), Mishap> {
        let path = &core.plan.path;
        match core.plan.scenario {
            Scenario::List => self.transfer(core, "LIST", Goods::listing(path)).await,
            Scenario::Put => self.transfer(core, "STOR", core.plan.goods).await,
            Scenario::Empty | Scenario::Small | Scenario::Get => {
                self.transfer(core, "RETR", core.plan.goods).await
            }
            _ => self
                .command("NOOP", "NOOP", Class::Completion)
                .await
                .map(|_| ()),
        }
    }

    /// Waits for what should not happen: that the other end speaks or ends while nothing is asked of it.
    pub(super) async fn idle(&mut self) -> Mishap {
        match self.reply("idle").await {
            Ok(line) => Mishap::new("idle", String::from_utf8_lossy(&line.raw)),
            Err(mishap) => mishap,
        }
    }

    /// QUIT, and the end of the control connection.
    pub(super) async fn leave(mut self) -> Result<(), Mishap> {
        self.command("QUIT", "QUIT", Class::Completion).await?;
        let leg = self.control.leg_mut();
        // The goodbye was said. Some servers close behind it without having read our end, which resets the connection.
        let _ended = poll_fn(|cx| leg.poll_close(cx)).await;
        Ok(())
    }

    async fn transfer(
        &mut self,
        core: &Core,
        verb: &'static str,
        goods: Goods,
    ) -> Result<(), Mishap> {
        let begun = clock::now();
        let answer = self.command("EPSV", "EPSV", Class::Completion).await?;
        let port = read_epsv_reply(answer.text())
            .ok_or_else(|| Mishap::new("EPSV", "no port in its reply"))?;
        core.observe(Phase::Plan, begun);
        self.say(&format!("{verb} {}", core.plan.path)).await?;
        let tls = self.data_tls(core);
        let to = SocketAddr::new(self.target.ip(), port);
        let mut flowing = pin!(flow(core, to, tls, verb == "STOR", goods));
        let mut settling = pin!(self.settle(verb));
        let (mut flowed, mut settled) = (None, None);
        poll_fn(|cx| {
            if settled.is_none()
                && let Poll::Ready(reply) = settling.as_mut().poll(cx)
            {
                // A refusal ends it whatever the data connection does.
                reply?;
                settled = Some(clock::now());
            }
            if flowed.is_none()
                && let Poll::Ready(flow) = flowing.as_mut().poll(cx)
            {
                flowed = Some(flow?);
            }
            match (flowed, settled) {
                (Some(flowed), Some(settled)) => Poll::Ready(Ok((flowed, settled))),
                _ => Poll::Pending,
            }
        })
        .await
        .map(|(flowed, settled)| core.observe_between(Phase::Settle, flowed, settled))
    }

    fn data_tls(&mut self, core: &Core) -> super::DataTls {
        let (base, name) = core.plan.tls.as_ref().filter(|_| core.plan.is_private)?;
        let resume = self.resume.as_ref()?;
        if !core.plan.resumes {
            return Some((ClientResume::new(base).data(), name.clone()));
        }
        if resume.is_dry() {
            // As curl and lftp do: the control connection's session is offered again. Where there is none yet, a full
            // handshake is what follows, and it is counted.
            let _none = self.control.renew_ticket();
        }
        Some((resume.data(), name.clone()))
    }

    /// The final reply of a transfer.
    async fn settle(&mut self, verb: &'static str) -> Result<(), Mishap> {
        loop {
            let reply = self.reply(verb).await?;
            match reply.code.class() {
                Class::Preliminary => {}
                Class::Completion => return Ok(()),
                _ => return Err(Mishap::refused(verb, &reply)),
            }
        }
    }

    async fn command(
        &mut self,
        line: &str,
        step: &'static str,
        class: Class,
    ) -> Result<ReplyLine, Mishap> {
        self.say(line).await?;
        self.expect(step, class).await
    }

    async fn expect(&mut self, step: &'static str, class: Class) -> Result<ReplyLine, Mishap> {
        let reply = self.reply(step).await?;
        if reply.code.class() == class {
            Ok(reply)
        } else {
            Err(Mishap::refused(step, &reply))
        }
    }

    async fn say(&mut self, line: &str) -> Result<(), Mishap> {
        let told = |fault| Mishap::new("a command's way out", fault);
        self.control
            .say(format!("{line}\r\n").as_bytes())
            .map_err(told)?;
        poll_fn(|cx| self.control.poll_flush(cx))
            .await
            .map_err(told)
    }

    /// The last line of the next reply.
    async fn reply(&mut self, step: &'static str) -> Result<ReplyLine, Mishap> {
        loop {
            let heard = poll_fn(|cx| self.control.poll_line(cx)).await;
            let raw = match heard.map_err(|fault| Mishap::new(step, fault))? {
                Heard::Line(raw) => raw,
                Heard::TooLong => return Err(Mishap::new(step, "a line too long")),
                Heard::End { .. } => return Err(Mishap::new(step, "the session was ended")),
            };
            let line = self
                .replies
                .read(raw)
                .map_err(|_| Mishap::new(step, "not a reply"))?;
            if let Some(line) = line.filter(|line| line.last) {
                return Ok(line);
            }
        }
    }
}

/// The data connection of a transfer, to its end; says when that was.
async fn flow(
    core: &Core,
    to: SocketAddr,
    tls: super::DataTls,
    is_upload: bool,
    goods: Goods,
) -> Result<Instant, Mishap> {
    let begun = clock::now();
    let stream = dial(to).await?;
    let opened = core.observe(Phase::Open, begun);
    let wire = Wire::connect(stream, tls).await;
    let mut wire = wire.map_err(|fault| Mishap::new("data handshake", fault))?;
    let mut begun = opened;
    if let Some(resumed) = wire.resumed() {
        begun = core.observe(Phase::Handshake, opened);
        core.count(|tally| {
            *if resumed {
                &mut tally.resumed
            } else {
                &mut tally.full
            } += 1
        });
    }
    let told = |fault| Mishap::new("data", fault);
    if is_upload {
        wire.send_goods(goods, |bytes| core.moved(bytes))
            .await
            .map_err(told)?;
        wire.part().await.map_err(told)?;
        wire.linger(limits::LINGER_TIMEOUT);
    } else {
        let mut equal = true;
        let taken = wire.take_all(|at, piece| {
            core.moved(piece.len() as u64);
            equal &= goods.seems(at, piece);
        });
        let (len, clean) = taken.await.map_err(told)?;
        match (clean, equal && len == goods.len()) {
            (true, true) => {}
            (false, _) => return Err(Mishap::new("data", "it ended without close_notify")),
            (_, false) => return Err(Mishap::new("data", "other bytes than there should be")),
        }
        // Everything was here, and its end was authentic. Some servers do not wait for ours (mod_proxy).
        let _gone = wire.part().await;
    }
    Ok(core.observe(Phase::Flow, begun))
}
