//! One transfer as a whole: the data connection and the replies about it, whichever comes first.

use std::future::poll_fn;
use std::task::Poll;

use super::flow::Flow;
use super::{Client, Fault};
use crate::ftp::{Class, Code};
use crate::leg::{self, Heard};
use crate::limits;
use crate::net::Alarm;
use crate::sys::clock;

impl Client {
    /// Both the data connection and the replies, to the end of both.
    pub(super) async fn follow(&mut self, flow: &mut Flow) -> Result<(), Fault> {
        let mut alarm = Alarm::new();
        let patience = self.options.patience;
        let mut data_over = false;
        let mut seen = (0, None);
        alarm.set(Some(clock::now() + patience));
        loop {
            let turn = poll_fn(|cx| {
                if !data_over && flow.poll(cx).is_ready() {
                    return Poll::Ready(Turn::DataOver);
                }
                if flow.channel.reply.is_none()
                    && let Poll::Ready(heard) = self.control.poll_line(cx)
                {
                    return Poll::Ready(Turn::Heard(heard));
                }
                let now = (flow.channel.bytes, flow.channel.established);
                if now != seen {
                    seen = now;
                    alarm.set(Some(clock::now() + patience));
                }
                alarm.poll(cx).map(|()| Turn::TimedOut)
            });
            match turn.await {
                Turn::DataOver => data_over = true,
                Turn::Heard(heard) => {
                    if let Some(answer) = self.replies.take(heard?)? {
                        note(flow, answer.code);
                    }
                }
                Turn::TimedOut if flow.channel.reply.is_none() => {
                    return Err(Fault::Silent("the final reply"));
                }
                // The channel tells what did not happen.
                Turn::TimedOut => return Ok(()),
            }
            let Some(reply) = flow.channel.reply else {
                continue;
            };
            // A refusal without a data connection needs none; a failed transfer's leg gets a moment to end.
            if data_over || (reply.is_failure() && !flow.is_up()) {
                return Ok(());
            }
            if reply.is_failure() {
                alarm.set(Some(clock::now() + limits::LINGER_TIMEOUT));
            }
        }
    }
}

/// What the session waited for.
enum Turn {
    DataOver,
    Heard(Result<Heard, leg::Fault>),
    TimedOut,
}

/// Writes a reply's moment down.
fn note(flow: &mut Flow, code: Code) {
    let at = flow.elapsed();
    if code.class() == Class::Preliminary {
        flow.channel.preliminary = Some(at);
        return;
    }
    flow.channel.replied_behind_fin = flow.has_fin();
    flow.channel.reply = Some(code);
    flow.channel.replied = Some(at);
}
