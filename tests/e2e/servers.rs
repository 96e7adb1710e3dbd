//! Real servers behind the gate, which demand session reuse on data connections: rules 9 and 11.
//!
//! vsftpd and ProFTPD, TLS 1.2 and 1.3, with curl, lftp, ftplib and the strict client in front.

use crate::support::certs::Versions;
use crate::support::clients::Target;
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Ended, Rude, Script};
use crate::support::servers::{FtpServer, Kind};
use crate::support::strict::Strict;
use crate::support::{Scene, at_once, noise};

/// Entries of a large listing.
const CROWD: usize = 3000;

/// Both legs speak only this version.
fn setup(version: &str) -> Setup {
    let list = format!("[\"{version}\"]");
    Setup::new()
        .listener("tls_versions", &list)
        .pool("tls_versions", &list)
}

/// Runs a test for each server and TLS version, with files to work on.
fn for_each_server(test: impl Fn(&FtpServer, Gate, &Target, &Scene) + Sync) {
    let versions = |kind| ["1.2", "1.3"].map(|version| (kind, version));
    at_once(
        Kind::DEMANDING.into_iter().flat_map(versions),
        |(kind, version)| {
            eprintln!("--- {kind:?}, TLS {version}");
            let scene = Scene::new();
            let server = FtpServer::start(kind, &scene);
            server.put("big", &noise(10 << 20));
            server.put("hollow", b"");
            server.folder("empty");
            for n in 0..300 {
                server.put(&format!("many/hollow-{n:03}"), b"");
            }
            for n in 0..CROWD {
                server.put(&format!("crowd/file-{n:04}"), b"");
            }
            let gate = Gate::start(&scene, server.address(), setup(version));
            let target = Target::new(&scene, gate.address());
            test(&server, gate, &target, &scene);
        },
    );
}

/// Field case P12.
#[test]
fn curl() {
    for_each_server(|server, _gate, target, _scene| {
        for style in ["--ftp-pasv", "--disable-epsv"] {
            target.curl("big", &[style, "--output", "big"]).ok();
            assert!(target.read("big") == noise(10 << 20));
            target.curl("hollow", &[style, "--output", "hollow"]).ok();
            assert_eq!(target.read("hollow"), b"");
            target.curl("up-big", &[style, "--upload-file", "big"]).ok();
            assert!(
                server.get("up-big").unwrap() == noise(10 << 20),
                "{}",
                server.log()
            );
            target
                .curl("up-hollow", &[style, "--upload-file", "hollow"])
                .ok();
            assert_eq!(server.get("up-hollow").unwrap(), b"");
            assert_eq!(
                target.curl("empty/", &[style, "--list-only"]).ok().text(),
                ""
            );
            let listing = target.curl("many/", &[style, "--list-only"]).ok().text();
            assert_eq!(
                listing
                    .lines()
                    .filter(|line| line.starts_with("hollow-"))
                    .count(),
                300
            );
        }
        let crowd = target.curl("crowd/", &["--list-only"]).ok().text();
        assert_eq!(crowd.lines().count(), CROWD);
    });
}

#[test]
fn curl_gets_300_empty_files_in_one_session() {
    for_each_server(|server, gate, target, _scene| {
        std::fs::create_dir(target.path("got")).unwrap();
        // Without asking for sizes first: a file of size 0 would not be transferred at all.
        let options = ["--ignore-content-length", "--output", "got/#1"];
        let ran = target.curl("many/hollow-[000-299]", &options).ok();
        for n in 0..300 {
            assert_eq!(target.read(&format!("got/{n:03}")), b"", "{}", ran.text());
        }
        let opened = gate.stop().matches("session opened").count();
        assert_eq!(opened, 1, "{}", server.log());
    });
}

/// Field case E7.
#[test]
fn lftp() {
    for_each_server(|server, _gate, target, _scene| {
        target.write("up-big", &noise(10 << 20));
        target.write("up-hollow", b"");
        target
            .lftp("get big; get hollow; put up-big; put up-hollow")
            .ok();
        assert_eq!(target.lftp("nlist empty; ls empty").ok().text(), "");
        let crowd = target.lftp("nlist crowd").ok().text();
        let files = crowd.lines().filter(|line| line.contains("file-"));
        assert_eq!(files.count(), CROWD);
        let listing = target.lftp("ls crowd").ok().text();
        let files = listing.lines().filter(|line| line.contains("file-"));
        assert_eq!(files.count(), CROWD);
        assert!(target.read("big") == noise(10 << 20));
        assert_eq!(target.read("hollow"), b"");
        assert!(
            server.get("up-big").unwrap() == noise(10 << 20),
            "{}",
            server.log()
        );
        assert_eq!(server.get("up-hollow").unwrap(), b"");
    });
}

#[test]
fn lftp_moves_300_empty_files_in_one_session() {
    for_each_server(|server, _gate, target, _scene| {
        std::fs::create_dir(target.path("up")).unwrap();
        for n in 0..300 {
            target.write(&format!("up/sent-{n:03}"), b"");
        }
        target.lftp("mget many/*; mirror many copy; mput up/*").ok();
        for n in 0..300 {
            assert_eq!(target.read(&format!("hollow-{n:03}")), b"");
            assert_eq!(target.read(&format!("copy/hollow-{n:03}")), b"");
            assert_eq!(server.get(&format!("sent-{n:03}")).unwrap(), b"");
        }
    });
}

/// Field case P1.
#[test]
fn ftplib_which_cannot_resume_gets_through() {
    for_each_server(|server, _gate, target, _scene| {
        let script = "
reply, taken = fetch('RETR hollow')
assert taken == b'', reply
assert len(fetch('RETR big')[1]) == 10 << 20
assert ftp.nlst('empty') == []
assert len(ftp.nlst('many')) == 300
ftp.storbinary('STOR sent-hollow', io.BytesIO(b''))
ftp.storbinary('STOR sent-big', io.BytesIO(b'x' * (10 << 20)))
";
        target.ftplib(script).ok();
        assert_eq!(server.get("sent-hollow").unwrap(), b"");
        assert_eq!(
            server.get("sent-big").unwrap().len(),
            10 << 20,
            "{}",
            server.log()
        );
    });
}

#[test]
fn strict_client_does_300_transfers_and_nothing_leaks() {
    for_each_server(|server, gate, _target, scene| {
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        client.download("RETR hollow").assert_complete(b"");
        client.upload("STOR sent", b"").reply.expect(&[226]);
        let descriptors = gate.descriptors();
        for n in 0..150 {
            let transfer = client.download("RETR hollow");
            transfer.assert_complete(b"");
            assert!(
                transfer.resumed,
                "the gate's own tickets ran dry at transfer {n}"
            );
            client
                .upload(&format!("STOR sent-{n}"), b"")
                .reply
                .expect(&[226]);
        }
        client
            .download("RETR big")
            .assert_complete(&noise(10 << 20));
        assert_eq!(server.get("sent-149").unwrap(), b"");
        gate.wait_for_descriptors(descriptors);
        assert_eq!(gate.listening_ports(), 0, "passive ports leak");
    });
}

/// Field case P4.
#[test]
fn data_connections_resume_the_control_session() {
    for versions in [Versions::Only12, Versions::Only13] {
        let scene = Scene::new();
        let rude = Rude::start(
            &scene,
            Script::new().file("file", b"payload").versions(versions),
        );
        let gate = Gate::start(&scene, rude.address(), Setup::new());
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        for _ in 0..20 {
            client.download("RETR file").assert_complete(b"payload");
            client.upload("STOR up", b"payload").reply.expect(&[226]);
        }
        let transfers = [rude.seen("RETR"), rude.seen("STOR")].concat();
        assert_eq!(transfers.len(), 40);
        assert!(transfers.iter().all(|seen| seen.resumed), "{versions:?}");
    }
}

#[test]
fn ipv6_in_front_of_ipv4() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", b"payload"));
    let gate = Gate::start(&scene, rude.address(), Setup::new().ipv6());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.download("RETR file").assert_complete(b"payload");
    client.upload("STOR up", b"").reply.expect(&[226]);
    assert!(
        (400..600).contains(&client.say("PASV").code),
        "PASV has no word for an IPv6 address"
    );
    client.download("RETR file").assert_complete(b"payload");
}

#[test]
fn tls_versions_are_those_of_the_config() {
    let scene = Scene::new();
    let script = Script::new()
        .file("file", b"payload")
        .versions(Versions::Only13);
    let rude = Rude::start(&scene, script);
    let setup = Setup::new()
        .listener("tls_versions", "[\"1.2\"]")
        .pool("tls_versions", "[\"1.3\"]");
    let gate = Gate::start(&scene, rude.address(), setup);
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    assert_eq!(
        client.control().version(),
        Some(rustls::ProtocolVersion::TLSv1_2)
    );
    client.download("RETR file").assert_complete(b"payload");

    let mut newer = Strict::greet(gate.address(), scene.authority.client(Versions::Only13));
    newer.say("AUTH TLS").expect(&[234]);
    let told = newer.secure().unwrap_err().to_string();
    assert!(told.contains("ProtocolVersion"), "{told}");
}

/// Field case P14.
#[test]
fn uploads_are_whole_when_the_client_leaves_tickets_unread() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let gate = Gate::start(&scene, rude.address(), setup("1.3"));
    let target = Target::new(&scene, gate.address());
    for n in 0..8 {
        // lftp closes without reading: any ticket that lies there then makes a reset of its end.
        target.write(&format!("up-{n}"), &noise(1 << 20));
        target.lftp(&format!("put up-{n}")).ok();
        assert!(rude.stored(&format!("up-{n}")).unwrap() == noise(1 << 20));
        assert_eq!(rude.seen(&format!("STOR up-{n}"))[0].ended, Ended::Clean);
    }
}
