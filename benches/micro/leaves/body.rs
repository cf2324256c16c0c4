//! Bodies: removing the chunked coding from the bytes of one read, and adding it again.
//!
//! Both work in place, so each iteration begins by copying the input into the buffer, as the kernel
//! does in a read. The results include that copy.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use millstream::leaves::{BodyLength, BodyReader, BodyWriter, ChunkDecoder, HEADROOM, TAILROOM};

use crate::events::{chunked, event};

/// The bytes of one read, with the length of their payload: an event of 100 bytes; sixteen that
/// arrived together; one that fills the buffer.
fn reads() -> [(&'static str, Vec<u8>, usize); 3] {
    [
        ("1 event", chunked(&[event(100)]), 100),
        ("16 events", chunked(&vec![event(100); 16]), 1600),
        ("1 event of 16 KiB", chunked(&[event(16 * 1024)]), 16 * 1024),
    ]
}

/// Decodes chunks to their payload.
pub fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunk decode");
    for (name, wire, payload) in reads() {
        let mut buf = wire.clone();
        let mut decoder = ChunkDecoder::response();
        assert_eq!(
            decoder.decode(&mut buf).map(|piece| piece.payload),
            Ok(payload)
        );
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                buf.copy_from_slice(black_box(&wire));
                black_box(decoder.decode(&mut buf))
            });
        });
    }
    group.finish();
}

/// What a pipe does between a read and a write: it decodes the upstream's chunks, and frames the
/// payload as a chunk for the client.
pub fn pass_on(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunk decode and frame");
    for (name, wire, payload) in reads() {
        let mut scratch = vec![0; HEADROOM + wire.len() + TAILROOM];
        let mut reader = BodyReader::response(BodyLength::Chunked);
        let mut writer = BodyWriter::new(BodyLength::Chunked);
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let window = &mut scratch[HEADROOM..HEADROOM + wire.len()];
                window.copy_from_slice(black_box(&wire));
                let found = reader.read(window).map_or(0..0, |piece| piece.range());
                assert_eq!(found.len(), payload);
                let found = HEADROOM + found.start..HEADROOM + found.end;
                black_box(writer.frame(&mut scratch, found, false))
            });
        });
    }
    group.finish();
}
