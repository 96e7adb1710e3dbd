//! The command `sluicegate load`: its flags, what they mean together, and its lines on the way.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use rustls::pki_types::ServerName;

use super::pace::Pace;
use super::{Approach, Beat, Plan, Scenario, report};
use crate::limits;
use crate::rig::goods::{Goods, read_size};
use crate::rig::suite::{self, Cipher, Version};
use crate::sys::{cpus, rlimits};

/// Flags of `sluicegate load`.
#[derive(Args)]
pub struct Arguments {
    /// What to repeat
    scenario: Scenario,
    /// Whom to load: a gate, another proxy, or `sluicegate backend` itself
    #[arg(long, value_name = "ADDRESS")]
    target: SocketAddr,
    /// Load a target that is not this host; you have asked whoever runs it
    #[arg(long)]
    allow_remote: bool,
    /// How TLS begins
    #[arg(long, value_name = "HOW", default_value = "explicit")]
    tls: Approach,
    /// The authorities to trust (PEM); needed for TLS
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The name that the target's certificate must bear
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    server_name: String,
    /// The TLS to offer
    #[arg(long, value_name = "VERSION", default_value = "any")]
    tls_version: Version,
    /// The ciphers to offer
    #[arg(long, default_value = "any")]
    cipher: Cipher,
    /// Leave data connections in the clear (PROT C)
    #[arg(long)]
    clear_data: bool,
    /// Begin every data connection with a full handshake
    #[arg(long)]
    no_resumption: bool,
    /// The user
    #[arg(long, default_value = "load")]
    user: String,
    /// The password
    #[arg(long, default_value = "load")]
    password: String,
    /// The size of a unit: 4KiB, 1GiB; of list: its lines
    #[arg(long)]
    size: Option<String>,
    /// Workers, each with a session or stream of its own
    #[arg(long, value_name = "WORKERS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    concurrency: u32,
    /// Units a second, in an open loop; left out: as many as the workers can, in a closed one
    #[arg(long)]
    rate: Option<f64>,
    /// For how long the rate grows from nothing
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "0s", requires = "rate")]
    ramp: Duration,
    /// For how long to measure at most
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "10s")]
    duration: Duration,
    /// For how long to work before it is measured [default: 1s, or 0s with --units]
    #[arg(long, value_name = "TIME", value_parser = time)]
    warmup: Option<Duration>,
    /// End after so many units
    #[arg(long)]
    units: Option<u64>,
    /// How long one unit may take
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "30s")]
    patience: Duration,
    /// The CPUs to load from, one thread each; left out: one thread, anywhere
    #[arg(long, value_name = "CPU,CPU…", value_delimiter = ',')]
    cores: Vec<usize>,
    /// Read CPU time and memory of this process and its descendants
    #[arg(long, value_name = "PID")]
    meter: Option<u32>,
    /// Write all figures here, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Wrong arguments; clap ends with the same code.
const WRONG: u8 = 2;

/// Runs it. Exit code 0: something was done and nothing failed.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    let complain = |why: String, code| {
        // Where standard error is closed, the exit code still tells.
        let _unheard = writeln!(io::stderr(), "sluicegate load: {why}");
        code
    };
    match plan(arguments) {
        Err(why) => complain(why, ExitCode::from(WRONG)),
        Ok(plan) => match load(&plan, arguments) {
            Err(why) => complain(why, ExitCode::FAILURE),
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
        },
    }
}

fn load(plan: &Plan, arguments: &Arguments) -> Result<bool, String> {
    // What the limits allow to be raised is raised here.
    let (cores, workers) = (plan.cores.len().max(1), plan.concurrency);
    let each = plan.scenario.descriptors(workers);
    let faults = rlimits::startup_faults(cores, workers, each);
    if let Some(fault) = faults.first() {
        return Err(fault.to_string());
    }
    let mut line = ProgressLine::new(plan.duration);
    let outcome = super::run(plan, |beat| line.tell(beat))?;
    line.end();
    let told = |error: io::Error| error.to_string();
    io::stdout()
        .write_all(report::human(plan, &outcome).as_bytes())
        .map_err(told)?;
    if let Some(file) = &arguments.json {
        let text = format!("{:#}\n", report::json(plan, &outcome));
        fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(outcome.is_good())
}

/// What the flags mean together.
pub(super) fn plan(arguments: &Arguments) -> Result<Plan, String> {
    let scenario = arguments.scenario;
    if !arguments.target.ip().is_loopback() && !arguments.allow_remote {
        return Err(format!(
            "{} is not this host; cure: --allow-remote, if you may",
            arguments.target
        ));
    }
    cpus::check(&arguments.cores).map_err(|missing| missing.to_string())?;
    let size = arguments.size.as_deref().unwrap_or_else(|| scenario.size());
    let (path, goods) = match scenario {
        Scenario::List => {
            let path = format!("/{}", arguments.size.as_deref().unwrap_or(LISTING_LINES));
            (path.clone(), Goods::listing(&path))
        }
        _ => {
            let path = format!("/{size}.bin");
            let goods = Goods::file(&path).filter(|_| read_size(size).is_some());
            (
                path,
                goods.ok_or_else(|| format!("{size:?} is no size; cure: 4KiB, for one"))?,
            )
        }
    };
    if scenario.is_stream() && goods.len() == 0 {
        return Err("a unit of a stream has at least one byte".to_owned());
    }
    let pace = match arguments.rate {
        Some(rate) if !rate.is_finite() || rate <= 0.0 => {
            return Err("a rate is above 0".to_owned());
        }
        rate => rate.map(|rate| Pace {
            rate,
            ramp: arguments.ramp,
        }),
    };
    let warmup = if arguments.units.is_some() {
        Duration::ZERO
    } else {
        Duration::from_secs(1)
    };
    Ok(Plan {
        scenario,
        target: arguments.target,
        approach: arguments.tls,
        tls: tls(arguments)?,
        is_private: arguments.tls != Approach::Off && !arguments.clear_data,
        resumes: !arguments.no_resumption,
        user: arguments.user.clone(),
        password: arguments.password.clone(),
        path,
        goods,
        cores: arguments.cores.clone(),
        concurrency: arguments.concurrency as usize,
        pace,
        warmup: arguments.warmup.unwrap_or(warmup),
        duration: arguments.duration,
        units: arguments.units,
        patience: arguments.patience,
        meter: arguments.meter,
    })
}

fn tls(arguments: &Arguments) -> Result<super::DataTls, String> {
    if arguments.tls == Approach::Off {
        return Ok(None);
    }
    let Some(ca) = &arguments.ca else {
        return Err("TLS needs somebody to trust; cure: --ca FILE, or --tls off".to_owned());
    };
    let name = ServerName::try_from(arguments.server_name.clone())
        .map_err(|_| format!("{:?} cannot stand in a certificate", arguments.server_name))?;
    let config = suite::client(ca, arguments.tls_version, arguments.cipher)?;
    Ok(Some((config, name)))
}

/// Lines of a listing where nothing is said about it.
const LISTING_LINES: &str = "1000";

/// `500ms`, `10s`, `2m`, `1h`.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let number: u64 = number
        .parse()
        .map_err(|_| "a number and a unit: 10s".to_owned())?;
    let time = match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => return Err("a number and a unit: ms, s, m or h".to_owned()),
    };
    time.filter(|&time| time <= limits::TIMEOUT_MAX)
        .ok_or_else(|| "at most a day".to_owned())
}

/// One line on standard error: on a terminal it changes every second, elsewhere there is another one every ten.
struct ProgressLine {
    is_terminal: bool,
    duration: Duration,
    told: u32,
}

impl ProgressLine {
    fn new(duration: Duration) -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            duration,
            told: 0,
        }
    }

    fn tell(&mut self, beat: Beat) {
        self.told += 1;
        if !self.is_terminal && !self.told.is_multiple_of(10) {
            return;
        }
        let (begin, end) = if self.is_terminal {
            ("\r", "\x1b[K")
        } else {
            ("", "\n")
        };
        let mut err = io::stderr();
        // Where standard error is closed, nobody watches.
        let _unheard = write!(
            err,
            "{begin}{} of {} s, {} units, {:.1} MB, {} failed{end}",
            beat.elapsed.as_secs(),
            self.duration.as_secs(),
            beat.units,
            beat.bytes as f64 / 1e6,
            beat.failed
        );
        let _unheard = err.flush();
    }

    fn end(&self) {
        if self.is_terminal && self.told > 0 {
            let _unheard = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}
