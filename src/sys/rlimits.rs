//! Start-up facts: what this kernel and these resource limits would refuse later, said at once and with a cure.

use core::fmt;
use std::os::fd::{FromRawFd, OwnedFd};
use std::{fs, io};

use crate::limits;

/// Something that would make the process fail under way: what it is, and what cures it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartupFault {
    /// When the kernel is older than io_uring as glommio needs it.
    KernelTooOld {
        /// What `uname` says.
        release: String,
    },
    /// When the kernel refuses io_uring by its sysctl.
    RingDisabled {
        /// The value of `kernel.io_uring_disabled`: 1 or 2.
        sysctl: u32,
    },
    /// When io_uring is refused by something else: a container's seccomp profile, or the kernel's build.
    RingRefused {
        /// The error of `io_uring_setup`.
        errno: i32,
    },
    /// When RLIMIT_MEMLOCK is too low for the rings.
    Memlock {
        /// The hard limit, bytes.
        has: u64,
        /// What is needed, bytes.
        needs: u64,
    },
    /// When RLIMIT_NOFILE is too low for the configured sessions.
    Descriptors {
        /// The hard limit.
        has: u64,
        /// What is needed.
        needs: u64,
        /// The number of sessions that they are for.
        sessions: u64,
    },
}

impl fmt::Display for StartupFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KernelTooOld { release } => {
                let (major, minor) = limits::KERNEL_RELEASE_MIN;
                write!(
                    out,
                    "kernel {release} is too old for io_uring; cure: run on Linux {major}.{minor} or newer"
                )
            }
            Self::RingDisabled { sysctl } => write!(
                out,
                "the kernel refuses io_uring (kernel.io_uring_disabled = {sysctl}); \
                 cure: sysctl -w kernel.io_uring_disabled=0, \
                 or with 1: run in the group of kernel.io_uring_group"
            ),
            Self::RingRefused { errno } => write!(
                out,
                "io_uring is refused ({}); cure: allow io_uring_setup, io_uring_enter and io_uring_register in the \
                 container's seccomp profile, or run on a kernel with CONFIG_IO_URING",
                io::Error::from_raw_os_error(*errno)
            ),
            Self::Memlock { has, needs } => write!(
                out,
                "at most {has} bytes of locked memory are allowed and {needs} are needed; \
                 cure: LimitMEMLOCK={needs} in the systemd unit, or ulimit -l {}",
                needs.div_ceil(1024)
            ),
            Self::Descriptors {
                has,
                needs,
                sessions,
            } => write!(
                out,
                "at most {has} open files are allowed and {needs} are needed for {sessions} sessions; \
                 cure: LimitNOFILE={needs} in the systemd unit, or ulimit -n {needs}, or a lower limits.sessions, or, \
                 where most sessions are idle, a lower limits.descriptors_per_session"
            ),
        }
    }
}

/// Raises the soft limits as far as needed and allowed for so many sessions of so many descriptors each, then lists
/// everything that will not do, worst first.
#[must_use]
pub fn startup_faults(shards: usize, sessions: usize, each: u64) -> Vec<StartupFault> {
    let (shards, sessions) = (shards as u64, sessions as u64);
    let release = kernel_release();
    let version = version_of(&release);
    let mut faults = Vec::new();
    if version.is_some_and(|version| version < limits::KERNEL_RELEASE_MIN) {
        faults.push(StartupFault::KernelTooOld { release });
    } else if let Err(refusal) = try_ring() {
        let sysctl = fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
        let sysctl = sysctl.ok().and_then(|text| text.trim().parse().ok());
        faults.push(match sysctl {
            Some(sysctl @ 1..) => StartupFault::RingDisabled { sysctl },
            _ => StartupFault::RingRefused {
                errno: refusal.raw_os_error().unwrap_or(0),
            },
        });
    }
    // Rings are charged to the memory cgroup (since 5.12), and glommio's own check stays.
    let needs = limits::MEMLOCK_BYTES_MIN;
    if let Err(has) = raise(Resource::Memlock, needs) {
        faults.push(StartupFault::Memlock { has, needs });
    }
    let needs = sessions * each + (shards + 1) * limits::DESCRIPTORS_PER_SHARD;
    if let Err(has) = raise(Resource::Descriptors, needs) {
        faults.push(StartupFault::Descriptors {
            has,
            needs,
            sessions,
        });
    }
    faults
}

/// How many sessions of so many descriptors each the hard limit allows for.
#[must_use]
pub fn sessions_possible(shards: usize, each: u64) -> usize {
    let own = (shards as u64 + 1) * limits::DESCRIPTORS_PER_SHARD;
    // Asking for more than there can be says how many there can be.
    let has = raise(Resource::Descriptors, u64::MAX)
        .err()
        .unwrap_or(u64::MAX);
    let sessions = has.saturating_sub(own) / each;
    usize::try_from(sessions).unwrap_or(usize::MAX)
}

/// Most descriptors that the process may have, as things stand.
#[must_use]
pub fn descriptors_max() -> u64 {
    limit(Resource::Descriptors).map_or(0, |limit| limit.rlim_cur)
}

/// What `uname -r` prints; empty where /proc is missing.
#[must_use]
pub fn kernel_release() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim().to_owned()
}

/// A resource that the kernel limits.
#[derive(Clone, Copy)]
enum Resource {
    Memlock,
    Descriptors,
}

impl Resource {
    const fn number(self) -> libc::__rlimit_resource_t {
        match self {
            Self::Memlock => libc::RLIMIT_MEMLOCK,
            Self::Descriptors => libc::RLIMIT_NOFILE,
        }
    }
}

/// None for a resource number that does not exist.
fn limit(resource: Resource) -> Option<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: getrlimit writes one rlimit through a pointer to a live one.
    let refused = unsafe { libc::getrlimit(resource.number(), &raw mut limit) } != 0;
    (!refused).then_some(limit)
}

/// Raises the soft limit to at least `needs`; says the hard limit where that is lower.
fn raise(resource: Resource, needs: u64) -> Result<(), u64> {
    let Some(mut limit) = limit(resource) else {
        return Ok(());
    };
    if limit.rlim_cur >= needs {
        return Ok(());
    }
    limit.rlim_cur = needs.min(limit.rlim_max);
    // SAFETY: setrlimit only reads the rlimit it is given.
    let refused = unsafe { libc::setrlimit(resource.number(), &raw const limit) } != 0;
    if refused || limit.rlim_cur < needs {
        Err(limit.rlim_max)
    } else {
        Ok(())
    }
}

/// Sets up the smallest ring and drops it: the only question to which no file has the whole answer (seccomp).
fn try_ring() -> io::Result<()> {
    // The kernel's `struct io_uring_params` is 120 bytes and libc has no name for it; all zero asks for the defaults.
    let mut params = [0u32; 30];
    const { assert!(size_of::<[u32; 30]>() == 120, "the size of io_uring_params") };
    // SAFETY: io_uring_setup reads and writes 120 bytes through the pointer, and the array has them.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1u32, params.as_mut_ptr()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    drop(unsafe { OwnedFd::from_raw_fd(fd as i32) });
    Ok(())
}

/// Major and minor number of a release such as `6.1.0-13-amd64`.
fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_run_a_modest_gate() {
        assert_eq!(startup_faults(2, 100, limits::DESCRIPTORS_PER_SESSION), []);
    }

    #[test]
    fn too_many_sessions_are_named_with_a_cure() {
        let faults = startup_faults(1, 1 << 40, limits::DESCRIPTORS_PER_IDLE_SESSION);
        let [fault @ StartupFault::Descriptors { .. }] = &faults[..] else {
            panic!("{faults:?}")
        };
        assert!(fault.to_string().contains("LimitNOFILE="));
    }

    #[test]
    fn releases_are_read() {
        assert_eq!(version_of("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(version_of("5.10-rc1"), Some((5, 10)));
        assert_eq!(version_of(""), None);
        assert!(version_of(&kernel_release()).is_some());
    }
}
