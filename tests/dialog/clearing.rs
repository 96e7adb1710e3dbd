//! TLS taken off control connections (CCC on either leg), and sessions that begin anew (REIN).

use sluicegate::dialog::{End, FromBackend, FromClient, Note, Side};
use sluicegate::limits::LOGIN_ATTEMPTS_MAX;
use sluicegate::policy::{
    BackendCcc, BackendProtection, ClientCcc, ClientProtection, ClientTls, SiteRules,
};

use crate::script::{Script, clear, rules};

fn accepting() -> SiteRules {
    SiteRules {
        client_ccc: ClientCcc::Accept,
        ..rules()
    }
}

/// A login up to its 230, under rules with explicit TLS inside.
fn logged_in(rules: SiteRules) -> Script {
    let mut script = Script::secured(rules);
    log_in(&mut script);
    script
}

fn log_in(script: &mut Script) {
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["B AUTH TLS"]);
    script.backend("234 Go").gives(&["secure backend"]);
    script.reached(FromBackend::Secured).gives(&["B USER ann"]);
}

#[test]
fn ccc_answers_in_tls_and_goes_on_in_clear_text() {
    let mut script = Script::ready(accepting());
    script.client("CCC").gives(&["C 200", "clear client"]);
    assert!(script.noted(&Note::Cleared(Side::Client)));
    // Nothing of what was agreed on can be changed any more, and nothing of it is lost (RFC 4217 section 5).
    script.client("CCC").gives(&["C 533"]);
    script.client("PROT C").gives(&["C 503"]);
    script.client("PBSZ 0").gives(&["C 503"]);
    script.client("AUTH TLS").gives(&["C 503"]);
    script.flowing("RETR a");
    script.flowed(3, Side::Backend, End::Clean).gives(&[]);
    script.backend("226 Done").gives(&["end client clean"]);
    script
        .ended(Side::Client, End::Clean)
        .gives(&["close data", "C 226 Done"]);
    // No password may pass in clear text where TLS is required.
    script.client("USER bob").gives(&["C 503"]);
    script.client("PASS secret").gives(&["C 503"]);
    script.client("PWD").gives(&["B PWD"]);
}

#[test]
fn ccc_has_its_time() {
    let mut script = Script::open(accepting());
    script.client("CCC").gives(&["C 533"]);
    script.client("AUTH TLS").gives(&["C 234", "secure client"]);
    script.news(FromClient::Secured).gives(&[]);
    script.client("CCC").gives(&["C 534"]);
    let mut script = Script::ready(rules());
    script.client("CCC").gives(&["C 534"]);

    // Whoever does not wait for the answer stays private.
    let mut script = Script::ready(accepting());
    script.client("PWD").gives(&["B PWD"]);
    script.client("CCC").gives(&[]);
    script.client("NOOP").gives(&[]);
    script
        .backend("257 \"/\"")
        .gives(&["C 257", "C 503", "B NOOP"]);
}

#[test]
fn a_cleared_client_may_log_in_again_where_tls_is_optional() {
    let mut script = Script::ready(SiteRules {
        client_tls: ClientTls::Optional,
        client_protection: ClientProtection::Any,
        ..accepting()
    });
    script.client("CCC").gives(&["C 200", "clear client"]);
    script.client("USER bob").gives(&["B USER bob"]);
}

#[test]
fn the_backend_is_cleared_behind_the_login() {
    let mut script = logged_in(SiteRules {
        backend_ccc: BackendCcc::Required,
        ..rules()
    });
    script.backend("230 In").gives(&["C 230", "B PBSZ 0"]);
    script.client("PWD").gives(&[]);
    script.backend("200 Zero").gives(&["B PROT P"]);
    script.backend("200 Private").gives(&["B CCC"]);
    script
        .backend("200 Clear")
        .gives(&["clear backend", "B PWD"]);
    assert!(script.noted(&Note::Cleared(Side::Backend)));
    script.backend("257 \"/\"").gives(&["C 257"]);
    // PROT is not said again, and no second password passes in clear text.
    script.client("PBSZ 0").gives(&["C 200"]);
    script.client("PROT P").gives(&["C 200"]);
    script.works();
    script.client("USER bob").gives(&["C 503"]);
}

#[test]
fn a_backend_that_refuses_to_be_cleared() {
    let site = |backend_ccc| SiteRules {
        backend_ccc,
        backend_protection: BackendProtection::Clear,
        ..rules()
    };
    let mut script = logged_in(site(BackendCcc::Try));
    // Clear is what data connections begin with.
    script.backend("230 In").gives(&["C 230", "B CCC"]);
    script.backend("534 No").gives(&[]);
    assert!(
        script
            .notes
            .iter()
            .any(|note| matches!(note, Note::ClearRefused(code) if code.number() == 534))
    );
    script.client("USER bob").gives(&["B USER bob"]);

    let mut script = logged_in(site(BackendCcc::Required));
    script.backend("230 In").gives(&["C 230", "B CCC"]);
    script
        .backend("534 No")
        .gives(&["C 421", "B QUIT", "close"]);
}

#[test]
fn a_protection_that_was_refused_is_not_asked_for_behind_ccc() {
    let mut script = logged_in(SiteRules {
        backend_ccc: BackendCcc::Required,
        ..rules()
    });
    script.backend("230 In").gives(&["C 230", "B PBSZ 0"]);
    script.backend("200 Zero").gives(&["B PROT P"]);
    script.backend("536 No").gives(&["B CCC"]);
    script.backend("200 Clear").gives(&["clear backend"]);
    script.client("PBSZ 0").gives(&["C 200"]);
    script.client("PROT P").gives(&["C 200"]);
    script.client("EPSV").gives(&["listen"]);
    script.passive().gives(&["C 229"]);
    script
        .client("RETR a")
        .gives(&["stop listening", "C 425 No data connection"]);
}

#[test]
fn rein_begins_anew() {
    let mut script = Script::ready(accepting());
    script.client("EPSV ALL").gives(&["C 200"]);
    script.client("REST 5").gives(&["B REST 5"]);
    script.backend("350 Five").gives(&["C 350"]);
    script.client("REIN").gives(&[
        "stop listening",
        "stop listening inside",
        "B QUIT",
        "release",
        "C 220",
        "clear client",
    ]);
    // As on the first day.
    script.client("USER ann").gives(&["C 530 Secure"]);
    script.client("PBSZ 0").gives(&["C 503"]);
    script.client("AUTH TLS").gives(&["C 234", "secure client"]);
    script.news(FromClient::Secured).gives(&[]);
    script.client("PROT P").gives(&["C 503"]);
    log_in(&mut script);
    script.backend("230 In").gives(&["C 230"]);
    script.client("RETR a").gives(&["C 521"]);
    script.client("PBSZ 0").gives(&["C 200"]);
    script.client("PROT P").gives(&["C 200"]);
    script.client("RETR a").gives(&["C 425 Use EPSV"]);
    // EPSV ALL is forgotten, and what the new backend has been told begins anew as well.
    script.client("PASV").gives(&["listen", "B PBSZ 0"]);
}

#[test]
fn rein_waits_for_the_transfer() {
    let mut script = Script::ready(rules());
    script.flowing("RETR a");
    script.client("REIN").gives(&[]);
    script.flowed(3, Side::Backend, End::Clean).gives(&[]);
    script.backend("226 Done").gives(&["end client clean"]);
    script.ended(Side::Client, End::Clean).gives(&[
        "close data",
        "C 226 Done",
        "B QUIT",
        "release",
        "C 220",
        "clear client",
    ]);
}

#[test]
fn rein_in_clear_text_and_behind_ccc_clears_nothing() {
    let mut script = Script::open(clear());
    script.client("REIN").gives(&["C 220"]);
    script.client("USER ann").gives(&["connect"]);
    let mut script = Script::ready(accepting());
    script.client("CCC").gives(&["C 200", "clear client"]);
    script.client("REIN").gives(&[
        "stop listening",
        "stop listening inside",
        "B QUIT",
        "release",
        "C 220",
    ]);
    script.client("AUTH TLS").gives(&["C 234", "secure client"]);
}

#[test]
fn rein_is_refused_where_tls_is_never_off_and_where_it_is_not_waited_for() {
    let mut script = Script::accepted(
        SiteRules {
            client_tls: ClientTls::Implicit,
            ..rules()
        },
        false,
    );
    script.gives(&["secure client"]);
    script.news(FromClient::Secured).gives(&["C 220"]);
    script.client("REIN").gives(&["C 502"]);

    let mut script = Script::ready(rules());
    script.client("PWD").gives(&["B PWD"]);
    script.client("REIN").gives(&[]);
    script.client("USER bob").gives(&[]);
    script
        .backend("257 \"/\"")
        .gives(&["C 257", "C 503", "B USER bob"]);
}

#[test]
fn rein_forgives_no_wrong_password() {
    let mut script = Script::open(clear());
    for attempt in 1..=LOGIN_ATTEMPTS_MAX {
        script.client("USER ann").gives(&["connect"]);
        script.reached(FromBackend::Reached).gives(&[]);
        script.backend("220 Hello").gives(&["B USER ann"]);
        if attempt == LOGIN_ATTEMPTS_MAX {
            break;
        }
        script.backend("530 No").gives(&["C 530"]);
        script.client("REIN").gives(&["B QUIT", "release", "C 220"]);
    }
    script
        .backend("530 No")
        .gives(&["C 530", "C 421", "B QUIT", "close"]);
}
