//! One arm per action: what the dialog has decided is done, at once and without waiting.

use std::net::{IpAddr, SocketAddr};

use super::transfer::Transfer;
use super::{Backend, Running, Session};
use crate::data::{Guard, Opening, Passive, Secure};
use crate::dialog::{
    Action, Actions, DataPlan, FromBackend, FromClient, Input, Loss, Protection, Side, Target,
};
use crate::ftp::Direction;
use crate::leg::Fault;
use crate::limits::LINGERING_LEGS_MAX;
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
                Action::ConnectBackend => self.connect_backend(),
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
        let resume = self.client_tls.insert(self.site.tls.session());
        match self.client.secure_as_server(resume.control()) {
            Ok(()) => self.securing = true,
            Err(fault) => self.client_lost(&fault),
        }
    }

    fn connect_backend(&mut self) {
        self.stamps.start(Phase::BackendConnect);
        self.stamps.start(Phase::Login);
        let whole = self.site.rules.patience.backend_connect;
        self.backend = Backend::Reaching(Box::new(Reach::start(&self.site.pool, whole)));
    }

    fn secure_backend(&mut self) {
        let Backend::There(there) = &mut self.backend else {
            return;
        };
        let outcome = match &self.site.pool_tls {
            Some(tls) => {
                let resume = there.tls.insert(tls.session());
                let name = tls.names[there.member.0].clone();
                there.leg.secure_as_client(resume.control(), name)
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
                tracing::warn!(session = self.id, %fault, "TLS with the backend did not begin");
                let loss = match fault {
                    Fault::Injected => Loss::Injection,
                    _ => Loss::Handshake,
                };
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
        let advertise = self.site.advertise.filter(|_| side == Side::Client);
        let address = match open_passive(&self.site.ports, ip) {
            Ok((listener, lease)) => {
                let passive = Passive::new(listener, lease);
                let port = passive.local().port();
                *self.passive(side) = Some(passive);
                let shown = match (advertise, ip.to_canonical()) {
                    (Some(advertise), IpAddr::V4(_)) => IpAddr::V4(advertise),
                    (_, ip) => ip,
                };
                Some(SocketAddr::new(shown, port))
            }
            Err(fault) => {
                tracing::warn!(session = self.id, listener = self.site.name, %fault, "no passive port");
                self.count(Counter::PassivePortsExhausted);
                None
            }
        };
        self.pending.push_back(Input::Passive(side, address));
    }

    fn open_data(&mut self, plan: DataPlan) {
        self.stamps.start(Phase::Transfer);
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
        let (local, peer) = (self.client.leg().local(), self.client.leg().peer());
        let guard = Guard::new(peer.ip(), self.site.data_peer);
        // From the address that the client knows us by: it may take data connections from no other.
        let source = Some(local.ip());
        open(
            plan.client_target,
            self.passive.take(),
            guard,
            peer,
            source,
            secure,
        )
    }

    fn open_backend_leg(&mut self, plan: DataPlan) -> Option<Opening> {
        let Backend::There(there) = &mut self.backend else {
            return None;
        };
        let secure = match (plan.backend, &there.tls, &self.site.pool_tls) {
            (Protection::Private, Some(resume), Some(tls)) => {
                if resume.is_dry()
                    && let Err(fault) = there.leg.renew_ticket()
                {
                    tracing::debug!(session = self.id, %fault, "nothing to resume for the data connection");
                }
                let name = tls.names[there.member.0].clone();
                let demand = resume.demand(there.leg.leg().facts().as_ref());
                Secure::AsClient(resume.data(), name, demand)
            }
            (Protection::Private, ..) => return None,
            (Protection::Clear, ..) => Secure::Clear,
        };
        let peer = there.leg.leg().peer();
        let guard = Guard::new(peer.ip(), DataPeer::Same);
        open(
            plan.backend_target,
            self.passive_inside.take(),
            guard,
            peer,
            None,
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
            self.core
                .recorder
                .borrow_mut()
                .add(Counter::StrangersRefused, strangers);
            transfer.leave(&mut self.lingering);
            // The oldest have had the most time; their FIN has left.
            let surplus = self.lingering.len().saturating_sub(LINGERING_LEGS_MAX);
            self.lingering.drain(..surplus);
            let mut recorder = self.core.recorder.borrow_mut();
            recorder.add(Counter::LingeringCut, surplus as u64);
            self.core.cards.lingers(&self.card, self.lingering.len());
        }
    }
}

/// A leg on its way up: awaited on its listener, or dialled at the port or address that the plan says.
fn open(
    target: Target,
    passive: Option<Passive>,
    guard: Guard,
    control_peer: SocketAddr,
    source: Option<IpAddr>,
    secure: Secure,
) -> Option<Opening> {
    let mut address = control_peer;
    match target {
        Target::Awaited => return Some(Opening::listen(passive?, guard, secure)),
        Target::Port(port) => address.set_port(port),
        Target::Address(other) => address = other,
    }
    Opening::dial(address, source, secure)
        .inspect_err(|error| tracing::debug!(%address, %error, "data port not reached"))
        .ok()
}
