//! What becomes of a stream, for those who count, read logs and keep journals.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Passage, Unestablished};
use crate::audit::{self, Event, Refusal};
use crate::dialog::{End, Phase as Overrun, Side};
use crate::leg::Leg;
use crate::metrics::{Counter, Phase};
use crate::net::Ends;
use crate::relay::{Duplex, Outcome, Path};
use crate::session::chronicle::{identified, tls, word_of_end};
use crate::session::notes::tally;
use crate::sys::clock;
use crate::tls::TlsFacts;

/// What is known of both legs as soon as they are up: client's and backend's.
pub(super) struct Legs {
    legs: [(SocketAddr, Option<TlsFacts>); 2],
    began: Instant,
}

impl Legs {
    pub(super) fn of(client: &Leg, backend: &Leg) -> Self {
        Self {
            legs: [client, backend].map(|leg| (leg.peer(), leg.facts())),
            began: clock::now(),
        }
    }
}

impl Passage {
    pub(super) fn tell_opened(&self, ends: Ends) {
        self.tell(|| Event::Opened {
            listener: self.site.name.clone(),
            client: ends.client,
            local: ends.reached,
            cpu: self.core.cpu,
        });
    }

    /// A member of the pool is the one.
    pub(super) fn reached(&self, backend: &Leg) {
        let backend = backend.peer();
        self.tell(|| Event::Reached { backend });
    }

    /// A leg is up; counted, timed from when it `began`, and told, if it has TLS.
    pub(super) fn secured(&self, side: Side, leg: &Leg, began: Instant) {
        let Some(facts) = leg.facts() else {
            return;
        };
        let inside = self.site.inside.tls.as_ref();
        let (phase, seen) = match side {
            Side::Client => (Phase::ClientHandshake, &self.card.client_tls),
            Side::Backend => (Phase::BackendHandshake, &self.card.backend_tls),
        };
        self.observe(phase, began);
        if side == Side::Backend && inside.is_some_and(|tls| !tls.is_verified) {
            self.count(Counter::BackendsUnverified);
        }
        let kind = if facts.resumed { "resumed" } else { "full" };
        let labels = [side.word(), facts.version.as_str(), kind];
        tally(&self.core, Counter::StreamClientTls12Full, &labels);
        let identity = match side {
            Side::Client => leg.identity(),
            Side::Backend => None,
        };
        self.tell(|| Event::Secured {
            leg: side.word(),
            tls: tls(&facts),
            identity: identity.as_ref().map(identified),
        });
        seen.replace(Some(facts));
    }

    /// Why there is no stream.
    pub(super) fn unestablished(&self, why: &Unestablished) {
        self.count(Counter::StreamsUnestablished);
        let (session, pool) = (self.id, &self.site.inside.pool.name);
        let refused = |what, detail| {
            self.tell(|| {
                Event::Refused(Refusal {
                    what,
                    detail,
                    ..Refusal::default()
                })
            });
        };
        let (ends, by, reason, refusals) = match why {
            Unestablished::Client(fault) => {
                tracing::info!(session, %fault, "stream refused: the client's handshake failed");
                refused("TLS handshake", Some(fault.to_string()));
                let ends = [End::HandshakeFailed, End::Aborted];
                (ends, "client", "the TLS handshake failed", 1)
            }
            Unestablished::Unreached => {
                tracing::warn!(session, pool, "stream refused: no backend answers");
                refused("stream", Some(format!("no member of {pool} answers")));
                let ends = [End::Aborted, End::Refused];
                (ends, "backend", "none answers", 1)
            }
            Unestablished::Late => {
                tracing::info!(session, "stream refused: a handshake took too long");
                refused("TLS handshake", Some("it took too long".to_owned()));
                let ends = [End::TimedOut(Overrun::Handshake), End::Aborted];
                (ends, "clock", "the TLS handshake took too long", 1)
            }
            Unestablished::Left => {
                tracing::info!(session, "stream refused: the client has left");
                let why = "left before a backend was there";
                ([End::Reset, End::Aborted], "client", why, 0)
            }
            Unestablished::Stopped => {
                tracing::info!(session, "stream refused: stopped");
                ([End::Aborted; 2], "operator", "stopped", 0)
            }
        };
        self.count_ends(ends);
        self.tell_ended(by, reason, 0, refusals);
    }

    /// What has become of it; no outcome for one that was cut off.
    pub(super) fn account(&self, outcome: Option<Outcome>, duplex: &Duplex, legs: Legs) {
        let [up, down] = duplex.flows();
        for (bytes, flow) in [
            (Counter::StreamBytesUp, up),
            (Counter::StreamBytesDown, down),
        ] {
            let path = match flow.path {
                Path::Spliced => Counter::SplicedBytes,
                Path::Sealed => Counter::SealedBytes,
                Path::InPlace => Counter::InPlaceBytes,
                Path::Kernel => Counter::KernelBytes,
            };
            let mut recorder = self.core.recorder.borrow_mut();
            recorder.add(bytes, flow.bytes);
            recorder.add(path, flow.bytes);
        }
        let end = outcome.map(|outcome| outcome.end);
        let (counter, word, why) = match end {
            Some(End::Clean) => (Counter::StreamsCompleted, "completed", "ended"),
            Some(End::Unfinished) => {
                let why = "ended without close_notify";
                (Counter::StreamsUnfinished, "unfinished", why)
            }
            Some(End::TimedOut(_)) => (Counter::StreamsLate, "timed_out", "nothing moved"),
            Some(_) => (Counter::StreamsBroken, "broken", "reset"),
            None => (Counter::StreamsCutOff, "cut_off", "stopped"),
        };
        self.count(counter);
        let ends = outcome.map_or([End::Aborted; 2], |outcome| duplex.ends(outcome));
        self.count_ends(ends);
        let (session, sent, received, path) = (self.id, up.bytes, down.bytes, up.path);
        let side = outcome.map(|outcome| outcome.side);
        tracing::info!(session, sent, received, ?path, ?side, ?end, "stream ended");
        let duration = clock::now() - legs.began;
        let leg = |(peer, facts): (SocketAddr, Option<TlsFacts>), end| audit::StreamLeg {
            peer,
            tls: facts.as_ref().map(tls),
            end: word_of_end(end),
        };
        let [client, backend] = legs.legs;
        self.tell(|| {
            Event::Streamed(Box::new(audit::Stream {
                sent,
                received,
                duration,
                outcome: word,
                client: leg(client, ends[0]),
                backend: leg(backend, ends[1]),
            }))
        });
        let by = match (end, side) {
            (None, _) | (_, None) => "operator",
            (Some(End::TimedOut(_)), _) => "clock",
            (_, Some(side)) => side.word(),
        };
        self.tell_ended(by, why, sent + received, 0);
    }

    /// The last record of a stream; once, however it ends.
    pub(super) fn tell_ended(
        &self,
        by: &'static str,
        why: &'static str,
        bytes: u64,
        refusals: u64,
    ) {
        if self.has_ended.replace(true) {
            return;
        }
        self.tell(|| Event::Ended {
            by,
            why,
            duration: clock::now() - self.card.opened,
            transfers: 0,
            bytes,
            refusals,
        });
    }

    fn count_ends(&self, ends: [End; 2]) {
        for (side, end) in [Side::Client, Side::Backend].into_iter().zip(ends) {
            let labels = [side.word(), end.word()];
            tally(&self.core, Counter::StreamClientClean, &labels);
        }
    }

    /// Tells the journal, if there is one.
    fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(journal) = &self.core.journal {
            journal.put(self.id, event());
        }
    }
}
