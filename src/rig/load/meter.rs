//! What another process costs, by the kernel's accounting: CPU time and memory of it and all that it has started.
//!
//! `/proc/PID/stat` counts in ticks of 10 ms and rounds each process down, which is much where there is a process for each
//! session: the scheduler's own count of every living thread, in nanoseconds, is taken wherever it knows more.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

/// One reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// User and system time of the process, its threads, and its descendants, dead ones included.
    pub cpu: Duration,
    /// Memory of the living ones; what several of them share is divided among them (Pss).
    pub memory_bytes: u64,
    /// How many processes live.
    pub processes: usize,
}

/// Reads the meters of a process and its descendants; nothing where there is no such process.
#[must_use]
pub(super) fn read(pid: u32) -> Option<Reading> {
    let stats = fs::read_dir("/proc").ok()?.filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        // A process may end while we look: then its parent has its time, or will have.
        let stat = Stat::read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        Some((pid, stat))
    });
    let stats: BTreeMap<u32, Stat> = stats.collect();
    stats.get(&pid)?;
    let mut reading = Reading::default();
    let mut waiting = vec![pid];
    while let Some(pid) = waiting.pop() {
        let stat = &stats[&pid];
        reading.cpu += stat.own.max(threads(pid)) + stat.children;
        reading.memory_bytes += memory(pid);
        reading.processes += 1;
        waiting.extend(
            stats
                .iter()
                .filter_map(|(&child, stat)| (stat.parent == pid).then_some(child)),
        );
    }
    Some(reading)
}

/// CPU time of the living threads of a process, to the nanosecond; nothing where the kernel does not tell.
fn threads(pid: u32) -> Duration {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Duration::ZERO;
    };
    let of_one = |entry: io::Result<fs::DirEntry>| {
        let text = fs::read_to_string(entry.ok()?.path().join("schedstat")).ok()?;
        let nanos = text.split_whitespace().next()?.parse().ok()?;
        Some(Duration::from_nanos(nanos))
    };
    tasks.filter_map(of_one).sum()
}

fn memory(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kibibytes
        .and_then(|number| number.trim().parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// What is taken from a line of `/proc/PID/stat` (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Its own threads, dead ones included.
    own: Duration,
    /// The children it has waited for, theirs included.
    children: Duration,
}

impl Stat {
    fn read(line: &str) -> Option<Self> {
        // The name in parentheses may hold anything, parentheses and spaces too: what follows begins behind the last.
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
        // The state is field 3: utime, stime, cutime and cstime are 14 to 17.
        let ticks = |user: usize| {
            let ticks = fields.get(user..user + 2)?.iter();
            let ticks = ticks.map(|field| field.parse::<u32>().ok());
            Some(TICK * ticks.sum::<Option<u32>>()?)
        };
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(11)?,
            children: ticks(13)?,
        })
    }
}

/// The unit of `/proc/PID/stat`: USER_HZ is 100 on every Linux that this runs on.
const TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_process_is_called() {
        let line = "4242 (a) b (c)) S 17 4242 4242 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 5";
        let stat = Stat::read(line).unwrap();
        assert_eq!(
            stat,
            Stat {
                parent: 17,
                own: Duration::from_millis(1200),
                children: Duration::from_millis(70)
            }
        );
        assert_eq!(Stat::read("1 (x) S 17"), None);
    }

    #[test]
    fn we_are_there_and_cost_something() {
        let own = read(std::process::id()).unwrap();
        assert!(own.memory_bytes > 100_000 && own.processes >= 1, "{own:?}");
        assert_eq!(read(u32::MAX), None);
    }

    #[test]
    fn threads_are_counted_finer_than_in_ticks() {
        let pid = std::process::id();
        let before = threads(pid);
        assert!(before > Duration::ZERO, "the kernel counts nothing");
        while threads(pid) == before {}
        assert_ne!((threads(pid) - before).as_nanos() % TICK.as_nanos(), 0);
    }
}
