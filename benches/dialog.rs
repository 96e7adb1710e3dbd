//! What a decision costs: one empty RETR through the pure dialog, all the inputs that it takes.
//!
//! `cargo bench --bench dialog`

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use sluicegate::config;
use sluicegate::dialog::{DataNews, Dialog, End, FromBackend, FromClient, Input, Side};

fn client(line: &str) -> Input {
    Input::Client(FromClient::Line(line.as_bytes().to_vec()))
}

fn backend(line: &str) -> Input {
    Input::Backend(FromBackend::Line(line.as_bytes().to_vec()))
}

/// Up to a client that is logged in and whose data connections are private, on both legs.
fn login() -> Vec<Input> {
    let mut inputs = vec![client("AUTH TLS"), Input::Client(FromClient::Secured)];
    inputs.extend(["PBSZ 0", "PROT P", "USER demo"].map(client));
    inputs.push(Input::Backend(FromBackend::Reached));
    inputs.extend(["220 Ready", "234 Go on"].map(backend));
    inputs.push(Input::Backend(FromBackend::Secured));
    inputs.extend([
        backend("331 Password"),
        client("PASS demo"),
        backend("230 In"),
    ]);
    inputs
}

/// EPSV and RETR of an empty file, as news come in from both sides.
fn empty_retr(backend_is_private: bool) -> Vec<Input> {
    let mut inputs = vec![client("EPSV")];
    inputs.push(Input::Passive(Side::Client, "10.0.0.1:50000".parse().ok()));
    if !backend_is_private {
        inputs.extend(["200 PBSZ=0", "200 Private"].map(backend));
    }
    inputs.extend([
        backend("229 Extended Passive Mode (|||50001|)"),
        client("RETR empty"),
        Input::Data(DataNews::Connected(Side::Backend)),
        backend("150 Opening"),
        Input::Data(DataNews::Connected(Side::Client)),
        Input::Data(DataNews::Up(Side::Backend)),
        Input::Data(DataNews::Up(Side::Client)),
        Input::Data(DataNews::Flowed {
            bytes: 0,
            side: Side::Backend,
            end: End::Clean,
        }),
        backend("226 Done"),
        Input::Data(DataNews::Ended(Side::Client, End::Clean)),
    ]);
    inputs
}

#[allow(
    clippy::disallowed_methods,
    reason = "an Instant cannot be made otherwise, and the dialog counts from it"
)]
fn decisions(criterion: &mut Criterion) {
    let text = include_str!("../config/minimal.toml");
    let config = config::read(text).expect("the shipped configuration is good");
    let rules = Arc::new(config.rules(0));
    let now = Instant::now();
    let peer = "10.0.0.9".parse().expect("an address");
    let (mut dialog, _greeting) = Dialog::open(rules, peer, now);
    for input in login().into_iter().chain(empty_retr(false)) {
        black_box(dialog.step(now, input));
    }
    assert!(dialog.ending().is_none(), "the session goes on");
    criterion.bench_function("dialog/one empty RETR", |bencher| {
        bencher.iter(|| {
            let mut replies = 0;
            for input in empty_retr(true) {
                replies += dialog.step(now, black_box(input)).len();
            }
            // Less would mean that it refused, and measured nothing.
            assert!(replies >= 10, "{replies} actions");
        });
    });
}

criterion_group!(benches, decisions);
criterion_main!(benches);
