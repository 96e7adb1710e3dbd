//! Whose connection it is, said to others and asked of others: PROXY headers towards the backend, addresses towards the
//! client, and whom its data connections may come from.

use std::net::IpAddr;
use std::sync::Arc;

use super::Session;
use crate::data::Guard;
use crate::dialog::Side;
use crate::net::{HeaderFacts, HeaderTls, proxy_header_v1, proxy_header_v2};
use crate::policy::SendProxy;
use crate::tls::TlsVersion;

impl Session {
    /// What a connection to the backend begins with; nothing where it is not to be told. Data connections say the same:
    /// when the backend's is opened, the client's may not be there.
    pub(super) fn introduction(&self) -> Vec<u8> {
        let facts = self.client.leg().facts();
        let tls = facts.map(|facts| HeaderTls {
            version: match facts.version {
                TlsVersion::V12 => "TLSv1.2",
                TlsVersion::V13 => "TLSv1.3",
            },
            common_name: None,
        });
        match self.site.send_proxy {
            SendProxy::Off => Vec::new(),
            SendProxy::V1 => proxy_header_v1(self.ends),
            SendProxy::V2 => {
                let id = self.id.to_string();
                let facts = HeaderFacts {
                    unique_id: id.as_bytes(),
                    authority: None,
                    tls,
                };
                proxy_header_v2(self.ends, facts)
            }
        }
    }

    /// As `introduction`, for a data connection that we open.
    pub(super) fn data_introduction(&self) -> Vec<u8> {
        match self.site.send_proxy_data {
            true => self.introduction(),
            false => Vec::new(),
        }
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
