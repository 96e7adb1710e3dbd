//! Values that name networks, and addresses for those who come from them.

use std::net::Ipv4Addr;

use toml::Value;

use super::Advertised;
use super::value::{Flaw, Leaf, List, is_host, kind, text};
use crate::limits::NETWORKS_MAX;
use crate::policy::{NetMap, Network, Networks, NotNetwork};

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
