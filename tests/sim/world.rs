//! One session's world in memory: a clock that jumps, a queue of what is to come, and the dialog in the middle.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate::dialog::{
    Action, Actions, Blame, DataNews, DataPlan, Dialog, FromBackend, FromClient, Input, Loss, Note,
    Side,
};
use sluicegate::limits::ACTIONS_PER_STEP_MAX;
use sluicegate::policy::SiteRules;

use crate::backend::{Backend, Says};
use crate::chance::Chance;
use crate::checks::{Checks, Record, Tally};
use crate::client::{Client, Heard, Move, direction};
use crate::legs::{Coming, Conduct, DataEvent, Legs};
use crate::{Tamper, site};

/// Something that will happen.
#[derive(Debug)]
enum Event {
    /// The client's next news reach the gate, if it reads.
    ClientWire,
    BackendWire,
    Passive(bool),
    Data(u64, DataEvent),
    /// The client does its next move.
    ClientMoves,
    /// The client says or does this if the transfer is still going on.
    During(String, &'static str),
    Drain,
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
    legs: Option<Legs>,
    /// The transfer that the legs belong to.
    running: Option<String>,
    opening: Option<DataPlan>,
    is_listening: bool,
    offset: u64,
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
    let (dialog, greeting) = Dialog::open(Arc::clone(&rules), false, base);
    let mut world = World {
        client: Client::new(&mut chance),
        backend: Backend::new(&mut chance),
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
        legs: None,
        running: None,
        opening: None,
        is_listening: false,
        offset: 0,
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

    fn happen(&mut self, key: (u64, u64)) -> Outcome {
        let event = self.events.remove(&key).expect("it is there");
        self.now = key.0;
        match event {
            Event::ClientMoves => self.client_moves(),
            Event::During(tag, what) => self.client_meanwhile(&tag, what),
            Event::ClientWire if !self.dialog.wants_client() => {
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
            Event::Passive(is_open) => {
                let address = "10.0.0.1:50001".parse().expect("an address");
                self.step(Input::Passive(is_open.then_some(address)))
            }
            Event::Data(id, event) => self.data_event(id, event),
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

    // === what the client does ===

    fn client_sends(&mut self, line: &str) {
        if self.client.is_gone || self.client.goodbye.is_some() {
            return;
        }
        self.client.sends(line);
        self.to_gate(FromClient::Line(line.as_bytes().to_vec()));
    }

    fn to_gate(&mut self, news: FromClient) {
        self.client_wire.push_back(news);
        let delay = self.chance.delay(50);
        self.after(delay, Event::ClientWire);
    }

    fn client_moves(&mut self) -> Outcome {
        let is_busy = !self.client.asked.is_empty() || self.client.is_securing;
        if is_busy || self.client.is_gone || self.client.goodbye.is_some() {
            return Ok(());
        }
        match self.client.moves.pop_front() {
            Some(Move::Say(lines)) => {
                for line in lines {
                    self.client_sends(&line);
                }
            }
            Some(Move::Transfer(line, conduct, during)) => {
                let tag = line.replacen(' ', ":", 1);
                self.client.conducts.insert(tag.clone(), conduct);
                self.client_sends(&line);
                if let Some((delay, what)) = during {
                    self.after(delay, Event::During(tag, what));
                }
            }
            Some(Move::Vanish) => self.client_vanishes(),
            Some(Move::TooLong) => {
                self.excuse = Some("line too long");
                self.client.sends("TOO LONG");
                self.to_gate(FromClient::TooLong);
            }
            Some(Move::Silence) | None => self.excuse = Some("idle"),
        }
        Ok(())
    }

    fn client_vanishes(&mut self) {
        self.client.is_gone = true;
        let loss = self.chance.pick(&[Loss::Closed, Loss::Broken]);
        self.to_gate(FromClient::Lost(loss));
    }

    fn client_meanwhile(&mut self, tag: &str, what: &str) -> Outcome {
        if !self.client.awaits(tag) {
            return Ok(());
        }
        match what {
            "VANISH" => self.client_vanishes(),
            "NOOP" => self.client_sends(&format!("NOOP x{tag}")),
            "NOOP+ABOR" => {
                self.client_sends(&format!("NOOP x{tag}"));
                self.client_sends("ABOR");
                self.client_sends(&format!("SIZE x{tag}"));
            }
            "ABOR+ABOR" => {
                self.client_sends("ABOR");
                self.client_sends("ABOR");
            }
            other => self.client_sends(other),
        }
        Ok(())
    }

    fn client_news(&mut self, news: FromClient) -> Outcome {
        match &news {
            FromClient::Line(line) if line == b"ABOR" => {
                if let Some(record) = self.running_record() {
                    record.is_aborted = true;
                }
            }
            FromClient::Secured => {
                self.client.is_securing = false;
                self.after(10, Event::ClientMoves);
            }
            FromClient::Lost(_) => self.client.is_gone = true,
            _ => {}
        }
        self.step(Input::Client(news))
    }

    fn running_record(&mut self) -> Option<&mut Record> {
        self.checks.records.get_mut(self.running.as_ref()?)
    }

    // === what the backend does ===

    fn backend_says(&mut self, says: Says) {
        for (delay, news) in says {
            // What is said later arrives later.
            let at = self.backend_wire_until.max(self.now + delay);
            self.backend_wire_until = at;
            self.backend_wire.push_back(news);
            self.after(at - self.now, Event::BackendWire);
        }
    }

    fn backend_news(&mut self, news: FromBackend) -> Outcome {
        if let FromBackend::Line(raw) = &news {
            let text = String::from_utf8_lossy(raw).into_owned();
            self.backend_line(&text);
        }
        self.step(Input::Backend(news))
    }

    /// What the gate gets to know of a transfer, and when.
    fn backend_line(&mut self, text: &str) {
        let Some((said, tag)) = text.split_once(" #") else {
            return;
        };
        let Some(code) = text.get(..3).and_then(|code| code.parse::<u16>().ok()) else {
            return;
        };
        let told = self.running.as_deref() == Some(tag);
        if let Some(record) = self.checks.records.get_mut(tag)
            && code >= 200
            && text.as_bytes()[3] == b' '
        {
            record.backend_code.get_or_insert(code);
        }
        if let (Some(size), Some(name)) = (said.strip_prefix("213 "), tag.strip_prefix("SIZE:"))
            && let Some(record) = self.checks.records.get_mut(&format!("RETR:{name}"))
        {
            record.size = size.parse().ok();
        }
        if told && let Some(legs) = &mut self.legs {
            let coming = legs.told(Side::Backend);
            self.coming(coming);
        }
    }

    // === the data legs ===

    fn coming(&mut self, coming: Coming) {
        let Some(id) = self.legs.as_ref().map(|legs| legs.id) else {
            return;
        };
        for (delay, event) in coming {
            self.after(delay, Event::Data(id, event));
        }
    }

    fn data_event(&mut self, id: u64, event: DataEvent) -> Outcome {
        let Some(legs) = self.legs.as_mut().filter(|legs| legs.id == id) else {
            return Ok(());
        };
        let was_over = legs.is_over(Side::Backend);
        let (news, coming) = legs.fire(event);
        let backend = legs.leg(Side::Backend);
        let over = (!was_over).then_some(backend.ended).flatten();
        let ordered = backend.ordered;
        self.coming(coming);
        let Some(news) = news else { return Ok(()) };
        let mut says = Vec::new();
        if matches!(news, DataNews::Connected(Side::Backend)) {
            says.extend(self.backend.connected());
        }
        if let Some(end) = over {
            says.extend(self.backend.leg_over(ordered, end));
        }
        self.backend_says(says);
        self.step(Input::Data(news))
    }

    fn open_data(&mut self, plan: DataPlan, tag: String) -> Outcome {
        if self.legs.is_some() || !self.is_listening {
            return Err("rule 14: data is opened twice, or without a listener".to_owned());
        }
        let plot = self
            .backend
            .plot()
            .expect("the backend has heard the command");
        let good = Conduct::good(&mut self.chance);
        let client = self.client.conducts.get(&tag).copied().unwrap_or(good);
        self.serial += 1;
        let (legs, coming) = Legs::open(self.serial, plan, client, plot.leg);
        let record = Record {
            begun: self.now,
            plot,
            legs: None,
            backend_code: None,
            size: None,
            offset: std::mem::take(&mut self.offset),
            preliminary: false,
            is_aborted: false,
        };
        self.checks.count(plot.name);
        self.checks.records.insert(tag.clone(), record);
        self.running = Some(tag);
        self.legs = Some(legs);
        self.coming(coming);
        Ok(())
    }

    // === what the gate does ===

    fn perform_all(&mut self, actions: Actions) -> Outcome {
        for action in actions {
            if self.closed {
                return Err(format!("no action after Close: {action:?}"));
            }
            self.note(|| format!("      {}", done(&action)));
            self.perform(action)?;
        }
        if self.opening.is_some() {
            return Err("rule 8: data without its command in the same step".to_owned());
        }
        Ok(())
    }

    fn perform(&mut self, action: Action) -> Outcome {
        match action {
            Action::ToClient(wire) => return self.to_client(&wire),
            Action::ToBackend(wire) => return self.to_backend(&wire),
            Action::SecureClient => {
                let lost = FromClient::Lost(Loss::Handshake);
                let news = if self.chance.percent(1) {
                    lost
                } else {
                    FromClient::Secured
                };
                self.to_gate(news);
            }
            Action::ConnectBackend => {
                let says = self.backend.reached(&mut self.chance);
                self.backend_says(says);
            }
            Action::SecureBackend => {
                let says = self.backend.secured(&mut self.chance);
                self.backend_says(says);
            }
            Action::OpenPassive => {
                let (delay, is_open) = (self.chance.delay(20), !self.chance.percent(2));
                self.is_listening = is_open;
                self.after(delay, Event::Passive(is_open));
            }
            Action::ClosePassive => self.is_listening = false,
            Action::OpenData(plan) => self.opening = Some(plan),
            Action::EndData(side, close) => {
                let (Some(legs), Some(tag)) = (&mut self.legs, &self.running) else {
                    return Err("rule 14: a leg of no transfer is ended".to_owned());
                };
                self.checks.ending(&self.rules, tag, legs, side, close)?;
                let coming = legs.order(side, close)?;
                self.coming(coming);
            }
            Action::CloseData => {
                let (Some(legs), Some(tag)) = (self.legs.take(), self.running.take()) else {
                    return Err("rule 14: no data to be closed".to_owned());
                };
                self.is_listening = false;
                let record = self.checks.records.get_mut(&tag).expect("it was begun");
                record.legs = Some(legs);
            }
            Action::Note(note) => self.noted(&note),
            Action::Close => {
                self.closed = true;
                if self.legs.is_some() {
                    return Err("rule 14: closed with data legs open".to_owned());
                }
            }
        }
        Ok(())
    }

    fn noted(&mut self, note: &Note) {
        self.checks.note(note);
        if let Note::LoginFailed = note {
            self.excuse = Some("login");
        }
    }

    fn to_client(&mut self, wire: &[u8]) -> Outcome {
        let text = wire.strip_suffix(b"\r\n").ok_or("a line without an end")?;
        for raw in text.split(|&byte| byte == b'\n') {
            let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
            if self.client.is_gone {
                return Ok(());
            }
            match self.client.hears(raw)? {
                Heard::Nothing => {}
                Heard::Preliminary(tag) => {
                    if let Some(record) = self.checks.records.get_mut(&tag) {
                        record.preliminary = true;
                    }
                    if let Some(legs) = &mut self.legs {
                        let coming = legs.told(Side::Client);
                        self.coming(coming);
                    }
                }
                Heard::Goodbye(code) => {
                    let outcome = if code == 421 {
                        "session ended by 421"
                    } else {
                        "QUIT"
                    };
                    self.checks.count(outcome);
                }
                Heard::Final(asked, code) => {
                    if direction(&asked.verb).is_some() {
                        self.checks
                            .finished(&self.rules, &asked.tag, code, self.now)?;
                    }
                    if asked.verb == "REST" && code == 350 {
                        self.offset = asked.tag[5..].parse().unwrap_or(0);
                    }
                }
            }
        }
        let delay = self.chance.delay(2000);
        self.after(delay, Event::ClientMoves);
        Ok(())
    }

    fn to_backend(&mut self, wire: &[u8]) -> Outcome {
        let line = wire
            .strip_suffix(b"\r\n")
            .ok_or("a command without an end")?;
        let line = String::from_utf8_lossy(line).into_owned();
        let verb = line.split(' ').next().unwrap_or_default();
        let opening = self.opening.take();
        if direction(verb).is_some() != opening.is_some() {
            return Err("rule 8: a transfer's command and its data belong together".to_owned());
        }
        let says = self.backend.hear(&mut self.chance, &line, direction(verb));
        if let Some(plan) = opening {
            self.open_data(plan, line.replacen(' ', ":", 1))?;
        }
        self.backend_says(says);
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
        let excuse = self.excuse.or(self.backend.excuse);
        let is_blameless = match ending.by {
            Blame::Client => ending.why == "clear text behind AUTH" || excuse.is_some(),
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

fn done(action: &Action) -> String {
    match action {
        Action::ToClient(wire) => format!("to client: {}", wire.escape_ascii()),
        Action::ToBackend(wire) => format!("to backend: {}", wire.escape_ascii()),
        other => format!("{other:?}"),
    }
}
