//! Transcripts of conversations in virtual time: `tests/golden/*/*.txt`, a folder for each topic.
//!
//! A file begins with sentences (`#`) that say what it shows, may have a configuration between two
//! lines of `---` (with the key file after `--- keys.toml`), and continues with the conversation.
//! Lines with `>` are sent by a peer, lines with `<` are received by it; a `\r\n` at the end of a
//! line is sent, the line's own end is not. The runner sends the `>` lines at their times and
//! compares everything that is received and logged with the file:
//!
//! ```text
//! t=0    client > GET /events/ HTTP/1.1\r\n
//!                 Host: a\r\n
//!                 \r\n
//! t=0    origin < ...
//! t=2s   client leaves
//! ```
//!
//! Other lines:
//!
//! ```text
//! t=1s   client connects | stops reading | reads on | leaves | resets
//! t=1s   tls connects behind BYTES  (which come before anything else)
//! t=1s   client finishes            (shuts down its side and keeps reading)
//! t=1s   client finishes with BYTES (sends them and shuts down its side, in one segment)
//! t=1s   origin truncates           (like leaves, but without close_notify if it uses TLS)
//! t=1s   tls announces its end      (sends close_notify, and does not shut down its side)
//! t=1s   tls changes its keys
//! t=1s   net ADDRESS listens | refuses | is silent | is unreachable
//! t=1s   net ADDRESS speaks plainly (although https is expected)
//! t=1s   net ADDRESS shows good | expired | foreign | misnamed | revoked | odd  (a certificate)
//! t=1s   net clients show none | good | brief | ...  (their certificate, if it is asked for)
//!                                   (whose issuer is foreign, unless client_ca is foreign.pem; a
//!                                   good one is revoked if client_crl is revokes-good.pem)
//! t=1s   net has no descriptors | has descriptors
//! t=1s   names NAME are ADDRESS ADDRESS  (what the name server knows)
//! t=1s   names NAME are none
//! t=1s   clock moves forward TIME   (the wall clock is set)
//! t=1s   proxy drains               (as the configuration says)
//! t=1s   proxy drains WINDOW        (without a delay, and all has this long)
//! t=1s   proxy ends                 (as at a second signal)
//! t=1s   proxy reloads without NAME  (a configuration in which that api is not active, or that key
//!                                     not known)
//! t=1s   proxy reloads with LINE     (a configuration in which the line of that key is this one)
//! t=1s   end                        (only lets time pass)
//! ```
//!
//! Further clients are `client2` and so on; each connects where it is first named. `admin`,
//! `admin2` and so on are clients of the admin listener, `probe` of the one for probes, and `demo`
//! of the built-in event source. `tls` uses TLS at a TLS listener, and `plain` uses plain HTTP
//! there. The connections made by the proxy are `origin`, `origin2` and so on, in the order in
//! which they are made. In the text, `\r`, `\n`, `\\` and `\xNN` have their usual meaning, and
//! `b\*500;` is 500 times b.
//!
//! `make golden` rewrites what is received and logged; review the diff.

mod around;
mod diagram;
mod text;

use crate::journal;
use crate::tidy::files_below;
use millstream::Config;
use millstream::testing::sim::{Faults, Heard, Host, Peer, SimNet};
use millstream::testing::tls::RevocationLists;
use millstream::testing::toy::{self, Asks, Shows};
use millstream::testing::world::{PLAIN, World};
use millstream::testing::{Address, Budget, KeysText, ListenerId, Portions, Readers, Tick};
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use text::{difference, escape, parse_time, print_time, unescape};

/// The listener of the proxy's apis; see [`millstream::testing::world::PORTS`].
const APIS: ListenerId = ListenerId(0);

/// The listener of the built-in event source.
const DEMO: ListenerId = ListenerId(1);

/// The admin listener.
const ADMIN: ListenerId = ListenerId(2);

/// The TLS listener of the proxy's apis.
const TLS: ListenerId = ListenerId(3);

/// The listener for probes.
const PROBES: ListenerId = ListenerId(4);

#[test]
fn transcripts() {
    let (folder, mut failed) = (folder(), Vec::new());
    for file in files() {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(&folder).unwrap().display();
        let got = play(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
        if got == text {
            continue;
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, got).unwrap();
        } else {
            failed.push(format!("{name}:\n{}", difference(&text, &got)));
        }
    }
    let how = "`make golden` rewrites them";
    assert!(failed.is_empty(), "{}\n{how}", failed.join("\n"));
}

/// A transcript whose configuration sets an event of the proxy's own shows that a client gets it,
/// or its first sentences name the key, to say why not.
#[test]
fn events_that_are_configured_are_shown() {
    let mut shown = 0;
    for file in files() {
        let text = fs::read_to_string(&file).unwrap();
        let script = Script::parse(&text).unwrap();
        let sentences = script.prologue.split("\n---\n").next().unwrap();
        for line in script.config.lines() {
            let Some((key, value)) = line.split_once(" = \"") else { continue };
            if !["gap_event", "end_event", "heartbeat_event"].contains(&key) {
                continue;
            }
            let first = value.trim_end_matches('"').split("\\n").next().unwrap();
            let is_shown = received(&text).any(|line| line.starts_with(first));
            assert!(is_shown || sentences.contains(key), "{}: no {key}", file.display());
            shown += usize::from(is_shown);
        }
    }
    assert!(shown > 10, "{shown}");
}

/// The lines that a client receives.
fn received(text: &str) -> impl Iterator<Item = &str> {
    let (_, conversation) = text.rsplit_once("\n---\n").unwrap_or(("", text));
    let mut is_received = false;
    conversation.lines().filter_map(move |line| {
        if line.starts_with(' ') {
            return is_received.then(|| line.trim_start());
        }
        let (head, said) = line.split_once(" < ").unwrap_or((line, ""));
        is_received = !said.is_empty() && !head.contains(" origin");
        is_received.then_some(said)
    })
}

/// Where the transcripts are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// All transcripts, in order.
pub(crate) fn files() -> Vec<PathBuf> {
    let files = files_below(&folder());
    assert!(!files.is_empty(), "no transcripts in {}", folder().display());
    let is_astray = |file: &PathBuf| file.parent() == Some(&folder());
    assert_eq!(files.iter().find(|file| is_astray(file)), None, "not in the folder of a topic");
    files
}

/// The concatenation of all transcripts.
pub(crate) fn texts() -> String {
    files().into_iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// Plays a transcript. Returns it with what was actually received and logged.
pub(crate) fn play(text: &str) -> Result<String, String> {
    let script = Script::parse(text)?;
    let mut stage = Stage::new(&script.config)?;
    stage.out = script.prologue.clone();
    journal::start();
    for cue in &script.cues {
        stage.run_until(cue.at)?;
        for comment in &cue.comments {
            let _ = writeln!(stage.out, "{comment}");
        }
        stage.perform(cue)?;
        stage.settle()?;
    }
    Ok(stage.out)
}

/// Something that happens at a given time.
struct Cue {
    at: Tick,
    comments: Vec<String>,
    who: String,
    deed: Deed,
}

enum Deed {
    /// A `>` line and its continuation: the bytes, and their notation in the file.
    Says { bytes: Vec<u8>, written: Vec<String> },
    /// Any other line.
    Does(String),
}

struct Script {
    prologue: String,
    config: String,
    cues: Vec<Cue>,
}

impl Script {
    fn parse(text: &str) -> Result<Script, String> {
        let mut lines = text.lines().peekable();
        let (mut prologue, mut config) = (String::new(), String::new());
        while let Some(line) = lines.next_if(|l| l.starts_with('#') || l.is_empty()) {
            let _ = writeln!(prologue, "{line}");
        }
        if !prologue.starts_with("# ") {
            return Err("a transcript begins with a sentence that says what it shows".to_owned());
        }
        if lines.next_if_eq(&"---").is_some() {
            let body: Vec<&str> = lines.by_ref().take_while(|l| *l != "---").collect();
            config = body.join("\n");
            let _ = writeln!(prologue, "---\n{config}\n---");
            while lines.next_if(|l| l.is_empty()).is_some() {
                prologue.push('\n');
            }
        }
        Ok(Script { prologue, config, cues: Script::cues(lines)? })
    }

    fn cues<'t, L: Iterator<Item = &'t str>>(lines: L) -> Result<Vec<Cue>, String> {
        let (mut cues, mut comments) = (Vec::<Cue>::new(), Vec::new());
        let mut continues = false;
        for line in lines {
            if line.starts_with('#') || line.is_empty() {
                comments.push(line.to_owned());
                continues = false;
            } else if line.starts_with(' ') {
                let deed = cues.last_mut().filter(|_| continues).map(|cue| &mut cue.deed);
                if let Some(Deed::Says { bytes, written }) = deed {
                    bytes.extend(unescape(line.trim_start())?);
                    written.push(line.trim_start().to_owned());
                }
            } else {
                let cue = Cue::parse(line)?;
                continues = cue.is_some();
                if let Some(mut cue) = cue {
                    cue.comments = std::mem::take(&mut comments);
                    cues.push(cue);
                }
            }
        }
        Ok(cues)
    }
}

impl Cue {
    /// None for lines that were received or logged, because those are the result.
    fn parse(line: &str) -> Result<Option<Cue>, String> {
        let wrong = || format!("not understood: {line}");
        let (at, rest) = line.split_once(' ').ok_or_else(wrong)?;
        let at = at.strip_prefix("t=").and_then(parse_time).ok_or_else(wrong)?;
        let rest = rest.trim_start();
        let (who, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let rest = rest.trim_start();
        if who == "log" || who == "access" || rest.starts_with('<') {
            return Ok(None);
        }
        let deed = match rest.strip_prefix("> ") {
            Some(text) => Deed::Says { bytes: unescape(text)?, written: vec![text.to_owned()] },
            None => Deed::Does(rest.to_owned()),
        };
        Ok(Some(Cue { at, comments: Vec::new(), who: who.to_owned(), deed }))
    }
}

/// The proxy and all of its peers.
struct Stage {
    world: World,
    config: String,
    /// The actors of each kind, in the order of their creation.
    actors: [(&'static str, Vec<Actor>); 7],
    addresses: Vec<SocketAddr>,
    budget: Budget,
    /// What the next client sends before anything else.
    preface: Vec<u8>,
    out: String,
}

/// A valid revocation list. Only its presence matters.
const LIST: &[u8] = b"-----BEGIN X509 CRL-----\n\
    MCcwJQIBATAAMAAXDTI2MDEwMTAwMDAwMFoXDTQ5MTIzMTIzNTk1OVo=\n\
    -----END X509 CRL-----\n";

fn parse(config: &str) -> Result<Config, String> {
    let (config, keys) = config.split_once("--- keys.toml\n").unwrap_or((config, ""));
    let mut config = Config::parse("golden", config).map_err(|e| e.to_string())?;
    let file = |bytes: &str| KeysText {
        name: "keys".to_owned(),
        bytes: bytes.into(),
        readers: Readers::Few,
    };
    config.load_keys(|_| Ok(file(keys))).map_err(|e| e.to_string())?;
    config.secure(|_| Ok(toy::client())).map_err(|e| e.to_string())?;
    let asks = config.tls.verify_client.as_mut().map(|asks| {
        // No file is read. The name of a file represents its content.
        asks.authorities = asks.client_ca.clone().into_bytes();
        let is_foreign = asks.client_ca == "foreign.pem";
        let accepts = if is_foreign { Shows::Foreign } else { Shows::Good };
        let revokes = asks.client_crl.as_ref().filter(|file| *file == "revokes-good.pem");
        asks.revoked = asks.client_crl.as_ref().map(|_| RevocationLists::read(LIST).unwrap());
        Asks { optional: asks.optional, accepts, revokes: revokes.map(|_| Shows::Good) }
    });
    config.tls.server = Some(toy::server(asks));
    Ok(config)
}

/// The far end of a connection: a client, or an origin.
struct Actor {
    peer: Peer,
    /// Its connection has ended: nothing more is received.
    ended: bool,
    /// It does not read at present.
    deaf: bool,
}

impl Actor {
    fn new(peer: Peer) -> Actor {
        Actor { peer, ended: false, deaf: false }
    }

    /// What it receives: bytes, and the end of the connection once it has come.
    fn hear(&mut self, net: &mut SimNet) -> (Vec<u8>, Option<&'static str>) {
        let mut bytes = Vec::new();
        let end = loop {
            match net.hear(self.peer, usize::MAX) {
                Heard::Bytes(more) => bytes.extend(more),
                Heard::Nothing => return (bytes, None),
                Heard::End => break "END",
                Heard::Reset => break "RESET",
            }
        };
        self.ended = true;
        (bytes, Some(end))
    }
}

/// The hosts that a configuration names, and whether they speak TLS.
fn hosts_of(config: &Config) -> Vec<(SocketAddr, bool)> {
    let tcp = |address: &Address| match address {
        Address::Tcp(address) => Some(*address),
        Address::Unix(_) => None,
    };
    let targets = config.apis.iter().flat_map(|api| {
        let asked = api.forward_auth.iter().flat_map(|auth| &auth.target);
        api.targets.iter().chain(asked)
    });
    targets.flat_map(|t| t.addresses.iter().filter_map(tcp).map(|at| (at, t.is_secure))).collect()
}

impl Stage {
    fn new(config: &str) -> Result<Stage, String> {
        let text = if config.is_empty() { PLAIN } else { config };
        toy::begin();
        let config = parse(text)?;
        let hosts = hosts_of(&config);
        let budget = Budget::unlimited(config.server.max_connections.unwrap_or(1000));
        let world = World::within(budget, config, 0, Faults::NONE, Portions::default());
        let (config, out) = (text.to_owned(), String::new());
        let kinds = ["client", "admin", "probe", "demo", "tls", "plain", "origin"];
        let actors = kinds.map(|kind| (kind, Vec::new()));
        let (addresses, preface) = (Vec::new(), Vec::new());
        let mut stage = Stage { world, config, actors, addresses, budget, preface, out };
        stage.meet(hosts);
        stage.world.settle()?;
        Ok(stage)
    }

    fn perform(&mut self, cue: &Cue) -> Result<(), String> {
        match &cue.deed {
            Deed::Says { bytes, written } => {
                self.print(cue.at, &cue.who, '>', written);
                self.say(&cue.who, bytes)
            }
            Deed::Does(what) => {
                let line = format!("{:<7} {} {what}", print_time(cue.at), cue.who);
                let _ = writeln!(self.out, "{}", line.trim_end());
                match cue.who.as_str() {
                    "end" => Ok(()),
                    "proxy" => self.command(cue.at, what),
                    "net" => self.change_net(what),
                    "names" => self.change_names(what),
                    "clock" => self.set_clock(what),
                    who => self.act(who, what),
                }
            }
        }
    }

    fn say(&mut self, who: &str, bytes: &[u8]) -> Result<(), String> {
        let peer = self.actor(who)?.peer;
        let sent = self.world.net().send(peer, bytes);
        if sent < bytes.len() {
            return Err(format!("{who} could send only {sent} bytes"));
        }
        Ok(())
    }

    fn act(&mut self, who: &str, what: &str) -> Result<(), String> {
        if let Some(text) = what.strip_prefix("finishes with ") {
            self.say(who, &unescape(text)?)?;
            return self.act(who, "finishes");
        }
        if let Some(text) = what.strip_prefix("connects behind ") {
            self.preface = unescape(text)?;
            return self.act(who, "connects");
        }
        let actor = self.actor(who)?;
        let peer = actor.peer;
        match what {
            "connects" => {}
            "stops reading" => actor.deaf = true,
            "reads on" => actor.deaf = false,
            "finishes" => self.world.net().finish(peer),
            "announces its end" => self.world.net().announce_end(peer),
            "changes its keys" => self.world.net().change_keys(peer),
            "leaves" => {
                actor.ended = true;
                self.world.net().leave(peer);
            }
            "truncates" => {
                actor.ended = true;
                self.world.net().truncate(peer);
            }
            "resets" => {
                actor.ended = true;
                self.world.net().reset(peer);
            }
            other => return Err(format!("nobody can do this: {other}")),
        }
        Ok(())
    }

    fn command(&mut self, at: Tick, what: &str) -> Result<(), String> {
        if let Some(name) = what.strip_prefix("reloads without ") {
            let mut config = parse(&self.config)?;
            for api in &mut config.apis {
                api.active &= api.name != name;
                if let Some(auth) = &mut api.auth {
                    auth.keys =
                        auth.keys.iter().filter(|key| *key.name != *name).cloned().collect();
                }
            }
            self.world.proxy.reload(config, self.budget, at);
            return Ok(());
        }
        if let Some(line) = what.strip_prefix("reloads with ") {
            let key = |line: &str| line.split(" = ").next().unwrap_or_default().to_owned();
            let lines =
                self.config.lines().map(|old| if key(old) == key(line) { line } else { old });
            let changed = lines.collect::<Vec<_>>().join("\n");
            if changed == self.config {
                return Err(format!("{line}: that is so already, or there is no such line"));
            }
            let config = parse(&changed)?;
            self.meet(hosts_of(&config));
            self.world.proxy.reload(config, self.budget, at);
            self.config = changed;
            return Ok(());
        }
        match what {
            "drains" => self.world.proxy.drain(at),
            "ends" => self.world.proxy.end(at),
            _ => {
                let window = what.strip_prefix("drains ").and_then(parse_time);
                self.world.drain_within(window.ok_or("drains WINDOW")?.since(Tick::ZERO));
            }
        }
        Ok(())
    }

    /// Creates the hosts that do not exist yet.
    fn meet(&mut self, hosts: Vec<(SocketAddr, bool)>) {
        for (address, is_secure) in hosts {
            if !self.addresses.contains(&address) {
                self.addresses.push(address);
                self.world.net().set_host(address, Host::Listening);
                self.world.net().secure(address, is_secure.then_some(Shows::Good));
            }
        }
    }

    /// The actor with this name. A client is created when it is first named.
    fn actor(&mut self, name: &str) -> Result<&mut Actor, String> {
        let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = match &name[kind.len()..] {
            "" => 1,
            digits => digits.parse::<usize>().map_err(|e| format!("{name}: {e}"))?,
        };
        let (listener, from) = match kind {
            "admin" => (ADMIN, "127.0.0.1"),
            "probe" => (PROBES, "192.0.2.9"),
            "demo" => (DEMO, "127.0.0.1"),
            "tls" | "plain" => (TLS, "192.0.2.7"),
            _ => (APIS, "192.0.2.7"),
        };
        let place = self.actors.iter().position(|(known, _)| *known == kind);
        let place = place.ok_or_else(|| format!("who is {name}?"))?;
        if kind != "origin" && number == self.actors[place].1.len() + 1 {
            let (net, from) = (self.world.net(), from.parse().ok());
            let peer = match kind {
                "tls" => net.secured_client(listener, from),
                _ => net.client(listener, from),
            };
            let peer = peer.ok_or("the proxy does not listen any more")?;
            net.inject(peer, &std::mem::take(&mut self.preface));
            self.actors[place].1.push(Actor::new(peer));
            if kind == "tls" {
                // The handshake is complete before the client sends anything.
                self.world.settle()?;
            }
        }
        let index = number.checked_sub(1).ok_or("the first has no number")?;
        self.actors[place].1.get_mut(index).ok_or_else(|| format!("no connection for {name}"))
    }

    /// Advances the clock to `at`, stopping wherever the proxy wants to be called.
    fn run_until(&mut self, at: Tick) -> Result<(), String> {
        while self.world.wake() < at {
            let next = self.world.wake().max(self.world.now);
            self.world.advance_to(next);
            self.settle()?;
        }
        self.world.advance_to(at.max(self.world.now));
        self.settle()
    }

    fn settle(&mut self) -> Result<(), String> {
        loop {
            self.world.settle()?;
            for &address in &self.addresses {
                while let Some(peer) = self.world.net().origin(address) {
                    let Some((_, origins)) = self.actors.last_mut() else { break };
                    origins.push(Actor::new(peer));
                }
            }
            if !self.listen() {
                break;
            }
        }
        let time = print_time(self.world.now);
        for line in journal::take() {
            let _ = writeln!(self.out, "{time:<7} log {line}");
        }
        for line in self.world.access.lines() {
            // The transcript's own time comes first already.
            let line =
                line.strip_prefix("time=").and_then(|l| l.split_once(' ')).map_or(line, |l| l.1);
            let _ = writeln!(self.out, "{time:<7} access {line}");
        }
        self.world.access.clear();
        Ok(())
    }

    /// Prints what all actors receive. False if they receive nothing.
    fn listen(&mut self) -> bool {
        let mut heard = Vec::new();
        let net = self.world.net();
        for (kind, actors) in &mut self.actors {
            for (number, actor) in (1..).zip(actors).filter(|(_, a)| !a.ended && !a.deaf) {
                let name = if number == 1 { (*kind).to_owned() } else { format!("{kind}{number}") };
                let (bytes, end) = actor.hear(net);
                if !bytes.is_empty() || end.is_some() {
                    heard.push((name, bytes, end));
                }
            }
        }
        for (name, bytes, end) in &heard {
            if !bytes.is_empty() {
                self.print(self.world.now, name, '<', &escape(bytes));
            }
            if let Some(end) = end {
                let _ = writeln!(self.out, "{:<7} {name} < {end}", print_time(self.world.now));
            }
        }
        !heard.is_empty()
    }

    fn print(&mut self, at: Tick, who: &str, direction: char, lines: &[String]) {
        let first = format!("{:<7} {who} {direction} ", print_time(at));
        let rest = " ".repeat(first.len());
        for (index, line) in lines.iter().enumerate() {
            let indent = if index == 0 { &first } else { &rest };
            let _ = writeln!(self.out, "{indent}{line}");
        }
    }
}
