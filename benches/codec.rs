//! What the words cost: cutting lines, reading commands and replies, answering PASV.
//!
//! `cargo bench --bench codec`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sluicegate::ftp::{Command, Cut, LineReader, ReplyReader, Telnet, pasv_reply, read_pasv_reply};

/// What a client says for one download.
const COMMANDS: &[u8] =
    b"TYPE I\r\nPASV\r\nSIZE pub/report.csv\r\nREST 0\r\nRETR pub/report.csv\r\n";

/// What a backend replies to it, with a multi-line reply among it.
const REPLIES: &[u8] = b"200 Type set\r\n227 Entering Passive Mode (10,0,0,7,195,80)\r\n213 0\r\n\
211-Features:\r\n SIZE\r\n MDTM\r\n211 End\r\n350 Restart\r\n150 Opening\r\n226 Done\r\n";

fn lines(bytes: &[u8], telnet: Telnet, mut each: impl FnMut(Vec<u8>)) {
    let mut reader = LineReader::new(4096, telnet);
    reader.push(bytes);
    while let Cut::Line(line) = reader.next_line() {
        each(line);
    }
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Bytes(COMMANDS.len() as u64));
    group.bench_function("five commands", |bencher| {
        bencher.iter(|| {
            lines(black_box(COMMANDS), Telnet::Strip, |line| {
                black_box(Command::read(&line)).ok();
            });
        });
    });
    group.throughput(Throughput::Bytes(REPLIES.len() as u64));
    group.bench_function("seven replies", |bencher| {
        bencher.iter(|| {
            let mut reader = ReplyReader::default();
            lines(black_box(REPLIES), Telnet::Keep, |line| {
                black_box(reader.read(line)).ok();
            });
        });
    });
    let address = "10.0.0.7:50000".parse().expect("an address");
    group.throughput(Throughput::Elements(1));
    group.bench_function("PASV reply, written and read", |bencher| {
        bencher.iter(|| read_pasv_reply(black_box(&pasv_reply(black_box(address)).wire())));
    });
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
