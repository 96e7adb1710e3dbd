//! A session that panics ends alone, with a word to its client and a line in the log.
//!
//! Builds with debug assertions know a hidden command that panics, once the environment allows it.
#![cfg(debug_assertions)]

use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Rude, Script};
use crate::support::strict::Strict;
use crate::support::{Scene, eventually};

#[test]
fn a_panic_ends_one_session_and_not_the_core() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", b"payload"));
    // One core: every neighbour shares it.
    let setup = Setup::new()
        .process("cores", "[0]")
        .environment("SLUICEGATE_TEST_PANIC", "1");
    let mut gate = Gate::start(&scene, rude.address(), setup);
    let open = || Strict::open(gate.address(), &scene.authority, Versions::Both);
    let mut neighbours: Vec<Strict> = (0..3).map(|_| open()).collect();
    let descriptors = gate.descriptors();
    for _ in 0..3 {
        let mut victim = open();
        victim.say("SITE PANIC").expect(&[421]);
        victim.hears_end();
        for neighbour in &mut neighbours {
            neighbour.download("RETR file").assert_complete(b"payload");
        }
    }
    gate.wait_for_log("panic");
    eventually("the victims' sessions end", || {
        rude.sessions() == neighbours.len()
    });
    gate.wait_for_descriptors(descriptors);
    let mut newcomer = open();
    newcomer.download("RETR file").assert_complete(b"payload");
    assert!(gate.is_running());
}

#[test]
fn nobody_can_panic_it_without_the_switch() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let gate = Gate::start(&scene, rude.address(), Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let code = client.say("SITE PANIC").code;
    assert!((500..600).contains(&code), "{code}");
    client.say("NOOP").expect(&[200]);
}
