//! A task that could go on, and lets everybody go first for whom the ring has news.

use std::task::Context;

/// The turns of a task that always has something to do: between two of them it asks to be woken behind the others.
///
/// A task that simply wakes itself keeps its core from the ring, since tasks run for as long as there are any. Of those that
/// ask here one is woken in each pass through the reactor, behind whoever the ring has told of: so an event waits for one
/// turn of one of them, however many they are.
#[derive(Debug, Default)]
pub struct Courtesy(Option<u64>);

impl Courtesy {
    /// Wakes the task when its turn has come; not before it has returned. Asked again meanwhile, it keeps its place, and
    /// the waker that was given last is woken.
    pub fn ask(&mut self, cx: &mut Context<'_>) {
        let reactor = crate::executor().reactor();
        self.0 = Some(reactor.let_others_first(self.0, cx.waker()));
    }

    /// Whether the others still have their turn.
    pub fn is_asked(&self) -> bool {
        self.0
            .is_some_and(|number| crate::executor().reactor().lets_others_first(number))
    }
}
