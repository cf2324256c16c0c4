//! The event scan, which sees every byte of every event stream.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use millstream::leaves::Scanner;

use crate::events::{event, event_with_id};

/// Finds the boundaries of events in the bytes of one read.
pub fn scan(criterion: &mut Criterion) {
    let numbered: Vec<u8> = (0..16)
        .flat_map(|number| event_with_id(number, 100))
        .collect();
    let inputs = [
        ("1 event", event(100), Scanner::new()),
        ("16 events", event(100).repeat(16), Scanner::new()),
        ("16 events with ids", numbered.clone(), Scanner::new()),
        ("16 events with ids, kept", numbered, Scanner::with_ids()),
        ("16 events of 1 KiB", event(1024).repeat(16), Scanner::new()),
        ("1 event of 16 KiB", event(16 * 1024), Scanner::new()),
    ];
    let mut group = criterion.benchmark_group("scan");
    for (name, bytes, mut scanner) in inputs {
        assert_eq!(scanner.scan(&bytes), Some(bytes.len()), "{name}");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(scanner.scan(black_box(&bytes))));
        });
    }
    group.finish();
}
