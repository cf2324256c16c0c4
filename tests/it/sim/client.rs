//! A client of a simulated world: it sends one or several requests on a connection, at its own
//! pace, and may leave at any time.

use super::auth::{self, Standing};
use super::events::without_ours;
use super::message::{Body, Head, chunked};
use super::plan::{Framing, Mischief, Plan, bodiless};
use super::sessions::FIELD;
use super::speech::{Leaves, Records, Speech};
use super::terms::Terms;
use crate::journal;
use millstream::testing::RetryOn;
use millstream::testing::rng::Rng;
use millstream::testing::sim::{Heard, Peer, SimNet};
use millstream::testing::{Tick, naive};
use std::net::IpAddr;
use std::time::Duration;

/// When a client gives up on an incomplete response. If an upstream is too slow for a TLS
/// handshake, requests to it are repeated as long as a client waits.
const PATIENCE: Tick = Tick::from_millis(4_000_000);

/// A client with a connection.
#[derive(Debug)]
pub(crate) struct Client {
    rng: Rng,
    /// Its requests, in order: indices of the world's plans.
    plans: Vec<usize>,
    /// Its unique address. All addresses are in one network, so they are counted together.
    pub(crate) address: IpAddr,
    /// Everything that it has sent.
    pub(crate) sent: Vec<u8>,
    /// The fields that each of its requests carries, with their line ends, if it needs a key or is
    /// checked by an auth server.
    key: String,
    /// How the auth server judges it.
    standing: Standing,
    number: u64,
    pub(crate) speech: Speech,
    /// What it does to its TLS records, if it uses TLS.
    pub(crate) records: Option<Records>,
    /// Its connection, once it is open.
    peer: Option<Peer>,
    starts_at: Tick,
    /// When it leaves early, if it does, and how.
    pub(crate) leaves_at: Option<(Tick, Leaves)>,
    /// True if it never reads.
    deaf: bool,
    /// True if it sends a request before it has the response to the previous one.
    pipelines: bool,
    /// The most bytes that it sends or reads at a time.
    piece: usize,
    /// The milliseconds that it pauses in between.
    gap: u64,
    next_send: Tick,
    next_hear: Tick,
    unsent: Vec<u8>,
    /// How many of its plans it has begun to send.
    asked: usize,
    /// Received bytes that are not parsed yet.
    wire: Vec<u8>,
    /// The response whose head has arrived and whose body is incomplete.
    reading: Option<(Head, Body)>,
    /// The part of that body that has arrived.
    body: Vec<u8>,
    answers: Vec<Answer>,
    /// The session named by a response.
    session: Option<String>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// It left before the proxy ended the connection.
    Left,
    /// The proxy closed the connection.
    Closed,
    /// The proxy reset the connection.
    Reset,
}

/// A response to a request.
#[derive(Debug)]
struct Answer {
    status: u16,
    coded: bool,
    body: Vec<u8>,
    complete: bool,
}

impl Client {
    /// Draws the client of this number.
    pub(crate) fn draw(
        number: u64,
        key: &'static str,
        rng: &mut Rng,
        plans: &mut Vec<Plan>,
        size_max: usize,
    ) -> Client {
        let mut own = Vec::new();
        let address = format!("2001::1:{number}").parse().unwrap();
        for _ in 0..rng.between(1, 3) {
            let id = plans.len();
            plans.push(Plan::draw(rng, id, address, size_max));
            own.push(id);
        }
        let leaves = rng.chance(25);
        Client {
            plans: own,
            address,
            sent: Vec::new(),
            key: key.to_owned(),
            standing: Standing::Good,
            number,
            peer: None,
            speech: Speech::Http,
            records: None,
            starts_at: Tick::from_millis(rng.below(50)),
            leaves_at: leaves.then(|| leaving(rng)),
            deaf: rng.chance(5),
            pipelines: rng.chance(20),
            piece: rng.pick(&[1, 10, 1000, 100_000]),
            gap: rng.below(3),
            next_send: Tick::ZERO,
            next_hear: Tick::ZERO,
            unsent: Vec::new(),
            asked: 0,
            wire: Vec::new(),
            reading: None,
            body: Vec::new(),
            answers: Vec::new(),
            session: None,
            end: End::Open,
            rng: Rng::new(rng.bits()),
        }
    }

    /// Gives it credentials.
    pub(crate) fn show(&mut self, standing: Standing) {
        (self.key, self.standing) = (standing.fields('c', self.number), standing);
    }

    pub(crate) fn act(
        &mut self,
        net: &mut SimNet,
        plans: &[Plan],
        now: Tick,
    ) -> Result<bool, String> {
        if self.end != End::Open || now < self.starts_at {
            return Ok(false);
        }
        let Some(peer) = self.peer else {
            self.peer = self.speech.connect(net, self.address);
            if self.peer.is_none() {
                self.end = End::Closed;
            }
            return Ok(true);
        };
        if self.reading.is_some() && now >= PATIENCE {
            self.leaves_at = self.leaves_at.or(Some((now, Leaves::Closing)));
        }
        if let Some((_, leaves)) = self.leaves_at.filter(|(at, _)| *at <= now) {
            journal::note(|| format!("{now:?} {peer:?} leaves, {leaves:?}"));
            leaves.leave(net, peer);
            self.end = End::Left;
            return Ok(true);
        }
        if let Some(records) = &mut self.records {
            records.act(net, peer);
        }
        let sent = self.send(net, peer, plans, now);
        let heard = !self.deaf && self.hear(net, peer, plans, now)?;
        if self.answers.len() == self.plans.len() && self.end == End::Open {
            net.leave(peer);
            self.end = End::Left;
            return Ok(true);
        }
        Ok(sent || heard)
    }

    fn send(&mut self, net: &mut SimNet, peer: Peer, plans: &[Plan], now: Tick) -> bool {
        let may_ask = self.asked == self.answers.len() || self.pipelines;
        if self.unsent.is_empty() && self.asked < self.plans.len() && may_ask {
            let plan = &plans[self.plans[self.asked]];
            journal::note(|| format!("{now:?} {peer:?} asks {plan:?}"));
            plan.is_bound.set(self.session.is_some());
            let session = self.session.iter().map(|name| format!("{FIELD}: {name}\r\n"));
            let fields: String = session.chain([self.key.clone()]).collect();
            self.unsent = request(plan, &fields, self.rng.size(1, 500));
            self.asked += 1;
        }
        if self.unsent.is_empty() || now < self.next_send {
            return false;
        }
        let most = self.rng.size(1, self.piece).min(self.unsent.len());
        let n = net.send(peer, &self.unsent[..most]);
        self.sent.extend(self.unsent.drain(..n));
        if n > 0 {
            self.next_send = now.after(Duration::from_millis(self.gap));
        }
        n > 0
    }

    fn hear(
        &mut self,
        net: &mut SimNet,
        peer: Peer,
        plans: &[Plan],
        now: Tick,
    ) -> Result<bool, String> {
        if now < self.next_hear {
            return Ok(false);
        }
        let most = self.rng.size(1, self.piece);
        match net.hear(peer, most) {
            Heard::Bytes(bytes) => {
                journal::note(|| format!("{now:?} {peer:?} hears {}", bytes.escape_ascii()));
                self.wire.extend(bytes);
                self.next_hear = now.after(Duration::from_millis(self.gap));
                self.read(plans, false)?;
                Ok(true)
            }
            Heard::Nothing => Ok(false),
            end @ (Heard::End | Heard::Reset) => {
                journal::note(|| format!("{now:?} {peer:?} hears {end:?}"));
                let orderly = end == Heard::End;
                self.end = if orderly { End::Closed } else { End::Reset };
                self.read(plans, orderly)?;
                let is_cut = self.reading.is_some() || self.wire.starts_with(b"HTTP/");
                if orderly && is_cut && self.speech == Speech::Tls {
                    return Err("a cut that is announced as an end".to_owned());
                }
                self.keep_rest();
                net.leave(peer);
                Ok(true)
            }
        }
    }

    fn read(&mut self, plans: &[Plan], ended: bool) -> Result<(), String> {
        loop {
            if self.reading.is_none() {
                let Some(head) = Head::parse(&self.wire)? else {
                    return Ok(());
                };
                self.wire.drain(..head.length);
                let status = status(&head)?;
                if (100..200).contains(&status) {
                    continue;
                }
                // An error response may name a session that the origin does not know.
                if let Some(name) = head.get("x-session").filter(|_| status < 400) {
                    self.session = Some(name.to_owned());
                }
                let id = self.plans.get(self.answers.len()).ok_or("an answer to no request")?;
                let plan = &plans[*id];
                let body = head.body(bodiless(plan.method, status), false)?;
                self.reading = Some((head, body));
            }
            let Some((head, body)) = &mut self.reading else {
                return Ok(());
            };
            body.read(&mut self.wire, &mut self.body)?;
            let by_close = ended && matches!(body, Body::UntilClose);
            let complete = by_close || matches!(body, Body::Ended);
            if !complete {
                return Ok(());
            }
            let (status, body) = (status(head)?, std::mem::take(&mut self.body));
            let coded = is_coded(head);
            self.answers.push(Answer { status, coded, body, complete: true });
            self.reading = None;
        }
    }

    /// Keeps the part of a response that had arrived when the connection ended.
    fn keep_rest(&mut self) {
        if let Some((head, _)) = self.reading.take() {
            let (status, body) = (status(&head).unwrap_or(0), std::mem::take(&mut self.body));
            let coded = is_coded(&head);
            self.answers.push(Answer { status, coded, body, complete: false });
        }
    }

    /// When it will act by itself.
    pub(crate) fn next(&self, now: Tick) -> Tick {
        if self.end != End::Open {
            return Tick::NEVER;
        }
        let mut next = Tick::NEVER;
        let leaves = self.leaves_at.map_or(Tick::NEVER, |(at, _)| at);
        for at in [self.starts_at, leaves, self.next_send, self.next_hear] {
            if at > now {
                next = next.min(at);
            }
        }
        next
    }

    /// Checks that it received what it should have received.
    pub(crate) fn judge(&self, plans: &[Plan], terms: Terms) -> Result<(), String> {
        let mut honest = terms.kind && !terms.scarce && self.leaves_at.is_none() && !self.deaf;
        honest &= self.standing == Standing::Good;
        for (index, &id) in self.plans.iter().enumerate() {
            let plan = &plans[id];
            // If a body ends only with its connection, an early response may end in a reset: the
            // origin's, with the request unread, or the proxy's, if the client sends its body for
            // longer than the proxy reads it. The same holds for a response if the next request was
            // sent before its end.
            let early = plan.early || plan.expect;
            let until_close = plan.framing == Framing::UntilClose || plan.http10;
            let knowable = !(until_close && (early || self.pipelines));
            honest &= knowable && (plan.mischief == Mischief::None || terms.recovers(plan));
            let answer = self.answers.get(index);
            if let Some(answer) = answer {
                let judged = match self.standing {
                    Standing::Good => judge_answer(plan, answer, terms),
                    Standing::Mortal | Standing::Bad => judge_refusal(answer, terms),
                };
                judged.map_err(|why| format!("{why}\n  {plan:?}"))?;
            }
            let served = answer.is_some_and(|a| a.complete && a.status == plan.status);
            let once = terms.pooling && plan.request.is_some();
            let served = served || once && answer.is_some_and(|a| a.status == 502);
            // Event boundaries are not known in all streams. Those without are cut when they are to
            // be ended.
            let ends = if terms.subscribes(plan) { terms.ends } else { terms.ends_answers };
            let all = terms.drains && terms.ends_answers;
            let cut = ends && (plan.event_stream || all) && answer.is_some_and(|a| !a.complete);
            // A draining process accepts no further request, and finally no connection. A client
            // that waits for a subscription may be told to reconnect.
            let spared = |a: &Answer| a.status == 200 && naive::events(&a.body).is_empty();
            let told = terms.spares && plan.event_stream && terms.subscribes(plan);
            let turned_away = terms.drains && answer.is_none_or(|a| told && spared(a));
            let awaited = terms.awaits_all && index == 0;
            // A client with an early response does not see that the upstream's is not an event
            // stream.
            let lost = answer.filter(|answer| is_early(plan, answer, terms));
            let lost = lost.is_some_and(|a| plan.events.is_none() || once && !a.complete);
            let served = served || cut || lost || turned_away && !awaited;
            if honest && !served {
                let got = answer.map(|a| (a.status, a.complete, a.body.len()));
                return Err(format!("an honest exchange got {got:?}, {:?}\n  {plan:?}", self.end));
            }
            // Requests after one that closes the connection are not promised to be served.
            honest &= terms.patient && !plan.close && !plan.http10 && !early;
            honest &= !(cut || lost || turned_away);
        }
        Ok(())
    }
}

/// True if this may be all of a response that the proxy began before the origin, and that has
/// failed. If it is an answer, it must be cut visibly.
fn is_early(plan: &Plan, answer: &Answer, terms: Terms) -> bool {
    let body = &without_ours(&answer.body, answer.complete, terms);
    let seen =
        matches!(plan.method, "GET" | "POST") && (terms.subscribes(plan) || !answer.complete);
    terms.early
        && seen
        && plan.event_stream
        && answer.status == 200
        && naive::events(body).is_empty()
}

fn judge_answer(plan: &Plan, answer: &Answer, terms: Terms) -> Result<(), String> {
    if answer.coded && !(plan.coded && terms.passes) {
        return Err("a coded answer that nobody has asked for".to_owned());
    }
    let spared = terms.spares && plan.event_stream && answer.status == 200 && !answer.coded;
    let body = match plan.event_stream && !answer.coded {
        true => &without_ours(&answer.body, answer.complete, terms),
        false => &answer.body,
    };
    let spared = spared && terms.subscribes(plan) && naive::events(body).is_empty();
    let honest = terms.kind && !terms.scarce && plan.mischief == Mischief::None;
    let early = is_early(plan, answer, terms) && (plan.events.is_none() || !honest);
    let spared = spared || early;
    let own = matches!(answer.status, 400 | 408 | 429 | 502 | 503 | 504) || spared;
    let own = own || terms.auth.is_some() && auth::is_refusal(answer.status);
    let turned_away = terms.loses && matches!(answer.status, 403 | 404);
    let own = own || turned_away && !plan.body.starts_with(&answer.body);
    if let Mischief::Flood(_) = plan.mischief {
        // A response to HEAD is complete after its head.
        if own || turned_away || answer.status == 200 && (!answer.complete || plan.method == "HEAD")
        {
            return Ok(());
        }
        // If the flood is withheld, a later attempt, or another target, may have served the
        // request.
        let repeats = terms.retries.is_some_and(RetryOn::repeats);
        let spared = terms.spares && plan.event_stream && plan.method == "GET";
        if !repeats && !spared {
            return Err("a flood that looks like an answer".to_owned());
        }
    }
    if answer.status != plan.status || own && (spared || turned_away) {
        let own = own || turned_away;
        return if own { Ok(()) } else { Err(format!("status {}", answer.status)) };
    }
    let cut = matches!(plan.mischief, Mischief::CutAt(_) | Mischief::ResetAt(_));
    // Bodies without a length end when the sender closes. Without TLS a cut cannot be told from an
    // end.
    let unknowable = plan.framing == Framing::UntilClose && cut && !terms.secured;
    // The proxy inserts nothing into compressed streams.
    if let Some(events) = plan.events.as_ref().filter(|_| !answer.coded) {
        let ends = terms.ends && terms.subscribes(plan);
        events.judge(body, answer.complete, unknowable, Terms { ends, ..terms })?;
        let can_resume = terms.resumes && terms.kind && !terms.ends && !terms.queues;
        let resumed = can_resume && plan.is_resumable() && cut;
        let had_id = !naive::events(body).is_empty();
        let within = events.may_be_within(body, terms.event_max);
        if resumed && had_id && !answer.complete && !within {
            return Err("a stream that could have been resumed".to_owned());
        }
        return Ok(());
    }
    if !plan.body.starts_with(&answer.body) {
        return Err("not what the origin sent".to_owned());
    }
    let whole = answer.body.len() == plan.body.len();
    if answer.complete && !whole {
        return if unknowable { Ok(()) } else { Err("a cut that looks like an end".to_owned()) };
    }
    Ok(())
}

/// Judges a response to a client that was refused. In a drain, or if it sends too many requests, it
/// may be told to reconnect.
fn judge_refusal(answer: &Answer, terms: Terms) -> Result<(), String> {
    let spared = terms.spares && answer.status == 200 && naive::events(&answer.body).is_empty();
    let own = auth::is_refusal(answer.status) || matches!(answer.status, 400 | 408);
    if own || spared { Ok(()) } else { Err(format!("let in with status {}", answer.status)) }
}

/// Draws when a client leaves early, and how.
fn leaving(rng: &mut Rng) -> (Tick, Leaves) {
    let at = Tick::from_millis(rng.below(2000));
    (at, if rng.chance(50) { Leaves::Resetting } else { Leaves::Closing })
}

fn is_coded(head: &Head) -> bool {
    head.get("content-encoding").is_some()
}

fn status(head: &Head) -> Result<u16, String> {
    let status = head.first_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let status = status.and_then(|digits| digits.parse().ok());
    status.ok_or_else(|| format!("no status line: {:?}", head.first_line))
}

fn request(plan: &Plan, fields: &str, most: usize) -> Vec<u8> {
    let version = if plan.http10 { "1.0" } else { "1.1" };
    let (method, id) = (plan.method, plan.id);
    let mut wire = format!("{method} /{id} HTTP/{version}\r\nHost: a.example\r\n{fields}");
    if plan.close {
        wire.push_str("Connection: close\r\n");
    }
    if plan.event_stream {
        wire.push_str("Accept: text/event-stream\r\n");
    }
    if plan.coded {
        wire.push_str("Accept-Encoding: gzip\r\n");
    }
    if plan.expect {
        wire.push_str("Expect: 100-continue\r\n");
    }
    match &plan.request {
        None => format!("{wire}\r\n").into_bytes(),
        Some((Framing::Chunked, body)) => {
            let head = format!("{wire}Transfer-Encoding: chunked\r\n\r\n");
            [head.into_bytes(), chunked(body, most, plan.trailers)].concat()
        }
        Some((_, body)) => {
            let head = format!("{wire}Content-Length: {}\r\n\r\n", body.len());
            [head.as_bytes(), body].concat()
        }
    }
}
