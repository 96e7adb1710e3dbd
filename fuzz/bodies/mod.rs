//! What strangers' bytes reach, as functions of those bytes that panic where a promise is broken.
//!
//! They are run in two ways: `tests/fuzz` replays the corpus and a fixed number of mutations of it in every check, and
//! `scripts/fuzz` lets libFuzzer look for inputs that go where none has gone before. They know the gate by what it makes
//! public, and where they need a peer it is one of their own.

mod config;
mod control;
mod dialog;
mod handshake;
mod header;
mod journal;
mod peer;
mod records;
mod tape;

/// One thing to be tried with bytes.
#[derive(Clone, Copy)]
pub(crate) struct Body {
    /// Its name, and that of its folder in the corpus.
    pub(crate) name: &'static str,
    /// Tries it.
    pub(crate) run: fn(&[u8]),
}

/// All of them.
pub(crate) const BODIES: [Body; 9] = [
    body("commands", control::commands),
    body("replies", control::replies),
    body("addresses", control::addresses),
    body("dialog", dialog::dialog),
    body("header", header::header),
    body("records", records::records),
    body("handshake", handshake::handshake),
    body("config", config::config),
    body("journal", journal::journal),
];

const fn body(name: &'static str, run: fn(&[u8])) -> Body {
    Body { name, run }
}
