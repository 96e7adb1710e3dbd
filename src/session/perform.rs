//! One arm per action: what the dialog has decided is done, at once and without waiting.

use std::net::{IpAddr, SocketAddr};

use super::inputs::loss;
use super::transfer::Transfer;
use super::{Backend, Inside, Running, Session};
use crate::data::{Guard, Opening, Passive, Secure};
use crate::dialog::{
    Action, Actions, DataPlan, FromBackend, FromClient, Input, Loss, Protection, Side, Target,
};
use crate::ftp::Direction;
use crate::leg::Fault;
use crate::limits::{CLEAR_PAUSE, LINGERING_LEGS_MAX};
use crate::metrics::{Counter, Phase};
use crate::net::open_passive;
use crate::policy::DataPeer;
use crate::sys::clock;
use crate::upstream::Reach;

impl Session {
    pub(super) fn perform(&mut self, actions: Actions) {
        for action in actions {
            match action {
                Action::ToClient(bytes) => self.say_to_client(&bytes),
                Action::ToBackend(bytes) => self.say_to_backend(&bytes),
                Action::SecureClient => self.secure_client(),
                Action::Clear(side) => self.clear(side),
                Action::Choose(host) => self.choose(host),
                Action::ReleaseBackend => self.part_from_backend(Backend::Absent),
                Action::ConnectBackend => self.connect_backend(),
                Action::PassOver(failing) => self.pass_over(&failing),
                Action::SecureBackend => self.secure_backend(),
                Action::OpenPassive(side) => self.open_passive(side),
                Action::ClosePassive(side) => *self.passive(side) = None,
                Action::OpenData(plan) => self.open_data(plan),
                Action::EndData(side, close) => {
                    if let Some(transfer) = &mut self.transfer {
                        transfer.end(side, close);
                    }
                }
                Action::CloseData => self.close_data(),
                Action::Note(note) => self.note(note),
                // The loop sees the dialog's ending.
                Action::Close => {}
            }
        }
    }

    fn say_to_client(&mut self, bytes: &[u8]) {
        // The first words are the greeting.
        self.observe(Phase::Banner);
        if let Err(fault) = self.client.say(bytes) {
            self.client_lost(&fault);
        }
    }

    fn say_to_backend(&mut self, bytes: &[u8]) {
        if let Backend::There(there) = &mut self.backend
            && let Err(fault) = there.leg.say(bytes)
        {
            tracing::debug!(session = self.id, %fault, "backend lost");
            self.pending
                .push_back(Input::Backend(FromBackend::Lost(Loss::Broken)));
        }
    }

    fn client_lost(&mut self, fault: &Fault) {
        tracing::debug!(session = self.id, %fault, "client lost");
        let loss = match fault {
            Fault::Injected => Loss::Injection,
            _ => Loss::Broken,
        };
        self.pending
            .push_back(Input::Client(FromClient::Lost(loss)));
    }

    fn secure_client(&mut self) {
        self.stamps.start(Phase::ClientHandshake);
        // Without TLS there is no listener for FTP, by the configuration.
        let Some(tls) = &self.site.tls else {
            return self.client_lost(&Fault::Closed);
        };
        let resume = self.client_tls.insert(tls.session_for(self.host));
        match self.client.secure_as_server(resume.control()) {
            Ok(()) => self.securing = true,
            Err(fault) => self.client_lost(&fault),
        }
    }

    /// Its TLS session stays known: data connections go on resuming it (field note P10).
    fn clear(&mut self, side: Side) {
        let (cleared, lost): (_, fn(Loss) -> Input) = match (side, &mut self.backend) {
            (Side::Client, _) => (self.client.clear(Some(CLEAR_PAUSE)), |loss| {
                Input::Client(FromClient::Lost(loss))
            }),
            (Side::Backend, Backend::There(there)) => (there.leg.clear(None), |loss| {
                Input::Backend(FromBackend::Lost(loss))
            }),
            (Side::Backend, _) => return,
        };
        if let Err(fault) = cleared {
            tracing::info!(session = self.id, ?side, %fault, "TLS did not end in order");
            self.pending.push_back(lost(loss(&fault)));
        }
    }

    fn connect_backend(&mut self) {
        self.stamps.start(Phase::BackendConnect);
        self.stamps.start(Phase::Login);
        let whole = self.site.rules.patience.backend_connect;
        let reach = Reach::start(
            self.id,
            &self.inside().pool,
            self.ends.client.ip(),
            whole,
            self.introduction(),
        );
        self.backend = Backend::Reaching(Box::new(reach));
    }

    fn choose(&mut self, host: Option<usize>) {
        self.host = host;
        if let Some(host) = host.and_then(|at| self.site.rules.hosts.get(at)) {
            let (session, host) = (self.id, &host.name);
            tracing::debug!(session, host, "host chosen");
        }
    }

    /// Where the host that the client has chosen leads to.
    pub(super) fn inside(&self) -> &Inside {
        let host = self.host.and_then(|at| self.site.hosts.get(at));
        host.unwrap_or(&self.site.inside)
    }

    fn secure_backend(&mut self) {
        let tls = self.inside().tls.clone();
        let Backend::There(there) = &mut self.backend else {
            return;
        };
        let outcome = match &tls {
            Some(tls) => {
                let name = tls.names[there.member.0].clone();
                let (resume, name) = there.tls.insert((tls.session(), name));
                there.leg.secure_as_client(resume.control(), name.clone())
            }
            // The configuration gives TLS to every pool whose sessions may ask for it.
            None => Err(Fault::Closed),
        };
        match outcome {
            Ok(()) => {
                there.securing = true;
                self.stamps.start(Phase::BackendHandshake);
            }
            Err(fault) => {
                let loss = match fault {
                    Fault::Injected => Loss::Injection,
                    _ => Loss::Handshake,
                };
                there.blame(fault);
                self.pending
                    .push_back(Input::Backend(FromBackend::Lost(loss)));
            }
        }
    }

    const fn passive(&mut self, side: Side) -> &mut Option<Passive> {
        match side {
            Side::Client => &mut self.passive,
            Side::Backend => &mut self.passive_inside,
        }
    }

    /// A port at our end's address of this side's control connection: no other is known to be reachable for the peer.
    fn open_passive(&mut self, side: Side) {
        // The old one first: a client that asks again and again holds one port.
        *self.passive(side) = None;
        let ip = match (side, &self.backend) {
            (Side::Backend, Backend::There(there)) => there.leg.leg().local().ip(),
            _ => self.client.leg().local().ip(),
        };
        let address = match open_passive(&self.site.ports, ip) {
            Ok((listener, lease)) => {
                let passive = Passive::new(listener, lease);
                let port = passive.local().port();
                *self.passive(side) = Some(passive);
                Some(SocketAddr::new(self.shown(side, ip), port))
            }
            Err(fault) => {
                tracing::warn!(session = self.id, listener = self.site.name, %fault, "no passive port");
                self.count(Counter::PassivePortsExhausted);
                self.tell_refused(None, None, "no passive port");
                None
            }
        };
        self.pending.push_back(Input::Passive(side, address));
    }

    fn open_data(&mut self, plan: DataPlan) {
        self.stamps.start(Phase::Transfer);
        self.chronicle.begin(plan);
        let running = Running {
            direction: plan.direction,
            began: clock::now(),
            bytes: 0,
        };
        self.core.cards.transfers(&self.card, Some(running));
        let client = self.open_client_leg(plan);
        let backend = self.open_backend_leg(plan);
        let transfer = Transfer::new(self.id, plan, [client, backend], &self.site, &self.core);
        self.transfer = Some(Box::new(transfer));
    }

    fn open_client_leg(&mut self, plan: DataPlan) -> Option<Opening> {
        let secure = match (plan.client, &self.client_tls) {
            (Protection::Private, Some(resume)) => {
                let config = match plan.direction {
                    Direction::Download => resume.download(),
                    Direction::Upload => resume.upload(),
                };
                Secure::AsServer(config, resume.demand(self.client.leg().facts().as_ref()))
            }
            // PROT P needs TLS on the control connection, so there is something to resume.
            (Protection::Private, None) => return None,
            (Protection::Clear, _) => Secure::Clear,
        };
        let outward = Outward {
            peer: self.ends.client,
            source: self.own_address(),
            first: Vec::new(),
        };
        let guard = self.client_guard();
        open(
            plan.client_target,
            self.passive.take(),
            guard,
            outward,
            secure,
        )
    }

    fn open_backend_leg(&mut self, plan: DataPlan) -> Option<Opening> {
        let first = self.data_introduction(plan.backend_target);
        let Backend::There(there) = &mut self.backend else {
            return None;
        };
        let secure = match (plan.backend, &there.tls) {
            (Protection::Private, Some((resume, name))) => {
                if resume.is_dry()
                    && let Err(fault) = there.leg.renew_ticket()
                {
                    tracing::debug!(session = self.id, %fault, "nothing to resume for the data connection");
                }
                let demand = resume.demand(there.leg.leg().facts().as_ref());
                Secure::AsClient(resume.data(), name.clone(), demand)
            }
            (Protection::Private, ..) => return None,
            (Protection::Clear, ..) => Secure::Clear,
        };
        let peer = there.leg.leg().peer();
        let guard = Guard::new(peer.ip(), DataPeer::Same);
        let outward = Outward {
            peer,
            source: None,
            first,
        };
        open(
            plan.backend_target,
            self.passive_inside.take(),
            guard,
            outward,
            secure,
        )
    }

    /// What is still on its way out goes on by itself, within its bounds.
    fn close_data(&mut self) {
        self.core.cards.transfers(&self.card, None);
        if let Some(transfer) = self.transfer.take() {
            if let Some(at) = transfer.ended() {
                self.stamps.began(Phase::FinalReply, at);
            }
            let strangers = transfer.strangers();
            self.chronicle
                .closed(transfer.opened.clone(), transfer.all_moved(), strangers);
            self.core
                .recorder
                .borrow_mut()
                .add(Counter::StrangersRefused, strangers);
            transfer.leave(&mut self.lingering);
            self.trim_lingering();
        }
    }

    /// The oldest have had the most time; their FIN has left.
    pub(super) fn trim_lingering(&mut self) {
        let surplus = self.lingering.len().saturating_sub(LINGERING_LEGS_MAX);
        self.lingering.drain(..surplus);
        let mut recorder = self.core.recorder.borrow_mut();
        recorder.add(Counter::LingeringCut, surplus as u64);
        self.core.cards.lingers(&self.card, self.lingering.len());
    }
}

/// What is needed where we connect ourselves.
struct Outward {
    /// The other end of the control connection.
    peer: SocketAddr,
    source: Option<IpAddr>,
    /// What the connection begins with.
    first: Vec<u8>,
}

/// A leg on its way up: awaited on its listener, or dialled at the port or address that the plan says.
fn open(
    target: Target,
    passive: Option<Passive>,
    guard: Guard,
    outward: Outward,
    secure: Secure,
) -> Option<Opening> {
    let mut address = outward.peer;
    match target {
        Target::Awaited => return Some(Opening::listen(passive?, guard, secure)),
        Target::Port(port) => address.set_port(port),
        Target::Address(other) => address = other,
    }
    Opening::dial(address, outward.source, outward.first, secure)
        .inspect_err(|error| tracing::debug!(%address, %error, "data port not reached"))
        .ok()
}
