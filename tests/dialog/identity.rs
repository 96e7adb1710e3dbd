//! Who a client is by its certificate, and data connections with another one.

use std::sync::Arc;

use sluicegate::dialog::{DataNews, End, FromBackend, FromClient, Note, Side};
use sluicegate::policy::{ClientIdentity, PeerIdentity, SiteRules};

use crate::script::{Script, rules};

fn by_certificate() -> SiteRules {
    SiteRules {
        client_identity: ClientIdentity::User,
        ..rules()
    }
}

fn identity(names: &[&str]) -> FromClient {
    FromClient::Identified(Arc::new(PeerIdentity {
        subject: "CN=ann".to_owned(),
        names: names.iter().map(|&name| name.to_owned()).collect(),
        alternatives: Vec::new(),
        issuer: "CN=partners".to_owned(),
        serial: "1".to_owned(),
        fingerprint: "00".to_owned(),
    }))
}

/// A client that has secured its connection, and shown a certificate with these names.
fn shown(rules: SiteRules, names: &[&str]) -> Script {
    let mut script = Script::open(rules);
    script.client("AUTH TLS").gives(&["C 234", "secure client"]);
    script.news(identity(names)).gives(&[]);
    script.news(FromClient::Secured).gives(&[]);
    script
}

#[test]
fn a_user_is_one_of_the_names_in_the_certificate() {
    let mut script = shown(by_certificate(), &["ann", "ann@partner.test"]);
    for other in ["bob", "ANN", "an", "ann "] {
        script
            .client(&format!("USER {other}"))
            .gives(&["C 530 Your certificate"]);
    }
    assert!(script.noted(&Note::OtherUser) && script.noted(&Note::LoginFailed));
    script.client("USER ann@partner.test").gives(&["connect"]);
    let mut script = shown(by_certificate(), &["ann"]);
    for _ in 0..4 {
        script.client("USER bob").gives(&["C 530"]);
    }
    script
        .client("USER bob")
        .gives(&["C 530", "C 421 Too many", "close"]);
}

#[test]
fn without_a_certificate_nobody_is_anybody() {
    let mut script = Script::secured(by_certificate());
    script.client("USER ann").gives(&["C 530 Your certificate"]);
    let mut script = shown(by_certificate(), &[]);
    script.client("USER ann").gives(&["C 530 Your certificate"]);
    script.client("USER").gives(&["C 501"]);
}

#[test]
fn where_names_do_not_count_the_backend_decides() {
    let mut script = shown(rules(), &["ann"]);
    script.client("USER bob").gives(&["connect"]);
}

#[test]
fn a_refused_user_changes_nothing_for_one_who_is_in() {
    let mut script = shown(by_certificate(), &["ann"]);
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["B AUTH TLS"]);
    script.backend("234 Go").gives(&["secure backend"]);
    script.reached(FromBackend::Secured).gives(&["B USER ann"]);
    // RFC 2228: the security exchange was enough.
    script
        .backend("232 In, by your certificate")
        .gives(&["C 232 In"]);
    assert!(script.noted(&Note::LoggedIn(b"ann".to_vec())));
    script.client("USER bob").gives(&["C 530"]);
    script.client("PWD").gives(&["B PWD"]);
}

#[test]
fn a_clients_data_connection_with_another_certificate_is_refused() {
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.backend("150 Opening").gives(&["C 150 Opening"]);
    script.ended(Side::Backend, End::Bare).gives(&[]);
    script.backend("226 Done").gives(&[]);
    script.data(DataNews::Connected(Side::Client)).gives(&[]);
    script.ended(Side::Client, End::OtherCertificate).gives(&[
        "close data",
        "C 522 The client's data connection must have the certificate of its control connection",
    ]);
    script.works();
}

#[test]
fn a_backends_data_connection_with_another_certificate_is_a_failure_and_no_empty_file() {
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    script.backend("150 Opening").gives(&["C 150 Opening"]);
    script.up(Side::Client);
    script.data(DataNews::Connected(Side::Backend)).gives(&[]);
    script
        .ended(Side::Backend, End::OtherCertificate)
        .gives(&[]);
    script.backend("226 Done").gives(&["end client unfinished"]);
    script.ended(Side::Client, End::Unfinished).gives(&[
        "close data",
        "C 425 The server's data connection must have the certificate of its control connection",
    ]);
    script.works();
}
