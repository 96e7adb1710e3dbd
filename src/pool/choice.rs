//! In which order a session tries the members of a pool: pure functions of what is known when it asks.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};

/// How sessions are spread over the members of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Balance {
    /// One after the other.
    Turn,
    /// The one that has the fewest sessions; among equals in turn.
    Least,
    /// Each client to a member of its own, for as long as that can be reached.
    Client,
}

/// A member as it stands when somebody looks for one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) address: SocketAddr,
    /// It could not be reached lately.
    pub(super) is_resting: bool,
    /// It is tried when no other one can be reached.
    pub(super) is_backup: bool,
    /// Sessions that it has.
    pub(super) sessions: usize,
}

/// Every place once, the best first: those that can be reached, of these no backups, of these as `balance` has it. `turn`
/// is another number for each session.
pub(super) fn order(
    balance: Balance,
    standings: &[Standing],
    turn: usize,
    client: IpAddr,
) -> Vec<usize> {
    let mut order = Vec::with_capacity(standings.len());
    for backups in [false, true] {
        let mut places: Vec<usize> = (0..standings.len())
            .filter(|place| standings[*place].is_backup == backups)
            .collect();
        // Each kind takes turns by itself: else the one behind a backup would have the backup's turn as well.
        let first = turn % places.len().max(1);
        places.rotate_left(first);
        order.append(&mut places);
    }
    match balance {
        Balance::Turn => {}
        Balance::Least => order.sort_by_key(|place| standings[*place].sessions),
        Balance::Client => {
            order.sort_by_key(|place| Reverse(liking(client, standings[*place].address)));
        }
    }
    order.sort_by_key(|place| (standings[*place].is_resting, standings[*place].is_backup));
    order
}

/// How much a client likes a member: always the same on every core and in every process, and for each member by itself, so
/// that one more or one less moves nobody but those who like it best (rendezvous hashing).
fn liking(client: IpAddr, member: SocketAddr) -> u64 {
    let (ip, network) = (member.ip().to_canonical(), network(client));
    let member = octets(ip).into_iter().chain(member.port().to_be_bytes());
    // FNV-1a, and then its bits mixed: it alone leaves addresses that differ in their last byte too close together.
    let hash = network.into_iter().chain(member);
    let hash = hash.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// What of its address stays the same of a client: of IPv6 the network alone (RFC 8981 changes the rest from day to day).
fn network(client: IpAddr) -> Vec<u8> {
    let client = client.to_canonical();
    let mut octets = octets(client);
    if client.is_ipv6() {
        octets.truncate(8);
    }
    octets
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Balance; 3] = [Balance::Turn, Balance::Least, Balance::Client];

    fn standings() -> impl Strategy<Value = Vec<Standing>> {
        let one = (any::<bool>(), any::<bool>(), 0_usize..5);
        proptest::collection::vec(one, 0..9).prop_map(|all| {
            let standing = |(place, (is_resting, is_backup, sessions))| Standing {
                address: SocketAddr::from(([10, 0, 0, 1], place)),
                is_resting,
                is_backup,
                sessions,
            };
            (1..).zip(all).map(standing).collect()
        })
    }

    proptest! {
        #[test]
        fn everyone_is_tried_once_and_the_best_class_first(
            standings in standings(), turn: usize, client: u32,
        ) {
            let client = IpAddr::from(client.to_be_bytes());
            for balance in ALL {
                let order = order(balance, &standings, turn, client);
                let mut places = order.clone();
                places.sort_unstable();
                prop_assert_eq!(places, (0..standings.len()).collect::<Vec<_>>());
                let class = |place: &usize| (standings[*place].is_resting, standings[*place].is_backup);
                prop_assert!(order.is_sorted_by_key(class), "{:?} {:?}", balance, order);
                if balance == Balance::Least {
                    let key = |place: &usize| (class(place), standings[*place].sessions);
                    prop_assert!(order.is_sorted_by_key(key), "{:?}", order);
                }
            }
        }

        #[test]
        fn a_member_that_rests_moves_only_the_clients_that_were_its_own(
            standings in standings(), client: u32, turns: (usize, usize), gone: prop::sample::Index,
        ) {
            let client = IpAddr::from(client.to_be_bytes());
            let awake = |standing: &Standing| Standing { is_resting: false, ..*standing };
            let mut standings: Vec<_> = standings.iter().map(awake).collect();
            prop_assume!(!standings.is_empty());
            let before = order(Balance::Client, &standings, turns.0, client);
            let gone = gone.index(standings.len());
            standings[gone].is_resting = true;
            let after = order(Balance::Client, &standings, turns.1, client);
            let rest = |order: &[usize]| order.iter().copied().filter(|place| *place != gone).collect::<Vec<_>>();
            prop_assert_eq!(rest(&before), rest(&after));
            prop_assert_eq!(after.last(), Some(&gone));
        }
    }

    fn members(count: u16, backups: u16) -> Vec<Standing> {
        let standing = |place| Standing {
            address: SocketAddr::from(([10, 0, 0, 1], place)),
            is_resting: false,
            is_backup: place >= count,
            sessions: 0,
        };
        (0..count + backups).map(standing).collect()
    }

    #[test]
    fn turns_are_equal_whatever_stands_behind() {
        let client = IpAddr::from([192, 0, 2, 1]);
        for balance in [Balance::Turn, Balance::Least] {
            let mut firsts = [0; 5];
            for turn in 0..300 {
                firsts[order(balance, &members(3, 2), turn, client)[0]] += 1;
            }
            assert_eq!(firsts, [100, 100, 100, 0, 0], "{balance:?}");
        }
    }

    #[test]
    fn clients_are_spread_and_each_stays_with_its_own() {
        let members = members(4, 0);
        let mut firsts = [0_i32; 4];
        for number in 0..4000_u16 {
            let [high, low] = number.to_be_bytes();
            let client = IpAddr::from([192, 168, high, low]);
            let first = order(Balance::Client, &members, usize::from(number), client)[0];
            assert_eq!(first, order(Balance::Client, &members, 1, client)[0]);
            firsts[first] += 1;
        }
        assert!(
            firsts.iter().all(|count| (count - 1000).abs() < 120),
            "{firsts:?}"
        );
    }

    #[test]
    fn an_address_is_the_same_however_it_is_written_or_renewed() {
        let members = members(8, 0);
        let first = |client: &str| {
            let client = client.parse().unwrap();
            order(Balance::Client, &members, 0, client)
        };
        assert_eq!(first("192.0.2.7"), first("::ffff:192.0.2.7"));
        assert_eq!(
            first("2001:db8:1:2::1"),
            first("2001:db8:1:2:aaaa:bbbb:cccc:dddd")
        );
        let others = (0..16).map(|net| first(&format!("2001:db8:1:{net:x}::1"))[0]);
        assert!(others.collect::<std::collections::HashSet<_>>().len() > 1);
    }
}
