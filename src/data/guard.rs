//! Whose data connection is it (rule 10 of the contract; RFC 2577 section 8).

use std::net::{IpAddr, SocketAddr};

use crate::policy::DataPeer;

/// Knows whom a passive port waits for.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    control_peer: IpAddr,
    policy: DataPeer,
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
}
