//! Virtual hosts (RFC 7151): HOST, the name in the TLS handshake, and what becomes of both.

use std::sync::Arc;

use sluicegate::dialog::{FromBackend, FromClient};
use sluicegate::policy::{BackendTls, ClientProtection, ClientTls, HostRules, SiteRules};

use crate::script::{Script, clear, rules};

/// A listener with two hosts, told apart by what their backends speak: the first one TLS, the second clear text.
fn hosts(site: SiteRules) -> SiteRules {
    let host = |name: &str, backend_tls| HostRules {
        name: name.to_owned(),
        rules: Arc::new(SiteRules {
            backend_tls,
            ..site.clone()
        }),
    };
    SiteRules {
        hosts: vec![
            host("one.example", BackendTls::Explicit),
            host("two.example", BackendTls::Off),
        ],
        ..site
    }
}

fn shows(script: &mut Script, name: &str) {
    script.client("AUTH TLS").gives(&["C 234", "secure client"]);
    script.news(FromClient::Named(name.to_owned()));
}

fn reaches(script: &mut Script, says: &str) {
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&[says]);
}

#[test]
fn host_comes_before_login_and_the_last_one_counts() {
    let mut script = Script::secured(hosts(rules()));
    script
        .client("HOST One.Example")
        .gives(&["choose Some(0)", "C 220 FTP gateway ready"]);
    script.client("HOST nobody.example").gives(&["C 504"]);
    script.client("HOST 192.0.2.1").gives(&["C 504"]);
    script.client("HOST [2001:db8::1]").gives(&["C 504"]);
    for wrong in ["two.example:21", "[::1]:21", "[::1", "two..example", "::1"] {
        script.client(&format!("HOST {wrong}")).gives(&["C 501"]);
    }
    script.client("HOST").gives(&["C 501"]);
    script
        .client("HOST two.example")
        .gives(&["choose Some(1)", "C 220"]);
    reaches(&mut script, "B USER ann");
    script.backend("331 Password").gives(&["C 331"]);
    // The backend that USER has reached is the other host's.
    script
        .client("HOST one.example")
        .gives(&["B QUIT", "release", "choose Some(0)", "C 220"]);
    script.client("PASS secret").gives(&["C 503"]);
    reaches(&mut script, "B AUTH TLS");
    script.backend("234 Go").gives(&["secure backend"]);
    script.reached(FromBackend::Secured).gives(&["B USER ann"]);
    script.backend("230 In").gives(&["C 230"]);
    script.client("HOST two.example").gives(&["C 503"]);
    script.client("FEAT").gives(&["B FEAT"]);
    script.backend("211-Mine").gives(&[]);
    script.backend(" HOST").gives(&[]);
    script.backend("211 End").gives(&[
        "C 211-Features: /  AUTH TLS /  PBSZ /  PROT /  EPSV /  PASV /  EPRT /  HOST / 211 End",
    ]);
}

#[test]
fn without_hosts_there_is_no_host() {
    let mut script = Script::secured(rules());
    script.client("HOST one.example").gives(&["C 502"]);
    script
        .client("FEAT")
        .gives(&["C 211-Features: /  AUTH TLS /  PBSZ /  PROT /  EPSV /  PASV /  EPRT / 211 End"]);
}

#[test]
fn the_handshake_chooses_and_host_must_agree() {
    let mut script = Script::open(hosts(rules()));
    shows(&mut script, "TWO.example");
    script.gives(&["choose Some(1)"]);
    script.news(FromClient::Secured).gives(&[]);
    script.client("HOST one.example").gives(&["C 504 The TLS"]);
    script
        .client("HOST two.example")
        .gives(&["choose Some(1)", "C 220"]);
    reaches(&mut script, "B USER ann");
}

#[test]
fn a_stranger_in_the_handshake_is_the_listeners_own() {
    let mut script = Script::open(hosts(rules()));
    shows(&mut script, "gate.example");
    script.gives(&[]);
    script.news(FromClient::Secured).gives(&[]);
    // It has named somebody, and not this one (RFC 7151 section 3.2.2).
    script.client("HOST two.example").gives(&["C 504"]);
    reaches(&mut script, "B AUTH TLS");
}

#[test]
fn host_before_auth_and_the_handshake_must_agree_as_well() {
    let mut script = Script::open(hosts(rules()));
    script
        .client("HOST two.example")
        .gives(&["choose Some(1)", "C 220"]);
    shows(&mut script, "two.example");
    script.gives(&[]);
    script.news(FromClient::Secured).gives(&[]);
    reaches(&mut script, "B USER ann");
    for other in ["one.example", "gate.example"] {
        let mut script = Script::open(hosts(rules()));
        script
            .client("HOST two.example")
            .gives(&["choose Some(1)", "C 220"]);
        shows(&mut script, other);
        script.gives(&["C 421", "close"]);
    }
    // Where nothing is shown, what was said stands.
    let mut script = Script::open(hosts(rules()));
    script
        .client("HOST two.example")
        .gives(&["choose Some(1)", "C 220"]);
    script.client("AUTH TLS").gives(&["C 234", "secure client"]);
    script.news(FromClient::Secured).gives(&[]);
    reaches(&mut script, "B USER ann");
}

#[test]
fn a_backend_of_nobody_is_left_when_the_handshake_names_a_host() {
    let mut script = Script::open(hosts(SiteRules {
        client_tls: ClientTls::Optional,
        client_protection: ClientProtection::Any,
        ..clear()
    }));
    reaches(&mut script, "B USER ann");
    script.backend("331 Password").gives(&["C 331"]);
    shows(&mut script, "one.example");
    script.gives(&["B QUIT", "release", "choose Some(0)"]);
    script.news(FromClient::Secured).gives(&[]);
    reaches(&mut script, "B AUTH TLS");
}

#[test]
fn rein_forgets_the_host() {
    let mut script = Script::secured(hosts(rules()));
    script
        .client("HOST two.example")
        .gives(&["choose Some(1)", "C 220"]);
    script
        .client("REIN")
        .gives(&["choose None", "C 220", "clear client"]);
    script.client("AUTH TLS").gives(&["C 234", "secure client"]);
    script.news(FromClient::Secured).gives(&[]);
    reaches(&mut script, "B AUTH TLS");
}
