//! How real clients stop a transfer: each of them does, in its own way, and what it asks for next is right (rule 12).

use std::process::Command;

use crate::support::clients::Target;
use crate::support::gate::{Gate, Setup};
use crate::support::process::Server;
use crate::support::rude::{Act, Rude, Script};
use crate::support::servers::{FtpServer, Kind};
use crate::support::{PASSWORD, Scene, USER, at_once, eventually, noise};

/// Half of this has moved when the backend stalls.
const STUCK: usize = 100_000;

/// More than the sockets between a server and a client take.
const BIG: usize = 20 << 20;

fn stalling(setup: Setup) -> (Scene, Rude, Gate, Target) {
    let scene = Scene::new();
    let script = Script::new()
        .file("stuck", &noise(STUCK))
        .file("good", b"payload")
        .on("RETR stuck", Act::Stall);
    let rude = Rude::start(&scene, script);
    let gate = Gate::start(&scene, rude.address(), setup);
    let target = Target::new(&scene, gate.address());
    (scene, rude, gate, target)
}

/// Runs a test before each real server.
fn for_each_server(test: impl Fn(&Target) + Sync) {
    at_once(Kind::ALL, |kind| {
        let scene = Scene::new();
        let server = FtpServer::start(kind, &scene);
        server.put("big", &noise(BIG));
        server.put("good", b"payload");
        let gate = Gate::start(&scene, server.address(), Setup::new());
        let before = gate.descriptors();
        test(&Target::new(&scene, gate.address()));
        gate.wait_for_ports();
        gate.wait_for_descriptors(before);
    });
}

#[test]
fn tnftp_interrupts_with_telnets_synch() {
    let (scene, rude, gate, target) = stalling(Setup::new().listener("tls", "\"optional\""));
    let address = gate.address();
    let script = format!(
        "open {} {}\nuser {USER} {PASSWORD}\nbinary\nget stuck\nget good\nquit\n",
        address.ip(),
        address.port(),
    );
    let script = scene.file("tnftp.script", script);
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec tnftp -n -v -d < \"$0\""])
        .arg(script)
        .current_dir(target.path("."));
    let mut tnftp = Server::start("tnftp", &mut command, Vec::new());
    eventually("half of the file is there", || {
        target
            .path("stuck")
            .metadata()
            .is_ok_and(|file| file.len() > 0)
    });
    tnftp.signal("INT");
    assert_eq!(tnftp.wait_for_exit(), Some(0));
    let log = tnftp.log();
    assert!(log.contains("receive aborted"), "{log}");
    assert_eq!(target.read("good"), b"payload");
    eventually("the backend's session ends", || rude.sessions() == 0);
    gate.wait_for_ports();
    assert_eq!(gate.stop().matches("session opened").count(), 1);
}

#[test]
fn lftp_aborts_a_job_that_is_killed() {
    let (_scene, rude, gate, target) = stalling(Setup::new());
    let waits = "shell \"until [ -s stuck ]; do sleep 0.05; done\"";
    let ran = target
        .lftp(&format!("get stuck & {waits}; kill all; get good"))
        .ok();
    assert!(ran.stderr.contains("---> ABOR"), "{}", ran.stderr);
    assert_eq!(target.read("good"), b"payload");
    eventually("the backend's session ends", || rude.sessions() == 0);
    gate.wait_for_ports();
    assert_eq!(gate.stop().matches("session opened").count(), 1);
}

/// It reads on no more when it has said ABOR: nobody must wait for it to take what is on its way.
const FTPLIB_ABORTS: &str = "
for _ in range(3):
    data = ftp.transfercmd('RETR big')
    assert data.recv(1000)
    assert ftp.abort().startswith('426')
    assert ftp.voidresp().startswith('226')
    data.close()
    assert fetch('RETR good')[1] == b'payload'
";

#[test]
fn ftplib_aborts_and_goes_on() {
    for_each_server(|target| {
        target.ftplib(FTPLIB_ABORTS).ok();
    });
}

#[test]
fn ftplib_aborts_in_clear_text_with_an_urgent_line() {
    let (_scene, _rude, gate, target) = stalling(Setup::new().listener("tls", "\"optional\""));
    let session = "ftp.close(); ftp = ftplib.FTP(timeout=20); ftp.connect(host, int(port)); ftp.login(user, password)";
    let script = FTPLIB_ABORTS.replace("big", "stuck");
    target.ftplib(&format!("{session}\n{script}")).ok();
    gate.wait_for_ports();
}

#[test]
fn curl_stops_early() {
    for_each_server(|target| {
        // It asks for all of it, says ABOR behind the first bytes, and takes them for what it has asked for.
        let ran = target.curl("{big,good}", &["--range", "0-6", "--output", "#1"]);
        let ran = ran.ok();
        assert!(ran.stderr.contains("> ABOR"), "{}", ran.stderr);
        assert_eq!(target.read("big"), noise(BIG)[..7]);
        assert_eq!(target.read("good"), b"payload");
        // It asks for a data connection and then sees that it does not want the file.
        let options = ["--max-filesize", "1000", "--output", "small-#1"];
        let ran = target.curl("{big,good}", &options).ok();
        assert!(ran.stderr.contains("Maximum file size"), "{}", ran.stderr);
        assert!(ran.stderr.contains("Re-using existing connection"));
        assert_eq!(target.read("small-good"), b"payload");
        // Whom it writes to is gone: it closes everything.
        let ran = target.curl("big", &["--output", "/dev/full"]);
        assert_eq!(ran.status.code(), Some(23), "{}", ran.stderr);
    });
}
