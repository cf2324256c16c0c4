//! Agreement: whatever is accepted is one message, and the same one, for every parser in front of
//! us and behind us. If two parsers disagree, requests can be smuggled.

use super::lenient::{Habits, Reading};
use super::strict::{self, Framing};
use super::{LIMITS, dice};
use crate::cors::{Grant, Policy};
use crate::http::changes::Changes;
use crate::http::client_cert::Shown;
use crate::http::credentials::Carriers;
use crate::http::forward::{ADDED_MAX, Forward, Handover, Respond, outbound, write_response};
use crate::http::framing::BodyLength;
use crate::http::head::{
    FieldStore, HeadLimits, HeadSearch, RequestHead, ResponseHead, Version, unfold,
};
use crate::testing::rng::Rng;
use std::borrow::Cow;

/// Bytes that may be a head. If we accept it, a strict parser and the lenient ones parse it as we
/// do, including where the next message begins, and they parse what we forward as intended.
pub fn agreement(bytes: &[u8]) {
    let mut dice = dice(bytes);
    if let Ok(Some(end)) = HeadSearch::request().find(bytes, &LIMITS) {
        request(&bytes[..end], &mut dice);
    }
    if let Ok(Some(end)) = HeadSearch::response().find(bytes, &LIMITS) {
        let mut head = bytes[..end].to_vec();
        let len = unfold(&mut head);
        for request_was_head in [false, true] {
            response(&head[..len], request_was_head, &mut dice);
        }
    }
}

fn request(bytes: &[u8], dice: &mut Rng) {
    let mut store = FieldStore::new();
    let Ok(head) = RequestHead::of_wire(bytes, &mut store, &LIMITS) else {
        return;
    };
    let mut target = Vec::new();
    if head.target.resolve_path(&mut target).is_err() || head.max_forwards == Some(0) {
        return;
    }
    let carriers = carriers();
    let query = head.target.query.and_then(|query| carriers.query_without(query));
    if let Some(query) = query.as_deref() {
        target.extend_from_slice(&[b"?", query.as_bytes()].concat());
    }
    let preserved = head.authority.filter(|_| dice.chance(50));
    let host = preserved.unwrap_or("up.example:81");
    let framing = framing_of(head.length);
    let sent = bytes.trim_ascii_start();
    let sent_target = sent.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let sent_host = head.fields.get("Host");
    let want = Want { words: [head.method.as_bytes(), sent_target], host: sent_host, framing };
    want.check_request(sent);

    let changes = changes();
    let bearer = dice.chance(50).then_some(&b"key"[..]);
    let to = Forward {
        path_and_query: &target,
        host: preserved,
        client: dice.chance(80).then_some([192, 0, 2, 7].into()),
        peer_trusted: dice.chance(50),
        proto: "http",
        stripped: if dice.chance(50) { "/a" } else { "" },
        length: head.length,
        uncoded: head.accepts_event_stream,
        upgrade: dice.chance(50),
        close: dice.chance(50),
        changes: dice.chance(30).then_some(&changes),
        last_event_id: dice.chance(30).then_some(b"7"),
        key: dice.chance(50).then_some(Handover { carriers: &carriers, bearer }),
        shown: dice.chance(20).then_some(&Shown::Nothing),
    };
    let mut out = Vec::new();
    let outbound = outbound(&mut Vec::new(), &head, &to);
    outbound.write(&mut out, host, None);
    let host = Some(host.as_bytes());
    let want = Want { words: [head.method.as_bytes(), &target], host, framing };
    want.check_request(&out);
    if to.key.is_some() && carriers.find(head.fields, head.target.query).is_ok() {
        check_key(&out, &carriers, bearer);
    }
}

/// A search for a key in what goes upstream finds the one intended for it, or none.
fn check_key(out: &[u8], carriers: &Carriers, bearer: Option<&[u8]>) {
    let mut store = FieldStore::new();
    let limits = HeadLimits { head_bytes: 1 << 16, head_fields: 256, target_bytes: 1 << 16 };
    let head = RequestHead::of_wire(out, &mut store, &limits).expect("a head that we wrote");
    let found = carriers.find(head.fields, head.target.query);
    assert_eq!(found.map(|key| key.map(Cow::into_owned)), Ok(bearer.map(<[u8]>::to_vec)));
}

/// Where keys may be.
fn carriers() -> Carriers {
    let headers = ["Authorization", "X-Key"].map(str::to_owned).to_vec();
    let [query, cookie] = ["a", "a"].map(str::to_owned);
    Carriers { headers, query, cookie }
}

/// Changes that an operator may configure.
fn changes() -> Changes {
    let set = vec![("X".to_owned(), "set".to_owned())];
    Changes { set, remove: vec!["Cookie".to_owned()] }
}

fn policy() -> Policy {
    Policy {
        origins: vec!["https://app.example".to_owned()],
        any: false,
        methods: "GET".to_owned(),
        headers: String::new(),
        expose: Some("X".to_owned()),
        credentials: true,
        max_age: String::new(),
    }
}

fn response(bytes: &[u8], request_was_head: bool, dice: &mut Rng) {
    let mut store = FieldStore::new();
    let Ok(head) = ResponseHead::of_wire(bytes, &mut store, &LIMITS, request_was_head) else {
        return;
    };
    let changes = changes();
    let old = dice.chance(30);
    let length = match head.length {
        BodyLength::Chunked | BodyLength::UntilClose if old => BodyLength::UntilClose,
        BodyLength::Chunked | BodyLength::UntilClose => BodyLength::Chunked,
        length @ (BodyLength::Empty | BodyLength::Length(_)) => length,
    };
    let policy = policy();
    let ours = policy.origin_fields(Grant::Origin(0));
    let replaced = [("Location", b"/a".to_vec())];
    let to = Respond {
        length,
        persistent: length != BodyLength::UntilClose && dice.chance(50),
        client_version: if old { Version::Http10 } else { Version::Http11 },
        upgrade: head.status == 101,
        protocols: &[],
        anti_buffering: false,
        changes: dice.chance(30).then_some(&changes),
        cors: dice.chance(30).then_some(&ours),
        replaced: &replaced,
        date: None,
    };
    let mut out = Vec::new();
    write_response(&mut out, &head, &to);
    assert!(out.len() <= bytes.len() * 3 / 2 + changes.bytes() + ADDED_MAX, "no room was left");
    let read = strict::Head::read(&out).expect("strictly HTTP").expect("complete");
    let status = head.status.to_string();
    assert_eq!(read.start, [b"HTTP/1.1", status.as_bytes(), head.reason]);
    assert_eq!(read.len, out.len());
    let framing = framing_of(length);
    assert_eq!(read.of_response(request_was_head), Ok(framing));
    assert_eq!(read.lists("connection", "close"), !to.persistent && head.status >= 200);
    for habits in Habits::all(false) {
        let reading = Reading::of(&out, habits);
        let words: Vec<&[u8]> = reading.start.iter().take(2).map(Vec::as_slice).collect();
        assert_eq!(words, [b"HTTP/1.1", status.as_bytes()], "{habits:?}");
        assert_eq!(reading.len, out.len(), "{habits:?}");
        let described = head.described_length.map(Framing::Length);
        let silent = described.unwrap_or(Framing::UntilClose);
        let want = if framing == Framing::Nothing { silent } else { framing };
        assert_eq!(reading.framing, want, "{habits:?}");
    }
}

/// What every parser must see in a request.
struct Want<'a> {
    /// Method and target.
    words: [&'a [u8]; 2],
    host: Option<&'a [u8]>,
    framing: Framing,
}

impl Want<'_> {
    fn check_request(&self, bytes: &[u8]) {
        let read = strict::Head::read(bytes).expect("strictly HTTP").expect("complete");
        assert_eq!(read.start[..2], self.words);
        assert_eq!(read.len, bytes.len());
        assert_eq!(read.of_request(), Ok(self.framing));
        let hosts = read.values("host");
        assert_eq!(hosts, Vec::from_iter(self.host), "one host");
        for habits in Habits::all(true) {
            let reading = Reading::of(bytes, habits);
            let words: Vec<&[u8]> = reading.start.iter().map(Vec::as_slice).collect();
            assert_eq!(words, read.start, "{habits:?}");
            assert_eq!(reading.len, bytes.len(), "{habits:?}");
            let host = self.host.map(<[u8]>::to_ascii_lowercase);
            assert_eq!(reading.host, host, "{habits:?}");
            let silent = self.framing == Framing::Nothing;
            let want = if silent { Framing::UntilClose } else { self.framing };
            assert_eq!(reading.framing, want, "{habits:?}");
        }
    }
}

fn framing_of(length: BodyLength) -> Framing {
    match length {
        BodyLength::Empty => Framing::Nothing,
        BodyLength::Length(bytes) => Framing::Length(bytes),
        BodyLength::Chunked => Framing::Chunked,
        BodyLength::UntilClose => Framing::UntilClose,
    }
}
