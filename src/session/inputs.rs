//! Exactly one thing that happened: every source is asked in turn, and none is lost by asking another.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Backend, Session, There};
use crate::dialog::{DataNews, FromBackend, FromClient, Input, Loss, Side};
use crate::leg::{ControlLeg, Fault, Heard};
use crate::limits::{CONTROL_QUEUE_BYTES_MAX, INPUTS_PER_TURN_MAX};
use crate::metrics::{Counter, Phase};
use crate::net::look;
use crate::tls;

/// Where inputs come from.
#[derive(Clone, Copy)]
enum Source {
    Backend,
    Data,
    Client,
    Clock,
}

/// The usual order: replies before what they speak of.
const LOUD_FIRST: [Source; 4] = [Source::Backend, Source::Data, Source::Client, Source::Clock];

/// The order after a turn without a pause.
const QUIET_FIRST: [Source; 4] = [Source::Clock, Source::Client, Source::Data, Source::Backend];

impl Session {
    /// Waits for the next input. A session that always has one gives its neighbours their turn all the same, and then
    /// hears the quiet sources first: a backend that never stops talking hides neither the client nor the clock.
    pub(super) async fn next_input(&mut self) -> Input {
        self.alarm.set(self.dialog.deadline());
        self.stamps.inputs_in_turn += 1;
        let mut order = LOUD_FIRST;
        if self.stamps.inputs_in_turn >= INPUTS_PER_TURN_MAX {
            self.stamps.inputs_in_turn = 0;
            order = QUIET_FIRST;
            look().await;
        }
        poll_fn(|cx| {
            let polled = self.poll_input(std::mem::replace(&mut order, LOUD_FIRST), cx);
            if polled.is_pending() {
                self.stamps.inputs_in_turn = 0;
            }
            polled
        })
        .await
    }

    fn poll_input(&mut self, order: [Source; 4], cx: &mut Context<'_>) -> Poll<Input> {
        if let Some(input) = self.pending.pop_front() {
            return Poll::Ready(input);
        }
        if self.core.bell.poll(self.id, self.rings, cx).is_ready() {
            self.rings += 1;
            return Poll::Ready(Input::Drain);
        }
        if self.card.is_killed() {
            return Poll::Ready(Input::Killed);
        }
        self.card.wakes(cx.waker());
        self.poll_lingering(cx);
        self.make_room(cx);
        for source in order {
            let polled = match source {
                Source::Backend => self.poll_backend(cx).map(Input::Backend),
                Source::Data => self.poll_transfer(cx).map(Input::Data),
                Source::Client => self.poll_client(cx).map(|news| self.preceded(news)),
                Source::Clock => self.alarm.poll(cx).map(|()| Input::Deadline),
            };
            if polled.is_ready() {
                return polled;
            }
        }
        Poll::Pending
    }

    /// A full queue keeps the other side from being read, so it is flushed before anybody asks for room: what it gives
    /// back later in the same poll would wake nobody.
    fn make_room(&mut self, cx: &mut Context<'_>) {
        if is_full(&self.client) {
            // A fault is kept, and told when the client is polled.
            let _flushed = self.client.poll_flush(cx);
        }
        if let Backend::There(there) = &mut self.backend
            && is_full(&there.leg)
        {
            // As above.
            let _flushed = there.leg.poll_flush(cx);
        }
    }

    fn poll_transfer(&mut self, cx: &mut Context<'_>) -> Poll<DataNews> {
        match &mut self.transfer {
            Some(transfer) => {
                let news = transfer.poll(cx);
                if let Some(bytes) = transfer.moved() {
                    self.card.moved(bytes);
                }
                news
            }
            None => Poll::Pending,
        }
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<FromClient> {
        let client = &mut self.client;
        if let Poll::Ready(Err(fault)) = client.poll_flush(cx) {
            return Poll::Ready(FromClient::Lost(loss(&fault)));
        }
        if self.securing {
            let Poll::Ready(outcome) = client.leg_mut().poll_handshake(cx) else {
                return Poll::Pending;
            };
            self.securing = false;
            self.observe(Phase::ClientHandshake);
            return Poll::Ready(self.handshaken(outcome));
        }
        // Commands wait in the socket while what they would add to has no room.
        let is_backend_full = matches!(&self.backend, Backend::There(there) if is_full(&there.leg));
        if !self.dialog.wants_client() || is_full(client) || is_backend_full {
            return Poll::Pending;
        }
        client.poll_line(cx).map(|heard| match heard {
            Ok(Heard::Line(line)) => FromClient::Line(line),
            Ok(Heard::TooLong) => FromClient::TooLong,
            Ok(Heard::End { .. }) => FromClient::Lost(Loss::Closed),
            Err(fault) => FromClient::Lost(loss(&fault)),
        })
    }

    /// What the client says while bytes flow is preceded by how many they are so far, as STAT tells it.
    fn preceded(&mut self, news: FromClient) -> Input {
        let moved = self.transfer.as_ref().and_then(|transfer| transfer.moved());
        let input = Input::Client(news);
        let Some(bytes) = moved else {
            return input;
        };
        self.pending.push_back(input);
        Input::Data(DataNews::Moved(bytes))
    }

    /// The client's control connection is private, or never will be.
    fn handshaken(&mut self, outcome: Result<(), Fault>) -> FromClient {
        let leg = self.client.leg();
        if let Err(fault) = outcome {
            let (session, client) = (self.id, leg.peer().ip());
            tracing::info!(session, %client, %fault, "TLS handshake of the client failed");
            self.tell_handshake(&fault);
            if let Fault::Tls(tls::Fault::Certificate(_) | tls::Fault::NoCertificate) = fault {
                self.count(Counter::ClientCertificatesRefused);
            }
            return FromClient::Lost(Loss::Handshake);
        }
        self.identity = leg.identity().map(Arc::new);
        let shown = self.client_tls.as_ref().and_then(|tls| tls.host_shown());
        let named = shown.map(|name| FromClient::Named(name.to_owned()));
        let identified = self.identity.clone().map(FromClient::Identified);
        let mut news = named.into_iter().chain(identified);
        let first = news.next();
        // What else there is to tell follows at once, and the end of the handshake last.
        let rest = news.chain(first.is_some().then_some(FromClient::Secured));
        self.pending.extend(rest.map(Input::Client));
        first.unwrap_or(FromClient::Secured)
    }

    fn poll_backend(&mut self, cx: &mut Context<'_>) -> Poll<FromBackend> {
        match &mut self.backend {
            Backend::Absent => Poll::Pending,
            Backend::Reaching(_) => self.poll_reach(cx),
            // Replies wait in the socket while the client does not take those that are there.
            Backend::There(there) => {
                let news = there.poll(is_full(&self.client), cx);
                if news == Poll::Ready(FromBackend::Secured) {
                    self.observe(Phase::BackendHandshake);
                    self.secured(Side::Backend);
                }
                news
            }
        }
    }

    fn poll_lingering(&mut self, cx: &mut Context<'_>) {
        if self.lingering.is_empty() {
            return;
        }
        self.lingering.retain_mut(|closing| {
            while let Poll::Ready(crate::relay::Closed::Ours(_)) = closing.poll(cx) {}
            !closing.is_over()
        });
        if self.lingering.is_empty() {
            // Its memory as well: a session rests for longer than its legs linger.
            self.lingering = Vec::new();
        }
        self.core.cards.lingers(&self.card, self.lingering.len());
    }
}

impl There {
    /// Its handshake has failed; told when it is passed over.
    pub(super) fn blame(&mut self, fault: Fault) {
        if let Some(reach) = &mut self.reach {
            reach.blame(fault);
        }
    }

    fn poll(&mut self, is_client_full: bool, cx: &mut Context<'_>) -> Poll<FromBackend> {
        if self.lost {
            return Poll::Pending;
        }
        let news = self.poll_news(is_client_full, cx);
        self.lost = matches!(news, Poll::Ready(FromBackend::Lost(_)));
        news
    }

    fn poll_news(&mut self, is_client_full: bool, cx: &mut Context<'_>) -> Poll<FromBackend> {
        if let Poll::Ready(Err(fault)) = self.leg.poll_flush(cx)
            && !self.securing
        {
            return Poll::Ready(FromBackend::Lost(loss(&fault)));
        }
        if self.securing {
            // What we say next, which is at once, carries the last flight.
            let Poll::Ready(outcome) = self.leg.leg_mut().poll_shaken(cx) else {
                return Poll::Pending;
            };
            self.securing = false;
            return Poll::Ready(match outcome {
                Ok(()) => FromBackend::Secured,
                Err(fault) => {
                    self.blame(fault);
                    FromBackend::Lost(Loss::Handshake)
                }
            });
        }
        if is_client_full {
            return Poll::Pending;
        }
        self.leg.poll_line(cx).map(|heard| match heard {
            Ok(Heard::Line(line)) => FromBackend::Line(line),
            Ok(Heard::TooLong) => FromBackend::TooLong,
            Ok(Heard::End { .. }) => FromBackend::Lost(Loss::Closed),
            Err(fault) => FromBackend::Lost(loss(&fault)),
        })
    }
}

fn is_full(leg: &ControlLeg) -> bool {
    leg.queued() > CONTROL_QUEUE_BYTES_MAX
}

pub(super) const fn loss(fault: &Fault) -> Loss {
    match fault {
        Fault::Injected => Loss::Injection,
        Fault::Closed => Loss::Closed,
        _ => Loss::Broken,
    }
}
