//! The dashboard for Grafana, written from the catalog: `config/grafana/sluicegate.json` is this value, so it asks for no metric
//! that there is not, and explains each in the catalog's words.
//!
//! The rows below say what stands beside what. `faults` holds that no metric of the catalog is left out.

use serde_json::{Value, json};
use sluicegate::metrics::{Counter, Gauge, Phase, Reading};

/// Rows of panels, from what is asked first to what is asked last.
fn rows() -> Vec<(&'static str, Shown, Vec<Panel>)> {
    vec![
        ("Overview", Shown::Open, overview()),
        ("Latency", Shown::Open, latency()),
        (
            "Latency by phase: how it is spread",
            Shown::Folded,
            spreads(),
        ),
        ("Cores", Shown::Open, cores()),
        ("Backends", Shown::Open, backends()),
        ("Data connections and ports", Shown::Open, data()),
        ("Limits and refusals", Shown::Open, refusals()),
        ("TLS", Shown::Folded, tls()),
        ("Streams", Shown::Folded, streams()),
        ("Journal and log", Shown::Open, journal()),
        ("Process and memory", Shown::Folded, process()),
    ]
}

fn overview() -> Vec<Panel> {
    let failing = format!(
        "sum(rate({name}{{{OF_CORES},outcome=~\"unestablished|broken\"}}[{RANGE}])) / sum(rate({name}{{{OF_CORES}}}[{RANGE}]))",
        name = Counter::DownloadsCompleted.name()
    );
    vec![
        Panel::number("Sessions", "short").gauge(Gauge::Sessions),
        Panel::number("Transfers under way", "short").gauge(Gauge::TransfersRunning),
        Panel::number("Transfers that fail on the way", "percentunit")
            .about("The share that breaks or never stands. What a backend refuses and what a client aborts is not among them.")
            .query(failing, "failing")
            .troubling(0.05),
        Panel::number("False empties refused", "short")
            .increase(Counter::FalseEmptiesRefused)
            .troubling(1.0),
        Panel::number("Empty downloads completed", "short").increase(Counter::EmptyBare),
        Panel::number("Cores silent", "short").gauge(Gauge::CoresSilent).troubling(1.0),
        Panel::lines("Transfers by outcome", "ops").rate(Counter::DownloadsCompleted),
        Panel::lines("Bytes of transfers", "Bps").rate(Counter::DownloadBytes),
        Panel::lines("Sessions and logins", "ops")
            .rate(Counter::SessionsOpened)
            .rate(Counter::SessionsEnded)
            .rate(Counter::LoginsOk),
        Panel::lines("Empty downloads completed, by cause", "ops").rate(Counter::EmptyBare),
        Panel::lines("Ends without close_notify, and false empties", "ops")
            .rate(Counter::ClientUnfinishedMirrored)
            .rate(Counter::FalseEmptiesRefused),
        Panel::lines("Transfers by command", "ops").rate(Counter::RetrCompleted),
    ]
}

fn latency() -> Vec<Panel> {
    let of_all = |title, percent| {
        let panel = Panel::lines(title, "s").wide().logarithmic();
        phase_families()
            .into_iter()
            .fold(panel, |panel, phase| panel.percentile(phase, percent))
    };
    vec![
        of_all("Half of all take at most (p50)", 50),
        of_all("99 of 100 take at most (p99)", 99),
    ]
}

fn spreads() -> Vec<Panel> {
    let two = |phase: Phase| {
        let title = words(phase.name());
        [
            Panel::heat(title.clone()).spread(phase),
            Panel::lines(format!("{title}: p50, p99"), "s")
                .percentile(phase, 50)
                .percentile(phase, 99),
        ]
    };
    phase_families().into_iter().flat_map(two).collect()
}

fn cores() -> Vec<Panel> {
    let of_each = |phase: Phase| {
        format!(
            "histogram_quantile(0.99, sum by (core, le) (rate({}_bucket{{{OF_CORES}}}[{RANGE}])))",
            phase.name()
        )
    };
    vec![
        Panel::lines("Sessions by core", "short").gauge_by_core(Gauge::Sessions),
        Panel::lines("Running on a CPU", "percentunit").reading_by_core(Reading::CoreRun),
        Panel::lines("Waiting for a CPU", "percentunit").reading_by_core(Reading::CoreDelay),
        Panel::lines("Longest turns (p99)", "s")
            .about(Phase::Turn.help())
            .query(of_each(Phase::Turn), "core {{core}}"),
        Panel::lines("Answers to the control plane (p99)", "s")
            .about(Phase::Answer.help())
            .query(of_each(Phase::Answer), "core {{core}}"),
        Panel::lines("Silent, and ended by a defect", "short")
            .gauge(Gauge::CoresSilent)
            .increase(Counter::SessionsPanicked),
    ]
}

fn backends() -> Vec<Panel> {
    vec![
        Panel::lines("Members, and those that rest", "short")
            .gauge_by(Gauge::Backends, "pool")
            .gauge_by(Gauge::BackendsResting, "pool"),
        Panel::lines(
            "Members passed over, and sessions for which none was left",
            "ops",
        )
        .reading_by(Reading::ConnectFailures)
        .reading_by(Reading::PoolExhausted),
        Panel::lines("Members that served", "ops").reading_by(Reading::Served),
        Panel::lines("Reaching, securing and logging in (p99)", "s")
            .percentile(Phase::BackendConnect, 99)
            .percentile(Phase::BackendHandshake, 99)
            .percentile(Phase::Login, 99),
        Panel::lines("Backends not verified", "ops").rate(Counter::BackendsUnverified),
    ]
}

fn data() -> Vec<Panel> {
    let share = format!(
        "sum by (listener) ({}{{{SELECTED}}}) / sum by (listener) ({}{{{SELECTED}}})",
        Gauge::PassivePortsInUse.name(),
        Gauge::PassivePorts.name()
    );
    vec![
        Panel::lines("How data connections end", "ops").rate(Counter::ClientEndClean),
        Panel::lines("Passive ports in use", "percentunit")
            .about(Gauge::PassivePortsInUse.help())
            .query(share, "{{listener}}"),
        Panel::lines("No passive port, strangers, cut", "ops")
            .rate(Counter::PassivePortsExhausted)
            .rate(Counter::StrangersRefused)
            .rate(Counter::LingeringCut),
        Panel::lines("Bytes by path", "Bps").rate(Counter::SplicedBytes),
        Panel::lines("Read to their end", "short").gauge(Gauge::LingeringLegs),
    ]
}

fn refusals() -> Vec<Panel> {
    vec![
        Panel::lines("Limits reached", "ops")
            .rate(Counter::SessionsRefused)
            .rate(Counter::PassivePortsExhausted),
        Panel::lines("Certificates and names refused", "ops")
            .rate(Counter::ClientCertificatesRefused)
            .rate(Counter::OtherUsersRefused)
            .rate(Counter::OtherCertificatesRefused),
        Panel::lines("Attacks, or what looks like one", "ops")
            .rate(Counter::InjectionsRefused)
            .rate(Counter::StrangersRefused)
            .rate(Counter::UnresumedRefused)
            .rate(Counter::ProxiesUnknown),
    ]
}

fn tls() -> Vec<Panel> {
    vec![
        Panel::lines("Control connections by version", "ops").rate(Counter::ClientTls12),
        Panel::lines("Control connections by key exchange", "ops")
            .rate(Counter::ClientKeysHybrid)
            .rate(Counter::ClientGroupX25519),
        Panel::lines("Control connections by suite", "ops")
            .rate(Counter::ClientSuiteTls13Aes128GcmSha256),
        Panel::lines("Data connections, full and resumed", "ops")
            .rate(Counter::ClientDataTls12Full),
        Panel::lines("Control connections resumed", "ops").rate(Counter::ClientControlResumed),
    ]
}

fn streams() -> Vec<Panel> {
    vec![
        Panel::lines("Streams by outcome", "ops").rate(Counter::StreamsCompleted),
        Panel::lines("Bytes of streams", "Bps").rate(Counter::StreamBytesUp),
        Panel::lines("How connections of streams end", "ops").rate(Counter::StreamClientClean),
        Panel::lines("Handshakes of streams", "ops").rate(Counter::StreamClientTls12Full),
    ]
}

fn journal() -> Vec<Panel> {
    vec![
        Panel::number("Journal fails", "short")
            .gauge(Gauge::AuditFailing)
            .troubling(1.0),
        Panel::number("Records missing", "short")
            .reading_increase(Reading::AuditDropped)
            .reading_increase(Reading::AuditLost)
            .troubling(1.0),
        Panel::number("Lines of the log dropped", "short")
            .reading_increase(Reading::LogLinesDropped)
            .troubling(1.0),
        Panel::lines("Records written", "ops").reading(Reading::AuditWritten),
    ]
}

fn process() -> Vec<Panel> {
    let age = |gauge: Gauge| format!("time() - {}{{{SELECTED}}}", gauge.name());
    vec![
        Panel::lines("CPU", "percentunit").reading(Reading::ProcessCpu),
        Panel::lines("Memory", "bytes")
            .gauge(Gauge::ProcessResident)
            .gauge(Gauge::ProcessVirtual),
        Panel::lines("Descriptors", "short")
            .gauge(Gauge::ProcessDescriptors)
            .gauge(Gauge::ProcessDescriptorsMax)
            .logarithmic(),
        Panel::lines("Buffers", "bytes")
            .gauge(Gauge::BuffersLent)
            .gauge(Gauge::BuffersKept)
            .gauge(Gauge::PipeBytes),
        Panel::lines("Pipes", "short")
            .gauge(Gauge::PipesLent)
            .gauge(Gauge::PipesIdle),
        Panel::number("Runs since", "s").query(age(Gauge::ProcessStart), "{{instance}}"),
        Panel::number("Configuration read", "s").query(age(Gauge::ConfigRead), "{{instance}}"),
        Panel::number("Configuration good", "short").gauge(Gauge::ConfigGood),
        Panel::lines("Certificates and revocation lists are good for", "s").query(
            format!("{}{{{SELECTED}}} - time()", Gauge::Expiries.name()),
            "{{instance}} {{section}} {{name}} {{key}}",
        ),
        Panel::number("Keys that wait for a restart", "short")
            .gauge(Gauge::ConfigWaiting)
            .troubling(1.0),
        Panel::lines("Reloads", "ops").reading_by(Reading::ConfigReloads),
        Panel::table("Versions and configurations")
            .about("Gates with the same SHA-256 read the same configuration.")
            .now(format!("{}{{{SELECTED}}}", Gauge::Build.name()))
            .now(format!("{}{{{SELECTED}}}", Gauge::Config.name())),
    ]
}

/// Series that each core has; where a gate is scraped as a whole, `core` is empty, and so fits.
const OF_CORES: &str = "instance=~\"$instance\",core=~\"$core\"";

/// All others.
const SELECTED: &str = "instance=~\"$instance\"";

/// What a rate is taken over: Grafana knows the interval of the scrapes.
const RANGE: &str = "$__rate_interval";

/// Whether a row is unfolded when the dashboard is opened: a folded one asks nothing.
#[derive(Clone, Copy, PartialEq)]
enum Shown {
    Open,
    Folded,
}

#[derive(Clone, Copy)]
enum Look {
    Number,
    Lines,
    Heat,
    Table,
}

/// One panel: what it asks, and how the answer is shown.
struct Panel {
    title: String,
    look: Look,
    unit: &'static str,
    about: Vec<String>,
    /// PromQL, and the legend of what comes.
    queries: Vec<(String, String)>,
    is_wide: bool,
    is_logarithmic: bool,
    /// From where on it is red.
    trouble: Option<f64>,
}

impl Panel {
    fn new(look: Look, title: impl Into<String>, unit: &'static str) -> Self {
        Self {
            title: title.into(),
            look,
            unit,
            about: Vec::new(),
            queries: Vec::new(),
            is_wide: false,
            is_logarithmic: false,
            trouble: None,
        }
    }

    fn number(title: &str, unit: &'static str) -> Self {
        Self::new(Look::Number, title, unit)
    }

    fn lines(title: impl Into<String>, unit: &'static str) -> Self {
        Self::new(Look::Lines, title, unit)
    }

    fn heat(title: String) -> Self {
        Self::new(Look::Heat, title, "s")
    }

    fn table(title: &str) -> Self {
        Self::new(Look::Table, title, "short")
    }

    fn wide(self) -> Self {
        Self {
            is_wide: true,
            ..self
        }
    }

    fn logarithmic(self) -> Self {
        Self {
            is_logarithmic: true,
            ..self
        }
    }

    fn troubling(self, from: f64) -> Self {
        Self {
            trouble: Some(from),
            ..self
        }
    }

    fn about(mut self, text: &str) -> Self {
        if !self.about.iter().any(|known| known == text) {
            self.about.push(text.to_owned());
        }
        self
    }

    fn query(mut self, expression: String, legend: impl Into<String>) -> Self {
        self.queries.push((expression, legend.into()));
        self
    }

    /// As it stands, one row for each series.
    fn now(self, expression: String) -> Self {
        self.query(expression, "")
    }

    /// How often in a second, by the labels that set the rows of the metric apart.
    fn rate(self, family: Counter) -> Self {
        let (by, legend) = by_labels(family.labels(), family.name());
        let sum = format!("sum{by}(rate({}{{{OF_CORES}}}[{RANGE}]))", family.name());
        self.about(family.family_help()).query(sum, legend)
    }

    /// How often in the time that is looked at.
    fn increase(self, family: Counter) -> Self {
        let sum = format!("sum(increase({}{{{OF_CORES}}}[$__range]))", family.name());
        self.about(family.family_help())
            .query(sum, words(family.name()))
    }

    fn reading(self, reading: Reading) -> Self {
        let sum = format!("sum(rate({}{{{SELECTED}}}[{RANGE}]))", reading.name());
        self.about(reading.help()).query(sum, words(reading.name()))
    }

    fn reading_by(self, reading: Reading) -> Self {
        let labels = reading.keys();
        let sum = format!(
            "sum by ({}) (rate({}{{{SELECTED}}}[{RANGE}]))",
            labels.join(", "),
            reading.name()
        );
        self.about(reading.help())
            .query(sum, legend_of(labels.iter().copied()))
    }

    fn reading_by_core(self, reading: Reading) -> Self {
        let sum = format!(
            "sum by (core) (rate({}{{{OF_CORES}}}[{RANGE}]))",
            reading.name()
        );
        self.about(reading.help()).query(sum, "core {{core}}")
    }

    fn reading_increase(self, reading: Reading) -> Self {
        let sum = format!("sum(increase({}{{{SELECTED}}}[$__range]))", reading.name());
        self.about(reading.help()).query(sum, words(reading.name()))
    }

    fn gauge(self, gauge: Gauge) -> Self {
        let sum = format!("sum({}{{{SELECTED}}})", gauge.name());
        self.about(gauge.help()).query(sum, words(gauge.name()))
    }

    fn gauge_by(self, gauge: Gauge, label: &str) -> Self {
        let sum = format!("sum by ({label}) ({}{{{SELECTED}}})", gauge.name());
        self.about(gauge.help())
            .query(sum, format!("{{{{{label}}}}} {}", words(gauge.name())))
    }

    fn gauge_by_core(self, gauge: Gauge) -> Self {
        let sum = format!("sum by (core) ({}{{{OF_CORES}}})", gauge.name());
        self.about(gauge.help()).query(sum, "core {{core}}")
    }

    fn percentile(self, phase: Phase, percent: u8) -> Self {
        let labels: Vec<&str> = phase.labels().iter().map(|(key, _)| *key).collect();
        let expression = format!(
            "histogram_quantile({}, sum by ({}) (rate({}_bucket{{{OF_CORES}}}[{RANGE}])))",
            f64::from(percent) / 100.0,
            [&labels[..], &["le"]].concat().join(", "),
            phase.name()
        );
        let of_rows = legend_of(labels.into_iter());
        let legend = [words(phase.name()), of_rows, format!("p{percent}")];
        let legend: Vec<String> = legend.into_iter().filter(|word| !word.is_empty()).collect();
        self.about(phase.family_help())
            .query(expression, legend.join(" "))
    }

    fn spread(self, phase: Phase) -> Self {
        let sum = format!(
            "sum by (le) (increase({}_bucket{{{OF_CORES}}}[{RANGE}]))",
            phase.name()
        );
        self.about(phase.family_help()).query(sum, "{{le}}")
    }

    const fn width(&self) -> u64 {
        match self.look {
            Look::Number => 4,
            Look::Lines | Look::Heat if !self.is_wide => 8,
            _ => 24,
        }
    }

    const fn height(&self) -> u64 {
        match self.look {
            Look::Number => 4,
            Look::Lines | Look::Heat | Look::Table if !self.is_wide => 8,
            _ => 10,
        }
    }

    fn json(&self, id: u64, place: (u64, u64)) -> Value {
        let targets: Vec<Value> = (self
            .queries
            .iter()
            .zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ".chars()))
        .map(|((expression, legend), name)| self.target(expression, legend, name))
        .collect();
        assert_eq!(
            targets.len(),
            self.queries.len(),
            "{} asks too much",
            self.title
        );
        json!({
            "id": id,
            "type": match self.look {
                Look::Number => "stat",
                Look::Lines => "timeseries",
                Look::Heat => "heatmap",
                Look::Table => "table",
            },
            "title": self.title,
            "description": self.about.join("\n\n"),
            "datasource": source(),
            "gridPos": {"x": place.0, "y": place.1, "w": self.width(), "h": self.height()},
            "targets": targets,
            "fieldConfig": {"defaults": self.defaults(), "overrides": []},
            "options": self.options(),
        })
    }

    fn target(&self, expression: &str, legend: &str, name: char) -> Value {
        let is_table = matches!(self.look, Look::Table);
        json!({
            "refId": name.to_string(),
            "datasource": source(),
            "expr": expression,
            "legendFormat": legend,
            "format": match self.look {
                Look::Heat => "heatmap",
                Look::Table => "table",
                Look::Number | Look::Lines => "time_series",
            },
            "instant": is_table,
            "range": !is_table,
        })
    }

    fn defaults(&self) -> Value {
        let scale = match self.is_logarithmic {
            true => json!({"type": "log", "log": 10}),
            false => json!({"type": "linear"}),
        };
        let mut steps = vec![json!({"color": "green", "value": null})];
        steps.extend(
            self.trouble
                .map(|from| json!({"color": "red", "value": from})),
        );
        json!({
            "unit": self.unit,
            "min": if self.is_logarithmic { Value::Null } else { json!(0) },
            "thresholds": {"mode": "absolute", "steps": steps},
            "custom": match self.look {
                Look::Lines => json!({"fillOpacity": 8, "lineWidth": 1, "showPoints": "never", "scaleDistribution": scale}),
                _ => json!({}),
            },
        })
    }

    fn options(&self) -> Value {
        match self.look {
            Look::Number => json!({
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
                "colorMode": if self.trouble.is_some() { "background" } else { "value" },
                "graphMode": "area",
            }),
            Look::Lines => json!({
                "legend": {"displayMode": "table", "placement": if self.is_wide { "right" } else { "bottom" }, "calcs": ["lastNotNull", "max"]},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            Look::Heat => json!({
                "calculate": false,
                "color": {"mode": "scheme", "scheme": "Viridis", "steps": 64, "reverse": false},
                "yAxis": {"unit": "s"},
                "cellGap": 0,
                "filterValues": {"le": 1e-9},
                "tooltip": {"mode": "single", "yHistogram": true},
            }),
            Look::Table => json!({"showHeader": true}),
        }
    }
}

/// The first row of each metric that times something.
fn phase_families() -> Vec<Phase> {
    let mut families: Vec<Phase> = Phase::ALL.to_vec();
    families.dedup_by_key(|phase| phase.name());
    families
}

/// A metric's name as a person says it.
fn words(name: &str) -> String {
    let bare = name.strip_prefix("sluicegate_").unwrap_or(name);
    let bare = bare
        .strip_suffix("_total")
        .or_else(|| bare.strip_suffix("_seconds"))
        .unwrap_or(bare);
    bare.replace('_', " ")
}

/// How rows of a metric are kept apart in a sum, and what stands in the legend.
fn by_labels(labels: &[(&str, &str)], name: &str) -> (String, String) {
    if labels.is_empty() {
        return (" ".to_owned(), words(name));
    }
    let keys: Vec<&str> = labels.iter().map(|(key, _)| *key).collect();
    (
        format!(" by ({}) ", keys.join(", ")),
        legend_of(keys.into_iter()),
    )
}

fn legend_of<'a>(labels: impl Iterator<Item = &'a str>) -> String {
    let shown: Vec<String> = labels.map(|label| format!("{{{{{label}}}}}")).collect();
    shown.join(" ")
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// A choice at the top, of the values that a label has.
fn choice(name: &str, title: &str, values: &str) -> Value {
    json!({
        "name": name,
        "label": title,
        "type": "query",
        "datasource": source(),
        "definition": values,
        "query": {"query": values, "refId": name},
        "refresh": 2,
        "sort": 3,
        "multi": true,
        "includeAll": true,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    })
}

/// The whole dashboard, as Grafana imports it.
pub(crate) fn dashboard() -> String {
    let mut panels = Vec::new();
    let (mut id, mut top) = (0, 0);
    for (title, shown, row) in rows() {
        id += 1;
        let (head, at) = (id, top);
        top += 1;
        let (mut inside, mut left, mut tallest) = (Vec::new(), 0, 0);
        for panel in row {
            if left + panel.width() > 24 {
                (left, top, tallest) = (0, top + tallest, 0);
            }
            id += 1;
            inside.push(panel.json(id, (left, top)));
            (left, tallest) = (left + panel.width(), tallest.max(panel.height()));
        }
        top += tallest;
        let is_folded = shown == Shown::Folded;
        let (held, beside) = if is_folded {
            (inside, Vec::new())
        } else {
            (Vec::new(), inside)
        };
        panels.push(json!({
            "id": head,
            "type": "row",
            "title": title,
            "collapsed": is_folded,
            "gridPos": {"x": 0, "y": at, "w": 24, "h": 1},
            "panels": held,
        }));
        panels.extend(beside);
    }
    let instances = format!("label_values({}, instance)", Gauge::Build.name());
    let cores = format!(
        "label_values({}{{instance=~\"$instance\"}}, core)",
        Gauge::Sessions.name()
    );
    let whole = json!({
        "uid": "sluicegate",
        "title": "sluicegate",
        "description": "An FTPS session-break proxy seen from outside. Written from the catalog of metrics: tests/house/dashboard.rs.",
        "tags": ["ftps", "proxy"],
        "schemaVersion": 39,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1, "current": {}},
            choice("instance", "Gate", &instances),
            choice("core", "Core", &cores),
        ]},
        "annotations": {"list": []},
        "links": [],
        "panels": panels,
    });
    serde_json::to_string_pretty(&whole).expect("it is made of strings and numbers") + "\n"
}

/// The metrics of the catalog that a dashboard does not ask for, a line each.
pub(crate) fn faults(dashboard: &str) -> Vec<String> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let asked: std::collections::BTreeSet<&str> =
        dashboard.split(|letter| !is_letter(letter)).collect();
    let named = |name: &'static str| (!asked.contains(name)).then_some(name);
    let counters = Counter::ALL.iter().filter_map(|row| named(row.name()));
    let readings = Reading::ALL.iter().filter_map(|row| named(row.name()));
    let gauges = Gauge::ALL.iter().filter_map(|row| named(row.name()));
    let is_asked = |phase: &&Phase| asked.contains(format!("{}_bucket", phase.name()).as_str());
    let phases = Phase::ALL
        .iter()
        .filter(|phase| !is_asked(phase))
        .map(|row| row.name());
    let left_out = counters.chain(readings).chain(gauges).chain(phases);
    left_out
        .map(|name| format!("{name} is on no panel"))
        .collect()
}
