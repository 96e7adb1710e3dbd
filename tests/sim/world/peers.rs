//! The peers' part of a world: what client and backend do, and what happens on the data legs between them and the gate.

use sluicegate::dialog::{DataNews, DataPlan, FromBackend, FromClient, Input, Loss, Side, Target};
use sluicegate::ftp::Class;

use super::{Event, Outcome, World};
use crate::backend::Says;
use crate::checks::Record;
use crate::client::Move;
use crate::legs::{Coming, Conduct, DataEvent, Legs};

impl World {
    // === what the client does ===

    fn client_sends(&mut self, line: &str) {
        if self.client.is_gone || self.client.goodbye.is_some() {
            return;
        }
        self.client.sends(line);
        self.client_wires(FromClient::Line(line.as_bytes().to_vec()));
    }

    pub(super) fn client_wires(&mut self, news: FromClient) {
        self.client_wire.push_back(news);
        let delay = self.chance.delay(50);
        self.after(delay, Event::ClientWire);
    }

    pub(super) fn client_moves(&mut self) -> Outcome {
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
                self.client_wires(FromClient::TooLong);
            }
            Some(Move::Silence) | None => self.excuse = Some("idle"),
        }
        Ok(())
    }

    fn client_vanishes(&mut self) {
        self.client.is_gone = true;
        let loss = self.chance.pick(&[Loss::Closed, Loss::Broken]);
        self.client_wires(FromClient::Lost(loss));
    }

    pub(super) fn client_meanwhile(&mut self, tag: &str, what: &str) -> Outcome {
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
            "STAT+SIZE+NOOP" => {
                self.client_sends("STAT");
                self.client_sends(&format!("SIZE x{tag}"));
                self.client_sends(&format!("NOOP x{tag}"));
            }
            "QUIT+FIN" => {
                self.client_sends("QUIT");
                self.client.has_ended = true;
                self.client_wires(FromClient::Lost(Loss::Closed));
            }
            "ABOR+ABOR" => {
                self.client_sends("ABOR");
                self.client_sends("ABOR");
            }
            other => self.client_sends(other),
        }
        Ok(())
    }

    pub(super) fn client_news(&mut self, news: FromClient) -> Outcome {
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
            FromClient::Lost(Loss::Closed) if self.client.has_ended => {}
            FromClient::Lost(_) => self.client.is_gone = true,
            _ => {}
        }
        self.step(Input::Client(news))
    }

    fn running_record(&mut self) -> Option<&mut Record> {
        self.checks.records.get_mut(self.running.as_ref()?)
    }

    // === what the backend does ===

    pub(super) fn backend_says(&mut self, says: Says) {
        for (delay, news) in says {
            // What is said later arrives later.
            let at = self.backend_wire_until.max(self.now + delay);
            self.backend_wire_until = at;
            self.backend_wire.push_back(news);
            self.after(at - self.now, Event::BackendWire);
        }
    }

    pub(super) fn backend_news(&mut self, news: FromBackend) -> Outcome {
        if let FromBackend::Line(raw) = &news {
            let text = String::from_utf8_lossy(raw).into_owned();
            self.backend_line(&text);
            if let Ok(Some(line)) = self.replies.read(raw.clone())
                && line.last
                && line.code.class() != Class::Preliminary
            {
                self.owed = self.owed.saturating_sub(1);
            }
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

    pub(super) fn coming(&mut self, coming: Coming) {
        let Some(id) = self.legs.as_ref().map(|legs| legs.id) else {
            return;
        };
        for (delay, event) in coming {
            self.after(delay, Event::Data(id, event));
        }
    }

    pub(super) fn data_event(&mut self, id: u64, event: DataEvent) -> Outcome {
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

    pub(super) fn open_data(&mut self, plan: DataPlan, tag: String) -> Outcome {
        let is_awaited =
            [plan.client_target, plan.backend_target].map(|target| target == Target::Awaited);
        if self.legs.is_some() || self.is_listening != is_awaited {
            return Err(
                "rule 14: data is opened twice, without a listener, or with an old one".to_owned(),
            );
        }
        if self.rules.passive.is_active() != is_awaited[1] {
            return Err("rule 9: the backend's leg is not as the pool says".to_owned());
        }
        self.checks
            .protection(&self.rules, &plan, self.backend.protection)?;
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
        if !is_awaited[0] {
            self.checks.count("connected to the client");
        }
        if is_awaited[1] {
            self.checks.count("awaited from the backend");
        }
        self.checks.records.insert(tag.clone(), record);
        self.running = Some(tag);
        self.legs = Some(legs);
        self.coming(coming);
        Ok(())
    }
}
