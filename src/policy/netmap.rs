//! Networks, and what belongs to each: the longest prefix that holds an address decides.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use core::str::FromStr;

/// A network in CIDR notation (RFC 4632 section 3.1). IPv4-mapped IPv6 networks are kept as what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// Invariant: canonical, and no bit behind `prefix` is set.
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNetwork {
    /// No address, or no prefix that fits it.
    Syntax,
    /// Bits are set that the prefix cuts off; the network that may be meant.
    HostBits(Network),
}

impl Network {
    /// The network of `prefix` bits around an address; nothing if the address has fewer bits.
    #[must_use]
    pub fn around(address: IpAddr, prefix: u8) -> Option<Self> {
        let (address, prefix) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(mapped)) if prefix >= MAPPED_BITS => {
                (IpAddr::V4(mapped), prefix - MAPPED_BITS)
            }
            _ => (address, prefix),
        };
        (prefix <= width(address)).then(|| Self {
            address: cut(address, prefix),
            prefix,
        })
    }

    /// Whether it is a network of IPv4 addresses.
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether an address lies in it; an IPv4-mapped one counts as the IPv4 address that it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && cut(address, self.prefix) == self.address
    }
}

/// Bits before the IPv4 address in an IPv4-mapped one (RFC 4291 section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// An address without the bits behind a prefix.
fn cut(address: IpAddr, prefix: u8) -> IpAddr {
    let behind = u32::from(width(address) - prefix);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(behind).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(behind).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

impl FromStr for Network {
    type Err = NotNetwork;

    /// `10.0.0.0/8`, or an address alone for itself.
    fn from_str(text: &str) -> Result<Self, NotNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) if prefix.bytes().all(|digit| digit.is_ascii_digit()) => (
                address,
                Some(prefix.parse().map_err(|_| NotNetwork::Syntax)?),
            ),
            Some(_) => return Err(NotNetwork::Syntax),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotNetwork::Syntax)?;
        let prefix = prefix.unwrap_or_else(|| width(address));
        let network = Self::around(address, prefix).ok_or(NotNetwork::Syntax)?;
        let is_whole = cut(address, prefix) == address;
        is_whole
            .then_some(network)
            .ok_or(NotNetwork::HostBits(network))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.prefix)
    }
}

/// Networks of which one may hold an address or not: those that are trusted with something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<Network>);

impl Networks {
    /// Whether an address lies in any of them.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// Something for each network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetMap<T> {
    /// Invariant: longer prefixes first, no network twice.
    rows: Vec<(Network, T)>,
}

impl<T> Default for NetMap<T> {
    fn default() -> Self {
        Self { rows: Vec::new() }
    }
}

impl<T> NetMap<T> {
    /// A map of these rows, in any order; the network that stands twice, if one does.
    pub fn new(mut rows: Vec<(Network, T)>) -> Result<Self, Network> {
        rows.sort_by_key(|(network, _)| core::cmp::Reverse(network.prefix));
        for (at, (network, _)) in rows.iter().enumerate() {
            if rows[..at].iter().any(|(earlier, _)| earlier == network) {
                return Err(*network);
            }
        }
        Ok(Self { rows })
    }

    /// The same for every IPv4 client: the map of those who write no rules.
    #[must_use]
    pub fn everywhere(value: T) -> Self {
        let all = Network {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            prefix: 0,
        };
        Self {
            rows: vec![(all, value)],
        }
    }

    /// What belongs to the narrowest network around an address.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<&T> {
        let mut rows = self.rows.iter();
        let (_, value) = rows.find(|(network, _)| network.contains(address))?;
        Some(value)
    }

    /// Every value.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.rows.iter().map(|(_, value)| value)
    }

    /// The same networks with other values.
    #[must_use]
    pub fn map<U>(&self, mut change: impl FnMut(&T) -> U) -> NetMap<U> {
        let changed = |(network, value): &(Network, T)| (*network, change(value));
        NetMap {
            rows: self.rows.iter().map(changed).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_prefix_decides_whatever_the_order() {
        let mut rows = vec![
            (network("0.0.0.0/0"), "outside"),
            (network("10.0.0.0/8"), "inside"),
            (network("10.1.0.0/16"), "site"),
            (network("10.1.2.3"), "host"),
            (network("fd00::/8"), "six"),
        ];
        for _ in 0..rows.len() {
            rows.rotate_left(1);
            let map = NetMap::new(rows.clone()).unwrap();
            for (address, expected) in [
                ("203.0.113.9", Some("outside")),
                ("10.2.0.1", Some("inside")),
                ("10.1.9.9", Some("site")),
                ("10.1.2.3", Some("host")),
                ("::ffff:10.1.2.3", Some("host")),
                ("fd00::1", Some("six")),
                ("2001:db8::1", None),
            ] {
                assert_eq!(map.find(ip(address)).copied(), expected, "{address}");
            }
        }
    }

    #[test]
    fn a_network_is_written_whole_and_once() {
        assert_eq!(network("::ffff:10.0.0.0/104"), network("10.0.0.0/8"));
        assert_eq!(network("192.0.2.1").to_string(), "192.0.2.1/32");
        for text in [
            "",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10/8",
            "fd00::/129",
            "a/8",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NotNetwork::Syntax), "{text}");
        }
        let meant = NotNetwork::HostBits(network("10.0.0.0/8"));
        assert_eq!("10.1.2.3/8".parse::<Network>(), Err(meant));
        let twice = vec![
            (network("10.0.0.0/8"), 1),
            (network("::ffff:10.0.0.0/104"), 2),
        ];
        assert_eq!(NetMap::new(twice), Err(network("10.0.0.0/8")));
    }

    fn any_ip() -> impl Strategy<Value = IpAddr> {
        // Few bits differ, so that networks meet.
        let four = any::<u8>().prop_map(|low| IpAddr::from([10, 0, low & 3, low]));
        let mapped = any::<u8>()
            .prop_map(|low| IpAddr::V6(Ipv4Addr::new(10, 0, low & 3, low).to_ipv6_mapped()));
        let six = any::<u8>().prop_map(|low| {
            IpAddr::from([0xfd00, 0, 0, 0, 0, 0, u16::from(low & 3), u16::from(low)])
        });
        prop_oneof![four, mapped, six]
    }

    /// The bits of an address, by which the tests judge for themselves.
    fn bits(address: IpAddr) -> Vec<bool> {
        let octets = match address.to_canonical() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let bits = octets
            .iter()
            .flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1));
        bits.collect()
    }

    proptest! {
        #[test]
        fn a_network_holds_what_begins_with_its_bits(base in any_ip(), prefix in 0..=128_u8, address in any_ip()) {
            if let Some(network) = Network::around(base, prefix) {
                // An IPv6 network wider than all mapped addresses holds no IPv4 client.
                prop_assert!(network.contains(base) || (network.address.is_ipv6() && base.to_canonical().is_ipv4()));
                let prefix = usize::from(network.prefix);
                let (own, other) = (bits(network.address), bits(address));
                let begins = own.len() == other.len() && own[..prefix] == other[..prefix];
                prop_assert_eq!(network.contains(address), begins);
                prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
            }
        }

        #[test]
        fn no_narrower_network_is_passed_over(rows in proptest::collection::vec((any_ip(), 0..=128_u8), 0..12), address in any_ip()) {
            let mut networks: Vec<Network> = Vec::new();
            for network in rows.into_iter().filter_map(|(base, prefix)| Network::around(base, prefix)) {
                if !networks.contains(&network) {
                    networks.push(network);
                }
            }
            let map = NetMap::new(networks.iter().map(|network| (*network, *network)).collect()).unwrap();
            let holding = networks.iter().filter(|network| network.contains(address));
            let narrowest = holding.max_by_key(|network| network.prefix);
            prop_assert_eq!(map.find(address), narrowest);
        }

        #[test]
        fn no_text_is_too_strange(text in "[0-9a-f.:/ +-]{0,40}") {
            let read = text.parse::<Network>();
            prop_assert!(read.is_err() || read.is_ok_and(|network| network.contains(network.address)));
        }
    }
}
