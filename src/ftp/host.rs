//! The argument of HOST: names and addresses as RFC 7151 section 3.1 writes them.

use std::net::Ipv6Addr;

use crate::limits::{HOST_BYTES_MAX, LABEL_BYTES_MAX};

/// A host as HOST names it, in lower case: a name, an IPv4 address, or an IPv6 address in brackets. No port stands behind it.
#[must_use]
pub fn read_host(argument: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(argument).ok()?;
    if let Some(literal) = text.strip_prefix('[') {
        let address: Ipv6Addr = literal.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let is_name = text.len() <= HOST_BYTES_MAX && text.split('.').all(is_label);
    is_name.then(|| text.to_ascii_lowercase())
}

/// Letters, digits and hyphens, which stand neither first nor last.
fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    (1..=LABEL_BYTES_MAX).contains(&bytes.len())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_the_rfc_and_what_is_none() {
        for (written, meant) in [
            ("ftp.Example.COM", "ftp.example.com"),
            ("xn--e1afmkfd.com", "xn--e1afmkfd.com"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8::c000:201]", "[2001:db8::c000:201]"),
            ("[::192.0.2.1]", "[::c000:201]"),
        ] {
            assert_eq!(read_host(written.as_bytes()).as_deref(), Some(meant));
        }
        let long = "a".repeat(LABEL_BYTES_MAX + 1);
        let longer = "a.".repeat(HOST_BYTES_MAX / 2) + "aa";
        for wrong in [
            "",
            ".",
            "a..b",
            "ftp.example.com.",
            "192.0.2.1:2112",
            "[2001:db8::c000:201]:2112",
            "2001:db8::1",
            "[ftp]",
            "[::1",
            "-a.b",
            "a-.b",
            "a b",
            "\u{fc}.example",
            &long,
            &longer,
        ] {
            assert_eq!(read_host(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(read_host(b"\xff"), None);
    }
}
