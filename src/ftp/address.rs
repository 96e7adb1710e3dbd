//! Where to connect: the arguments and replies of PASV and EPSV, read and written side by side.

use std::net::{Ipv4Addr, SocketAddrV4};

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
    number(port)
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

    proptest! {
        #[test]
        fn reading_undoes_writing(ip in any::<[u8; 4]>(), port in 1_u16..) {
            let address = SocketAddrV4::new(ip.into(), port);
            prop_assert_eq!(read_pasv_reply(&pasv_reply(address).wire()[4..]), Some(address));
            prop_assert_eq!(read_epsv_reply(&write_epsv_reply(port).wire()[4..]), Some(port));
        }

        #[test]
        fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (read_pasv_reply(&text), read_epsv_reply(&text), read_epsv_ask(&text));
        }
    }
}
