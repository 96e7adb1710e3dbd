//! Which backend: the members of a pool and the order in which a session tries them.
//! `upstream` asks for an order when a session needs a backend, and reports which members failed.
//! It never connects, never reads a clock, and never gives up on a member for good.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::limits::MEMBER_REST;

/// A member of a pool, by its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemberId(pub usize);

/// How a member stands with one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberState {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it could not be reached lately, and is tried behind the others.
    pub resting: bool,
    /// How often it could not be reached since the start.
    pub failures: u64,
}

/// How a pool stands with one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolState {
    /// The pool's name in the configuration.
    pub name: String,
    /// Its members, in the order of the configuration.
    pub members: Vec<MemberState>,
}

/// One shard's view of a pool.
#[derive(Debug)]
pub struct Pool {
    /// The pool's name in the configuration.
    pub name: String,
    members: Vec<SocketAddr>,
    next: Cell<usize>,
    // Invariant: one for each member, in their order.
    standing: RefCell<Vec<Standing>>,
}

/// What has become of the attempts to reach a member.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    /// Until when it is tried last, because it has failed.
    rests_until: Option<Instant>,
    failures: u64,
}

impl Standing {
    fn is_resting(self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }
}

impl Pool {
    /// A pool of these addresses.
    #[must_use]
    pub fn new(name: String, members: Vec<SocketAddr>) -> Self {
        let standing = RefCell::new(vec![Standing::default(); members.len()]);
        Self {
            name,
            members,
            next: Cell::new(0),
            standing,
        }
    }

    /// Every member once: in turn from session to session, those that have failed lately behind the others.
    #[must_use]
    pub fn candidates(&self, now: Instant) -> Vec<MemberId> {
        let count = self.members.len();
        let first = self.next.replace((self.next.get() + 1) % count.max(1));
        let mut order: Vec<_> = (0..count)
            .map(|step| MemberId((first + step) % count))
            .collect();
        let standing = self.standing.borrow();
        order.sort_by_key(|member| standing[member.0].is_resting(now));
        order
    }

    /// Where a member listens.
    #[must_use]
    pub fn address(&self, member: MemberId) -> SocketAddr {
        self.members[member.0]
    }

    /// Every member, in the order of the configuration.
    #[must_use]
    pub fn state(&self, now: Instant) -> PoolState {
        let standing = self.standing.borrow();
        let member = |(&address, standing): (&SocketAddr, &Standing)| MemberState {
            address,
            resting: standing.is_resting(now),
            failures: standing.failures,
        };
        PoolState {
            name: self.name.clone(),
            members: (self.members.iter().zip(standing.iter()))
                .map(member)
                .collect(),
        }
    }

    /// A member could not be reached.
    pub fn failed(&self, member: MemberId, now: Instant) {
        let standing = &mut self.standing.borrow_mut()[member.0];
        standing.rests_until = Some(now + MEMBER_REST);
        standing.failures += 1;
    }

    /// A member was reached.
    pub fn reached(&self, member: MemberId) {
        self.standing.borrow_mut()[member.0].rests_until = None;
    }

    /// How long one member may take when all of them have `whole` together.
    #[must_use]
    pub fn share(&self, whole: Duration) -> Duration {
        whole / u32::try_from(self.members.len().max(1)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to start from"
)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        let address = |port| SocketAddr::from(([10, 0, 0, 1], port));
        Pool::new(
            "inside".to_owned(),
            vec![address(1), address(2), address(3)],
        )
    }

    fn order(pool: &Pool, now: Instant) -> Vec<usize> {
        pool.candidates(now)
            .into_iter()
            .map(|member| member.0)
            .collect()
    }

    #[test]
    fn members_take_turns() {
        let (pool, now) = (pool(), Instant::now());
        assert_eq!(order(&pool, now), [0, 1, 2]);
        assert_eq!(order(&pool, now), [1, 2, 0]);
        assert_eq!(order(&pool, now), [2, 0, 1]);
    }

    #[test]
    fn a_member_that_failed_is_tried_last_for_a_while() {
        let (pool, now) = (pool(), Instant::now());
        pool.failed(MemberId(0), now);
        assert_eq!(order(&pool, now), [1, 2, 0]);
        assert_eq!(order(&pool, now + MEMBER_REST), [1, 2, 0]);
        assert_eq!(order(&pool, now), [2, 1, 0]);
        pool.reached(MemberId(0));
        assert_eq!(order(&pool, now), [0, 1, 2]);
    }

    #[test]
    fn failures_are_counted_and_outlive_the_rest() {
        let (pool, now) = (pool(), Instant::now());
        pool.failed(MemberId(1), now);
        pool.failed(MemberId(1), now);
        let seen = |now| {
            let members = pool.state(now).members;
            let pair = |member: &MemberState| (member.resting, member.failures);
            members.iter().map(pair).collect::<Vec<_>>()
        };
        assert_eq!(seen(now), [(false, 0), (true, 2), (false, 0)]);
        pool.reached(MemberId(1));
        assert_eq!(seen(now)[1], (false, 2));
    }
}
