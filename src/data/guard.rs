//! Whose data connection is it (rule 10 of the contract; RFC 2577 section 8).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::policy::{DataPeer, Networks};

/// Knows whom a passive port waits for.
#[derive(Debug, Clone)]
pub struct Guard {
    control_peer: IpAddr,
    policy: DataPeer,
    /// Who passes data connections on with a PROXY header, where all come so.
    proxies: Option<Arc<Networks>>,
}

/// What is to be asked of a connection that was just taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doorway {
    /// Nothing: it says itself whose it is.
    Open,
    /// A PROXY header.
    Header,
    /// Nothing: it comes from nobody who could send one that counts.
    Shut,
}

/// The proof that a data connection comes from, or goes to, the peer that was meant.
pub struct PeerChecked(());

impl Guard {
    /// For the data connections of the client whose control connection comes from `control_peer`.
    #[must_use]
    pub const fn new(control_peer: IpAddr, policy: DataPeer) -> Self {
        Self {
            control_peer,
            policy,
            proxies: None,
        }
    }

    /// The same behind proxies, who say of each connection whose it is.
    #[must_use]
    pub fn behind(self, proxies: Arc<Networks>) -> Self {
        Self {
            proxies: Some(proxies),
            ..self
        }
    }

    pub(super) fn doorway(&self, peer: SocketAddr) -> Doorway {
        match &self.proxies {
            None => Doorway::Open,
            Some(proxies) if proxies.contain(peer.ip()) => Doorway::Header,
            Some(_) => Doorway::Shut,
        }
    }

    /// The proof, if this peer may connect.
    #[must_use]
    pub fn check(&self, peer: SocketAddr) -> Option<PeerChecked> {
        let is_theirs = match self.policy {
            DataPeer::Any => true,
            DataPeer::Same => peer.ip().to_canonical() == self.control_peer.to_canonical(),
        };
        is_theirs.then_some(PeerChecked(()))
    }
}

impl PeerChecked {
    /// We have connected ourselves, to an address that the dialog has chosen.
    pub(super) const fn dialed() -> Self {
        Self(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_clients_own_address() {
        let client: IpAddr = "192.0.2.7".parse().unwrap();
        let same = Guard::new(client, DataPeer::Same);
        assert!(same.check("192.0.2.7:40000".parse().unwrap()).is_some());
        assert!(
            same.check("[::ffff:192.0.2.7]:1".parse().unwrap())
                .is_some()
        );
        assert!(same.check("192.0.2.8:40000".parse().unwrap()).is_none());
        let any = Guard::new(client, DataPeer::Any);
        assert!(any.check("192.0.2.8:40000".parse().unwrap()).is_some());
    }

    #[test]
    fn behind_proxies_only_they_are_asked_whose_it_is() {
        let client: IpAddr = "192.0.2.7".parse().unwrap();
        let proxies = Arc::new(Networks(vec!["10.0.0.0/24".parse().unwrap()]));
        let direct = Guard::new(client, DataPeer::Same);
        let behind = direct.clone().behind(proxies);
        let (own, proxy) = (
            "192.0.2.7:1".parse().unwrap(),
            "10.0.0.9:1".parse().unwrap(),
        );
        assert_eq!(direct.doorway(own), Doorway::Open);
        assert_eq!(behind.doorway(own), Doorway::Shut);
        assert_eq!(behind.doorway(proxy), Doorway::Header);
        assert!(behind.check(own).is_some() && behind.check(proxy).is_none());
    }
}
