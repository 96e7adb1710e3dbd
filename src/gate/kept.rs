//! What a reload leaves as it is: the TLS of a listener or a pool of which nothing has changed, neither a key nor what stands in
//! a file. What it has issued can be resumed still. Where anything has changed, nothing can: who resumes is not looked at again,
//! and a certificate that was revoked, or a version that is no longer allowed, must not come in by an old ticket.

use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;

use aws_lc_rs::digest::{Context, SHA256};

use crate::config::{Config, Listener, Located, Pool};
use crate::tls::setup::{ListenerTls, PoolTls};

/// TLS that is off has nothing to keep.
pub(super) type Secured<T> = Option<(Mark, T)>;

/// Everything that the TLS of one listener or pool is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mark(Vec<u8>);

impl Mark {
    /// To be taken before the files are read for good: what changes between is noticed the next time.
    pub(super) fn of_listener(config: &Config, at: usize) -> Self {
        let listener: &Listener = &config.listeners[at];
        let keys = (
            (listener.mode, listener.tls, listener.tls_versions),
            (listener.key_exchange, listener.client_certificates),
            (listener.alpn, listener.strict_sni, listener.resumption),
            config.process.in_place,
        );
        let hosts = config.hosts_of(at);
        let hosts: Vec<_> = hosts
            .map(|host| (&host.name.value, host.identity.as_ref()))
            .collect();
        let names: Vec<_> = hosts.iter().map(|(name, _)| name).collect();
        let own = [&listener.certificate, &listener.key];
        let asked = [&listener.client_ca, &listener.client_crl];
        let files = own.into_iter().chain(asked).map(Option::as_ref);
        let of_hosts = hosts.iter().flat_map(|(_, identity)| match identity {
            Some((certificate, key)) => [Some(certificate), Some(key)],
            None => [None, None],
        });
        Self::of(&(keys, names), files.chain(of_hosts))
    }

    /// As `of_listener`.
    pub(super) fn of_pool(pool: &Pool, in_place: bool) -> Self {
        let keys = (
            (pool.tls, pool.tls_versions, pool.key_exchange, pool.verify),
            (&pool.pins, pool.alpn, in_place),
            pool.server_name.as_ref().map(|name| &name.value),
            &pool.members.value,
        );
        let files = [&pool.ca, &pool.client_certificate, &pool.client_key];
        Self::of(&keys, files.into_iter().map(Option::as_ref))
    }

    fn of<'f>(keys: &dyn Debug, files: impl Iterator<Item = Option<&'f Located<PathBuf>>>) -> Self {
        let mut digest = Context::new(&SHA256);
        digest.update(format!("{keys:?}").as_bytes());
        for file in files {
            // One that cannot be read is complained of by whoever needs it.
            let content = file.and_then(|file| fs::read(&file.value).ok());
            let content = content.unwrap_or_default();
            digest.update(&content.len().to_be_bytes());
            digest.update(&content);
        }
        Self(digest.finish().as_ref().to_vec())
    }
}

/// For each of `now`, what it had `before` under the same name and with the same mark.
pub(super) fn keep<'n, T: Clone + 'n>(
    now: impl Iterator<Item = (&'n String, &'n mut Secured<T>)>,
    before: &[(&String, &Secured<T>)],
) {
    for (name, secured) in now {
        let before = before.iter().find(|(known, _)| *known == name);
        if let (Some((mark, tls)), Some((_, Some((old_mark, old_tls))))) = (secured, before)
            && mark == old_mark
        {
            tls.clone_from(old_tls);
        }
    }
}

/// TLS of a listener.
pub(super) type SecuredListener = Secured<ListenerTls>;

/// TLS of a pool.
pub(super) type SecuredPool = Secured<PoolTls>;
