//! One session's world in memory: a clock that jumps, a queue of what is to come, and the dialog in the middle.

mod gate;
mod peers;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate::dialog::{
    Actions, Blame, DataPlan, Dialog, FromBackend, FromClient, Input, Protection, Side,
};
use sluicegate::ftp::ReplyReader;
use sluicegate::limits::ACTIONS_PER_STEP_MAX;
use sluicegate::policy::{BackendTls, ClientTls, SiteRules};

use crate::backend::{Backend, Says};
use crate::chance::Chance;
use crate::checks::{Checks, Tally};
use crate::client::Client;
use crate::legs::{DataEvent, Legs};
use crate::{Tamper, site};

/// Something that will happen.
#[derive(Debug)]
enum Event {
    /// The client's next news reach the gate, if it reads.
    ClientWire,
    BackendWire,
    Passive(Side, bool),
    Data(u64, DataEvent),
    /// The client does its next move.
    ClientMoves,
    /// The client says or does this if the transfer is still going on.
    During(String, &'static str),
    Drain,
    FalseAlarm,
    /// 421 out of nothing.
    BackendCloses,
}

pub(crate) struct World {
    chance: Chance,
    rules: Arc<SiteRules>,
    dialog: Dialog,
    base: Instant,
    now: u64,
    events: BTreeMap<(u64, u64), Event>,
    serial: u64,
    client: Client,
    client_wire: VecDeque<FromClient>,
    client_blocked: bool,
    backend: Backend,
    backend_wire: VecDeque<FromBackend>,
    backend_wire_until: u64,
    /// Members of the pool that have not been tried.
    others: u64,
    /// What an implicit backend says when TLS is there.
    greeting: Says,
    legs: Option<Legs>,
    /// The transfer that the legs belong to.
    running: Option<String>,
    opening: Option<DataPlan>,
    /// For the client, and for the backend.
    is_listening: [bool; 2],
    offset: u64,
    /// Final replies that the backend owes, and the reader that knows when it has given one.
    owed: u32,
    replies: ReplyReader,
    closed: bool,
    /// The gate had every right to end the session.
    excuse: Option<&'static str>,
    checks: Checks,
    tamper: Option<Tamper>,
    trace: Option<Vec<String>>,
}

type Outcome = Result<(), String>;

/// Runs the world of a seed to its end.
pub(crate) fn run(
    seed: u64,
    is_traced: bool,
    tamper: Option<Tamper>,
) -> Result<Tally, (String, Vec<String>)> {
    let mut chance = Chance::new(seed);
    let rules = Arc::new(site(&mut chance));
    let base = now();
    let peer = if chance.percent(10) {
        "fd00::7"
    } else {
        "192.0.2.7"
    };
    let peer = peer.parse().expect("an address");
    let (dialog, greeting) = Dialog::open(Arc::clone(&rules), peer, base);
    let mut client = Client::new(&mut chance);
    client.is_securing = rules.client_tls == ClientTls::Implicit;
    let backend = backend(&mut chance, &rules);
    let mut world = World {
        client,
        backend,
        greeting: Vec::new(),
        chance,
        rules,
        dialog,
        base,
        now: 0,
        events: BTreeMap::new(),
        serial: 0,
        client_wire: VecDeque::new(),
        client_blocked: false,
        backend_wire: VecDeque::new(),
        backend_wire_until: 0,
        others: 0,
        legs: None,
        running: None,
        opening: None,
        is_listening: [false; 2],
        offset: 0,
        owed: 0,
        replies: ReplyReader::default(),
        closed: false,
        excuse: None,
        checks: Checks::default(),
        tamper,
        trace: is_traced.then(Vec::new),
    };
    match world.live(greeting) {
        Ok(()) => Ok(world.checks.tally),
        Err(fault) => Err((fault, world.trace.unwrap_or_default())),
    }
}

/// What a gate that reaches for it finds.
fn backend(chance: &mut Chance, rules: &SiteRules) -> Backend {
    let mut backend = Backend::new(chance);
    if rules.backend_tls == BackendTls::Implicit {
        backend.protection = chance.pick(&[Protection::Clear, Protection::Private]);
    }
    backend
}

/// Any instant will do: the run counts from it.
#[allow(
    clippy::disallowed_methods,
    reason = "an Instant cannot be made otherwise"
)]
fn now() -> Instant {
    Instant::now()
}

impl World {
    fn live(&mut self, greeting: Actions) -> Outcome {
        if self.chance.percent(1) {
            let at = self.chance.below(60_000);
            self.after(at, Event::Drain);
        }
        if self.chance.percent(1) {
            let at = 5000 + self.chance.below(60_000);
            self.after(at, Event::BackendCloses);
        }
        for _ in 0..self.chance.below(3) {
            let at = self.chance.below(90_000);
            self.after(at, Event::FalseAlarm);
        }
        self.perform_all(greeting)?;
        self.after(0, Event::ClientMoves);
        for _ in 0..20_000 {
            if self.dialog.ending().is_some() {
                return self.end();
            }
            self.turn()?;
        }
        Err("no busy loop: the session does not end".to_owned())
    }

    /// The next event or deadline, whichever is first.
    fn turn(&mut self) -> Outcome {
        let due = |at: Instant| at.saturating_duration_since(self.base).as_millis();
        let deadline = self.dialog.deadline().map(due);
        let deadline = deadline.map(|at| u64::try_from(at).expect("a short run"));
        let next = self.events.keys().next().copied();
        match (next, deadline) {
            (None, None) => Err("rule 4: nothing will ever happen again".to_owned()),
            (Some(key), None) => self.happen(key),
            (Some(key), Some(at)) if key.0 <= at => self.happen(key),
            (_, Some(at)) => {
                self.now = self.now.max(at);
                self.step(Input::Deadline)?;
                match self.dialog.deadline() {
                    Some(next) if next <= self.instant() => {
                        Err("no busy loop: a deadline in the past".to_owned())
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    fn instant(&self) -> Instant {
        self.base + Duration::from_millis(self.now)
    }

    fn after(&mut self, delay: u64, event: Event) {
        self.serial += 1;
        self.events.insert((self.now + delay, self.serial), event);
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>8} {}", self.now, text()));
        }
    }

    fn takes_client(&self) -> bool {
        let is_curt = self.tamper == Some(Tamper::Curt) && self.client.has_ended;
        is_curt || self.dialog.wants_client()
    }

    fn happen(&mut self, key: (u64, u64)) -> Outcome {
        let event = self.events.remove(&key).expect("it is there");
        self.now = key.0;
        match event {
            Event::ClientMoves => self.client_moves(),
            Event::During(tag, what) => self.client_meanwhile(&tag, what),
            Event::ClientWire if !self.takes_client() => {
                self.client_blocked = true;
                Ok(())
            }
            Event::ClientWire => match self.client_wire.pop_front() {
                Some(news) => self.client_news(news),
                None => Ok(()),
            },
            Event::BackendWire => match self.backend_wire.pop_front() {
                Some(news) => self.backend_news(news),
                None => Ok(()),
            },
            Event::Passive(side, is_open) => {
                let address = "10.0.0.1:50001".parse().expect("an address");
                self.step(Input::Passive(side, is_open.then_some(address)))
            }
            Event::Data(id, event) => self.data_event(id, event),
            // The alarm may go off early: it means nothing.
            Event::FalseAlarm => self.step(Input::Deadline),
            Event::BackendCloses => {
                self.backend.excuse = Some("421 unasked");
                self.backend_says(vec![(0, FromBackend::Line(b"421 Bye".to_vec()))]);
                Ok(())
            }
            Event::Drain => {
                self.excuse = Some("drain");
                self.step(Input::Drain)
            }
        }
    }

    fn step(&mut self, input: Input) -> Outcome {
        self.note(|| format!("-> {}", shown(&input)));
        let mut actions = self.dialog.step(self.instant(), input);
        if let Some(tamper) = self.tamper {
            tamper.spoil(&mut actions);
        }
        if actions.len() > ACTIONS_PER_STEP_MAX {
            return Err(format!("bounded: {} actions in one step", actions.len()));
        }
        self.perform_all(actions)?;
        if std::mem::take(&mut self.client_blocked) {
            self.after(0, Event::ClientWire);
        }
        Ok(())
    }

    /// Rule 13: whoever ends it, nobody is left in silence, and nobody ends it without a reason.
    fn end(&mut self) -> Outcome {
        let ending = self.dialog.ending().expect("it has ended");
        self.note(|| format!("ended by {:?}: {}", ending.by, ending.why));
        let backend = format!("{:?}", self.backend);
        self.note(|| backend);
        if !self.closed {
            return Err("rule 13: ended without Close".to_owned());
        }
        if self.dialog.deadline().is_some() {
            return Err("rule 14: a deadline outlives the session".to_owned());
        }
        let by_tls = ending.why.contains("TLS handshake") && ending.by != Blame::Backend;
        let was_told = self.client.goodbye.is_some() || ending.why == "command line too long";
        if !was_told && !self.client.is_gone && !by_tls {
            return Err(format!("rule 13: silence ({})", ending.why));
        }
        let is_reaching = self.backend.excuse.is_some() && !self.backend.is_chosen;
        if ending.by == Blame::Backend && is_reaching && self.others > 0 {
            return Err(format!("rule 13: another member was left ({})", ending.why));
        }
        let excuse = self.excuse.or(self.backend.excuse);
        let is_blameless = match ending.by {
            Blame::Client => ending.why == "bytes at the border of TLS" || excuse.is_some(),
            _ => excuse.is_some(),
        };
        if !is_blameless && ending.why != "QUIT" && !self.client.is_gone {
            return Err(format!(
                "rule 4: the session should have survived ({})",
                ending.why
            ));
        }
        Ok(())
    }
}

fn shown(input: &Input) -> String {
    match input {
        Input::Client(FromClient::Line(raw)) => format!("client: {}", raw.escape_ascii()),
        Input::Backend(FromBackend::Line(raw)) => format!("backend: {}", raw.escape_ascii()),
        other => format!("{other:?}"),
    }
}
