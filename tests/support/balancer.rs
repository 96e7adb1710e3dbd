//! A real load balancer: HAProxy, as a sender and as a receiver of PROXY headers.
//!
//! It listens on a loopback address of its own, with the same ports as what stands behind it: so data connections find
//! their way through it as they do through a machine in front.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::process::Command;

use super::Scene;
use super::process::Server;
use super::servers::PEERS;

/// Where clients reach it.
pub(crate) const BALANCER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);
/// From where it reaches what is behind it.
pub(crate) const BALANCER_INSIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// What it does with PROXY headers: words of its configuration.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Headers {
    /// Of control connections: behind `bind`, and behind `server`.
    pub(crate) control: (&'static str, &'static str),
    /// Of data connections.
    pub(crate) data: (&'static str, &'static str),
}

/// A running HAProxy.
pub(crate) struct Balancer {
    server: Server,
}

impl Balancer {
    /// Starts it before what listens on 127.0.0.1 with these ports.
    pub(crate) fn start(
        scene: &Scene,
        control: u16,
        data: &RangeInclusive<u16>,
        headers: Headers,
    ) -> Self {
        let mut config =
            "global\n log stdout format raw local0\ndefaults\n mode tcp\n log global\n \
            timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
                .to_owned();
        let (first, last) = (data.start(), data.end());
        for (name, ports, target, (bind, server)) in [
            (
                "control",
                control.to_string(),
                format!(":{control}"),
                headers.control,
            ),
            (
                "data",
                format!("{first}-{last}"),
                String::new(),
                headers.data,
            ),
        ] {
            write!(
                config,
                "listen {name}\n bind {BALANCER}:{ports} {bind}\n source {BALANCER_INSIDE}\n \
                 log-format \"%f from %ci id %[fc_pp_unique_id]\"\n server behind 127.0.0.1{target} {server}\n"
            )
            .unwrap();
        }
        let config = scene.file("haproxy.cfg", config);
        let mut command = Command::new(format!("{PEERS}/usr/sbin/haproxy"));
        let mut server = Server::start(
            "haproxy",
            command.arg("-db").arg("-f").arg(config),
            Vec::new(),
        );
        server.wait_until_listening_at(BALANCER, control);
        Self { server }
    }

    /// Waits for a line of its log; it writes one when a connection has ended.
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        self.server.wait_for_line(text, |line| line.contains(text))
    }
}
