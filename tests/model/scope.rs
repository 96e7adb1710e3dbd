//! A scope: from where a check starts, what the peers may do in it, and how far it goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate::dialog::Side;
use sluicegate::policy::{
    BackendCcc, BackendProtection, BackendTls, ClientCcc, ClientIdentity, ClientProtection,
    ClientTls, OnEmpty, OnUnfinished, PassiveStyle, PasvAddress, Patience, Pbsz, SiteRules,
};
use stateright::{Model, Property};

use crate::legs::LegEvent;
use crate::mutants::Mutant;
use crate::peers::{HOSTS, Kind};
use crate::rules::{self, Rule};
use crate::world::{Gone, Move, World};

/// Something that must be seen, by name.
pub(crate) type Expected = (&'static str, fn(&Scope, &World) -> bool);

/// One check. It is bounded by what the client says; everything else ends by itself.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) sites: Vec<SiteRules>,
    /// What each session has behind it.
    pub(crate) prologue: fn(&SiteRules) -> Vec<Move>,
    /// What the client may say, and how often in all.
    pub(crate) kinds: &'static [Kind],
    pub(crate) commands_max: u8,
    /// A command may be said before the one before it is answered.
    pub(crate) pipelines: bool,
    /// How many news of the legs the dialog may be behind.
    pub(crate) lag_max: usize,
    /// The connections of control may be lost, and the operator may stop the gate.
    pub(crate) losses: bool,
    /// Replies of several lines.
    pub(crate) lines: bool,
    pub(crate) mutant: Option<Mutant>,
    /// What must be met somewhere.
    pub(crate) sights: &'static [Expected],
}

impl Scope {
    fn client_moves(&self, world: &World, moves: &mut Vec<Move>) {
        let peers = &world.peers;
        // What the dialog does not want, the session does not read: behind QUIT not even the end.
        if self.losses && world.dialog.wants_client() {
            moves.push(Move::ClientLost(Gone::Closed));
        }
        if peers.securing[0] {
            // A name stands at the beginning of a handshake, if at all.
            let has_hosts = !world.site.hosts.is_empty();
            if has_hosts && peers.shown_host.is_none() {
                moves.extend((0..HOSTS.len() as u8).map(Move::ClientNamed));
            }
            moves.push(Move::ClientSecured);
            moves.push(Move::ClientLost(Gone::Handshake));
            return moves.push(Move::ClientLost(Gone::Injection));
        }
        let is_silent = peers.has_quit || peers.said >= self.commands_max;
        let is_free = peers.pending.is_empty() || self.pipelines;
        if is_silent || !world.dialog.wants_client() {
            return;
        }
        // ABOR is what clients say while something runs.
        let may_say = |kind: &&Kind| is_free || **kind == Kind::Abor;
        moves.extend(self.kinds.iter().filter(may_say).copied().map(Move::Client));
    }

    fn backend_moves(&self, world: &World, moves: &mut Vec<Move>) {
        let peers = &world.peers;
        if peers.is_connecting {
            moves.push(Move::Unreachable);
            return moves.extend((!peers.is_out).then_some(Move::Reached));
        }
        if peers.securing[1] {
            moves.push(Move::BackendSecured);
            moves.push(Move::BackendLost(Gone::Handshake));
            return moves.push(Move::BackendLost(Gone::Injection));
        }
        if peers.is_done {
            return;
        }
        let is_there = peers.secured[1] || !peers.asks.is_empty();
        if self.losses && is_there {
            moves.extend([Move::BackendLost(Gone::Closed), Move::BackendCloses]);
        }
        if let Some(ask) = peers.asks.front() {
            let mut answers = Vec::new();
            ask.answers(self.lines, &mut answers);
            moves.extend(answers.into_iter().map(Move::Backend));
        }
    }
}

impl Model for Scope {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        let now = start();
        let open = |rules: &SiteRules| {
            let mut world = World::open(&Arc::new(rules.clone()), now);
            for next in (self.prologue)(rules) {
                world = world.after(next, None);
            }
            world.peers.said = 0;
            world.sight = None;
            world
        };
        self.sites.iter().map(open).collect()
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        if world.is_closed || world.broken.is_some() {
            return;
        }
        self.client_moves(world, moves);
        self.backend_moves(world, moves);
        for side in [Side::Client, Side::Backend] {
            if world.peers.is_opening_port[side as usize] {
                moves.extend([Move::Passive(side, true), Move::Passive(side, false)]);
            }
        }
        if let Some(legs) = &world.legs {
            let mut events: Vec<LegEvent> = Vec::new();
            legs.events(self.lag_max, &mut events);
            moves.extend(events.into_iter().map(Move::Leg));
            if !legs.news.is_empty() {
                moves.push(Move::News);
            }
        }
        if world.dialog.deadline().is_some() {
            moves.push(Move::Deadline);
        }
        if self.losses && !world.peers.is_drained {
            moves.push(Move::Drain);
        }
    }

    fn next_state(&self, last: &World, next: Move) -> Option<World> {
        Some(last.after(next, self.mutant))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = always();
        properties.push(Property::eventually(
            "every session ends",
            |_, world: &World| world.is_closed || world.broken.is_some(),
        ));
        let sights = self.sights.iter();
        properties.extend(sights.map(|(name, seen)| Property::sometimes(name, *seen)));
        properties
    }
}

/// `always` takes functions, which know nothing of their surroundings: one for each rule.
macro_rules! always {
    ($($rule:ident),* $(,)?) => {
        fn always() -> Vec<Property<Scope>> {
            vec![$(Property::always(rules::$rule, |_, world: &World| {
                world.broken != Some(rules::$rule)
            })),*]
        }

        /// Every rule that is checked.
        pub(crate) const RULES: &[Rule] = &[$(rules::$rule),*];
    };
}

always!(
    COMPLETED,
    SINK,
    EMPTY,
    FALSE_EMPTY,
    SURVIVES,
    WATCHED,
    CLEAN,
    STOPPED,
    WAITS,
    SAID,
    REFUSAL,
    DELIVERED,
    OWN,
    ONE,
    BEGUN,
    LEVEL,
    ABORTED,
    AMID,
    LINES,
    QUIT,
    WORD,
    LEFT,
    LAST,
    BOUNDED,
    SECRET,
    CLEARED,
    ANEW,
    HOSTED,
    CHOSEN,
);

#[allow(
    clippy::disallowed_methods,
    reason = "an Instant cannot be made otherwise; the model counts from it"
)]
fn start() -> Instant {
    Instant::now()
}

/// The strictest site, with the defaults of everything else.
pub(crate) fn strict() -> SiteRules {
    let seconds = Duration::from_secs;
    SiteRules {
        banner: "Ready".to_owned(),
        client_tls: ClientTls::Required,
        client_protection: ClientProtection::Private,
        backend_tls: BackendTls::Explicit,
        backend_protection: BackendProtection::Private,
        backend_ccc: BackendCcc::Off,
        mode_z: false,
        hosts: Vec::new(),
        on_empty: OnEmpty::Complete,
        client_unfinished: OnUnfinished::Mirror,
        backend_unfinished: OnUnfinished::Mirror,
        bare_uploads: false,
        banner_first: false,
        assume_private: false,
        pbsz: Pbsz::Expected,
        client_ccc: ClientCcc::Refuse,
        client_identity: ClientIdentity::Ignore,
        backend_banner_first: false,
        active: true,
        passive: PassiveStyle::Auto,
        pasv_address: PasvAddress::Ignore,
        patience: Patience {
            handshake: seconds(4),
            login: seconds(50),
            idle: seconds(60),
            backend_connect: seconds(6),
            backend_reply: seconds(20),
            data_connect: seconds(8),
            data_handshake: seconds(5),
            data_completion: seconds(7),
            linger: seconds(2),
        },
    }
}

/// Everything in clear text.
pub(crate) fn clear() -> SiteRules {
    SiteRules {
        client_tls: ClientTls::Optional,
        client_protection: ClientProtection::Any,
        backend_tls: BackendTls::Off,
        ..strict()
    }
}

/// A backend that is given up sooner than a data leg.
pub(crate) fn hasty(rules: SiteRules) -> SiteRules {
    SiteRules {
        patience: Patience {
            backend_reply: Duration::from_secs(3),
            data_completion: Duration::from_secs(3),
            linger: Duration::from_secs(9),
            ..rules.patience
        },
        ..rules
    }
}
