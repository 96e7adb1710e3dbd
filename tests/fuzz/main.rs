//! What strangers' bytes reach, in every check: the corpus, and a fixed number of inputs that are made of it.
//!
//! The bodies, and what they promise, stand in `fuzz/bodies`; `scripts/fuzz` lets libFuzzer loose on the same ones. An
//! input that once broke a promise is kept in the corpus. One input again:
//! `SLUICE_FUZZ_INPUT=file cargo test --test fuzz NAME`.

#![allow(clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/bodies/mod.rs"]
mod bodies;

use std::path::PathBuf;

use bodies::{BODIES, Body};

/// Bytes of an input that is made here, at most.
const INPUT_BYTES_MAX: usize = 4096;

/// The splitmix64 generator.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).expect("below a usize")
    }
}

/// Says which input it was when a promise is broken.
struct Witness<'a>(&'a Body, &'a [u8]);

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(body, input) = self;
            let file = std::env::temp_dir().join(format!("sluicegate-fuzz-{}", body.name));
            let written = std::fs::write(&file, input);
            eprintln!("the input: {} ({written:?})", file.display());
        }
    }
}

fn run(body: &Body, input: &[u8]) {
    let _witness = Witness(body, input);
    (body.run)(input);
}

fn body(name: &str) -> Body {
    let found = BODIES.iter().find(|body| body.name == name);
    *found.expect("a body of this name")
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let files = std::fs::read_dir(&folder).expect("a folder of the corpus");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    let read = |file: &PathBuf| std::fs::read(file).expect("an input");
    files.iter().map(read).collect()
}

/// A number from outside, for a night.
fn asked(variable: &str, usual: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value.map_or(usual, |value| value.parse().expect("a number"))
}

/// The corpus, and `count` inputs made of it: the same in every run, unless SLUICE_FUZZ_SEED or SLUICE_FUZZ_TIMES (so many
/// times as many) ask for others.
fn replay(name: &str, count: u64) {
    let body = body(name);
    if let Ok(file) = std::env::var("SLUICE_FUZZ_INPUT") {
        return run(&body, &std::fs::read(file).expect("an input"));
    }
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "nothing to begin with");
    for input in &corpus {
        run(&body, input);
    }
    let mut chance = Chance(asked("SLUICE_FUZZ_SEED", 1));
    for _ in 0..count * asked("SLUICE_FUZZ_TIMES", 1) {
        run(&body, &made(&mut chance, &corpus));
    }
}

/// Two inputs of the corpus spliced, and changed in a few places.
fn made(chance: &mut Chance, corpus: &[Vec<u8>]) -> Vec<u8> {
    let (one, other) = (chance.below(corpus.len()), chance.below(corpus.len()));
    let (one, other) = (&corpus[one], &corpus[other]);
    let (to, from) = (chance.below(one.len() + 1), chance.below(other.len() + 1));
    let mut input = [&one[..to], &other[from..]].concat();
    for _ in 0..chance.below(6) {
        let at = chance.below(input.len() + 1);
        let byte = chance.next().to_le_bytes()[0];
        match chance.below(4) {
            0 if at < input.len() => input[at] = byte,
            1 if at < input.len() => input[at] ^= 1 << (byte % 8),
            2 if at < input.len() => drop(input.remove(at)),
            _ => input.insert(at, byte),
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

macro_rules! bodies {
    ($($name:ident $count:literal)*) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name), $count);
            }
        )*

        #[test]
        fn every_body_is_run_and_every_folder_has_one() {
            let run = [$(stringify!($name)),*];
            assert_eq!(BODIES.map(|body| body.name), run);
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
            for entry in std::fs::read_dir(folder).expect("the corpus") {
                let name = entry.expect("a folder").file_name();
                assert!(run.iter().any(|run| name == *run), "{}", name.display());
            }
        }
    };
}

bodies! {
    commands 20_000
    replies 20_000
    addresses 50_000
    dialog 5_000
    header 50_000
    records 150
    handshake 150
    config 1_000
    journal 5_000
}
