//! Rule 13 with 120 and 421 of the backend, at any time: the client hears the 421 that fits, once, and as the last word.

use std::time::Duration;

use sluicegate::dialog::Side::{Backend, Client};
use sluicegate::dialog::{End, FromBackend, Loss};
use sluicegate::policy::{BackendTls, OnEmpty, PassiveStyle, SiteRules};

use crate::script::{Script, clear, rules};

/// What is told when the backend has ended the session: its own 421 is passed on where it answers a command of the client.
const LOST: [&str; 2] = ["C 421 The connection to the server is lost", "close"];

/// USER has been said, and the backend's control connection is there.
fn reached(rules: SiteRules) -> Script {
    let mut script = Script::secured(rules);
    script.client("USER ann").gives(&["connect"]);
    script.reached(FromBackend::Reached);
    script
}

#[test]
fn a_backend_that_is_ready_soon_is_waited_for() {
    let mut script = reached(rules());
    script.gives(&[]);
    script.backend("120-One moment").gives(&[]);
    script.backend("220 is not said yet").gives(&[]);
    script.backend("120 One moment").gives(&[]);
    script.passes(Duration::from_secs(9));
    script.backend("120 Another one").gives(&[]);
    script.backend("220-Here").gives(&[]);
    script.backend("220 I am").gives(&["B AUTH TLS"]);

    // Saying it again and again buys no time.
    let mut script = reached(rules());
    script.gives(&[]);
    script.passes(Duration::from_secs(9));
    script.backend("120 One moment").gives(&[]);
    script
        .waits(Duration::from_secs(1))
        .passes_over("Silent")
        .gives(&["C 421 The server did not answer", "close"]);

    let mut script = reached(SiteRules {
        backend_tls: BackendTls::Implicit,
        ..rules()
    });
    script.gives(&["secure backend"]);
    script.reached(FromBackend::Secured).gives(&[]);
    script.backend("120 One moment").gives(&[]);
    script.backend("220 Here").gives(&["B USER ann"]);
}

#[test]
fn a_421_before_the_login() {
    let mut soon = reached(rules());
    soon.gives(&[]).backend("120 One moment").gives(&[]);
    soon.backend("421-Too many").gives(&[]);
    soon.backend("421 users")
        .passes_over("Refused")
        .gives(&LOST);

    let mut auth = reached(rules());
    auth.gives(&[]).backend("220 Here").gives(&["B AUTH TLS"]);
    auth.backend("421 Going down")
        .passes_over("NoTls")
        .gives(&LOST);

    let mut user = reached(SiteRules {
        backend_tls: BackendTls::Off,
        ..rules()
    });
    user.gives(&[]).backend("220 Here").gives(&["B USER ann"]);
    user.backend("421 Too many like you")
        .gives(&["C 421 Too many like you", "B QUIT", "close"]);

    let mut pass = reached(SiteRules {
        backend_tls: BackendTls::Off,
        ..rules()
    });
    pass.gives(&[]).backend("220 Here").gives(&["B USER ann"]);
    pass.backend("331 Password").gives(&["C 331 Password"]);
    pass.client("PASS secret").gives(&["B PASS secret"]);
    pass.backend("421-Not").gives(&["C 421-Not"]);
    pass.backend("421 today")
        .gives(&["C 421 today", "B QUIT", "close"]);
    // The end that follows is no news any more.
    pass.backend_lost(Loss::Closed).gives(&[]);
}

#[test]
fn a_421_while_a_data_connection_is_arranged() {
    let mut pbsz = reached(SiteRules {
        backend_tls: BackendTls::Explicit,
        ..rules()
    });
    pbsz.gives(&[]).backend("220 Here").gives(&["B AUTH TLS"]);
    pbsz.backend("234 Go").gives(&["secure backend"]);
    pbsz.reached(FromBackend::Secured).gives(&["B USER ann"]);
    pbsz.backend("230 In").gives(&["C 230 In"]);
    pbsz.client("PBSZ 0").gives(&["C 200"]);
    pbsz.client("PROT P").gives(&["C 200"]);
    pbsz.client("EPSV").gives(&["listen", "B PBSZ 0"]);
    pbsz.passive().gives(&["C 229"]);
    pbsz.backend("421 Going down").gives(&LOST);

    let mut pasv = Script::ready(rules());
    pasv.client("PASV").gives(&["listen", "B EPSV"]);
    pasv.backend("500 EPSV?").gives(&["B PASV"]);
    pasv.backend("421 Going down").gives(&LOST);

    let mut port = Script::open(SiteRules {
        passive: PassiveStyle::Port,
        ..clear()
    });
    port.client("USER ann").gives(&["connect"]);
    port.reached(FromBackend::Reached).gives(&[]);
    port.backend("220 Hello").gives(&["B USER ann"]);
    port.backend("230 In").gives(&["C 230 In"]);
    port.client("EPSV").gives(&["listen", "listen inside"]);
    port.passive().gives(&["C 229"]);
    port.passive_inside("10.0.0.1:50002")
        .gives(&["B PORT 10,0,0,1,195,82"]);
    port.backend("421 Going down").gives(&LOST);
}

#[test]
fn a_421_in_the_place_of_a_150() {
    for (command, first, second) in [("RETR a", Backend, Client), ("STOR a", Client, Backend)] {
        let ends = if first == Backend {
            ["end backend reset", "end client unfinished"]
        } else {
            ["end client unfinished", "end backend reset"]
        };
        let mut script = Script::ready(rules());
        let passed = format!("B {command}");
        script.client(command).gives(&["open", &passed]);
        script.backend("421-Going").gives(&[]);
        script.backend("421 down").gives(&ends[..1]);
        // Its control connection ends behind that: the legs are still ended first.
        script.backend_lost(Loss::Closed).gives(&[]);
        script.ended(first, End::Refused).gives(&ends[1..]);
        script.ended(second, End::Refused).gives(&[
            "close data",
            "C 421-Going / 421 down",
            "close",
        ]);
    }
}

#[test]
fn a_421_amid_a_download_delivers_what_was_received() {
    let mut script = Script::ready(rules());
    script.flowing("RETR a");
    script.backend("421 Going down").gives(&[]);
    script.backend_lost(Loss::Closed).gives(&[]);
    script
        .flowed(500, Backend, End::Unfinished)
        .gives(&["end client unfinished"]);
    script
        .ended(Client, End::Unfinished)
        .gives(&["close data", "C 421 Going down", "close"]);

    // Its data connection stands on: that is bounded.
    let mut script = Script::ready(rules());
    script.flowing("RETR a");
    script.backend("421 Going down").gives(&[]);
    script
        .waits(Duration::from_secs(10))
        .gives(&["end backend reset"]);
    script
        .flowed(500, Backend, End::Aborted)
        .gives(&["end client unfinished"]);
    script.ended(Client, End::Unfinished).gives(&[
        "close data",
        "C 421 Going down",
        "B QUIT",
        "close",
    ]);
}

#[test]
fn a_421_amid_an_upload_is_no_success() {
    let mut script = Script::ready(rules());
    script.flowing("STOR a");
    script
        .backend("421 Going down")
        .gives(&["end client reset"]);
    script
        .flowed(500, Client, End::Aborted)
        .gives(&["end backend reset"]);
    script.ended(Backend, End::Aborted).gives(&[
        "close data",
        "C 421 Going down",
        "B QUIT",
        "close",
    ]);
}

#[test]
fn a_421_behind_the_226_ends_the_session_behind_the_transfer() {
    let mut script = Script::ready(rules());
    script.flowing("RETR a");
    script.flowed(500, Backend, End::Clean).gives(&[]);
    script.backend("226 Done").gives(&["end client clean"]);
    script.backend("421 And now I go").gives(&[]);
    script.backend_lost(Loss::Closed).gives(&[]);
    script
        .ended(Client, End::Clean)
        .gives(&["close data", "C 226 Done", LOST[0], LOST[1]]);
}

#[test]
fn a_421_in_the_place_of_a_size() {
    let mut script = Script::ready(SiteRules {
        on_empty: OnEmpty::Verify,
        ..rules()
    });
    script.flowing("RETR a");
    script.flowed(0, Backend, End::Clean).gives(&[]);
    script.backend("226 Done").gives(&["B SIZE a"]);
    script
        .backend("421 Going down")
        .gives(&["close data", LOST[0], LOST[1]]);
}
