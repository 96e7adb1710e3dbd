//! The rules of the data channel, as what must hold at each moment of a run; written from the contract, not from the code.

use std::collections::{BTreeMap, HashMap};

use sluicegate::dialog::{Close, DataPlan, End, Note, Protection, Side};
use sluicegate::ftp::Direction;
use sluicegate::policy::{
    BackendProtection, BackendTls, ClientProtection, OnEmpty, OnUnfinished, SiteRules,
};

use crate::legs::{Conduct, Leg, Legs};
use crate::plot::{Final, Plot};

/// What is known of one transfer, from the outside.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) begun: u64,
    pub(crate) plot: Plot,
    pub(crate) legs: Option<Legs>,
    /// The backend's final reply, when the gate has got it.
    pub(crate) backend_code: Option<u16>,
    /// What SIZE said to the gate.
    pub(crate) size: Option<u64>,
    pub(crate) offset: u64,
    pub(crate) preliminary: bool,
    pub(crate) is_aborted: bool,
}

/// How often each outcome was seen.
pub(crate) type Tally = BTreeMap<&'static str, u64>;

#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) records: HashMap<String, Record>,
    pub(crate) tally: Tally,
}

const fn is_success(code: u16) -> bool {
    code >= 200 && code < 300
}

/// Longest that a transfer may take with every deadline used up: 60 s for the first reply, 15 and 10 s for opening on the
/// later leg, 60 s of silence and 20 s of bytes, and thrice 10 s for completion.
const TRANSFER_MS_MAX: u64 = 1000 * (60 + 2 * (15 + 10) + 60 + 20 + 30);

impl Checks {
    pub(crate) fn count(&mut self, outcome: &'static str) {
        *self.tally.entry(outcome).or_default() += 1;
    }

    /// Rule 9: each leg is as its own side agreed, and as the site wants it.
    pub(crate) fn protection(
        &self,
        rules: &SiteRules,
        plan: &DataPlan,
        backend: Protection,
    ) -> Result<(), String> {
        let is_as_wanted = match rules.backend_protection {
            BackendProtection::Match if backend == Protection::Private => plan.client == backend,
            BackendProtection::Clear => backend == Protection::Clear,
            // Without TLS on the control connection there is none on the data connection.
            _ if matches!(rules.backend_tls, BackendTls::Off | BackendTls::Match) => true,
            BackendProtection::Match => backend == plan.client,
            BackendProtection::Private => backend == Protection::Private,
        };
        let must_be_private = rules.client_protection == ClientProtection::Private;
        let is_clear = plan.client == Protection::Clear;
        if plan.backend != backend || !is_as_wanted || (must_be_private && is_clear) {
            return Err(format!("rule 9: {plan:?}, and the backend is {backend:?}"));
        }
        Ok(())
    }

    /// The gate is about to end a leg: rules 2, 3 and 5.
    pub(crate) fn ending(
        &self,
        rules: &SiteRules,
        tag: &str,
        legs: &Legs,
        side: Side,
        close: Close,
    ) -> Result<(), String> {
        let record = &self.records[tag];
        if close != Close::Clean {
            return Ok(());
        }
        match (legs.plan.direction, side) {
            (Direction::Download, Side::Client) => {
                if !record.backend_code.is_some_and(is_success) {
                    return Err("rule 5: a clean end before the backend said 2xx".to_owned());
                }
                let end = legs.leg(Side::Backend).ended;
                if may_complete(rules, record, legs) {
                    return Ok(());
                }
                Err(format!(
                    "rule 5: a source that ended {end:?} becomes a clean end"
                ))
            }
            (Direction::Upload, Side::Backend) => match legs.leg(Side::Client).ended {
                Some(End::Clean) => Ok(()),
                Some(End::Unfinished) if rules.client_unfinished == OnUnfinished::Repair => Ok(()),
                Some(End::Bare) if rules.bare_uploads => Ok(()),
                end => Err(format!(
                    "rule 3: an upload that ended {end:?} becomes a clean end"
                )),
            },
            _ => Err("a source is never ended clean by the gate".to_owned()),
        }
    }

    /// The client gets its final reply to a transfer that had data legs.
    pub(crate) fn finished(
        &mut self,
        rules: &SiteRules,
        tag: &str,
        code: u16,
        now: u64,
    ) -> Result<(), String> {
        let Some(record) = self.records.get(tag) else {
            return if is_success(code) {
                Err("2xx without a transfer".to_owned())
            } else {
                Ok(())
            };
        };
        let Some(legs) = &record.legs else {
            return Err("rule 7: a final reply before the data legs were closed".to_owned());
        };
        let (client, backend) = (legs.leg(Side::Client), legs.leg(Side::Backend));
        if client.ended.is_none() || backend.ended.is_none() {
            return Err("rule 7: a final reply before both data legs were over".to_owned());
        }
        if now - record.begun > TRANSFER_MS_MAX {
            return Err(format!("rule 4: it took {} ms", now - record.begun));
        }
        if is_success(code) {
            if record.backend_code != Some(code) {
                return Err(format!(
                    "rule 7: {code}, and the backend said {:?}",
                    record.backend_code
                ));
            }
            if !record.preliminary {
                return Err("rule 8: a 2xx without a 1xx".to_owned());
            }
            truly_moved(rules, legs)?;
        } else if must_succeed(rules, record, legs) {
            return Err(format!(
                "rule 1: {code}, and everybody did well: {}",
                record.plot.name
            ));
        } else if record
            .backend_code
            .is_some_and(|said| said >= 400 && said != code)
            && all_was_well_but_the_reply(record, legs)
        {
            return Err(format!(
                "rule 7: {code} in the place of {:?}",
                record.backend_code
            ));
        }
        let outcome = outcome(record, legs, code);
        if is_not_taken(legs) {
            self.count("a leg not taken");
        }
        self.count(outcome);
        Ok(())
    }

    pub(crate) fn note(&mut self, note: &Note) {
        match note {
            Note::EmptyCompleted(End::Clean) => self.count("empty completed, ended clean"),
            Note::EmptyCompleted(End::Bare) => self.count("empty completed, ended bare"),
            Note::EmptyCompleted(End::Unfinished) => self.count("empty completed, unfinished"),
            Note::EmptyCompleted(End::Refused) => self.count("empty completed, never established"),
            // What is counted has a row for each of these ends, and for no other.
            Note::EmptyCompleted(end) => panic!("rule 2: an empty file behind {end:?}"),
            Note::FalseEmptyRefused(_) => self.count("false empty refused"),
            Note::Resynchronised => self.count("resynchronised"),
            Note::Unfinished(Side::Client) => self.count("unfinished by the client"),
            Note::Unfinished(Side::Backend) => self.count("unfinished by the backend"),
            Note::Overran(Side::Client, _) => self.count("overran by the client"),
            Note::Overran(Side::Backend, _) => self.count("overran by the backend"),
            Note::Injected(_) => self.count("injection"),
            _ => {}
        }
    }
}

/// Rules 2 and 5, for a download: may the client's leg end clean?
fn may_complete(rules: &SiteRules, record: &Record, legs: &Legs) -> bool {
    let source = legs.leg(Side::Backend);
    let bytes = legs.flowed.map_or(0, |(bytes, _, _)| bytes);
    let repairs = rules.backend_unfinished == OnUnfinished::Repair;
    match source.ended {
        None => false,
        Some(End::Unfinished) if bytes > 0 => repairs,
        Some(End::Clean) if bytes > 0 => true,
        _ if bytes > 0 => false,
        Some(end) => match rules.on_empty {
            OnEmpty::Reject => end == End::Clean,
            OnEmpty::Verify if record.size.is_some_and(|size| size > record.offset) => false,
            // Never established, however: it carried nothing and the backend calls it a success.
            OnEmpty::Complete | OnEmpty::Verify => {
                matches!(end, End::Clean | End::Unfinished | End::Bare | End::Refused)
            }
        },
    }
}

/// Rules 1, 3 and 7: what a 2xx tells the client must be so.
fn truly_moved(rules: &SiteRules, legs: &Legs) -> Result<(), String> {
    let (source, sink) = match legs.plan.direction {
        Direction::Download => (legs.leg(Side::Backend), legs.leg(Side::Client)),
        Direction::Upload => (legs.leg(Side::Client), legs.leg(Side::Backend)),
    };
    if legs
        .flowed
        .is_some_and(|(_, side, _)| side != legs.source())
    {
        return Err("rule 7: 2xx although the sink broke".to_owned());
    }
    let policy = match legs.plan.direction {
        Direction::Download => rules.backend_unfinished,
        Direction::Upload => rules.client_unfinished,
    };
    let is_mirrored = policy == OnUnfinished::Mirror && source.ended == Some(End::Unfinished);
    match (sink.ordered, sink.ended) {
        (Some(Close::Clean), Some(End::Clean)) => Ok(()),
        (Some(Close::Unfinished), Some(End::Clean | End::Unfinished)) if is_mirrored => Ok(()),
        other => Err(format!("rule 1: 2xx, and the sink ended {other:?}")),
    }
}

fn is_not_taken(legs: &Legs) -> bool {
    let ended = |side| legs.leg(side).ended == Some(End::NotTaken);
    ended(Side::Client) || ended(Side::Backend)
}

/// Rules 1 and 2, the other way round: what could be completed must have been.
fn must_succeed(rules: &SiteRules, record: &Record, legs: &Legs) -> bool {
    let (client, backend) = (legs.leg(Side::Client), legs.leg(Side::Backend));
    let good = |leg: &Leg| leg.conduct.is_good(leg.is_private);
    let plot = &record.plot;
    let is_on_time = plot.is_timely && plot.twist.is_none() && !record.is_aborted;
    if !is_on_time || !record.backend_code.is_some_and(is_success) || !good(client) {
        return false;
    }
    // The gate has not looked at it: it may have been a file.
    if is_not_taken(legs) {
        return false;
    }
    let allows = |policy, end| end == End::Clean || policy != OnUnfinished::Reject;
    match legs.plan.direction {
        Direction::Upload => good(backend) && allows(rules.client_unfinished, client.conduct.end),
        Direction::Download if good(backend) && backend.conduct.bytes > 0 => {
            allows(rules.backend_unfinished, backend.conduct.end)
        }
        Direction::Download => {
            let Conduct {
                bytes, breaks, end, ..
            } = backend.conduct;
            let ends = matches!(end, End::Clean | End::Unfinished);
            let never_broke = ends && breaks.is_none() && bytes == 0;
            never_broke && rules.on_empty == OnEmpty::Complete && plot.last != Final::Never
        }
    }
}

/// The backend said no, and nothing else went wrong: its own reply is the client's.
fn all_was_well_but_the_reply(record: &Record, legs: &Legs) -> bool {
    let client = legs.leg(Side::Client);
    let at_once = matches!(record.plot.last, Final::At(delay, _) if delay <= 3000);
    at_once
        && record.plot.is_timely
        && record.plot.leg.breaks.is_none()
        && !record.is_aborted
        && client.conduct.is_good(client.is_private)
        && client.conduct.end == End::Clean
}

fn outcome(record: &Record, legs: &Legs, code: u16) -> &'static str {
    let bytes = legs.flowed.map_or(0, |(bytes, _, _)| bytes);
    match (legs.plan.direction, code) {
        _ if record.is_aborted && !is_success(code) => "aborted",
        (Direction::Download, 200..=299) if bytes == 0 => "empty download completed",
        (Direction::Download, 200..=299) => "download completed",
        (Direction::Upload, 200..=299) if bytes == 0 => "empty upload completed",
        (Direction::Upload, 200..=299) => "upload completed",
        _ if record.backend_code == Some(code) => "refusal of the backend passed on",
        (_, 522) => "not resumed",
        (Direction::Download, 425) => "download 425",
        (Direction::Download, _) => "download 426",
        (Direction::Upload, 425) => "upload 425",
        (Direction::Upload, _) => "upload 426",
    }
}
