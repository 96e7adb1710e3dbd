//! What the record layer costs: a handshake with both halves, and sealing and opening of bulk and of one line.
//!
//! `cargo bench --bench records`

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion, version};
use sluicegate::rig::certificates::Authority;
use sluicegate::tls::{ClientResume, Records, ServerResume};

const VERSIONS: [(&str, &SupportedProtocolVersion); 2] =
    [("1.2", &version::TLS12), ("1.3", &version::TLS13)];

fn configs(version: &'static SupportedProtocolVersion) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let authority = Authority::new().expect("an authority");
    let identity = authority.issue(&["localhost"], &[]).expect("a certificate");
    let server = identity.server_config(&[version]).expect("a server");
    let client = authority.client_config(&[version]).expect("a client");
    (server, client)
}

/// One connection, from nothing to its last ticket.
fn shake(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> (Records, Records) {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut server = Records::accept(server).expect("a server");
    let mut client = Records::connect(client, name).expect("a client");
    let mut scrap = Vec::new();
    loop {
        client.process(&mut scrap).expect("the server's bytes");
        let to_server = carry(&mut client, &mut server);
        server.process(&mut scrap).expect("the client's bytes");
        if to_server + carry(&mut server, &mut client) == 0 {
            return (server, client);
        }
    }
}

fn carry(from: &mut Records, to: &mut Records) -> usize {
    let len = from.outgoing().len();
    to.feed(from.outgoing());
    from.advance(len);
    len
}

fn handshakes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake, both halves");
    for (name, version) in VERSIONS {
        let (server, client) = configs(version);
        let session = || (ServerResume::new(&server), ClientResume::new(&client));
        group.bench_function(BenchmarkId::new("full", name), |bencher| {
            bencher.iter_batched(
                session,
                |(server, client)| shake(server.control(), client.control()),
                criterion::BatchSize::SmallInput,
            );
        });
        group.bench_function(BenchmarkId::new("resumed", name), |bencher| {
            let (server, client) = session();
            shake(server.control(), client.control());
            bencher.iter(|| {
                let (server, client) = shake(server.download(), client.data());
                let resumed = client.facts().is_some_and(|facts| facts.resumed);
                assert!(resumed, "a full handshake would be another measurement");
                (server, client)
            });
        });
    }
    group.finish();
}

fn bulk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal and open");
    for (name, version) in VERSIONS {
        let (server, client) = configs(version);
        for len in [64, 256 * 1024] {
            let (server, client) = (ServerResume::new(&server), ClientResume::new(&client));
            let (mut server, mut client) = shake(server.control(), client.control());
            let plain = vec![0x5A; len];
            let mut opened = Vec::new();
            group.throughput(Throughput::Bytes(len as u64));
            group.bench_function(BenchmarkId::new(name, len), |bencher| {
                bencher.iter(|| {
                    server.seal(black_box(&plain)).expect("records");
                    carry(&mut server, &mut client);
                    opened.clear();
                    client.process(&mut opened).expect("the same bytes");
                    assert_eq!(opened.len(), len);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, handshakes, bulk);
criterion_main!(benches);
