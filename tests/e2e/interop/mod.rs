//! The table: every client with every server, both real, the gate in between; contents compared.
//!
//! TLS is required on both legs, but for clients that know none: they come in clear through a listener that allows it,
//! and the gate speaks TLS to the backend. Each pair prints one row; `scripts/interop` prints the table.

mod agenda;
mod clients;

use std::net::SocketAddr;

use crate::support::Scene;
use crate::support::clients::Target;
use crate::support::gate::{Gate, Setup};
use crate::support::servers::{FtpServer, Kind};
use agenda::{Task, prepare};
use clients::{CLIENTS, Client};

/// Lets a client do the agenda; how each task went, and everything that client and server said.
fn meet(
    scene: &Scene,
    server: &FtpServer,
    address: SocketAddr,
    client: &Client,
    folder: &str,
) -> (Vec<(Task, &'static str)>, String) {
    let target = Target::within(scene, address, folder);
    prepare(scene, server, &target, folder);
    let mut said = String::new();
    for ran in (client.run)(&target) {
        if !ran.status.success() {
            said += &format!("{}\n{}\n{}\n", ran.status, ran.text(), ran.stderr);
        }
    }
    let went = Task::ALL.map(|task| {
        let cannot = client.cannot.iter().any(|(other, _)| *other == task);
        let word = match (cannot, task.is_done(server, &target)) {
            (true, _) => "-",
            (false, true) => "yes",
            (false, false) => "NO",
        };
        (task, word)
    });
    (went.to_vec(), said)
}

/// One row of the table.
fn row(kind: Kind, client: &Client, went: &[(Task, &str)]) -> String {
    let words: Vec<&str> = went.iter().map(|(_, word)| *word).collect();
    format!(
        "| {} | {} | {} |",
        format!("{kind:?}").to_lowercase(),
        client.name,
        words.join(" | ")
    )
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
    for (n, client) in CLIENTS.iter().enumerate() {
        let gate = if client.is_private { &private } else { &open };
        let folder = format!("client-{n}");
        let (went, said) = meet(&scene, &server, gate.address(), client, &folder);
        let row = row(kind, client, &went);
        eprintln!("{row}");
        if !said.is_empty() || went.iter().any(|(_, word)| *word == "NO") {
            faults += &format!("{row}\n{said}\n");
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

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
