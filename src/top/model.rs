//! What the gate has told, the answer before it, and the numbers between the two. No terminal here.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `GET /status`, as far as it is shown; whatever else a gate tells is passed over.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) started: f64,
    pub(super) now: f64,
    pub(super) draining: bool,
    #[serde(default)]
    config: Config,
    pub(super) sessions: usize,
    pub(super) transfers: usize,
    pub(super) total: Counted,
    pub(super) cores: Vec<Core>,
    pub(super) listeners: Vec<Listener>,
    pub(super) backends: Vec<Pool>,
}

/// How the last reload has gone, and what waits for a restart.
#[derive(Clone, Debug, Default, Deserialize)]
struct Config {
    restart: Vec<String>,
    last_reload: Option<Reload>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Reload {
    outcome: String,
    complaints: Vec<Complaint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Complaint {
    #[serde(default)]
    place: Option<String>,
    key: String,
    problem: String,
}

impl Complaint {
    /// What there is of it: one about the whole file has no key.
    fn told(&self) -> String {
        let place = self.place.as_deref().unwrap_or_default();
        let mut words = vec![place, &self.key, &self.problem];
        words.retain(|word| !word.is_empty());
        words.join(" ")
    }
}

/// Counters by name with labels, phases by name.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Counted {
    pub(super) counters: BTreeMap<String, u64>,
    pub(super) phases: BTreeMap<String, Times>,
}

/// The times of a phase since the start, in microseconds.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Times {
    pub(super) count: u64,
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
    pub(super) octaves: Vec<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Core {
    pub(super) cpu: usize,
    pub(super) answered: bool,
    pub(super) sessions: usize,
    pub(super) transfers: usize,
    #[serde(flatten)]
    pub(super) counted: Counted,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) passive_ports: usize,
    pub(super) passive_ports_in_use: usize,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Pool {
    pub(super) pool: String,
    pub(super) members: Vec<Member>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Member {
    pub(super) address: String,
    pub(super) resting_on: usize,
    pub(super) cores: usize,
    pub(super) last_failure: Option<Failure>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Failure {
    pub(super) reason: String,
}

impl Member {
    /// Where it rests and why, if it does anywhere.
    pub(super) fn rest(&self) -> Option<String> {
        let (on, cores) = (self.resting_on, self.cores);
        let why = self.last_failure.as_ref();
        let why = why.map_or("no reason told", |last| last.reason.as_str());
        (on > 0).then(|| format!("rests on {on} of {cores} cores: {why}"))
    }
}

/// How the phases are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Name,
    Slowest,
    Busiest,
}

impl Order {
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Name => Self::Slowest,
            Self::Slowest => Self::Busiest,
            Self::Busiest => Self::Name,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Slowest => "p99",
            Self::Busiest => "per second",
        }
    }
}

/// The last two answers, and how they are looked at.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) last: Option<Status>,
    before: Option<Status>,
    /// Why the last question had no answer.
    pub(super) lost: Option<String>,
    pub(super) paused: bool,
    pub(super) order: Order,
    /// Place of the core that is looked at; none is all of them.
    core: Option<usize>,
}

/// A row of the table of phases.
pub(super) struct PhaseRow<'a> {
    pub(super) name: String,
    pub(super) rate: f64,
    pub(super) times: &'a Times,
}

impl Model {
    pub(super) fn hear(&mut self, answer: Result<Status, String>) {
        if self.paused {
            return;
        }
        match answer {
            Err(why) => self.lost = Some(why),
            Ok(status) => {
                self.lost = None;
                // Another process counts from zero.
                let same = |last: &Status| last.started == status.started && last.now < status.now;
                self.before = self.last.take().filter(same);
                self.last = Some(status);
            }
        }
    }

    pub(super) fn next_core(&mut self) {
        let cores = self.last.as_ref().map_or(0, |status| status.cores.len());
        let next = self.core.map_or(0, |core| core + 1);
        self.core = (next < cores).then_some(next);
    }

    pub(super) fn previous_core(&mut self) {
        let cores = self.last.as_ref().map_or(0, |status| status.cores.len());
        self.core = self
            .core
            .map_or(cores, |core| core.min(cores))
            .checked_sub(1);
    }

    /// The CPU that is looked at.
    pub(super) fn cpu(&self) -> Option<usize> {
        let core = self.last.as_ref()?.cores.get(self.core?)?;
        Some(core.cpu)
    }

    /// The counters of what is looked at.
    pub(super) fn counted<'a>(&self, status: &'a Status) -> &'a Counted {
        let core = self.core.and_then(|core| status.cores.get(core));
        core.map_or(&status.total, |core| &core.counted)
    }

    fn seconds(&self) -> Option<f64> {
        Some(self.last.as_ref()?.now - self.before.as_ref()?.now)
    }

    /// By the second, between the last two answers; `of` picks what is counted.
    pub(super) fn rate(&self, of: impl Fn(&Status) -> u64) -> f64 {
        let (Some(last), Some(before), Some(seconds)) = (&self.last, &self.before, self.seconds())
        else {
            return 0.0;
        };
        of(last).saturating_sub(of(before)) as f64 / seconds
    }

    pub(super) fn phases<'a>(&self, status: &'a Status) -> Vec<PhaseRow<'a>> {
        let row = |(series, times): (&'a String, &'a Times)| PhaseRow {
            name: title(series),
            rate: self.rate(|status| {
                let phases = &self.counted(status).phases;
                phases.get(series).map_or(0, |times| times.count)
            }),
            times,
        };
        let mut rows: Vec<PhaseRow<'_>> = self.counted(status).phases.iter().map(row).collect();
        match self.order {
            Order::Name => {}
            Order::Slowest => rows.sort_by_key(|row| std::cmp::Reverse(row.times.p99)),
            Order::Busiest => rows.sort_by(|one, other| other.rate.total_cmp(&one.rate)),
        }
        rows
    }

    /// What somebody should look at: whether it is a fault, and what is the matter.
    pub(super) fn wants(&self, status: &Status) -> Vec<(bool, String)> {
        let mut found = Vec::new();
        let silent = status.cores.iter().filter(|core| !core.answered);
        found.extend(silent.map(|core| (true, format!("CPU {} does not answer", core.cpu))));
        if status.draining {
            found.push((
                false,
                format!("stopping; {} sessions left", status.sessions),
            ));
        }
        let reload = status.config.last_reload.as_ref();
        if let Some(refused) = reload.filter(|reload| reload.outcome == "refused") {
            let told = refused.complaints.first().map(Complaint::told);
            let text = format!("configuration refused: {}", told.unwrap_or_default());
            found.push((true, text));
        }
        if !status.config.restart.is_empty() {
            let keys = status.config.restart.join(", ");
            found.push((false, format!("needs a restart: {keys}")));
        }
        for pool in &status.backends {
            for member in &pool.members {
                if let Some(rest) = member.rest() {
                    let text = format!("{}: {} {rest}", pool.pool, member.address);
                    found.push((member.resting_on >= member.cores, text));
                }
            }
        }
        for listener in &status.listeners {
            let (used, ports) = (listener.passive_ports_in_use, listener.passive_ports);
            if ports > 0 && used * 5 >= ports * 4 {
                let text = format!("{}: {used} of {ports} passive ports in use", listener.name);
                found.push((used >= ports, text));
            }
        }
        found
    }
}

/// The sum of a family's series whose labels contain all of these.
pub(super) fn sum(counted: &Counted, family: &str, labels: &[&str]) -> u64 {
    let series = counted.counters.iter().filter(|(series, _)| {
        let (name, rest) = series.split_once('{').unwrap_or((series, ""));
        name == family && labels.iter().all(|label| rest.contains(label))
    });
    series.map(|(_, count)| count).sum()
}

/// A series for a person: the words of its name, and the values of its labels.
pub(super) fn title(series: &str) -> String {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let name = name.strip_prefix("sluicegate_").unwrap_or(name);
    let end = ["_total", "_seconds"]
        .into_iter()
        .find_map(|end| name.strip_suffix(end));
    let mut title = end.unwrap_or(name).replace('_', " ");
    for value in labels.split('"').skip(1).step_by(2) {
        title.push(' ');
        title.push_str(value);
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(now: f64, logins: u64) -> Status {
        let series = "sluicegate_logins_total{outcome=\"ok\"}".to_owned();
        let total = Counted {
            counters: BTreeMap::from([(series, logins)]),
            ..Counted::default()
        };
        let cores = vec![Core::default(), Core::default()];
        Status {
            now,
            total,
            cores,
            ..Status::default()
        }
    }

    fn logins(model: &Model) -> f64 {
        model.rate(|status| sum(&status.total, "sluicegate_logins_total", &["\"ok\""]))
    }

    #[test]
    fn rates_are_between_two_answers_of_one_process() {
        let mut model = Model::default();
        model.hear(Ok(status(10.0, 5)));
        assert_eq!(logins(&model), 0.0);
        model.hear(Ok(status(12.0, 11)));
        assert_eq!(logins(&model), 3.0);
        model.hear(Ok(Status {
            started: 13.0,
            ..status(14.0, 100)
        }));
        assert_eq!(logins(&model), 0.0, "another process");
    }

    #[test]
    fn paused_it_hears_nothing_and_lost_it_keeps_the_last() {
        let mut model = Model::default();
        model.hear(Ok(status(10.0, 5)));
        model.hear(Err("gone".to_owned()));
        assert_eq!(model.lost.as_deref(), Some("gone"));
        assert!(model.last.is_some());
        model.paused = true;
        model.hear(Ok(status(11.0, 6)));
        assert!(model.lost.is_some());
    }

    #[test]
    fn cores_go_round_with_all_of_them_between_last_and_first() {
        let mut model = Model::default();
        model.next_core();
        assert_eq!(model.core, None, "nothing is known yet");
        model.hear(Ok(status(10.0, 5)));
        let mut seen = Vec::new();
        for _ in 0..3 {
            model.next_core();
            seen.push(model.core);
        }
        assert_eq!(seen, [Some(0), Some(1), None]);
        model.previous_core();
        assert_eq!(model.core, Some(1));
    }

    #[test]
    fn titles_are_for_people() {
        assert_eq!(title("sluicegate_data_connect_seconds"), "data connect");
        assert_eq!(
            title("sluicegate_logins_total{outcome=\"ok\"}"),
            "logins ok"
        );
    }
}
