//! What can be seen of a session from outside while it lives: a card that it keeps up to date and the core lists.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use super::Site;
use crate::ftp::Direction;
use crate::tls::TlsFacts;

/// One session, as others may see it. Written by the session alone, at events, never for each byte.
pub struct Card {
    /// The session's number, as in the log.
    pub id: u64,
    /// What it came in by.
    pub site: Rc<Site>,
    /// Where the client's control connection comes from.
    pub client: SocketAddr,
    /// When it was accepted.
    pub opened: Instant,
    /// TLS of the client's control connection, once it is there.
    pub client_tls: RefCell<Option<TlsFacts>>,
    /// The backend's address, once it is reached.
    pub backend: Cell<Option<SocketAddr>>,
    /// TLS of the backend's control connection, once it is there.
    pub backend_tls: RefCell<Option<TlsFacts>>,
    /// Who has logged in.
    pub user: RefCell<Option<String>>,
    /// The transfer that runs.
    pub transfer: Cell<Option<Running>>,
    /// Bytes from the client and from the backend so far, where it is no FTP.
    pub stream: Cell<Option<[u64; 2]>>,
    lingering: Cell<usize>,
    killed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// A transfer under way.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// Which way its bytes go.
    pub direction: Direction,
    /// When it began.
    pub began: Instant,
    /// Bytes passed on so far.
    pub bytes: u64,
}

impl Card {
    pub(super) fn new(id: u64, site: Rc<Site>, client: SocketAddr, opened: Instant) -> Self {
        Self {
            id,
            site,
            client,
            opened,
            client_tls: RefCell::default(),
            backend: Cell::default(),
            backend_tls: RefCell::default(),
            user: RefCell::default(),
            transfer: Cell::default(),
            stream: Cell::default(),
            lingering: Cell::default(),
            killed: Cell::default(),
            waker: RefCell::default(),
        }
    }

    /// How many bytes the transfer that runs has passed on.
    pub(super) fn moved(&self, bytes: u64) {
        if let Some(running) = self.transfer.get() {
            self.transfer.set(Some(Running { bytes, ..running }));
        }
    }

    /// Whether the operator wants the session to end; told once.
    pub(super) fn is_killed(&self) -> bool {
        self.killed.take()
    }

    /// Who is to be woken when the operator wants the session to end.
    pub(super) fn wakes(&self, waker: &Waker) {
        let mut kept = self.waker.borrow_mut();
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
    }
}

/// The cards of a core's sessions.
#[derive(Default)]
pub struct Cards {
    by_number: RefCell<BTreeMap<u64, Rc<Card>>>,
    /// Sessions with a transfer under way, counted as they change: a look costs the same at any number of sessions.
    transferring: Cell<usize>,
    /// Likewise data connections that are read to their end.
    lingering: Cell<usize>,
}

impl Cards {
    pub(super) fn put(&self, card: Rc<Card>) {
        self.by_number.borrow_mut().insert(card.id, card);
    }

    pub(super) fn remove(&self, id: u64) {
        let removed = self.by_number.borrow_mut().remove(&id);
        if let Some(card) = removed {
            self.transfers(&card, None);
            self.lingers(&card, 0);
        }
    }

    /// A session's transfer has begun, or is over.
    pub(super) fn transfers(&self, card: &Card, running: Option<Running>) {
        let count = self.transferring.get() + usize::from(running.is_some());
        let before = card.transfer.replace(running);
        self.transferring.set(count - usize::from(before.is_some()));
    }

    /// A session has so many data connections that are read to their end.
    pub(super) fn lingers(&self, card: &Card, legs: usize) {
        let before = card.lingering.replace(legs);
        self.lingering.set(self.lingering.get() + legs - before);
    }

    /// Looks at the sessions with numbers above `after`, in their order, until `look` has seen enough.
    pub fn look(&self, after: Option<u64>, mut look: impl FnMut(&Card) -> bool) {
        let cards = self.by_number.borrow();
        let from = after.map_or(0, |after| after.saturating_add(1));
        for card in cards.range(from..).map(|(_, card)| card) {
            if !look(card) {
                return;
            }
        }
    }

    /// How many sessions have a transfer under way.
    #[must_use]
    pub fn transferring(&self) -> usize {
        self.transferring.get()
    }

    /// How many data connections have ended for their transfer and are read to their end.
    #[must_use]
    pub fn lingering(&self) -> usize {
        self.lingering.get()
    }

    /// Ends a session by order of the operator; false if there is none of this number.
    #[must_use]
    pub fn kill(&self, id: u64) -> bool {
        let card = self.by_number.borrow().get(&id).map(Rc::clone);
        let Some(card) = card else {
            return false;
        };
        card.killed.set(true);
        if let Some(waker) = card.waker.take() {
            waker.wake();
        }
        true
    }
}
