//! Modes of each leg: implicit TLS.

use sluicegate::dialog::{FromBackend, FromClient, Loss};
use sluicegate::limits::{BACKEND_CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT};
use sluicegate::policy::{BackendProtection, BackendTls, ClientTls, SiteRules};

use crate::script::{Script, rules};

fn implicit() -> SiteRules {
    SiteRules {
        client_tls: ClientTls::Implicit,
        ..rules()
    }
}

/// A client in an implicit session; no backend yet.
fn secured(rules: SiteRules) -> Script {
    let mut script = Script::accepted(rules, false);
    script.gives(&["secure client"]);
    script.news(FromClient::Secured).gives(&["C 220 FTP"]);
    script
}

#[test]
fn implicit_tls_comes_before_the_banner_and_implies_prot_p() {
    let mut script = secured(implicit());
    script.client("AUTH TLS").gives(&["C 503"]);
    script.client("FEAT").gives(&["C 211-Features: /  PBSZ /"]);
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["B AUTH TLS"]);
    script.backend("234 Go").gives(&["secure backend"]);
    script.reached(FromBackend::Secured).gives(&["B USER ann"]);
    script.backend("230 In").gives(&["C 230 In"]);
    script.client("EPSV").gives(&["listen", "B PBSZ 0"]);
    script.passive().gives(&["C 229"]);
    script.backend("200 Zero").gives(&["B PROT P"]);
    script.backend("200 Private").gives(&["B EPSV"]);
    script.backend("229 Here (|||4711|)").gives(&[]);
    script.client("RETR a").gives(&["open", "B RETR a"]);
}

#[test]
fn the_banner_may_come_before_implicit_tls() {
    let mut script = Script::accepted(
        SiteRules {
            banner_first: true,
            ..implicit()
        },
        false,
    );
    script.gives(&["C 220 FTP gateway ready", "secure client"]);
    script.news(FromClient::Secured).gives(&[]);
    script.client("NOOP").gives(&["C 200"]);
}

#[test]
fn implicit_tls_need_not_imply_prot_p() {
    let mut script = secured(SiteRules {
        implicit_private: false,
        ..implicit()
    });
    script.client("PROT P").gives(&["C 503"]);
    script.client("PBSZ 0").gives(&["C 200"]);
    script.client("PROT P").gives(&["C 200"]);
}

#[test]
fn an_implicit_handshake_has_its_deadline_and_no_last_words() {
    let mut script = Script::accepted(implicit(), false);
    script.gives(&["secure client"]);
    script.waits(HANDSHAKE_TIMEOUT).gives(&["close"]);
    let mut script = Script::accepted(implicit(), false);
    script.gives(&["secure client"]);
    script
        .news(FromClient::Lost(Loss::Handshake))
        .gives(&["close"]);
}

fn implicit_inside() -> SiteRules {
    SiteRules {
        backend_tls: BackendTls::Implicit,
        ..rules()
    }
}

#[test]
fn implicit_tls_towards_a_backend_comes_before_its_greeting() {
    let mut script = Script::secured(implicit_inside());
    script.client("USER ann").gives(&["connect"]);
    script
        .reached(FromBackend::Reached)
        .gives(&["secure backend"]);
    script.reached(FromBackend::Secured).gives(&[]);
    script.backend("220 Hello").gives(&["B USER ann"]);
    script.backend("230 In").gives(&["C 230 In"]);

    for waits in [HANDSHAKE_TIMEOUT, BACKEND_CONNECT_TIMEOUT] {
        let mut script = Script::secured(implicit_inside());
        script.client("USER ann").gives(&["connect"]);
        script
            .reached(FromBackend::Reached)
            .gives(&["secure backend"]);
        if waits == BACKEND_CONNECT_TIMEOUT {
            script.reached(FromBackend::Secured).gives(&[]);
        }
        script.waits(waits).gives(&["C 421", "close"]);
    }
}

#[test]
fn what_an_implicit_backend_begins_with_is_not_taken_for_granted() {
    let mut script = Script::secured(SiteRules {
        backend_protection: BackendProtection::Clear,
        ..implicit_inside()
    });
    script.client("USER ann").gives(&["connect"]);
    script
        .reached(FromBackend::Reached)
        .gives(&["secure backend"]);
    script.reached(FromBackend::Secured).gives(&[]);
    script.backend("220 Hello").gives(&["B USER ann"]);
    script.backend("230 In").gives(&["C 230 In"]);
    script.client("EPSV").gives(&["listen", "B PBSZ 0"]);
    script.backend("200 Zero").gives(&["B PROT C"]);
    script.backend("200 Clear").gives(&["B EPSV"]);
}
