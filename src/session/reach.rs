//! Reaching a backend: from the first member that answers to the one that is ready for a login.

use std::borrow::Cow;
use std::task::{Context, Poll};

use super::{Backend, Session, There};
use crate::dialog::{Close, Failing, FromBackend, Input};
use crate::ftp::escape;
use crate::limits::MEMBER_WORDS_MAX;
use crate::metrics::Phase;
use crate::pool::Failure;
use crate::relay::Closing;

impl Session {
    /// The next member that answers, if any does.
    pub(super) fn poll_reach(&mut self, cx: &mut Context<'_>) -> Poll<FromBackend> {
        let Backend::Reaching(reach) = &mut self.backend else {
            return Poll::Pending;
        };
        let Poll::Ready(reached) = reach.poll(cx) else {
            return Poll::Pending;
        };
        let (Backend::Reaching(reach), Some(reached)) = (
            std::mem::replace(&mut self.backend, Backend::Absent),
            reached,
        ) else {
            return Poll::Ready(FromBackend::Unreachable);
        };
        self.observe(Phase::BackendConnect);
        let peer = reached.leg.leg().peer();
        self.card.backend.set(Some(peer));
        self.backend = Backend::There(Box::new(There {
            member: reached.member,
            _hold: reached.hold,
            leg: reached.leg,
            reach: Some(reach),
            securing: false,
            lost: false,
            tls: None,
        }));
        self.tell_reached();
        Poll::Ready(match reached.share {
            Some(share) => FromBackend::ReachedFor(share),
            None => FromBackend::Reached,
        })
    }

    /// The member that was reached is the session's: no other one is needed any more.
    pub(super) fn backend_ready(&mut self) {
        if let Backend::There(there) = &mut self.backend
            && let Some(reach) = there.reach.take()
        {
            reach.ready(there.member);
        }
    }

    /// The member that was reached has failed: it is left, and the next one is tried.
    pub(super) fn pass_over(&mut self, failing: &Failing) {
        let Backend::There(there) = &mut self.backend else {
            return;
        };
        let Some(mut reach) = there.reach.take() else {
            return;
        };
        match blamed(failing) {
            Some((failure, why)) => reach.failed(there.member, failure, &why),
            None => reach.failed_handshake(there.member),
        }
        self.card.backend.set(None);
        self.card.backend_tls.replace(None);
        self.part_from_backend(Backend::Reaching(reach));
        self.stamps.start(Phase::BackendConnect);
    }

    /// What is still to be said to the backend goes out by itself, within its bounds; what it still says is nobody's
    /// business.
    pub(super) fn part_from_backend(&mut self, next: Backend) {
        if let Backend::There(there) = std::mem::replace(&mut self.backend, next) {
            let (flush, linger) = (self.site.completion, self.site.linger);
            let leg = there.leg.into_leg();
            let closing = Closing::new(leg, Close::Clean, flush, linger);
            self.lingering.push(closing);
            self.trim_lingering();
        }
        self.pending
            .retain(|input| !matches!(input, Input::Backend(_)));
    }
}

/// Why a member is passed over, and what it has said; nothing where a handshake tells more.
fn blamed(failing: &Failing) -> Option<(Failure, Cow<'static, str>)> {
    let said = |what: &str, line: &[u8]| {
        let shown = &line[..line.len().min(MEMBER_WORDS_MAX)];
        Cow::Owned(format!("{what}: {}", escape(shown)))
    };
    let (failure, why) = match failing {
        Failing::Closed => (Failure::Closed, "it closed before it was ready".into()),
        Failing::Broken => (
            Failure::Reset,
            "its connection broke before it was ready".into(),
        ),
        Failing::Silent => (Failure::Silent, "it was not ready in time".into()),
        Failing::Refused(line) => (Failure::Greeting, said("it refuses sessions", line)),
        Failing::NoFtp(line) if line.is_empty() => (
            Failure::Protocol,
            "it says more than any FTP server does".into(),
        ),
        Failing::NoFtp(line) => (Failure::Protocol, said("it speaks no FTP", line)),
        Failing::NoTls(line) => (Failure::Auth, said("it refuses AUTH TLS", line)),
        Failing::Injection => {
            let why = "clear text stood where its TLS begins";
            (Failure::Injection, why.into())
        }
        Failing::Handshake => return None,
    };
    Some((failure, why))
}
