//! PORT and EPRT: a data connection that the gate opens, to the client itself and to nobody else.

use std::net::SocketAddr;

use super::action::{Action, Side, Target};
use super::{Dialog, Turn};
use crate::ftp::{BadEprt, Reply, Verb, occasion, read_eprt, read_port};
use crate::limits::ACTIVE_PORT_MIN;

impl Dialog {
    /// PORT (RFC 959 section 4.1.2).
    pub(super) fn port(&mut self, turn: &mut Turn, argument: &[u8]) {
        if self.refuses_active(turn, Verb::Port) {
            return;
        }
        match read_port(argument) {
            Some(address) => self.meet(turn, address.into(), Verb::Port),
            None => turn.answer(&Reply::new(
                occasion::BAD_ARGUMENT,
                "PORT takes an address and a port: h1,h2,h3,h4,p1,p2",
            )),
        }
    }

    /// EPRT (RFC 2428 section 2).
    pub(super) fn eprt(&mut self, turn: &mut Turn, argument: &[u8]) {
        if self.refuses_active(turn, Verb::Eprt) {
            return;
        }
        match read_eprt(argument) {
            Ok(address) if address.is_ipv6() == self.client.is_v6() => {
                self.meet(turn, address, Verb::Eprt);
            }
            // An address of the other family is not that of the control connection, so only one family is any good.
            Ok(_) | Err(BadEprt::Family) => turn.answer(&self.wrong_family()),
            Err(BadEprt::Syntax) => turn.answer(&Reply::new(
                occasion::BAD_ARGUMENT,
                "EPRT takes an address and a port: |family|address|port|",
            )),
        }
    }

    fn refuses_active(&self, turn: &mut Turn, asked: Verb) -> bool {
        if !self.rules.active {
            let text = "Active mode is not offered: use EPSV or PASV";
            turn.refuse(asked, &Reply::new(occasion::NOT_OFFERED, text));
        }
        !self.rules.active
    }

    /// Only the client's own address, whatever `data_peer` says of connections that it opens itself, and no port that may belong to a service (rule 10 of the contract; RFC 2577
    /// section 3): else anybody who can log in makes the gate connect to whomever he likes.
    fn meet(&mut self, turn: &mut Turn, address: SocketAddr, asked: Verb) {
        let objection = if address.ip().to_canonical() != self.client.peer {
            "Data connections are opened to the address of the control connection only: use EPSV or PASV"
        } else if address.port() < ACTIVE_PORT_MIN {
            "Data connections are not opened to ports below 1024"
        } else {
            let had_port = self
                .plan
                .take()
                .is_some_and(|plan| plan.client == Target::Awaited);
            if had_port {
                turn.push(Action::ClosePassive(Side::Client));
            }
            let text = format!("{} noted", asked.word());
            turn.answer(&Reply::new(occasion::OKAY, text));
            return self.arrange_backend(turn, None, Target::Port(address.port()));
        };
        turn.refuse(asked, &Reply::new(occasion::NOT_THIS_PARAMETER, objection));
    }
}
