//! What measuring costs: a count, a time, and a copy for another core.
//!
//! `cargo bench --bench recorder`

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use sluicegate::metrics::{Counter, Phase, Recorder};

fn recorder(criterion: &mut Criterion) {
    let mut recorder = Recorder::new();
    let counter = Counter::ALL[0];
    let phase = Phase::ALL[0];
    criterion.bench_function("count", |bencher| {
        bencher.iter(|| recorder.count(black_box(counter)));
    });
    let mut micros = 0;
    criterion.bench_function("observe", |bencher| {
        bencher.iter(|| {
            micros = (micros + 7919) % 1_000_000;
            recorder.observe(black_box(phase), Duration::from_micros(micros));
        });
    });
    criterion.bench_function("snapshot", |bencher| {
        bencher.iter(|| black_box(recorder.snapshot()));
    });
}

criterion_group!(benches, recorder);
criterion_main!(benches);
