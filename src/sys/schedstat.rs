//! What the kernel's scheduler has noted of a thread (proc(5), /proc/PID/task/TID/schedstat).

use std::fs;
use std::time::Duration;

/// A thread's time on a CPU, and its time in the queue for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// How long it has run.
    pub ran: Duration,
    /// How long it could have run and waited.
    pub waited: Duration,
}

/// The kernel's number of the thread that asks. Reads procfs: a core asks once, before it serves.
#[must_use]
pub fn this_thread() -> Option<u32> {
    let link = fs::read_link("/proc/thread-self").ok()?;
    link.file_name()?.to_str()?.parse().ok()
}

/// The notes on a thread of this process; none where the kernel keeps none. For threads that serve nobody.
#[must_use]
pub fn of(thread: u32) -> Option<Schedule> {
    parse(&fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?)
}

fn parse(text: &str) -> Option<Schedule> {
    let mut nanos = text.split_ascii_whitespace().map(str::parse);
    let mut next = || Some(Duration::from_nanos(nanos.next()?.ok()?));
    Some(Schedule {
        ran: next()?,
        waited: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_times_are_read_and_nothing_else_is_taken_for_them() {
        let schedule = Schedule {
            ran: Duration::from_micros(3),
            waited: Duration::from_nanos(17),
        };
        assert_eq!(parse("3000 17 4\n"), Some(schedule));
        for strange in ["", "3000", "a 1 2", "1 b 2"] {
            assert_eq!(parse(strange), None, "{strange}");
        }
    }

    #[test]
    fn a_thread_is_known_by_its_number() {
        let thread = this_thread().expect("procfs is mounted");
        // Only kernels with the scheduler's statistics have the file.
        let has_notes = fs::exists("/proc/self/schedstat").expect("procfs can be read");
        assert_eq!(of(thread).is_some(), has_notes);
        assert_eq!(of(u32::MAX), None);
    }
}
