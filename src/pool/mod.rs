//! Which backend: the members of a pool and the order in which a session tries them.
//! `upstream` asks for an order when a session needs a backend, and reports which members failed.
//! It never connects, never reads a clock, and never gives up on a member for good.

mod choice;
mod failure;

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::MEMBER_REST;

pub use choice::Balance;
use choice::Standing;
pub use failure::{Failure, Failures, LastFailure};

/// A member of a pool, by its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemberId(pub usize);

/// How a member stands with one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberState {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it has failed lately, and is tried behind the others.
    pub resting: bool,
    /// How often it was passed over since the start.
    pub failures: Failures,
    /// The last time that it was.
    pub last: Option<LastFailure>,
    /// How many sessions it has.
    pub sessions: usize,
}

/// How a pool stands with one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolState {
    /// The pool's name in the configuration.
    pub name: String,
    /// Its members, in the order of the configuration.
    pub members: Vec<MemberState>,
}

/// When a member was passed over, and why.
type PassedOver = (Instant, Failure, Arc<str>);

/// One shard's view of a pool.
#[derive(Debug)]
pub struct Pool {
    /// The pool's name in the configuration.
    pub name: String,
    members: Vec<SocketAddr>,
    /// So many of them, the last ones, are tried when no other one can be reached.
    backups: usize,
    balance: Balance,
    /// Goes on with every session.
    turn: Cell<usize>,
    /// How many sessions each member has.
    held: RefCell<Vec<usize>>,
    /// Until when each member is tried last, because it has failed.
    resting: RefCell<Vec<Option<Instant>>>,
    /// How often each member was passed over.
    failures: RefCell<Vec<Failures>>,
    /// When and why each was the last time.
    last: RefCell<Vec<Option<PassedOver>>>,
}

impl Pool {
    /// A pool of these addresses, of which the last `backups` are tried behind the others.
    #[must_use]
    pub fn new(name: String, members: Vec<SocketAddr>, backups: usize, balance: Balance) -> Self {
        let resting = RefCell::new(vec![None; members.len()]);
        Self {
            name,
            backups,
            balance,
            turn: Cell::new(0),
            held: RefCell::new(vec![0; members.len()]),
            failures: RefCell::new(vec![Failures::default(); members.len()]),
            last: RefCell::new(vec![None; members.len()]),
            members,
            resting,
        }
    }

    /// Every member once, in the order in which a session of this client tries them: those that have failed lately, and
    /// backups, behind the others.
    #[must_use]
    pub fn candidates(&self, now: Instant, client: IpAddr) -> Vec<MemberId> {
        let (resting, held) = (self.resting.borrow(), self.held.borrow());
        let primaries = self.members.len() - self.backups;
        let standing = |(place, &address): (usize, &SocketAddr)| Standing {
            address,
            is_resting: resting[place].is_some_and(|until| now < until),
            is_backup: place >= primaries,
            sessions: held[place],
        };
        let standings: Vec<_> = self.members.iter().enumerate().map(standing).collect();
        let turn = self.turn.replace(self.turn.get().wrapping_add(1));
        let order = choice::order(self.balance, &standings, turn, client);
        order.into_iter().map(MemberId).collect()
    }

    /// Counts a session for a member, for as long as the value lives.
    #[must_use]
    pub fn hold(self: &Rc<Self>, member: MemberId) -> Hold {
        self.held.borrow_mut()[member.0] += 1;
        Hold {
            pool: Rc::clone(self),
            member,
        }
    }

    /// Where a member listens.
    #[must_use]
    pub fn address(&self, member: MemberId) -> SocketAddr {
        self.members[member.0]
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self, now: Instant) -> PoolState {
        let (resting, failures) = (self.resting.borrow(), self.failures.borrow());
        let (held, last) = (self.held.borrow(), self.last.borrow());
        let member = |(place, &address): (usize, &SocketAddr)| MemberState {
            address,
            resting: resting[place].is_some_and(|until| now < until),
            failures: failures[place],
            last: last[place].as_ref().map(|(at, failure, why)| LastFailure {
                age: now.saturating_duration_since(*at),
                failure: *failure,
                why: Arc::clone(why),
            }),
            sessions: held[place],
        };
        PoolState {
            name: self.name.clone(),
            members: self.members.iter().enumerate().map(member).collect(),
        }
    }

    /// A member is passed over; `why` is fit for a log.
    pub fn failed(&self, member: MemberId, now: Instant, failure: Failure, why: &str) {
        if failure.rests() {
            self.resting.borrow_mut()[member.0] = Some(now + MEMBER_REST);
        }
        self.failures.borrow_mut()[member.0].count(failure);
        self.last.borrow_mut()[member.0] = Some((now, failure, why.into()));
    }

    /// A member is ready to serve.
    pub fn ready(&self, member: MemberId) {
        self.resting.borrow_mut()[member.0] = None;
    }

    /// How long one member may take when all of them have `whole` together.
    #[must_use]
    pub fn share(&self, whole: Duration) -> Duration {
        whole / u32::try_from(self.members.len().max(1)).unwrap_or(u32::MAX)
    }
}

/// A session's place with a member, given back when it is dropped.
#[derive(Debug)]
pub struct Hold {
    pool: Rc<Pool>,
    member: MemberId,
}

impl Hold {
    /// With which member.
    #[must_use]
    pub const fn member(&self) -> MemberId {
        self.member
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.pool.held.borrow_mut()[self.member.0] -= 1;
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to start from"
)]
mod tests {
    use super::*;

    fn pool_of(backups: usize, balance: Balance) -> Rc<Pool> {
        let address = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let members = vec![address(1), address(2), address(3)];
        Rc::new(Pool::new("inside".to_owned(), members, backups, balance))
    }

    fn pool() -> Rc<Pool> {
        pool_of(0, Balance::Turn)
    }

    fn order(pool: &Pool, now: Instant) -> Vec<usize> {
        pool.candidates(now, IpAddr::from([192, 0, 2, 1]))
            .into_iter()
            .map(|member| member.0)
            .collect()
    }

    fn fail(pool: &Pool, member: usize, now: Instant) {
        pool.failed(MemberId(member), now, Failure::Closed, "it closed");
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
        fail(&pool, 0, now);
        assert_eq!(order(&pool, now), [1, 2, 0]);
        assert_eq!(order(&pool, now + MEMBER_REST), [1, 2, 0]);
        assert_eq!(order(&pool, now), [2, 1, 0]);
        pool.ready(MemberId(0));
        assert_eq!(order(&pool, now), [0, 1, 2]);
    }

    #[test]
    fn failures_are_counted_and_outlive_the_rest() {
        let (pool, now) = (pool(), Instant::now());
        fail(&pool, 1, now);
        fail(&pool, 1, now);
        let _hold = pool.hold(MemberId(2));
        let seen = || {
            let members = pool.state(now).members;
            let of =
                |member: &MemberState| (member.resting, member.failures.total(), member.sessions);
            members.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(seen(), [(false, 0, 0), (true, 2, 0), (false, 0, 1)]);
        pool.ready(MemberId(1));
        assert_eq!(seen()[1], (false, 2, 0));
    }

    #[test]
    fn a_member_that_says_no_goes_on_having_its_turn() {
        let (pool, now) = (pool(), Instant::now());
        pool.failed(MemberId(0), now, Failure::Greeting, "421 Too many users");
        let member = pool.state(now).members.swap_remove(0);
        assert!(!member.resting);
        assert_eq!(member.failures.of(Failure::Greeting), 1);
        let last = member.last.expect("it was passed over");
        assert_eq!(
            (last.failure, &*last.why),
            (Failure::Greeting, "421 Too many users")
        );
        assert_eq!(order(&pool, now), [0, 1, 2]);
        // It takes back no rest that it has for another reason.
        fail(&pool, 1, now);
        pool.failed(MemberId(1), now, Failure::Greeting, "421 Too many users");
        assert!(pool.state(now).members[1].resting);
    }

    #[test]
    fn the_member_with_the_fewest_sessions_comes_first() {
        let (pool, now) = (pool_of(0, Balance::Least), Instant::now());
        let _first = pool.hold(MemberId(0));
        let second = pool.hold(MemberId(1));
        let third = pool.hold(MemberId(1));
        assert_eq!(second.member(), MemberId(1));
        assert_eq!(order(&pool, now), [2, 0, 1]);
        drop((second, third));
        assert_eq!(order(&pool, now), [1, 2, 0]);
        fail(&pool, 1, now);
        assert_eq!(order(&pool, now), [2, 0, 1]);
    }

    #[test]
    fn a_backup_serves_while_the_others_rest() {
        let (pool, now) = (pool_of(1, Balance::Turn), Instant::now());
        assert_eq!(order(&pool, now), [0, 1, 2]);
        assert_eq!(order(&pool, now), [1, 0, 2]);
        fail(&pool, 0, now);
        fail(&pool, 1, now);
        assert_eq!(order(&pool, now), [2, 0, 1]);
        assert_eq!(order(&pool, now + MEMBER_REST), [1, 0, 2]);
    }
}
