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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const TEXT: &str = "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:21\"\npool = \"p\"\npassive_ports = \"50000-50099\"\n\
        certificate = \"c\"\nkey = \"k\"\n[[pool]]\nname = \"p\"\nmembers = [\"10.0.0.1:21\"]\nca = \"ca\"\n";

    /// The marks of the listener and of the pool, with files in a directory.
    fn marks(text: &str, directory: &std::path::Path) -> (Mark, Mark) {
        let config = config::read(text).unwrap().relative_to(directory);
        let pool = Mark::of_pool(&config.pools[0], config.process.in_place);
        (Mark::of_listener(&config, 0), pool)
    }

    #[test]
    fn whatever_tls_is_made_of_makes_another_mark_and_nothing_else_does() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        for name in ["c", "k", "ca", "hc", "hk", "crl"] {
            write(name, name);
        }
        let of = |text: &str| marks(text, directory.path());
        let with = |listener: &str, pool: &str| {
            let text = TEXT.replace("[[pool]]", &format!("{listener}\n[[pool]]"));
            format!("{text}{pool}\n")
        };
        let (listener, pool) = of(TEXT);
        for same in [
            with(
                "banner = \"x\"\nactive = false",
                "balance = \"least\"\nempty = \"reject\"",
            ),
            format!("[timeouts]\nidle = \"9s\"\n{TEXT}"),
        ] {
            assert_eq!(of(&same), (listener.clone(), pool.clone()), "{same}");
        }
        let asked = "client_certificates = \"optional\"\nclient_ca = \"ca\"";
        for other in [
            "tls = \"optional\"".to_owned(),
            "tls_versions = [\"1.3\"]".to_owned(),
            "key_exchange = \"off\"".to_owned(),
            "alpn = \"ignore\"".to_owned(),
            "resumption = \"required\"".to_owned(),
            asked.to_owned(),
            format!("{asked}\nclient_crl = \"crl\""),
            asked.replace("optional", "required"),
            "[[host]]\nname = \"h.example\"\nlistener = \"a\"".to_owned(),
            "[[host]]\nname = \"h.example\"\nlistener = \"a\"\ncertificate = \"hc\"\nkey = \"hk\""
                .to_owned(),
        ] {
            let (other_listener, same_pool) = of(&with(&other, ""));
            assert_ne!(other_listener, listener, "{other}");
            assert_eq!(same_pool, pool, "{other}");
        }
        for other in [
            "tls = \"implicit\"",
            "tls_versions = [\"1.3\"]",
            "key_exchange = \"off\"",
            "verify = \"chain\"",
            "alpn = true",
            "server_name = \"x.example\"",
            "client_certificate = \"c\"\nclient_key = \"k\"",
            "backups = [\"10.0.0.2:21\"]",
        ] {
            let (same_listener, other_pool) = of(&with("", other));
            assert_ne!(other_pool, pool, "{other}");
            assert_eq!(same_listener, listener, "{other}");
        }
        let off = format!("[process]\nin_place = false\n{TEXT}");
        assert_ne!(of(&off).0, listener);
        assert_ne!(of(&off).1, pool);
        for (file, changes) in [
            ("k", [true, false]),
            ("c", [true, false]),
            ("ca", [false, true]),
        ] {
            write(file, "another");
            let (new_listener, new_pool) = of(TEXT);
            assert_eq!(
                [new_listener != listener, new_pool != pool],
                changes,
                "{file}"
            );
            write(file, file);
        }
    }
}
