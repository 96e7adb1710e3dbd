//! The gate's part of a world: each action of the dialog, performed and checked.

use sluicegate::dialog::{Action, Actions, FromBackend, FromClient, Loss, Note, Side};
use sluicegate::ftp::ReplyReader;
use sluicegate::policy::BackendTls;

use super::{Event, Outcome, World};
use crate::client::{Heard, direction};

impl World {
    // === what the gate does ===

    pub(super) fn perform_all(&mut self, actions: Actions) -> Outcome {
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
            Action::ToClient(wire) => return self.tell_client(&wire),
            Action::ToBackend(wire) => return self.tell_backend(&wire),
            Action::SecureClient => {
                let lost = FromClient::Lost(Loss::Handshake);
                let news = if self.chance.percent(1) {
                    lost
                } else {
                    FromClient::Secured
                };
                self.client_wires(news);
            }
            Action::Clear(Side::Client) => self.checks.count("client cleared"),
            Action::Clear(Side::Backend) => {
                self.checks.count("backend cleared");
                self.backend.is_cleared = true;
            }
            Action::ReleaseBackend => {
                self.checks.count("begun anew");
                self.release_backend();
            }
            // There is one host in this world.
            Action::Choose(host) => return Err(format!("host {host:?} is chosen")),
            Action::ConnectBackend => {
                self.others = self.chance.below(3);
                self.reach_backend();
            }
            Action::PassOver(_) => return self.pass_over(),
            Action::SecureBackend => {
                let mut says = self.backend.secured(&mut self.chance);
                if matches!(says.last(), Some((_, FromBackend::Secured))) {
                    says.append(&mut self.greeting);
                }
                self.backend_says(says);
            }
            Action::OpenPassive(side) => {
                let (delay, is_open) = (self.chance.delay(20), !self.chance.percent(2));
                self.is_listening[side as usize] = is_open;
                self.after(delay, Event::Passive(side, is_open));
            }
            Action::ClosePassive(side) => self.is_listening[side as usize] = false,
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
                self.is_listening = [false; 2];
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

    /// What the old one still says nobody hears, and what it owed nobody is owed.
    fn release_backend(&mut self) {
        self.backend = super::backend(&mut self.chance, &self.rules);
        self.backend_wire.clear();
        self.greeting.clear();
        self.replies = ReplyReader::default();
        (self.owed, self.offset) = (0, 0);
    }

    fn reach_backend(&mut self) {
        // Others have an equal part of the time.
        let all = self.rules.patience.backend_connect;
        let share = (self.others > 0).then(|| all / 4);
        let mut says = self.backend.reached(&mut self.chance, share);
        if matches!(says[0], (_, FromBackend::Unreachable)) {
            self.others = 0;
        }
        let is_implicit = self.rules.backend_tls == BackendTls::Implicit;
        if is_implicit && !self.rules.backend_banner_first {
            self.greeting = says.split_off(1);
        }
        self.backend_says(says);
    }

    /// The next member, if there is one: what became of the last one is no reason to end the session.
    fn pass_over(&mut self) -> Outcome {
        if self.backend.is_chosen {
            return Err("rule 7: a member that has heard of the client is passed over".to_owned());
        }
        self.checks.count("passed over");
        let excuse = self.backend.excuse;
        self.release_backend();
        if self.others > 0 {
            self.others -= 1;
            self.reach_backend();
            return Ok(());
        }
        let says = self.backend.unreachable(&mut self.chance);
        self.backend.excuse = excuse.or(self.backend.excuse);
        self.backend_says(says);
        Ok(())
    }

    fn noted(&mut self, note: &Note) {
        self.checks.note(note);
        match note {
            Note::LoginFailed => self.excuse = Some("login"),
            // It may have answered less often than it was asked.
            Note::Resynchronised => self.owed = 0,
            _ => {}
        }
    }

    fn tell_client(&mut self, wire: &[u8]) -> Outcome {
        let text = wire.strip_suffix(b"\r\n").ok_or("a line without an end")?;
        for raw in text.split(|&byte| byte == b'\n') {
            let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
            if self.client.is_gone {
                return Ok(());
            }
            match self.client.hears(raw)? {
                Heard::Nothing => {}
                Heard::Amid => self.checks.count("answered amid a transfer"),
                Heard::Preliminary(tag) => {
                    if let Some(record) = self.checks.records.get_mut(&tag) {
                        record.preliminary = true;
                    }
                    if let Some(legs) = &mut self.legs {
                        let coming = legs.told(Side::Client);
                        self.coming(coming);
                    }
                }
                Heard::Goodbye(221) if !self.client.is_quitting() => {
                    return Err("rule 12: QUIT is answered before what came before it".to_owned());
                }
                Heard::Goodbye(code) => {
                    let outcome = match code {
                        421 => "session ended by 421",
                        _ if self.client.has_ended => "QUIT and FIN",
                        _ => "QUIT",
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

    fn tell_backend(&mut self, wire: &[u8]) -> Outcome {
        let line = wire
            .strip_suffix(b"\r\n")
            .ok_or("a command without an end")?;
        let line = String::from_utf8_lossy(line).into_owned();
        let verb = line.split(' ').next().unwrap_or_default();
        let opening = self.opening.take();
        if self.backend.is_cleared && matches!(verb, "PBSZ" | "PROT" | "USER" | "PASS" | "ACCT") {
            return Err(format!("clear text: {verb} behind CCC"));
        }
        if self.owed > 0 && !matches!(verb, "ABOR" | "PWD" | "QUIT") {
            return Err(format!(
                "rule 7: {verb} while {} replies are owed",
                self.owed
            ));
        }
        self.owed += 1;
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
}

fn done(action: &Action) -> String {
    match action {
        Action::ToClient(wire) => format!("to client: {}", wire.escape_ascii()),
        Action::ToBackend(wire) => format!("to backend: {}", wire.escape_ascii()),
        other => format!("{other:?}"),
    }
}
