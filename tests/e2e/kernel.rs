//! TLS that the kernel takes over: used where there is one, told once where there is none, and the same to every peer.
//!
//! On a kernel without TLS for sockets these show what is left without it; `scripts/ktls` runs them on one that has it.

use sluicegate::sys::ktls;

use crate::paths::{carries, paths};
use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::process::run;
use crate::support::rude::{Rude, Script};
use crate::support::strict::Strict;
use crate::support::{Scene, eventually, noise};

/// More than sockets hold: the end must not be there when the kernel takes over.
const BYTES: usize = 9_000_001;

fn setup(kernel_tls: &str) -> Setup {
    Setup::new()
        .process("cores", "[0]")
        .process("kernel_tls", kernel_tls)
        .listener("data_protection", "\"any\"")
}

fn rude(scene: &Scene) -> Rude {
    let script = Script::new()
        .file("file", Box::leak(noise(BYTES).into_boxed_slice()))
        .file("small", b"small")
        .file("hollow", b"");
    Rude::start(scene, script)
}

#[test]
fn long_transfers_are_left_to_the_kernel_where_it_can() {
    let ways = [
        ("\"private\"", Versions::Only13, 'P', "InPlace"),
        ("\"private\"", Versions::Only13, 'C', "Sealed"),
        ("\"clear\"", Versions::Only13, 'P', "Sealed"),
        ("\"private\"", Versions::Only12, 'P', "Sealed"),
    ];
    for (backend, versions, level, without) in ways {
        let scene = Scene::new();
        let rude = rude(&scene);
        let setup = setup("\"auto\"").pool("data_protection", backend);
        let gate = Gate::start(&scene, rude.address(), setup);
        let mut client = Strict::open(gate.address(), &scene.authority, versions);
        client.protect(level);
        for name in ["file", "small", "hollow", "file"] {
            let bytes = match name {
                "file" => noise(BYTES),
                "small" => b"small".to_vec(),
                _ => Vec::new(),
            };
            carries(&mut client, &rude, level, name, &bytes);
        }
        eventually("all paths are logged", || paths(&gate, "went").len() == 8);
        let is_used = ktls::offered().is_ok() && versions == Versions::Only13;
        let long = if is_used { "Kernel" } else { without };
        let expected = [long, long, without, without, without, without, long, long];
        assert_eq!(paths(&gate, "went"), expected, "{backend} {level}");
        let told = match ktls::offered() {
            Ok(()) => "the kernel takes over the TLS 1.3 of long transfers",
            Err(_) => "this kernel offers no TLS",
        };
        let log = gate.stop();
        assert_eq!(log.matches(told).count(), 1, "{log}");
    }
}

#[test]
fn a_gate_that_has_to_have_it_does_not_start_without() {
    let scene = Scene::new();
    let rude = rude(&scene);
    if ktls::offered().is_ok() {
        let gate = Gate::start(&scene, rude.address(), setup("\"on\""));
        gate.wait_for_log("the kernel takes over");
        return;
    }
    let (_, _ports, config) = Gate::configure(&scene, rude.address(), setup("\"on\""));
    let ran = run(Gate::command().args(["run", "--config"]).arg(config));
    assert_eq!(ran.status.code(), Some(1));
    let said = ran.text() + &ran.stderr;
    assert!(said.contains("process.kernel_tls"), "{said}");
    assert!(said.contains("modprobe tls"), "{said}");
}

#[test]
fn off_is_off() {
    let scene = Scene::new();
    let rude = rude(&scene);
    let gate = Gate::start(&scene, rude.address(), setup("\"off\""));
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Only13);
    client.protect('P');
    client.download("RETR file").assert_complete(&noise(BYTES));
    eventually("the path is logged", || paths(&gate, "went").len() == 1);
    assert_eq!(paths(&gate, "went"), ["InPlace"]);
}
