//! No false empties, and ends that stay what they were: rules 2, 3, 5, 7, 10 and 12.
//!
//! What the gate did to the backend is read from the notes of the rude one.

use std::io::ErrorKind;

use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Act, Ended, Rude, Script};
use crate::support::strict::{Event, Manner, Strict};
use crate::support::wire::Wire;
use crate::support::{Scene, eventually, noise};

/// Long enough for whoever does not hang, short enough to be waited for.
fn quick() -> Setup {
    [
        "data_connect",
        "data_handshake",
        "data_first_byte",
        "data_stall",
    ]
    .into_iter()
    .fold(Setup::new(), |setup, key| setup.timeout(key, "3s"))
}

/// Field cases E4 and E8.
#[test]
fn an_empty_upload_that_ended_clean_is_a_file() {
    for versions in [Versions::Only12, Versions::Only13] {
        let scene = Scene::new();
        let rude = Rude::start(&scene, Script::new().versions(versions));
        let gate = Gate::start(&scene, rude.address(), Setup::new());
        let mut client = Strict::open(gate.address(), &scene.authority, versions);
        client.upload("STOR hollow", b"").reply.expect(&[226]);
        assert_eq!(rude.stored("hollow").unwrap(), b"");
        assert_eq!(rude.seen("STOR hollow")[0].ended, Ended::Clean);
        client
            .upload_as("STOR hollow2", b"", Manner::ConnectAfterPreliminary)
            .reply
            .expect(&[226]);
        assert_eq!(rude.stored("hollow2").unwrap(), b"");
    }
}

/// Field case E3.
#[test]
fn a_failed_upload_is_never_a_file() {
    for manner in [
        Manner::BareClose,
        Manner::BareReset,
        Manner::NeverConnect,
        Manner::Silent,
        Manner::PlainBytes,
        Manner::ResetAfterBytes,
    ] {
        let scene = Scene::new();
        let rude = Rude::start(&scene, Script::new());
        let gate = Gate::start(&scene, rude.address(), quick());
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        let transfer = client.upload_as("STOR victim", b"payload", manner);
        transfer.reply.expect(&[425, 426, 451]);
        client.upload("STOR next", b"payload").reply.expect(&[226]);
        assert!(rude.stored("victim").is_none(), "{manner:?}");
        assert!(
            rude.seen("STOR victim")
                .iter()
                .all(|seen| seen.ended != Ended::Clean),
            "{manner:?}"
        );
        assert_eq!(rude.stored("next").unwrap(), b"payload", "{manner:?}");
    }
}

#[test]
fn bare_uploads_are_empty_files_where_the_listener_says_so() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let gate = Gate::start(
        &scene,
        rude.address(),
        Setup::new().listener("bare_uploads", "true"),
    );
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client
        .upload_as("STOR hollow", b"", Manner::BareClose)
        .reply
        .expect(&[226]);
    assert_eq!(rude.stored("hollow").unwrap(), b"");
}

/// Field case E14.
#[test]
fn an_unfinished_upload_is_mirrored_repaired_or_rejected() {
    for (policy, ended, codes, stored) in [
        ("mirror", Ended::Unfinished, &[226][..], true),
        ("repair", Ended::Clean, &[226], true),
        ("reject", Ended::Unfinished, &[426], false),
    ] {
        let scene = Scene::new();
        let rude = Rude::start(&scene, Script::new().on("STOR", Act::Careless));
        let setup = Setup::new().listener("unfinished", &format!("\"{policy}\""));
        let gate = Gate::start(&scene, rude.address(), setup);
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        let transfer = client.upload_as("STOR file", b"payload", Manner::Unfinished);
        transfer.reply.expect(codes);
        if stored {
            assert_eq!(rude.seen("STOR file")[0].ended, ended, "{policy}");
            assert_eq!(rude.stored("file").unwrap(), b"payload", "{policy}");
        } else {
            assert!(
                rude.seen("STOR file")
                    .iter()
                    .all(|seen| seen.ended != Ended::Clean),
                "{policy}"
            );
        }
        client.upload("STOR next", b"payload").reply.expect(&[226]);
    }
}

#[test]
fn a_truncated_download_never_ends_clean_by_default() {
    let scene = Scene::new();
    let script = Script::new()
        .file("cut", &noise(100_000))
        .file("broken", &noise(100_000))
        .file("good", b"payload")
        .on("RETR cut", Act::TruncateThen226)
        .on("RETR broken", Act::PartialThen426);
    let rude = Rude::start(&scene, script);
    let gate = Gate::start(&scene, rude.address(), Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);

    let cut = client.download("RETR cut");
    let mirrored = [
        Event::Connected,
        Event::Handshake,
        Event::Bytes,
        Event::Fin,
        Event::Reply(226),
    ];
    assert_eq!(cut.order(), mirrored);
    assert!(
        cut.bytes == noise(100_000)[..50_000],
        "what came must be delivered"
    );

    let broken = client.download("RETR broken");
    assert_eq!(broken.reply.code, 426);
    assert!(
        !broken.events.contains(&Event::CloseNotify),
        "{:?}",
        broken.events
    );
    client.download("RETR good").assert_complete(b"payload");
}

#[test]
fn an_unfinished_download_is_repaired_or_rejected_by_the_pool() {
    for (policy, code, clean) in [("repair", 226, true), ("reject", 426, false)] {
        let scene = Scene::new();
        let rude = Rude::start(
            &scene,
            Script::new()
                .file("file", b"payload")
                .on("RETR file", Act::Careless),
        );
        let gate = Gate::start(
            &scene,
            rude.address(),
            Setup::new().pool("unfinished", &format!("\"{policy}\"")),
        );
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        let transfer = client.download("RETR file");
        assert_eq!(transfer.reply.code, code, "{policy}");
        assert_eq!(
            transfer.events.contains(&Event::CloseNotify),
            clean,
            "{policy}: {:?}",
            transfer.events
        );
    }
}

#[test]
fn success_at_the_backend_is_no_success_without_the_client() {
    for manner in [
        Manner::BareClose,
        Manner::BareReset,
        Manner::NeverConnect,
        Manner::PlainBytes,
    ] {
        let scene = Scene::new();
        let script = Script::new()
            .file("hollow", b"")
            .file("good", b"payload")
            .on("RETR hollow", Act::NoPreliminary);
        let rude = Rude::start(&scene, script);
        let gate = Gate::start(&scene, rude.address(), quick());
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        client.download_as("RETR hollow", manner).assert_failed();
        client.download("RETR good").assert_complete(b"payload");
    }
}

#[test]
fn appe_rest_and_stou_work() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", b"0123456789"));
    let gate = Gate::start(&scene, rude.address(), Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.say("REST 4").expect(&[350]);
    client.download("RETR file").assert_complete(b"456789");
    client.upload("APPE file", b"ab").reply.expect(&[226]);
    assert_eq!(rude.stored("file").unwrap(), b"0123456789ab");
    client.say("REST 2").expect(&[350]);
    client.upload("STOR file", b"XY").reply.expect(&[226]);
    assert_eq!(rude.stored("file").unwrap(), b"01XY");
    let reply = client.upload("STOU", b"one").reply.expect(&[226]);
    assert!(
        reply.text.contains("unique"),
        "the name the backend chose is lost: {reply:?}"
    );
}

/// Field case E10.
#[test]
fn protection_is_per_leg() {
    for (private, level) in [
        (true, "\"clear\""),
        (false, "\"private\""),
        (false, "\"clear\""),
        (false, "\"match\""),
    ] {
        let scene = Scene::new();
        let rude = Rude::start(
            &scene,
            Script::new().file("hollow", b"").file("file", b"payload"),
        );
        let setup = Setup::new()
            .listener("data_protection", "\"any\"")
            .pool("data_protection", level);
        let gate = Gate::start(&scene, rude.address(), setup);
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        client.protect(if private { 'P' } else { 'C' });
        for (name, bytes) in [("hollow", &b""[..]), ("file", b"payload")] {
            let transfer = client.download(&format!("RETR {name}"));
            assert_eq!(transfer.reply.code, 226);
            assert_eq!(transfer.bytes, bytes);
            assert_eq!(
                transfer.events.contains(&Event::CloseNotify),
                private,
                "{:?}",
                transfer.events
            );
        }
        client.upload("STOR up", b"payload").reply.expect(&[226]);
        assert_eq!(rude.stored("up").unwrap(), b"payload");
    }
}

#[test]
fn a_stranger_gets_nothing_and_the_right_one_is_served() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", b"payload"));
    let gate = Gate::start(&scene, rude.address(), quick());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let address = client.passive();
    let mut stranger = Wire::connect_from([127, 0, 0, 2].into(), address).unwrap();
    // It stands before the right one, and is turned away before anything is asked of it.
    client
        .transfer_at(address, "RETR file")
        .assert_complete(b"payload");
    let (bytes, end) = stranger.read_to_end();
    assert_eq!(bytes, b"");
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// Field case P6.
#[test]
fn a_foreign_address_in_a_pasv_reply_is_ignored() {
    let scene = Scene::new();
    let script = Script::new()
        .file("file", b"payload")
        .on("EPSV", Act::Say("500 What?\r\n"))
        .on("PASV", Act::ForeignAddress);
    let rude = Rude::start(&scene, script);
    let gate = Gate::start(&scene, rude.address(), quick());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.download("RETR file").assert_complete(b"payload");
    client.download("RETR file").assert_complete(b"payload");
    let asked = rude
        .commands()
        .iter()
        .filter(|line| *line == "EPSV")
        .count();
    assert_eq!(
        asked,
        1,
        "a backend without EPSV is asked once: {:?}",
        rude.commands()
    );
}

#[test]
fn abor_ends_a_transfer_and_not_the_session() {
    let scene = Scene::new();
    let script = Script::new()
        .file("stuck", &noise(100_000))
        .file("good", b"payload")
        .on("RETR stuck", Act::Stall);
    let rude = Rude::start(&scene, script);
    let gate = Gate::start(&scene, rude.address(), Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let address = client.passive();
    client.tell("RETR stuck");
    client.hear().expect(&[150]);
    let data = Wire::connect(address).unwrap();
    client.say("ABOR").expect(&[426]);
    client.hear().expect(&[225, 226]);
    drop(data);
    client.download("RETR good").assert_complete(b"payload");
    client.say("ABOR").expect(&[225, 226]);
    client.say("NOOP").expect(&[200]);
}

#[test]
fn sessions_of_gone_clients_are_ended_at_the_backend() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let gate = Gate::start(&scene, rude.address(), quick());
    let clients: Vec<Strict> = (0..3)
        .map(|_| Strict::open(gate.address(), &scene.authority, Versions::Both))
        .collect();
    assert_eq!(rude.sessions(), 3);
    drop(clients);
    eventually("the backend's sessions end", || rude.sessions() == 0);
}
