//! `[[host]]`: virtual hosts of listeners (RFC 7151), from what was written to what it means.

use std::path::PathBuf;

use toml::{Spanned, Value};

use super::Located;
use super::desk::one_of_many;
use super::fault::Findings;
use super::file::HostKeys;
use super::value::{Flaw, Leaf};
use crate::ftp::read_host;

/// `[[host]]`: a name under which a listener is known, and what stands behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// `name`, in lower case.
    pub name: Located<String>,
    /// `listener`, as an index into [`Config::listeners`](super::Config::listeners).
    pub listener: usize,
    /// `pool`, as an index into [`Config::pools`](super::Config::pools): that of the listener where none is written.
    pub pool: usize,
    /// `certificate` and `key`: those of the listener where none are written.
    pub identity: Option<(Located<PathBuf>, Located<PathBuf>)>,
}

/// A host's name: it is compared with what clients write behind HOST, and show in SNI.
pub(super) struct HostName(pub(super) String);

impl Leaf for HostName {
    fn read(value: &Value) -> Result<Self, Flaw> {
        let text = String::read(value)?;
        read_host(text.as_bytes()).map(Self).ok_or_else(|| Flaw {
            problem: format!("{text:?} is no name of a host"),
            cure: "a DNS name, an IPv4 address, or an IPv6 address in brackets; no port".to_owned(),
        })
    }
}

/// Reads one host; `None` where something essential is missing, which has been noted. `owners` are the pools of listeners.
pub(super) fn host(
    index: usize,
    section: Spanned<HostKeys>,
    (listeners, owners): (&[Option<String>], &[usize]),
    pools: &[Option<String>],
    findings: &mut Findings,
) -> Option<Host> {
    let (mut desk, keys) = one_of_many("host", index, section, findings);
    let name = desk.need("name", keys.name, "\"ftp.example.com\"");
    let listener = desk
        .need("listener", keys.listener, "\"partners\"")
        .and_then(|name| desk.one_of("listener", &name, listeners));
    let pool = desk
        .located("pool", keys.pool)
        .and_then(|name| desk.one_of("pool", &name, pools));
    let identity = match (keys.certificate.0.is_some(), keys.key.0.is_some()) {
        (false, false) => None,
        _ => {
            let certificate = desk.need("certificate", keys.certificate, "\"host.pem\"");
            certificate.zip(desk.need("key", keys.key, "\"host.key\""))
        }
    };
    let (name, listener) = name.zip(listener)?;
    let pool = pool.or_else(|| owners.get(listener).copied())?;
    Some(Host {
        name: name.map(|name| name.0),
        listener,
        pool,
        identity,
    })
}
