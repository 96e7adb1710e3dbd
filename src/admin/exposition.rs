//! What the shards have counted, as Prometheus reads it: one collector for every format, derived from the catalog.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeMetric as _, MetricEncoder, NativeHistogram, NativeHistogramBuckets,
    NoLabelSet, prometheus_protobuf, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Office;
use super::collector::View;
use super::readings::{Labels, core, gauges, label, readings};
use crate::metrics::{self, Counter, Gauge, NATIVE_SCHEMA, Phase, Reading, Snapshot};

/// A form in which metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus text, version 0.0.4.
    Text,
    /// OpenMetrics text, version 1.0.0.
    OpenMetrics,
    /// Prometheus protobuf, delimited: the one with native histograms.
    Protobuf,
}

impl Format {
    /// What a reader wants most, by its Accept header (RFC 9110 section 12.5.1); text for whoever does not say.
    pub(super) fn wanted(accept: Option<&str>) -> Self {
        let choices = accept.unwrap_or("").split(',').filter_map(|choice| {
            let mut parts = choice.split(';').map(str::trim);
            let format = match parts.next()? {
                "application/openmetrics-text" => Self::OpenMetrics,
                "application/vnd.google.protobuf" => Self::Protobuf,
                "text/plain" | "*/*" => Self::Text,
                _ => return None,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
            Some((format, weight.unwrap_or(1.0)))
        });
        // The first of the heaviest.
        let heavier =
            |best: (Self, f32), next: (Self, f32)| if next.1 > best.1 { next } else { best };
        choices
            .reduce(heavier)
            .map_or(Self::Text, |(format, _)| format)
    }

    /// Its media type.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// Writes everything, all cores together or each for itself.
pub(super) fn write(
    office: &Office,
    view: &View,
    by_core: bool,
    format: Format,
) -> Result<Vec<u8>, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families::new(office, view, by_core)));
    let mut written = String::new();
    match format {
        Format::Protobuf => {
            return prometheus_protobuf::encode_to_vec(&registry).map_err(|_| fmt::Error);
        }
        Format::OpenMetrics => text::encode(&mut written, &registry)?,
        Format::Text => {
            text::encode_registry(&mut written, &registry)?;
            written = as_plain_text(&written);
        }
    }
    Ok(written.into_bytes())
}

/// OpenMetrics names a counter without `_total` where it describes it; the older format describes what it writes.
fn as_plain_text(openmetrics: &str) -> String {
    let counters: Vec<&str> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut plain = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(kind), Some(name), Some(rest)) if counters.contains(&name) => {
                plain.extend(["# ", kind, " ", name, "_total ", rest]);
            }
            _ => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}

/// Everything there is to write, taken down before the writing begins.
#[derive(Debug)]
struct Families {
    /// What was counted, with the labels that set it apart from the other cores.
    counted: Vec<(Labels, Snapshot)>,
    gauges: Vec<(Gauge, Vec<(Labels, f64)>)>,
    readings: Vec<(Reading, Vec<(Labels, f64)>)>,
}

impl Families {
    fn new(office: &Office, view: &View, by_core: bool) -> Self {
        let counted = match by_core {
            false => vec![(Labels::new(), view.ledger.merged())],
            true => (view.ledger.accounts().iter())
                .map(|account| (core(account.cpu), account.totals.clone()))
                .collect(),
        };
        Self {
            counted,
            gauges: gauges(office, view, by_core),
            readings: readings(office, view, by_core),
        }
    }
}

/// OpenMetrics names a counter without its ending where it describes it.
fn family_name(counter: &str) -> &str {
    counter.strip_suffix("_total").unwrap_or(counter)
}

/// A row's own labels, and those that set the cores apart.
fn joined(own: &[(&'static str, &'static str)], labels: &Labels) -> Labels {
    let own = own.iter().map(|&(key, value)| label(key, value));
    own.chain(labels.iter().cloned()).collect()
}

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_counters(&mut encoder)?;
        for (gauge, series) in &self.gauges {
            let mut family =
                encoder.encode_descriptor(gauge.name(), gauge.help(), None, MetricType::Gauge)?;
            for (labels, value) in series {
                ConstGauge::new(*value).encode(family.encode_family(&labels.as_slice())?)?;
            }
        }
        for (reading, series) in &self.readings {
            let (name, help) = (family_name(reading.name()), reading.help());
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (labels, value) in series {
                ConstCounter::new(*value).encode(family.encode_family(&labels.as_slice())?)?;
            }
        }
        self.encode_phases(&mut encoder)
    }
}

impl Families {
    /// Variants of one name stand together, as the formats demand.
    fn encode_counters(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut by_name: BTreeMap<&str, Vec<Counter>> = BTreeMap::new();
        for &counter in Counter::ALL {
            by_name.entry(counter.name()).or_default().push(counter);
        }
        for (name, variants) in by_name {
            let name = family_name(name);
            let help = variants[0].family_help();
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for counter in variants {
                for (labels, snapshot) in &self.counted {
                    let labels = joined(counter.labels(), labels);
                    let value = ConstCounter::new(snapshot.total(counter));
                    value.encode(family.encode_family(&labels.as_slice())?)?;
                }
            }
        }
        Ok(())
    }

    fn encode_phases(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut by_name: BTreeMap<&str, Vec<Phase>> = BTreeMap::new();
        for &phase in Phase::ALL {
            by_name.entry(phase.name()).or_default().push(phase);
        }
        for (name, variants) in by_name {
            let help = variants[0].family_help();
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            for phase in variants {
                self.encode_phase(phase, &mut family)?;
            }
        }
        Ok(())
    }

    fn encode_phase(&self, phase: Phase, family: &mut MetricEncoder<'_>) -> fmt::Result {
        for (labels, snapshot) in &self.counted {
            let labels = joined(phase.labels(), labels);
            let times = snapshot.times(phase);
            let (sum, classic) = metrics::classic(times);
            let (spans, deltas) = metrics::native(times).spans_and_deltas();
            let none = NativeHistogramBuckets {
                spans: &[],
                deltas: &[],
            };
            let native = NativeHistogram {
                schema: NATIVE_SCHEMA,
                zero_threshold: 0.0,
                zero_count: 0,
                negative: none,
                positive: NativeHistogramBuckets {
                    spans: &spans,
                    deltas: &deltas,
                },
                created: None,
            };
            family
                .encode_family(&labels.as_slice())?
                .encode_histogram_with_native::<NoLabelSet>(
                    sum,
                    times.len(),
                    &classic,
                    None,
                    native,
                )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gets_what_it_wants_most() {
        let prometheus = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                          application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.2";
        assert_eq!(Format::wanted(Some(prometheus)), Format::Protobuf);
        let older = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        assert_eq!(Format::wanted(Some(older)), Format::OpenMetrics);
        for other in [None, Some("*/*"), Some("text/html"), Some(";;,q=x")] {
            assert_eq!(Format::wanted(other), Format::Text, "{other:?}");
        }
    }

    #[test]
    fn the_older_format_describes_counters_by_the_names_it_writes() {
        let plain = as_plain_text(
            "# HELP a_b Things.\n# TYPE a_b counter\na_b_total 1\n# TYPE g gauge\ng 2\n",
        );
        assert_eq!(
            plain,
            "# HELP a_b_total Things.\n# TYPE a_b_total counter\na_b_total 1\n# TYPE g gauge\ng 2\n"
        );
    }
}
