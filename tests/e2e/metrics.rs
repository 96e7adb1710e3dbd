//! The metrics as their readers see them: three formats of one truth, and a real Prometheus that asks for it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::support::admin::{Series, assert_adds_up, assert_never_falls, series};
use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::ports::Ports;
use crate::support::process::{Server, run};
use crate::support::rude::{Act, DRIP_PAUSE, DRIPS, Rude, Script};
use crate::support::strict::Strict;
use crate::support::{Scene, eventually, noise};

const PROMETHEUS: &str = "/opt/sluicegate-peers/usr/bin/prometheus";
const PROMTOOL: &str = "/opt/sluicegate-peers/usr/bin/promtool";

/// Head and body of what a URL gives.
fn get(url: &str, options: &[&str]) -> (String, Vec<u8>) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--include"]);
    let ran = run(curl.args(options).arg(url)).ok();
    let end = ran.stdout.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = ran.stdout.split_at(end.unwrap() + 4);
    (String::from_utf8(head.to_vec()).unwrap(), body.to_vec())
}

/// A gate with an admin server on TCP, before a backend of the tests.
pub(crate) struct Stage {
    pub(crate) scene: Scene,
    ports: Ports,
    rude: Rude,
    pub(crate) gate: Gate,
}

impl Stage {
    pub(crate) fn new(script: Script) -> Self {
        Self::with(script, |_, _| Setup::new())
    }

    /// The setup is made when the backend's address is known.
    pub(crate) fn with(script: Script, setup: impl Fn(&Scene, SocketAddr) -> Setup) -> Self {
        let (scene, ports) = (Scene::new(), Ports::reserve());
        let rude = Rude::start(&scene, script);
        let address = format!("\"127.0.0.1:{}\"", ports.control());
        let setup = setup(&scene, rude.address()).admin("address", &address);
        let gate = Gate::start(&scene, rude.address(), setup);
        Self {
            scene,
            ports,
            rude,
            gate,
        }
    }

    fn url(&self, route: &str) -> String {
        format!("http://127.0.0.1:{}{route}", self.ports.control())
    }

    pub(crate) fn client(&self) -> Strict {
        Strict::open(self.gate.address(), &self.scene.authority, Versions::Both)
    }

    fn text(&self, query: &str) -> String {
        let (head, body) = get(&self.url(&format!("/metrics{query}")), &[]);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        String::from_utf8(body).unwrap()
    }

    pub(crate) fn series(&self, query: &str) -> Series {
        series(&self.text(query))
    }

    pub(crate) fn json(&self, route: &str) -> Value {
        let (head, body) = get(&self.url(route), &[]);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        serde_json::from_slice(&body).unwrap()
    }
}

#[test]
fn every_format_is_what_its_reader_expects() {
    let stage = Stage::new(Script::new().file("file", &noise(10_000)));
    let mut client = stage.client();
    client.download("RETR file").assert_complete(&noise(10_000));
    client.say("NOOP").expect(&[200]);

    let (head, _) = get(&stage.url("/metrics"), &[]);
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    for query in ["", "?by=core"] {
        let file = stage.scene.file("metrics.txt", stage.text(query));
        let check = format!("{PROMTOOL} check metrics <{}", file.display());
        run(Command::new("sh").args(["-c", &check])).ok();
    }

    let (head, open) = get(
        &stage.url("/metrics"),
        &[
            "--header",
            "Accept: application/openmetrics-text;version=1.0.0",
        ],
    );
    assert!(
        head.contains("content-type: application/openmetrics-text"),
        "{head}"
    );
    let open = String::from_utf8(open).unwrap();
    assert!(open.ends_with("# EOF\n"), "{open}");
    assert!(
        open.contains("# TYPE sluicegate_logins counter\n"),
        "{open}"
    );

    let protobuf = "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let (head, body) = get(&stage.url("/metrics"), &["--header", protobuf]);
    assert!(head.contains("encoding=delimited"), "{head}");
    let name = b"sluicegate_command_gate_seconds";
    assert!(body.windows(name.len()).any(|part| part == name));
    // No address, user or path is a label anywhere.
    for secret in ["127.0.0.1:", crate::support::USER, "file\""] {
        assert!(!open.contains(secret), "{secret} in {open}");
    }
}

#[test]
fn a_transfer_is_timed_and_counted_leg_by_leg() {
    let script = Script::new()
        .file("file", &noise(10_000))
        .file("empty", b"")
        .on("RETR empty", Act::BareClose);
    let stage = Stage::new(script);
    let mut client = stage.client();
    client.download("RETR file").assert_complete(&noise(10_000));
    client.download("RETR empty").assert_complete(b"");
    client.say("NOOP").expect(&[200]);
    let seen = stage.series("");
    for (name, wanted) in [
        (
            "sluicegate_transfer_verbs_total{verb=\"RETR\",outcome=\"completed\"}",
            2.0,
        ),
        (
            "sluicegate_data_ends_total{leg=\"client\",end=\"clean\"}",
            2.0,
        ),
        (
            "sluicegate_data_ends_total{leg=\"backend\",end=\"clean\"}",
            1.0,
        ),
        (
            "sluicegate_data_ends_total{leg=\"backend\",end=\"bare\"}",
            1.0,
        ),
        ("sluicegate_empty_completions_total{cause=\"bare\"}", 1.0),
        ("sluicegate_transfers_running", 0.0),
        ("sluicegate_banner_seconds_count", 1.0),
        ("sluicegate_client_handshake_seconds_count", 1.0),
        ("sluicegate_backend_handshake_seconds_count", 1.0),
        ("sluicegate_data_connect_seconds_count{leg=\"client\"}", 2.0),
        (
            "sluicegate_data_connect_seconds_count{leg=\"backend\"}",
            2.0,
        ),
        ("sluicegate_data_ready_seconds_count", 1.0),
        ("sluicegate_first_byte_seconds_count", 1.0),
        ("sluicegate_transfer_seconds_count", 2.0),
        ("sluicegate_completion_seconds_count", 1.0),
        ("sluicegate_final_reply_seconds_count", 2.0),
    ] {
        assert_eq!(seen.get(name), Some(&wanted), "{name}");
    }
}

#[test]
fn sessions_are_timed_and_counted_by_what_they_agreed_on() {
    let stage = Stage::new(Script::new().file("file", &noise(1000)));
    let mut client = stage.client();
    client.download("RETR file").assert_complete(&noise(1000));
    client.say("NOOP").expect(&[200]);
    let seen = stage.series("");
    let sum = |name: &str| -> f64 {
        let rows = seen.iter().filter(|(series, _)| series.starts_with(name));
        rows.map(|(_, value)| value).sum()
    };
    assert_eq!(
        sum("sluicegate_data_handshake_seconds_count{leg=\"client\""),
        1.0
    );
    assert_eq!(sum("sluicegate_data_tls_total{leg=\"backend\""), 1.0);
    assert_eq!(sum("sluicegate_control_suites_total"), 2.0);
    assert_eq!(sum("sluicegate_control_groups_total"), 2.0);
    assert!(sum("sluicegate_turn_seconds_count") > 10.0);
    let (commands, shares) = (
        sum("sluicegate_command_seconds_count"),
        sum("sluicegate_command_gate_seconds_count"),
    );
    assert!(
        commands >= 1.0 && commands == shares,
        "{commands} and {shares}"
    );
    assert!(
        stage
            .rude
            .commands()
            .iter()
            .any(|command| command == "NOOP")
    );
}

#[test]
fn what_cores_count_adds_up_to_what_all_count_while_they_are_read() {
    let stage = Stage::new(Script::new().file("file", &noise(1000)));
    std::thread::scope(|scope| {
        let work = || {
            let mut client = stage.client();
            for _ in 0..25 {
                client.download("RETR file").assert_complete(&noise(1000));
            }
            client.say("QUIT").expect(&[221]);
        };
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        let mut before = Series::new();
        while !workers
            .iter()
            .all(std::thread::ScopedJoinHandle::is_finished)
        {
            let now = stage.series("");
            assert_never_falls(&before, &now);
            before = now;
        }
    });
    eventually("all sessions are gone", || {
        stage.series("")["sluicegate_sessions"] == 0.0
    });
    let (all, cores) = (stage.series(""), stage.series("?by=core"));
    assert_eq!(
        all["sluicegate_transfer_verbs_total{verb=\"RETR\",outcome=\"completed\"}"],
        100.0
    );
    assert_adds_up(&all, &cores);
}

/// The bucket in which a quantile lies: its bounds.
fn bucket(seen: &Series, name: &str, quantile: f64) -> (f64, f64) {
    let prefix = format!("{name}_bucket{{le=\"");
    let mut buckets: Vec<(f64, f64)> = (seen.iter())
        .filter_map(|(series, count)| {
            let bound = series.strip_prefix(&prefix)?.strip_suffix("\"}")?;
            Some((bound.parse().unwrap(), *count))
        })
        .collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let rank = (quantile * buckets.last().unwrap().1).ceil();
    let at = buckets.partition_point(|(_, count)| *count < rank);
    (if at == 0 { 0.0 } else { buckets[at - 1].0 }, buckets[at].0)
}

#[test]
fn percentiles_are_those_that_a_client_measures() {
    let stage = Stage::new(
        Script::new()
            .file("file", &noise(50_000))
            .on("RETR", Act::Drip),
    );
    let mut client = stage.client();
    let mut measured: Vec<f64> = (0..10)
        .map(|_| {
            let began = Instant::now();
            client.download("RETR file").assert_complete(&noise(50_000));
            began.elapsed().as_secs_f64()
        })
        .collect();
    measured.sort_by(f64::total_cmp);
    let pauses = DRIPS as f64 * DRIP_PAUSE.as_secs_f64();
    let seen = stage.series("");
    for (quantile, at) in [(0.5, 4), (0.9, 8), (1.0, 9)] {
        let (above, upto) = bucket(&seen, "sluicegate_transfer_seconds", quantile);
        // The gate's part lies within what the client has measured, and the backend's pauses lie within the gate's.
        assert!(
            above <= measured[at],
            "{quantile}: {above} for {measured:?}"
        );
        assert!(upto >= pauses, "{quantile}: {upto} for {measured:?}");
    }
}

/// A Prometheus that asks a gate every second.
pub(crate) struct Prometheus {
    _server: Server,
    ports: Ports,
}

impl Prometheus {
    /// `more` belongs to its job.
    pub(crate) fn start(stage: &Stage, more: &str, features: &[&str]) -> Self {
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: gate\n  static_configs:\n  - targets: ['127.0.0.1:{}']\n  {more}\n",
            stage.ports.control()
        );
        Self::of_config(&stage.scene, &config, features)
    }

    fn of_config(scene: &Scene, config: &str, features: &[&str]) -> Self {
        let ports = Ports::reserve();
        let own = format!("prometheus-{}", ports.control());
        let config = scene.file(&format!("{own}.yml"), config);
        let mut command = Command::new(PROMETHEUS);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                scene.folder(&own).display()
            ))
            .arg(format!(
                "--web.listen-address=127.0.0.1:{}",
                ports.control()
            ))
            .args(features);
        let mut server = Server::start("prometheus", &mut command, Vec::new());
        server.wait_until_listening(ports.control());
        Self {
            _server: server,
            ports,
        }
    }

    /// The first value of a query, once there is one.
    pub(crate) fn ask(&self, query: &str) -> Option<f64> {
        self.answers(query).ok()?.first().copied()
    }

    /// Every value of a query, or what Prometheus says against it.
    pub(crate) fn answers(&self, query: &str) -> Result<Vec<f64>, String> {
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.ports.control());
        let query = format!("query={query}");
        let (head, body) = get(&url, &["--get", "--data-urlencode", &query]);
        if !head.starts_with("HTTP/1.1 200") {
            return Err(String::from_utf8_lossy(&body).into_owned());
        }
        let answer: Value = serde_json::from_slice(&body).unwrap();
        let rows = answer["data"]["result"].as_array().unwrap();
        let values = rows.iter().map(|row| row["value"][1].as_str().unwrap());
        Ok(values.map(|value| value.parse().unwrap()).collect())
    }
}

#[test]
fn prometheus_reads_classic_and_native_histograms() {
    let stage = Stage::new(Script::new().file("file", &noise(1000)));
    let mut client = stage.client();
    for _ in 0..10 {
        client.download("RETR file").assert_complete(&noise(1000));
    }
    let native = ["--enable-feature=native-histograms"];
    for (features, count, quantile) in [
        (
            &[][..],
            "sluicegate_transfer_seconds_count",
            "histogram_quantile(0.5, sluicegate_transfer_seconds_bucket)",
        ),
        (
            &native[..],
            "histogram_count(sluicegate_transfer_seconds)",
            "histogram_quantile(0.5, sluicegate_transfer_seconds)",
        ),
    ] {
        let prometheus = Prometheus::start(&stage, "", features);
        eventually("Prometheus has asked", || prometheus.ask("up") == Some(1.0));
        eventually(count, || prometheus.ask(count) == Some(10.0));
        let logins = "sum(sluicegate_logins_total{outcome=\"ok\"})";
        for one in ["sluicegate_sessions", logins] {
            eventually(one, || prometheus.ask(one) == Some(1.0));
        }
        eventually(quantile, || {
            (prometheus.ask(quantile)).is_some_and(|median| median > 0.0 && median < 3600.0)
        });
    }
}

#[test]
fn prometheus_reads_a_gate_over_the_network_as_it_is_shipped() {
    let (scene, ports) = (Scene::new(), Ports::reserve());
    let rude = Rude::start(&scene, Script::new());
    let token = scene.file("token", "a-token-of-the-tests-20\n");
    let quoted = |path: &std::path::Path| format!("\"{}\"", path.display());
    let authority = &scene.authority;
    let setup = Setup::new()
        .admin("address", &format!("\"0.0.0.0:{}\"", ports.control()))
        .admin("certificate", &quoted(authority.certificate_file()))
        .admin("key", &quoted(authority.key_file()))
        .admin("token_file", &quoted(&token));
    let _gate = Gate::start(&scene, rude.address(), setup);
    let mut config = include_str!("../../config/prometheus/scrape-https.yml").to_owned();
    for (shipped, ours) in [
        ("15s", "1s".to_owned()),
        (
            "/etc/prometheus/sluicegate-ca.pem",
            authority.ca_file().display().to_string(),
        ),
        (
            "/etc/prometheus/sluicegate.token",
            token.display().to_string(),
        ),
        (
            "gate.example.org:9121",
            format!("localhost:{}", ports.control()),
        ),
    ] {
        assert!(config.contains(shipped), "{shipped}");
        config = config.replace(shipped, &ours);
    }
    let prometheus = Prometheus::of_config(&scene, &config, &[]);
    eventually("Prometheus has asked", || prometheus.ask("up") == Some(1.0));
    let sessions = "sluicegate_sessions";
    eventually(sessions, || prometheus.ask(sessions) == Some(0.0));
}

#[test]
fn the_rules_that_are_shipped_pass_promtool() {
    let _scene = Scene::new();
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prometheus");
    for arguments in [
        &["check", "rules", "recording.rules.yml", "alerts.rules.yml"][..],
        &["check", "config", "--syntax-only", "scrape.yml"],
        &["check", "config", "--syntax-only", "scrape-https.yml"],
        &["test", "rules", "alerts.test.yml"],
    ] {
        let mut promtool = Command::new(PROMTOOL);
        let said = run(promtool.args(arguments).current_dir(&shipped))
            .ok()
            .text();
        assert!(said.contains("SUCCESS"), "{arguments:?}: {said}");
    }
}
