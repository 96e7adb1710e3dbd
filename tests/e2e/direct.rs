//! The bed without the gate: clients straight to the servers, so that a later failure points at the gate.
//!
//! ftplib is missing towards vsftpd and ProFTPD: it cannot resume TLS sessions, which both demand.

use crate::support::certs::Versions;
use crate::support::clients::Target;
use crate::support::rude::{Act, Ended, Rude, Script};
use crate::support::servers::{FtpServer, Kind};
use crate::support::strict::{Event, Manner, Strict};
use crate::support::{Scene, noise};

#[test]
fn curl_and_servers() {
    for kind in Kind::DEMANDING {
        let scene = Scene::new();
        let server = FtpServer::start(kind, &scene);
        let target = Target::new(&scene, server.address());
        server.put("big", &noise(10 << 20));
        server.put("nothing", b"");
        server.folder("hollow");
        for tls in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
            let get = |name: &str| {
                target
                    .curl(name, &[tls, &["--output", "got"]].concat())
                    .ok()
            };
            get("big");
            assert!(target.read("got") == noise(10 << 20));
            get("nothing");
            assert_eq!(target.read("got"), b"");
            assert_eq!(
                target
                    .curl("hollow/", &[tls, &["--list-only"]].concat())
                    .ok()
                    .text(),
                ""
            );
            target.write("up", b"payload");
            target
                .curl(
                    "up",
                    &[tls, &["--upload-file", "up", "--disable-epsv"]].concat(),
                )
                .ok();
            assert_eq!(server.get("up").unwrap(), b"payload");
        }
    }
}

#[test]
fn lftp_and_servers() {
    for kind in Kind::DEMANDING {
        let scene = Scene::new();
        let server = FtpServer::start(kind, &scene);
        let target = Target::new(&scene, server.address());
        server.put("nothing", b"");
        target.write("up", &noise(1 << 20));
        // With TLS 1.3 lftp leaves the server's tickets unread, so its close becomes a reset and the upload is cut.
        target
            .lftp("set ssl:priority NORMAL:-VERS-TLS1.3; put up; get nothing; ls")
            .ok();
        assert!(server.get("up").unwrap() == noise(1 << 20));
        assert_eq!(target.read("nothing"), b"");
    }
}

#[test]
fn strict_and_servers() {
    for kind in Kind::DEMANDING {
        for versions in [Versions::Only12, Versions::Only13] {
            let scene = Scene::new();
            let server = FtpServer::start(kind, &scene);
            server.put("nothing", b"");
            server.put("big", &noise(1 << 20));
            let mut client = Strict::open(server.address(), &scene.authority, versions);
            for _ in 0..10 {
                client.download("RETR nothing").assert_complete(b"");
            }
            client.pasv = true;
            let transfer = client.download("RETR big");
            transfer.assert_complete(&noise(1 << 20));
            assert!(transfer.resumed, "{kind:?} must have demanded it");
            client.upload("STOR up", b"payload").reply.expect(&[226]);
            assert_eq!(server.get("up").unwrap(), b"payload", "{}", server.log());
        }
    }
}

#[test]
fn clients_and_rude() {
    let scene = Scene::new();
    let rude = Rude::start(
        &scene,
        Script::new()
            .file("nothing", b"")
            .file("big", &noise(1 << 20)),
    );
    let target = Target::new(&scene, rude.address());
    target.curl("big", &["--output", "got"]).ok();
    assert!(target.read("got") == noise(1 << 20));
    target.write("up", b"payload");
    target.lftp("put up; get nothing; ls").ok();
    assert_eq!(rude.stored("up").unwrap(), b"payload");
    target
        .ftplib("assert fetch('RETR nothing')[1] == b''\nassert 'up' in ftp.nlst()")
        .ok();
}

#[test]
fn strict_and_rude_acts() {
    let scene = Scene::new();
    let script = Script::new()
        .file("nothing", b"")
        .file("bare", b"")
        .file("reset", b"")
        .file("untaken", b"")
        .file("refused", b"")
        .file("truncated", &noise(1000))
        .on("RETR bare", Act::BareClose)
        .on("RETR reset", Act::BareReset)
        .on("RETR untaken", Act::NeverTake)
        .on("RETR refused", Act::Error550)
        .on("RETR truncated", Act::TruncateThen226);
    let rude = Rude::start(&scene, script);
    let mut client = Strict::open(rude.address(), &scene.authority, Versions::Both);
    let without_handshake = [Event::Connected, Event::HandshakeFailed, Event::Reply(226)];
    assert_eq!(client.download("RETR bare").order(), without_handshake);
    // The reset may come before connecting has returned, and the port may be closed before the client has come to it.
    for command in ["RETR reset", "RETR untaken"] {
        let transfer = client.download(command);
        assert_eq!(transfer.reply.code, 226);
        assert!(!transfer.events.contains(&Event::Handshake), "{command}");
    }
    assert_eq!(
        client
            .download_as("RETR refused", Manner::Silent)
            .reply
            .code,
        550
    );
    let truncated = client.download("RETR truncated");
    assert_eq!(
        truncated.order(),
        [
            Event::Connected,
            Event::Handshake,
            Event::Bytes,
            Event::Fin,
            Event::Reply(226)
        ]
    );
    client.download("RETR nothing").assert_complete(b"");
}

#[test]
fn rude_sees_how_uploads_end() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let mut client = Strict::open(rude.address(), &scene.authority, Versions::Both);
    for (command, manner, ended, codes) in [
        ("STOR clean", Manner::Polite, Ended::Clean, &[226][..]),
        (
            "STOR unfinished",
            Manner::Unfinished,
            Ended::Unfinished,
            &[426],
        ),
        // The reset may overtake the end of the handshake.
        (
            "STOR reset",
            Manner::ResetAfterBytes,
            Ended::Reset,
            &[425, 426],
        ),
        ("STOR bare", Manner::BareClose, Ended::Bare, &[425]),
        ("STOR plain", Manner::PlainBytes, Ended::Bare, &[425]),
    ] {
        client
            .upload_as(command, b"payload", manner)
            .reply
            .expect(codes);
        assert_eq!(rude.seen(command)[0].ended, ended, "{manner:?}");
    }
    assert_eq!(rude.seen("STOR clean")[0].bytes, 7);
    assert_eq!(rude.stored("clean").unwrap(), b"payload");
    assert!(rude.stored("unfinished").is_none());
}

/// Why the gate must be able to use a ticket of its control connection more than once.
#[test]
fn proftpd_gives_no_tickets_for_uploads() {
    let scene = Scene::new();
    let server = FtpServer::start(Kind::Proftpd, &scene);
    let mut client = Strict::open(server.address(), &scene.authority, Versions::Only13);
    // The control connection brought two tickets, and a rustls client uses each of them once.
    client.upload("STOR first", b"payload").reply.expect(&[226]);
    client
        .upload("STOR second", b"payload")
        .reply
        .expect(&[226]);
    let third = client.upload("STOR third", b"payload");
    assert!(!third.resumed);
    third.reply.expect(&[425]);
}
