//! Values that name networks, addresses for those who come from them, and hosts.

use std::net::Ipv4Addr;

use toml::Value;

use super::Advertised;
use super::value::{Flaw, Leaf, List, is_host, kind, text};
use crate::ftp::read_host;
use crate::limits::NETWORKS_MAX;
use crate::policy::{NetMap, Network, Networks, NotNetwork};

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

impl Leaf for Network {
    fn read(value: &Value) -> Result<Self, Flaw> {
        const CURE: &str =
            "an address and how many of its bits count: \"10.0.0.0/8\", \"fd00::/8\"";
        let text = text(value, "in quotes")?;
        text.parse().map_err(|fault| match fault {
            NotNetwork::Syntax => Flaw::new(format!("{text:?} is not a network"), CURE),
            NotNetwork::HostBits(meant) => Flaw::new(
                format!("{text:?} has bits behind its prefix"),
                format!("did you mean \"{meant}\"?"),
            ),
        })
    }
}

impl Leaf for Networks {
    fn read(value: &Value) -> Result<Self, Flaw> {
        few(List::read(value)?.0).map(Self)
    }
}

fn few<T>(rows: Vec<T>) -> Result<Vec<T>, Flaw> {
    match rows.len() <= NETWORKS_MAX {
        true => Ok(rows),
        false => Err(Flaw::new(
            "has too many networks",
            format!("at most {NETWORKS_MAX}"),
        )),
    }
}

impl Leaf for Advertised {
    fn read(value: &Value) -> Result<Self, Flaw> {
        const CURE: &str = "the IPv4 address by which clients reach this gate: \"203.0.113.5\"; a name that has one; or \"local\"";
        let text = text(value, "in quotes")?;
        if text == "local" {
            return Ok(Self::Local);
        }
        let Ok(address) = text.parse::<Ipv4Addr>() else {
            // A name ends in letters (RFC 1123 section 2.1); what ends in digits is an address mistyped.
            let last = text.rsplit('.').next().unwrap_or("");
            let is_name = is_host(text) && last.bytes().any(|letter| letter.is_ascii_alphabetic());
            let flaw = || Flaw::new(format!("{text:?} is not an IPv4 address"), CURE);
            return is_name
                .then(|| Self::Name(text.to_owned()))
                .ok_or_else(flaw);
        };
        let reachable =
            !(address.is_unspecified() || address.is_broadcast() || address.is_multicast());
        reachable
            .then_some(Self::Address(address))
            .ok_or_else(|| Flaw::new(format!("no client can connect to {address}"), CURE))
    }
}

/// One address for all clients, or rules by their networks.
impl Leaf for NetMap<Advertised> {
    fn read(value: &Value) -> Result<Self, Flaw> {
        if value.is_array() {
            let rules = few(List::<Rule>::read(value)?.0)?;
            let rows = rules.into_iter().map(|rule| (rule.clients, rule.address));
            return Self::new(rows.collect()).map_err(|twice| {
                let problem = format!("has two rules for {twice}");
                Flaw::new(problem, "one rule for each network")
            });
        }
        Advertised::read(value).map(Self::everywhere)
    }
}

/// `{ clients = "10.0.0.0/8", address = "10.1.2.3" }`
struct Rule {
    clients: Network,
    address: Advertised,
}

impl Leaf for Rule {
    fn read(value: &Value) -> Result<Self, Flaw> {
        const CURE: &str = "{ clients = \"10.0.0.0/8\", address = \"10.1.2.3\" }";
        let Some(table) = value.as_table() else {
            return Err(Flaw::new(format!("is {}, not a rule", kind(value)), CURE));
        };
        if let Some(strange) = table
            .keys()
            .find(|key| !["clients", "address"].contains(&key.as_str()))
        {
            return Err(Flaw::new(
                format!("{strange:?} is not known in a rule"),
                CURE,
            ));
        }
        let (Some(clients), Some(address)) = (table.get("clients"), table.get("address")) else {
            return Err(Flaw::new("a rule lacks clients or address", CURE));
        };
        let clients = Network::read(clients)?;
        if !clients.is_ipv4() {
            let problem = format!(
                "{clients} is IPv6, and there PASV, which alone needs an address, is not served"
            );
            return Err(Flaw::new(
                problem,
                "rules for IPv4 clients only: EPSV needs none",
            ));
        }
        Ok(Self {
            clients,
            address: Advertised::read(address)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read;
    use crate::config::tests::{complaints, with};
    use crate::policy::SendProxy;

    #[test]
    fn addresses_for_pasv_are_one_for_all_or_rules_by_network() {
        let advertise = |value: &str| {
            let text = with(
                "passive_ports",
                &format!("advertise = {value}\npassive_ports"),
            );
            read(&text).map(|config| config.listeners[0].advertise.clone().unwrap().value)
        };
        let client = |address: &str| address.parse().unwrap();
        let one = advertise("\"203.0.113.5\"").unwrap();
        let expected = Advertised::Address([203, 0, 113, 5].into());
        assert_eq!(one.find(client("::ffff:198.51.100.1")), Some(&expected));
        let rules = advertise(
            r#"[{ clients = "10.0.0.0/8", address = "local" }, { clients = "0.0.0.0/0", address = "ftp.example.org" }]"#,
        );
        let rules = rules.unwrap();
        assert_eq!(rules.find(client("10.1.1.1")), Some(&Advertised::Local));
        let name = Advertised::Name("ftp.example.org".to_owned());
        assert_eq!(rules.find(client("192.0.2.1")), Some(&name));

        for (value, problem) in [
            (
                "\"203.0.113.256\"",
                "\"203.0.113.256\" is not an IPv4 address",
            ),
            ("\"0.0.0.0\"", "no client can connect to 0.0.0.0"),
            ("[]", "is an empty list"),
            (
                "[\"203.0.113.5\"]",
                "item 1: is the text \"203.0.113.5\", not a rule",
            ),
            (
                r#"[{ clients = "10.0.0.0/8" }]"#,
                "item 1: a rule lacks clients or address",
            ),
            (
                r#"[{ client = "10.0.0.0/8", address = "local" }]"#,
                "item 1: \"client\" is not known in a rule",
            ),
            (
                r#"[{ clients = "10.0.0.1/8", address = "local" }]"#,
                "item 1: \"10.0.0.1/8\" has bits behind its prefix",
            ),
            (
                r#"[{ clients = "10.0.0.0/8", address = "local" }, { clients = "10.0.0.0/8", address = "local" }]"#,
                "has two rules for 10.0.0.0/8",
            ),
            (
                r#"[{ clients = "fd00::/8", address = "local" }]"#,
                "item 1: fd00::/8 is IPv6, and there PASV, which alone needs an address, is not served",
            ),
        ] {
            let faults = advertise(value).expect_err(value);
            assert_eq!(faults[0].problem, problem);
        }
    }

    #[test]
    fn proxies_are_named_where_they_are_believed() {
        let listener = |keys: &str| with("passive_ports", &format!("{keys}\npassive_ports"));
        let required = "proxy_protocol = \"required\"";
        let good = read(&listener(&format!(
            "{required}\nproxy_from = \"10.0.0.0/8\""
        )))
        .unwrap();
        let proxies = good.listeners[0].proxy_from.as_ref().unwrap();
        assert!(proxies.contain("10.9.9.9".parse().unwrap()));
        assert!(!proxies.contain("11.0.0.1".parse().unwrap()));
        assert!(complaints(&listener(required))[0].contains("proxy_from: is missing"));
        let alone = complaints(&listener("proxy_from = [\"10.0.0.0/8\"]"));
        assert!(alone[0].contains("nobody is believed"), "{alone:?}");

        let idle = [
            listener("proxy_protocol_data = true"),
            with("[[pool]]", "[[pool]]\nsend_proxy_data = true"),
        ];
        for text in idle {
            let warnings = read(&text).unwrap().warnings;
            assert!(
                warnings[0].problem.contains("has no effect without"),
                "{warnings:?}"
            );
        }
        let told = read(&with(
            "[[pool]]",
            "[[pool]]\nsend_proxy = \"v2\"\nsend_proxy_data = true",
        ));
        let pool = told.unwrap().pools.remove(0);
        assert_eq!(
            (pool.send_proxy, pool.send_proxy_data),
            (SendProxy::V2, true)
        );
    }
}
