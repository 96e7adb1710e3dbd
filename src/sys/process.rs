//! What the kernel knows of this process as a whole (proc(5)), for who looks on, and of the CPU time of one thread.

use std::fs;
use std::time::Duration;

use super::rlimits;

/// What the process has used and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Time on CPUs, of all threads, in user and kernel mode.
    pub cpu: Duration,
    /// Bytes in memory.
    pub resident: u64,
    /// Bytes of address space.
    pub addressed: u64,
    /// Descriptors.
    pub descriptors: u64,
    /// Most descriptors.
    pub descriptors_max: u64,
}

/// As things stand; what the kernel does not tell is 0. Reads procfs.
#[must_use]
pub fn vitals() -> Vitals {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Vitals {
        cpu: time_of(libc::CLOCK_PROCESS_CPUTIME_ID),
        resident: kibibytes(&status, "VmRSS:") * 1024,
        addressed: kibibytes(&status, "VmSize:") * 1024,
        descriptors: descriptors(),
        descriptors_max: rlimits::descriptors_max(),
    }
}

/// How long the thread that asks has run on a CPU. A system call: not for what is done often.
#[must_use]
pub fn thread_cpu() -> Duration {
    time_of(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The number behind this name; all of them are in KiB.
fn kibibytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_ascii_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Since Linux 6.2 the folder's size is their number; before, they are counted, as many as there are.
fn descriptors() -> u64 {
    let folder = "/proc/self/fd";
    match fs::metadata(folder).map(|folder| folder.len()) {
        Ok(count @ 1..) => count,
        // The look itself has one open.
        _ => fs::read_dir(folder).map_or(0, |all| all.count().saturating_sub(1) as u64),
    }
}

fn time_of(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: clock_gettime writes one timespec through a pointer to a live one.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Duration::ZERO;
    }
    // The kernel gives no negative times, and less than a second of nanoseconds.
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn this_process_is_seen() {
        let before = vitals();
        assert!(before.cpu > Duration::ZERO && before.resident > 100_000);
        assert!(before.addressed > before.resident);
        assert!(before.descriptors >= 3 && before.descriptors < before.descriptors_max);
        // Other tests open and close some meanwhile: more than they do.
        let many: Vec<File> = (0..500).map(|_| File::open("/dev/null").unwrap()).collect();
        assert!(vitals().descriptors >= before.descriptors + 300);
        drop(many);
        assert!(vitals().cpu > before.cpu);
    }

    #[test]
    fn a_thread_that_works_has_used_its_cpu() {
        let before = thread_cpu();
        while thread_cpu() - before < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
        assert!(thread_cpu() <= vitals().cpu);
    }

    #[test]
    fn lines_are_found_by_their_names() {
        let status = "Name:\tgate\nVmSize:\t  200 kB\nVmRSS:\t  17 kB\n";
        assert_eq!(kibibytes(status, "VmRSS:"), 17);
        assert_eq!(kibibytes(status, "VmSwap:"), 0);
    }
}
