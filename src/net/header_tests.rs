use proptest::prelude::*;

use super::*;

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 203.0.113.5 40000 21\r\n";

fn v2(command: u8, transport: u8, block: &[u8]) -> Vec<u8> {
    let mut header = V2_SIGNATURE.to_vec();
    header.extend([command, transport]);
    header.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    header.extend(block);
    header
}

fn relayed_from(client: &str, reached: &str) -> Header {
    Header::Relayed(Ends {
        client: client.parse().unwrap(),
        reached: reached.parse().unwrap(),
    })
}

fn whole(bytes: &[u8]) -> Result<Header, &'static str> {
    match read(bytes)? {
        Parsed::Whole(header, length) => {
            assert_eq!(
                length,
                bytes.len(),
                "{:?}",
                bytes.escape_ascii().to_string()
            );
            Ok(header)
        }
        Parsed::Wants(_) => Err("incomplete"),
    }
}

#[test]
fn both_versions_name_the_client_and_what_it_reached() {
    let expected = relayed_from("192.0.2.7:40000", "203.0.113.5:21");
    assert_eq!(whole(V1), Ok(expected));
    let block = [192, 0, 2, 7, 203, 0, 113, 5, 0x9c, 0x40, 0, 21];
    assert_eq!(whole(&v2(0x21, 0x11, &block)), Ok(expected));
    let six = relayed_from("[2001:db8::7]:40000", "[2001:db8::5]:21");
    assert_eq!(
        whole(b"PROXY TCP6 2001:db8::7 2001:db8::5 40000 21\r\n"),
        Ok(six)
    );
    let block: Vec<u8> = [
        "2001:db8::7"
            .parse::<Ipv6Addr>()
            .unwrap()
            .octets()
            .as_slice(),
        "2001:db8::5"
            .parse::<Ipv6Addr>()
            .unwrap()
            .octets()
            .as_slice(),
        &[0x9c, 0x40, 0, 21],
    ]
    .concat();
    assert_eq!(whole(&v2(0x21, 0x21, &block)), Ok(six));
    assert_eq!(
        whole(b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:203.0.113.5 40000 21\r\n"),
        Ok(expected)
    );
}

#[test]
fn only_mapped_addresses_change_when_ends_become_canonical() {
    let scoped = SocketAddr::V6(std::net::SocketAddrV6::new(
        "fe80::7".parse().unwrap(),
        1,
        0,
        3,
    ));
    let ends = Ends {
        client: scoped,
        reached: "[::ffff:192.0.2.7]:21".parse().unwrap(),
    };
    let canonical = ends.canonical();
    assert_eq!(canonical.client, scoped);
    assert_eq!(canonical.reached, "192.0.2.7:21".parse().unwrap());
}

#[test]
fn what_stands_behind_the_addresses_is_skipped() {
    let mut block = vec![192, 0, 2, 7, 203, 0, 113, 5, 0x9c, 0x40, 0, 21];
    block.extend([0x04, 0, 3, 1, 2, 3]);
    block.resize(PROXY_V2_BYTES_MAX - V2_FIXED_BYTES, 0);
    let expected = relayed_from("192.0.2.7:40000", "203.0.113.5:21");
    assert_eq!(whole(&v2(0x21, 0x11, &block)), Ok(expected));
    block.push(0);
    assert!(read(&v2(0x21, 0x11, &block)[..V2_FIXED_BYTES]).is_err());
}

#[test]
fn what_a_proxy_cannot_name_or_does_itself_is_its_own() {
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(),
        v2(0x20, 0x00, b""),
        v2(0x20, 0x11, &[0; 12]),
        v2(0x21, 0x00, b""),
        v2(0x21, 0x31, &[0; 216]),
    ] {
        assert_eq!(whole(&header), Ok(Header::Own), "{}", header.escape_ascii());
    }
}

#[test]
fn what_is_no_header_is_refused_as_early_as_it_shows() {
    for bytes in [
        b"U".as_slice(),
        b"\x16\x03\x01",
        b"PROXY\r",
        b"PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4  1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 0.0.0.0 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 255.255.255.255 1.2.3.4 1 2\r\n",
        b"PROXY TCP6 ff02::1 ::1 1 2\r\n",
        &[V1_SIGNATURE, &[b'x'; 100]].concat(),
        &v2(0x11, 0x11, &[1; 12]),
        &v2(0x22, 0x11, &[1; 12]),
        &v2(0x21, 0x12, &[1; 12]),
        &v2(0x21, 0x11, &[1; 11]),
        &v2(0x21, 0x21, &[1; 35]),
    ] {
        assert!(read(bytes).is_err(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_is_written_says_what_is_known_and_no_more() {
    let ends = Ends {
        client: "192.0.2.7:40000".parse().unwrap(),
        reached: "203.0.113.5:21".parse().unwrap(),
    };
    assert_eq!(proxy_header_v1(ends), V1);
    let mixed = Ends {
        reached: "[2001:db8::5]:21".parse().unwrap(),
        ..ends
    };
    assert_eq!(proxy_header_v1(mixed), b"PROXY UNKNOWN\r\n");
    assert_eq!(proxy_header_v2(mixed, HeaderFacts::default())[13], 0x00);

    let named = HeaderFacts {
        unique_id: b"17",
        authority: Some("ftp.example.org"),
        tls: Some(HeaderTls {
            version: "TLSv1.3",
            common_name: Some("partner"),
        }),
    };
    let block = [
        [192, 0, 2, 7, 203, 0, 113, 5, 0x9c, 0x40, 0, 21].as_slice(),
        b"\x05\x00\x0217",
        b"\x02\x00\x0fftp.example.org",
        b"\x20\x00\x19\x07\x00\x00\x00\x00\x21\x00\x07TLSv1.3\x22\x00\x07partner",
    ]
    .concat();
    assert_eq!(proxy_header_v2(ends, named), v2(0x21, 0x11, &block));
    let nameless = HeaderFacts {
        tls: Some(HeaderTls {
            version: "TLSv1.2",
            common_name: None,
        }),
        ..HeaderFacts::default()
    };
    let header = proxy_header_v2(ends, nameless);
    assert!(header.ends_with(b"\x20\x00\x0f\x01\x00\x00\x00\x01\x21\x00\x07TLSv1.2"));
    let long = "x".repeat(PROXY_VALUE_BYTES_MAX + 1);
    let cut = HeaderFacts {
        authority: Some(&long),
        ..HeaderFacts::default()
    };
    assert_eq!(
        proxy_header_v2(ends, cut),
        proxy_header_v2(ends, HeaderFacts::default())
    );
}

fn any_ends() -> impl Strategy<Value = Ends> {
    let four = (
        any::<[u8; 4]>(),
        any::<[u8; 4]>(),
        any::<u16>(),
        any::<u16>(),
    );
    let six = (
        any::<[u8; 16]>(),
        any::<[u8; 16]>(),
        any::<u16>(),
        any::<u16>(),
    );
    prop_oneof![
        four.prop_map(|(client, reached, from, to)| Ends {
            client: (client, from).into(),
            reached: (reached, to).into(),
        }),
        six.prop_map(|(client, reached, from, to)| Ends {
            client: (client, from).into(),
            reached: (reached, to).into(),
        }),
    ]
}

/// Reads as `Introduction` does: what is wanted and no more, in pieces as the network gives them.
fn read_in_pieces(
    bytes: &[u8],
    mut piece: impl FnMut() -> usize,
) -> Result<(Header, usize), &'static str> {
    let mut taken = 0;
    loop {
        match read(&bytes[..taken])? {
            Parsed::Whole(header, length) => {
                assert_eq!(length, taken, "a byte was taken that is not the header's");
                return Ok((header, taken));
            }
            Parsed::Wants(wanted) => {
                assert!(wanted > 0);
                let given = wanted.min(piece().max(1)).min(bytes.len() - taken);
                if given == 0 {
                    return Err("ended");
                }
                taken += given;
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_nothing_behind_it(ends in any_ends(), id in "[0-9]{0,20}", behind in proptest::collection::vec(any::<u8>(), 0..40), pieces in proptest::collection::vec(1..20_usize, 1..8)) {
        let facts = HeaderFacts { unique_id: id.as_bytes(), ..HeaderFacts::default() };
        let expected = relayed(ends);
        for header in [proxy_header_v1(ends), proxy_header_v2(ends, facts)] {
            let length = header.len();
            let bytes = [header, behind.clone()].concat();
            let mut next = pieces.iter().cycle();
            let got = read_in_pieces(&bytes, || *next.next().unwrap());
            prop_assert_eq!(got, expected.map(|header| (header, length)));
        }
    }

    #[test]
    fn no_bytes_are_too_strange(start in 0..4_usize, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let starts: [&[u8]; 4] = [b"", V1_SIGNATURE, b"PROXY TCP4 ", &v2(0x21, 0x11, b"")[..14]];
        let bytes = [starts[start], &bytes].concat();
        match read(&bytes) {
            Ok(Parsed::Whole(_, length)) => prop_assert!(length <= bytes.len()),
            Ok(Parsed::Wants(wanted)) => {
                prop_assert!(wanted > 0 && bytes.len() + wanted <= PROXY_V2_BYTES_MAX);
            }
            Err(_) => {}
        }
    }
}
