//! One configuration after another in one process: what only a start can change stays as it is, and is named.

use super::{Complaint, Config, Located};

impl Config {
    /// Takes over from the configuration that runs what only a start can change. What differs there is told, key by key.
    pub fn settle(&mut self, running: &Self) -> Vec<Complaint> {
        let mut pending = Vec::new();
        stay(
            &mut self.process.cores,
            &running.process.cores,
            &mut pending,
        );
        let (wanted, runs) = (&mut self.process.kernel_tls, &running.process.kernel_tls);
        stay(wanted, runs, &mut pending);
        let (wanted, runs) = (&mut self.process.busy_poll, &running.process.busy_poll);
        stay(wanted, runs, &mut pending);
        if self.log.format != running.log.format {
            self.log.format = running.log.format;
            pending.push(unplaced("log.format"));
        }
        self.settle_admin(running, &mut pending);
        self.settle_audit(running, &mut pending);
        pending
    }

    /// Where it listens decides what it must ask of its readers: a section for another address is not mixed with this one.
    fn settle_admin(&mut self, running: &Self, pending: &mut Vec<Complaint>) {
        pending.push(match (&self.admin, &running.admin) {
            (None, None) => return,
            (Some(wanted), Some(runs)) if wanted.address.value == runs.address.value => return,
            (Some(wanted), _) => told(&wanted.address),
            (None, Some(_)) => unplaced("admin.address"),
        });
        self.admin.clone_from(&running.admin);
    }

    fn settle_audit(&mut self, running: &Self, pending: &mut Vec<Complaint>) {
        match (&self.audit, &running.audit) {
            (None, None) => return,
            (Some(wanted), Some(runs)) => {
                if wanted.file.value != runs.file.value {
                    pending.push(told(&wanted.file));
                }
                let others = [
                    ("audit.format", wanted.format != runs.format),
                    ("audit.max_bytes", wanted.max_bytes != runs.max_bytes),
                    ("audit.keep", wanted.keep != runs.keep),
                ];
                let differing = others.into_iter().filter(|(_, differs)| *differs);
                pending.extend(differing.map(|(key, _)| unplaced(key)));
            }
            (Some(wanted), None) => pending.push(told(&wanted.file)),
            (None, Some(_)) => pending.push(unplaced("audit.file")),
        }
        self.audit.clone_from(&running.audit);
    }
}

/// The value that runs goes on.
fn stay<T: Clone + PartialEq>(
    wanted: &mut Located<T>,
    runs: &Located<T>,
    pending: &mut Vec<Complaint>,
) {
    if wanted.value != runs.value {
        pending.push(told(wanted));
        wanted.value.clone_from(&runs.value);
    }
}

const PROBLEM: &str = "needs a restart: what was there at the start goes on";
const CURE: &str = "restart when it suits, or write what runs";

fn told<T>(wanted: &Located<T>) -> Complaint {
    wanted.complaint(PROBLEM, CURE)
}

fn unplaced(key: &str) -> Complaint {
    Complaint {
        place: None,
        key: key.to_owned(),
        problem: PROBLEM.to_owned(),
        cure: CURE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cores, LogLevel, read};
    use super::*;

    const MINIMAL: &str = include_str!("../../config/minimal.toml");

    /// The keys that need a restart between two texts, and what the second one has become.
    fn between(before: &str, after: &str) -> (Vec<String>, Config, Config) {
        let text = |more: &str| format!("{more}\n{MINIMAL}");
        let running = read(&text(before)).unwrap();
        let mut wanted = read(&text(after)).unwrap();
        let pending = wanted.settle(&running);
        assert!(
            pending
                .iter()
                .all(|told| told.problem.starts_with("needs a restart"))
        );
        let keys = pending.into_iter().map(|told| told.key).collect();
        (keys, running, wanted)
    }

    #[test]
    fn what_only_a_start_can_change_stays_and_is_named() {
        let rows = [
            (
                "[process]\ncores = [0]",
                "[process]\ncores = [0, 1]",
                "process.cores",
            ),
            ("", "[process]\nkernel_tls = \"auto\"", "process.kernel_tls"),
            ("", "[process]\nbusy_poll = \"50us\"", "process.busy_poll"),
            ("", "[log]\nformat = \"human\"", "log.format"),
            ("", "[admin]\naddress = \"127.0.0.1:9\"", "admin.address"),
            ("[admin]\naddress = \"127.0.0.1:9\"", "", "admin.address"),
            (
                "[audit]\nfile = \"a\"",
                "[audit]\nfile = \"b\"",
                "audit.file",
            ),
            ("[audit]\nfile = \"a\"", "", "audit.file"),
            ("", "[audit]\nfile = \"a\"", "audit.file"),
            (
                "[audit]\nfile = \"a\"",
                "[audit]\nfile = \"a\"\nkeep = 3",
                "audit.keep",
            ),
            (
                "[audit]\nfile = \"a\"",
                "[audit]\nfile = \"a\"\nmax_bytes = 5000",
                "audit.max_bytes",
            ),
            (
                "[audit]\nfile = \"a\"",
                "[audit]\nfile = \"a\"\nformat = \"xferlog\"",
                "audit.format",
            ),
        ];
        for (before, after, key) in rows {
            let (keys, running, wanted) = between(before, after);
            assert_eq!(keys, [key], "{before:?} to {after:?}");
            let process = |config: &Config| {
                let process = &config.process;
                let cores = process.cores.value.clone();
                (cores, process.kernel_tls.value, process.busy_poll.value)
            };
            assert_eq!(process(&wanted), process(&running));
            assert_eq!(wanted.log.format, running.log.format);
            assert_eq!(
                (&wanted.admin, &wanted.audit),
                (&running.admin, &running.audit)
            );
        }
    }

    #[test]
    fn an_admin_section_for_another_address_is_not_mixed_with_the_one_that_runs() {
        let far = "[admin]\naddress = \"0.0.0.0:9\"\ncertificate = \"c\"\nkey = \"k\"\ntoken_file = \"t\"";
        let (keys, running, wanted) = between(far, "[admin]\naddress = \"127.0.0.1:9\"");
        assert_eq!(keys, ["admin.address"]);
        assert_eq!(
            wanted.admin, running.admin,
            "without TLS it would stand open"
        );
        let (keys, _, wanted) = between(far, &far.replace("\"t\"", "\"u\""));
        assert!(keys.is_empty());
        let token = wanted.admin.unwrap().token_file.unwrap().value;
        assert_eq!(token.to_str(), Some("u"), "another token needs no restart");
    }

    #[test]
    fn everything_else_is_taken_over() {
        let before = "[process]\ncores = [0]\n[log]\nlevel = \"info\"";
        let after = "# moved\n\n[process]\ncores = [0]\nin_place = false\n[log]\nlevel = \"debug\"\n\
                     [limits]\nsessions = 7\n[timeouts]\nidle = \"9s\"";
        let (keys, _, wanted) = between(before, after);
        assert!(keys.is_empty(), "{keys:?}");
        assert_eq!(wanted.process.cores.value, Cores::List(vec![0]));
        assert_eq!(
            (wanted.process.in_place, wanted.log.level),
            (false, LogLevel::Debug)
        );
        assert_eq!(
            (wanted.limits.sessions, wanted.timeouts.idle.as_secs()),
            (Some(7), 9)
        );
    }
}
