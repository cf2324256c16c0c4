//! Heads: parsing those of clients and upstreams, and writing those that are forwarded.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, Throughput};
use millstream::leaves::forward::{self, Forward, Respond};
use millstream::leaves::head::{
    FieldStore, HeadError, HeadLimits, HeadSearch, RequestHead, ResponseHead, Version,
};
use millstream::leaves::{BodyLength, FIELDS_MAX};

/// The request of a program.
const SMALL_REQUEST: &[u8] = b"GET /events HTTP/1.1\r\n\
    Host: api.example.com\r\n\
    Accept: text/event-stream\r\n\r\n";

/// The request of a browser's EventSource.
const BROWSER_REQUEST: &[u8] = b"GET /api/v1/notifications/stream?channel=42 HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    Connection: keep-alive\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/131.0.0.0 Safari/537.36\r\n\
    Accept: text/event-stream\r\n\
    sec-ch-ua: \"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    Origin: https://www.example.com\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Sec-Fetch-Dest: empty\r\n\
    Referer: https://www.example.com/app/inbox/unread\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=4f1c2b7a9d3e4c5f8a6b7c8d9e0f1a2b; theme=dark; consent=yes; _ga=GA1.2.1234\r\n\
    Last-Event-ID: 0000012345\r\n\r\n";

/// The shortest possible. It has no Date, so one is added.
const SMALL_RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: text/event-stream\r\n\
    Transfer-Encoding: chunked\r\n\r\n";

/// A response with the usual fields of a framework.
const FRAMEWORK_RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Date: Tue, 24 Nov 2026 22:08:14 GMT\r\n\
    Server: gunicorn\r\n\
    Content-Type: text/event-stream; charset=utf-8\r\n\
    Transfer-Encoding: chunked\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: no-cache, no-transform\r\n\
    Vary: Origin, Accept-Encoding\r\n\
    Access-Control-Allow-Origin: https://www.example.com\r\n\
    Access-Control-Allow-Credentials: true\r\n\
    Strict-Transport-Security: max-age=63072000; includeSubDomains; preload\r\n\
    X-Content-Type-Options: nosniff\r\n\
    X-Request-Id: 7b0e8a52-6f0e-4f7e-9a53-0d3cbb1f6a11\r\n\
    Set-Cookie: session=4f1c2b7a9d3e4c5f8a6b7c8d9e0f1a2b; Path=/; Secure; HttpOnly\r\n\r\n";

const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 16 * 1024,
    head_fields: FIELDS_MAX,
    target_bytes: 8 * 1024,
};

const REQUESTS: [(&str, &[u8]); 2] = [
    ("small request", SMALL_REQUEST),
    ("browser's request", BROWSER_REQUEST),
];
const RESPONSES: [(&str, &[u8]); 2] = [
    ("small response", SMALL_RESPONSE),
    ("framework's response", FRAMEWORK_RESPONSE),
];

fn read_request<'h, 'b>(
    bytes: &'b [u8],
    store: &'h mut FieldStore<'b>,
) -> Result<RequestHead<'h, 'b>, HeadError> {
    HeadSearch::request().find(bytes, &LIMITS)?;
    RequestHead::parse(bytes, store, &LIMITS)
}

fn read_response<'h, 'b>(
    bytes: &'b [u8],
    store: &'h mut FieldStore<'b>,
) -> Result<ResponseHead<'h, 'b>, HeadError> {
    HeadSearch::response().find(bytes, &LIMITS)?;
    ResponseHead::parse(bytes, store, &LIMITS, false)
}

/// Finds the end of a head and parses it.
pub fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head read");
    for (name, bytes) in REQUESTS {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut store = FieldStore::new();
                black_box(read_request(black_box(bytes), &mut store).is_ok())
            });
        });
    }
    for (name, bytes) in RESPONSES {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut store = FieldStore::new();
                black_box(read_response(black_box(bytes), &mut store).is_ok())
            });
        });
    }
    group.finish();
}

/// Writes the head to be forwarded for a parsed one.
pub fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head write");
    let mut out = Vec::with_capacity(LIMITS.head_bytes);
    let forward = Forward {
        path_and_query: b"/stream?channel=42",
        host: None,
        client: Some(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7))),
        peer_trusted: false,
        proto: "http",
        stripped: "",
        length: BodyLength::Empty,
        uncoded: false,
        upgrade: false,
        close: false,
        changes: None,
        last_event_id: None,
        key: None,
        shown: None,
    };
    for (name, bytes) in REQUESTS {
        let mut store = FieldStore::new();
        let head =
            read_request(bytes, &mut store).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let head = forward::outbound(&mut out, black_box(&head), black_box(&forward));
                out.clear();
                head.write(&mut out, black_box("127.0.0.1:8080"), None);
            });
        });
    }
    let respond = Respond {
        length: BodyLength::Chunked,
        persistent: true,
        client_version: Version::Http11,
        upgrade: false,
        protocols: &[],
        date: Some("Thu, 18 Nov 2026 09:20:00 GMT"),
        anti_buffering: true,
        changes: None,
        cors: None,
        replaced: &[],
    };
    for (name, bytes) in RESPONSES {
        let mut store = FieldStore::new();
        let head =
            read_response(bytes, &mut store).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                forward::write_response(&mut out, black_box(&head), black_box(&respond));
            });
        });
    }
    group.finish();
}
