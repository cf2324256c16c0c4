//! `/streams`: a page of the open event streams and tunnels, and the shared upstream streams. Each
//! event loop walks its sessions once and its shared streams once, and stores only as many as fit
//! on the page.

use super::groups::Groups;
use crate::access::split;
use crate::digits::Digits;
use crate::json::Json;
use crate::time::Tick;
use std::collections::BinaryHeap;
use std::time::Duration;

/// The default number of streams in a response.
const LIMIT: usize = 50;

/// Maximum number of streams in a response.
const LIMIT_MAX: usize = 1000;

/// The order in which streams are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Longest open first.
    Oldest,
    /// Most recently opened first.
    Newest,
    /// Those with the most bytes pending for their clients first, then those idle for longest.
    Slowest,
}

/// A query for streams: `limit=50&order=oldest&after=ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Maximum number of streams to return.
    pub limit: usize,
    /// The order of the streams.
    pub order: Order,
    /// The stream after which the page starts.
    pub after: Option<After>,
    /// When the query was asked. It is the same for all event loops, which read the clock at
    /// different times, because ranks at different times cannot be compared. None for the present
    /// time.
    pub asked_at: Option<Tick>,
}

/// The stream after which a page starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The stream with this id. If it has ended, the page starts after the rank that it had at an
    /// earlier time, if that is known.
    Id(u64, Option<(Rank, Tick)>),
    /// A stream that had this rank at that time.
    Rank(Rank, Tick),
}

impl Query {
    /// True exactly when the order needs more than the id of the stream after which the page
    /// starts.
    pub fn needs_rank(&self) -> bool {
        self.order == Order::Slowest && matches!(self.after, Some(After::Id(..)))
    }

    /// The id of the stream after which the page starts, if it is given by its id.
    pub fn after_id(&self) -> Option<u64> {
        match self.after? {
            After::Id(id, _) => Some(id),
            After::Rank(..) => None,
        }
    }

    /// The same query, but the page starts after this rank at time `at`. If there is none, it
    /// starts after the rank that the stream had earlier, or with the first stream if that is
    /// unknown.
    #[must_use]
    pub fn behind(self, rank: Option<Rank>, at: Tick) -> Query {
        let known = match self.after {
            Some(After::Id(_, known)) => known,
            Some(After::Rank(..)) | None => None,
        };
        let found = rank.map(|rank| (rank, at)).or(known);
        Query { after: found.map(|(rank, at)| After::Rank(rank, at)), ..self }
    }

    /// The time for which streams are ranked. Ranks change while streams are idle.
    pub fn ranked_at(&self, now: Tick) -> Tick {
        match self.after {
            Some(After::Rank(_, at)) => at,
            Some(After::Id(..)) | None => self.asked_at.unwrap_or(now),
        }
    }

    /// The rank after which the page starts. None if it starts with the first stream.
    pub fn after_rank(&self) -> Option<Rank> {
        match self.after? {
            After::Rank(rank, _) => Some(rank),
            // If the order is by id, the place of a stream is known even if it has ended.
            After::Id(id, _) => Some(self.order.rank(id, 0, 0)),
        }
    }

    /// Parses the query string. Unknown names are ignored.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Query, &'static str> {
        let (limit, order) = (LIMIT, Order::Oldest);
        let mut query = Query { limit, order, after: None, asked_at: None };
        for part in text.split('&') {
            match part.split_once('=').unwrap_or((part, "")) {
                ("limit", n) => {
                    let n = n.parse().ok().filter(|n| (1..=LIMIT_MAX).contains(n));
                    query.limit = n.ok_or("The limit is not a number from 1 to 1000.")?;
                }
                ("order", "oldest") => query.order = Order::Oldest,
                ("order", "newest") => query.order = Order::Newest,
                ("order", "slowest") => query.order = Order::Slowest,
                ("order", _) => return Err("The order is not oldest, newest or slowest."),
                ("after", "") => query.after = None,
                ("after", after) => {
                    let place = place(after).ok_or("The value of after is not an id.")?;
                    query.after = Some(place);
                }
                _ => {}
            }
        }
        Ok(query)
    }
}

/// Parses an id as displayed: hexadecimal digits without leading zeros.
pub fn id(text: &str) -> Option<u64> {
    let plain = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if text.starts_with('0') || !text.bytes().all(plain) {
        return None;
    }
    u64::from_str_radix(text, 16).ok()
}

/// Parses the place after which a page starts: an id, or the text of [`place_of`].
fn place(text: &str) -> Option<After> {
    let mut numbers = text.split('-').map(|part| if part == "0" { Some(0) } else { id(part) });
    let id = numbers.next()?.filter(|id| *id > 0)?;
    match numbers.collect::<Option<Vec<u64>>>()?[..] {
        [] => Some(After::Id(id, None)),
        [pending, idle_ms, at] => {
            let rank = Order::Slowest.rank(id, pending, idle_ms);
            Some(After::Id(id, Some((rank, Tick::from_millis(at)))))
        }
        _ => None,
    }
}

/// The place of a stream that had this rank among the slowest at that time, as text. The next page
/// can start there even if the stream has ended.
fn place_of(id: u64, rank: Rank, at: Tick) -> String {
    let [pending, idle_ms, _] = rank.map(|n| u64::MAX - n);
    format!("{id:x}-{pending:x}-{idle_ms:x}-{:x}", at.as_millis())
}

/// The rank of a stream in an order. Smaller ranks come first.
pub type Rank = [u64; 3];

impl Order {
    /// The rank of a stream with this id, this many bytes pending, and idle for this long.
    pub const fn rank(self, id: u64, pending: u64, idle_ms: u64) -> Rank {
        match self {
            Order::Oldest => [id, 0, 0],
            Order::Newest => [u64::MAX - id, 0, 0],
            Order::Slowest => [u64::MAX - pending, u64::MAX - idle_ms, id],
        }
    }
}

/// Selects the first few of many items without storing them all.
#[derive(Debug)]
pub struct First<T: Ord> {
    limit: usize,
    after: Option<Rank>,
    heap: BinaryHeap<(Rank, T)>,
    /// The number of items offered. `behind` counts those that belong on this page or a later one.
    total: usize,
    behind: usize,
}

impl<T: Ord> First<T> {
    /// Selects the first `limit` items after a rank.
    pub fn new(limit: usize, after: Option<Rank>) -> First<T> {
        First { limit, after, heap: BinaryHeap::with_capacity(limit + 1), total: 0, behind: 0 }
    }

    /// Offers one item.
    pub fn offer(&mut self, rank: Rank, what: T) {
        self.total += 1;
        if self.after.is_some_and(|after| rank <= after) {
            return;
        }
        self.behind += 1;
        let full = self.heap.len() >= self.limit;
        if full && self.heap.peek().is_some_and(|(last, _)| *last < rank) {
            return;
        }
        self.heap.push((rank, what));
        if full {
            self.heap.pop();
        }
    }

    /// Returns the selected items in order, the number of items offered, and whether more follow.
    pub fn finish(self) -> (Vec<(Rank, T)>, usize, bool) {
        let more = self.behind > self.heap.len();
        (self.heap.into_sorted_vec(), self.total, more)
    }
}

/// The state of a stream. millstream(1) explains the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// Events are passing.
    Flowing,
    /// No event has passed for a while, and nothing is wrong.
    Quiet,
    /// It was opened before the upstream answered, and the upstream still has not.
    Early,
    /// It was opened while it had no upstream, and it still has none.
    Held,
    /// It has lost its upstream, and is being resumed.
    Resuming,
    /// Bytes are pending for its client, which has taken none for a while.
    Stuck,
    /// It is a tunnel.
    Tunnel,
}

// The list is complete: its last index is that of the last variant.
const _: () = assert!(StreamState::ALL.len() == StreamState::Tunnel as usize + 1);

impl StreamState {
    /// All states.
    pub const ALL: [StreamState; 7] = [
        StreamState::Flowing,
        StreamState::Quiet,
        StreamState::Early,
        StreamState::Held,
        StreamState::Resuming,
        StreamState::Stuck,
        StreamState::Tunnel,
    ];

    /// The word that names the state.
    pub const fn word(self) -> &'static str {
        match self {
            StreamState::Flowing => "flowing",
            StreamState::Quiet => "quiet",
            StreamState::Early => "early",
            StreamState::Held => "held",
            StreamState::Resuming => "resuming",
            StreamState::Stuck => "stuck",
            StreamState::Tunnel => "tunnel",
        }
    }
}

/// One stream in the list.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The id of the stream.
    pub id: u64,
    /// The state of the stream.
    pub state: StreamState,
    /// What it is: a kind of event stream, or a tunnel.
    pub kind: &'a str,
    /// The name of the api.
    pub api: &'a str,
    /// The client's address, "unix" or "unknown".
    pub client: &'a str,
    /// The version of TLS that the client uses, if any.
    pub tls: Option<&'a str>,
    /// The name of the key.
    pub key: Option<&'a str>,
    /// The method and target, as logs show them.
    pub request: &'a str,
    /// The time since the request, in milliseconds.
    pub age_ms: u64,
    /// The number of events so far; 0 if they cannot be counted.
    pub events: u64,
    /// Payload bytes from the client so far.
    pub bytes_in: u64,
    /// Payload bytes to the client so far.
    pub bytes_out: u64,
    /// The time since the last event, or the last byte of a tunnel, in milliseconds.
    pub idle_ms: u64,
    /// The number of bytes that the client has not taken.
    pub pending_bytes: usize,
    /// What the stream waits for.
    pub waits: &'a [&'a str],
    /// What happens if that does not come in time.
    pub until: Option<&'a str>,
    /// In how many milliseconds the proxy ends it, if that has been decided.
    pub ends_in_ms: Option<u64>,
    /// The id of the shared upstream stream that it reads, if any.
    pub shares: Option<u64>,
}

/// A page: the first event streams and tunnels of a list, and the shared upstream streams.
#[derive(Debug)]
pub struct Page {
    /// The streams and tunnels.
    pub streams: List,
    /// The shared upstream streams.
    pub groups: Groups,
}

impl Page {
    /// Merges the page of another event loop, in the same order.
    pub fn merge(&mut self, other: Page) {
        self.streams.merge(other.streams);
        self.groups.merge(other.groups);
    }

    /// The page in JSON. If more streams follow, it has the place after which the next page starts.
    /// It names workers that are `silent`, whose streams are missing.
    pub fn into_text(self, silent: &[(usize, Duration)]) -> String {
        let Page { streams, groups } = self;
        let mut text = String::new();
        let mut json = Json::new(&mut text);
        json.begin('{');
        json.name("total").number(streams.total as u64);
        json.name("streams");
        streams.write(&mut json);
        json.name("next").string_or_null(streams.next().as_deref());
        groups.write(&mut json);
        if !silent.is_empty() {
            json.name("silent_workers").begin('[');
            silent.iter().for_each(|(number, _)| json.number(*number as u64));
            json.end(']');
        }
        json.end('}');
        text.push('\n');
        text
    }
}

/// The first items of a list, in JSON, and the number of all.
#[derive(Debug)]
pub struct List {
    /// Maximum number of items.
    limit: usize,
    /// The items, in order.
    rows: Vec<Listed>,
    /// The number of all items, listed or not.
    total: usize,
    /// True exactly when more items follow.
    more: bool,
    /// The time of their ranks, if these change with time.
    ranked_at: Option<Tick>,
}

#[derive(Debug)]
struct Listed {
    rank: Rank,
    id: u64,
    /// The item in JSON.
    text: String,
}

impl List {
    /// An empty list for at most `limit` of `total` items. `more` says whether others follow these.
    /// `ranked_at` is the time of their ranks, if these change with time.
    pub const fn new(limit: usize, total: usize, more: bool, ranked_at: Option<Tick>) -> List {
        List { limit, rows: Vec::new(), total, more, ranked_at }
    }

    /// Adds an item behind those added before.
    pub fn add(&mut self, rank: Rank, id: u64, write: impl FnOnce(&mut Json<'_>)) {
        let mut text = String::new();
        write(&mut Json::new(&mut text));
        self.rows.push(Listed { rank, id, text });
    }

    /// Merges the first items of another event loop, in the same order.
    fn merge(&mut self, other: List) {
        self.total += other.total;
        self.more |= other.more || self.rows.len() + other.rows.len() > self.limit;
        self.rows.extend(other.rows);
        self.rows.sort_unstable_by_key(|row| row.rank);
        self.rows.truncate(self.limit);
    }

    /// The place after which the next page starts, if there is one.
    fn next(&self) -> Option<String> {
        let Listed { rank, id, .. } = self.rows.last().filter(|_| self.more)?;
        Some(match self.ranked_at {
            Some(at) => place_of(*id, *rank, at),
            None => format!("{id:x}"),
        })
    }

    fn write(&self, json: &mut Json<'_>) {
        json.begin('[');
        self.rows.iter().for_each(|row| json.written(&row.text));
        json.end(']');
    }
}

impl Row<'_> {
    /// Writes it as a JSON object.
    pub fn write(&self, json: &mut Json<'_>) {
        let (method, target) = split(self.request);
        json.begin('{');
        json.name("id").string(Digits::hexadecimal(self.id).as_str());
        json.name("api").string(self.api);
        json.name("client").string(self.client);
        json.name("tls").string_or_null(self.tls);
        json.name("key").string_or_null(self.key);
        json.name("method").string_or_null(method);
        json.name("target").string(target.unwrap_or_default());
        json.name("kind").string(self.kind);
        json.name("state").string(self.state.word());
        json.name("age_ms").number(self.age_ms);
        json.name("events").number(self.events);
        json.name("bytes_in").number(self.bytes_in);
        json.name("bytes_out").number(self.bytes_out);
        json.name("idle_ms").number(self.idle_ms);
        json.name("pending_bytes").number(self.pending_bytes as u64);
        json.name("waits").begin('[');
        self.waits.iter().for_each(|wait| json.string(wait));
        json.end(']');
        json.name("until").string_or_null(self.until);
        json.name("ends_in_ms").number_or_null(self.ends_in_ms);
        let shares = self.shares.map(Digits::hexadecimal);
        json.name("shares").string_or_null(shares.as_ref().map(Digits::as_str));
        json.end('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let check = |text, limit, order, after| {
            let want = Query { limit, order, after, asked_at: None };
            assert_eq!(Query::parse(text), Ok(want), "{text}");
        };
        check("", 50, Order::Oldest, None);
        check("order=slowest&limit=1000", 1000, Order::Slowest, None);
        let after = |rank| Some(After::Id(0x1f, rank));
        check("limit=1&after=1f&order=newest&x=y&z", 1, Order::Newest, after(None));
        let rank = Order::Slowest.rank(0x1f, 16, 0);
        let known = after(Some((rank, Tick::from_millis(10))));
        check("after=1f-10-0-a&order=slowest", 50, Order::Slowest, known);
        assert_eq!(place(&place_of(0x1f, rank, Tick::from_millis(10))), known);
        check("after=", 50, Order::Oldest, None);
        for text in ["limit=0", "limit=1001", "limit=", "order=", "after=x", "after=01", "after=A"]
        {
            assert!(Query::parse(text).is_err(), "{text}");
        }
        for text in ["0", "-", "1-", "1-2", "1-2-3", "1-2-3-04", "1-2-3-4-5", "0-1-2-3"] {
            assert!(Query::parse(&format!("after={text}")).is_err(), "{text}");
        }
    }

    /// A page continues where the one before ended, even if that stream has ended.
    #[test]
    fn a_stream_that_has_ended_has_a_place() {
        let (at, now) = (Tick::from_millis(10), Tick::from_millis(20));
        let [then, later] = [16, 8].map(|pending| Order::Slowest.rank(0x1f, pending, 0));
        let behind = |after: &str, rank| {
            let query = Query::parse(&format!("order=slowest&after={after}")).unwrap();
            assert!(query.needs_rank());
            query.behind(rank, now).after
        };
        for (after, rank, want) in [
            ("1f-10-0-a", Some(later), Some(After::Rank(later, now))),
            ("1f-10-0-a", None, Some(After::Rank(then, at))),
            ("1f", Some(later), Some(After::Rank(later, now))),
            ("1f", None, None),
        ] {
            assert_eq!(behind(after, rank), want, "{after} {rank:?}");
        }
    }

    /// All pages together contain each stream once, in order.
    #[test]
    fn pages_are_the_whole_in_order() {
        let ranks: Vec<Rank> =
            (0..97_u64).map(|n| Order::Slowest.rank(n + 1, n % 3, n * 31 % 17)).collect();
        let mut sorted = ranks.clone();
        sorted.sort_unstable();
        for limit in [1, 2, 10, 96, 97, 98, 1000] {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let mut first = First::new(limit, after);
                ranks.iter().for_each(|rank| first.offer(*rank, *rank));
                let (few, total, more) = first.finish();
                assert!(total == 97 && few.len() <= limit);
                all.extend(few.into_iter().map(|(rank, _)| rank));
                after = all.last().copied();
                if !more {
                    break;
                }
            }
            assert_eq!(all, sorted, "limit {limit}");
        }
    }

    #[test]
    fn lists_of_several_loops_are_one() {
        let list = |ids: &[u64], more| {
            let mut list = List::new(3, ids.len(), more, None);
            ids.iter().for_each(|id| list.add([*id, 0, 0], *id, |json| json.number(*id)));
            list
        };
        for (one, other, more, want) in [
            (&[1, 4][..], &[2, 3][..], false, ("[1,2,3]", true)),
            (&[1], &[2, 3], false, ("[1,2,3]", false)),
            (&[], &[2], true, ("[2]", true)),
        ] {
            let mut all = list(one, more);
            all.merge(list(other, false));
            let mut text = String::new();
            all.write(&mut Json::new(&mut text));
            assert_eq!((text.as_str(), all.more), want);
            assert_eq!(all.total, one.len() + other.len());
        }
    }

    #[test]
    fn a_page_is_json() {
        let row = Row {
            id: 31,
            state: StreamState::Held,
            kind: "answer",
            api: "a",
            client: "::1",
            tls: Some("TLSv1.3"),
            key: None,
            request: "GET /\"\u{202e}",
            age_ms: 1,
            events: 2,
            bytes_in: 6,
            bytes_out: 3,
            idle_ms: 4,
            pending_bytes: 5,
            waits: &["client_room", "upstream_bytes"],
            until: Some("heartbeat"),
            ends_in_ms: Some(7),
            shares: None,
        };
        let mut streams = List::new(2, 2, true, None);
        streams.add([1, 0, 0], row.id, |json| row.write(json));
        let state = StreamState::Tunnel;
        let tunnel = Row { id: 32, state, kind: "tunnel", tls: None, key: Some("k"), ..row };
        let tunnel = Row { waits: &[], until: None, ends_in_ms: None, shares: Some(33), ..tunnel };
        streams.add([2, 0, 0], tunnel.id, |json| tunnel.write(json));
        let page = Page { streams, groups: Groups::new(9) };
        let want = "{\"total\":2,\"streams\":[{\"id\":\"1f\",\"api\":\"a\",\"client\":\"::1\",\
            \"tls\":\"TLSv1.3\",\"key\":null,\"method\":\"GET\",\
            \"target\":\"/\\\"\\u202e\",\"kind\":\"answer\",\
            \"state\":\"held\",\"age_ms\":1,\"events\":2,\"bytes_in\":6,\"bytes_out\":3,\
            \"idle_ms\":4,\"pending_bytes\":5,\"waits\":[\"client_room\",\"upstream_bytes\"],\
            \"until\":\"heartbeat\",\"ends_in_ms\":7,\"shares\":null},\
            {\"id\":\"20\",\"api\":\"a\",\"client\":\"::1\",\"tls\":null,\
            \"key\":\"k\",\"method\":\"GET\",\
            \"target\":\"/\\\"\\u202e\",\"kind\":\"tunnel\",\
            \"state\":\"tunnel\",\
            \"age_ms\":1,\"events\":2,\
            \"bytes_in\":6,\"bytes_out\":3,\"idle_ms\":4,\"pending_bytes\":5,\"waits\":[],\
            \"until\":null,\"ends_in_ms\":null,\"shares\":\"21\"}],\"next\":\"20\",\
            \"shared_total\":9,\"shared\":[]}\n";
        assert_eq!(page.into_text(&[]), want);
        let mut slowest = List::new(1, 2, true, Some(Tick::from_millis(10)));
        slowest.add(Order::Slowest.rank(31, 16, 2), 31, |json| json.number(31));
        assert_eq!(slowest.next().as_deref(), Some("1f-10-2-a"));
        let none = Page { streams: List::new(9, 0, false, None), groups: Groups::new(0) };
        let want = "{\"total\":0,\"streams\":[],\"next\":null,\"shared_total\":0,\"shared\":[]}\n";
        assert_eq!(none.into_text(&[]), want);
    }
}
