//! Data connections arranged: a port of ours for a client that asks with PASV or EPSV, and at the same time a port of the
//! backend's for us, or of ours for the backend.

use std::net::SocketAddr;

use super::action::{Action, Protection, Side, Target};
use super::phase::{Plan, PlanStep as Step, Planning, Work};
use super::timers::Timer;
use super::{Dialog, Turn};
use crate::ftp::{
    Class, Command, EpsvAsk, Reply, ReplyLine, Verb, occasion, pasv_reply, read_epsv_ask,
    read_epsv_reply, read_pasv_reply, write_eprt, write_epsv_reply, write_port,
};
use crate::policy::{BackendProtection, PassiveStyle, PasvAddress};

impl Dialog {
    pub(super) fn pasv(&mut self, turn: &mut Turn) {
        self.arrange(turn, Verb::Pasv);
    }

    /// EPSV (RFC 2428 section 3); whether the family fits is known when the port is open.
    pub(super) fn epsv(&mut self, turn: &mut Turn, argument: &[u8]) {
        match read_epsv_ask(argument) {
            None => turn.answer(&self.wrong_family()),
            Some(EpsvAsk::All) => {
                self.client.epsv_all = true;
                turn.answer(&Reply::new(occasion::OKAY, "EPSV ALL noted"));
            }
            Some(EpsvAsk::V4) if self.client.is_v6() => turn.answer(&self.wrong_family()),
            Some(EpsvAsk::V6) if !self.client.is_v6() => turn.answer(&self.wrong_family()),
            Some(_) => self.arrange(turn, Verb::Epsv),
        }
    }

    /// 522 with the family that would do (RFC 2428 section 2): that of the control connection.
    pub(super) fn wrong_family(&self) -> Reply {
        let family = if self.client.is_v6() { 2 } else { 1 };
        let text = format!("Network protocol not supported, use ({family})");
        Reply::new(occasion::WRONG_FAMILY, text)
    }

    /// Both halves at once: the client's answer does not wait for the backend's (rule 8 of the contract).
    fn arrange(&mut self, turn: &mut Turn, asked: Verb) {
        if asked == Verb::Pasv && self.client.is_v6() {
            let text = "PASV knows only IPv4: use EPSV";
            return turn.answer(&Reply::new(occasion::NO_DATA_CONNECTION, text));
        }
        self.plan = None;
        turn.push(Action::OpenPassive(Side::Client));
        self.arrange_backend(turn, Some(asked), Target::Awaited);
    }

    /// The backend's half; the client's is known, or `asked` for.
    pub(super) fn arrange_backend(&mut self, turn: &mut Turn, asked: Option<Verb>, client: Target) {
        self.work = Work::Planning(Planning {
            asked,
            opened: asked.is_none().then_some(true),
            client,
            backend: None,
            step: Step::Done,
        });
        if self.backend.protection == Some(self.wanted_protection()) {
            self.ask_for_plan(turn, self.passive_step());
        } else {
            self.ask_for_protection(turn);
        }
    }

    /// The client has chosen another protection since the data connection was arranged; what counts is its choice at the
    /// transfer (RFC 4217 section 9), so the backend hears of it first, and then the command has its turn again.
    pub(super) fn protect(&mut self, turn: &mut Turn, client: Target, backend: Target) {
        self.work = Work::Planning(Planning {
            asked: None,
            opened: Some(true),
            client,
            backend: Some(backend),
            step: Step::Done,
        });
        self.ask_for_protection(turn);
    }

    fn ask_for_protection(&mut self, turn: &mut Turn) {
        if self.backend.cleared {
            // It has refused it before CCC, and behind it nothing is said of protection any more (RFC 4217 section 5).
            return self.planned(turn, Err("the server has refused this protection"));
        }
        let is_sized = self.backend.pbsz;
        self.ask_for_plan(turn, if is_sized { Step::Prot } else { Step::Pbsz });
    }

    /// The backend's protection for what the client has chosen now; never private on a clear control connection.
    pub(super) fn wanted_protection(&self) -> Protection {
        match self.rules.backend_protection {
            _ if !self.backend.secure => Protection::Clear,
            BackendProtection::Private => Protection::Private,
            BackendProtection::Clear => Protection::Clear,
            BackendProtection::Match => self.client.protection,
        }
    }

    fn passive_step(&self) -> Step {
        match self.rules.passive {
            PassiveStyle::Pasv => Step::Pasv,
            PassiveStyle::Auto if self.backend.refuses_epsv => Step::Pasv,
            PassiveStyle::Auto | PassiveStyle::Epsv => Step::Epsv,
            PassiveStyle::Port | PassiveStyle::Eprt => Step::Listen,
        }
    }

    fn ask_for_plan(&mut self, turn: &mut Turn, next: Step) {
        let command = match next {
            Step::Pbsz => Command::new(Verb::Pbsz, "0"),
            Step::Prot => match self.wanted_protection() {
                Protection::Private => Command::new(Verb::Prot, "P"),
                Protection::Clear => Command::new(Verb::Prot, "C"),
            },
            Step::Epsv => Command::new(Verb::Epsv, ""),
            Step::Pasv => Command::new(Verb::Pasv, ""),
            Step::Listen => {
                turn.push(Action::OpenPassive(Side::Backend));
                return self.step_to(next);
            }
            Step::Active | Step::Done => return,
        };
        self.ask_step(turn, next, &command);
    }

    fn ask_step(&mut self, turn: &mut Turn, next: Step, command: &Command) {
        turn.ask(command);
        self.timers
            .arm(Timer::Work, turn.now + self.rules.patience.backend_reply);
        self.step_to(next);
    }

    const fn step_to(&mut self, next: Step) {
        if let Work::Planning(planning) = &mut self.work {
            planning.step = next;
        }
    }

    pub(super) fn passive_opened(
        &mut self,
        turn: &mut Turn,
        side: Side,
        address: Option<SocketAddr>,
    ) {
        match side {
            Side::Client => self.client_port_opened(turn, address),
            Side::Backend => self.backend_port_opened(turn, address),
        }
    }

    /// The backend is told where to connect.
    fn backend_port_opened(&mut self, turn: &mut Turn, address: Option<SocketAddr>) {
        let Work::Planning(Planning {
            step: Step::Listen, ..
        }) = self.work
        else {
            return;
        };
        let command = match (self.rules.passive, address) {
            (PassiveStyle::Port, Some(SocketAddr::V4(address))) => {
                Command::new(Verb::Port, write_port(address))
            }
            (PassiveStyle::Port, Some(SocketAddr::V6(_))) => {
                return self.planned(turn, Err("PORT cannot serve a server over IPv6"));
            }
            (_, Some(address)) => Command::new(Verb::Eprt, write_eprt(address)),
            (_, None) => return self.planned(turn, Err("no port is free for the server")),
        };
        self.ask_step(turn, Step::Active, &command);
    }

    fn client_port_opened(&mut self, turn: &mut Turn, address: Option<SocketAddr>) {
        let Work::Planning(planning) = &mut self.work else {
            return;
        };
        let Some(asked) = planning.asked.take() else {
            return;
        };
        let reply = match (asked, address) {
            (Verb::Epsv, Some(address)) => Some(write_epsv_reply(address.port())),
            (_, Some(SocketAddr::V4(address))) => Some(pasv_reply(address)),
            _ => None,
        };
        planning.opened = Some(reply.is_some());
        let no_port = || {
            Reply::new(
                occasion::NO_DATA_CONNECTION,
                "No passive port is free: try again later",
            )
        };
        turn.answer(&reply.unwrap_or_else(no_port));
        self.plan_if_done(turn);
    }

    pub(super) fn planning_replied(&mut self, turn: &mut Turn, line: &ReplyLine) {
        let Work::Planning(planning) = &self.work else {
            return;
        };
        if matches!(planning.step, Step::Listen | Step::Done) {
            return self.unsolicited(turn, line);
        }
        if !line.last || line.code.class() == Class::Preliminary {
            return;
        }
        if line.code == occasion::CLOSING {
            return self.lose_backend(turn, "backend said 421");
        }
        let is_done = line.code.class() == Class::Completion;
        match planning.step {
            // Some servers do not know PBSZ; PROT tells whether it matters.
            Step::Pbsz => {
                self.backend.pbsz = true;
                self.ask_for_plan(turn, Step::Prot);
            }
            Step::Prot if is_done => {
                let known = planning.backend;
                self.backend.protection = Some(self.wanted_protection());
                match known {
                    Some(target) => self.planned(turn, Ok(target)),
                    None => self.ask_for_plan(turn, self.passive_step()),
                }
            }
            Step::Prot => self.planned(
                turn,
                Err("the server refuses this protection of data connections"),
            ),
            Step::Epsv if line.code == occasion::EXTENDED_PASSIVE => {
                let target = read_epsv_reply(line.text()).map(Target::Port);
                self.planned(turn, target.ok_or("the server's EPSV reply cannot be read"));
            }
            // One that refuses it only now may still have a port for PASV, and is asked for EPSV again the next time.
            Step::Epsv if self.rules.passive == PassiveStyle::Auto && line.code.is_failure() => {
                self.backend.refuses_epsv = line.code.class() == Class::Permanent;
                self.ask_for_plan(turn, Step::Pasv);
            }
            Step::Pasv if line.code == occasion::PASSIVE => {
                self.planned(turn, self.pasv_target(line));
            }
            Step::Epsv | Step::Pasv => self.planned(turn, Err("the server opens no data port")),
            Step::Active if is_done => self.planned(turn, Ok(Target::Awaited)),
            Step::Active => self.planned(turn, Err("the server refuses active mode")),
            Step::Listen | Step::Done => {}
        }
    }

    fn pasv_target(&self, line: &ReplyLine) -> Result<Target, &'static str> {
        let address =
            read_pasv_reply(line.text()).ok_or("the server's PASV reply cannot be read")?;
        Ok(match self.rules.pasv_address {
            PasvAddress::Ignore => Target::Port(address.port()),
            PasvAddress::Use => Target::Address(address.into()),
        })
    }

    fn planned(&mut self, turn: &mut Turn, backend: Result<Target, &'static str>) {
        self.timers.disarm(Timer::Work);
        let Work::Planning(planning) = &mut self.work else {
            return;
        };
        planning.step = Step::Done;
        let client = planning.client;
        if backend.is_err() && self.rules.passive.is_active() {
            turn.push(Action::ClosePassive(Side::Backend));
        }
        self.plan = Some(Plan { client, backend });
        self.plan_if_done(turn);
    }

    /// The next command's turn comes when both halves are in.
    fn plan_if_done(&mut self, turn: &mut Turn) {
        let Work::Planning(Planning {
            opened: Some(opened),
            step: Step::Done,
            ..
        }) = self.work
        else {
            return;
        };
        if !opened
            && let Some(plan) = self.plan.take()
            && plan.backend == Ok(Target::Awaited)
        {
            turn.push(Action::ClosePassive(Side::Backend));
        }
        self.rest();
    }
}
