//! The table: every client with every server, both real, the gate in between; contents compared.
//!
//! TLS is required on both legs, but for clients that know none: they come in clear through a listener that allows it,
//! and the gate speaks TLS to the backend. Each pair prints one row; `scripts/interop` prints the table.

mod agenda;
mod clients;

use crate::support::Scene;
use crate::support::clients::Target;
use crate::support::gate::{Gate, Setup};
use crate::support::servers::{FtpServer, Kind};
use agenda::{Task, prepare};
use clients::{CLIENTS, Client};

/// How one client's agenda went.
struct Outcome {
    /// For each task one word.
    words: [&'static str; Task::ALL.len()],
    is_content: bool,
    /// What the client said.
    said: String,
}

impl Outcome {
    fn is_good(&self) -> bool {
        self.is_content && !self.words.contains(&"NO")
    }

    fn row(&self, kind: Kind, client: &Client) -> String {
        let server = format!("{kind:?}").to_lowercase();
        format!(
            "| {server} | {} | {} |",
            client.name,
            self.words.join(" | ")
        )
    }
}

/// Lets a client do the agenda.
fn meet(server: &FtpServer, target: &Target, client: &Client) -> Outcome {
    prepare(server, target);
    let (mut said, mut is_content) = (String::new(), true);
    for ran in (client.run)(target) {
        is_content &= ran.status.success();
        said += &format!("{}\n{}\n{}\n", ran.status, ran.text(), ran.stderr);
    }
    let words = Task::ALL.map(|task| {
        let cannot = client.cannot.iter().any(|(other, _)| *other == task);
        match (cannot, task.is_done(server, target)) {
            (true, _) => "-",
            (false, true) => "yes",
            (false, false) => "NO",
        }
    });
    Outcome {
        words,
        is_content,
        said,
    }
}

/// Every client with this server.
fn serve_all(kind: Kind) {
    let scene = Scene::new();
    let server = FtpServer::start(kind, &scene);
    let private = Gate::start(&scene, server.address(), Setup::new());
    let open = Setup::new()
        .listener("tls", "\"optional\"")
        .listener("data_protection", "\"any\"")
        .pool("data_protection", "\"private\"");
    let open = Gate::start(&scene, server.address(), open);
    let mut faults = String::new();
    for client in CLIENTS {
        let gate = if client.is_private { &private } else { &open };
        let target = Target::within(&scene, gate.address(), client.name);
        let outcome = meet(&server, &target, client);
        let row = outcome.row(kind, client);
        eprintln!("{row}");
        if !outcome.is_good() {
            faults += &format!("{row}\n{}\n", outcome.said);
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

/// Field case P3.
#[test]
fn every_client_with_vsftpd() {
    serve_all(Kind::Vsftpd);
}

#[test]
fn every_client_with_proftpd() {
    serve_all(Kind::Proftpd);
}

#[test]
fn every_client_with_pure_ftpd() {
    serve_all(Kind::PureFtpd);
}

#[test]
fn every_client_with_pyftpdlib() {
    serve_all(Kind::Pyftpdlib);
}

/// Pairs that fail without the gate, each for a reason that the gate takes away.
const FAIL_DIRECTLY: &[(&[Kind], &[&str])] = &[
    // The server takes only data connections that resume, and the client cannot.
    (&Kind::DEMANDING, &["ftplib", "commons-net", "Net::FTP"]),
    // The server takes no password in clear text, and the client has nothing else.
    (&Kind::ALL, &["wget, clear", "tnftp, clear"]),
];

#[test]
#[ignore = "nothing of ours is in it: scripts/interop runs it"]
fn pairs_that_fail_without_the_gate() {
    for (kinds, names) in FAIL_DIRECTLY {
        for &kind in *kinds {
            let scene = Scene::new();
            let server = FtpServer::start(kind, &scene);
            let chosen = CLIENTS.iter().filter(|client| names.contains(&client.name));
            for client in chosen {
                let target = Target::within(&scene, server.address(), client.name);
                let outcome = meet(&server, &target, client);
                let row = outcome.row(kind, client);
                eprintln!("{row} directly");
                assert!(!outcome.is_good(), "{row}: it needs no gate any more");
            }
        }
    }
}
