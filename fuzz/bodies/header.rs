//! The PROXY header that a connection begins with.

use sluicegate::net::{
    HeaderFacts, ParsedHeader, ProxyHeader, proxy_header_v1, proxy_header_v2, read_proxy_header,
};

/// Whoever reads no more than is wanted takes no byte from behind the header, and hears the same as who has it all.
pub(super) fn header(bytes: &[u8]) {
    let mut have = 0;
    let asked = loop {
        match read_proxy_header(&bytes[..have]) {
            Ok(ParsedHeader::Wants(0)) => panic!("it wants nothing, and is not whole"),
            Ok(ParsedHeader::Wants(more)) if have + more > bytes.len() => break None,
            Ok(ParsedHeader::Wants(more)) => have += more,
            Ok(ParsedHeader::Whole(header, len)) => {
                assert_eq!(len, have, "a byte that stands behind it");
                break Some(Ok((header, len)));
            }
            Err(_) => break Some(Err(())),
        }
    };
    let at_once = match read_proxy_header(bytes) {
        Ok(ParsedHeader::Whole(header, len)) => Some(Ok((header, len))),
        Ok(ParsedHeader::Wants(_)) => None,
        Err(_) => Some(Err(())),
    };
    // A fault may be seen sooner where more of it is there.
    if at_once != Some(Err(())) || asked.is_some() {
        assert_eq!(asked, at_once);
    }
    let Some(Ok((ProxyHeader::Relayed(ends), _))) = asked else {
        return;
    };
    let v2 = proxy_header_v2(ends, HeaderFacts::default());
    for again in [proxy_header_v1(ends), v2] {
        let expected = match ends.client.is_ipv4() == ends.reached.is_ipv4() {
            true => ProxyHeader::Relayed(ends),
            false => ProxyHeader::Own,
        };
        let read = read_proxy_header(&again);
        assert_eq!(read, Ok(ParsedHeader::Whole(expected, again.len())));
    }
}
