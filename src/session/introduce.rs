//! Whose connection it is, said to others and asked of others: PROXY headers towards the backend, addresses towards the
//! client, and whom its data connections may come from.

use std::net::IpAddr;
use std::sync::Arc;

use super::Session;
use crate::data::Guard;
use crate::dialog::{Side, Target};
use crate::net::{Ends, HeaderFacts, HeaderTls, proxy_header_v1, proxy_header_v2};
use crate::policy::SendProxy;
use crate::tls::TlsVersion;

impl Session {
    /// What a control connection to the backend begins with; nothing where it is not to be told.
    pub(super) fn introduction(&self) -> Vec<u8> {
        self.introduction_as(self.ends)
    }

    /// The same for a data connection that we open. The client's own may not be there yet, so the client's end is that of
    /// its control connection; the port that it has reached is the one that we connect to, as receivers may choose
    /// their server by it.
    pub(super) fn data_introduction(&self, target: Target) -> Vec<u8> {
        let port = match target {
            Target::Port(port) => port,
            Target::Address(address) => address.port(),
            Target::Awaited => return Vec::new(),
        };
        if !self.inside().send_proxy_data {
            return Vec::new();
        }
        let mut ends = self.ends;
        ends.reached.set_port(port);
        self.introduction_as(ends)
    }

    fn introduction_as(&self, ends: Ends) -> Vec<u8> {
        let facts = self.client.leg().facts();
        let tls = facts.map(|facts| HeaderTls {
            version: match facts.version {
                TlsVersion::V12 => "TLSv1.2",
                TlsVersion::V13 => "TLSv1.3",
            },
            common_name: self.identity.as_ref().and_then(|identity| {
                let name = identity.names.first();
                name.map(String::as_str)
            }),
        });
        header(self.inside().send_proxy, ends, self.id, tls)
    }

    /// The address that a peer is told to connect to, of a port that listens at `ip`.
    pub(super) fn shown(&self, side: Side, ip: IpAddr) -> IpAddr {
        if side == Side::Backend {
            return ip.to_canonical();
        }
        let map = self.site.advertise.borrow();
        let advertised = map.find(self.ends.client.ip()).copied().flatten();
        advertised.map_or_else(|| self.ends.reached.ip(), IpAddr::V4)
    }

    /// Whom the client's data connections may come from.
    pub(super) fn client_guard(&self) -> Guard {
        let guard = Guard::new(self.ends.client.ip(), self.site.data_peer);
        match &self.site.proxies {
            Some(proxies) if self.site.proxied_data => guard.behind(Arc::clone(proxies)),
            _ => guard,
        }
    }

    /// The address that the client knows us by, as far as it is ours: it may take data connections from no other.
    pub(super) fn own_address(&self) -> Option<IpAddr> {
        let own = self.client.leg().local().ip().to_canonical();
        let fits = own.is_ipv4() == self.ends.client.is_ipv4();
        fits.then_some(own)
    }
}

/// What tells a backend that this is session `id` of a client with these ends.
pub(super) fn header(
    send_proxy: SendProxy,
    ends: Ends,
    id: u64,
    tls: Option<HeaderTls<'_>>,
) -> Vec<u8> {
    match send_proxy {
        SendProxy::Off => Vec::new(),
        SendProxy::V1 => proxy_header_v1(ends),
        SendProxy::V2 => {
            let id = id.to_string();
            let facts = HeaderFacts {
                unique_id: id.as_bytes(),
                authority: None,
                tls,
            };
            proxy_header_v2(ends, facts)
        }
    }
}
