//! `[[host]]`: virtual hosts of listeners (RFC 7151), from what was written to what it means.

use std::path::PathBuf;

use toml::Spanned;

use super::Located;
use super::desk::one_of_many;
use super::fault::Findings;
use super::file::HostKeys;

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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::read;
    use crate::config::tests::{MINIMAL, complaints};
    use crate::policy::BackendTls;

    #[test]
    fn hosts_have_what_their_listener_has_or_their_own() {
        let text = format!(
            "{MINIMAL}\n[[pool]]\nname = \"other\"\nmembers = \"a.b:21\"\ntls = \"off\"\n\
             [[host]]\nname = \"One.Example\"\nlistener = \"partners\"\n\
             [[host]]\nname = \"[::1]\"\nlistener = \"partners\"\npool = \"other\"\n\
             certificate = \"own.pem\"\nkey = \"own.key\"\n"
        );
        let config = read(&text)
            .expect("it loads")
            .relative_to(Path::new("/etc"));
        assert_eq!(config.warnings, [], "a host uses its pool");
        let [one, two] = config.hosts.as_slice() else {
            panic!("two hosts: {:?}", config.hosts);
        };
        assert_eq!((one.name.as_str(), one.pool), ("one.example", 0));
        assert!(one.identity.is_none());
        assert_eq!((two.name.as_str(), two.pool), ("[::1]", 1));
        let (certificate, _) = two.identity.as_ref().expect("it is written");
        assert_eq!(certificate.value, Path::new("/etc/own.pem"));
        let rules = config.rules(0);
        assert_eq!(rules.host("ONE.example"), Some(0));
        assert_eq!(rules.host("three.example"), None);
        assert_eq!(rules.backend_tls, BackendTls::Explicit);
        assert_eq!(rules.hosts[1].rules.backend_tls, BackendTls::Off);
    }

    /// A listener that lacks something is still the first one.
    #[test]
    fn hosts_keep_their_listener_beside_one_with_faults() {
        let bare = "[[listener]]\nname = \"bare\"\naddress = \"[::1]:1\"\npool = \"inside\"\npassive_ports = \"5000-5009\"\n";
        let stream = "[[listener]]\nname = \"stream\"\naddress = \"[::1]:2\"\npool = \"inside\"\nmode = \"stream\"\n\
                      tls = \"off\"\n";
        let host = "[[host]]\nname = \"a.example\"\nlistener = \"partners\"\n";
        let minimal = MINIMAL.replace("ca =", "tls = \"implicit\"\nca =");
        let text = format!("{bare}{minimal}{stream}{host}");
        let expected =
            ["certificate", "key"].map(|key| format!("1:1  listener[0].{key}: is missing"));
        assert_eq!(complaints(&text), expected);
    }

    #[test]
    fn hosts_that_lead_nowhere_or_twice_are_told() {
        let text = format!(
            "{MINIMAL}\n[[host]]\nname = \"a.example:21\"\nlistener = \"partner\"\ncertificate = \"a.pem\"\n\
             [[host]]\nname = \"a.example\"\nlistener = \"partners\"\n\
             [[host]]\nname = \"A.example\"\nlistener = \"partners\"\n"
        );
        let told = complaints(&text);
        for (key, problem) in [
            ("host[0].name", "no name of a host"),
            ("host[0].listener", "no listener \"partner\""),
            ("host[0].key", "is missing"),
            ("host[2].name", "already in host[1].name"),
        ] {
            assert!(
                told.iter()
                    .any(|line| line.contains(key) && line.contains(problem)),
                "{key}: {told:#?}"
            );
        }
        assert_eq!(told.len(), 4, "{told:#?}");
    }
}
