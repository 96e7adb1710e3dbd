//! The server under the eyes of the strict client: fast is no excuse.

use std::path::PathBuf;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;

use super::*;
use crate::ftp::Class;
use crate::net::{Dial, on_core};
use crate::rig::client::{self, Channel, Client, Manner, Sink};
use crate::rig::suite::{self, Cipher, Version};
use crate::rig::wire::Wire;
use crate::rig::{Source, Stretch};

#[test]
fn its_transfers_are_complete() {
    let folder = tempfile::tempdir().unwrap();
    suite::make_identities(folder.path()).unwrap();
    let again = std::fs::read(folder.path().join("ca.pem")).unwrap();
    suite::make_identities(folder.path()).unwrap();
    assert_eq!(
        std::fs::read(folder.path().join("ca.pem")).unwrap(),
        again,
        "made once"
    );
    // A port from a range, or any.
    for (version, passive) in [
        (Version::Twelve, None),
        (Version::Thirteen, Some(30_000..=30_099)),
    ] {
        let anvil = Anvil::start(&Options {
            ports: vec![Port {
                address: "127.0.0.1:0".parse().unwrap(),
                service: Service::Explicit,
                private: true,
            }],
            cores: Vec::new(),
            tls: Some(suite::server(folder.path(), version, Cipher::Aes256).unwrap()),
            demand_resumption: true,
            passive: passive.clone(),
        });
        let anvil = anvil.unwrap();
        let (address, ca) = (anvil.addresses()[0], folder.path().join("ca.pem"));
        on_core(move || transfers(address, ca, version));
        let totals = anvil.stop();
        assert_eq!(
            (totals.connections, totals.transfers, totals.failures),
            (1, 7, 2)
        );
        assert_eq!(totals.resumed, 9);
    }
}

async fn transfers(address: SocketAddr, ca: PathBuf, version: Version) {
    let config = suite::client(&ca, version, Cipher::Any).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let options = client::Options::private(address, config, name);
    let mut client = Client::start(options, "any", "one").await.unwrap();
    for (path, size) in [("/empty", 0), ("/4KiB.bin", 4096), ("/3MiB", 3 << 20)] {
        let sink = Sink::Compare(Stretch::named(path, size));
        let channel = client.retr(path, sink).await.unwrap();
        assert_complete(&channel);
        assert_eq!(channel.bytes, size);
    }
    let listing = client.list("LIST", "/25").await.unwrap();
    assert_complete(&listing);
    assert_eq!(listing.kept().unwrap().len(), 25 * 64);
    let source = || Source::Pattern(Stretch::named("1MiB.bin", 1 << 20));
    let put = client
        .stor("/1MiB.bin", source(), Manner::Polite)
        .await
        .unwrap();
    assert_complete(&put);
    let wrong = client
        .stor("/2MiB.bin", source(), Manner::Polite)
        .await
        .unwrap();
    assert!(!wrong.succeeded(), "{wrong:?}");
    // A file of a known size may end without close_notify; of another one nobody knows whether it is whole.
    for (path, expected) in [("/1MiB.bin", true), ("/a-name-without-a-size", false)] {
        let put = client
            .stor(path, source(), Manner::Unfinished)
            .await
            .unwrap();
        assert_eq!(put.succeeded(), expected, "{path} {put:?}");
    }
    let any = client
        .stor("/a-name-without-a-size", source(), Manner::Polite)
        .await
        .unwrap();
    assert!(any.succeeded(), "{any:?}");
    client
        .command("RETR /nothing", Class::Transient)
        .await
        .unwrap();
    client
        .command("SIZE /1GiB.bin", Class::Completion)
        .await
        .unwrap();
    client
        .command("SIZE /nothing", Class::Permanent)
        .await
        .unwrap();
    client.quit().await.unwrap();
}

#[test]
fn no_stream_resumes_another() {
    let folder = tempfile::tempdir().unwrap();
    suite::make_identities(folder.path()).unwrap();
    for version in [Version::Twelve, Version::Thirteen] {
        let anvil = Anvil::start(&Options {
            ports: vec![Port {
                address: "127.0.0.1:0".parse().unwrap(),
                service: Service::Echo,
                private: true,
            }],
            cores: Vec::new(),
            tls: Some(suite::server(folder.path(), version, Cipher::Aes256).unwrap()),
            demand_resumption: false,
            passive: None,
        });
        let anvil = anvil.unwrap();
        let (address, ca) = (anvil.addresses()[0], folder.path().join("ca.pem"));
        on_core(move || async move {
            let config = suite::client(&ca, version, Cipher::Any).unwrap();
            // A client that would.
            let mut config = ClientConfig::clone(&config);
            config.resumption = Resumption::in_memory_sessions(8);
            let config = Arc::new(config);
            for _ in 0..3 {
                let mut dial = Dial::start(address, None).unwrap();
                let stream = poll_fn(|cx| dial.poll(cx)).await.unwrap();
                let name = ServerName::try_from("localhost").unwrap();
                let tls = Some((Arc::clone(&config), name));
                let mut wire = Wire::connect(stream, tls).await.unwrap();
                assert_eq!(wire.resumed(), Some(false), "{version:?}");
                wire.send_all(b"x").await.unwrap();
                wire.part().await.unwrap();
                // Tickets would be in front of what comes back.
                assert_eq!(wire.take_all(|_, _| ()).await.unwrap(), (1, true));
            }
        });
    }
}

/// Complete but for one thing: the last reply may overtake a FIN that is still behind its bytes, as with many servers.
#[track_caller]
fn assert_complete(channel: &Channel) {
    let missing = channel
        .missing()
        .filter(|what| *what != "FIN before the final reply");
    assert_eq!(missing, None, "{channel:?}");
}
