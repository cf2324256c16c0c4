//! The timer wheel: postponing a deadline, as every event does, and deadlines that pass.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use millstream::leaves::{Tick, Wheel};

const OWNERS: u32 = 10_000;

/// Deadlines of ten minutes, for streams that were opened within ten seconds.
fn filled() -> Wheel {
    let mut wheel = Wheel::new(Tick::ZERO);
    wheel.reserve(OWNERS as usize);
    fill(&mut wheel);
    wheel
}

fn fill(wheel: &mut Wheel) {
    for owner in 0..OWNERS {
        wheel.at_most(owner, Tick::from_millis(600_000 + u64::from(owner)));
    }
}

/// Changes a deadline among ten thousand: to a later time, which the wheel ignores until the old
/// one passes; and to an earlier one, for which it must move the entry.
pub fn touch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wheel touch");
    let mut wheel = filled();
    let mut owner = 0;
    group.bench_function("later", |bencher| {
        bencher.iter(|| {
            owner = (owner + 1) % OWNERS;
            wheel.at_most(black_box(owner), Tick::from_millis(700_000));
        });
    });
    group.bench_function("sooner, and back", |bencher| {
        bencher.iter(|| {
            owner = (owner + 1) % OWNERS;
            wheel.at_most(black_box(owner), Tick::from_millis(15_000));
            wheel.disarm(owner);
            wheel.at_most(owner, Tick::from_millis(600_000 + u64::from(owner)));
        });
    });
    group.bench_function("next", |bencher| {
        bencher.iter(|| black_box(black_box(&wheel).next()))
    });
    group.finish();
}

/// Ten thousand deadlines, set and passed.
pub fn expire(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wheel");
    group.throughput(Throughput::Elements(u64::from(OWNERS)));
    group.bench_function("insert 10,000", |bencher| {
        let empty = || {
            let mut wheel = Wheel::new(Tick::ZERO);
            wheel.reserve(OWNERS as usize);
            wheel
        };
        bencher.iter_batched_ref(empty, fill, BatchSize::LargeInput);
    });
    group.bench_function("expire 10,000", |bencher| {
        bencher.iter_batched_ref(
            filled,
            |wheel| {
                wheel.expire(Tick::from_millis(700_000), usize::MAX, |owner| {
                    black_box(owner);
                })
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}
