//! Where to connect: the arguments and replies of PASV, EPSV, PORT and EPRT, read and written side by side.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use super::code::occasion;
use super::reply::Reply;

/// What a client asks with EPSV (RFC 2428 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpsvAsk {
    /// No argument: the family of the control connection.
    Any,
    /// `1`: IPv4.
    V4,
    /// `2`: IPv6.
    V6,
    /// `ALL`: from now on nothing but EPSV (RFC 2428 section 4).
    All,
}

/// The meaning of EPSV's argument; `None` where it has none.
#[must_use]
pub fn read_epsv_ask(argument: &[u8]) -> Option<EpsvAsk> {
    match argument.trim_ascii() {
        b"" => Some(EpsvAsk::Any),
        b"1" => Some(EpsvAsk::V4),
        b"2" => Some(EpsvAsk::V6),
        all if all.eq_ignore_ascii_case(b"ALL") => Some(EpsvAsk::All),
        _ => None,
    }
}

/// The 229 reply, in exactly the form of RFC 2428 section 3.
#[must_use]
pub fn write_epsv_reply(port: u16) -> Reply {
    Reply::new(
        occasion::EXTENDED_PASSIVE,
        format!("Entering Extended Passive Mode (|||{port}|)"),
    )
}

/// The port in a backend's 229: three delimiters, the port, the same delimiter.
///
/// The address fields, which RFC 2428 leaves empty, are skipped where a server fills them in.
#[must_use]
pub fn read_epsv_reply(text: &[u8]) -> Option<u16> {
    let open = text.iter().position(|&byte| byte == b'(')? + 1;
    let delimiter = *text
        .get(open)
        .filter(|byte| byte.is_ascii_graphic() && !byte.is_ascii_digit())?;
    let mut fields = text[open..].split(|&byte| byte == delimiter);
    let port = fields.nth(3)?;
    // What follows the port must be the closing delimiter, not the end of a cut-off line.
    fields.next()?;
    number(port).filter(|port| *port != 0)
}

/// The 227 reply (RFC 959 section 4.1.2); the address in parentheses, as most clients look for them.
#[must_use]
pub fn pasv_reply(address: SocketAddrV4) -> Reply {
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    Reply::new(
        occasion::PASSIVE,
        format!("Entering Passive Mode ({a},{b},{c},{d},{high},{low})"),
    )
}

/// The address in a backend's 227: the first six numbers with commas between them, wherever they stand
/// (RFC 1123 section 4.1.2.6: parentheses must not be relied on).
#[must_use]
pub fn read_pasv_reply(text: &[u8]) -> Option<SocketAddrV4> {
    text.split(|byte| !byte.is_ascii_digit() && *byte != b',')
        .find_map(|run| {
            let mut octets = [0_u8; 6];
            let mut fields = run.split(|&byte| byte == b',');
            for octet in &mut octets {
                *octet = number(fields.next()?)?;
            }
            let [a, b, c, d, high, low] = octets;
            let port = u16::from_be_bytes([high, low]);
            (fields.next().is_none() && port != 0)
                .then(|| SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port))
        })
}

/// The address in the argument of PORT (RFC 959 section 4.1.2): six numbers and nothing else.
#[must_use]
pub fn read_port(argument: &[u8]) -> Option<SocketAddrV4> {
    let argument = argument.trim_ascii();
    let is_plain = |byte: &u8| byte.is_ascii_digit() || *byte == b',';
    argument
        .iter()
        .all(is_plain)
        .then(|| read_pasv_reply(argument))?
}

/// The argument of PORT.
#[must_use]
pub fn write_port(address: SocketAddrV4) -> String {
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

/// Why an argument of EPRT is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadEprt {
    /// It has not the form `|family|address|port|`, or its address is not of its family.
    Syntax,
    /// A family beyond IPv4 and IPv6.
    Family,
}

/// The address in the argument of EPRT (RFC 2428 section 2); any printable character may be the delimiter.
///
/// # Errors
/// Which of the two is wrong: they have replies of their own.
pub fn read_eprt(argument: &[u8]) -> Result<SocketAddr, BadEprt> {
    let argument = argument.trim_ascii();
    let delimiter = argument.first().filter(|byte| byte.is_ascii_graphic());
    let delimiter = *delimiter.ok_or(BadEprt::Syntax)?;
    let fields: Vec<&[u8]> = argument.split(|&byte| byte == delimiter).collect();
    let [b"", family, address, port, b""] = fields[..] else {
        return Err(BadEprt::Syntax);
    };
    let family: u16 = number(family).ok_or(BadEprt::Syntax)?;
    let address = core::str::from_utf8(address).map_err(|_| BadEprt::Syntax)?;
    let ip = match family {
        1 => address.parse::<Ipv4Addr>().map(IpAddr::from),
        2 => address.parse::<Ipv6Addr>().map(IpAddr::from),
        _ => return Err(BadEprt::Family),
    };
    let ip = ip.map_err(|_| BadEprt::Syntax)?;
    match number(port) {
        Some(port) if port != 0 => Ok(SocketAddr::new(ip, port)),
        _ => Err(BadEprt::Syntax),
    }
}

/// The argument of EPRT, with the delimiter that RFC 2428 recommends.
#[must_use]
pub fn write_eprt(address: SocketAddr) -> String {
    let family = if address.is_ipv4() { 1 } else { 2 };
    format!("|{family}|{}|{}|", address.ip(), address.port())
}

/// A decimal number without sign, not zero-length; zero is no port and is left to the caller for an octet.
fn number<N: core::str::FromStr>(digits: &[u8]) -> Option<N> {
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn epsv_arguments() {
        assert_eq!(read_epsv_ask(b""), Some(EpsvAsk::Any));
        assert_eq!(read_epsv_ask(b"1"), Some(EpsvAsk::V4));
        assert_eq!(read_epsv_ask(b"2 "), Some(EpsvAsk::V6));
        assert_eq!(read_epsv_ask(b"all"), Some(EpsvAsk::All));
        assert_eq!(read_epsv_ask(b"3"), None);
    }

    #[test]
    fn epsv_replies_of_the_field() {
        assert_eq!(
            read_epsv_reply(b"Entering Extended Passive Mode (|||6446|)"),
            Some(6446)
        );
        assert_eq!(read_epsv_reply(b"ok (!!!6446!)."), Some(6446));
        assert_eq!(read_epsv_reply(b"ok (|1|10.0.0.1|6446|)"), Some(6446));
        for broken in [
            &b"ok |||6446|"[..],
            b"(|||70000|)",
            b"(|||0|)",
            b"(||||)",
            b"(|||6446",
            b"(",
            b"",
            b"(|||-1|)",
            b"(111644611)",
        ] {
            assert_eq!(
                read_epsv_reply(broken),
                None,
                "{}",
                String::from_utf8_lossy(broken)
            );
        }
    }

    #[test]
    fn pasv_replies_of_the_field() {
        let expected = Some(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 7), 50_000));
        for text in [
            "Entering Passive Mode (10,0,0,7,195,80).",
            "Entering Passive Mode 10,0,0,7,195,80",
            "=10,0,0,7,195,80",
            "mode 2: (10,0,0,7,195,80)",
        ] {
            assert_eq!(read_pasv_reply(text.as_bytes()), expected, "{text}");
        }
        for broken in [
            "(10,0,0,7,195)",
            "(10,0,0,256,195,80)",
            "(10,0,0,7,195,80,1)",
            "(10,0,0,7,0,0)",
            "",
            "(,,,,,)",
        ] {
            assert_eq!(read_pasv_reply(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn port_arguments_of_the_field() {
        let expected = Some(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 7), 50_000));
        assert_eq!(read_port(b"10,0,0,7,195,80"), expected);
        assert_eq!(read_port(b"10,0,0,7,195,80 "), expected);
        for broken in [
            "(10,0,0,7,195,80)",
            "10,0,0,7,195",
            "10,0,0,7,195,80,1",
            "10,0,0,7,0,0",
            "x 10,0,0,7,195,80",
            "",
        ] {
            assert_eq!(read_port(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn eprt_arguments_of_the_field() {
        let read = |text: &str| read_eprt(text.as_bytes());
        let v4 = "132.235.1.2:6275".parse().expect("an address");
        let v6 = "[1080::8:800:200c:417a]:5282".parse().expect("an address");
        // The examples of the RFC, and another delimiter.
        assert_eq!(read("|1|132.235.1.2|6275|"), Ok(v4));
        assert_eq!(read("|2|1080::8:800:200C:417A|5282|"), Ok(v6));
        assert_eq!(read("!1!132.235.1.2!6275!"), Ok(v4));
        assert_eq!(read("|3|1.2.3.4|6275|"), Err(BadEprt::Family));
        for broken in [
            "|1|132.235.1.2|6275",
            "|1|132.235.1.2|0|",
            "|1|132.235.1.2|70000|",
            "|1|1080::8|6275|",
            "|2|132.235.1.2|6275|",
            "|1|localhost|6275|",
            "1,2,3,4,5,6",
            "||1.2.3.4|5|",
            "",
        ] {
            assert_eq!(read(broken), Err(BadEprt::Syntax), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn reading_undoes_writing(ip in any::<[u8; 4]>(), port in 1_u16..) {
            let address = SocketAddrV4::new(ip.into(), port);
            prop_assert_eq!(read_pasv_reply(&pasv_reply(address).wire()[4..]), Some(address));
            prop_assert_eq!(read_epsv_reply(&write_epsv_reply(port).wire()[4..]), Some(port));
            prop_assert_eq!(read_port(write_port(address).as_bytes()), Some(address));
        }

        #[test]
        fn reading_undoes_writing_of_both_families(ip in any::<IpAddr>(), port in 1_u16..) {
            let address = SocketAddr::new(ip, port);
            prop_assert_eq!(read_eprt(write_eprt(address).as_bytes()), Ok(address));
        }

        #[test]
        fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (read_pasv_reply(&text), read_epsv_reply(&text), read_epsv_ask(&text));
            let _ = (read_port(&text), read_eprt(&text));
        }
    }
}
