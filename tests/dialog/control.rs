//! Login, TLS and the arranging of data connections: what the control connections say to each other.

use std::time::Duration;

use sluicegate::dialog::{End, FromBackend, FromClient, Input, Loss, Note, Side};
use sluicegate::limits::{LOGIN_ATTEMPTS_MAX, UNKNOWN_COMMANDS_MAX};
use sluicegate::policy::{BackendProtection, BackendTls, OnEmpty, PassiveStyle, Pbsz, SiteRules};

use crate::script::{Script, clear, rules};

#[test]
fn nothing_before_tls_where_it_is_required() {
    let mut script = Script::open(rules());
    for command in ["USER ann", "PASS secret", "PWD", "RETR a", "EPSV"] {
        script.client(command).gives(&["C 530 Secure"]);
    }
    script.client("NOOP").gives(&["C 200"]);
    script
        .client("FEAT")
        .gives(&["C 211-Features: /  AUTH TLS"]);
    script.client("HELP").gives(&["C 214-"]);
    script.client("QUIT").gives(&["C 221", "close"]);
}

/// Field case P10.
#[test]
fn the_codes_of_the_security_commands() {
    let mut script = Script::open(rules());
    script.client("AUTH KERBEROS").gives(&["C 504"]);
    script.client("PBSZ 0").gives(&["C 503"]);
    script.client("PROT P").gives(&["C 503"]);
    script
        .client("AUTH tls-c")
        .gives(&["C 234", "secure client"]);
    script.news(FromClient::Secured).gives(&[]);
    script.client("AUTH TLS").gives(&["C 503"]);
    script.client("PROT P").gives(&["C 503"]);
    script.client("PBSZ 0").gives(&["C 200"]);
    script.client("PROT C").gives(&["C 534"]);
    script.client("PROT S").gives(&["C 536"]);
    script.client("PROT E").gives(&["C 536"]);
    script.client("PROT X").gives(&["C 504"]);
    script.client("CCC").gives(&["C 534"]);
    script.client("MIC abc").gives(&["C 533"]);
    script.client("ADAT abc").gives(&["C 503"]);
    script.client("PROT P").gives(&["C 200"]);
}

#[test]
fn a_transfer_needs_prot_p_and_a_port() {
    let mut script = Script::ready(rules());
    script.client("RETR a").gives(&["open", "B RETR a"]);
    let mut script = Script::secured(SiteRules {
        backend_tls: BackendTls::Off,
        ..rules()
    });
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["B USER ann"]);
    script.backend("230 In").gives(&["C 230"]);
    script.client("RETR a").gives(&["C 521"]);
    script.client("PBSZ 0").gives(&["C 200"]);
    script.client("PROT P").gives(&["C 200"]);
    script.client("RETR a").gives(&["C 425 Use EPSV"]);
}

#[test]
fn clear_text_behind_auth_ends_the_session() {
    let mut script = Script::open(rules());
    script.client("AUTH TLS").gives(&["C 234", "secure client"]);
    script
        .news(FromClient::Lost(Loss::Injection))
        .gives(&["close"]);
    assert!(script.noted(&Note::Injected(Side::Client)));

    // Cut into lines already, while AUTH waited for its turn.
    let mut script = Script::open(clear());
    script.client("USER ann").gives(&["connect"]);
    script.client("AUTH TLS").gives(&[]);
    script.client("USER root").gives(&[]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["B USER ann"]);
    script
        .backend("331 Password")
        .gives(&["C 331", "C 421", "B QUIT", "close"]);
    assert!(script.noted(&Note::Injected(Side::Client)));
}

#[test]
fn clear_text_behind_the_backends_234_ends_the_session() {
    let mut script = Script::secured(rules());
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["B AUTH TLS"]);
    script.backend("234 Go").gives(&["secure backend"]);
    script
        .backend_lost(Loss::Injection)
        .passes_over("Injection")
        .gives(&["C 421", "close"]);
    assert!(script.noted(&Note::Injected(Side::Backend)));
}

#[test]
fn a_backend_without_tls_is_not_used() {
    let mut script = Script::secured(rules());
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["B AUTH TLS"]);
    script
        .backend("502 What?")
        .passes_over("NoTls")
        .gives(&["C 421", "close"]);
}

#[test]
fn a_backend_that_is_not_there_or_says_nothing() {
    let mut script = Script::secured(rules());
    script.client("USER ann").gives(&["connect"]);
    script
        .reached(FromBackend::Unreachable)
        .gives(&["C 421 No server", "close"]);

    let mut script = Script::secured(rules());
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("120 In a minute").gives(&[]);
    script
        .waits(Duration::from_secs(10))
        .passes_over("Silent")
        .gives(&["C 421", "close"]);
}

#[test]
fn logins_are_bounded() {
    let mut script = Script::ready_clear(clear());
    script.client("USER bob").gives(&["B USER bob"]);
    script.backend("331 Password").gives(&["C 331"]);
    for _ in 1..LOGIN_ATTEMPTS_MAX {
        script.client("PASS wrong").gives(&["B PASS wrong"]);
        script.backend("530 No").gives(&["C 530 No"]);
    }
    script.client("PASS wrong").gives(&["B PASS wrong"]);
    script
        .backend("530 No")
        .gives(&["C 530 No", "C 421", "B QUIT", "close"]);

    Script::open(rules())
        .waits(Duration::from_secs(60))
        .gives(&["C 421 Login", "close"]);
}

#[test]
fn an_idle_client_is_told_and_a_chattering_backend_changes_nothing() {
    let mut script = Script::ready(rules());
    script.passes(Duration::from_secs(200));
    script.backend("200 Did you know?").gives(&[]);
    script
        .waits(Duration::from_secs(100))
        .gives(&["C 421 Idle", "B QUIT", "close"]);
}

#[test]
fn unknown_commands_are_bounded_and_foreign_ones_are_the_last() {
    let mut script = Script::open(rules());
    for _ in 0..UNKNOWN_COMMANDS_MAX {
        script.client("XYZZY").gives(&["C 500"]);
    }
    script.client("XYZZY").gives(&["C 421", "close"]);
    Script::open(rules())
        .client("GET / HTTP/1.1")
        .gives(&["C 421", "close"]);
    Script::open(rules())
        .client("EHLO mail")
        .gives(&["C 421", "close"]);
    let mut script = Script::open(rules());
    script.client("RETR").gives(&["C 501"]);
    script.client("PWD now").gives(&["C 501"]);
    script.client("SSCN").gives(&["C 502"]);
    script.news(FromClient::TooLong).gives(&["C 500", "close"]);
}

#[test]
fn features_are_what_both_can_do() {
    let mut script = Script::ready(rules());
    script.client("FEAT").gives(&["B FEAT"]);
    script.backend("211-Mine:").gives(&[]);
    script.backend(" SIZE").gives(&[]);
    script.backend(" EPRT").gives(&[]);
    script.backend(" AUTH TLS;SSL;").gives(&[]);
    script.backend("211 End").gives(&[
        "C 211-Features: /  AUTH TLS /  PBSZ /  PROT /  EPSV /  PASV /  EPRT /  SIZE / 211 End",
    ]);
    script.client("FEAT").gives(&["B FEAT"]);
    script
        .backend("502 What?")
        .gives(&["C 211-Features: /  AUTH TLS"]);
}

#[test]
fn epsv_falls_back_to_pasv_once_and_for_all() {
    let mut script = Script::ready(rules());
    script.client("PASV").gives(&["listen", "B EPSV"]);
    script.backend("500 EPSV?").gives(&["B PASV"]);
    script
        .passive()
        .gives(&["C 227 Entering Passive Mode (203,0,113,5,195,81)"]);
    script.backend("227 At 10,0,0,9,10,11").gives(&[]);
    script.client("EPSV").gives(&["listen", "B PASV"]);

    let mut script = Script::ready(SiteRules {
        passive: PassiveStyle::Epsv,
        ..rules()
    });
    script.client("EPSV").gives(&["listen", "B EPSV"]);
    script.passive().gives(&["C 229"]);
    script.backend("500 EPSV?").gives(&[]);
    script
        .client("RETR a")
        .gives(&["stop listening", "C 425 No data connection"]);
    script.client("RETR a").gives(&["C 425 Use EPSV"]);
}

/// ProFTPD's sessions take each other's port now and then, and say 425 to EPSV.
#[test]
fn epsv_that_is_refused_for_now_becomes_pasv_this_time() {
    let mut script = Script::ready(rules());
    script.client("EPSV").gives(&["listen", "B EPSV"]);
    script.passive().gives(&["C 229"]);
    script
        .backend("425 EPSV: Address already in use")
        .gives(&["B PASV"]);
    script.client("RETR a").gives(&[]);
    script
        .backend("227 At 10,0,0,9,10,11")
        .gives(&["open", "B RETR a"]);

    // There is an end to it, and it is not remembered.
    let mut script = Script::ready(rules());
    script.client("EPSV").gives(&["listen", "B EPSV"]);
    script.passive().gives(&["C 229"]);
    script.backend("425 Not now").gives(&["B PASV"]);
    script.backend("425 Not now").gives(&[]);
    script
        .client("RETR a")
        .gives(&["stop listening", "C 425 No data connection"]);
    script.client("EPSV").gives(&["listen", "B EPSV"]);
}

#[test]
fn the_next_command_waits_for_both_halves() {
    let mut script = Script::ready(rules());
    script.client("EPSV").gives(&["listen", "B EPSV"]);
    script.passive().gives(&["C 229"]);
    script.client("RETR a").gives(&[]);
    script
        .backend("229 Here (|||4711|)")
        .gives(&["open", "B RETR a"]);
}

#[test]
fn no_port_of_ours_is_425() {
    let mut script = Script::ready(rules());
    script.client("EPSV").gives(&["listen", "B EPSV"]);
    script.backend("229 Here (|||4711|)").gives(&[]);
    script.no_passive().gives(&["C 425"]);
    script.client("RETR a").gives(&["C 425"]);
}

#[test]
fn protection_that_the_backend_refuses_is_425() {
    let mut script = Script::secured(rules());
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["B AUTH TLS"]);
    script.backend("234 Go").gives(&["secure backend"]);
    script.reached(FromBackend::Secured).gives(&["B USER ann"]);
    script.backend("230 In").gives(&["C 230"]);
    script.client("PBSZ 0").gives(&["C 200"]);
    script.client("PROT P").gives(&["C 200"]);
    script.client("EPSV").gives(&["listen", "B PBSZ 0"]);
    script.passive().gives(&["C 229"]);
    script.backend("500 PBSZ?").gives(&["B PROT P"]);
    script.backend("536 No").gives(&[]);
    script.client("LIST").gives(&[
        "stop listening",
        "C 425 No data connection: the server refuses",
    ]);
}

#[test]
fn a_prot_between_port_and_transfer_counts_on_both_legs() {
    let matching = SiteRules {
        backend_protection: BackendProtection::Match,
        client_protection: clear().client_protection,
        ..rules()
    };
    let mut script = Script::ready(matching);
    script.client("PROT C").gives(&["C 200"]);
    script.client("RETR a").gives(&["B PROT C"]);
    script
        .backend("200 Clear")
        .gives(&["open (Clear, Clear)", "B RETR a"]);
}

#[test]
fn address_families() {
    let mut script = Script::ready(rules());
    script.client("EPSV 2").gives(&["C 522"]);
    script.client("EPSV 3").gives(&["C 522"]);
    script.client("EPRT |2|fd00::7|5000|").gives(&["C 522"]);
    script.client("EPSV ALL").gives(&["C 200"]);
    script.client("PASV").gives(&["C 503"]);
    script.client("PORT 192,0,2,7,195,80").gives(&["C 503"]);
    script.client("EPRT |1|192.0.2.7|5000|").gives(&["C 503"]);
    script.client("EPSV").gives(&["listen", "B EPSV"]);

    let mut script = Script::open_family(clear(), true);
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["B USER ann"]);
    script.backend("230 In").gives(&["C 230"]);
    script.client("PASV").gives(&["C 425"]);
    script.client("EPSV 1").gives(&["C 522"]);
    script.client("EPSV 2").gives(&["listen", "B EPSV"]);
}

/// Field case P30.
#[test]
fn epsv_all_outlives_a_transfer_that_failed() {
    let mut script = Script::ready(rules());
    script.client("EPSV ALL").gives(&["C 200"]);
    script.flowing("RETR a");
    script
        .client("ABOR")
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
    script
        .flowed(500, Side::Backend, End::Aborted)
        .gives(&["end client reset"]);
    script
        .ended(Side::Client, End::Aborted)
        .gives(&["close data", "C 426", "C 226"]);
    script.backend("426 Aborted").gives(&[]);
    script.backend("226 Aborted").gives(&[]);
    script.backend("257 \"/\"").gives(&[]);
    script.client("PASV").gives(&["C 503"]);
    script.works();
}

/// Field case P31.
#[test]
fn other_modes_than_stream_reach_no_backend() {
    let mut script = Script::ready(rules());
    script.client("MODE Z").gives(&["C 504"]);
    script.client("MODE B").gives(&["C 504"]);
    script.client("MODE S").gives(&["B MODE S"]);
}

#[test]
fn an_alarm_that_goes_off_early_means_nothing() {
    let mut script = Script::ready(rules());
    script.step(Input::Deadline).gives(&[]);
    script.works();
}

/// Field notes P25 and P26: clients that leave out PBSZ, or say nothing of protection at all.
#[test]
fn pbsz_and_prot_may_be_left_out_where_the_listener_says_so() {
    let mut script = Script::secured(SiteRules {
        pbsz: Pbsz::Optional,
        ..rules()
    });
    script.client("PROT P").gives(&["C 200"]);
    Script::open(SiteRules {
        pbsz: Pbsz::Optional,
        ..rules()
    })
    .client("PROT P")
    .gives(&["C 503"]);

    let mut script = Script::secured(SiteRules {
        backend_tls: BackendTls::Off,
        assume_private: true,
        ..rules()
    });
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["B USER ann"]);
    script.backend("230 In").gives(&["C 230"]);
    // Not 521: it counts as private.
    script.client("RETR a").gives(&["C 425 Use EPSV"]);
}

#[test]
fn mode_z_is_passed_where_the_pool_has_it_and_nowhere_else() {
    let mut script = Script::ready(rules());
    for mode in ["Z", "B", "C"] {
        script.client(&format!("MODE {mode}")).gives(&["C 504"]);
    }
    script.client("MODE s").gives(&["B MODE s"]);
    script.backend("200 Stream").gives(&["C 200"]);

    let mut script = Script::ready(SiteRules {
        mode_z: true,
        on_empty: OnEmpty::Verify,
        ..rules()
    });
    let others = "C 504 Only MODE S and MODE Z are offered";
    script.client("MODE B").gives(&[others]);
    script.client("FEAT").gives(&["B FEAT"]);
    script.backend("211-Mine:").gives(&[]);
    script.backend(" MODE Z").gives(&[]);
    script.backend("211 End").gives(&[
        "C 211-Features: /  AUTH TLS /  PBSZ /  PROT /  EPSV /  PASV /  EPRT /  MODE Z / 211 End",
    ]);
    script.client("MODE z").gives(&["B MODE z"]);
    script.backend("200 Compressed").gives(&["C 200"]);
    // No SIZE is asked for: it would be compared with compressed bytes.
    script.flowing("RETR a");
    script.flowed(0, Side::Backend, End::Clean).gives(&[]);
    script.backend("226 Done").gives(&["end client clean"]);
    script
        .ended(Side::Client, End::Clean)
        .gives(&["close data", "C 226 Done"]);
}
