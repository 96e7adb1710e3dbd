//! Each path of a stream through the gate carries whole files both ways, is chosen as the page says, and can be forbidden.

use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Rude, Script};
use crate::support::servers::{FtpServer, Kind};
use crate::support::strict::{Event, Strict};
use crate::support::{Scene, eventually, noise};

const BYTES: usize = 6_000_001;

/// What the log has called the path of every stream so far, in this member of its lines.
pub(crate) fn paths(gate: &Gate, member: &str) -> Vec<String> {
    let (log, before) = (gate.log(), format!("\"{member}\":\""));
    let paths = log.split(&before).skip(1);
    paths
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect()
}

/// A file there and back, with data connections of this level.
pub(crate) fn carries(client: &mut Strict, rude: &Rude, level: char, name: &str, bytes: &[u8]) {
    let transfer = client.download(&format!("RETR {name}"));
    assert_eq!(transfer.reply.code, 226);
    assert!(transfer.bytes == bytes);
    let closed = transfer.events.contains(&Event::CloseNotify);
    assert_eq!(closed, level == 'P', "{:?}", transfer.events);
    let up = client.upload(&format!("STOR {name}"), bytes);
    up.reply.expect(&[226]);
    assert!(rude.stored(name).unwrap() == bytes);
}

#[test]
fn every_path_carries_whole_files_both_ways() {
    let every = [
        ("\"private\"", "true", Versions::Only13, 'P', "InPlace"),
        ("\"private\"", "true", Versions::Only12, 'P', "Sealed"),
        ("\"private\"", "false", Versions::Only13, 'P', "Sealed"),
        ("\"private\"", "true", Versions::Only13, 'C', "Sealed"),
        ("\"clear\"", "true", Versions::Only13, 'P', "Sealed"),
        ("\"clear\"", "true", Versions::Only13, 'C', "Spliced"),
    ];
    for (backend, in_place, versions, level, path) in every {
        let scene = Scene::new();
        let script = Script::new()
            .file("file", Box::leak(noise(BYTES).into_boxed_slice()))
            .file("hollow", b"");
        let rude = Rude::start(&scene, script);
        let setup = Setup::new()
            .process("in_place", in_place)
            .listener("data_protection", "\"any\"")
            .pool("data_protection", backend);
        let gate = Gate::start(&scene, rude.address(), setup);
        let mut client = Strict::open(gate.address(), &scene.authority, versions);
        client.protect(level);
        for (name, bytes) in [("file", noise(BYTES)), ("hollow", Vec::new())] {
            carries(&mut client, &rude, level, name, &bytes);
        }
        // The log is written beside the transfers.
        eventually("all paths are logged", || paths(&gate, "path").len() == 4);
        let paths = paths(&gate, "path");
        assert!(paths.iter().all(|one| one == path), "{paths:?} for {path}");
    }
}

/// Real servers send their tickets where the bytes are passed on in place; none of them is lost, and no upload either,
/// each of them whole. perf/run does the same a thousand times.
#[test]
fn tickets_on_data_connections_cost_no_upload() {
    for kind in Kind::ALL {
        let scene = Scene::new();
        let server = FtpServer::start(kind, &scene);
        server.put("file", &noise(300_000));
        let gate = Gate::start(&scene, server.address(), Setup::new());
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Only13);
        for round in 0..100u32 {
            let bytes = noise(1 + 3000 * round as usize);
            client.upload("STOR up", &bytes).reply.expect(&[226]);
            assert!(server.get("up").unwrap() == bytes, "{kind:?}, {round}");
            let transfer = client.download("RETR file");
            transfer.assert_complete(&noise(300_000));
        }
        eventually("all paths are logged", || paths(&gate, "path").len() == 200);
        let paths = paths(&gate, "path");
        assert!(paths.iter().all(|path| path == "InPlace"), "{kind:?}");
    }
}
