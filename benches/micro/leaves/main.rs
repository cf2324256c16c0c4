//! The costs of those parts of millstream that know no sockets, each by itself: nanoseconds for a
//! head, a read of events, a deadline, or routing a request.
//!
//! Each benchmark does what the proxy does once for each request, read or event, with inputs of
//! typical sizes. Allocations are measured only where the proxy makes them, too: buffers are kept
//! from one turn to the next.

mod body;
mod events;
mod heads;
mod route;
mod scan;
mod wheel;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

/// All of them together take two minutes.
fn settings() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
}

criterion_group!(
    name = leaves;
    config = settings();
    targets = heads::read, heads::write, body::decode, body::pass_on, scan::scan, wheel::touch,
        wheel::expire, route::find
);
criterion_main!(leaves);
