//! Which CPUs this process may run on. Pinning itself is the executor's (its placement), done once per shard.

use core::fmt;

/// A configured core that this process may not use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpusMissing {
    /// The cores asked for that are not there, ascending.
    pub missing: Vec<usize>,
    /// The cores that are.
    pub available: Vec<usize>,
}

impl fmt::Display for CpusMissing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "CPUs {:?} are not available to this process (available: {:?}); \
             cure: change process.cores, or the affinity (taskset, cpuset, container limits) it is started with",
            self.missing, self.available
        )
    }
}

/// The CPUs in this process's affinity mask, ascending; empty where the system does not say.
#[must_use]
pub fn available() -> Vec<usize> {
    let mut ids: Vec<usize> = core_affinity::get_core_ids()
        .unwrap_or_default()
        .into_iter()
        .map(|core| core.id)
        .collect();
    ids.sort_unstable();
    ids
}

/// Whether every one of `wanted` is available.
///
/// # Errors
/// Names the CPUs that are not.
pub fn check(wanted: &[usize]) -> Result<(), CpusMissing> {
    let available = available();
    let mut missing: Vec<usize> = wanted
        .iter()
        .copied()
        .filter(|id| !available.contains(id))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(CpusMissing { missing, available })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_available_passes_and_the_rest_is_named() {
        let available = available();
        assert!(!available.is_empty());
        assert_eq!(check(&available), Ok(()));
        let refused = check(&[available[0], 100_000, 100_000]).unwrap_err();
        assert_eq!(refused.missing, [100_000]);
        assert!(refused.to_string().contains("cure"));
    }
}
