//! The border between clear text and TLS amid a connection: AUTH, CCC and REIN.

use std::future::poll_fn;
use std::io::Write as _;
use std::time::Duration;

use super::tests::{
    begin_tls, flush, handshake, pause, plain_pair, private_pair, read, rough_pair,
};
use super::*;
use crate::ftp::Telnet;
use crate::net::on_core;
use crate::tls;
use crate::tls::tests::{VERSIONS, configs, name};

#[test]
fn lines_are_heard_and_said_and_the_upgrade_is_in_place() {
    on_core(|| async {
        let (server, client) = plain_pair().await;
        let mut server = ControlLeg::new(server, 100, Telnet::Strip);
        let mut client = ControlLeg::new(client, 100, Telnet::Strip);
        client.say(b"FEAT\r\nAUTH TLS\r\n").unwrap();
        poll_fn(|cx| client.poll_flush(cx)).await.unwrap();
        for expected in ["FEAT", "AUTH TLS"] {
            let heard = poll_fn(|cx| server.poll_line(cx)).await.unwrap();
            assert_eq!(heard, Heard::Line(expected.into()));
        }
        let (for_server, for_client) = configs(&VERSIONS);
        // The reply is queued, not yet sent, when TLS begins: it still leaves in the clear, and first.
        server.say(b"234 go on\r\n").unwrap();
        server.secure_as_server(Arc::new(for_server)).unwrap();
        poll_fn(|cx| {
            let _pending = server.leg_mut().poll_handshake(cx);
            Poll::Ready(())
        })
        .await;
        let heard = poll_fn(|cx| client.poll_line(cx)).await.unwrap();
        assert_eq!(heard, Heard::Line(b"234 go on".to_vec()));
        client
            .secure_as_client(Arc::new(for_client), name())
            .unwrap();
        assert_eq!(
            handshake(server.leg_mut(), client.leg_mut()).await,
            (Ok(()), Ok(()))
        );

        client.say(&[b'x'; 300]).unwrap();
        client.say(b"\r\nNOOP\r\nQUI").unwrap();
        poll_fn(|cx| client.poll_flush(cx)).await.unwrap();
        assert_eq!(
            poll_fn(|cx| server.poll_line(cx)).await.unwrap(),
            Heard::TooLong
        );
        assert_eq!(
            poll_fn(|cx| server.poll_line(cx)).await.unwrap(),
            Heard::Line(b"NOOP".to_vec())
        );
        client.leg_mut().queue_close_notify().unwrap();
        poll_fn(|cx| client.poll_flush(cx)).await.unwrap();
        client.leg_mut().finish().unwrap();
        // Amid a line: not clean, although close_notify came.
        assert_eq!(
            poll_fn(|cx| server.poll_line(cx)).await.unwrap(),
            Heard::End { clean: false }
        );
    });
}

#[test]
fn plaintext_behind_auth_is_refused_cut_or_not() {
    on_core(|| async {
        for injected in ["AUTH TLS\r\nUSER mallory\r\n", "AUTH TLS\r\nU"] {
            let (server, mut client) = rough_pair().await;
            let mut server = ControlLeg::new(server, 100, Telnet::Strip);
            client.write_all(injected.as_bytes()).unwrap();
            pause().await;
            let heard = poll_fn(|cx| server.poll_line(cx)).await.unwrap();
            assert_eq!(heard, Heard::Line(b"AUTH TLS".to_vec()));
            let config = Arc::new(configs(&VERSIONS).0);
            assert_eq!(server.secure_as_server(config), Err(Fault::Injected));
        }
    });
}

#[test]
fn plaintext_that_comes_later_than_auth_is_no_command_either() {
    on_core(|| async {
        let (server, mut client) = rough_pair().await;
        let mut server = ControlLeg::new(server, 100, Telnet::Strip);
        client.write_all(b"AUTH TLS\r\n").unwrap();
        let _auth = poll_fn(|cx| server.poll_line(cx)).await.unwrap();
        client.write_all(b"USER mallory\r\n").unwrap();
        server
            .secure_as_server(Arc::new(configs(&VERSIONS).0))
            .unwrap();
        let outcome = poll_fn(|cx| server.leg_mut().poll_handshake(cx)).await;
        assert_eq!(outcome, Err(Fault::Tls(tls::Fault::NotTls)));
    });
}

#[test]
fn tls_ends_on_both_sides_and_clear_text_goes_on_behind_it() {
    on_core(|| async {
        for version in VERSIONS {
            let (mut server, mut client) = private_pair(version).await;
            server.queue(b"200 Clear\r\n").unwrap();
            server.clear(None).unwrap();
            server.queue(b"220 Plain\r\n").unwrap();
            flush(&mut server).await.unwrap();
            let mut heard = Vec::new();
            while heard != b"200 Clear\r\n" {
                read(&mut client, &mut heard).await.unwrap();
            }
            assert!(matches!(
                server.secure_as_server(Arc::new(configs(&[version]).0)),
                Err(Fault::Injected)
            ));
            client.clear(None).unwrap();
            // Close_notify and the next command in one segment, and yet no byte is lost.
            client.queue(b"PWD\r\n").unwrap();
            flush(&mut client).await.unwrap();
            let mut said = Vec::new();
            assert_eq!(read(&mut server, &mut said).await, Ok(Read::Bytes(5)));
            assert_eq!(said, b"PWD\r\n");
            heard.clear();
            while heard != b"220 Plain\r\n" {
                read(&mut client, &mut heard).await.unwrap();
            }
            assert!(!server.is_private() && !client.is_private());
            // And TLS may begin again, as behind REIN.
            begin_tls(&mut server, &mut client, version).await;
        }
    });
}

#[test]
fn the_border_is_found_byte_by_byte() {
    on_core(|| async {
        for version in VERSIONS {
            let (mut server, mut client) = private_pair(version).await;
            server.clear(None).unwrap();
            client.clear(None).unwrap();
            client.queue(b"PWD\r\n").unwrap();
            let bytes = client.queue.filled().to_vec();
            client.queue.discard(bytes.len());
            let mut said = Vec::new();
            for byte in bytes {
                assert!(said.len() < 5, "more than was said");
                client.queue.append(&[byte]);
                flush(&mut client).await.unwrap();
                let _maybe_more =
                    poll_fn(|cx| Poll::Ready(server.poll_read(cx, &mut said, 4096))).await;
            }
            while said.len() < 5 {
                read(&mut server, &mut said).await.unwrap();
            }
            assert_eq!(said, b"PWD\r\n");
        }
    });
}

#[test]
fn a_peer_without_close_notify_is_over_the_border_with_its_first_word() {
    on_core(|| async {
        let (mut server, mut client) = private_pair(VERSIONS[0]).await;
        server.clear(None).unwrap();
        // As curl does by default.
        client.tls = None;
        client.queue(b"PWD\r\n").unwrap();
        flush(&mut client).await.unwrap();
        let mut said = Vec::new();
        assert_eq!(read(&mut server, &mut said).await, Ok(Read::Bytes(5)));
        client.queue(&[21]).unwrap();
        flush(&mut client).await.unwrap();
        assert_eq!(read(&mut server, &mut said).await, Ok(Read::Bytes(1)));
    });
}

#[test]
fn what_is_said_in_tls_behind_its_end_is_refused() {
    on_core(|| async {
        for version in VERSIONS {
            let (mut server, mut client) = private_pair(version).await;
            server.clear(None).unwrap();
            client.queue(b"DELE im").unwrap();
            client.clear(None).unwrap();
            client.queue(b"portant\r\n").unwrap();
            flush(&mut client).await.unwrap();
            let mut said = Vec::new();
            assert_eq!(read(&mut server, &mut said).await, Err(Fault::Injected));
            assert_eq!(said, b"");

            // A peer whose end came along with its last words in TLS loses nothing either.
            let (mut server, mut client) = private_pair(version).await;
            client.queue(b"CCC\r\n").unwrap();
            client.clear(None).unwrap();
            client.queue(b"PWD\r\n").unwrap();
            flush(&mut client).await.unwrap();
            assert_eq!(read(&mut server, &mut said).await, Ok(Read::Bytes(5)));
            server.clear(None).unwrap();
            assert_eq!(read(&mut server, &mut said).await, Ok(Read::Bytes(5)));
            assert_eq!(said, b"CCC\r\nPWD\r\n");
        }
    });
}

#[test]
fn the_end_of_tls_waits_for_the_peers_and_not_for_ever() {
    on_core(|| async {
        for version in VERSIONS {
            for pause in [Duration::from_secs(60), Duration::from_millis(20)] {
                let (mut server, mut client) = private_pair(version).await;
                server.queue(b"200 Clear\r\n").unwrap();
                server.clear(Some(pause)).unwrap();
                flush(&mut server).await.unwrap();
                let mut heard = Vec::new();
                assert_eq!(read(&mut client, &mut heard).await, Ok(Read::Bytes(11)));
                if pause.as_secs() > 0 {
                    client.queue_close_notify().unwrap();
                    flush(&mut client).await.unwrap();
                }
                let mut said = Vec::new();
                let next = poll_fn(|cx| {
                    assert!(server.poll_read(cx, &mut said, 4096).is_pending());
                    client.poll_read(cx, &mut heard, 4096)
                });
                assert_eq!(next.await, Ok(Read::CloseNotify));
            }
            // Whoever has done with TLS already hears no more of it, and what has to be said earlier comes behind it.
            let (mut server, mut client) = private_pair(version).await;
            server.clear(Some(Duration::from_secs(60))).unwrap();
            client.tls = None;
            client.queue(b"PWD\r\n").unwrap();
            flush(&mut client).await.unwrap();
            let mut said = Vec::new();
            assert_eq!(read(&mut server, &mut said).await, Ok(Read::Bytes(5)));
            assert_eq!(server.queued(), 0);
            let (mut server, _client) = private_pair(version).await;
            server.clear(Some(Duration::from_secs(60))).unwrap();
            server.queue(b"421 Bye\r\n").unwrap();
            assert!(server.queued() > 9 && server.queue.filled().ends_with(b"421 Bye\r\n"));
        }
    });
}
