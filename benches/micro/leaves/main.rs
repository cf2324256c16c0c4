//! What the parts of millstream cost that know no sockets, each by itself: nanoseconds a head, a
//! read of events, a deadline, a request that is routed.
//!
//! What is measured is what the proxy does once for each request, for each read or for each event,
//! with inputs of the sizes that clients and upstreams send. No allocation is measured that the
//! proxy does not make either: buffers are kept from one turn to the next.

mod body;
mod events;
mod heads;
mod route;
mod scan;
mod wheel;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

/// Two minutes for all of them.
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
