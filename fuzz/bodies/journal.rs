//! The journal, whatever stands in what it tells of.

use core::time::Duration;

use sluicegate::audit::{Event, Format, Identity, Leg, Record, Refusal, SessionId, Tls, Transfer};
use sluicegate::ftp::{Direction, Verb};

use super::tape::Tape;

/// Each record is one line, which a reader of its format takes apart again.
pub(super) fn journal(bytes: &[u8]) {
    let mut tape = Tape::new(bytes);
    let record = Record {
        at: u64::from_be_bytes(std::array::from_fn(|_| tape.byte())),
        session: SessionId {
            started: 1,
            number: tape.word().into(),
        },
        event: event(&mut tape),
    };
    let mut json = String::new();
    Format::Json.write(&record, &mut json);
    let body = json.strip_suffix('\n').expect("a whole line");
    assert!(
        body.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{body}"
    );
    let read: serde_json::Value = serde_json::from_str(body).expect("JSON");
    if let Event::Transferred(transfer) = &record.event
        && let Ok(path) = std::str::from_utf8(&transfer.path)
    {
        assert_eq!(read["path"].as_str(), Some(path));
    }
    let mut line = String::new();
    Format::Xferlog.write(&record, &mut line);
    if let Some(body) = line.strip_suffix('\n') {
        assert!(
            body.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{body}"
        );
        // Five words of time, and thirteen fields.
        assert_eq!(body.split_ascii_whitespace().count(), 18, "{body}");
    } else {
        assert!(line.is_empty());
    }
}

fn event(tape: &mut Tape<'_>) -> Event {
    match tape.byte() % 5 {
        0 => Event::LoggedIn {
            user: tape.string().to_vec(),
        },
        1 => Event::Secured {
            leg: "client",
            tls: tls(tape),
            identity: Some(Identity {
                subject: text(tape),
                issuer: text(tape),
                serial: text(tape),
                names: vec![text(tape), text(tape)],
            }),
        },
        2 => Event::Refused(Refusal {
            what: "command",
            verb: Some(Verb::Site),
            code: None,
            detail: Some(text(tape)),
        }),
        _ => Event::Transferred(Box::new(transfer(tape))),
    }
}

fn transfer(tape: &mut Tape<'_>) -> Transfer {
    let leg = |tls| Leg {
        mode: "passive",
        protection: "private",
        peer: None,
        tls,
        end: "clean",
    };
    Transfer {
        verb: if tape.flag() { Verb::Retr } else { Verb::Stor },
        path: tape.string().to_vec(),
        direction: Direction::Download,
        bytes: tape.word().into(),
        offset: 0,
        ascii: tape.flag(),
        duration: Duration::from_millis(tape.word().into()),
        code: None,
        outcome: "completed",
        is_complete: tape.flag(),
        policies: Vec::new(),
        user: tape.string().to_vec(),
        peer: ([192, 0, 2, 7], tape.word()).into(),
        strangers: 0,
        client: leg(Some(tls(tape))),
        backend: leg(None),
    }
}

fn tls(tape: &mut Tape<'_>) -> Tls {
    Tls {
        version: "1.3",
        suite: "TLS13_AES_256_GCM_SHA384",
        group: Some("X25519"),
        resumed: tape.flag(),
        alpn: Some(tape.string().to_vec()),
        certificate: None,
    }
}

fn text(tape: &mut Tape<'_>) -> String {
    String::from_utf8_lossy(tape.string()).into_owned()
}
