//! Each leg for itself: protection, TLS version, address family and passive style of one leg say nothing about the
//! other's (rules 8 and 9).

use std::net::Ipv6Addr;
use std::time::Duration;

use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Act, Ended, Rude, Script};
use crate::support::strict::{Event, Strict};
use crate::support::{Scene, noise};

#[test]
fn bytes_that_drip_arrive_under_every_pair_of_protections() {
    let bytes = noise(50_000);
    for (backend, passive) in [("private", "epsv"), ("clear", "pasv")] {
        let scene = Scene::new();
        let script = Script::new()
            .file("drip", &bytes)
            .file("hollow", b"")
            .on("RETR drip", Act::Drip);
        let rude = Rude::start(&scene, script);
        let setup = Setup::new()
            .listener("data_protection", "\"any\"")
            .pool("data_protection", &format!("\"{backend}\""))
            .pool("data_command", &format!("\"{passive}\""));
        let gate = Gate::start(&scene, rude.address(), setup);
        let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
        for (level, pasv) in [('C', false), ('P', true), ('C', true), ('P', false)] {
            eprintln!("client {level} pasv {pasv}, backend {backend} {passive}");
            client.protect(level);
            client.pasv = pasv;
            for (command, wanted) in [("RETR drip", bytes.as_slice()), ("RETR hollow", b"")] {
                let down = client.download(command);
                down.reply.clone().expect(&[226]);
                assert!(down.bytes == wanted, "{} bytes", down.bytes.len());
                let is_last = down.order().ends_with(&[Event::Fin, Event::Reply(226)]);
                assert!(is_last, "{:?}", down.events);
            }

            let address = client.passive();
            client.tell("STOR up");
            let mut data = client.connect_data(address);
            client.hear().expect(&[150]);
            for piece in bytes.chunks(5_000) {
                data.write(piece).unwrap();
                std::thread::sleep(Duration::from_millis(10));
            }
            data.close_notify().unwrap();
            data.fin().unwrap();
            client.hear().expect(&[226]);
            assert!(rude.stored("up").unwrap() == bytes);
            client.upload("STOR none", b"").reply.expect(&[226]);
            assert_eq!(rude.stored("none").unwrap(), b"");
        }
        let ends = rude.seen("");
        let are_clean = ends.iter().all(|seen| seen.ended == Ended::Clean);
        assert!(are_clean, "{ends:?}");
        let ask = if passive == "epsv" { "EPSV" } else { "PASV" };
        assert!(rude.commands().iter().any(|line| line == ask));
    }
}

#[test]
fn ten_mebibytes_arrive_under_every_pair_of_tls_versions() {
    let bytes = noise(10 << 20);
    for inside in [Versions::Only12, Versions::Only13] {
        let scene = Scene::new();
        let script = Script::new().file("large", &bytes).versions(inside);
        let rude = Rude::start(&scene, script);
        let gate = Gate::start(&scene, rude.address(), Setup::new());
        for outside in [Versions::Only12, Versions::Only13] {
            let mut client = Strict::open(gate.address(), &scene.authority, outside);
            client.download("RETR large").assert_complete(&bytes);
            let up = client.upload("STOR up", &bytes);
            up.reply.expect(&[226]);
            assert!(rude.stored("up").unwrap() == bytes);
        }
    }
}

#[test]
fn a_backend_with_ipv6_only_serves_clients_with_ipv4_only() {
    let scene = Scene::new();
    let script = Script::new().file("file", b"payload").file("hollow", b"");
    let rude = Rude::start_at(Ipv6Addr::LOCALHOST.into(), &scene, script);
    let gate = Gate::start(&scene, rude.address(), Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    for pasv in [false, true] {
        client.pasv = pasv;
        client.download("RETR file").assert_complete(b"payload");
        client.download("RETR hollow").assert_complete(b"");
        client.upload("STOR up", b"payload").reply.expect(&[226]);
        assert_eq!(rude.stored("up").unwrap(), b"payload");
    }
}
