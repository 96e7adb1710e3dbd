//! From one record layer to another without the plain bytes ever being anywhere else.

use super::{Progress, Records, Side};
use crate::tls::{Broken, Fault};

impl Records {
    /// Whether `pass` can be used towards `sink`: the records of both are our own.
    #[must_use]
    pub const fn passes_to(&self, sink: &Self) -> bool {
        matches!((&self.side, &sink.side), (Side::Direct(_), Side::Direct(_)))
    }

    /// As `process`, and then `seal` of what it gives at the sink; says how many plain bytes there were. Where `passes_to`
    /// says so the records are opened and sealed in the memory that they came in.
    pub fn pass(&mut self, sink: &mut Self) -> (usize, Result<Progress, Broken>) {
        let early = std::mem::take(&mut self.early);
        if let Err(fault) = sink.seal(&early) {
            return (0, Err(Broken::Sink(fault)));
        }
        if let Some(fault) = &self.broken {
            return (early.len(), Err(Broken::Source(fault.clone())));
        }
        if self.peer_closed {
            self.incoming.discard(self.incoming.len());
            return (early.len(), Ok(Progress::Closed));
        }
        let (moved, end) = match (&mut self.side, &mut sink.side) {
            (Side::Direct(from), Side::Direct(to)) if sink.broken.is_none() => from.reseal(
                &mut self.incoming,
                &mut self.outgoing,
                to,
                &mut sink.outgoing,
            ),
            _ => {
                let fault = Fault::Ours("records of others cannot be sealed in place".into());
                (0, Err(Broken::Sink(fault)))
            }
        };
        match &end {
            Ok(Progress::Closed) => {
                self.peer_closed = true;
                self.incoming.discard(self.incoming.len());
            }
            Ok(Progress::Open) => {}
            Err(Broken::Source(fault)) => self.broken = Some(fault.clone()),
            Err(Broken::Sink(fault)) => sink.broken = Some(fault.clone()),
        }
        self.incoming.release_if_empty();
        (early.len() + moved, end)
    }
}
