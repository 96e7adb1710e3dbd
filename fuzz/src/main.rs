//! libFuzzer on one of the bodies: the one that SLUICE_FUZZ_BODY names. `scripts/fuzz` builds and runs it.

#![no_main]

#[path = "../bodies/mod.rs"]
mod bodies;

use std::sync::LazyLock;

use bodies::{BODIES, Body};

static BODY: LazyLock<Body> = LazyLock::new(|| {
    let name = std::env::var("SLUICE_FUZZ_BODY").unwrap_or_default();
    let found = BODIES.iter().find(|body| body.name == name);
    *found.unwrap_or_else(|| {
        let names = BODIES.map(|body| body.name).join(", ");
        panic!("SLUICE_FUZZ_BODY is none of {names}")
    })
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (BODY.run)(bytes));
