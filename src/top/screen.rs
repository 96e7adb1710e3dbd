//! How it looks: lines of text out of the model, one column or two, cut where the terminal ends.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::model::{Model, PhaseRow, Status, sum};

/// From this width on, phases and the rest stand side by side.
const WIDE: u16 = 128;

/// Width of the column of names.
const NAME: usize = 30;

/// Styles; without colour the same is said with weight.
pub(super) struct Palette {
    calm: Style,
    faint: Style,
    strong: Style,
    look: Style,
    fault: Style,
}

impl Palette {
    /// Colours, unless NO_COLOR says otherwise (no-color.org).
    pub(super) fn of_environment() -> Self {
        Self::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    fn new(colour: bool) -> Self {
        let plain = Style::new();
        let coloured = |style: Style, colour_of: Color| match colour {
            true => style.fg(colour_of),
            false => style,
        };
        Self {
            calm: coloured(plain, Color::Cyan),
            faint: plain.add_modifier(Modifier::DIM),
            strong: plain.add_modifier(Modifier::BOLD),
            look: coloured(plain.add_modifier(Modifier::BOLD), Color::Yellow),
            fault: coloured(
                plain.add_modifier(Modifier::BOLD | Modifier::REVERSED),
                Color::Red,
            ),
        }
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, palette: &Palette) {
    let rows = [
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ];
    let [top, middle, bottom] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(head(model, palette), top);
    if let Some(status) = &model.last {
        body(frame, middle, model, status, palette);
    }
    let keys = format!(
        "q quit  p pause  c core  s sort by {}",
        model.order.next().name()
    );
    frame.render_widget(Line::styled(keys, palette.faint), bottom);
}

fn head<'a>(model: &Model, palette: &Palette) -> Line<'a> {
    let (state, style) = match &model.lost {
        Some(why) => (format!("NO ANSWER, {why}"), palette.fault),
        None if model.paused => ("paused".to_owned(), palette.look),
        None if model.last.is_none() => ("connecting".to_owned(), palette.faint),
        None => ("live".to_owned(), palette.calm),
    };
    let mut spans = vec![Span::styled("sluicegate ", palette.strong)];
    spans.push(Span::styled(state, style));
    if let Some(status) = &model.last {
        let cores = model
            .cpu()
            .map_or_else(|| "all cores".to_owned(), |cpu| format!("CPU {cpu}"));
        let up = age(status.now - status.started);
        spans.push(Span::raw(format!("  {cores}  {}  up {up}", status.version)));
    }
    Line::from(spans)
}

fn body(frame: &mut Frame<'_>, area: Rect, model: &Model, status: &Status, palette: &Palette) {
    let mut left = wants(model, status, palette);
    left.extend(figures(model, status, palette));
    if area.width < WIDE {
        // What is cut off at the bottom is what the figures sum up.
        left.extend(places(status, palette));
        left.push(Line::default());
        left.extend(phases(model, status, palette));
        left.extend(cores(model, status, palette));
        frame.render_widget(Paragraph::new(left), area);
        return;
    }
    left.extend(phases(model, status, palette));
    let mut right = cores(model, status, palette);
    right.extend(places(status, palette));
    let columns = [Constraint::Fill(1), Constraint::Length(46)];
    let [at_left, at_right] = Layout::horizontal(columns).spacing(3).areas(area);
    frame.render_widget(Paragraph::new(left), at_left);
    frame.render_widget(Paragraph::new(right), at_right);
}

fn wants<'a>(model: &Model, status: &Status, palette: &Palette) -> Vec<Line<'a>> {
    let found = model.wants(status);
    if found.is_empty() {
        return vec![Line::styled("Nothing wants attention.", palette.calm)];
    }
    let line = |(fault, text): (bool, String)| match fault {
        true => Line::styled(format!("! {text}"), palette.fault),
        false => Line::styled(format!("> {text}"), palette.look),
    };
    found.into_iter().map(line).collect()
}

/// The figures that the page has at its top, two lines of them.
fn figures<'a>(model: &Model, status: &Status, palette: &Palette) -> Vec<Line<'a>> {
    let rate = |family: &str, labels: &[&str]| {
        scaled(model.rate(|status| sum(model.counted(status), family, labels)))
    };
    let total = |family: &str| scaled(sum(model.counted(status), family, &[]) as f64);
    let bytes = "sluicegate_transfer_bytes_total";
    let core = model
        .cpu()
        .and_then(|cpu| status.cores.iter().find(|core| core.cpu == cpu));
    let (sessions, transfers) = core.map_or((status.sessions, status.transfers), |core| {
        (core.sessions, core.transfers)
    });
    let line = |figures: Vec<(&'static str, String)>| {
        let spans = figures.into_iter().flat_map(|(name, value)| {
            let value = Span::styled(format!("{value:<8}"), palette.strong);
            [Span::styled(format!("{name:<9} "), palette.faint), value]
        });
        Line::from_iter(spans)
    };
    vec![
        Line::default(),
        line(vec![
            ("sessions", sessions.to_string()),
            ("running", transfers.to_string()),
            ("logins/s", rate("sluicegate_logins_total", &["\"ok\""])),
        ]),
        line(vec![
            ("ended/s", rate("sluicegate_transfers_total", &[])),
            ("down B/s", rate(bytes, &["\"download\""])),
            ("up B/s", rate(bytes, &["\"upload\""])),
            ("empties", total("sluicegate_empty_completions_total")),
        ]),
        Line::default(),
    ]
}

fn phases<'a>(model: &Model, status: &Status, palette: &Palette) -> Vec<Line<'a>> {
    let heads = format!(
        "{:<NAME$}{:>7}{:>8}{:>8}{:>8}{:>8}  spread since start",
        "phase", "/s", "p50", "p90", "p99", "max"
    );
    let row = |row: &PhaseRow<'_>| {
        let PhaseRow { name, rate, times } = row;
        let [p50, p90, p99, max] = [times.p50, times.p90, times.p99, times.max].map(|micros| {
            if times.count == 0 {
                "-".to_owned()
            } else {
                duration(micros)
            }
        });
        let name: String = name.chars().take(NAME - 1).collect();
        Line::from(vec![
            Span::raw(format!("{name:<NAME$}")),
            Span::raw(format!(
                "{:>7}{p50:>8}{p90:>8}{p99:>8}{max:>8}  ",
                scaled(*rate)
            )),
            Span::styled(spread(&times.octaves), palette.calm),
        ])
    };
    let mut lines = vec![Line::styled(heads, palette.faint)];
    lines.extend(model.phases(status).iter().map(row));
    lines.push(Line::default());
    lines
}

/// A bar for each octave from a microsecond up: how many times fell into it.
fn spread(octaves: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = octaves.iter().copied().max().unwrap_or(0).max(1) as f64;
    let bar = |&count: &u64| match count {
        0 => ' ',
        // The root lets the rare ones be seen: they are what is looked for.
        _ => BARS[((count as f64 / most).sqrt() * 7.0) as usize],
    };
    octaves.iter().map(bar).collect()
}

fn cores<'a>(model: &Model, status: &Status, palette: &Palette) -> Vec<Line<'a>> {
    let heads = format!(
        "{:<8}{:>9}{:>10}{:>9}{:>9}",
        "core", "sessions", "transfers", "ended/s", "bytes/s"
    );
    let mut lines = vec![Line::styled(heads, palette.faint)];
    for (at, core) in status.cores.iter().enumerate() {
        let rate = |family: &str| {
            let of = |status: &Status| {
                let core = status.cores.get(at);
                core.map_or(0, |core| sum(&core.counted, family, &[]))
            };
            scaled(model.rate(of))
        };
        let text = format!(
            "{:<8}{:>9}{:>10}{:>9}{:>9}",
            format!("CPU {}", core.cpu),
            core.sessions,
            core.transfers,
            rate("sluicegate_transfers_total"),
            rate("sluicegate_transfer_bytes_total"),
        );
        let style = match (core.answered, model.cpu() == Some(core.cpu)) {
            (false, _) => palette.fault,
            (true, true) => palette.strong,
            (true, false) => Style::new(),
        };
        lines.push(Line::styled(text, style));
    }
    lines.push(Line::default());
    lines
}

/// Backends and listeners.
fn places<'a>(status: &Status, palette: &Palette) -> Vec<Line<'a>> {
    let mut lines = vec![Line::styled("backends", palette.faint)];
    for pool in &status.backends {
        for member in &pool.members {
            let text = format!("{} {}  ", pool.pool, member.address);
            let (how, style) = match member.rest() {
                None => ("not resting".to_owned(), palette.calm),
                Some(rest) => (rest, palette.look),
            };
            lines.push(Line::from(vec![Span::raw(text), Span::styled(how, style)]));
        }
    }
    lines.push(Line::styled("passive ports in use", palette.faint));
    lines.extend(status.listeners.iter().map(|listener| {
        let (used, ports) = (listener.passive_ports_in_use, listener.passive_ports);
        Line::raw(format!("{}  {used} of {ports}", listener.name))
    }));
    lines
}

/// Microseconds for a person.
fn duration(micros: u64) -> String {
    let value = micros as f64;
    match micros {
        0..1_000 => format!("{micros}µs"),
        1_000..1_000_000 => short(value / 1e3, "ms"),
        1_000_000..120_000_000 => short(value / 1e6, "s"),
        _ => short(value / 6e7, "min"),
    }
}

/// A number with a letter for its thousands.
fn scaled(mut value: f64) -> String {
    let mut letters = ["", "k", "M", "G", "T"].into_iter().peekable();
    while value >= 999.5 && letters.len() > 1 {
        value /= 1000.0;
        letters.next();
    }
    let letter = letters.next().unwrap_or_default();
    match value.fract() == 0.0 {
        true => format!("{value:.0}{letter}"),
        false => short(value, letter),
    }
}

fn short(value: f64, unit: &str) -> String {
    match value < 9.95 {
        true => format!("{value:.1}{unit}"),
        false => format!("{value:.0}{unit}"),
    }
}

fn age(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}min", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    const ANSWER: &str = r#"{"version":"1.2.3","started":1,"now":70,"draining":false,"sessions":3,"transfers":1,"more":1,
        "config":{"restart":["process.cores"],"last_reload":{"outcome":"refused","complaints":[{"place":"7:2","key":"pool[0].ca","problem":"is torn"}]}},
        "total":{"counters":{},"phases":{"sluicegate_login_seconds":{"count":9,"p50":800,"p90":2500,"p99":40000,"max":3000000,"octaves":[0,0,5,4]}}},
        "cores":[{"cpu":4,"answered":true,"sessions":3,"transfers":1,"counters":{},"phases":{}}],
        "listeners":[{"name":"outside","passive_ports":10,"passive_ports_in_use":9}],
        "backends":[{"pool":"inside","members":[{"address":"[::1]:21","resting_on":1,"cores":2,"last_failure":{"reason":"certificate"}}]}]}"#;

    fn screen(model: &Model, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it is memory");
        let palette = Palette::new(false);
        terminal
            .draw(|frame| draw(frame, model, &palette))
            .expect("it is memory");
        terminal.backend().to_string()
    }

    fn model() -> Model {
        let mut model = Model::default();
        model.hear(Ok(
            serde_json::from_str(ANSWER).expect("it is what a gate answers")
        ));
        model
    }

    #[test]
    fn it_says_what_the_answer_says() {
        let screen = screen(&model(), 140, 30);
        for text in [
            "live",
            "up 69s",
            "800µs",
            "2.5ms",
            "40ms",
            "3.0s",
            "█",
            "CPU 4",
            "9 of 10 passive ports",
            "! configuration refused: 7:2 pool[0].ca is torn",
            "> needs a restart: process.cores",
            "rests on 1 of 2 cores: certificate",
        ] {
            assert!(screen.contains(text), "{text} is missing:\n{screen}");
        }
    }

    #[test]
    fn any_size_is_survived() {
        let model = model();
        for width in 1..50 {
            for height in 1..20 {
                assert!(!screen(&model, width, height).is_empty());
            }
        }
        assert!(screen(&model, 40, 3).contains("sluicegate live"));
    }

    #[test]
    fn a_lost_connection_stands_first_and_the_last_numbers_stay() {
        let mut model = model();
        model.hear(Err("it takes too long".to_owned()));
        let screen = screen(&model, 100, 24);
        assert!(
            screen.contains("sluicegate NO ANSWER, it takes too long"),
            "{screen}"
        );
        assert!(screen.contains("800µs"));
    }

    #[test]
    fn numbers_are_short() {
        let long = [0.0, 0.04, 3.26, 999.4, 1500.0, 2e15].map(scaled);
        assert_eq!(long, ["0", "0.0", "3.3", "999", "1.5k", "2000T"]);
    }
}
