//! The PROXY protocol's header, versions 1 and 2: by which a proxy says whose connection it passes on. No bytes move here.
//!
//! The specification is HAProxy's `doc/proxy-protocol.txt`; sections below are its sections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::limits::{PROXY_V1_BYTES_MAX, PROXY_V2_BYTES_MAX, PROXY_VALUE_BYTES_MAX};

/// Both ends of a client's connection, as the client has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Where it comes from.
    pub client: SocketAddr,
    /// The address that it has reached.
    pub reached: SocketAddr,
}

impl Ends {
    /// The same ends, IPv4-mapped addresses as what they mean.
    #[must_use]
    pub fn canonical(self) -> Self {
        // The others as they are: a link-local address is nothing without its scope.
        let canonical = |end: SocketAddr| match (end, end.ip().to_canonical()) {
            (SocketAddr::V6(_), IpAddr::V4(mapped)) => SocketAddr::new(mapped.into(), end.port()),
            _ => end,
        };
        Self {
            client: canonical(self.client),
            reached: canonical(self.reached),
        }
    }
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Somebody's connection, passed on.
    Relayed(Ends),
    /// The proxy's own (LOCAL: a health check), or one whose ends it cannot name (UNKNOWN): what the socket says counts.
    Own,
}

/// How far the bytes so far go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// At least so many bytes more belong to the header.
    Wants(usize),
    /// All of it is there: the first so many bytes.
    Whole(Header, usize),
}

/// Reads a header out of the first bytes of a connection. Whoever reads no more than is wanted takes no byte of what
/// comes behind it.
///
/// # Errors
/// Why this is not, and cannot become, a header.
pub fn read(bytes: &[u8]) -> Result<Parsed, &'static str> {
    let begins = |word: &[u8]| word.iter().zip(bytes).all(|(one, other)| one == other);
    if begins(V2_SIGNATURE) {
        read_v2(bytes)
    } else if begins(V1_SIGNATURE) {
        read_v1(bytes)
    } else {
        Err("no PROXY header")
    }
}

const V1_SIGNATURE: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// `PROXY UNKNOWN`, CR LF: nothing of version 1 is shorter (section 2.1).
const V1_BYTES_MIN: usize = 15;

/// Signature, version and command, family and transport, length (section 2.2).
const V2_FIXED_BYTES: usize = 16;

fn read_v1(bytes: &[u8]) -> Result<Parsed, &'static str> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        let wants = match bytes {
            _ if bytes.len() < V2_SIGNATURE.len() => V2_SIGNATURE.len() - bytes.len(),
            _ if bytes.len() < V1_BYTES_MIN => V1_BYTES_MIN - bytes.len(),
            [.., b'\r'] => 1,
            _ => 2,
        };
        return match bytes.len() + wants <= PROXY_V1_BYTES_MAX {
            true => Ok(Parsed::Wants(wants)),
            false => Err("a header of version 1 that is too long"),
        };
    };
    let length = end + 1;
    if length > PROXY_V1_BYTES_MAX {
        return Err("a header of version 1 that is too long");
    }
    let line = bytes[V1_SIGNATURE.len()..end].strip_suffix(b"\r");
    let line = line.and_then(|line| core::str::from_utf8(line).ok());
    let words: Vec<&str> = line.ok_or(MALFORMED_V1)?.split(' ').collect();
    let header = match words[..] {
        ["UNKNOWN", ..] => Header::Own,
        ["TCP4", client, reached, from, to] => {
            let address = |text: &str| text.parse::<Ipv4Addr>().map(IpAddr::V4).ok();
            relayed(ends(address, [client, reached, from, to]).ok_or(MALFORMED_V1)?)?
        }
        ["TCP6", client, reached, from, to] => {
            let address = |text: &str| text.parse::<Ipv6Addr>().map(IpAddr::V6).ok();
            relayed(ends(address, [client, reached, from, to]).ok_or(MALFORMED_V1)?)?
        }
        _ => return Err(MALFORMED_V1),
    };
    Ok(Parsed::Whole(header, length))
}

const MALFORMED_V1: &str = "a malformed header of version 1";

fn ends(address: impl Fn(&str) -> Option<IpAddr>, words: [&str; 4]) -> Option<Ends> {
    let port = |text: &str| {
        let is_number = text.bytes().all(|digit| digit.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_number)
    };
    let [client, reached, from, to] = words;
    Some(Ends {
        client: SocketAddr::new(address(client)?, port(from)?),
        reached: SocketAddr::new(address(reached)?, port(to)?),
    })
}

fn read_v2(bytes: &[u8]) -> Result<Parsed, &'static str> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else {
        // Twelve first: with fewer, nobody knows which version it is.
        let next = match bytes.len() < V2_SIGNATURE.len() {
            true => V2_SIGNATURE.len(),
            false => V2_FIXED_BYTES,
        };
        return Ok(Parsed::Wants(next - bytes.len()));
    };
    let [.., command, transport, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err("a header of an unknown version or command"),
    };
    let whole = V2_FIXED_BYTES + length;
    if whole > PROXY_V2_BYTES_MAX {
        return Err("a header of version 2 that is too long");
    }
    let Some(block) = rest.get(..length) else {
        return Ok(Parsed::Wants(length - rest.len()));
    };
    // What stands behind the addresses (TLVs) is the sender's knowledge, which nothing here asks for.
    let header = match transport {
        _ if is_local => Header::Own,
        0x00 => Header::Own,
        0x11 => {
            let block: &[u8; 12] = block.first_chunk().ok_or(CUT_V2)?;
            let [a, b, c, d, e, f, g, h, from_high, from_low, to_high, to_low] = *block;
            relayed(Ends {
                client: SocketAddr::from(([a, b, c, d], u16::from_be_bytes([from_high, from_low]))),
                reached: SocketAddr::from(([e, f, g, h], u16::from_be_bytes([to_high, to_low]))),
            })?
        }
        0x21 => {
            let (client, rest) = block.split_first_chunk::<16>().ok_or(CUT_V2)?;
            let (reached, rest) = rest.split_first_chunk::<16>().ok_or(CUT_V2)?;
            let [from_high, from_low, to_high, to_low] = *rest.first_chunk().ok_or(CUT_V2)?;
            relayed(Ends {
                client: SocketAddr::from((*client, u16::from_be_bytes([from_high, from_low]))),
                reached: SocketAddr::from((*reached, u16::from_be_bytes([to_high, to_low]))),
            })?
        }
        // A stream socket of the proxy's own machine has no address that could count here.
        0x31 => Header::Own,
        _ => return Err("a header of a transport that is not TCP"),
    };
    Ok(Parsed::Whole(header, whole))
}

const CUT_V2: &str = "a header of version 2 without room for its addresses";

/// A client that nobody can be would be compared with, and connected to, as if it were one.
fn relayed(ends: Ends) -> Result<Header, &'static str> {
    let ends = ends.canonical();
    let ip = ends.client.ip();
    let is_nobody = match ip {
        IpAddr::V4(ip) => ip.is_broadcast(),
        IpAddr::V6(_) => false,
    };
    match is_nobody || ip.is_unspecified() || ip.is_multicast() {
        true => Err("a header whose client has no address of its own"),
        false => Ok(Header::Relayed(ends)),
    }
}

/// A header of version 1. Where one end is IPv6 and the other is not, it says that it does not know.
#[must_use]
pub fn proxy_header_v1(ends: Ends) -> Vec<u8> {
    let family = match (ends.client, ends.reached) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) => "TCP4",
        (SocketAddr::V6(_), SocketAddr::V6(_)) => "TCP6",
        _ => return b"PROXY UNKNOWN\r\n".to_vec(),
    };
    let Ends { client, reached } = ends;
    let (from, to) = (client.port(), reached.port());
    format!(
        "PROXY {family} {} {} {from} {to}\r\n",
        client.ip(),
        reached.ip()
    )
    .into_bytes()
}

/// What a header of version 2 says beside the addresses (section 2.2.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderFacts<'a> {
    /// By which logs of both sides can be joined.
    pub unique_id: &'a [u8],
    /// The name that the client has asked for in its handshake.
    pub authority: Option<&'a str>,
    /// The TLS of the client's control connection, if it has any.
    pub tls: Option<HeaderTls<'a>>,
}

/// What is told of a client's TLS (section 2.2.6).
#[derive(Clone, Copy, Debug)]
pub struct HeaderTls<'a> {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'a str,
    /// The first name of the client's certificate, its common name if it has one, where it has shown one and that was
    /// verified.
    pub common_name: Option<&'a str>,
}

const TYPE_AUTHORITY: u8 = 0x02;
const TYPE_UNIQUE_ID: u8 = 0x05;
const TYPE_SSL: u8 = 0x20;
const SUBTYPE_SSL_VERSION: u8 = 0x21;
const SUBTYPE_SSL_CN: u8 = 0x22;

/// The client speaks TLS; has shown a certificate in this connection; and in the session that this one resumes, or this.
const CLIENT_SSL: u8 = 0x01;
const CLIENT_CERT: u8 = 0x02 | 0x04;

/// A header of version 2, families as `proxy_header_v1` has them.
#[must_use]
pub fn proxy_header_v2(ends: Ends, about: HeaderFacts<'_>) -> Vec<u8> {
    let mut block = Vec::new();
    let transport = match (ends.client.ip(), ends.reached.ip()) {
        (IpAddr::V4(client), IpAddr::V4(reached)) => {
            block.extend(client.octets());
            block.extend(reached.octets());
            0x11
        }
        (IpAddr::V6(client), IpAddr::V6(reached)) => {
            block.extend(client.octets());
            block.extend(reached.octets());
            0x21
        }
        _ => 0x00,
    };
    if transport != 0x00 {
        block.extend(ends.client.port().to_be_bytes());
        block.extend(ends.reached.port().to_be_bytes());
    }
    append(&mut block, TYPE_UNIQUE_ID, about.unique_id);
    if let Some(authority) = about.authority {
        append(&mut block, TYPE_AUTHORITY, authority.as_bytes());
    }
    if let Some(tls) = about.tls {
        // The last four bytes: 0 says that a certificate was shown and verified.
        let (client, verify) = match tls.common_name {
            Some(_) => (CLIENT_SSL | CLIENT_CERT, [0, 0, 0, 0]),
            None => (CLIENT_SSL, [0, 0, 0, 1]),
        };
        let mut inner = vec![client];
        inner.extend(verify);
        append(&mut inner, SUBTYPE_SSL_VERSION, tls.version.as_bytes());
        if let Some(name) = tls.common_name {
            append(&mut inner, SUBTYPE_SSL_CN, name.as_bytes());
        }
        let length = u16::try_from(inner.len()).unwrap_or(u16::MAX);
        block.push(TYPE_SSL);
        block.extend(length.to_be_bytes());
        block.extend(inner);
    }
    let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
    let mut header = V2_SIGNATURE.to_vec();
    header.extend([0x21, transport]);
    header.extend(length.to_be_bytes());
    header.extend(block);
    header
}

/// One value with its type and length; one that is too long is left out, as half a name would be another one's.
fn append(block: &mut Vec<u8>, kind: u8, value: &[u8]) {
    if value.len() > PROXY_VALUE_BYTES_MAX {
        return;
    }
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    block.push(kind);
    block.extend(length.to_be_bytes());
    block.extend(value);
}

const _: () = assert!(
    V2_FIXED_BYTES + 36 + 4 * (PROXY_VALUE_BYTES_MAX + 8) <= PROXY_V2_BYTES_MAX,
    "what we write we would read, and its lengths fit 16 bits"
);

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
