//! Another configuration in the same process: new sessions have it, those that run keep theirs, and one that is wrong changes nothing.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::admin::{self, MEANT, Series, series};
use crate::support::certs::{Authority, Versions};
use crate::support::gate::{Gate, Setup};
use crate::support::ports::Ports;
use crate::support::process::run;
use crate::support::rude::{Rude, Script};
use crate::support::strict::Strict;
use crate::support::wire::Wire;
use crate::support::{Scene, eventually, noise};

/// A gate whose configuration is changed under it, and which is asked through a socket in the scene's directory.
pub(crate) struct Bed {
    pub(crate) scene: Scene,
    pub(crate) rude: Rude,
    pub(crate) gate: Gate,
}

impl Bed {
    pub(crate) fn new(setup: impl FnOnce(Setup) -> Setup) -> Self {
        let script = Script::new().file("file", &noise(10_000));
        Self::of_script(script, setup(Setup::new()))
    }

    fn of_script(script: Script, setup: Setup) -> Self {
        let scene = Scene::new();
        let rude = Rude::start(&scene, script);
        let backend = rude.address();
        Self::with(scene, rude, backend, setup)
    }

    /// Before a backend of the test's own.
    pub(crate) fn before(backend: SocketAddr, setup: Setup) -> Self {
        let scene = Scene::new();
        let rude = Rude::start(&scene, Script::new());
        Self::with(scene, rude, backend, setup)
    }

    fn with(scene: Scene, rude: Rude, backend: SocketAddr, setup: Setup) -> Self {
        let setup = setup.admin("address", "\"unix:admin.sock\"");
        let gate = Gate::start(&scene, backend, setup);
        Self { scene, rude, gate }
    }

    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(self.scene.path("gate.toml")).unwrap()
    }

    pub(crate) fn write(&self, text: &str) {
        self.scene.file("gate.toml", text);
    }

    /// Replaces something that stands in the file.
    pub(crate) fn change(&self, old: &str, new: &str) {
        let text = self.text();
        assert!(text.contains(old), "{old} in {text}");
        self.write(&text.replace(old, new));
    }

    fn ask(&self, route: &str, options: &[&str]) -> (String, String) {
        admin::ask(&self.scene, route, options)
    }

    pub(crate) fn json(&self, route: &str) -> Value {
        admin::json(&self.scene, route)
    }

    /// Every series of `/metrics`, or of what else this names.
    pub(crate) fn all_series(&self, query: &str) -> Series {
        series(&admin::get(&self.scene, &format!("/metrics{query}")))
    }

    #[track_caller]
    fn series(&self, name: &str) -> f64 {
        self.all_series("")[name]
    }

    /// Asks for a reload: what the gate answers.
    fn try_reload(&self) -> (String, Value) {
        let (code, body) = self.ask("/reload", &MEANT);
        let body = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{code}: {body}"));
        (code, body)
    }

    pub(crate) fn reload(&self) -> Value {
        let (code, answer) = self.try_reload();
        assert_eq!(
            (code.as_str(), &answer["outcome"]),
            ("200", &json!("loaded")),
            "{answer}"
        );
        answer
    }

    /// The one complaint that the file has earned.
    fn refused(&self) -> Value {
        let (code, answer) = self.try_reload();
        assert_eq!(
            (code.as_str(), &answer["outcome"]),
            ("422", &json!("refused")),
            "{answer}"
        );
        let [complaint] = answer["complaints"].as_array().unwrap().as_slice() else {
            panic!("one complaint: {answer}")
        };
        complaint.clone()
    }

    pub(crate) fn client(&self) -> Strict {
        Strict::open(self.gate.address(), &self.scene.authority, Versions::Both)
    }
}

fn downloads(client: &mut Strict) {
    client.download("RETR file").assert_complete(&noise(10_000));
}

#[test]
fn a_new_certificate_is_shown_to_who_comes_now_and_who_is_there_goes_on() {
    let bed = Bed::new(|setup| setup);
    let mut old = bed.client();
    downloads(&mut old);
    let renewed = Authority::new(&bed.scene.folder("renewed"));
    for (new, file) in [
        (
            renewed.certificate_file(),
            bed.scene.authority.certificate_file(),
        ),
        (renewed.key_file(), bed.scene.authority.key_file()),
    ] {
        std::fs::copy(new, file).unwrap();
    }
    bed.client().say("NOOP").expect(&[200]);
    bed.gate.signal("HUP");
    bed.gate.wait_for_log("configuration loaded");
    // A client that trusts the new authority alone, and one that trusts the old one alone.
    let mut new = Strict::open(bed.gate.address(), &renewed, Versions::Both);
    downloads(&mut new);
    let config = bed.scene.authority.client(Versions::Both);
    let mut late = Strict::greet(bed.gate.address(), config);
    late.say("AUTH TLS").expect(&[234]);
    let told = late.secure().unwrap_err().to_string();
    assert!(told.contains("invalid peer certificate"), "{told}");
    // A full handshake of a data connection: the certificate of before is shown to it.
    old.forget(&bed.scene.authority, Versions::Both);
    downloads(&mut old);
    old.upload("STOR up", b"payload").reply.expect(&[226]);
    old.say("QUIT").expect(&[221]);
}

#[test]
fn a_file_that_is_wrong_changes_nothing_and_says_so_everywhere() {
    let bed = Bed::new(|setup| setup.audit("file", "\"audit.json\""));
    assert_eq!(bed.series("sluicegate_config_last_reload_successful"), 1.0);
    let good = bed.text();
    let read = bed.series("sluicegate_config_last_reload_success_timestamp_seconds");
    bed.write(&format!("{good}\n[timeouts]\nidle = \"soon\"\n"));
    let told = bed.refused();
    assert_eq!(told["key"], "timeouts.idle");
    assert!(
        told["place"].is_string() && told["cure"].is_string(),
        "{told}"
    );

    let journal = bed.scene.path("audit.json");
    std::fs::rename(&journal, bed.scene.path("moved")).unwrap();
    bed.gate.signal("HUP");
    bed.gate.wait_for_log("journal reopened");
    eventually("both were refused", || {
        bed.series("sluicegate_config_reloads_total{outcome=\"refused\"}") == 2.0
    });
    assert!(journal.exists());
    bed.gate
        .wait_for_log("configuration refused: the one before goes on");
    bed.gate.wait_for_log("\"key\":\"timeouts.idle\"");
    assert_eq!(bed.series("sluicegate_config_last_reload_successful"), 0.0);
    assert_eq!(
        bed.series("sluicegate_config_reloads_total{outcome=\"loaded\"}"),
        0.0
    );
    let same = bed.series("sluicegate_config_last_reload_success_timestamp_seconds");
    assert_eq!(same, read);
    let config = &bed.json("/status")["config"];
    assert_eq!(config["last_reload"]["outcome"], "refused");
    assert_eq!(
        config["last_reload"]["complaints"][0]["key"],
        "timeouts.idle"
    );
    assert!(
        bed.json("/config").get("timeouts").is_none(),
        "what is in force"
    );
    downloads(&mut bed.client());

    // A file that it names.
    bed.write(&good);
    std::fs::write(bed.scene.authority.certificate_file(), "torn").unwrap();
    let told = bed.refused();
    assert_eq!(told["key"], "listener[0].certificate");
    downloads(&mut bed.client());
    let [certificate, key] = bed
        .scene
        .authority
        .issue(&bed.scene.folder("again"), "127.0.0.1");
    bed.change(
        &bed.scene.authority.certificate_file().display().to_string(),
        &certificate.display().to_string(),
    );
    bed.change(
        &bed.scene.authority.key_file().display().to_string(),
        &key.display().to_string(),
    );
    bed.reload();
    assert_eq!(bed.series("sluicegate_config_last_reload_successful"), 1.0);
    let later = bed.series("sluicegate_config_last_reload_success_timestamp_seconds");
    assert!(later > read);
    downloads(&mut bed.client());
}

/// A second listener, with ports of its own behind those of the first.
fn second(bed: &Bed, address: SocketAddr) -> String {
    let first = bed.gate.ports().passive().start() + 50;
    let quoted = |path: &Path| path.display().to_string();
    format!(
        "[[listener]]\nname = \"second\"\naddress = \"{address}\"\npool = \"inside\"\npassive_ports = \"{first}-{}\"\n\
         certificate = \"{}\"\nkey = \"{}\"\n",
        first + 29,
        quoted(bed.scene.authority.certificate_file()),
        quoted(bed.scene.authority.key_file()),
    )
}

#[test]
fn listeners_come_and_go_and_their_sessions_stay() {
    let bed = Bed::new(|setup| setup.narrow(40));
    let before = bed.text();
    let address = SocketAddr::new(bed.gate.address().ip(), bed.gate.ports().control() + 1);
    TcpStream::connect(address).unwrap_err();
    bed.write(&format!("{before}{}", second(&bed, address)));
    bed.reload();
    assert_eq!(
        bed.json("/status")["listeners"][1]["addresses"],
        json!([address])
    );
    assert_eq!(
        bed.series("sluicegate_passive_ports{listener=\"second\"}"),
        30.0
    );
    let open = || Strict::open(address, &bed.scene.authority, Versions::Both);
    let mut clients = [open(), open()];
    clients.iter_mut().for_each(downloads);
    // Changed from one way of spreading connections to the other, it is another socket at the same place.
    bed.change(
        "name = \"second\"",
        "name = \"second\"\nsteering = \"hash\"",
    );
    bed.reload();
    downloads(&mut open());

    bed.write(&before);
    bed.reload();
    TcpStream::connect(address).unwrap_err();
    clients.iter_mut().for_each(downloads);
    assert_eq!(
        bed.json("/status")["listeners"].as_array().unwrap().len(),
        1
    );
    assert_eq!(bed.json("/sessions")[0]["listener"], "second");
    downloads(&mut bed.client());
    // It comes back to where it was.
    bed.write(&format!("{before}{}", second(&bed, address)));
    bed.reload();
    downloads(&mut open());
}

#[test]
fn an_address_that_somebody_else_has_refuses_the_whole_configuration() {
    let bed = Bed::new(|setup| setup.narrow(40));
    let address = SocketAddr::new(bed.gate.address().ip(), bed.gate.ports().control() + 1);
    let _taken = TcpListener::bind(address).unwrap();
    bed.write(&format!(
        "[limits]\nsessions = 1\n{}{}",
        bed.text(),
        second(&bed, address)
    ));
    let told = bed.refused();
    assert_eq!(told["key"], "listener[1].address");
    let problem = told["problem"].as_str().unwrap();
    assert!(problem.contains("cannot listen"), "{told}");
    let mut clients = [bed.client(), bed.client()];
    clients.iter_mut().for_each(downloads);
}

#[test]
fn members_come_and_go_and_what_is_known_of_those_that_stay_is_kept() {
    let ports = Ports::reserve();
    let dead = format!("127.0.0.1:{}", ports.control());
    let bed = Bed::new(|setup| setup.process("cores", "[0]"));
    let first = bed.rude.address().to_string();
    let other = Rude::start(&bed.scene, Script::new().file("file", &noise(10_000)));
    let second = other.address().to_string();
    let mut old = bed.client();
    bed.change(
        &format!("[\"{first}\"]"),
        &format!("[\"{second}\", \"{dead}\"]"),
    );
    bed.reload();
    let sessions = other.sessions();
    let mut new = bed.client();
    downloads(&mut new);
    assert_eq!(other.sessions(), sessions + 1);
    downloads(&mut old);
    let seen = |backends: &Value| -> Vec<Value> {
        let of = |member: &Value| {
            json!([
                member["address"],
                member["member"],
                member["connect_failures"],
                member["sessions"]
            ])
        };
        backends[0]["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(of)
            .collect()
    };
    assert_eq!(
        seen(&bed.json("/backends")),
        [json!([second, 2, 0, 1]), json!([dead, 3, 1, 0])]
    );
    // In another order, and the first one again: as a member that has not been there before.
    bed.change(
        &format!("[\"{second}\", \"{dead}\"]"),
        &format!("[\"{dead}\", \"{first}\", \"{second}\"]"),
    );
    bed.reload();
    let wanted = [
        json!([dead, 3, 1, 0]),
        json!([first, 4, 0, 0]),
        json!([second, 2, 0, 1]),
    ];
    assert_eq!(seen(&bed.json("/backends")), wanted);
    assert_eq!(
        bed.series("sluicegate_backend_connect_failures_total{pool=\"inside\",member=\"3\",reason=\"refused\"}"),
        1.0
    );
    [old, new].iter_mut().for_each(downloads);
    eventually("its session has gone", || {
        seen(&bed.json("/backends"))[2] == json!([second, 2, 0, 0])
    });
    // Nor has anybody a number again when the whole pool was away.
    for (old, new) in [("\"inside\"", "\"aside\""), ("\"aside\"", "\"inside\"")] {
        bed.change(old, new);
        bed.reload();
    }
    let wanted = [(&dead, 5), (&first, 6), (&second, 7)];
    let wanted = wanted.map(|(address, number)| json!([address, number, 0, 0]));
    assert_eq!(seen(&bed.json("/backends")), wanted);
}

#[test]
fn bounds_levels_and_banners_hold_for_who_comes_now() {
    let bed = Bed::new(|setup| setup.limit("sessions", "1").log("level", "\"info\""));
    let mut first = bed.client();
    let refused = || {
        let config = bed.scene.authority.client(Versions::Both);
        Strict::connect(bed.gate.address(), config)
            .hear()
            .expect(&[421]);
    };
    refused();
    bed.change("sessions = 1", "sessions = 2");
    bed.change("level = \"info\"", "level = \"debug\"");
    bed.change("[[listener]]", "[[listener]]\nbanner = \"another one\"");
    bed.reload();
    let config = bed.scene.authority.client(Versions::Both);
    let mut second = Strict::connect(bed.gate.address(), config);
    let greeting = second.hear().expect(&[220]);
    assert!(
        format!("{greeting:?}").contains("another one"),
        "{greeting:?}"
    );
    bed.gate.wait_for_log("session opened");
    refused();
    // Fewer than there are: nobody has to go.
    bed.change("sessions = 2", "sessions = 1");
    bed.reload();
    downloads(&mut first);
    let early = format!("\"{}\"", first.control().local());
    first.say("QUIT").expect(&[221]);
    refused();
    let log = bed.gate.stop();
    let mut opened = log.lines().filter(|line| line.contains("session opened"));
    assert!(opened.all(|line| !line.contains(&early)), "{log}");
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_taken_over() {
    let bed = Bed::new(|setup| setup);
    bed.change("cores = [0, 1]", "cores = [0]");
    bed.change("[[listener]]", "[[listener]]\nbanner = \"another one\"");
    let answer = bed.reload();
    assert_eq!(answer["restart"], json!(["process.cores"]));
    let warned = answer["warnings"][0]["problem"].as_str().unwrap();
    assert!(warned.starts_with("needs a restart"), "{answer}");
    let config = bed.json("/config");
    assert_eq!(
        config["process"]["cores"],
        json!([0, 1]),
        "as it is in force"
    );
    assert_eq!(config["listener"][0]["banner"], "another one");
    assert_eq!(
        bed.json("/status")["config"]["restart"],
        json!(["process.cores"])
    );
    assert_eq!(bed.series("sluicegate_config_keys_waiting"), 1.0);
    bed.gate.wait_for_log("needs a restart");
    assert_eq!(bed.json("/status")["cores"].as_array().unwrap().len(), 2);
    bed.change("cores = [0]", "cores = [0, 1]");
    assert_eq!(bed.reload()["restart"], json!([]));
    assert_eq!(bed.series("sluicegate_config_keys_waiting"), 0.0);
}

#[test]
fn readers_show_the_token_that_is_in_force() {
    let scene = Scene::new();
    let file = scene.file("token", "the-first-token-of-all\n");
    let quoted = format!("\"{}\"", file.display());
    let bed = Bed::new(|setup| setup.admin("token_file", &quoted));
    let with = |token: &str| format!("Authorization: Bearer {token}");
    let reload = |token: &str| {
        let shown = with(token);
        let options = [&MEANT[..], &["--header", &shown]].concat();
        bed.ask("/reload", &options).0
    };
    scene.file("token", "the-second-token-of-all\n");
    assert_eq!(reload("the-second-token-of-all"), "401");
    assert_eq!(reload("the-first-token-of-all"), "200");
    assert_eq!(reload("the-first-token-of-all"), "401");
    assert_eq!(reload("the-second-token-of-all"), "200");
    assert!(!bed.gate.stop().contains("token-of-all"));
}

/// A client amid its transfer, which whoever stops waits for.
fn uploading(bed: &Bed) -> (Strict, Wire) {
    let mut client = bed.client();
    let address = client.passive();
    client.tell("STOR up");
    let data = client.connect_data(address);
    bed.gate.wait_for_log("bytes may flow");
    (client, data)
}

/// The file is a pipe: the gate stands in it while it is told to stop.
#[test]
fn a_stop_amid_a_reload_leaves_what_was_in_force() {
    let bed = Bed::new(|setup| setup.process("cores", "[0]"));
    let uploading = uploading(&bed);
    let (text, file) = (bed.text(), bed.scene.path("gate.toml"));
    std::fs::remove_file(&file).unwrap();
    run(Command::new("mkfifo").arg(&file)).ok();
    let (code, answer) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| bed.try_reload());
        let mut pipe = std::fs::File::options().write(true).open(&file).unwrap();
        bed.gate.signal("TERM");
        eventually("it is stopping", || {
            bed.json("/status")["draining"] == json!(true)
        });
        pipe.write_all(text.as_bytes()).unwrap();
        drop(pipe);
        asked.join().unwrap()
    });
    assert_eq!(
        (code.as_str(), &answer["outcome"]),
        ("409", &json!("stopping"))
    );
    assert_eq!(bed.json("/status")["config"]["loaded"], 0);
    bed.gate.wait_for_log("not read again");
    drop(uploading);
}

#[test]
fn a_reload_must_be_meant_and_finds_no_gate_that_is_stopping() {
    let bed = Bed::new(|setup| setup.timeout("drain", "10m"));
    assert_eq!(bed.ask("/reload", &["--request", "POST"]).0, "403");
    assert_eq!(bed.ask("/reload", &[]).0, "405");
    let uploading = uploading(&bed);
    bed.gate.signal("TERM");
    eventually("it drains", || bed.ask("/readyz", &[]).0 == "503");
    let (code, answer) = bed.try_reload();
    assert_eq!(
        (code.as_str(), &answer["outcome"]),
        ("409", &json!("stopping"))
    );
    assert_eq!(bed.series("sluicegate_config_last_reload_successful"), 1.0);
    drop(uploading);
}
