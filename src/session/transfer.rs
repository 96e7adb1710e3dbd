//! The data side of one transfer: two legs that open, flow and end, told to the dialog as news and ended by its orders.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::chronicle::LegFacts;
use super::notes::tally;
use super::{Core, Site};
use crate::data::{Opened, Opening};
use crate::dialog::{Close, DataNews, DataPlan, End, Side};
use crate::ftp::{Direction, escape};
use crate::leg::Leg;
use crate::metrics::{Counter, IS_RECORDING, Phase};
use crate::relay::{Budget, Closed, Closing, Path, Relay, Report};
use crate::sys::clock;
use crate::tls::TlsFacts;

/// One transfer's legs.
pub(super) struct Transfer {
    session: u64,
    direction: Direction,
    budget: Budget,
    completion: Duration,
    linger: Duration,
    client: Half,
    backend: Half,
    relay: Option<Relay>,
    news: VecDeque<DataNews>,
    strangers: u64,
    /// What came about, client's leg and backend's, for the record.
    pub(super) opened: [Option<LegFacts>; 2],
    /// All bytes, once they have stopped.
    flowed: Option<u64>,
    core: Rc<Core>,
    began: Instant,
    /// Since when bytes may flow, until the first one has.
    ready: Option<Instant>,
    source_ended: Option<Instant>,
    /// When a leg has last ended.
    ended: Option<Instant>,
}

/// One leg, as far as it is.
enum Half {
    /// Since when TCP is there, if it is.
    Opening(Opening, Option<Instant>),
    Up(Leg),
    /// Lent to the relay.
    Flowing,
    /// Ended by order: the dialog awaits the news.
    Ending(Closing),
    /// Ended for the dialog; being read to its end.
    Fading(Closing),
    Over,
}

impl Transfer {
    /// Begins with two legs on their way up; one that could not even begin has failed.
    pub(super) fn new(
        session: u64,
        plan: DataPlan,
        [client, backend]: [Option<Opening>; 2],
        site: &Site,
        core: &Rc<Core>,
    ) -> Self {
        let mut news = VecDeque::new();
        let mut half = |side, opening: Option<Opening>| {
            if opening.is_none() {
                news.push_back(DataNews::Ended(side, End::Refused));
            }
            opening.map_or(Half::Over, |opening| Half::Opening(opening, None))
        };
        let (client, backend) = (half(Side::Client, client), half(Side::Backend, backend));
        Self {
            session,
            direction: plan.direction,
            budget: site.budget,
            completion: site.completion,
            linger: site.linger,
            client,
            backend,
            relay: None,
            news,
            strangers: 0,
            opened: [None, None],
            flowed: None,
            core: Rc::clone(core),
            began: clock::now(),
            ready: None,
            source_ended: None,
            ended: None,
        }
    }

    /// The next news.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<DataNews> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Poll::Ready(news);
            }
            self.poll_half(Side::Client, cx);
            self.poll_half(Side::Backend, cx);
            self.begin_flow();
            if let Some(relay) = &mut self.relay {
                let polled = relay.poll(cx);
                if relay.moved() > 0
                    && let Some(ready) = self.ready.take()
                {
                    self.observe(Phase::FirstByte, ready);
                }
                if let Poll::Ready(report) = polled {
                    self.flowed(report);
                }
            }
            if self.news.is_empty() {
                return Poll::Pending;
            }
        }
    }

    fn poll_half(&mut self, side: Side, cx: &mut Context<'_>) {
        match self.half(side) {
            Half::Opening(opening, _) => {
                let opened = opening.poll(cx);
                let strangers = std::mem::take(&mut opening.strangers);
                self.strangers += u64::from(strangers);
                if let Poll::Ready(opened) = opened {
                    self.opened(side, opened);
                }
            }
            Half::Ending(closing) => {
                if let Poll::Ready(Closed::Ours(end)) = closing.poll(cx) {
                    self.ended = Some(clock::now());
                    if let (End::Clean, Some(since)) = (end, self.source_ended) {
                        self.observe(Phase::Completion, since);
                    }
                    self.news.push_back(DataNews::Ended(side, end));
                    let half = self.half(side);
                    if let Half::Ending(closing) = std::mem::replace(half, Half::Over) {
                        *half = Half::Fading(closing);
                    }
                }
            }
            Half::Fading(closing) => {
                while let Poll::Ready(Closed::Ours(_)) = closing.poll(cx) {}
                if closing.is_over() {
                    *self.half(side) = Half::Over;
                }
            }
            // No order to end it came with the news of its last bytes.
            Half::Up(leg) => leg.release(),
            Half::Flowing | Half::Over => {}
        }
    }

    fn opened(&mut self, side: Side, opened: Opened) {
        let news = match opened {
            Opened::Connected => {
                if let Half::Opening(_, since) = self.half(side) {
                    *since = Some(clock::now());
                }
                let phase = match side {
                    Side::Client => Phase::ClientDataConnect,
                    Side::Backend => Phase::BackendDataConnect,
                };
                self.observe(phase, self.began);
                DataNews::Connected(side)
            }
            Opened::Up(leg) => {
                let known = LegFacts::of(&leg);
                if let Some(facts) = &known.tls {
                    self.secured(side, facts);
                    let (session, version) = (self.session, facts.version.as_str());
                    let (suite, group, resumed) = (facts.suite, facts.group, facts.resumed);
                    let alpn = facts.alpn.as_deref().map(escape);
                    tracing::debug!(
                        session,
                        ?side,
                        version,
                        suite,
                        group,
                        resumed,
                        alpn,
                        "data leg secured"
                    );
                }
                self.opened[usize::from(side == Side::Backend)] = Some(known);
                *self.half(side) = Half::Up(leg);
                DataNews::Up(side)
            }
            Opened::Failed(end, why) => {
                tracing::debug!(session = self.session, ?side, ?end, why, "data leg failed");
                *self.half(side) = Half::Over;
                DataNews::Ended(side, end)
            }
        };
        self.news.push_back(news);
    }

    /// Bytes flow when both legs are up, and only once.
    fn begin_flow(&mut self) {
        if !matches!((&self.client, &self.backend), (Half::Up(_), Half::Up(_))) {
            return;
        }
        let client = std::mem::replace(&mut self.client, Half::Flowing);
        let backend = std::mem::replace(&mut self.backend, Half::Flowing);
        if let (Half::Up(client), Half::Up(backend)) = (client, backend) {
            self.observe(Phase::DataReady, self.began);
            self.ready = Some(clock::now());
            let mut relay = Relay::new(client, backend, self.direction, self.budget);
            if self.core.kernel_tls {
                relay = relay.through_kernel();
            }
            tracing::debug!(session = self.session, path = ?relay.path(), "bytes may flow");
            self.relay = Some(relay);
        }
    }

    /// The leg that ended is answered as it deserves; the other one waits for its orders.
    fn flowed(&mut self, report: Report) {
        let Some(relay) = self.relay.take() else {
            return;
        };
        let path = match relay.path() {
            Path::Spliced => Counter::SplicedBytes,
            Path::Sealed => Counter::SealedBytes,
            Path::InPlace => Counter::InPlaceBytes,
            Path::Kernel => Counter::KernelBytes,
        };
        self.core.recorder.borrow_mut().add(path, report.bytes);
        tracing::debug!(session = self.session, went = ?relay.path(), "bytes have stopped");
        let (source, sink) = relay.into_legs();
        self.source_ended = Some(clock::now());
        self.flowed = Some(report.bytes);
        self.ended = self.source_ended;
        let (source_side, sink_side) = (Side::source(self.direction), Side::sink(self.direction));
        let (ended, survivor, survivor_side) = if report.side == source_side {
            (source, sink, sink_side)
        } else {
            (sink, source, source_side)
        };
        *self.half(report.side) = match report.end {
            // A peer's close_notify is answered at once: some servers hold FIN and 226 until they have it (rule 6).
            End::Clean => Half::Fading(self.closing(ended, Close::Clean)),
            End::Unfinished => Half::Fading(self.closing(ended, Close::Unfinished)),
            // Dropped unfinished: reset.
            _ => Half::Over,
        };
        *self.half(survivor_side) = Half::Up(survivor);
        self.news.push_back(DataNews::Flowed {
            bytes: report.bytes,
            side: report.side,
            end: report.end,
        });
    }

    /// Ends a leg by order of the dialog.
    pub(super) fn end(&mut self, side: Side, close: Close) {
        match std::mem::replace(self.half(side), Half::Over) {
            Half::Opening(opening, _) => {
                let end = opening.give_up(close);
                self.news.push_back(DataNews::Ended(side, end));
            }
            Half::Up(leg) => *self.half(side) = Half::Ending(self.closing(leg, close)),
            Half::Flowing => {
                if let Some(relay) = &self.relay {
                    let report = Report {
                        side,
                        ..relay.stopped(End::Aborted)
                    };
                    self.flowed(report);
                }
            }
            // Over already: the news of it is on its way.
            other => *self.half(side) = other,
        }
    }

    /// Hands over what is still to be read to its end; everything else is reset.
    pub(super) fn leave(self, lingering: &mut Vec<Closing>) {
        for half in [self.client, self.backend] {
            if let Half::Fading(closing) = half {
                lingering.push(closing);
            }
        }
    }

    /// Connections to the passive port that were not the client's.
    pub(super) const fn strangers(&self) -> u64 {
        self.strangers
    }

    /// Plain bytes moved so far, while they flow.
    pub(super) fn moved(&self) -> Option<u64> {
        self.relay.as_ref().map(Relay::moved)
    }

    /// Plain bytes moved, whether they still flow or not.
    pub(super) fn all_moved(&self) -> u64 {
        self.flowed.or_else(|| self.moved()).unwrap_or(0)
    }

    /// When the last of the legs that were up has ended, if any was.
    pub(super) const fn ended(&self) -> Option<Instant> {
        self.ended
    }

    /// Counts and times a handshake of a data leg.
    fn secured(&mut self, side: Side, facts: &TlsFacts) {
        let kind = if facts.resumed { "resumed" } else { "full" };
        let labels = [side.word(), facts.version.as_str(), kind];
        tally(&self.core, Counter::ClientDataTls12Full, &labels);
        let phase = match (side, facts.resumed) {
            (Side::Client, false) => Phase::ClientDataHandshakeFull,
            (Side::Client, true) => Phase::ClientDataHandshakeResumed,
            (Side::Backend, false) => Phase::BackendDataHandshakeFull,
            (Side::Backend, true) => Phase::BackendDataHandshakeResumed,
        };
        if let Half::Opening(_, Some(since)) = *self.half(side) {
            self.observe(phase, since);
        }
    }

    fn observe(&self, phase: Phase, since: Instant) {
        if !IS_RECORDING {
            return;
        }
        let took = clock::now() - since;
        self.core.recorder.borrow_mut().observe(phase, took);
    }

    fn closing(&self, leg: Leg, close: Close) -> Closing {
        Closing::new(leg, close, self.completion, self.linger)
    }

    const fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.client,
            Side::Backend => &mut self.backend,
        }
    }
}
