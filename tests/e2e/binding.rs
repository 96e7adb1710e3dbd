//! `resumption = "required"`: a data connection is its own control connection's, or it is nobody's (rule 10); and
//! `key_exchange`: what it resumes protects it.

use crate::support::certs::Versions;
use crate::support::clients::Target;
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Rude, Script};
use crate::support::strict::Strict;
use crate::support::{Scene, at_once};

const REFUSAL: &str = "must resume the TLS session of its control connection";

fn start(versions: &str) -> (Scene, Rude, Gate) {
    let scene = Scene::new();
    let mut script = Script::new().file("hollow", b"").file("file", b"payload");
    for name in names() {
        script = script.file(name, b"payload");
    }
    let rude = Rude::start(&scene, script);
    let setup = Setup::new()
        .listener("resumption", "\"required\"")
        .listener("tls_versions", &format!("[\"{versions}\"]"));
    let gate = Gate::start(&scene, rude.address(), setup);
    (scene, rude, gate)
}

/// A thousand of them, for the life of the process: a script names its files for ever.
fn names() -> impl Iterator<Item = &'static str> {
    (0..1000).map(|n| &*format!("n-{n:03}").leak())
}

#[test]
fn a_data_connection_that_does_not_resume_is_refused() {
    for (word, versions) in [("1.2", Versions::Only12), ("1.3", Versions::Only13)] {
        let (scene, rude, gate) = start(word);
        let mut client = Strict::open(gate.address(), &scene.authority, versions);
        client.download("RETR file").assert_complete(b"payload");
        client.forget(&scene.authority, versions);
        // The second and the third try find what the ones before may have left behind: nothing.
        for _ in 0..3 {
            for command in ["RETR file", "RETR hollow", "NLST"] {
                let refused = client.download(command);
                assert!(!refused.resumed);
                assert_eq!(refused.bytes, b"");
                assert!(refused.reply.expect(&[522]).text.contains(REFUSAL));
            }
            let refused = client.upload("STOR up", b"payload");
            assert!(!refused.resumed);
            refused.reply.expect(&[522]);
        }
        assert!(rude.stored("up").is_none(), "nothing may come to exist");
        gate.wait_for_log("does not resume its control connection");
        assert_eq!(gate.listening_ports(), 0);
        client.say("NOOP").expect(&[200]);
    }
}

#[test]
fn another_sessions_ticket_is_no_resumption() {
    for (word, versions) in [("1.2", Versions::Only12), ("1.3", Versions::Only13)] {
        let (scene, rude, gate) = start(word);
        let mut theirs = Strict::open(gate.address(), &scene.authority, versions);
        theirs.download("RETR file").assert_complete(b"payload");
        let mut client = Strict::open(gate.address(), &scene.authority, versions);
        client.download("RETR file").assert_complete(b"payload");
        client.borrow(&theirs);
        for _ in 0..3 {
            let refused = client.download("RETR file");
            assert!(!refused.resumed, "a ticket of another session was taken");
            refused.reply.expect(&[522]);
            client.upload("STOR up", b"payload").reply.expect(&[522]);
        }
        assert!(rude.stored("up").is_none());
    }
}

/// Field case P2.
#[test]
fn strict_clients_resume_a_thousand_times() {
    for (word, versions) in [("1.2", Versions::Only12), ("1.3", Versions::Only13)] {
        let (scene, _rude, gate) = start(word);
        let mut client = Strict::open(gate.address(), &scene.authority, versions);
        for _ in 0..500 {
            client.download("RETR file").assert_complete(b"payload");
            client.upload("STOR up", b"payload").reply.expect(&[226]);
        }
    }
}

#[test]
fn curl_makes_a_thousand_transfers_in_one_session() {
    let versions = [("1.2", "--tls-max=1.2"), ("1.3", "--tlsv1.3")];
    at_once(versions, |(word, option)| {
        let (scene, rude, gate) = start(word);
        let target = Target::new(&scene, gate.address());
        // With SIZE curl waits 200 ms for each: it looks at its data connection while the reply is there.
        let options: Vec<&str> = option.split('=').collect();
        let more = ["--ignore-content-length", "--output", "got-#1"];
        target
            .curl("n-[000-999]", &[&options[..], &more].concat())
            .ok();
        assert!((0..1000).all(|n| target.read(&format!("got-{n:03}")) == b"payload"));
        let logins = rude.commands();
        let logins = logins.iter().filter(|line| line.starts_with("USER"));
        assert_eq!(logins.count(), 1, "one session");
    });
}

#[test]
fn lftp_makes_a_thousand_transfers_in_one_session() {
    at_once(["1.2", "1.3"], |word| {
        let (scene, rude, gate) = start(word);
        let target = Target::new(&scene, gate.address());
        let all: Vec<String> = names().map(str::to_owned).collect();
        target.lftp(&format!("mget {}", all.join(" "))).ok();
        assert!(all.iter().all(|name| target.read(name) == b"payload"));
        let logins = rude.commands();
        let logins = logins.iter().filter(|line| line.starts_with("USER"));
        assert_eq!(logins.count(), 1, "one session");
    });
}

#[test]
fn java_makes_a_thousand_transfers_in_one_session() {
    at_once(["1.2", "1.3"], |word| {
        let (scene, _rude, gate) = start(word);
        let target = Target::new(&scene, gate.address());
        target.java(&format!("TLSv{word}"), 1000).ok();
    });
}

#[test]
fn ftplib_cannot_resume_and_is_told() {
    let (scene, _rude, gate) = start("1.3");
    let target = Target::new(&scene, gate.address());
    let script = "
import ftplib
try:
    try:
        ftp.retrbinary('RETR file', print)
    except OSError:
        # It may see the end of its data connection first; the reply follows.
        ftp.voidresp()
    raise SystemExit('it went through')
except ftplib.error_perm as error:
    assert str(error).startswith('522'), error
";
    target.ftplib(script).ok();
}

#[test]
fn post_quantum_keys_on_control_connections_are_enough() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new().file("file", b"payload"));
    for (key_exchange, group) in [
        ("preferred", "X25519MLKEM768"),
        ("required", "X25519MLKEM768"),
        ("off", "X25519"),
    ] {
        let setup = Setup::new()
            .listener("key_exchange", &format!("\"{key_exchange}\""))
            .pool("key_exchange", &format!("\"{key_exchange}\""));
        let gate = Gate::start(&scene, rude.address(), setup);
        let mut client = Strict::open_hybrid(gate.address(), &scene.authority);
        for _ in 0..10 {
            client.download("RETR file").assert_complete(b"payload");
            client.upload("STOR up", b"payload").reply.expect(&[226]);
        }
        // Both legs of the control connection, and of each transfer.
        let control = gate.wait_for_logs(2, "control leg secured");
        let data = gate.wait_for_logs(40, "data leg secured");
        let all = |what: &[String], side: &str, group: &str| {
            let lines = what.iter().filter(|line| line.contains(side));
            let (yes, no): (Vec<_>, Vec<_>) =
                lines.partition(|line| line.contains(&format!("\"{group}\"")));
            assert!(
                !yes.is_empty() && no.is_empty(),
                "{key_exchange} {side}: {no:?}"
            );
        };
        all(&control, "Client", group);
        all(&control, "Backend", group);
        // They resume: the backend's need no second exchange.
        all(&data, "Backend", "X25519");
    }
}

#[test]
fn required_post_quantum_keys_turn_others_away() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let setup = Setup::new().listener("key_exchange", "\"required\"");
    let gate = Gate::start(&scene, rude.address(), setup);
    let target = Target::new(&scene, gate.address());
    // OpenSSL 3.0 has no such group.
    assert!(!target.curl("file", &["--output", "got"]).status.success());
    gate.wait_for_log("TLS handshake of the client failed");
    Strict::open_hybrid(gate.address(), &scene.authority);
}
