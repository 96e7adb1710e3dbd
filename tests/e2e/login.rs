//! The control path: AUTH, PBSZ, PROT, login, FEAT, and what an attacker in the path tries.
//!
//! Secrets in the log are looked for at the end of every gate of every module.

use std::process::Command;

use crate::support::certs::{Authority, Versions};
use crate::support::clients::Target;
use crate::support::door::nobody;
use crate::support::gate::{Gate, Setup};
use crate::support::process::run;
use crate::support::rude::{Act, Rude, Script};
use crate::support::strict::Strict;
use crate::support::wire::Got;
use crate::support::{PASSWORD, Scene, USER, start};

fn greet(scene: &Scene, gate: &Gate) -> Strict {
    Strict::greet(gate.address(), scene.authority.client(Versions::Both))
}

#[test]
fn tls_comes_first_where_it_is_required() {
    let (scene, rude, gate) = start(Script::new(), Setup::new());
    let mut client = greet(&scene, &gate);
    client.say(&format!("USER {USER}")).expect(&[530, 534, 550]);
    client.say("PBSZ 0").expect(&[503]);
    client.say("PROT P").expect(&[503]);
    client.say("AUTH GSSAPI").expect(&[504]);
    client.auth();
    client.login();
    assert!(
        rude.commands()
            .iter()
            .filter(|line| line.starts_with("USER"))
            .count()
            == 1
    );
}

#[test]
fn protection_has_an_order_and_a_floor() {
    let script = Script::new().file("file", b"payload");
    let (scene, _rude, gate) = start(script, Setup::new());
    let mut client = greet(&scene, &gate);
    client.auth();
    client.say("PROT P").expect(&[503]);
    client.login();
    client.say("PBSZ 0").expect(&[200]);
    client.say("PROT C").expect(&[534, 536]);
    client.say("PROT X").expect(&[504]);
    client.say("EPSV").expect(&[229]);
    // Data begins clear (RFC 4217 section 9), and that is not enough here.
    client.say("RETR file").expect(&[521]);
    client.protect('P');
    client.download("RETR file").assert_complete(b"payload");
    client.say("AUTH TLS").expect(&[503, 534]);
    client.say("CCC").expect(&[533, 534, 500, 502]);
}

#[test]
fn plaintext_behind_auth_ends_the_session() {
    let (scene, rude, gate) = start(Script::new(), Setup::new());
    let mut client = greet(&scene, &gate);
    client
        .control()
        .write_raw(format!("AUTH TLS\r\nUSER {USER}\r\n").as_bytes())
        .unwrap();
    loop {
        match client.control().read() {
            Ok(Got::Bytes(reply)) => {
                let reply = String::from_utf8_lossy(&reply).into_owned();
                assert!(!reply.contains("331") && !reply.contains("230"), "{reply}");
            }
            Ok(Got::Fin | Got::CloseNotify) => break,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                break;
            }
        }
    }
    assert_eq!(
        rude.commands(),
        Vec::<String>::new(),
        "nothing may reach the backend"
    );
    gate.wait_for_log("inject");
}

#[test]
fn plaintext_behind_the_backends_234_ends_the_session() {
    let (scene, rude, gate) = start(Script::new().on("AUTH", Act::PlainBehind), Setup::new());
    let mut client = greet(&scene, &gate);
    client.auth();
    client
        .say(&format!("USER {USER}"))
        .expect(&[421, 425, 430, 431, 434, 450, 451]);
    assert!(
        !rude.commands().iter().any(|line| line.starts_with("USER")),
        "{:?}",
        rude.commands()
    );
    gate.wait_for_log("inject");
}

#[test]
fn a_wrong_password_is_the_backends_to_refuse() {
    let (scene, rude, gate) = start(Script::new(), Setup::new());
    let mut client = greet(&scene, &gate);
    client.auth();
    client.say(&format!("USER {USER}")).expect(&[331]);
    client.say("PASS wrong-and-secret-1").expect(&[530]);
    client.login();
    client.say("PWD").expect(&[257]);
    assert!(
        rude.commands().contains(&format!("PASS {PASSWORD}")),
        "the password must arrive as it was given"
    );
    assert!(
        !gate.stop().contains("wrong-and-secret-1"),
        "a wrong password is a secret too"
    );
}

#[test]
fn guessing_ends_with_421() {
    let (scene, _rude, gate) = start(Script::new(), Setup::new());
    let mut client = greet(&scene, &gate);
    client.auth();
    for _ in 0..20 {
        if client.say(&format!("USER {USER}")).code == 421 {
            return;
        }
        if client.say("PASS wrong-and-secret-2").code == 421 {
            return;
        }
    }
    panic!("twenty wrong passwords were taken");
}

#[test]
fn secrets_stay_out_of_the_log() {
    let setup = Setup::new();
    let script = Script::new()
        .on("PASS", Act::Say("332 Account, please\r\n"))
        .on("ACCT", Act::Say("230 Fine\r\n"));
    let (scene, rude, gate) = start(script, setup);
    let mut client = greet(&scene, &gate);
    client.auth();
    client.say(&format!("USER {USER}")).expect(&[331]);
    client.say(&format!("PASS {PASSWORD}")).expect(&[332]);
    client.say("ACCT hush-money-99").expect(&[230]);
    client.say("QUIT").expect(&[221]);
    assert!(rude.commands().contains(&"ACCT hush-money-99".to_owned()));
    let log = gate.stop();
    assert!(!log.contains("hush-money-99") && !log.contains(PASSWORD));
}

#[test]
fn feat_is_the_gates_own_and_then_what_both_can_do() {
    let (scene, _rude, gate) = start(Script::new(), Setup::new());
    let mut client = greet(&scene, &gate);
    let before = client.say("FEAT").expect(&[211]).text;
    for feature in ["AUTH TLS", "PBSZ", "PROT", "EPSV"] {
        assert!(before.contains(feature), "{feature} is missing: {before}");
    }
    client.auth();
    client.login();
    let after = client.say("FEAT").expect(&[211]).text;
    for feature in ["PBSZ", "PROT", "EPSV", "SIZE", "REST STREAM", "MLST"] {
        assert!(after.contains(feature), "{feature} is missing: {after}");
    }
    for feature in ["XRUDE", "MDTM"] {
        assert!(!after.contains(feature), "{feature} is not both's: {after}");
    }
}

#[test]
fn tls_to_the_backend_is_never_given_up_silently() {
    let (scene, rude, gate) = start(Script::new().clear(), Setup::new());
    let mut client = greet(&scene, &gate);
    client.auth();
    let code = client.say(&format!("USER {USER}")).code;
    assert!((400..500).contains(&code), "{code}");
    assert!(
        !rude.commands().iter().any(|line| line.starts_with("USER")),
        "{:?}",
        rude.commands()
    );
}

#[test]
fn a_backend_with_a_foreign_certificate_hears_no_name() {
    let foreign = Scene::new();
    let setup = Setup::new().pool(
        "ca",
        &format!("\"{}\"", foreign.authority.ca_file().display()),
    );
    let (scene, rude, gate) = start(Script::new(), setup);
    let mut client = greet(&scene, &gate);
    client.auth();
    let code = client.say(&format!("USER {USER}")).code;
    assert!((400..500).contains(&code), "{code}");
    assert!(
        !rude.commands().iter().any(|line| line.starts_with("USER")),
        "{:?}",
        rude.commands()
    );
}

#[test]
fn verification_can_be_turned_off() {
    let foreign = Scene::new();
    let setup = Setup::new()
        .pool(
            "ca",
            &format!("\"{}\"", foreign.authority.ca_file().display()),
        )
        .pool("verify", "\"off\"");
    let (scene, _rude, gate) = start(Script::new().file("file", b"payload"), setup);
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.download("RETR file").assert_complete(b"payload");
}

#[test]
fn a_backend_that_signed_itself_is_pinned() {
    let scene = Scene::new();
    let mut inside = Scene::new();
    inside.authority = Authority::of_openssl(&inside.folder("own"));
    let rude = Rude::start(&inside, Script::new().file("file", b"payload"));
    let own = inside.authority.certificate_file();
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]);
    let printed = run(openssl.arg(own)).ok().text();
    let fingerprint = printed.trim().split_once('=').unwrap().1;
    // The code of USER, and what the log says about the backend.
    let login = |setup: Setup, told: &str| {
        let gate = Gate::start(&scene, rude.address(), setup);
        let mut client = greet(&scene, &gate);
        client.auth();
        let code = client.say(&format!("USER {USER}")).code;
        gate.wait_for_log(told);
        code
    };
    let pinned = |pin: &str| {
        Setup::new()
            .pool("verify", "\"pin\"")
            .pool("pins", &format!("[\"{pin}\"]"))
    };
    assert_eq!(login(pinned(fingerprint), "control leg secured"), 331);
    let code = login(pinned(&"0".repeat(64)), &fingerprint.replace(':', ""));
    assert!((400..500).contains(&code), "{code}");
    let code = login(
        Setup::new().pool("ca", &format!("\"{}\"", own.display())),
        "CA:TRUE",
    );
    assert!((400..500).contains(&code), "{code}");
}

#[test]
fn backend_leg_is_clear_where_the_pool_says_so() {
    let script = Script::new()
        .clear()
        .file("hollow", b"")
        .file("file", b"payload");
    let (scene, rude, gate) = start(script, Setup::new().pool("tls", "\"off\""));
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.download("RETR hollow").assert_complete(b"");
    client.download("RETR file").assert_complete(b"payload");
    client.upload("STOR up", b"").reply.expect(&[226]);
    assert_eq!(rude.stored("up").unwrap(), b"");
}

#[test]
fn backend_leg_can_match_the_client() {
    let script = Script::new().file("file", b"payload");
    let setup = Setup::new()
        .listener("tls", "\"optional\"")
        .pool("tls", "\"match\"");
    let (scene, rude, gate) = start(script, setup);
    let mut private = Strict::open(gate.address(), &scene.authority, Versions::Both);
    private.download("RETR file").assert_complete(b"payload");
    assert!(rude.commands().iter().any(|line| line.starts_with("AUTH")));

    let mut clear = greet(&scene, &gate);
    // The rude backend takes no login without TLS: the gate must not have added it.
    clear.say(&format!("USER {USER}")).expect(&[530]);
}

#[test]
fn a_clear_client_where_the_listener_allows_it() {
    let (scene, _rude, gate) = start(
        Script::new().file("file", b"payload"),
        Setup::new().listener("tls", "\"optional\""),
    );
    let mut client = greet(&scene, &gate);
    client.login();
    let transfer = client.download("RETR file");
    transfer.reply.expect(&[226]);
    assert_eq!(transfer.bytes, b"payload");
}

#[test]
fn odd_replies_arrive_whole() {
    let long: &'static str = {
        let lines = (0..500).map(|n| format!(" line {n} {}\r\n", "x".repeat(200)));
        format!("214-Help\r\n{}214 End\r\n", lines.collect::<String>()).leak()
    };
    let script = Script::new()
        .on(
            "PASS",
            Act::Dribble("230-One\r\n230 looks like the end\r\n"),
        )
        .on(
            "SYST",
            Act::Say("215-\r\n\r\n 215 not the end\r\n215 UNIX\r\n"),
        )
        .on("SITE HELP", Act::Say(long));
    let (scene, _rude, gate) = start(script, Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    let system = client.say("SYST").expect(&[215]);
    assert!(system.text.ends_with("215 UNIX"), "{system:?}");
    let help = client.say("SITE HELP").expect(&[214]);
    assert_eq!(help.text.lines().count(), 502);
    client.say("NOOP").expect(&[200]);
}

#[test]
fn a_login_without_a_password() {
    let (scene, _rude, gate) = start(
        Script::new().on("USER", Act::Say("230 Come in\r\n")),
        Setup::new(),
    );
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    client.say("PWD").expect(&[257]);
}

#[test]
fn a_backend_that_is_not_there_is_said_so() {
    let scene = Scene::new();
    let nobody = nobody();
    let gate = Gate::start(&scene, nobody.local_addr().unwrap(), Setup::new());
    let mut client = greet(&scene, &gate);
    client.auth();
    let code = client.say(&format!("USER {USER}")).code;
    assert!((400..500).contains(&code), "{code}");
}

#[test]
fn a_backend_that_greets_with_421_is_said_so() {
    let (scene, _rude, gate) = start(Script::new().greeting("421 Too many\r\n"), Setup::new());
    let mut client = greet(&scene, &gate);
    client.auth();
    let code = client.say(&format!("USER {USER}")).code;
    assert!((400..500).contains(&code), "{code}");
}

#[test]
fn check_finds_what_is_wrong() {
    let scene = Scene::new();
    let config = scene.file("bad.toml", "[process]\ncores = \"all\"\nspeed = 11\n");
    let ran = Gate::check(&config);
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    assert!(
        format!("{}{}", ran.text(), ran.stderr).contains("speed"),
        "{ran:?}"
    );
}

/// Field note P25: clients that say neither PBSZ nor PROT, or only the latter.
#[test]
fn protection_may_go_without_saying() {
    let script = Script::new().file("file", b"payload").file("hollow", b"");
    let setup = Setup::new().listener("profile", "\"tumbleweed\"");
    let (scene, rude, gate) = start(script.clone(), setup);
    let mut client = greet(&scene, &gate);
    client.auth();
    client.login();
    client.assume_private();
    client.download("RETR file").assert_complete(b"payload");
    client.download("RETR hollow").assert_complete(b"");
    client.upload("STOR up", b"").reply.expect(&[226]);
    assert_eq!(rude.stored("up").unwrap(), b"");

    let setup = Setup::new().listener("pbsz", "\"optional\"");
    let (scene, _rude, gate) = start(script, setup);
    let mut client = greet(&scene, &gate);
    client.auth();
    client.login();
    client.say("PROT P").expect(&[200]);
    client.assume_private();
    client.download("RETR file").assert_complete(b"payload");
}

/// Field note P31: refused by default, and opaque where it is not.
#[test]
fn mode_z_is_the_pools_to_pass() {
    let backend = || {
        Script::new().file("file", &stored(b"payload")).on(
            "FEAT",
            Act::Say("211-Features:\r\n EPSV\r\n MODE Z\r\n211 End\r\n"),
        )
    };
    let (scene, _rude, gate) = start(backend(), Setup::new().pool("mode_z", "true"));
    let target = Target::new(&scene, gate.address());
    let script = "import zlib\nassert 'MODE Z' in ftp.sendcmd('FEAT')\nftp.voidcmd('MODE Z')\nparts = []\n\
                  ftp.retrbinary('RETR file', parts.append)\nprint(zlib.decompress(b''.join(parts)).decode())";
    assert_eq!(target.ftplib(script).ok().text().trim(), "payload");
    let log = gate.wait_for_log("\"RETR\"");
    let bytes = format!("\"bytes\":{}", stored(b"payload").len());
    assert!(log.contains(&bytes), "compressed bytes are counted: {log}");

    let (scene, _rude, gate) = start(backend(), Setup::new());
    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    assert!(!client.say("FEAT").expect(&[211]).text.contains("MODE"));
    for mode in ["Z", "B", "C"] {
        client.say(&format!("MODE {mode}")).expect(&[504]);
    }
}

/// A zlib stream (RFC 1950) of one stored block (RFC 1951 section 3.2.4).
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let mut stream = vec![0x78, 0x01, 0x01];
    stream.extend(length.to_le_bytes());
    stream.extend((!length).to_le_bytes());
    stream.extend(bytes);
    let sums = bytes.iter().fold((1, 0), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    stream.extend((sums.1 << 16 | sums.0).to_be_bytes());
    stream
}
