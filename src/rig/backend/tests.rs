//! The backend and the client against each other: what is promised, and each misbehaviour seen for what it is.

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::pki_types::ServerName;

use super::*;
use crate::ftp::{Class, Verb};
use crate::leg;
use crate::limits::RIG_PATIENCE;
use crate::net::on_core;
use crate::rig::certificates::Authority;
use crate::rig::client::{self, Channel, Client, Manner, Sink};
use crate::rig::{Source, Stretch};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// A backend with TLS of one version, and how to be its client.
fn private(
    version: &'static SupportedProtocolVersion,
    change: impl FnOnce(&mut Options),
) -> (Server, client::Options) {
    let authority = Authority::new().unwrap();
    let identity = authority
        .issue(&["localhost"], &[Ipv4Addr::LOCALHOST.into()])
        .unwrap();
    let mut options = Options {
        tls: Some(identity.server_config(&[version]).unwrap()),
        ..Options::default()
    };
    change(&mut options);
    let server = Server::start_here(options).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let config = authority.client_config(&[version]).unwrap();
    let options = client::Options::private(server.addresses()[0], config, name);
    (server, options)
}

async fn record(server: &Server) -> Record {
    let record = server.next_record(RIG_PATIENCE).await;
    record.expect("the transfer has ended")
}

fn assert_complete(channel: &Channel) {
    assert_eq!(channel.missing(), None, "{channel:?}");
}

#[test]
fn every_transfer_is_complete_in_every_tls_version_and_in_the_clear() {
    on_core(|| async {
        for version in [None, Some(VERSIONS[0]), Some(VERSIONS[1])] {
            let (server, options) = match version {
                Some(version) => private(version, |_| {}),
                None => {
                    let server = Server::start_here(Options::default()).unwrap();
                    let options = client::Options::clear(server.addresses()[0]);
                    (server, options)
                }
            };
            let mut client = Client::start(options, "anna", "secret").await.unwrap();
            for (path, len) in [
                ("empty", 0),
                ("1MiB.bin", 1 << 20),
                ("/10MiB.bin", 10 << 20),
            ] {
                let sink = Sink::Compare(Stretch::named(path, len));
                let channel = client.retr(path, sink).await.unwrap();
                assert_complete(&channel);
                assert_eq!(channel.bytes, len);
                let seen = record(&server).await;
                assert!(seen.complete && seen.bytes == len, "{seen:?}");
                assert_eq!(seen.ended, Ended::Clean);
                if version.is_some() {
                    assert!(channel.handshake.unwrap().resumed, "{channel:?}");
                    assert!(seen.handshake.unwrap().resumed);
                }
            }
            for verb in ["LIST", "NLST", "MLSD"] {
                let channel = client.list(verb, "empty-dir").await.unwrap();
                assert_complete(&channel);
                assert_eq!(channel.kept(), Some(b"".as_slice()));
                let channel = client.list(verb, "pub").await.unwrap();
                assert_complete(&channel);
                let listing = String::from_utf8(channel.kept().unwrap().to_vec()).unwrap();
                assert_eq!(listing.lines().count(), 200);
            }
            client.quit().await.unwrap();
            server.stop();
        }
    });
}

#[test]
fn uploads_become_files_and_can_be_gone_on_with() {
    on_core(|| async {
        let (server, options) = private(VERSIONS[1], |_| {});
        let mut client = Client::start(options, "anna", "secret").await.unwrap();
        for (name, len) in [("nothing", 0), ("some", 300_000), ("much", 20 << 20)] {
            let stretch = Stretch::named(name, len);
            let source = Source::Pattern(stretch);
            let path = format!("upload/{name}");
            let channel = client.stor(&path, source, Manner::Polite).await.unwrap();
            assert_complete(&channel);
            let seen = record(&server).await;
            assert!(seen.complete && seen.bytes == len, "{seen:?}");
            let size = client.ask(&format!("SIZE {path}")).await.unwrap();
            assert_eq!(size.to_string(), format!("213 {len}"));
            let crc = client.ask(&format!("XCRC {path}")).await.unwrap();
            assert_eq!(crc.to_string(), format!("250 {:08X}", seen.crc.unwrap()));
            if len < 1 << 20 {
                let back = client.retr(&path, Sink::Compare(stretch)).await.unwrap();
                assert_complete(&back);
                record(&server).await;
            }
        }
        let more = Source::Bytes(b"more".as_slice().into());
        let cargo = client::Cargo::Give(more, Manner::Polite);
        assert_complete(&client.passive("APPE upload/nothing", cargo).await.unwrap());
        client.command("REST 2", Class::Intermediate).await.unwrap();
        let back = client.retr("upload/nothing", Sink::Keep).await.unwrap();
        assert_eq!(back.kept(), Some(b"re".as_slice()));
        client.command("REST 1", Class::Intermediate).await.unwrap();
        let rest = Source::Bytes(b"ending".as_slice().into());
        client
            .stor("upload/nothing", rest, Manner::Polite)
            .await
            .unwrap();
        let back = client.retr("upload/nothing", Sink::Keep).await.unwrap();
        assert_eq!(back.kept(), Some(b"mending".as_slice()));
        client.quit().await.unwrap();
    });
}

#[test]
fn no_false_empty_files() {
    on_core(|| async {
        let (server, options) = private(VERSIONS[1], |_| {});
        let mut client = Client::start(options, "anna", "secret").await.unwrap();
        for (manner, ended) in [
            (Manner::Bare, Ended::Bare),
            (Manner::Unfinished, Ended::Unfinished),
            (Manner::Reset, Ended::Broken),
        ] {
            let source = Source::Bytes(b"some".as_slice().into());
            let channel = client.stor("upload/x", source, manner).await.unwrap();
            assert!(!channel.succeeded(), "{manner:?}: {channel:?}");
            let seen = record(&server).await;
            assert!(!seen.complete, "{seen:?}");
            assert_eq!(seen.ended, ended, "{manner:?}");
            let size = client.ask("SIZE upload/x").await.unwrap();
            assert_eq!(size.code.number(), 550, "{manner:?}");
        }
        client.quit().await.unwrap();
    });
}

#[test]
fn a_session_is_resumed_hundreds_of_times_and_demanded() {
    on_core(|| async {
        for version in VERSIONS {
            let (server, mut options) = private(version, |_| {});
            let mut client = Client::start(options.clone(), "anna", "x").await.unwrap();
            for turn in 0..300 {
                let channel = client.retr("empty", Sink::Count).await.unwrap();
                assert_complete(&channel);
                assert!(channel.handshake.unwrap().resumed, "turn {turn}");
            }
            client.quit().await.unwrap();
            options.resume = false;
            let mut client = Client::start(options, "anna", "x").await.unwrap();
            let channel = client.retr("empty", Sink::Count).await.unwrap();
            assert_eq!(channel.reply.unwrap().number(), 522);
            drop(server);
        }
    });
}

/// What the client must see of one misbehaviour: the reply, what is missing first, and whether it saw any bytes.
#[test]
fn each_misbehaviour_is_seen_for_what_it_is() {
    let expected = [
        ("polite", 226, None),
        ("bare-close", 226, Some("a complete handshake")),
        ("bare-reset", 226, Some("a complete handshake")),
        ("never-take", 226, Some("a complete handshake")),
        ("no-preliminary", 226, None),
        ("late-150", 226, None),
        ("hang-before-150", 0, Some("")),
        ("hang-handshake", 0, Some("")),
        ("hang-after-150", 0, Some("")),
        ("partial-then-426", 426, Some("a final reply of success")),
        ("truncate-then-226", 226, Some("close_notify")),
        ("no-close-notify", 226, Some("close_notify")),
        ("await-close-notify", 226, None),
        ("reset-mid-stream", 426, Some("a final reply of success")),
        ("reset-then-226", 226, Some("close_notify")),
        ("early-226", 226, Some("FIN before the final reply")),
        (
            "refuse-550-closed-port",
            550,
            Some("a final reply of success"),
        ),
        ("control-lost", 0, Some("")),
    ];
    assert_eq!(expected.len(), MISBEHAVIOURS.len());
    on_core(move || async move {
        let (server, options) = private(VERSIONS[1], |_| {});
        for (name, reply, missing) in expected {
            let mut options = options.clone();
            if reply == 0 {
                // Nothing comes any more: only then is it waited for in vain.
                options.patience = Duration::from_secs(1);
            }
            let mut client = Client::start(options, "anna", "x").await.unwrap();
            let path = format!("/misbehave/{name}/1MiB.bin");
            let sink = Sink::Compare(Stretch::named("1MiB.bin", 1 << 20));
            match client.retr(&path, sink).await {
                Ok(channel) => {
                    assert_eq!(channel.reply.unwrap().number(), reply, "{name}");
                    assert_eq!(channel.missing(), missing, "{name}: {channel:?}");
                    if matches!(name, "early-226" | "no-close-notify") {
                        assert_eq!(channel.bytes, 1 << 20, "{name}");
                    }
                    // The session goes on as if nothing had been.
                    let next = client.retr("empty", Sink::Count).await.unwrap();
                    assert_complete(&next);
                    client.quit().await.unwrap();
                }
                Err(fault) => assert_eq!(reply, 0, "{name}: {fault}"),
            }
        }
        drop(server);
    });
}

#[test]
fn manners_by_site_last_until_taken_back_and_paths_lead_through_them() {
    on_core(|| async {
        let (_server, options) = private(VERSIONS[1], |_| {});
        let mut client = Client::start(options, "anna", "x").await.unwrap();
        let told = client.ask("SITE MISBEHAVE LIST bare-close").await.unwrap();
        assert_eq!(told.code.number(), 200);
        for _ in 0..2 {
            let channel = client.list("LIST", "empty-dir").await.unwrap();
            assert!(channel.succeeded() && channel.handshake.is_none());
            assert_eq!(channel.fault, Some(leg::Fault::Closed));
        }
        client.ask("SITE BEHAVE").await.unwrap();
        assert_complete(&client.list("LIST", "empty-dir").await.unwrap());
        for step in ["/misbehave", "bare-close", "empty-dir"] {
            let line = format!("CWD {step}");
            client.command(&line, Class::Completion).await.unwrap();
        }
        assert!(!client.list("NLST", "").await.unwrap().is_complete());
        client.quit().await.unwrap();
    });
}

#[test]
fn a_thread_of_its_own_starts_and_stops() {
    let server = Server::start_thread(Options {
        addresses: vec![
            (Ipv4Addr::LOCALHOST, 0).into(),
            (std::net::Ipv6Addr::LOCALHOST, 0).into(),
        ],
        ..Options::default()
    });
    let server = Arc::new(server.unwrap());
    let addresses = server.addresses().to_vec();
    assert_eq!(addresses.len(), 2);
    on_core(|| async move {
        for address in addresses {
            let mut client = Client::start(client::Options::clear(address), "a", "b")
                .await
                .unwrap();
            assert_complete(&client.retr("10MiB.bin", Sink::Count).await.unwrap());
            client.quit().await.unwrap();
        }
    });
    let server = Arc::into_inner(server).unwrap();
    let records = server.records();
    assert!(records.len() == 2 && records.iter().all(|record| record.verb == Verb::Retr));
    server.stop();
}
