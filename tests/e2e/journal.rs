//! The audit journal: what happened can be proven, whatever peers call things and whatever the disk does.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::admin::{self, events, series};
use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::process::run;
use crate::support::rude::{Act, Rude, Script};
use crate::support::strict::Strict;
use crate::support::{PASSWORD, Scene, USER, eventually, noise};

fn setup() -> Setup {
    Setup::new().audit("file", "\"audit.json\"")
}

fn open(scene: &Scene, gate: &Gate) -> Strict {
    Strict::open(gate.address(), &scene.authority, Versions::Both)
}

/// Waits for the events of one kind to be so many.
fn wait_for(file: &Path, kind: &str, count: usize) -> Vec<Value> {
    let found = || -> Vec<Value> {
        let all = events(file);
        all.into_iter()
            .filter(|event| event["event"] == kind)
            .collect()
    };
    eventually(&format!("{count} of {kind}"), || found().len() >= count);
    found()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect()
}

#[test]
fn a_session_is_told_from_its_beginning_to_its_end() {
    let scene = Scene::new();
    let bytes = noise(100_000);
    let script = Script::new()
        .file("file", &bytes)
        .file("empty", b"")
        .on("RETR empty", Act::BareClose);
    let rude = Rude::start(&scene, script);
    let gate = Gate::start(&scene, rude.address(), setup());
    let mut client = open(&scene, &gate);
    assert!(client.download("RETR file").bytes == bytes);
    client.download("RETR empty");
    client.upload("STOR new", b"abc");
    client.say("PORT 192,0,2,1,10,10").expect(&[501, 504]);
    client.say("QUIT").expect(&[221]);
    let file = scene.path("audit.json");
    wait_for(&file, "ended", 1);
    let events = events(&file);
    assert_eq!(
        kinds(&events),
        [
            "opened", "tls", "backend", "tls", "login", "transfer", "transfer", "transfer",
            "refused", "ended"
        ]
    );
    for event in &events {
        assert_eq!(event["session"], events[0]["session"]);
        let time = event["time"].as_str().unwrap();
        assert!(time.len() == 27 && time.starts_with("20") && time.ends_with('Z'));
    }
    assert_eq!(events[0]["listener"], "outside");
    assert_eq!(events[2]["backend"], rude.address().to_string());
    assert_eq!(events[4]["user"], USER);
    let [file_was, empty, upload] = &events[5..8] else {
        panic!("three transfers")
    };
    assert_eq!(file_was["path"], "file");
    assert_eq!(
        (&file_was["bytes"], &file_was["reply"]),
        (&100_000.into(), &226.into())
    );
    assert_eq!(file_was["outcome"], "completed");
    assert_eq!(file_was["type"], "I");
    for leg in ["client", "backend"] {
        assert_eq!(file_was[leg]["end"], "clean");
        assert_eq!(file_was[leg]["mode"], "passive");
        assert_eq!(file_was[leg]["tls"]["version"], "1.3");
        assert_eq!(file_was[leg]["tls"]["resumed"], true);
    }
    assert_eq!(empty["backend"]["end"], "bare");
    assert_eq!(empty["policies"], serde_json::json!(["empty: complete"]));
    assert_eq!(
        (&upload["verb"], &upload["direction"]),
        (&"STOR".into(), &"upload".into())
    );
    assert_eq!(events[8]["verb"], "PORT");
    let ended = &events[9];
    assert_eq!(
        (&ended["transfers"], &ended["bytes"], &ended["by"]),
        (&3.into(), &100_003.into(), &"client".into())
    );
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "not for everybody");
}

#[test]
fn what_a_peer_calls_a_file_forges_no_line() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let gate = Gate::start(&scene, rude.address(), setup());
    let mut client = open(&scene, &gate);
    client.passive();
    let name = b"\x1b[2J\"},\r{\xff\xe2\x80\xae";
    let line = [b"RETR ", &name[..], b"\r\n"].concat();
    client.control().write(&line).unwrap();
    client.hear().expect(&[550]);
    let file = scene.path("audit.json");
    let told = wait_for(&file, "transfer", 1);
    let hex: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(told[0]["path_hex"], hex);
    assert_eq!(told[0]["outcome"], "refused");
}

#[test]
fn a_session_that_ends_amid_a_transfer_tells_of_it() {
    let scene = Scene::new();
    let script = Script::new()
        .file("hang", &noise(200_000))
        .on("RETR hang", Act::Stall);
    let rude = Rude::start(&scene, script);
    let setup = setup().timeout("drain", "1s");
    let mut gate = Gate::start(&scene, rude.address(), setup);
    let begin = || {
        let mut client = open(&scene, &gate);
        let address = client.passive();
        client.tell("RETR hang");
        let mut data = client.connect_data(address);
        client.hear().expect(&[150]);
        assert!(data.read().is_ok());
        (client, data)
    };
    let (mut stays, _its_data) = begin();
    let (leaves, hangs) = begin();
    drop(leaves);
    let file = scene.path("audit.json");
    let told = wait_for(&file, "transfer", 1);
    assert_eq!(
        (&told[0]["path"], &told[0]["outcome"]),
        (&"hang".into(), &"broken".into())
    );
    assert!(told[0]["bytes"].as_u64().unwrap() > 0);
    assert_eq!(told[0].get("reply"), None, "nobody heard one");
    drop(hangs);
    gate.signal("TERM");
    stays.hear().expect(&[421]);
    assert_eq!(gate.wait_for_exit(), Some(0), "{}", gate.log());
    let told = wait_for(&file, "transfer", 2);
    assert_eq!(
        (&told[1]["outcome"], &told[1]["reply"]),
        (&"broken".into(), &421.into())
    );
    let ended = wait_for(&file, "ended", 2);
    assert_eq!(
        (&ended[1]["by"], &ended[1]["transfers"]),
        (&"operator".into(), &1.into())
    );
}

#[test]
fn a_password_never_gets_there_wherever_it_is_put() {
    let scene = Scene::new();
    let script = Script::new().on("USER Sesame", Act::Say("530 No\r\n"));
    let rude = Rude::start(&scene, script);
    let gate = Gate::start(&scene, rude.address(), setup());
    let mut client = Strict::greet(gate.address(), scene.authority.client(Versions::Both));
    // In clear text, before AUTH.
    client.say(&format!("PASS {PASSWORD}"));
    client.say(&format!("USER {PASSWORD}"));
    client.auth();
    client.say(&format!("PASS {PASSWORD}"));
    client.say(&format!("USER {PASSWORD}")).expect(&[530]);
    client.say(PASSWORD);
    client.say(&format!("ACCT {PASSWORD}"));
    client.login();
    client.say(&format!("SITE PSWD {PASSWORD} {PASSWORD}2"));
    client.say(&format!("PROT {PASSWORD}"));
    client.say(&format!("AUTH {PASSWORD}"));
    client.say(&format!("PASV {PASSWORD}"));
    client.say(PASSWORD);
    client.say("QUIT").expect(&[221]);
    // In the place of a handshake.
    let mut garbage = Strict::greet(gate.address(), scene.authority.client(Versions::Both));
    garbage.say("AUTH TLS").expect(&[234]);
    garbage
        .control()
        .write_raw(format!("PASS {PASSWORD}\r\n").as_bytes())
        .unwrap();
    let file = scene.path("audit.json");
    wait_for(&file, "ended", 2);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(PASSWORD), "{text}");
    assert!(!text.contains("Sesame"), "{text}");
    let told = wait_for(&file, "login", 3);
    let outcomes: Vec<_> = told.iter().map(|login| &login["outcome"]).collect();
    assert_eq!(outcomes, ["failed", "failed", "ok"], "USER, ACCT, PASS");
}

#[test]
fn sighup_begins_again_under_the_name_and_size_turns_files_over() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", b"abc"));
    let setup = setup().audit("max_bytes", "4096").audit("keep", "2");
    let mut gate = Gate::start(&scene, rude.address(), setup);
    let mut client = open(&scene, &gate);
    let file = scene.path("audit.json");
    wait_for(&file, "login", 1);
    std::fs::rename(&file, scene.path("moved")).unwrap();
    gate.signal("HUP");
    gate.wait_for_log("journal reopened");
    client.download("RETR file");
    wait_for(&file, "transfer", 1);
    assert_eq!(
        events(&scene.path("moved")).len(),
        5,
        "opened, tls, backend, tls, login"
    );
    // Some 900 bytes each: four to a file, so that a first file has gone.
    for _ in 0..20 {
        client.download("RETR file");
    }
    eventually("two files were turned over", || {
        scene.path("audit.json.2").exists()
    });
    gate.signal("TERM");
    assert_eq!(gate.wait_for_exit(), Some(0), "{}", gate.log());
    for name in ["audit.json", "audit.json.1", "audit.json.2"] {
        let length = std::fs::metadata(scene.path(name)).unwrap().len();
        assert!(
            length <= 4096 && !events(&scene.path(name)).is_empty(),
            "{name}: {length}"
        );
    }
    assert!(!scene.path("audit.json.3").exists() && !scene.path("audit.json.next").exists());
}

/// A disk of 64 KiB, as long as it is held.
struct Disk<'s>(&'s Path);

impl<'s> Disk<'s> {
    fn mount(at: &'s Path) -> Self {
        let options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs"];
        run(Command::new("mount").args(options).arg(at)).ok();
        Self(at)
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(self.0));
    }
}

#[test]
fn a_full_disk_costs_records_that_are_counted_and_nothing_else() {
    let scene = Scene::new();
    let place = scene.folder("disk");
    let disk = Disk::mount(&place);
    let rude = Rude::start(&scene, Script::new().file("file", b"abc"));
    let setup = setup()
        .audit("file", "\"disk/audit.json\"")
        .admin("address", "\"unix:admin.sock\"");
    let mut gate = Gate::start(&scene, rude.address(), setup);
    let mut client = open(&scene, &gate);
    let file = place.join("audit.json");
    wait_for(&file, "login", 1);
    let filler = place.join("filler");
    std::io::copy(
        &mut std::io::repeat(b'x'),
        &mut File::create(&filler).unwrap(),
    )
    .unwrap_err();
    // What is left of the file's last page takes some more.
    eventually("the journal has lost something", || {
        client.download("RETR file").bytes == b"abc" && lost(&scene) > 0.0
    });
    assert_eq!(metric(&scene, "sluicegate_audit_failing"), 1.0);
    gate.wait_for_log("the journal cannot be written");
    std::fs::remove_file(&filler).unwrap();
    client.download("RETR file");
    // Once for each time that some of it could be written.
    eventually("all that is lost is told", || {
        let events = events(&file);
        let missing = events.iter().filter(|event| event["event"] == "missing");
        let told = |event: &Value| {
            assert_eq!(event["why"], "not written");
            event["records"].as_f64().unwrap()
        };
        missing.map(told).sum::<f64>() == lost(&scene)
    });
    eventually("the journal is in order", || {
        metric(&scene, "sluicegate_audit_failing") == 0.0
    });
    gate.signal("TERM");
    assert_eq!(gate.wait_for_exit(), Some(0), "{}", gate.log());
    assert_eq!(kinds(&events(&file)).last(), Some(&"ended"));
    drop(disk);
}

fn lost(scene: &Scene) -> f64 {
    metric(scene, "sluicegate_audit_records_lost_total")
}

/// The value of a metric without labels.
fn metric(scene: &Scene, name: &str) -> f64 {
    series(&admin::get(scene, "/metrics"))[name]
}

#[test]
fn a_disk_that_hangs_keeps_nobody_waiting() {
    let scene = Scene::new();
    let pipe = scene.path("audit.json");
    run(Command::new("mkfifo").arg(&pipe)).ok();
    // Held open and never read: it takes 64 KiB and then nothing.
    let held = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    let rude = Rude::start(&scene, Script::new().file("file", b"abc"));
    let mut gate = Gate::start(&scene, rude.address(), setup());
    let mut client = open(&scene, &gate);
    for _ in 0..120 {
        assert_eq!(client.fetch("RETR file").0, b"abc");
    }
    gate.signal("TERM");
    client.hear().expect(&[421]);
    assert_eq!(gate.wait_for_exit(), Some(0), "{}", gate.log());
    gate.wait_for_log("does not take what still waits");
    drop(held);
}

#[test]
fn xferlog_has_one_line_for_each_file() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("a b", b"abc"));
    let setup = setup().audit("format", "\"xferlog\"");
    let mut gate = Gate::start(&scene, rude.address(), setup);
    let mut client = open(&scene, &gate);
    client.download("RETR a b");
    client.download("LIST");
    client.upload("STOR new", b"abcd");
    gate.signal("TERM");
    assert_eq!(gate.wait_for_exit(), Some(0), "{}", gate.log());
    let text = std::fs::read_to_string(scene.path("audit.json")).unwrap();
    let tails: Vec<String> = text
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words[6..].join(" ")
        })
        .collect();
    assert_eq!(
        tails,
        [
            format!("127.0.0.1 3 a_b b _ o r {USER} ftp 0 * c"),
            format!("127.0.0.1 4 new b _ i r {USER} ftp 0 * c"),
        ]
    );
}
