//! `sluicegate top` in a terminal of tmux: it follows the traffic, obeys its keys, and survives small sizes and lost gates.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::partners::{Kind, Partners};
use crate::support::ports::Ports;
use crate::support::process::run;
use crate::support::rude::{Rude, Script};
use crate::support::strict::Strict;
use crate::support::{Scene, eventually};

/// A terminal with one program in it.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Runs `top` on the gate of the scene.
    fn start(scene: &Scene, environment: &str) -> Self {
        let admin = scene.path("admin.sock");
        Self::run(
            scene,
            environment,
            &format!("--admin unix:{}", admin.display()),
        )
    }

    fn run(scene: &Scene, environment: &str, arguments: &str) -> Self {
        // Each has a server of tmux to itself: one that is ending would take this program along.
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let socket = scene.path(&format!("tmux-{number}.sock"));
        let terminal = Self { socket };
        let program = env!("CARGO_BIN_EXE_sluicegate");
        let command = format!("{environment} {program} top {arguments}");
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "100",
            "-y",
            "34",
            &command,
        ]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        tmux.env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
        tmux.arg("-S").arg(&self.socket).args(arguments);
        run(&mut tmux).ok().text()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        let mut screen = String::new();
        eventually(&format!("the screen says {text:?}"), || {
            screen = self.screen();
            screen.contains(text)
        });
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Whether the program has ended, and the terminal with it.
    fn is_over(&self) -> bool {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&self.socket);
        !run(tmux.arg("has-session")).status.success()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&self.socket).arg("kill-server");
        tmux.output().ok();
    }
}

#[test]
fn top_follows_the_gate_and_obeys_its_keys() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", b"bytes"));
    let backend = rude.address().to_string();
    let setup = Setup::new().admin("address", "\"unix:admin.sock\"");
    let gate = Gate::start(&scene, rude.address(), setup);
    let terminal = Terminal::start(&scene, "");
    terminal.wait_for("sluicegate live  all cores");
    terminal.wait_for("Nothing wants attention.");
    terminal.wait_for(&format!("inside {backend}  not resting"));

    let good = std::fs::read_to_string(scene.path("gate.toml")).unwrap();
    scene.file("gate.toml", "no configuration");
    gate.signal("HUP");
    terminal.wait_for("! configuration refused");
    scene.file("gate.toml", good);
    gate.signal("HUP");
    terminal.wait_for("Nothing wants attention.");

    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.download("RETR file").reply.expect(&[226]);
    terminal.wait_for("sessions  1");
    eventually("a transfer was timed", || {
        let screen = terminal.screen();
        let row = screen.lines().find(|line| line.starts_with("transfer "));
        row.is_some_and(|row| !row.contains(" - "))
    });

    terminal.press("c");
    terminal.wait_for("sluicegate live  CPU ");
    terminal.press("p");
    terminal.wait_for("sluicegate paused");
    terminal.press("p");
    terminal.wait_for("sluicegate live");
    terminal.press("s");
    terminal.wait_for("s sort by per second");

    terminal.tmux(&["resize-window", "-x", "24", "-y", "4"]);
    eventually("it is cut to the size", || {
        terminal.screen().lines().count() <= 4
    });
    terminal.wait_for("sluicegate live");
    terminal.tmux(&["resize-window", "-x", "140", "-y", "34"]);
    terminal.wait_for("passive ports in use");

    drop(gate);
    terminal.wait_for("sluicegate NO ANSWER, it cannot be reached");
    terminal.wait_for(&backend);
    terminal.press("q");
    eventually("q ends it", || terminal.is_over());
}

#[test]
fn top_looks_at_a_gate_from_afar() {
    let (scene, ports) = (Scene::new(), Ports::reserve());
    let rude = Rude::start(&scene, Script::new());
    let partners = Partners::new(&scene.folder("readers"), "readers");
    let token = scene.file("token", "a-token-of-the-tests-19\n");
    let quoted = |path: &Path| format!("\"{}\"", path.display());
    let authority = &scene.authority;
    let setup = Setup::new()
        .admin("address", &format!("\"0.0.0.0:{}\"", ports.control()))
        .admin("certificate", &quoted(authority.certificate_file()))
        .admin("key", &quoted(authority.key_file()))
        .admin("client_ca", &quoted(&partners.ca_file()))
        .admin("token_file", &quoted(&token));
    let _gate = Gate::start(&scene, rude.address(), setup);
    let admin = format!("--admin https://localhost:{}", ports.control());
    let ca = format!("--ca {}", authority.ca_file().display());
    let card = partners.card("top", Kind::Good);
    let card = format!("--certificate {} --key {}", card.certificate(), card.key());
    let token = format!("--token-file {}", token.display());
    for (arguments, says) in [
        (format!("{admin} {ca} {card} {token}"), "sluicegate live"),
        (
            format!("{admin} {ca} {card}"),
            "it asks for a token: --token-file",
        ),
        (
            format!("{admin} {ca} {token}"),
            "NO ANSWER, the connection broke",
        ),
        (
            format!("{admin} --ca {} {card}", partners.ca_file().display()),
            "NO ANSWER, TLS failed",
        ),
    ] {
        let terminal = Terminal::run(&scene, "", &arguments);
        terminal.wait_for(says);
        terminal.press("q");
        eventually("q ends it", || terminal.is_over());
    }
    let told = |arguments: &str| {
        let mut top = Gate::command();
        let ran = run(top.arg("top").args(arguments.split(' ')));
        assert_eq!(ran.status.code(), Some(2));
        ran.stderr
    };
    assert!(told(&admin).contains("--ca FILE"));
    assert!(told(&format!("{ca} --admin 127.0.0.1:9")).contains("with https:"));
}

#[test]
fn top_has_colours_unless_it_is_told_otherwise() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let setup = Setup::new().admin("address", "\"unix:admin.sock\"");
    let _gate = Gate::start(&scene, rude.address(), setup);
    // Cyan, for what is calm.
    const COLOUR: &str = "\u{1b}[38;5;6m";
    for (environment, coloured) in [("NO_COLOR=1", false), ("NO_COLOR=", true)] {
        let terminal = Terminal::start(&scene, environment);
        terminal.wait_for("sluicegate live");
        let screen = terminal.tmux(&["capture-pane", "-p", "-e"]);
        assert_eq!(
            screen.contains(COLOUR),
            coloured,
            "{environment}: {screen:?}"
        );
        terminal.press("q");
        eventually("q ends it", || terminal.is_over());
    }
}
