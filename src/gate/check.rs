//! From the path of a configuration to everything that serving needs, or to every complaint about it.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::kept::{self, Mark, SecuredListener, SecuredPool};
use crate::config::{
    self, Applied, Complaint, Config, Listener, Mode, Place, Pool, Survey, TlsVersions, Verify,
};
use crate::limits;
use crate::policy::{BackendTls, ClientTls};
use crate::tls::{Expiry, expiries, readers, setup};

/// A configuration that can be served: nothing in it is wrong as far as files and sense go.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What the operator wants; paths are complete.
    pub config: Config,
    /// The TLS of each listener, in the order of `config.listeners`; nothing where it is off.
    pub(super) listeners: Vec<SecuredListener>,
    /// The TLS of each pool, in the order of `config.pools`; nothing where it is off.
    pub(super) pools: Vec<SecuredPool>,
    /// What readers of the admin server must show, if anything.
    pub(super) admin_token: Option<AdminToken>,
    /// TLS of the admin server, where it has some.
    pub(super) admin_tls: Option<Arc<rustls::ServerConfig>>,
    /// The file it was read from.
    pub(super) file: PathBuf,
    /// The text it was read from.
    pub(super) text: String,
    /// When it was read.
    pub(super) read: SystemTime,
    /// Until when its files are good.
    pub(super) expiries: Vec<Expiry>,
    /// What is written and waits for a restart: `config` has it as it runs.
    pub(super) pending: Vec<Complaint>,
}

/// What readers of the admin server must show; it is never shown itself.
#[derive(Clone)]
pub struct AdminToken(pub(super) String);

impl fmt::Debug for AdminToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("AdminToken")
    }
}

/// Reads a configuration and every file it names. `now` is the time at which certificates must be valid.
pub fn load(file: &Path, now: SystemTime) -> Result<Prepared, Vec<Complaint>> {
    load_after(file, now, None)
}

/// The same for a process that has a configuration already: what only a start can change is as it runs.
pub(super) fn load_after(
    file: &Path,
    now: SystemTime,
    running: Option<&Prepared>,
) -> Result<Prepared, Vec<Complaint>> {
    let text = read(file).map_err(|complaint| vec![complaint])?;
    let directory = file.parent().unwrap_or_else(|| Path::new(""));
    let Survey {
        config,
        faults: mut complaints,
    } = config::survey(&text);
    let Some(config) = config else {
        return Err(complaints);
    };
    let mut config = config.relative_to(directory);
    let pending = running.map(|running| config.settle(&running.config));
    let in_place = config.process.in_place;
    let mut keep = |mut faults: Vec<Complaint>| complaints.append(&mut faults);
    let listeners: Vec<_> = config
        .listeners
        .iter()
        .enumerate()
        .filter_map(|(at, listener)| {
            if listener.tls == ClientTls::Off {
                return Some(None);
            }
            let mark = Mark::of_listener(&config, at);
            let own = setup::server(listener, now);
            let with_hosts = own.and_then(|own| own.with_hosts(listener, config.hosts_of(at), now));
            let tls = with_hosts.map_err(&mut keep).ok()?;
            let tls = tls.in_place(in_place);
            let tls = match listener.mode {
                Mode::Ftp => tls,
                Mode::Stream => tls.for_streams(),
            };
            Some(Some((mark, tls)))
        })
        .collect();
    let pools: Vec<_> = config
        .pools
        .iter()
        .filter_map(|pool| {
            let mark = Mark::of_pool(pool, in_place);
            let tls = setup::pool(pool, now).map_err(&mut keep).ok()?;
            Some(tls.map(|tls| (mark, tls.in_place(in_place))))
        })
        .collect();
    let admin_token = admin_token(&config).map_err(|fault| keep(vec![fault]));
    let admin_tls = config.admin.as_ref().and_then(|admin| admin.tls.as_ref());
    let admin_tls = admin_tls.map(|tls| readers::server(tls, now)).transpose();
    match (admin_token, admin_tls.map_err(&mut keep)) {
        (Ok(admin_token), Ok(admin_tls)) if complaints.is_empty() => Ok(Prepared {
            read: now,
            expiries: expiries(&config),
            config,
            listeners,
            pools,
            admin_token,
            admin_tls,
            file: file.to_owned(),
            text,
            pending: pending.unwrap_or_default(),
        }),
        _ => Err(config::in_order(complaints)),
    }
}

impl Prepared {
    /// Goes on with the TLS of the configuration before where nothing of it has changed.
    pub(super) fn keep(&mut self, before: &Self) {
        let old = before.config.listeners.iter().map(|one| &one.name);
        let old: Vec<_> = old.zip(&before.listeners).collect();
        let now = self.config.listeners.iter().map(|one| &one.name);
        kept::keep(now.zip(&mut self.listeners), &old);
        let old = before.config.pools.iter().map(|pool| &pool.name);
        let old: Vec<_> = old.zip(&before.pools).collect();
        let now = self.config.pools.iter().map(|pool| &pool.name);
        kept::keep(now.zip(&mut self.pools), &old);
    }
}

/// What stands in the token file.
fn admin_token(config: &Config) -> Result<Option<AdminToken>, Complaint> {
    let Some(file) = config
        .admin
        .as_ref()
        .and_then(|admin| admin.token_file.as_ref())
    else {
        return Ok(None);
    };
    let (least, most) = (limits::ADMIN_TOKEN_BYTES_MIN, limits::ADMIN_TOKEN_BYTES_MAX);
    let cure = format!(
        "a file of one line that this process may read, for example of `openssl rand -hex 32`: {least} to {most} letters and digits"
    );
    let path = file.value.display();
    let text = fs::read_to_string(&file.value)
        .map_err(|error| file.complaint(format!("{path} cannot be read: {error}"), cure.clone()))?;
    let token = text.trim_end();
    let fits =
        (least..=most).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    match fits {
        true => Ok(Some(AdminToken(token.to_owned()))),
        false => Err(file.complaint(format!("what stands in {path} cannot be a token"), cure)),
    }
}

/// Checks a configuration for a person: complaints and warnings go to `faults`, the summary of a good one to `summary`.
/// True if it can be served.
pub fn report(file: &Path, summary: &mut impl Write, faults: &mut impl Write) -> io::Result<bool> {
    match load(file, SystemTime::now()) {
        Ok(prepared) => {
            for warning in &prepared.config.warnings {
                writeln!(faults, "{}", told(file, "warning: ", warning))?;
            }
            summarize(file, &prepared.config, summary)?;
            Ok(true)
        }
        Err(complaints) => {
            complain(file, &complaints, faults)?;
            Ok(false)
        }
    }
}

/// Writes every complaint, and how many there are.
pub fn complain(file: &Path, complaints: &[Complaint], to: &mut impl Write) -> io::Result<()> {
    for complaint in complaints {
        writeln!(to, "{}", told(file, "", complaint))?;
    }
    let plural = if complaints.len() == 1 { "" } else { "s" };
    writeln!(
        to,
        "{}: {} complaint{plural}",
        file.display(),
        complaints.len()
    )
}

/// `gate.toml:12:3  listener[0].passive_ports: problem`, and the cure on a line of its own.
fn told(file: &Path, kind: &str, complaint: &Complaint) -> String {
    let place = match complaint.place {
        Some(Place { line, column }) => format!("{}:{line}:{column}", file.display()),
        None => file.display().to_string(),
    };
    let key = match complaint.key.as_str() {
        "" => String::new(),
        key => format!("{key}: "),
    };
    format!(
        "{place}  {kind}{key}{}\n    cure: {}",
        complaint.problem, complaint.cure
    )
}

/// The text of a configuration file.
fn read(file: &Path) -> Result<String, Complaint> {
    let complaint = |problem: String, cure: &str| Complaint {
        place: None,
        key: String::new(),
        problem,
        cure: cure.to_owned(),
    };
    match fs::metadata(file) {
        Ok(facts) if facts.len() > limits::CONFIG_BYTES_MAX => {
            let problem = format!("is longer than {} bytes", limits::CONFIG_BYTES_MAX);
            return Err(complaint(
                problem,
                "name the configuration, not another file",
            ));
        }
        Ok(facts) if facts.is_dir() => {
            return Err(complaint("is a directory".to_owned(), "name a file in it"));
        }
        _ => {}
    }
    fs::read_to_string(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => complaint(
            "there is no such file".to_owned(),
            "begin with a copy of config/minimal.toml",
        ),
        io::ErrorKind::PermissionDenied => complaint(
            "this process may not read it".to_owned(),
            "let the user that runs sluicegate read it, and enter every directory above it",
        ),
        io::ErrorKind::InvalidData => {
            complaint("is not text in UTF-8".to_owned(), "save it as UTF-8")
        }
        _ => complaint(format!("cannot be read: {error}"), "name a readable file"),
    })
}

/// What a good configuration says, one line for each listener and pool.
fn summarize(file: &Path, config: &Config, to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "{}: OK", file.display())?;
    for listener in &config.listeners {
        writeln!(to, "  {}", listener_line(listener, &config.pools))?;
        explain(listener.profile.as_ref(), to)?;
    }
    for host in &config.hosts {
        let (listener, pool) = (&config.listeners[host.listener], &config.pools[host.pool]);
        let (name, listener, pool) = (&*host.name, &listener.name, &pool.name);
        writeln!(to, "  host {name} of listener {listener}: to pool {pool}")?;
    }
    for pool in &config.pools {
        writeln!(to, "  {}", pool_line(pool))?;
        explain(pool.profile.as_ref(), to)?;
    }
    Ok(())
}

/// What a profile has done, one line for each key.
fn explain(applied: Option<&Applied>, to: &mut impl Write) -> io::Result<()> {
    let Some(applied) = applied else {
        return Ok(());
    };
    let name = applied.profile.name;
    for setting in &applied.set {
        let (source, reason) = (setting.source, setting.reason);
        writeln!(to, "    profile {name}: {setting}  ({source}: {reason})")?;
    }
    for setting in &applied.overridden {
        let key = setting.key;
        writeln!(
            to,
            "    profile {name}: {key} is as the file has it, not {setting}"
        )?;
    }
    if applied.set.is_empty() && applied.overridden.is_empty() {
        writeln!(
            to,
            "    profile {name}: nothing to set where tls is not implicit"
        )?;
    }
    Ok(())
}

fn listener_line(listener: &Listener, pools: &[Pool]) -> String {
    let addresses: Vec<String> = listener.address.iter().map(ToString::to_string).collect();
    let tls = match listener.tls {
        ClientTls::Required => "required",
        ClientTls::Optional => "optional",
        ClientTls::Implicit => "implicit",
        ClientTls::Off => "off",
    };
    let pool = pools
        .get(listener.pool)
        .map_or("", |pool| pool.name.as_str());
    let tls = match listener.tls {
        ClientTls::Off => tls.to_owned(),
        _ => format!("{tls} ({})", versions(listener.tls_versions)),
    };
    let kind = match listener.passive_ports {
        Some(ports) => format!("passive ports {}-{}", ports.first, ports.last),
        None => "streams of any kind".to_owned(),
    };
    format!(
        "listener {} on {}: TLS {tls}, {kind}, to pool {pool}",
        listener.name,
        addresses.join(", "),
    )
}

fn pool_line(pool: &Pool) -> String {
    let members: Vec<String> = pool.members.iter().map(ToString::to_string).collect();
    let verified = match (pool.verify, &pool.ca) {
        (Verify::Ca, Some(ca)) => format!("verified by {}", ca.display()),
        (Verify::Chain, Some(ca)) => format!("verified by {}, whatever the name", ca.display()),
        (Verify::Pin, _) => "verified by pins".to_owned(),
        _ => "not verified".to_owned(),
    };
    let tls = match pool.tls {
        BackendTls::Off => "TLS off".to_owned(),
        BackendTls::Explicit => {
            format!("TLS explicit ({}), {verified}", versions(pool.tls_versions))
        }
        BackendTls::Implicit => {
            format!("TLS implicit ({}), {verified}", versions(pool.tls_versions))
        }
        BackendTls::Match => format!(
            "TLS as the client ({}), {verified}",
            versions(pool.tls_versions)
        ),
    };
    format!("pool {} of {}: {tls}", pool.name, members.join(", "))
}

fn versions(allowed: TlsVersions) -> &'static str {
    match (allowed.v1_2, allowed.v1_3) {
        (true, true) => "1.2, 1.3",
        (true, false) => "1.2",
        _ => "1.3",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the check says about a text in a directory of its own, the directory left out; true if it is good.
    fn checked(text: &str, files: &[(&str, &str)]) -> (bool, String, String) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gate.toml");
        fs::write(&file, text).unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        let (mut summary, mut faults) = (Vec::new(), Vec::new());
        let good = report(&file, &mut summary, &mut faults).unwrap();
        let place = format!("{}/", directory.path().display());
        let tidy = |bytes| String::from_utf8(bytes).unwrap().replace(&place, "");
        (good, tidy(summary), tidy(faults))
    }

    const MINIMAL: &str = include_str!("../../config/minimal.toml");

    #[test]
    fn faults_of_files_come_with_file_line_and_key() {
        let (good, summary, faults) = checked(MINIMAL, &[]);
        assert!(!good);
        assert_eq!(summary, "");
        let lines: Vec<&str> = faults
            .lines()
            .filter(|line| !line.starts_with("    cure: "))
            .collect();
        assert_eq!(
            lines,
            [
                "gate.toml:7:15  listener[0].certificate: gate.pem: there is no such file",
                "gate.toml:8:7  listener[0].key: gate.key: there is no such file",
                "gate.toml:14:6  pool[0].ca: inside-ca.pem: there is no such file",
                "gate.toml: 3 complaints",
            ]
        );
    }

    #[test]
    fn faults_of_files_stand_among_those_of_the_text() {
        let text = MINIMAL
            .replace("50000-50999", "50999")
            .replace("inside-ca.pem", "");
        let (_, _, faults) = checked(&text, &[("gate.pem", ""), ("gate.key", "")]);
        let keys: Vec<&str> = faults
            .split("  ")
            .filter_map(|part| part.split_once(": "))
            .map(|(key, _)| key)
            .collect();
        let expected = [
            "listener[0].certificate",
            "listener[0].key",
            "listener[0].passive_ports",
            "pool[0].ca",
        ];
        assert_eq!(
            keys.iter()
                .filter(|key| key.contains('['))
                .collect::<Vec<_>>(),
            expected.iter().collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_good_file_is_summed_up_and_warnings_are_told() {
        let own = rcgen::generate_simple_self_signed(["gate".to_owned()]).unwrap();
        let text = MINIMAL.replace("ca = \"inside-ca.pem\"", "verify = \"off\"");
        let files = [
            ("gate.pem", own.cert.pem()),
            ("gate.key", own.signing_key.serialize_pem()),
        ];
        let files = files
            .each_ref()
            .map(|(name, content)| (*name, content.as_str()));
        let (good, summary, faults) = checked(&text, &files);
        assert!(good, "{faults}");
        assert_eq!(
            summary,
            "gate.toml: OK\n  listener partners on 0.0.0.0:21: TLS required (1.2, 1.3), passive ports 50000-50999, \
             to pool inside\n  pool inside of 10.0.0.10:21: TLS explicit (1.2, 1.3), not verified\n"
        );
        assert!(
            faults.starts_with("gate.toml:14:10  warning: pool[0].verify: "),
            "{faults}"
        );
    }

    #[test]
    fn what_a_profile_sets_and_what_it_does_not_is_told() {
        let text = |keys: &str| format!("[[listener]]\nprofile = \"zos\"\n{keys}");
        let told = |keys: &str| {
            let text = MINIMAL.replace("[[listener]]", &text(keys));
            let config = config::read(&text).unwrap();
            let mut lines = Vec::new();
            explain(config.listeners[0].profile.as_ref(), &mut lines).unwrap();
            String::from_utf8(lines).unwrap()
        };
        let implicit = told("tls = \"implicit\"\nresumption = \"required\"");
        assert!(
            implicit.contains("profile zos: banner_first = true  (P23;"),
            "{implicit}"
        );
        let kept = "profile zos: resumption is as the file has it, not resumption = \"accepted\"";
        assert!(implicit.contains(kept), "{implicit}");
        assert!(!told("").contains("banner_first"));
    }

    #[test]
    fn a_file_that_is_no_configuration_is_a_complaint_too() {
        let directory = tempfile::tempdir().unwrap();
        let problem = |file: &Path| load(file, SystemTime::now()).unwrap_err().remove(0).problem;
        assert_eq!(problem(directory.path()), "is a directory");
        assert_eq!(
            problem(&directory.path().join("none.toml")),
            "there is no such file"
        );
        let binary = directory.path().join("binary");
        fs::write(&binary, [0xff, 0xfe]).unwrap();
        assert_eq!(problem(&binary), "is not text in UTF-8");
    }
}
