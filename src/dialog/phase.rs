//! What a session knows: of its client, of its backend, and what it is busy with.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::ftp::{Code, Command, ReplyReader, Verb};
use crate::policy::PeerIdentity;

use super::action::{Ending, Protection, Target};
use super::facts::{Resync, Transfer};

/// The client's side of the session.
#[derive(Debug, Clone, Hash)]
pub(super) struct Client {
    /// Its address.
    pub(super) peer: IpAddr,
    /// TLS is on the control connection, or was until CCC.
    pub(super) secure: bool,
    /// Whom it has named, in its TLS handshake or by HOST.
    pub(super) host: Chosen,
    /// CCC was taken: what comes is clear text.
    pub(super) cleared: bool,
    /// Who it has proven to be with TLS, if it has.
    pub(super) identity: Option<Arc<PeerIdentity>>,
    /// PBSZ was given (RFC 4217 section 8: it comes before PROT).
    pub(super) pbsz: bool,
    /// PROT; Clear until it is given (RFC 4217 section 9).
    pub(super) protection: Protection,
    /// EPSV ALL was given (RFC 2428 section 4); nothing takes it back.
    pub(super) epsv_all: bool,
    pub(super) logged_in: bool,
    /// The name of the last USER, for the log of a login that succeeds; a password typed as a name never gets there.
    pub(super) user: Vec<u8>,
    pub(super) failed_logins: u32,
    pub(super) unknown: u32,
    /// The code of a backend's reply that has been passed on without its last line so far.
    pub(super) passing: Option<Code>,
    /// The offset that REST has set for the next transfer.
    pub(super) offset: u64,
    /// MODE Z is on: bytes of data are not bytes of files.
    pub(super) mode_z: bool,
    /// TYPE A, until another one is taken (RFC 959 section 5.1).
    pub(super) ascii: bool,
    /// What the TYPE at the backend asks for.
    pub(super) asked_ascii: bool,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            peer: Ipv4Addr::UNSPECIFIED.into(),
            secure: false,
            host: Chosen::Nobody,
            cleared: false,
            identity: None,
            pbsz: false,
            protection: Protection::Clear,
            epsv_all: false,
            logged_in: false,
            user: Vec::new(),
            failed_logins: 0,
            unknown: 0,
            passing: None,
            offset: 0,
            mode_z: false,
            ascii: true,
            asked_ascii: false,
        }
    }
}

impl Client {
    /// As it was when it came (REIN), but for what it has done to try our patience.
    pub(super) fn anew(&self) -> Self {
        Self {
            peer: self.peer,
            failed_logins: self.failed_logins,
            unknown: self.unknown,
            ..Self::default()
        }
    }

    /// It reached us over IPv6: PASV and PORT cannot serve it.
    pub(super) const fn is_v6(&self) -> bool {
        self.peer.is_ipv6()
    }
}

/// Which host a client has named, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Chosen {
    /// None.
    Nobody,
    /// By HOST: another HOST may name another one.
    Said(usize),
    /// By SNI, which HOST must agree with (RFC 7151 section 3.2.2); nothing is known of the name where there is no place.
    Shown(Option<usize>),
}

/// How far the backend's control connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum BackendStage {
    /// Not asked for yet: that is done when USER arrives.
    Absent,
    /// It has greeted us.
    There,
    /// It is no more; so will be the session.
    Lost,
}

/// The backend's side of the session.
#[derive(Debug, Clone, Hash)]
pub(super) struct Backend {
    pub(super) stage: BackendStage,
    pub(super) replies: ReplyReader,
    /// TLS is on its control connection, or was until CCC.
    pub(super) secure: bool,
    /// CCC was taken.
    pub(super) cleared: bool,
    pub(super) pbsz: bool,
    /// What its data connections are; behind implicit TLS unknown until PROT, for some servers begin with Private there.
    pub(super) protection: Option<Protection>,
    /// It has said that it does not know EPSV.
    pub(super) refuses_epsv: bool,
    /// Replies that belonged to no command, since the client's last one.
    pub(super) unsolicited: u32,
    /// The reply whose lines are coming belongs to no command, whatever is asked before its last one.
    pub(super) is_astray: bool,
}

impl Default for Backend {
    fn default() -> Self {
        Self {
            stage: BackendStage::Absent,
            replies: ReplyReader::default(),
            secure: false,
            cleared: false,
            pbsz: false,
            protection: Some(Protection::Clear),
            refuses_epsv: false,
            unsolicited: 0,
            is_astray: false,
        }
    }
}

/// The backend is being reached; USER waits.
#[derive(Debug, Clone, Hash)]
pub(super) struct Reaching {
    pub(super) user: Command,
    pub(super) step: ReachStep,
    /// What became of the member that was passed over last.
    pub(super) last: Option<Ending>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ReachStep {
    Connecting,
    Greeting,
    /// AUTH TLS has been said.
    AskedAuth,
    Securing,
}

/// A data connection that has been arranged; one transfer uses it up.
#[derive(Debug, Clone, Hash)]
pub(super) struct Plan {
    /// How the client's leg comes about.
    pub(super) client: Target,
    /// How the backend's does, or why it does not.
    pub(super) backend: Result<Target, &'static str>,
}

/// A data connection that is being arranged.
#[derive(Debug, Clone, Hash)]
pub(super) struct Planning {
    /// How the client asked, until it has been answered.
    pub(super) asked: Option<Verb>,
    /// Whether our own port is open; `None` while it is not known.
    pub(super) opened: Option<bool>,
    /// How the client's leg comes about.
    pub(super) client: Target,
    /// How the backend's does, where only its protection is still to be changed.
    pub(super) backend: Option<Target>,
    pub(super) step: PlanStep,
}

/// What the backend has been asked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PlanStep {
    Pbsz,
    Prot,
    Epsv,
    Pasv,
    /// Not the backend: a port of ours, for it to connect to.
    Listen,
    /// PORT or EPRT.
    Active,
    /// Nothing more will be asked.
    Done,
}

/// What the backend has been asked on the way to a clear control connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ClearStep {
    Pbsz,
    Prot,
    Ccc,
}

/// What the session is busy with. Everything but a transfer is one exchange with one side.
#[derive(Debug, Clone, Hash)]
pub(super) enum Work {
    /// Nothing: the next command may come.
    Idle,
    /// 234 is on its way to the client, or its handshake is running.
    SecuringClient,
    /// USER has come, and the backend is being reached for it.
    Reaching(Reaching),
    /// A login has succeeded, and the backend's control connection is to be cleared.
    ClearingBackend(ClearStep),
    /// A command is at the backend.
    Forwarding(Verb),
    /// FEAT is at the backend; the lines of its answer so far.
    Features(Vec<Vec<u8>>),
    /// A data connection is being arranged on both sides.
    Planning(Planning),
    /// Data flows, or is about to, or has just ended.
    Transferring(Box<Transfer>),
    /// The gate has given up a transfer and waits for the backend's replies to it to be through.
    Resyncing(Resync),
}

impl Work {
    /// The command that waits while the backend is reached.
    pub(super) fn take_waiting(&mut self) -> Option<Command> {
        match std::mem::replace(self, Self::Idle) {
            Self::Reaching(reaching) => Some(reaching.user),
            other => {
                *self = other;
                None
            }
        }
    }
}
