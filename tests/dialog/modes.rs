//! Modes of each leg: implicit TLS, and who opens data connections.

use sluicegate::dialog::{End, FromBackend, FromClient, Input, Loss, Side};
use sluicegate::limits::{
    BACKEND_CONNECT_TIMEOUT, DATA_CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT, LINGER_TIMEOUT,
};
use sluicegate::policy::{BackendProtection, BackendTls, ClientTls, PassiveStyle, SiteRules};

use crate::script::{Script, clear, rules};

fn implicit() -> SiteRules {
    SiteRules {
        client_tls: ClientTls::Implicit,
        assume_private: true,
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
        assume_private: false,
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
        script
            .waits(waits)
            .passes_over("Silent")
            .gives(&["C 421", "close"]);
    }
}

#[test]
fn an_implicit_backend_may_greet_in_clear_text() {
    let mut script = Script::secured(SiteRules {
        backend_banner_first: true,
        ..implicit_inside()
    });
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["secure backend"]);
    script.reached(FromBackend::Secured).gives(&["B USER ann"]);
    script.backend("230 In").gives(&["C 230 In"]);
    script.client("EPSV").gives(&["listen", "B PBSZ 0"]);
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

const PORT: &str = "PORT 192,0,2,7,195,80";

#[test]
fn port_and_eprt_reach_the_client_itself_and_nobody_else() {
    let mut script = Script::ready(rules());
    for (command, reply) in [
        (
            "PORT 192,0,2,8,195,80",
            "C 504 Data connections are opened to the address",
        ),
        ("PORT 127,0,0,1,195,80", "C 504"),
        ("EPRT |1|10.0.0.1|50000|", "C 504"),
        (
            "PORT 192,0,2,7,3,255",
            "C 504 Data connections are not opened to ports below",
        ),
        ("EPRT |1|192.0.2.7|21|", "C 504"),
        ("PORT 192,0,2,7,195", "C 501"),
        ("PORT (192,0,2,7,195,80)", "C 501"),
        ("EPRT |1|192.0.2.7|50000", "C 501"),
        (
            "EPRT |2|fd00::7|50000|",
            "C 522 Network protocol not supported, use (1)",
        ),
        ("EPRT |9|192.0.2.7|50000|", "C 522"),
        ("LPRT 4,4,192,0,2,7,2,195,80", "C 502"),
    ] {
        script.client(command).gives(&[reply]);
    }
    // What was arranged before still stands; a refused command arranges nothing.
    script.client("RETR a").gives(&["open", "B RETR a"]);

    let mut script = Script::ready(SiteRules {
        active: false,
        ..rules()
    });
    script.client(PORT).gives(&["C 502"]);
    script.client("EPRT |1|192.0.2.7|50000|").gives(&["C 502"]);
}

#[test]
fn ipv6_clients_use_eprt() {
    let mut script = Script::open_family(clear(), true);
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["B USER ann"]);
    script.backend("230 In").gives(&["C 230"]);
    script.client(PORT).gives(&["C 504"]);
    script
        .client("EPRT |1|192.0.2.7|50000|")
        .gives(&["C 522 Network protocol not supported, use (2)"]);
    script.client("EPRT |2|fd00::8|50000|").gives(&["C 504"]);
    script
        .client("EPRT |2|FD00:0::7|50000|")
        .gives(&["C 200", "B EPSV"]);
    script.backend("229 Here (|||4711|)").gives(&[]);
    script
        .client("RETR a")
        .gives(&["open (Clear, Clear) (Port(50000), Port(4711))", "B RETR a"]);
}

#[test]
fn an_active_transfer_is_like_any_other() {
    let mut script = Script::ready(rules());
    script
        .client(PORT)
        .gives(&["stop listening", "C 200", "B EPSV"]);
    // The transfer waits for the backend's half.
    script.client("RETR a").gives(&[]);
    script
        .backend("229 Here (|||4711|)")
        .gives(&["open (Port(50000), Port(4711))", "B RETR a"]);
    script.backend("150 Opening").gives(&["C 150"]);
    script.up(Side::Backend);
    script.up(Side::Client);
    script.flowed(0, Side::Backend, End::Clean).gives(&[]);
    script.backend("226 Fine").gives(&["end client clean"]);
    script
        .ended(Side::Client, End::Clean)
        .gives(&["close data", "C 226 Fine"]);
    script.client("RETR a").gives(&["C 425 Use EPSV"]);
    script.client(PORT).gives(&["C 200", "B EPSV"]);
    script.backend("425 No").gives(&["B PASV"]);
    script.backend("425 No").gives(&[]);
    // There is no listener to be closed.
    script.client("RETR a").gives(&["C 425 No data connection"]);
    script.works();
}

#[test]
fn a_client_that_cannot_be_reached_is_425() {
    for refused in [true, false] {
        let mut script = Script::ready(rules());
        script
            .client(PORT)
            .gives(&["stop listening", "C 200", "B EPSV"]);
        script.backend("229 Here (|||4711|)").gives(&[]);
        script
            .client("RETR a")
            .gives(&["open (Port(50000), Port(4711))", "B RETR a"]);
        script.up(Side::Backend);
        if refused {
            script.ended(Side::Client, End::Refused)
        } else {
            // From the command on, whatever the backend says or does not say.
            script.waits(DATA_CONNECT_TIMEOUT)
        }
        .gives(&["B ABOR", "B PWD", "end backend reset"]);
        script.ended(Side::Backend, End::Aborted);
        if !refused {
            script.gives(&["end client unfinished"]);
            script.ended(Side::Client, End::Refused);
        }
        script.gives(&["close data", "C 425 The client's data connection"]);
        script.backend("426 Aborted").gives(&[]);
        script.backend("226 Done").gives(&[]);
        script.backend("257 /").gives(&[]);
        script.works();
    }
}

fn ready_active(style: PassiveStyle) -> Script {
    let mut script = Script::secured(SiteRules {
        passive: style,
        ..rules()
    });
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached).gives(&[]);
    script.backend("220 Hello").gives(&["B AUTH TLS"]);
    script.backend("234 Go").gives(&["secure backend"]);
    script.reached(FromBackend::Secured).gives(&["B USER ann"]);
    script.backend("230 In").gives(&["C 230 In"]);
    script.client("PBSZ 0").gives(&["C 200"]);
    script.client("PROT P").gives(&["C 200"]);
    script.client("EPSV").gives(&["listen", "B PBSZ 0"]);
    script.backend("200 Zero").gives(&["B PROT P"]);
    script.passive().gives(&["C 229"]);
    script.backend("200 Private").gives(&["listen inside"]);
    script
}

#[test]
fn the_backend_may_be_the_one_that_connects() {
    for (style, address, command) in [
        (
            PassiveStyle::Port,
            "10.0.0.2:50002",
            "B PORT 10,0,0,2,195,82",
        ),
        (
            PassiveStyle::Eprt,
            "10.0.0.2:50002",
            "B EPRT |1|10.0.0.2|50002|",
        ),
        (
            PassiveStyle::Eprt,
            "[fd00::2]:50002",
            "B EPRT |2|fd00::2|50002|",
        ),
    ] {
        let mut script = ready_active(style);
        script.passive_inside(address).gives(&[command]);
        script.client("RETR a").gives(&[]);
        script
            .backend("200 Noted")
            .gives(&["open (Awaited, Awaited)", "B RETR a"]);
        // It may take long to its 150, and connect after it.
        script.passes(DATA_CONNECT_TIMEOUT * 2);
        script.backend("150 Opening").gives(&["C 150"]);
        script.up(Side::Client);
        script.up(Side::Backend);
        script.flowed(3, Side::Backend, End::Clean).gives(&[]);
        script.backend("226 Fine").gives(&["end client clean"]);
        script
            .ended(Side::Client, End::Clean)
            .gives(&["close data", "C 226 Fine"]);
        // Active on both legs.
        script.client(PORT).gives(&["C 200", "listen inside"]);
        script.passive_inside(address).gives(&[command]);
        script.backend("200 Noted").gives(&[]);
        script
            .client("STOR a")
            .gives(&["open (Port(50000), Awaited)", "B STOR a"]);
    }
}

#[test]
fn a_backend_that_never_connects_sent_nothing_or_failed() {
    let mut script = ready_active(PassiveStyle::Port);
    script.passive_inside("10.0.0.2:50002").gives(&["B PORT"]);
    script.backend("200 Noted").gives(&[]);
    script
        .client("RETR a")
        .gives(&["open (Awaited, Awaited)", "B RETR a"]);
    script.backend("150 Opening").gives(&["C 150"]);
    script.up(Side::Client);
    script.backend("226 Empty").gives(&[]);
    script.waits(LINGER_TIMEOUT).gives(&["end backend reset"]);
    script
        .ended(Side::Backend, End::Refused)
        .gives(&["end client clean"]);
    script
        .ended(Side::Client, End::Clean)
        .gives(&["close data", "C 226 Empty"]);

    let mut script = ready_active(PassiveStyle::Port);
    script.passive_inside("10.0.0.2:50002").gives(&["B PORT"]);
    script.backend("200 Noted").gives(&[]);
    script
        .client("STOR a")
        .gives(&["open (Awaited, Awaited)", "B STOR a"]);
    script.backend("150 Opening").gives(&["C 150"]);
    script.up(Side::Client);
    script
        .waits(DATA_CONNECT_TIMEOUT)
        .gives(&["B ABOR", "B PWD", "end client unfinished"]);
    script
        .ended(Side::Client, End::Unfinished)
        .gives(&["end backend reset"]);
    script
        .ended(Side::Backend, End::Refused)
        .gives(&["close data", "C 425 The server's data connection"]);
}

#[test]
fn a_backend_that_refuses_active_mode_holds_no_port() {
    let mut script = ready_active(PassiveStyle::Port);
    script.passive_inside("10.0.0.2:50002").gives(&["B PORT"]);
    script
        .backend("500 Illegal PORT command")
        .gives(&["stop listening inside"]);
    script.client("RETR a").gives(&[
        "stop listening",
        "C 425 No data connection: the server refuses",
    ]);

    let mut script = ready_active(PassiveStyle::Port);
    script
        .passive_inside("[fd00::2]:50002")
        .gives(&["stop listening inside"]);
    let mut script = ready_active(PassiveStyle::Eprt);
    script
        .step(Input::Passive(Side::Backend, None))
        .gives(&["stop listening inside"]);
    script.client("RETR a").gives(&["stop listening", "C 425"]);

    // No port for the client: the backend's goes as well.
    let mut script = ready_active(PassiveStyle::Port);
    script.passive_inside("10.0.0.2:50002").gives(&["B PORT"]);
    script.backend("200 Noted").gives(&[]);
    script.client("EPSV").gives(&["listen", "listen inside"]);
    script.passive_inside("10.0.0.2:50003").gives(&["B PORT"]);
    script.backend("200 Noted").gives(&[]);
    script
        .no_passive()
        .gives(&["C 425", "stop listening inside"]);
    script.client("RETR a").gives(&["C 425 Use EPSV"]);
}
