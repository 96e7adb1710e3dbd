//! A record becomes a line: an object of JSON for each event, or a line of xferlog for each transfer of a file.

use super::line::Line;
use super::xferlog;
use super::{Event, Identity, Leg, Micros, Record, Refusal, Stream, StreamLeg, Tls, Transfer, utc};

/// How the journal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One object a line, for every event.
    Json,
    /// As WU-FTPD did it: one line for each transfer of a file, and nothing else.
    Xferlog,
}

impl Format {
    /// Appends the line of a record, with its end; nothing if it has none in this format.
    pub fn write(self, record: &Record, text: &mut String) {
        match (self, &record.event) {
            (Self::Json, event) => Line::write(text, |line| {
                line.text("time", &rfc3339(record.at));
                line.shown("session", record.session);
                tell(line, event);
            }),
            (Self::Xferlog, Event::Transferred(transfer)) => {
                xferlog::write(record.at, transfer, text);
            }
            (Self::Xferlog, _) => {}
        }
    }

    /// Appends a line that says how many records are missing before it, and why.
    pub fn write_gap(self, at: Micros, why: &str, records: u64, text: &mut String) {
        match self {
            Self::Json => Line::write(text, |line| {
                line.text("time", &rfc3339(at));
                line.text("event", "missing");
                line.text("why", why);
                line.number("records", records);
            }),
            // Its readers know no such line; the log and the metrics tell it.
            Self::Xferlog => {}
        }
    }
}

fn tell(line: &mut Line<'_>, event: &Event) {
    match event {
        Event::Opened {
            listener,
            client,
            local,
            cpu,
        } => {
            line.text("event", "opened");
            line.text("listener", listener);
            line.shown("client", client);
            line.shown("local", local);
            line.number("cpu", *cpu as u64);
        }
        Event::Reached { backend } => {
            line.text("event", "backend");
            line.shown("backend", backend);
        }
        Event::Secured { leg, tls, identity } => {
            line.text("event", "tls");
            line.text("leg", leg);
            line.object("tls", |line| tell_tls(line, tls));
            if let Some(identity) = identity {
                line.object("identity", |line| tell_identity(line, identity));
            }
        }
        Event::LoggedIn { user } => {
            line.text("event", "login");
            line.text("outcome", "ok");
            line.bytes("user", user);
        }
        Event::LoginFailed => {
            line.text("event", "login");
            line.text("outcome", "failed");
        }
        Event::Refused(refusal) => tell_refusal(line, refusal),
        Event::Transferred(transfer) => tell_transfer(line, transfer),
        Event::Streamed(stream) => tell_stream(line, stream),
        Event::Ended {
            by,
            why,
            duration,
            transfers,
            bytes,
            refusals,
        } => {
            line.text("event", "ended");
            line.text("by", by);
            line.text("why", why);
            line.seconds("seconds", *duration);
            line.number("transfers", *transfers);
            line.number("bytes", *bytes);
            line.number("refusals", *refusals);
        }
    }
}

fn tell_refusal(line: &mut Line<'_>, refusal: &Refusal) {
    line.text("event", "refused");
    line.text("what", refusal.what);
    if let Some(verb) = refusal.verb {
        line.text("verb", verb.word());
    }
    if let Some(code) = refusal.code {
        line.number("reply", u64::from(code.number()));
    }
    if let Some(detail) = &refusal.detail {
        line.text("detail", detail);
    }
}

fn tell_transfer(line: &mut Line<'_>, transfer: &Transfer) {
    debug_assert!(
        !transfer.verb.row().secret,
        "a secret is no argument of a transfer"
    );
    line.text("event", "transfer");
    line.text("verb", transfer.verb.word());
    line.bytes("path", &transfer.path);
    line.bytes("user", &transfer.user);
    line.text("direction", transfer.direction.word());
    line.number("bytes", transfer.bytes);
    line.number("offset", transfer.offset);
    line.text("type", if transfer.ascii { "A" } else { "I" });
    line.seconds("seconds", transfer.duration);
    line.text("outcome", transfer.outcome);
    if let Some(code) = transfer.code {
        line.number("reply", u64::from(code.number()));
    }
    line.list("policies", &transfer.policies);
    line.number("strangers", transfer.strangers);
    line.object("client", |line| tell_leg(line, &transfer.client));
    line.object("backend", |line| tell_leg(line, &transfer.backend));
}

fn tell_stream(line: &mut Line<'_>, stream: &Stream) {
    line.text("event", "stream");
    line.number("sent", stream.sent);
    line.number("received", stream.received);
    line.seconds("seconds", stream.duration);
    line.text("outcome", stream.outcome);
    line.object("client", |line| tell_stream_leg(line, &stream.client));
    line.object("backend", |line| tell_stream_leg(line, &stream.backend));
}

fn tell_stream_leg(line: &mut Line<'_>, leg: &StreamLeg) {
    line.shown("peer", leg.peer);
    line.text("end", leg.end);
    if let Some(tls) = &leg.tls {
        line.object("tls", |line| tell_tls(line, tls));
    }
}

fn tell_leg(line: &mut Line<'_>, leg: &Leg) {
    line.text("mode", leg.mode);
    line.text("protection", leg.protection);
    if let Some(peer) = leg.peer {
        line.shown("peer", peer);
    }
    line.text("end", leg.end);
    if let Some(tls) = &leg.tls {
        line.object("tls", |line| tell_tls(line, tls));
    }
}

fn tell_tls(line: &mut Line<'_>, tls: &Tls) {
    line.text("version", tls.version);
    line.text("suite", tls.suite);
    if let Some(group) = tls.group {
        line.text("group", group);
    }
    line.truth("resumed", tls.resumed);
    if let Some(alpn) = &tls.alpn {
        line.bytes("alpn", alpn);
    }
    if let Some(certificate) = &tls.certificate {
        line.text("certificate", certificate);
    }
}

fn tell_identity(line: &mut Line<'_>, identity: &Identity) {
    line.text("subject", &identity.subject);
    line.list("names", &identity.names);
    line.text("issuer", &identity.issuer);
    line.text("serial", &identity.serial);
}

fn rfc3339(at: Micros) -> String {
    let at = utc(at);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second, micros) = (at.hour(), at.minute(), at.second(), at.microsecond());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339_has_them() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(rfc3339(951_782_400_000_042), "2000-02-29T00:00:00.000042Z");
        assert_eq!(
            rfc3339(1_795_307_999_999_999),
            "2026-11-22T00:39:59.999999Z"
        );
    }

    #[test]
    fn a_gap_is_a_line_of_json_and_none_of_xferlog() {
        let (mut json, mut xferlog) = (String::new(), String::new());
        Format::Json.write_gap(0, "queue full", 7, &mut json);
        Format::Xferlog.write_gap(0, "queue full", 7, &mut xferlog);
        let expected = "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"event\":\"missing\",\"why\":\"queue full\",\"records\":7}\n";
        assert_eq!((json.as_str(), xferlog.as_str()), (expected, ""));
    }
}
