//! One state of the model: the dialog, its two peers, the legs of its transfer, and what is on its way to it.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate::dialog::{Actions, Dialog, FromBackend, FromClient, Input, Loss, Side};
use sluicegate::limits::ACTIONS_PER_STEP_MAX;
use sluicegate::policy::{BackendCcc, SiteRules};

use crate::legs::{LegEvent, Legs};
use crate::mutants::Mutant;
use crate::peers::{Ask, HOSTS, Kind, Say};
use crate::rules::{self, Pending, Rule};
use crate::sights::Sight;

/// One thing that may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Move {
    Client(Kind),
    /// The client's handshake has named this host.
    ClientNamed(u8),
    /// The client's handshake is complete.
    ClientSecured,
    ClientLost(Gone),
    Reached,
    Unreachable,
    BackendSecured,
    Backend(Say),
    /// 421, though nothing was asked.
    BackendCloses,
    BackendLost(Gone),
    Passive(Side, bool),
    Leg(LegEvent),
    /// The dialog hears the oldest news of the legs.
    News,
    Deadline,
    Drain,
}

/// The losses of a control connection that differ for the dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Gone {
    Closed,
    Handshake,
    Injection,
}

impl Gone {
    const fn loss(self) -> Loss {
        match self {
            Self::Closed => Loss::Closed,
            Self::Handshake => Loss::Handshake,
            Self::Injection => Loss::Injection,
        }
    }
}

/// What the peers are at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Peers {
    /// How many commands the client has said, and which have no final reply yet.
    pub(crate) said: u8,
    pub(crate) pending: VecDeque<Pending>,
    /// The code of a reply, and whose it is, whose last line the client has not seen.
    pub(crate) partial: Option<(u16, Option<u8>)>,
    pub(crate) has_quit: bool,
    /// TLS on the control connections: under way, and done.
    pub(crate) securing: [bool; 2],
    pub(crate) secured: [bool; 2],
    /// Its last answer was a yes to CCC, or ours to REIN.
    pub(crate) agreed: [bool; 2],
    /// The host that the gate was told of by HOST, that the handshake has named, and that was chosen.
    pub(crate) said_host: Option<u8>,
    pub(crate) shown_host: Option<u8>,
    pub(crate) chosen: Option<usize>,
    pub(crate) logged_in: bool,
    pub(crate) is_connecting: bool,
    /// A backend is there, or is being reached.
    pub(crate) has_backend: bool,
    /// It is the second one of two: the first one was passed over. And it has heard of the client.
    pub(crate) is_second: bool,
    /// So was the second one.
    pub(crate) is_out: bool,
    pub(crate) is_chosen: bool,
    pub(crate) asks: VecDeque<Ask>,
    /// The backend has said 421.
    pub(crate) is_done: bool,
    /// It left ABOR without an answer, and refused PWD: nobody can tell where its replies are.
    pub(crate) miscounts: [bool; 2],
    /// A port of ours for the client, and for the backend.
    pub(crate) is_opening_port: [bool; 2],
    pub(crate) is_drained: bool,
    /// The last word was one that ends a session.
    pub(crate) goodbye: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) dialog: Dialog,
    /// Of the listener.
    pub(crate) site: Arc<SiteRules>,
    /// Of the host that was chosen, or of the listener.
    pub(crate) rules: Arc<SiteRules>,
    pub(crate) now: Instant,
    pub(crate) peers: Peers,
    pub(crate) legs: Option<Legs>,
    pub(crate) is_closed: bool,
    pub(crate) broken: Option<Rule>,
    /// What could be seen in the step that led here.
    pub(crate) sight: Option<Sight>,
}

/// What the first of two members has to be ready.
const SHARE: Duration = Duration::from_secs(3);

/// Where the client's control connection comes from.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));

impl World {
    pub(crate) fn open(rules: &Arc<SiteRules>, now: Instant) -> Self {
        let (dialog, _greeting) = Dialog::open(Arc::clone(rules), CLIENT, now);
        Self {
            dialog,
            site: Arc::clone(rules),
            rules: Arc::clone(rules),
            now,
            peers: Peers::default(),
            legs: None,
            is_closed: false,
            broken: None,
            sight: None,
        }
    }

    /// The state after a move.
    pub(crate) fn after(&self, next: Move, mutant: Option<Mutant>) -> Self {
        let mut world = self.clone();
        world.sight = None;
        world.go(next, mutant);
        if world.is_closed {
            world.forget();
        }
        world
    }

    /// Nothing of a closed session matters any more: all of them are few states.
    fn forget(&mut self) {
        self.peers = Peers::default();
        self.legs = None;
    }

    fn go(&mut self, next: Move, mutant: Option<Mutant>) {
        let input = match next {
            Move::Client(kind) => self.client_says(kind),
            Move::ClientNamed(host) => {
                self.peers.shown_host = Some(host);
                Input::Client(FromClient::Named(HOSTS[usize::from(host)].to_owned()))
            }
            Move::ClientSecured => {
                self.peers.securing[0] = false;
                self.peers.secured[0] = true;
                Input::Client(FromClient::Secured)
            }
            Move::ClientLost(loss) => {
                self.peers.goodbye = true;
                Input::Client(FromClient::Lost(loss.loss()))
            }
            Move::Reached => self.member_answers(),
            Move::Unreachable => {
                self.peers.is_done = true;
                Input::Backend(FromBackend::Unreachable)
            }
            Move::BackendSecured => {
                self.peers.securing[1] = false;
                self.peers.secured[1] = true;
                Input::Backend(FromBackend::Secured)
            }
            Move::Backend(say) => return self.backend_says(say, mutant),
            Move::BackendCloses => {
                self.peers.is_done = true;
                // Amid a transfer it is the last word on that one too.
                let front = self.peers.pending.front_mut();
                if let Some(front) = front.filter(|front| front.is_opened) {
                    front.backend_code.get_or_insert(421);
                }
                line("421 #0")
            }
            Move::BackendLost(loss) => {
                self.peers.is_done = true;
                Input::Backend(FromBackend::Lost(loss.loss()))
            }
            Move::Passive(side, is_open) => {
                self.peers.is_opening_port[side as usize] = false;
                let address = "10.0.0.1:50001".parse().expect("an address");
                Input::Passive(side, is_open.then_some(address))
            }
            Move::Leg(event) => {
                if let Some(legs) = &mut self.legs {
                    legs.happen(event);
                }
                return;
            }
            Move::News => match self.legs.as_mut().and_then(|legs| legs.news.pop_front()) {
                Some(news) => Input::Data(news),
                None => return,
            },
            Move::Deadline => {
                self.now = self.dialog.deadline().unwrap_or(self.now);
                if let Some(front) = self.peers.pending.front_mut() {
                    front.is_late = true;
                }
                Input::Deadline
            }
            Move::Drain => {
                self.peers.is_drained = true;
                Input::Drain
            }
        };
        self.step(input, mutant);
    }

    /// The first of two members has its share of time, and the second one all of it.
    fn member_answers(&mut self) -> Input {
        self.peers.is_connecting = false;
        self.peers.asks.push_back(Ask::greeting());
        Input::Backend(match self.peers.is_second {
            false => FromBackend::ReachedFor(SHARE),
            true => FromBackend::Reached,
        })
    }

    fn client_says(&mut self, kind: Kind) -> Input {
        let peers = &mut self.peers;
        peers.said += 1;
        peers.has_quit |= kind == Kind::Quit;
        if kind == Kind::Abor
            && self.legs.is_some()
            && let Some(front) = peers.pending.front_mut()
        {
            front.is_aborted = true;
        }
        peers.pending.push_back(Pending::new(kind, peers.said));
        Input::Client(FromClient::Line(kind.line(peers.said).into_bytes()))
    }

    fn backend_says(&mut self, say: Say, mutant: Option<Mutant>) {
        let Some(ask) = self.peers.asks.front_mut() else {
            return;
        };
        match say {
            Say::Line(code) => {
                ask.partial = Some(code);
                let text = format!("{code}-#{}", ask.number);
                self.step(line(&text), mutant);
            }
            Say::Nothing => {
                self.peers.asks.pop_front();
                self.peers.miscounts[0] = true;
            }
            Say::Twice(code) => {
                self.backend_replies(code, mutant, false);
                if !self.is_closed && self.broken.is_none() {
                    self.backend_replies(code, mutant, true);
                }
            }
            Say::Reply(code) => self.backend_replies(code, mutant, true),
        }
    }

    fn backend_replies(&mut self, code: u16, mutant: Option<Mutant>, is_last: bool) {
        let peers = &mut self.peers;
        let Some(ask) = peers.asks.front_mut() else {
            return;
        };
        let text = ask.text(code);
        ask.partial = None;
        if code < 200 {
            ask.is_begun = true;
        } else {
            let front = peers.pending.front_mut();
            if let Some(front) = front.filter(|front| front.kind.direction().is_some()) {
                if ask.is_transfer() && ask.number == front.number {
                    front.backend_code = Some(code);
                    let is_calm = !front.is_aborted && !front.is_late && !front.is_stopped;
                    let is_spoiled = self.legs.as_ref().is_some_and(rules::is_spoiled);
                    front.is_refused_first = code >= 400 && is_calm && !is_spoiled;
                } else if ask.verb == "SIZE" {
                    front.size = if code == 214 { 5 } else { 0 };
                }
            }
            peers.miscounts[1] |= ask.verb == "PWD" && code == 550;
            peers.is_done |= code == 421;
            peers.agreed[1] = ask.verb == "CCC" && code < 300;
            peers.logged_in |= code == 230;
            let must_clear = self.rules.backend_ccc == BackendCcc::Required;
            let is_refused_tls =
                code >= 400 && (ask.verb == "AUTH" || (ask.verb == "CCC" && must_clear));
            peers.is_done |= is_refused_tls || (ask.verb == "GREETING" && code >= 400);
            if is_last {
                peers.asks.pop_front();
            }
        }
        self.step(line(&text), mutant);
    }

    /// The dialog takes an input, and what it wants is done.
    fn step(&mut self, mut input: Input, mutant: Option<Mutant>) {
        if let Some(mutant) = mutant {
            mutant.twist(&mut input);
        }
        let is_deadline = input == Input::Deadline;
        let mut actions = self.dialog.step(self.now, input);
        if let Some(mutant) = mutant {
            mutant.spoil(&mut actions);
        }
        if actions.len() > ACTIONS_PER_STEP_MAX {
            return self.fault(rules::BOUNDED);
        }
        let skips = mutant.is_some_and(|mutant| mutant.skips_resync(&actions));
        self.perform_all(actions);
        if skips {
            // As if the marker had come already.
            let actions = self.dialog.step(self.now, line("257 \"/\""));
            self.perform_all(actions);
        }
        if self.is_closed || self.broken.is_some() {
            return;
        }
        let deadline = match mutant {
            Some(Mutant::NoClock) if self.legs.is_some() => None,
            _ => self.dialog.deadline(),
        };
        let is_busy = is_deadline && deadline.is_some_and(|at| at <= self.now);
        let is_bounded = deadline.is_some()
            || self.peers.is_opening_port != [false; 2]
            || self.legs.as_ref().is_some_and(Legs::is_bounded);
        if is_busy || !is_bounded || self.dialog.ending().is_some() {
            self.fault(rules::WATCHED);
        }
    }

    pub(crate) fn fault(&mut self, rule: Rule) {
        self.broken.get_or_insert(rule);
    }

    fn perform_all(&mut self, actions: Actions) {
        for action in actions {
            if self.is_closed {
                self.fault(rules::LAST);
            }
            if self.broken.is_some() {
                return;
            }
            self.perform(action);
        }
    }
}

fn line(text: &str) -> Input {
    Input::Backend(FromBackend::Line(text.as_bytes().to_vec()))
}

fn digest(world: &World) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        digest(self) == digest(other)
    }
}

/// Time counts only as what is left of it.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.dialog, &self.peers, &self.legs).hash(state);
        let left = self
            .dialog
            .deadline()
            .map(|at| at.saturating_duration_since(self.now));
        (left, self.is_closed, self.broken, self.sight).hash(state);
    }
}
