//! A run as a person reads it, and as a program does.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{Approach, Outcome, Phase, Plan};

impl Outcome {
    /// Whether it can be believed: something was done, and nothing failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.tally.failed() == 0 && (self.tally.units > 0 || self.tally.bytes > 0)
    }

    fn per_second(&self, many: u64) -> f64 {
        many as f64 / self.measured.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// CPU time of the metered process while it was measured.
    fn cpu(&self) -> Option<Duration> {
        self.meter
            .map(|[_, first, last]| last.cpu.saturating_sub(first.cpu))
    }

    fn cpu_per_unit(&self) -> Option<f64> {
        let micros = self.cpu()?.as_secs_f64() * 1e6 / self.tally.units as f64;
        micros.is_finite().then_some(micros)
    }

    fn cpu_per_gigabyte(&self) -> Option<f64> {
        let seconds = self.cpu()?.as_secs_f64() * 1e9 / self.tally.bytes as f64;
        seconds.is_finite().then_some(seconds)
    }
}

/// For a person, some lines of text.
#[must_use]
pub fn human(plan: &Plan, outcome: &Outcome) -> String {
    let tally = &outcome.tally;
    let mut text = format!(
        "{:?} on {}: {} units in {:.2} s, {:.1} a second; {:.1} MB/s; {} sessions or streams\n",
        plan.scenario,
        plan.target,
        tally.units,
        outcome.measured.as_secs_f64(),
        outcome.per_second(tally.units),
        outcome.per_second(tally.bytes) / 1e6,
        tally.links,
    );
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes every write");
    if tally.resumed + tally.full > 0 {
        line(format!(
            "data handshakes: {} resumed, {} full",
            tally.resumed, tally.full
        ));
    }
    if tally.unfinished > 0 {
        line(format!("{} ended without close_notify", tally.unfinished));
    }
    if let Some([before, first, last]) = outcome.meter {
        let cpu = last.cpu.saturating_sub(first.cpu).as_secs_f64();
        let each = outcome
            .cpu_per_unit()
            .map_or(String::new(), |micros| format!(", {micros:.1} us a unit"));
        line(format!(
            "metered: {cpu:.2} s of CPU{each}; memory {} KiB before, {} KiB at the beginning, {} KiB at the end",
            before.memory_bytes / 1024,
            first.memory_bytes / 1024,
            last.memory_bytes / 1024,
        ));
    }
    line(format!(
        "{:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  (us)",
        "phase", "count", "mean", "p50", "p90", "p99", "p99.9", "max"
    ));
    for (phase, name) in Phase::ALL {
        if let Some(times) = tally.times(phase) {
            let at = |quantile| micros(times.value_at_quantile(quantile));
            line(format!(
                "{name:>10} {:>9} {:>9.1} {:>9.1} {:>9.1} {:>9.1} {:>9.1} {:>9.1}",
                times.len(),
                times.mean() / 1e3,
                at(0.5),
                at(0.9),
                at(0.99),
                at(0.999),
                micros(times.max())
            ));
        }
    }
    for (reason, many) in &tally.failures {
        line(format!("FAILED {many} times: {reason}"));
    }
    text
}

/// For a program, one object.
#[must_use]
pub fn json(plan: &Plan, outcome: &Outcome) -> Value {
    let tally = &outcome.tally;
    let phases = Phase::ALL.into_iter().filter_map(|(phase, name)| {
        let times = tally.times(phase)?;
        Some((name.to_owned(), summary(times)))
    });
    let phases: serde_json::Map<String, Value> = phases.collect();
    json!({
        "scenario": format!("{:?}", plan.scenario),
        "target": plan.target.to_string(),
        "tls": plan.tls.is_some(),
        "implicit": plan.approach == Approach::Implicit,
        "private": plan.is_private,
        "resumes": plan.resumes,
        "concurrency": plan.concurrency,
        "rate": plan.pace.map(|pace| pace.rate),
        "size": plan.goods.len(),
        "good": outcome.is_good(),
        "seconds": outcome.measured.as_secs_f64(),
        "links": tally.links,
        "units": tally.units,
        "units_per_second": outcome.per_second(tally.units),
        "bytes": tally.bytes,
        "bytes_per_second": outcome.per_second(tally.bytes),
        "resumed": tally.resumed,
        "full": tally.full,
        "unfinished": tally.unfinished,
        "failed": tally.failed(),
        "failures": tally.failures,
        "cpu_seconds": outcome.cpu().map(|cpu| cpu.as_secs_f64()),
        "cpu_us_per_unit": outcome.cpu_per_unit(),
        "cpu_seconds_per_gigabyte": outcome.cpu_per_gigabyte(),
        "memory_bytes": outcome.meter.map(|readings| readings.map(|reading| reading.memory_bytes)),
        "phases": phases,
        "unit_counts": tally.times(Phase::Unit).map_or_else(Vec::new, counts),
    })
}

fn summary(times: &Histogram<u64>) -> Value {
    let at = |quantile| micros(times.value_at_quantile(quantile));
    // For a plot against 1 / (1 - quantile): some points for each halving of what is left.
    let spectrum = times
        .iter_quantiles(5)
        .map(|step| json!([step.quantile(), micros(step.value_iterated_to())]));
    json!({
        "count": times.len(),
        "mean_us": times.mean() / 1e3,
        "min_us": micros(times.min()),
        "p50_us": at(0.5),
        "p90_us": at(0.9),
        "p99_us": at(0.99),
        "p999_us": at(0.999),
        "max_us": micros(times.max()),
        "spectrum": spectrum.collect::<Vec<_>>(),
    })
}

/// How many took how many microseconds: what several runs are merged by.
fn counts(times: &Histogram<u64>) -> Vec<Value> {
    times
        .iter_recorded()
        .map(|step| json!([micros(step.value_iterated_to()), step.count_at_value()]))
        .collect()
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}
