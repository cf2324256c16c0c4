//! The configuration of a world, drawn as text that an operator might have written.

use super::loss::Loss;
use super::rates::{self, Pace};
use super::terms::{END, HEARTBEAT};
use super::{auth, front, health, room, sessions};
use millstream::testing::Tick;
use millstream::testing::rng::Rng;

/// The configuration of a world, and what will happen to it.
pub(crate) struct Draft {
    pub(crate) text: String,
    /// What may be served after a reload.
    pub(crate) other: String,
    /// The keys about health checks in both of them, which are removed in the end.
    pub(crate) checks: String,
    pub(crate) loss: Option<Loss>,
    pub(crate) drain_at: Option<Tick>,
    /// True if clients use TLS.
    pub(crate) secured: bool,
    /// True if there is a load balancer in front.
    pub(crate) fronted: bool,
    /// True if origins get a PROXY header on each connection.
    pub(crate) announces: bool,
    /// The limits on the rate of requests.
    pub(crate) paces: Vec<Pace>,
    /// The rules of the auth server, if there is one.
    pub(crate) auth: Option<auth::Rules>,
}

impl Draft {
    pub(crate) fn draw(seed: u64, rng: &mut Rng, fate: &mut Rng) -> Draft {
        // Each part has its own generator, so it does not affect the others.
        let of = |salt: u64| Rng::new(seed ^ salt);
        let mut text = draw_config(rng);
        if of(0x616c_6f6e).chance(5) {
            return health::decide_alone(&mut of(0x6865_616d), &text);
        }
        draw_events(&mut of(0x6265_6174), &mut text);
        let mut scarce = of(0x7175_6575);
        let [limits, other_limits] = [0, 0].map(|_| room::draw(&mut scarce));
        text += &limits;
        draw_tls(&mut of(0x746c_7321), &mut text);
        health::draw(&mut of(0x6865_616c), &mut text);
        let checks = health::draw_checks(&mut of(0x6865_616d));
        text += &checks;
        sessions::draw(&mut of(0x7365_7374), &mut text);
        let secured = draw_secured(&mut of(0x746c_7322), &mut text);
        let fronted = front::draw(&mut of(0x6672_6f6e), &mut text);
        let announces = front::draw_announced(&mut of(0x616e_6e6f), &mut text);
        let paces = rates::draw(&mut of(0x7261_7465), &mut text);
        let mut loss = Loss::draw(fate, &mut text);
        if let Some(loss) = &mut loss {
            text = text.replace(&checks, "");
            loss.config.apis.iter_mut().for_each(|api| api.health.checks = None);
        }
        let drain_at = draw_drain(&mut of(0x6472_6e21));
        if loss.is_none() && drain_at.is_none() {
            draw_kind(&mut of(0x6b69_6e64), &mut text);
        }
        let auth = if loss.is_none() { auth::draw(&mut of(0x6175_7468), &mut text) } else { None };
        let checks = if loss.is_none() { checks } else { String::new() };
        let mut other = text.replace(&limits, &other_limits);
        if secured {
            draw_other_terms(&mut of(0x746c_7324), &mut other);
        }
        Draft { text, other, checks, loss, drain_at, secured, fronted, announces, paces, auth }
    }
}

fn draw_drain(rng: &mut Rng) -> Option<Tick> {
    rng.chance(15).then(|| Tick::from_millis(rng.below(3000)))
}

/// Draws the kind of event streams, whatever their requests are. This is not for worlds that lose
/// something or drain, because those have endless clients, and the ends expected for these depend
/// on their requests.
fn draw_kind(rng: &mut Rng, text: &mut String) {
    if rng.chance(30) {
        *text += rng.pick(&["kind = \"answer\"\n", "kind = \"subscription\"\n"]);
    }
}

/// Origins that use TLS.
fn draw_tls(rng: &mut Rng, text: &mut String) {
    if rng.chance(40) {
        *text = text.replace("\"http:", "\"https:");
    }
}

/// Clients that use TLS. True if they do.
fn draw_secured(rng: &mut Rng, text: &mut String) -> bool {
    if !rng.chance(40) {
        return false;
    }
    let timeout = rng.pick(&["1s", "5s", "10s"]);
    let max = rng.pick(&[1, 2, 256, 256]);
    let asks = verify_client(rng.pick(&["off", "off", "optional", "require"]));
    let listen = "listen = [\"127.0.0.1:8080\"]";
    let listen_tls = format!("{listen}\nlisten_tls = [\"127.0.0.1:8443\"]\n{}", draw_redirect(rng));
    *text = text.replace(listen, &listen_tls);
    let tls = format!(
        "[tls]\nhandshake_timeout = \"{timeout}\"\nmax_handshakes = {max}\n\
         {asks}\
         [[tls.certificate]]\ncertificate = \"a\"\nkey = \"b\"\n[[api]]\n"
    );
    *text = text.replacen("[[api]]\n", &tls, 1);
    true
}

/// Clients without TLS may be redirected to the TLS listener.
fn draw_redirect(rng: &mut Rng) -> &'static str {
    match rng.chance(50) {
        true => {
            rng.pick(&["redirect_to_https = true", "redirect_to_https = \"https://other.example\""])
        }
        false => "",
    }
}

/// After a reload clients may have to show another certificate.
fn draw_other_terms(rng: &mut Rng, text: &mut String) {
    let Some((before, rest)) = text.split_once("verify_client = ").filter(|_| rng.chance(50))
    else {
        return;
    };
    let rest = rest.split_once("[[tls.certificate]]").map_or("", |(_, rest)| rest);
    let asks = verify_client(rng.pick(&["off", "optional", "require"]));
    *text = format!("{before}{asks}[[tls.certificate]]{rest}");
}

/// The lines that say whether clients are asked for a certificate.
fn verify_client(verify: &str) -> String {
    let ca = if verify == "off" { "" } else { "client_ca = \"c\"\n" };
    format!("verify_client = \"{verify}\"\n{ca}")
}

fn draw_config(rng: &mut Rng) -> String {
    let flush = rng.pick(&["0s", "0s", "1ms", "20ms", "70ms"]);
    let head = rng.pick(&[1, 4, 16]);
    let pool = rng.pick(&[0, 1, 32]);
    let two = "[\"http://10.0.0.1\", \"http://10.0.0.2\"]";
    let targets = rng.pick(&["\"http://10.0.0.1\"", two]);
    let retry_on = rng.pick(&[
        r#"["connect"]"#,
        r#"["connect"]"#,
        "[]",
        r#"["502", "503"]"#,
        r#"["connect", "timeout", "first_event_timeout", "429", "502", "503", "504"]"#,
    ]);
    let retry_body = rng.pick(&[0, 10, 5000]);
    let heartbeat = rng.pick(&["0s", "1ms", "7ms", "100ms", "15s"]);
    let silence = rng.pick(&["0s", "0s", "20s"]);
    let [first_event, stall] = [0, 0].map(|_| rng.pick(&["0s", "0s", "20s"]));
    let age = rng.pick(&["0s", "0s", "0s", "50ms", "2s"]);
    let event_max = rng.pick(&[1024, 1024, 1_000_000]);
    let on_outage = rng.pick(&["error", "error", "retry", "hold"]);
    let [max, max_per_ip] = [0, 0].map(|_| rng.pick(&[0, 0, 0, 0, 1, 2]));
    let resume = rng.pick(&["false", "false", "true", "\"always\""]);
    format!(
        r#"
        [server]
        listen = ["127.0.0.1:8080"]
        flush_interval = "{flush}"
        read_timeout = "{}s"
        write_timeout = "{}s"
        keepalive_timeout = "{}s"
        max_head_bytes = "{head}KiB"
        [[api]]
        name = "a"
        listen_path = "/"
        target_url = {targets}
        keepalive_upstream = {pool}
        retry_on = {retry_on}
        retry_body = {retry_body}
        connect_timeout = "{}s"
        response_timeout = "{}s"
        stream_response_timeout = "{}s"
        first_event_timeout = "{first_event}"
        stall_timeout = "{stall}"
        idle_timeout = "{}s"
        heartbeat = "{heartbeat}"
        stream_idle_timeout = "{silence}"
        max_stream_age = "{age}"
        max_event_bytes = {event_max}
        on_outage = "{on_outage}"
        resume = {resume}
        resume_timeout = "20s"
        max_streams = {max}
        max_streams_per_ip = {max_per_ip}
        "#,
        rng.between(10, 30),
        rng.between(10, 30),
        if rng.chance(50) { 4000 } else { rng.between(1, 80) },
        rng.between(5, 10),
        rng.between(10, 60),
        rng.between(10, 60),
        rng.between(10, 60),
    )
}

/// Draws the events that the proxy may insert, and whether streams may be compressed or get an
/// early response. Without heartbeats, no heartbeat is an event; if streams may be resumed, held or
/// get an early response, none is compressed.
fn draw_events(rng: &mut Rng, text: &mut String) {
    // Sending an event each millisecond, byte by byte, would exceed the turns allowed for a world.
    let rare =
        ["0s", "1ms"].iter().all(|every| !text.contains(&format!("heartbeat = \"{every}\"")));
    if rng.chance(40) && rare {
        *text += &format!("heartbeat_event = {HEARTBEAT:?}\n");
    }
    if rng.chance(40) {
        *text += &format!("end_event = {END:?}\n");
    }
    let early = rng.pick(&["0s", "0s", "0s", "1ms", "10ms"]);
    *text += &format!("early_answer = \"{early}\"\n");
    let readable = ["resume = true", "resume = \"always\"", "on_outage = \"hold\""];
    let readable = readable.iter().any(|line| text.contains(line)) || early != "0s";
    if rng.chance(40) && !readable {
        *text += "compression = \"pass\"\n";
    }
}
