//! Closing both control connections politely and within bounds, whoever ended the session.

use std::borrow::BorrowMut;
use std::future::poll_fn;
use std::task::{Context, Poll};

use super::{Backend, Session};
use crate::dialog::Close;
use crate::ftp::{Reply, occasion};
use crate::leg::Leg;
use crate::relay::{Closed, Closing};

impl Session {
    /// Says what is still to be said, ends both legs, and reads them to their end.
    pub(super) async fn close(&mut self) {
        self.passive = None;
        self.passive_inside = None;
        self.transfer = None;
        let (flush, linger) = (self.site.completion, self.site.linger);
        let close = |leg| Closing::new(leg, Close::Clean, flush, linger);
        let mut client = close(self.client.leg_mut());
        let mut backend = match &mut self.backend {
            Backend::There(there) => Some(close(there.leg.leg_mut())),
            Backend::Absent | Backend::Reaching(_) => None,
        };
        poll_fn(|cx| {
            let mut is_over = is_over(&mut client, cx);
            if let Some(backend) = &mut backend {
                is_over &= self::is_over(backend, cx);
            }
            for closing in &mut self.lingering {
                is_over &= self::is_over(closing, cx);
            }
            if is_over {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// For a session that has panicked: the client hears that it was not its fault, and nothing else is touched.
    pub async fn apologise(&mut self) {
        self.tell_ended("gate", "panic");
        let reply = Reply::new(occasion::CLOSING, "Internal error: this session is ended");
        if self.client.say(&reply.wire()).is_err() {
            return;
        }
        let (flush, linger) = (self.site.completion, self.site.linger);
        let mut client = Closing::new(self.client.leg_mut(), Close::Clean, flush, linger);
        poll_fn(|cx| {
            if is_over(&mut client, cx) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.core.bell.forget(self.id);
        self.core.cards.remove(self.id);
    }
}

pub(super) fn is_over<L: BorrowMut<Leg>>(closing: &mut Closing<L>, cx: &mut Context<'_>) -> bool {
    while let Poll::Ready(Closed::Ours(_)) = closing.poll(cx) {}
    closing.is_over()
}
