//! Which backend: the members of a pool and the order in which a session tries them.
//! `upstream` asks for an order when a session needs a backend, and reports which members failed.
//! It never connects, never reads a clock, and never gives up on a member for good.

mod choice;
mod failure;

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

pub use choice::Balance;
use choice::Standing;
pub use failure::{Failure, Failures, LastFailure};

/// A member of a pool, by its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemberId(pub usize);

/// How a member stands with one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberState {
    /// Its number in the pool, from 1: its own for as long as it is a member, and nobody else's before or after.
    pub number: usize,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it has failed lately, and is tried behind the others.
    pub resting: bool,
    /// How often it was passed over since it is a member.
    pub failures: Failures,
    /// The last time that it was.
    pub last: Option<LastFailure>,
    /// How often it was ready to serve since it is one.
    pub served: u64,
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
    /// How many sessions have found no member that was of use.
    pub exhausted: u64,
}

/// One shard's view of a pool.
#[derive(Debug)]
pub struct Pool {
    /// The pool's name in the configuration.
    pub name: String,
    seats: Vec<Rc<Seat>>,
    /// So many of them, the last ones, are tried when no other one can be reached.
    backups: usize,
    balance: Balance,
    /// How long one that has failed is tried behind the others.
    rest: Duration,
    /// Goes on with every session.
    turn: Cell<usize>,
    /// The highest number that a member has ever had.
    numbers: usize,
    /// How many sessions have found nobody; shared with the pool that takes this one's place.
    exhausted: Rc<Cell<u64>>,
}

/// What is known of a member. A pool and the one that takes its place share those of the members that stay.
#[derive(Debug)]
struct Seat {
    number: usize,
    address: SocketAddr,
    /// How many sessions it has.
    held: Cell<usize>,
    /// Until when it is tried last, because it has failed.
    resting: Cell<Option<Instant>>,
    /// How often it was passed over.
    failures: Cell<Failures>,
    /// The last time that it was.
    last: RefCell<Option<LastFailure>>,
    /// How often it was ready to serve.
    served: Cell<u64>,
}

impl Pool {
    /// A pool of these addresses, of which the last `backups` are tried behind the others, as is for the time of `rest` one that
    /// has failed.
    #[must_use]
    pub fn new(
        name: String,
        members: Vec<SocketAddr>,
        backups: usize,
        balance: Balance,
        rest: Duration,
    ) -> Self {
        let nobody = Self {
            name,
            seats: Vec::new(),
            backups: 0,
            balance,
            rest,
            turn: Cell::new(0),
            numbers: 0,
            exhausted: Rc::default(),
        };
        nobody.followed_by(members, backups, balance, rest)
    }

    /// The same pool with other members: what is known of those that stay is known of them still.
    #[must_use]
    pub fn followed_by(
        &self,
        members: Vec<SocketAddr>,
        backups: usize,
        balance: Balance,
        rest: Duration,
    ) -> Self {
        let mut left: Vec<&Rc<Seat>> = self.seats.iter().collect();
        let mut numbers = self.numbers;
        let mut seat = |address| match left.iter().position(|seat| seat.address == address) {
            Some(place) => Rc::clone(left.remove(place)),
            None => {
                numbers += 1;
                Rc::new(Seat {
                    number: numbers,
                    address,
                    held: Cell::new(0),
                    resting: Cell::new(None),
                    failures: Cell::default(),
                    last: RefCell::default(),
                    served: Cell::new(0),
                })
            }
        };
        Self {
            name: self.name.clone(),
            seats: members.into_iter().map(&mut seat).collect(),
            backups,
            balance,
            rest,
            turn: self.turn.clone(),
            numbers,
            exhausted: Rc::clone(&self.exhausted),
        }
    }

    /// Every member once, in the order in which a session of this client tries them: those that have failed lately, and
    /// backups, behind the others.
    #[must_use]
    pub fn candidates(&self, now: Instant, client: IpAddr) -> Vec<MemberId> {
        let primaries = self.seats.len() - self.backups;
        let standing = |(place, seat): (usize, &Rc<Seat>)| Standing {
            address: seat.address,
            is_resting: seat.is_resting(now),
            is_backup: place >= primaries,
            sessions: seat.held.get(),
        };
        let standings: Vec<_> = self.seats.iter().enumerate().map(standing).collect();
        let turn = self.turn.replace(self.turn.get().wrapping_add(1));
        let order = choice::order(self.balance, &standings, turn, client);
        order.into_iter().map(MemberId).collect()
    }

    /// Counts a session for a member, for as long as the value lives.
    #[must_use]
    pub fn hold(&self, member: MemberId) -> Hold {
        let seat = Rc::clone(&self.seats[member.0]);
        seat.held.set(seat.held.get() + 1);
        Hold { seat, member }
    }

    /// Where a member listens.
    #[must_use]
    pub fn address(&self, member: MemberId) -> SocketAddr {
        self.seats[member.0].address
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self, now: Instant) -> PoolState {
        let member = |seat: &Rc<Seat>| MemberState {
            number: seat.number,
            address: seat.address,
            resting: seat.is_resting(now),
            failures: seat.failures.get(),
            last: seat.last.borrow().clone(),
            served: seat.served.get(),
            sessions: seat.held.get(),
        };
        PoolState {
            name: self.name.clone(),
            members: self.seats.iter().map(member).collect(),
            exhausted: self.exhausted.get(),
        }
    }

    /// A member is passed over; `why` is fit for a log.
    pub fn failed(&self, member: MemberId, now: Instant, failure: Failure, why: &str) {
        let seat = &self.seats[member.0];
        if failure.rests() {
            seat.resting.set(Some(now + self.rest));
        }
        let mut failures = seat.failures.get();
        failures.count(failure);
        seat.failures.set(failures);
        seat.last.replace(Some(LastFailure {
            at: now,
            failure,
            why: why.into(),
        }));
    }

    /// A session has been with every member, and none was of use.
    pub fn exhausted(&self) {
        self.exhausted.set(self.exhausted.get() + 1);
    }

    /// A member is ready to serve.
    pub fn ready(&self, member: MemberId) {
        let seat = &self.seats[member.0];
        seat.resting.set(None);
        seat.served.set(seat.served.get() + 1);
    }

    /// How long one member may take when all of them have `whole` together.
    #[must_use]
    pub fn share(&self, whole: Duration) -> Duration {
        whole / u32::try_from(self.seats.len().max(1)).unwrap_or(u32::MAX)
    }
}

impl Seat {
    fn is_resting(&self, now: Instant) -> bool {
        self.resting.get().is_some_and(|until| now < until)
    }
}

/// A session's place with a member, given back when it is dropped.
#[derive(Debug)]
pub struct Hold {
    seat: Rc<Seat>,
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
        self.seat.held.set(self.seat.held.get() - 1);
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to start from"
)]
mod tests {
    use super::*;
    use crate::limits::MEMBER_REST;

    fn pool_of(backups: usize, balance: Balance) -> Rc<Pool> {
        let address = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let members = vec![address(1), address(2), address(3)];
        Rc::new(Pool::new(
            "inside".to_owned(),
            members,
            backups,
            balance,
            MEMBER_REST,
        ))
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
            let of = |member: &MemberState| {
                let failures = member.failures.total();
                (member.resting, failures, member.served, member.sessions)
            };
            members.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(
            seen(),
            [(false, 0, 0, 0), (true, 2, 0, 0), (false, 0, 0, 1)]
        );
        pool.ready(MemberId(1));
        assert_eq!(seen()[1], (false, 2, 1, 0));
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
    fn sessions_without_a_member_are_counted_whatever_becomes_of_the_members() {
        let (old, now) = (pool(), Instant::now());
        let new = old.followed_by(Vec::new(), 0, Balance::Turn, MEMBER_REST);
        old.exhausted();
        new.exhausted();
        assert_eq!([&*old, &new].map(|pool| pool.state(now).exhausted), [2, 2]);
    }

    #[test]
    fn members_that_stay_keep_what_is_known_of_them_and_their_number() {
        let (old, now) = (pool(), Instant::now());
        fail(&old, 1, now);
        let hold = old.hold(MemberId(2));
        let address = |port| SocketAddr::from(([10, 0, 0, 1], port));
        // The first has gone, the others have changed places, and two are new.
        let members = vec![address(4), address(3), address(2), address(5)];
        let new = old.followed_by(members, 0, Balance::Least, MEMBER_REST);
        let seen = |pool: &Pool| -> Vec<_> {
            let members = pool.state(now).members.into_iter();
            members
                .map(|one| {
                    (
                        one.number,
                        one.address.port(),
                        one.failures.total(),
                        one.sessions,
                    )
                })
                .collect()
        };
        assert_eq!(
            seen(&new),
            [(4, 4, 0, 0), (3, 3, 0, 1), (2, 2, 1, 0), (5, 5, 0, 0)]
        );
        assert_eq!(order(&new, now), [0, 3, 1, 2]);
        drop(hold);
        assert_eq!(seen(&new)[1], (3, 3, 0, 0), "held by a session of before");
        // Who comes back is another one: its number would count from zero otherwise.
        let again = new.followed_by(vec![address(1), address(2)], 0, Balance::Turn, MEMBER_REST);
        assert_eq!(seen(&again), [(6, 1, 0, 0), (2, 2, 1, 0)]);
    }

    #[test]
    fn another_rest_holds_for_who_fails_from_then_on() {
        let (old, now) = (pool(), Instant::now());
        fail(&old, 0, now);
        let members = old.seats.iter().map(|seat| seat.address).collect();
        let new = old.followed_by(members, 0, Balance::Turn, MEMBER_REST / 2);
        fail(&new, 1, now);
        assert_eq!(order(&new, now), [2, 0, 1]);
        assert_eq!(order(&new, now + MEMBER_REST / 2), [1, 2, 0]);
        assert_eq!(order(&new, now + MEMBER_REST), [2, 0, 1]);
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
