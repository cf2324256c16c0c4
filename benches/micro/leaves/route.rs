//! Routing a host and a path to an api, as for every request.

use std::hint::black_box;

use criterion::Criterion;
use millstream::leaves::{RouteSpec, Router};

/// Finds the api that is compared last, among one and among a hundred.
pub fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for (name, apis) in [("1 api", 1), ("100 apis", 100)] {
        // All have the same length, so they are compared in this order.
        let paths: Vec<_> = (0..apis)
            .map(|number| format!("/api/v1/tenant-{number:03}"))
            .collect();
        let spec = |path| RouteSpec {
            hosts: &[],
            listen_path: path,
            active: true,
            guarded: false,
            lists: [None; 3],
        };
        let specs: Vec<_> = paths.iter().map(|path| spec(path)).collect();
        let router = Router::new(&specs, &[]);
        let path = format!("{}/events", paths[apis - 1]);
        assert_eq!(
            router
                .find(Some("api.example.com"), path.as_bytes())
                .map(usize::from),
            Some(apis - 1)
        );
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (host, path) = black_box((Some("api.example.com"), path.as_bytes()));
                black_box(router.find(host, path))
            });
        });
    }
    group.finish();
}
