//! An auth server, and what must be true of every accepted request: the server has allowed it with
//! its credentials, it has the fields from the server and no forged ones, and it ends soon after it
//! was last allowed.

use super::client::Client;
use super::endless::{Endless, Kind};
use super::message::Head;
use super::origin::Origin;
use super::plan::{self, Plan};
use crate::journal;
use millstream::testing::Tick;
use millstream::testing::rng::Rng;
use millstream::testing::sim::{Heard, Host, Peer, SimNet};
use millstream::testing::toy::Shows;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The address of the server.
pub(crate) const ADDRESS: SocketAddr = plan::address(9);

/// The tolerance for ends: the server may send byte by byte, and a client may read its last bytes
/// as slowly.
const SLACK: Duration = Duration::from_secs(20);

/// The longest time that a response is valid.
const HOLDS: Duration = Duration::from_secs(60);

/// How a server behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// True if it always responds as it should.
    pub(crate) is_kind: bool,
    /// True if the credentials of all clients are accepted.
    pub(crate) accepts_all: bool,
    /// How often open requests are checked again.
    pub(crate) recheck: Option<Duration>,
    /// For how many seconds its responses are valid.
    holds: u64,
    /// When it stops accepting some credentials.
    revokes_at: Tick,
    is_secured: bool,
    /// True if the network is too slow for long messages.
    is_tiny: bool,
}

impl Rules {
    pub(crate) fn within(self, is_tiny: bool) -> Rules {
        Rules { is_tiny, ..self }
    }

    /// Makes the server listen.
    pub(crate) fn listen(self, net: &mut SimNet) {
        net.set_host(ADDRESS, Host::Listening);
        net.secure(ADDRESS, self.is_secured.then_some(Shows::Good));
    }
}

/// Draws keys for an api, appended to its `text`.
pub(crate) fn draw(rng: &mut Rng, text: &mut String) -> Option<Rules> {
    if !rng.chance(35) {
        return None;
    }
    let (is_kind, accepts_all) = (rng.chance(60), rng.chance(60));
    let every = rng.pick(&["0s", "50ms", "1s", "5s"]);
    let timeout = if is_kind { "60s" } else { rng.pick(&["1ms", "100ms", "5s"]) };
    let scheme = rng.pick(&["http", "https"]);
    *text += &format!(
        "[api.auth]\nurl = \"{scheme}://10.0.0.9:80/verify?a=b\"\ntimeout = \"{timeout}\"\n\
         pass = [\"X-User\", \"X-Group\"]\nrecheck = \"{every}\"\n"
    );
    let ms = |text: &str| match text {
        "50ms" => Some(50),
        "1s" => Some(1000),
        "5s" => Some(5000),
        _ => None,
    };
    let recheck = ms(every).map(Duration::from_millis);
    let holds = rng.pick(&[0, 0, 1, 30, 3600]);
    let revokes_at = Tick::from_millis(rng.below(4000));
    let is_secured = scheme == "https";
    Some(Rules { is_kind, accepts_all, recheck, holds, revokes_at, is_secured, is_tiny: false })
}

/// Gives the clients credentials, if there is a server.
pub(crate) fn introduce(rules: Option<Rules>, clients: &mut [Client], seed: u64) {
    let Some(rules) = rules else { return };
    let mut rng = Rng::new(seed ^ 0x7374_616e);
    for client in clients {
        let others = [Standing::Good, Standing::Bad];
        client.show(if rules.accepts_all { Standing::Good } else { rng.pick(&others) });
    }
}

/// Gives endless clients credentials, if there is a server, and adds more of them.
pub(crate) fn introduce_endless(
    rules: Option<Rules>,
    drains: bool,
    endless: &mut Vec<Endless>,
    seed: u64,
) {
    if rules.is_none() {
        return;
    }
    let mut rng = Rng::new(seed ^ 0x656e_646c);
    let more = if drains { 0 } else { rng.below(6) };
    endless.extend((0..more).map(|number| Endless::draw(number, &mut rng, "")));
    let is = if drains { Standing::Good } else { Standing::Mortal };
    (0..).zip(endless).for_each(|(number, client)| client.show(is, number));
}

/// How the server judges a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its requests are allowed.
    Good,
    /// Its requests are allowed at first.
    Mortal,
    /// Its requests are refused.
    Bad,
}

impl Standing {
    const ALL: [(Standing, &str); 3] =
        [(Standing::Good, "good"), (Standing::Mortal, "mortal"), (Standing::Bad, "bad")];

    /// The fields with which a client of this number identifies itself, with their line ends, and
    /// forged ones that only the server may add.
    pub(crate) fn fields(self, kind: char, number: u64) -> String {
        let word = Standing::ALL.iter().find(|(own, _)| *own == self).unwrap().1;
        format!(
            "Authorization: Bearer {word}-{kind}{number}\r\nX-User: forged\r\nx_user: forged\r\n\
             X.GROUP: forged\r\n"
        )
    }

    /// What the server knows about this value of Authorization.
    fn of(value: Option<&str>) -> (Standing, &str) {
        let shown = value.and_then(|value| value.strip_prefix("Bearer "));
        let Some((word, name)) = shown.and_then(|shown| shown.split_once('-')) else {
            return (Standing::Bad, "");
        };
        let known = Standing::ALL.iter().find(|(_, own)| *own == word);
        (known.map_or(Standing::Bad, |(standing, _)| *standing), name)
    }
}

/// The fields that the server adds to allowed requests. Some requests get none with a given name,
/// or two.
fn given(name: &str) -> Vec<(&'static str, String)> {
    let mut fields = Vec::new();
    let number = name.bytes().map(u32::from).sum::<u32>();
    if !number.is_multiple_of(3) {
        fields.push(("X-User", format!("user {name}")));
    }
    fields.extend((0..number % 3).map(|n| ("x-group", format!("group {n} of {name}"))));
    fields
}

/// Judges a request that has reached an origin.
///
/// # Errors
/// If it should not have, or not in this form.
pub(crate) fn judge_request(head: &Head, rules: Rules, now: Tick) -> Result<(), String> {
    let (standing, name) = Standing::of(head.get("authorization"));
    if standing == Standing::Bad {
        return Err(format!("nobody has let it in: {}", head.first_line));
    }
    let last = rules.revokes_at.after(HOLDS).after(SLACK);
    if standing == Standing::Mortal && now > last {
        return Err(format!("it was not let in any more: {}", head.first_line));
    }
    let is_passed = |field: &str| field.replace(['_', '.'], "-");
    let got = head.fields.iter().filter_map(|(field, value)| {
        let field = is_passed(field);
        matches!(&*field, "x-user" | "x-group").then(|| (field, value.clone()))
    });
    let want = given(name).into_iter().map(|(field, value)| (field.to_lowercase(), value));
    let (got, want): (Vec<_>, Vec<_>) = (got.collect(), want.collect());
    if got != want {
        return Err(format!("it has {got:?}, and was given {want:?}"));
    }
    Ok(())
}

/// Judges endless clients: they must be gone soon after they were last allowed.
///
/// # Errors
/// If one of them stays.
pub(crate) fn judge_endless(endless: &[Endless], rules: Rules) -> Result<(), String> {
    let Some(every) = rules.recheck.filter(|_| rules.is_kind) else { return Ok(()) };
    for client in endless.iter().filter(|client| client.standing == Standing::Mortal) {
        // A client that is told to reconnect later gets a response with a length.
        let has_length = client.heard.windows(15).any(|bytes| bytes == b"Content-Length:");
        let is_open =
            matches!(client.kind, Kind::Tunnel | Kind::Subscription | Kind::Answer) && !has_length;
        let Some(answered) = client.answered_at.filter(|_| is_open) else { continue };
        let due = rules.revokes_at.max(answered).after(every.mul_f64(1.1)).after(SLACK);
        if client.ended_at.is_none_or(|ended| ended > due) {
            let Endless { kind, address, ended_at, .. } = client;
            return Err(format!("{kind:?} of {address} stays until {ended_at:?}, not {due:?}"));
        }
    }
    Ok(())
}

/// Judges the subrequests: for each request that has reached an origin there was one before.
///
/// # Errors
/// If there was none.
pub(crate) fn judge_questions(
    plans: &[Plan],
    origins: &[Origin],
    asked: &BTreeMap<String, Tick>,
) -> Result<(), String> {
    for origin in origins {
        for (id, at) in origin.seen.iter().zip(&origin.seen_at) {
            let let_in = asked.get(&format!("/{id}"));
            if let_in.is_none_or(|let_in| let_in > at) {
                return Err(format!("let in at {let_in:?}, seen at {at:?}: {:?}", plans[*id]));
            }
        }
    }
    Ok(())
}

/// The server's end of a connection.
#[derive(Debug)]
pub(crate) struct AuthServer {
    peer: Peer,
    rng: Rng,
    rules: Rules,
    piece: usize,
    gap: u64,
    next_send: Tick,
    wire: Vec<u8>,
    unsent: Vec<u8>,
    then: Then,
    open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Close,
    Reset,
    Sleep,
}

impl AuthServer {
    pub(crate) fn new(peer: Peer, rules: Rules, seed: u64) -> AuthServer {
        let mut rng = Rng::new(seed);
        AuthServer {
            peer,
            piece: rng.pick(&[1, 10, 1000, 100_000]),
            gap: rng.below(3),
            rng,
            rules,
            next_send: Tick::ZERO,
            wire: Vec::new(),
            unsent: Vec::new(),
            then: Then::GoOn,
            open: true,
        }
    }

    /// Returns true if it did anything. `let_in` has the time at which each path was first allowed.
    ///
    /// # Errors
    /// If a subrequest is wrong.
    pub(crate) fn act(
        &mut self,
        net: &mut SimNet,
        let_in: &mut BTreeMap<String, Tick>,
        now: Tick,
    ) -> Result<bool, String> {
        if !self.open {
            return Ok(false);
        }
        let mut moved = self.send(net, now);
        if !self.open {
            return Ok(true);
        }
        match net.hear(self.peer, self.rng.size(1, self.piece)) {
            Heard::Bytes(bytes) => {
                journal::note(|| {
                    format!("{now:?} {:?} (auth) hears {}", self.peer, bytes.escape_ascii())
                });
                self.wire.extend(bytes);
                moved = true;
            }
            Heard::Nothing => {}
            Heard::End | Heard::Reset => {
                net.leave(self.peer);
                self.open = false;
                return Ok(true);
            }
        }
        if self.then == Then::GoOn
            && self.unsent.is_empty()
            && let Some(head) = Head::parse(&self.wire)?
        {
            self.wire.drain(..head.length);
            if !self.wire.is_empty() {
                return Err("a question has a body, or another one behind it".to_owned());
            }
            self.answer(&head, let_in, now)?;
            moved = true;
        }
        Ok(moved)
    }

    fn send(&mut self, net: &mut SimNet, now: Tick) -> bool {
        if !self.unsent.is_empty() {
            if now < self.next_send {
                return false;
            }
            let most = self.rng.size(1, self.piece).min(self.unsent.len());
            let n = net.send(self.peer, &self.unsent[..most]);
            journal::note(|| {
                format!("{now:?} {:?} (auth) says {}", self.peer, self.unsent[..n].escape_ascii())
            });
            self.unsent.drain(..n);
            self.next_send = now.after(Duration::from_millis(self.gap));
            return n > 0;
        }
        match self.then {
            Then::GoOn | Then::Sleep => return false,
            Then::Close => net.leave(self.peer),
            Then::Reset => net.reset(self.peer),
        }
        self.open = false;
        true
    }

    fn answer(
        &mut self,
        head: &Head,
        let_in: &mut BTreeMap<String, Tick>,
        now: Tick,
    ) -> Result<(), String> {
        let uri = judge_question(head)?;
        let (standing, name) = Standing::of(head.get("authorization"));
        let is_alive = standing != Standing::Mortal || now < self.rules.revokes_at;
        let accepts = is_alive && standing != Standing::Bad;
        if !self.rules.is_kind && self.rng.chance(40) {
            self.fail();
            return Ok(());
        }
        let mut out = String::new();
        if self.rng.chance(10) {
            out += "HTTP/1.1 103 Early Hints\r\nX-User: early\r\n\r\n";
        }
        if accepts {
            let_in.entry(uri.to_owned()).or_insert(now);
            out += self.rng.pick(&["HTTP/1.1 200 OK\r\n", "HTTP/1.1 202 Accepted\r\n"]);
            for (field, value) in given(name) {
                out += &format!("{field}: {value}\r\nX_User: not this\r\n");
            }
            if self.rules.holds > 0 {
                out += &format!("Cache-Control: private, max-age={}\r\n", self.rules.holds);
            }
        } else {
            // Only two of these statuses end open streams.
            let is_open = standing == Standing::Mortal;
            let statuses = if is_open { &[401, 403][..] } else { &[401, 403, 302, 429] };
            let status = self.rng.pick(statuses);
            out += &format!("HTTP/1.1 {status} No\r\nX-User: nobody\r\nLocation: /login\r\n");
            out += "Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nWWW-Authenticate: Basic\r\n";
        }
        // A slow server has no time for long bodies.
        let most = if self.piece < 1000 || self.rules.is_tiny { 100 } else { 70_000 };
        let body = "x".repeat(self.rng.pick(&[0, 0, 5, 300, 70_000]).min(most));
        match self.rng.below(4) {
            0 => {
                out += &format!("Connection: close\r\n\r\n{body}");
                self.then = Then::Close;
            }
            1 if body.is_empty() => out += "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            1 => {
                let length = body.len();
                out +=
                    &format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n");
            }
            _ => out += &format!("Content-Length: {}\r\n\r\n{body}", body.len()),
        }
        self.unsent.extend(out.bytes());
        Ok(())
    }

    /// Fails in some way.
    fn fail(&mut self) {
        let (said, then) = self.rng.pick(&[
            ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nX-User: no\r\n\r\n", Then::GoOn),
            ("HTTP/1.1 503 Later\r\nContent-Length: 2\r\n\r\nno", Then::GoOn),
            ("HTTP/1.1 404 What\r\nContent-Length: 0\r\n\r\n", Then::GoOn),
            ("HTTP/1.1 302 Where\r\nContent-Length: 0\r\n\r\n", Then::GoOn),
            ("HTTP/1.1 101 Other\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n", Then::GoOn),
            ("HTTP/1.1 200 OK\r\nContent-Len", Then::Close),
            ("HTTP/1.1 200 OK\r\nX: ", Then::Reset),
            ("", Then::Close),
            ("", Then::Reset),
            ("", Then::Sleep),
            ("220 ready\r\n\r\n", Then::Close),
        ]);
        self.unsent.extend(said.bytes());
        self.then = then;
    }

    /// When it will act by itself.
    pub(crate) fn next(&self, now: Tick) -> Tick {
        let waits = self.open && !self.unsent.is_empty() && self.next_send > now;
        if waits { self.next_send } else { Tick::NEVER }
    }
}

/// True if a Host names the server.
fn is_host(host: Option<&str>) -> bool {
    matches!(host, Some("10.0.0.9" | "10.0.0.9:80"))
}

/// What must be true of every subrequest. Returns the path of the request that it is for.
fn judge_question(head: &Head) -> Result<&str, String> {
    if head.first_line != "GET /verify?a=b HTTP/1.1" || !is_host(head.get("host")) {
        return Err(format!("not what is asked for: {head:?}"));
    }
    let uri = head.get("x-forwarded-uri").ok_or("a question about nothing")?;
    let url = head.get("x-original-url").unwrap_or_default();
    let method = head.get("x-forwarded-method");
    if !url.ends_with(uri) || method.is_none() || method != head.get("x-original-method") {
        return Err(format!("a question about two things: {head:?}"));
    }
    let none = ["content-length", "transfer-encoding", "expect", "x-user", "x_user", "x.group"];
    match none.iter().find(|name| head.get(name).is_some()) {
        Some(name) => Err(format!("a question with {name}: {head:?}")),
        None => Ok(uri),
    }
}

/// The statuses with which a request is refused if it was denied or not decided.
pub(crate) const fn is_refusal(status: u16) -> bool {
    matches!(status, 302 | 401 | 403 | 429 | 503)
}
