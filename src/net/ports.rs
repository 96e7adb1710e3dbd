//! The passive port range: every shard owns a slice of it, every transfer leases one port of the slice.

use std::cell::{Cell, RefCell};
use std::io;
use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Instant;

use super::{Fault, Listener};
use crate::limits;
use crate::sys::clock;

/// One shard's slice of a listener's passive ports, and which of them are leased.
pub struct PortRange {
    first: u16,
    /// From `first` on.
    slots: RefCell<Vec<Slot>>,
    in_use: Cell<usize>,
}

impl PortRange {
    /// The slice of `whole` for shard `shard` of `shards`: slices are disjoint and together are the whole.
    ///
    /// Where there are fewer ports than shards, some slices are empty.
    #[must_use]
    pub fn slice(whole: &RangeInclusive<u16>, shard: usize, shards: usize) -> Self {
        assert!(shard < shards, "a shard is one of the shards");
        let ports = whole.len();
        let from = ports * shard / shards;
        let to = ports * (shard + 1) / shards;
        Self {
            // `from` is at most the length of the range; a slice that is empty at its end has no first port.
            first: whole
                .start()
                .saturating_add(u16::try_from(from).unwrap_or(u16::MAX)),
            slots: RefCell::new(vec![Slot::Free; to - from]),
            in_use: Cell::new(0),
        }
    }

    /// Whether another slice has the same ports, in whatever state.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.first == other.first && self.len() == other.len()
    }

    /// How many ports are leased now.
    #[must_use]
    pub const fn in_use(&self) -> usize {
        self.in_use.get()
    }

    /// How many ports the slice has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.borrow().len()
    }

    /// Whether the slice has no ports at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Leases the port at `index`, if it is free; one that rests only where `tired` ones are taken too.
    pub(super) fn lease(self: &Rc<Self>, index: usize, tired: bool) -> Option<PortLease> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(index)?;
        let is_free = match *slot {
            Slot::Free => true,
            Slot::Leased => false,
            Slot::Resting(until) => tired || until <= clock::now(),
        };
        if !is_free {
            return None;
        }
        *slot = Slot::Leased;
        self.in_use.set(self.in_use.get() + 1);
        Some(PortLease {
            range: Rc::clone(self),
            index,
            is_taken: false,
        })
    }
}

/// What one port is at.
#[derive(Clone, Copy)]
enum Slot {
    Free,
    Leased,
    /// Given back without a connection: its peer may still be on its way (rule 10 of the contract).
    Resting(Instant),
}

/// A passive port that belongs to one transfer until this is dropped. Drop the listener first.
pub struct PortLease {
    range: Rc<PortRange>,
    index: usize,
    is_taken: bool,
}

impl PortLease {
    /// Who was told of the port has come: it need not rest.
    pub const fn taken(&mut self) {
        self.is_taken = true;
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.range.first + u16::try_from(self.index).unwrap_or(0)
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        self.range.slots.borrow_mut()[self.index] = match self.is_taken {
            true => Slot::Free,
            false => Slot::Resting(clock::now() + limits::PORT_REST),
        };
        self.range.in_use.set(self.range.in_use.get() - 1);
    }
}

/// Listens on a free port of the slice: a few at random, since a guessable next port can be stolen (RFC 2577 section
/// 8), then all of them in turn, at last also those that rest: a transfer now is worth more than one that may be late.
///
/// # Errors
/// `PortsExhausted` when every port is leased or taken by somebody else; `Broken` when the address itself is refused.
pub fn open_passive(range: &Rc<PortRange>, ip: IpAddr) -> Result<(Listener, PortLease), Fault> {
    let ports = range.len();
    if ports == 0 || range.in_use() == ports {
        return Err(Fault::PortsExhausted);
    }
    let start = random_below(ports);
    let random =
        iter::once(start).chain((1..limits::PASSIVE_PORT_TRIES).map(|_| random_below(ports)));
    let in_turn = || (0..ports).map(move |step| (start + step) % ports);
    let rested = random.chain(in_turn()).map(|index| (index, false));
    for (index, tired) in rested.chain(in_turn().map(|index| (index, true))) {
        let Some(lease) = range.lease(index, tired) else {
            continue;
        };
        match Listener::listen_passive(SocketAddr::new(ip, lease.port())) {
            Ok(listener) => return Ok((listener, lease)),
            // Somebody else's port, or one below 1024 that is not for us: the next one may do.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
                ) => {}
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                return Err(Fault::OutOfDescriptors(error));
            }
            Err(error) => return Err(Fault::Broken(error)),
        }
    }
    Err(Fault::PortsExhausted)
}

/// A random number below `bound`, which is a number of ports; the bias of the remainder (2^-48) harms nobody.
fn random_below(bound: usize) -> usize {
    // Without randomness a port is still better than none; the search in turn finds it.
    let random = getrandom::u64().unwrap_or(0);
    usize::try_from(random % bound.max(1) as u64).unwrap_or(0)
}
