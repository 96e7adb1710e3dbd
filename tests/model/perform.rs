//! What the dialog wants done, done in the model; here each action and each reply meets the rules.

use std::sync::Arc;

use sluicegate::dialog::{Action, Blame, Close, DataPlan, Protection, Side};
use sluicegate::policy::{BackendTls, ClientProtection, ClientTls};

use crate::legs::Legs;
use crate::peers::{Ask, Kind};
use crate::rules::{self, Pending};
use crate::sights::Sight;
use crate::world::World;

impl World {
    pub(crate) fn perform(&mut self, action: Action) {
        match action {
            Action::ToClient(wire) => self.client_hears(&wire),
            Action::ToBackend(wire) => self.backend_hears(&wire),
            Action::SecureClient => self.peers.securing[0] = true,
            Action::Clear(side) => self.clear(side),
            Action::Choose(host) => self.choose(host),
            Action::ReleaseBackend => self.release_backend(),
            Action::ConnectBackend => self.connect_backend(),
            Action::PassOver(_) => self.pass_over(),
            Action::SecureBackend => self.peers.securing[1] = true,
            Action::OpenPassive(side) => self.peers.is_opening_port[side as usize] = true,
            Action::ClosePassive(_) => {}
            Action::OpenData(plan) => self.open_data(plan),
            Action::EndData(side, close) => self.end_data(side, close),
            Action::CloseData => {
                if let Some(front) = self.peers.pending.front_mut() {
                    front.closed = self.legs.take();
                }
            }
            Action::Note(note) => self.sight = Sight::of_note(&note).or(self.sight),
            Action::Close => self.close(),
        }
    }

    fn clear(&mut self, side: Side) {
        let peers = &mut self.peers;
        let is_agreed = std::mem::take(&mut peers.agreed[side as usize]);
        let was_secure = std::mem::take(&mut peers.secured[side as usize]);
        let is_last = side == Side::Backend || peers.pending.is_empty();
        if !is_agreed || !was_secure || !is_last {
            return self.fault(rules::CLEARED);
        }
        self.sight = Some(Sight::Cleared(side));
    }

    fn choose(&mut self, host: Option<usize>) {
        self.peers.chosen = host;
        let chosen = host.and_then(|at| self.site.hosts.get(at));
        let rules = chosen.map_or(&self.site, |host| &host.rules);
        self.rules = Arc::clone(rules);
    }

    fn connect_backend(&mut self) {
        let peers = &mut self.peers;
        if std::mem::replace(&mut peers.has_backend, true) || peers.logged_in {
            return self.fault(rules::ANEW);
        }
        peers.is_connecting = true;
        let meant = peers.shown_host.or(peers.said_host).map(usize::from);
        if peers.chosen != meant.filter(|at| *at < self.site.hosts.len()) {
            return self.fault(rules::HOSTED);
        }
        if peers.chosen.is_some() {
            self.sight = Some(Sight::Hosted);
        }
    }

    /// The first of two members has failed; where it was the second one, there is none left.
    fn pass_over(&mut self) {
        let peers = &mut self.peers;
        if peers.is_chosen {
            return self.fault(rules::CHOSEN);
        }
        peers.asks.clear();
        (peers.secured[1], peers.securing[1]) = (false, false);
        (peers.is_connecting, peers.is_done) = (true, false);
        peers.is_out = std::mem::replace(&mut peers.is_second, true);
        // Why it has failed may be to be seen as well.
        self.sight.get_or_insert(Sight::PassedOver);
    }

    fn release_backend(&mut self) {
        let peers = &mut self.peers;
        peers.asks.clear();
        peers.secured[1] = false;
        (peers.is_second, peers.is_out, peers.is_chosen) = (false, false, false);
        (peers.has_backend, peers.logged_in) = (false, false);
        self.sight = Some(Sight::Anew);
    }

    fn open_data(&mut self, plan: DataPlan) {
        let is_private = plan.client == Protection::Private;
        let must_be = self.rules.client_protection == ClientProtection::Private;
        if must_be && !is_private || self.legs.is_some() {
            return self.fault(rules::LEVEL);
        }
        match self.peers.pending.front_mut() {
            Some(front) if front.kind.direction() == Some(plan.direction) => {
                front.is_opened = true;
                self.legs = Some(Legs::open(plan));
            }
            _ => self.fault(rules::ONE),
        }
    }

    fn end_data(&mut self, side: Side, close: Close) {
        let (Some(legs), Some(front)) = (&mut self.legs, self.peers.pending.front()) else {
            return self.fault(rules::LEFT);
        };
        let broken = (close == Close::Clean)
            .then(|| front.may_end_clean(&self.rules, legs, side))
            .flatten();
        let broken = broken.or_else(|| front.gives_up_bytes(legs).then_some(rules::DELIVERED));
        legs.order(side, close);
        if let Some(rule) = broken {
            self.fault(rule);
        }
    }

    fn backend_hears(&mut self, wire: &[u8]) {
        let ask = Ask::read(wire);
        let is_login = matches!(ask.verb.as_str(), "USER" | "PASS");
        let is_bare = |required: bool, is_secure: bool| required && !is_secure;
        let must = [
            self.rules.client_tls == ClientTls::Required,
            self.rules.backend_tls == BackendTls::Explicit,
        ];
        if is_login && (0..2).any(|leg| is_bare(must[leg], self.peers.secured[leg])) {
            return self.fault(rules::SECRET);
        }
        let is_inside = ask.is_transfer() || matches!(ask.verb.as_str(), "CWD" | "EPSV");
        if is_inside && !self.peers.logged_in {
            return self.fault(rules::ANEW);
        }
        self.peers.is_chosen |= is_login;
        if ask.verb == "ABOR"
            && let Some(front) = self.peers.pending.front_mut()
        {
            front.is_stopped = true;
        }
        if ask.verb != "QUIT" {
            self.peers.asks.push_back(ask);
        }
    }

    fn client_hears(&mut self, wire: &[u8]) {
        for text in String::from_utf8_lossy(wire).lines() {
            let code: Option<u16> = text.get(..3).and_then(|digits| digits.parse().ok());
            let is_end = text.as_bytes().get(3) == Some(&b' ');
            let whose = text.split_once('#').and_then(|(_, tag)| tag.parse().ok());
            if self.is_amid(text) {
                self.heard_amid(text);
                continue;
            }
            match (self.peers.partial, code) {
                (Some((open, first)), Some(code)) if open == code && is_end => {
                    self.peers.partial = None;
                    self.reply_heard(code, whose.or(first));
                }
                (Some(_), _) => {}
                (None, Some(code)) if is_end => self.reply_heard(code, whose),
                (None, code) => self.peers.partial = code.map(|code| (code, whose)),
            }
        }
    }

    /// An answer in the gate's own words to what was asked while a transfer runs: a backend's says whose it is.
    fn is_amid(&self, text: &str) -> bool {
        let is_own = text == "200 Fine" || (text.starts_with("213 ") && !text.contains('#'));
        let runs = |front: &Pending| front.kind.direction().is_some();
        is_own && self.peers.pending.front().is_some_and(runs)
    }

    fn heard_amid(&mut self, text: &str) {
        if self.peers.partial.is_some() {
            return self.fault(rules::LINES);
        }
        let expected = match text.as_bytes()[0..3] {
            [b'2', b'0', b'0'] => Kind::Noop,
            _ => Kind::Stat,
        };
        let pending = &mut self.peers.pending;
        let has_begun = pending.front().is_some_and(|front| front.is_begun);
        if !has_begun || pending.get(1).map(|next| next.kind) != Some(expected) {
            return self.fault(rules::AMID);
        }
        pending.remove(1);
        self.sight = Some(Sight::Amid(expected));
    }

    fn reply_heard(&mut self, code: u16, whose: Option<u8>) {
        if code == 421 {
            self.peers.goodbye = true;
            return;
        }
        let Some(front) = self.peers.pending.front_mut() else {
            return self.fault(rules::ONE);
        };
        if whose.is_some_and(|number| number != front.number) {
            return self.fault(rules::OWN);
        }
        if code < 200 {
            if front.is_begun || front.kind.direction().is_none() {
                return self.fault(rules::BEGUN);
            }
            front.is_begun = true;
            return;
        }
        let is_fitting = match front.kind {
            Kind::Quit => code == 221,
            Kind::Abor => matches!(code, 225 | 226),
            Kind::Auth => matches!(code, 234 | 503),
            Kind::Epsv => matches!(code, 229 | 425 | 530),
            Kind::Cwd | Kind::Noop => whose.is_some() || code == 530,
            Kind::Stat => code == 211,
            Kind::Port => matches!(code, 200 | 425),
            Kind::Ccc => matches!(code, 200 | 503 | 530 | 533 | 534),
            Kind::Rein => matches!(code, 220 | 502 | 503),
            Kind::Host(_) => matches!(code, 220 | 503 | 504),
            _ => code != 221,
        };
        let Some(front) = self.peers.pending.pop_front() else {
            return;
        };
        if !is_fitting {
            return self.fault(rules::ONE);
        }
        self.peers.goodbye |= front.kind == Kind::Quit;
        let is_yes = code < 300;
        self.peers.agreed[0] = is_yes && matches!(front.kind, Kind::Ccc | Kind::Rein);
        match front.kind {
            Kind::Host(host) if is_yes => self.peers.said_host = Some(host),
            Kind::Rein if is_yes => {
                (self.peers.said_host, self.peers.shown_host) = (None, None);
            }
            _ => {}
        }
        match front.finished(&self.rules, code, whose.is_some()) {
            Some(rule) => self.fault(rule),
            None => self.sight = Sight::of_reply(&front, code, whose.is_some()).or(self.sight),
        }
    }

    /// Rules 4 and 13: there is a cause, and the client has heard of it.
    fn close(&mut self) {
        self.is_closed = true;
        if self.legs.is_some() {
            return self.fault(rules::LEFT);
        }
        let Some(ending) = self.dialog.ending() else {
            return self.fault(rules::SURVIVES);
        };
        let is_injection = ending.why.contains("AUTH");
        if ending.by == Blame::Client && self.peers.has_quit && !is_injection {
            let is_served = self.peers.pending.is_empty();
            self.sight = Some(Sight::Quit(self.peers.said));
            if !is_served {
                return self.fault(rules::QUIT);
            }
        }
        let is_handshake = ending.why.contains("TLS handshake");
        if !self.peers.goodbye && !is_handshake {
            return self.fault(rules::WORD);
        }
        if ending.why == "idle deadline" && !self.peers.pending.is_empty() {
            return self.fault(rules::WORD);
        }
        let owes = !self.peers.asks.is_empty() || self.peers.miscounts == [true; 2];
        let has_cause = match ending.by {
            Blame::Client => true,
            Blame::Operator => self.peers.is_drained,
            Blame::Backend => self.peers.is_done,
            Blame::Clock if ending.why == "reply deadline of the backend" => {
                owes || self.peers.is_connecting || self.peers.securing[1]
            }
            Blame::Clock => true,
        };
        if !has_cause {
            self.fault(rules::SURVIVES);
        }
        self.sight.get_or_insert(Sight::Ended(ending.by));
    }
}
