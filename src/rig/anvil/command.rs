//! The command `sluicegate backend`: its flags, and its life until a signal.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{Anvil, Options, Port, Service};
use crate::rig::suite::{self, Cipher, Version};
use crate::sys::{cpus, rlimits};

/// Flags of `sluicegate backend`.
#[derive(Args)]
pub struct Arguments {
    /// Serve FTP with AUTH TLS here; like all addresses it may be repeated, and port 0 is any
    #[arg(long, value_name = "ADDRESS")]
    explicit: Vec<SocketAddr>,
    /// Serve FTP in TLS from the first byte here
    #[arg(long, value_name = "ADDRESS")]
    implicit: Vec<SocketAddr>,
    /// Serve FTP without TLS here
    #[arg(long, value_name = "ADDRESS")]
    plain: Vec<SocketAddr>,
    /// Give back over TCP what comes here
    #[arg(long, value_name = "ADDRESS")]
    echo: Vec<SocketAddr>,
    /// The same over TLS
    #[arg(long, value_name = "ADDRESS")]
    echo_tls: Vec<SocketAddr>,
    /// Send over TCP without end here
    #[arg(long, value_name = "ADDRESS")]
    source: Vec<SocketAddr>,
    /// The same over TLS
    #[arg(long, value_name = "ADDRESS")]
    source_tls: Vec<SocketAddr>,
    /// Take over TCP without end here
    #[arg(long, value_name = "ADDRESS")]
    sink: Vec<SocketAddr>,
    /// The same over TLS
    #[arg(long, value_name = "ADDRESS")]
    sink_tls: Vec<SocketAddr>,
    /// Where certificates are (backend.pem, backend.key), or are made: those of a gate and an authority, too
    #[arg(long, value_name = "FOLDER")]
    certificates: Option<PathBuf>,
    /// The TLS to offer
    #[arg(long, value_name = "VERSION", default_value = "any")]
    tls_version: Version,
    /// The ciphers to offer
    #[arg(long, default_value = "any")]
    cipher: Cipher,
    /// Refuse private data connections that resume nothing, as vsftpd and ProFTPD do
    #[arg(long)]
    demand_resumption: bool,
    /// The ports of data connections, such as 30000-32767; left out: any that the kernel has free
    #[arg(long, value_name = "FIRST-LAST", value_parser = span)]
    passive_ports: Option<RangeInclusive<u16>>,
    /// The CPUs to run on, one thread each; left out: one thread, anywhere
    #[arg(long, value_name = "CPU,CPU…", value_delimiter = ',')]
    cores: Vec<usize>,
    /// Connections at once that there must be descriptors for; a session that transfers has up to four
    #[arg(long, default_value_t = 4000)]
    connections: usize,
}

/// Runs it until a signal.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    match serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // Where standard error is closed, the exit code still tells.
            let _unheard = writeln!(io::stderr(), "sluicegate backend: {why}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> Result<(), String> {
    let options = options(arguments)?;
    // What the limits allow to be raised is raised here.
    let faults = rlimits::startup_faults(options.cores.len().max(1), arguments.connections, 1);
    if let Some(fault) = faults.first() {
        return Err(fault.to_string());
    }
    let told = |error: io::Error| error.to_string();
    let anvil = Anvil::start(&options).map_err(told)?;
    let mut out = io::stdout();
    for (port, address) in options.ports.iter().zip(anvil.addresses()) {
        let tls = if port.private { " in TLS" } else { "" };
        writeln!(out, "{:?}{tls} on {address}", port.service).map_err(told)?;
    }
    writeln!(out, "ready")
        .and_then(|()| out.flush())
        .map_err(told)?;
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(told)?;
    // The iterator ends only with the process.
    let _signal = signals.forever().next();
    let totals = anvil.stop();
    writeln!(
        out,
        "connections {}, transfers {}, failures {}, resumed {}, bytes {}",
        totals.connections, totals.transfers, totals.failures, totals.resumed, totals.bytes
    )
    .map_err(told)
}

fn options(arguments: &Arguments) -> Result<Options, String> {
    let services = [
        (&arguments.explicit, Service::Explicit, true),
        (&arguments.implicit, Service::Implicit, true),
        (&arguments.plain, Service::Plain, false),
        (&arguments.echo, Service::Echo, false),
        (&arguments.echo_tls, Service::Echo, true),
        (&arguments.source, Service::Source, false),
        (&arguments.source_tls, Service::Source, true),
        (&arguments.sink, Service::Sink, false),
        (&arguments.sink_tls, Service::Sink, true),
    ];
    let port = |service, private| {
        move |&address| Port {
            address,
            service,
            private,
        }
    };
    let ports = services
        .iter()
        .flat_map(|&(all, service, private)| all.iter().map(port(service, private)));
    let ports: Vec<Port> = ports.collect();
    if ports.is_empty() {
        return Err("nowhere to listen; cure: --explicit 127.0.0.1:2121, for one".to_owned());
    }
    cpus::check(&arguments.cores).map_err(|missing| missing.to_string())?;
    let tls = match &arguments.certificates {
        Some(folder) => {
            suite::make_identities(folder)?;
            Some(suite::server(
                folder,
                arguments.tls_version,
                arguments.cipher,
            )?)
        }
        None if ports.iter().any(|port| port.private) => {
            return Err("TLS needs certificates; cure: --certificates FOLDER".to_owned());
        }
        None => None,
    };
    Ok(Options {
        ports,
        cores: arguments.cores.clone(),
        tls,
        demand_resumption: arguments.demand_resumption,
        passive: arguments.passive_ports.clone(),
    })
}

fn span(text: &str) -> Result<RangeInclusive<u16>, String> {
    let ends = text
        .split_once('-')
        .map(|(first, last)| (first.parse(), last.parse()));
    match ends {
        Some((Ok(first), Ok(last))) if 0 < first && first <= last => Ok(first..=last),
        _ => Err("two ports, the lower one first, such as 30000-32767".to_owned()),
    }
}
