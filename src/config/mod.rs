//! What the operator wants: a text in, either every complaint about it at once or a resolved, immutable [`Config`] out.
//! The gate reads the file and hands the text over; shards and sessions hold the result and ask it nothing twice.
//! It never opens a file, resolves a name or looks at a socket, and nothing after it asks whether a value is sane.

mod admin;
mod change;
mod desk;
mod endpoint;
mod fault;
mod file;
mod host;
mod identity;
mod listener;
mod nearest;
mod network;
mod pool;
mod process;
mod profile;
mod relations;
mod resolve;
mod sift;
mod streams;
mod tls;
mod value;
mod word;

use std::path::Path;
use std::sync::Arc;

pub use admin::{Admin, AdminTls};
pub use endpoint::{AdminAddress, HostPort, Pin, PortSpan};
pub use fault::{Complaint, Located, Place, in_order};
pub use file::known_keys;
pub use host::Host;
pub use listener::{Advertised, Alpn, Listener, MissingCloseNotify, Mode, Steering};
pub use pool::{Pool, Verify};
pub use process::{
    Audit, BusyPoll, Cores, KernelTls, Limits, Log, LogFormat, LogLevel, Process, Timeouts,
};
pub use profile::{Applied, PROFILES, Profile, Setting, Written};
pub use tls::{ClientCertificates, KeyExchange, TlsVersion, TlsVersions};

use crate::policy::{HostRules, Patience, SiteRules};

/// Reads a configuration, or says everything that is wrong with it, in the order of the text.
pub fn read(text: &str) -> Result<Config, Vec<Complaint>> {
    match survey(text) {
        Survey {
            config: Some(config),
            faults,
        } if faults.is_empty() => Ok(config),
        Survey { faults, .. } => Err(faults),
    }
}

/// A text as far as it can be understood.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Nothing if the text is not TOML. With faults, what could not be read is missing or meaningless here, and only
    /// the files that it names are worth looking at, so that their faults can be told as well.
    pub config: Option<Config>,
    /// What is wrong, in the order of the text.
    pub faults: Vec<Complaint>,
}

/// Reads as much of a configuration as can be read.
pub fn survey(text: &str) -> Survey {
    let mut findings = fault::Findings::new(text);
    let file = sift::parse(text, &mut findings);
    let mut config = file.map(|file| resolve::resolve(file, &mut findings));
    let (faults, warnings) = findings.into_parts();
    if let Some(config) = &mut config {
        config.warnings = warnings;
    }
    Survey { config, faults }
}

/// The whole configuration, resolved. Keys that were not written have their defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[process]`
    pub process: Process,
    /// `[log]`
    pub log: Log,
    /// `[limits]`
    pub limits: Limits,
    /// `[timeouts]`
    pub timeouts: Timeouts,
    /// `[admin]`, if it says where.
    pub admin: Option<Admin>,
    /// `[audit]`, if it says where.
    pub audit: Option<Audit>,
    /// `[[listener]]`, at least one, in the order of the file.
    pub listeners: Vec<Listener>,
    /// `[[pool]]`, at least one, in the order of the file.
    pub pools: Vec<Pool>,
    /// `[[host]]`, in the order of the file.
    pub hosts: Vec<Host>,
    /// What is allowed and yet should be known: to be shown at start and by the check.
    pub warnings: Vec<Complaint>,
}

impl Config {
    /// The same configuration with every relative path taken from `directory`: that of the file it was read from.
    #[must_use]
    pub fn relative_to(mut self, directory: &Path) -> Self {
        let own = self.listeners.iter_mut().flat_map(|listener| {
            let paths = [
                &mut listener.certificate,
                &mut listener.key,
                &mut listener.client_ca,
                &mut listener.client_crl,
            ];
            paths.into_iter().flatten()
        });
        let inside = self.pools.iter_mut().flat_map(|pool| {
            let paths = [
                &mut pool.ca,
                &mut pool.client_certificate,
                &mut pool.client_key,
            ];
            paths.into_iter().flatten()
        });
        let hosts = self
            .hosts
            .iter_mut()
            .filter_map(|host| host.identity.as_mut());
        let hosts = hosts.flat_map(|(certificate, key)| [certificate, key]);
        for path in own.chain(inside).chain(hosts) {
            path.value = directory.join(&path.value);
        }
        if let Some(audit) = &mut self.audit {
            audit.file.value = directory.join(&audit.file.value);
        }
        for file in self.admin.iter_mut().flat_map(Admin::files) {
            *file = directory.join(&file);
        }
        self
    }
}

impl Config {
    /// The hosts of the listener at this place, in the order of the file.
    pub fn hosts_of(&self, listener: usize) -> impl Iterator<Item = &Host> {
        self.hosts
            .iter()
            .filter(move |host| host.listener == listener)
    }

    /// The rules by which sessions of the listener at this place are led.
    pub fn rules(&self, at: usize) -> SiteRules {
        let listener = &self.listeners[at];
        let hosts = self.hosts_of(at).map(|host| HostRules {
            name: host.name.value.clone(),
            rules: Arc::new(self.rules_with(listener, &self.pools[host.pool], Vec::new())),
        });
        self.rules_with(listener, &self.pools[listener.pool], hosts.collect())
    }

    fn rules_with(&self, listener: &Listener, pool: &Pool, hosts: Vec<HostRules>) -> SiteRules {
        let timeouts = &self.timeouts;
        SiteRules {
            banner: listener.banner.clone(),
            client_tls: listener.tls,
            banner_first: listener.banner_first,
            assume_private: listener.assume_private,
            pbsz: listener.pbsz,
            client_ccc: listener.ccc,
            client_identity: listener.client_identity,
            client_protection: listener.data_protection,
            backend_tls: pool.tls,
            backend_banner_first: pool.banner_first,
            backend_protection: pool.data_protection,
            backend_ccc: pool.ccc,
            mode_z: pool.mode_z,
            on_empty: pool.empty,
            client_unfinished: listener.unfinished,
            backend_unfinished: pool.unfinished,
            bare_uploads: listener.bare_uploads,
            active: listener.active,
            passive: pool.data_command,
            pasv_address: pool.pasv_address,
            patience: Patience {
                handshake: timeouts.handshake,
                login: timeouts.login,
                idle: timeouts.idle,
                backend_connect: timeouts.backend_connect,
                backend_reply: timeouts.backend_reply,
                data_connect: timeouts.data_connect,
                data_handshake: timeouts.data_handshake,
                data_completion: timeouts.data_completion,
                linger: timeouts.linger,
            },
            hosts,
        }
    }
}

#[cfg(test)]
mod tests;
