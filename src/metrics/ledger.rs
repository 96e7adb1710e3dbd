//! What all cores have counted since the start: each collection is added to its core's account.

use super::snapshot::Snapshot;

/// One account for each core.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    accounts: Vec<Account>,
}

/// What one core has counted since the start.
#[derive(Clone, Debug)]
pub struct Account {
    /// The CPU that the core is pinned to.
    pub cpu: usize,
    /// Its counts and times.
    pub totals: Snapshot,
}

impl Ledger {
    /// Accounts at zero for the cores on these CPUs.
    #[must_use]
    pub fn new(cpus: &[usize]) -> Self {
        let account = |&cpu| Account {
            cpu,
            totals: Snapshot::new(),
        };
        Self {
            accounts: cpus.iter().map(account).collect(),
        }
    }

    /// Adds what the core at this place has collected.
    pub fn add(&mut self, core: usize, collected: &Snapshot) {
        if let Some(account) = self.accounts.get_mut(core) {
            account.totals.merge(collected);
        }
    }

    /// Core by core, in the order of the CPUs they were made for.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// All cores together.
    #[must_use]
    pub fn merged(&self) -> Snapshot {
        let mut merged = Snapshot::new();
        for account in &self.accounts {
            merged.merge(&account.totals);
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::super::{Counter, Phase, Recorder};
    use super::*;

    #[test]
    fn collections_add_up_and_leave_the_core_at_zero() {
        let mut ledger = Ledger::new(&[4, 7]);
        let mut recorder = Recorder::new();
        let mut spare = Snapshot::new();
        for round in 1..=3 {
            recorder.add(Counter::UploadBytes, round);
            recorder.observe(Phase::Login, Duration::from_micros(round));
            let collected = recorder.collect(spare);
            assert_eq!(recorder.total(Counter::UploadBytes), 0);
            ledger.add(1, &collected);
            spare = collected;
            spare.clear();
        }
        let [idle, busy] = ledger.accounts() else {
            unreachable!("two cores were asked for")
        };
        assert_eq!((idle.cpu, busy.cpu), (4, 7));
        assert_eq!(idle.totals, Snapshot::new());
        assert_eq!(busy.totals.total(Counter::UploadBytes), 6);
        assert_eq!(busy.totals.times(Phase::Login).len(), 3);
        assert_eq!(ledger.merged(), busy.totals);
    }
}
