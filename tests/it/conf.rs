//! Configuration files from a user's point of view: what they configure, what errors they give, and
//! whether the files in conf/ do what their comments say.

mod access;
mod shared;
mod targets;
mod tyk;

use millstream::testing::{
    Address, Api, Changes, Clients, Compression, Demo, Drain, Form, Health, ListenAddr, OnOutage,
    Resume, RetryOn, Server, Streams, TrustedProxies, UpstreamTls, Workers,
};
use millstream::{Config, resolver};
use std::path::{Path, PathBuf};
use std::time::Duration;

const EVERY_KEY: &str = include_str!("../../conf/millstream.toml");
const MINIMAL: &str = include_str!("../../conf/minimal.toml");
const DEMO: &str = include_str!("../../conf/demo.toml");
const TLS_DEMO: &str = include_str!("../../conf/tls.toml");

const WRONG: &str = include_str!("conf/wrong.txt");

/// An api in four lines. Text after it begins in line 5.
const API: &str = "\
[[api]]
name = 'a'
listen_path = '/'
target_url = 'http://127.0.0.1:8000'
";

fn parse(text: &str) -> Config {
    Config::parse("x.toml", text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn errors(text: &str) -> String {
    match Config::parse("x.toml", text) {
        Ok(_) => panic!("nothing is wrong with this:\n{text}"),
        Err(errors) => errors.to_string(),
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Everything that a configuration says, as text for comparisons.
fn everything(config: &Config) -> String {
    let Config { server, tls, drain, log, admin, demo, apis, .. } = config;
    format!("{server:#?}\n{tls:?}\n{drain:?}\n{log:?}\n{admin:?}\n{demo:?}\n{apis:#?}")
}

fn default_server() -> Server {
    Server {
        reload_on_change: false,
        sandbox: false,
        sandbox_folders: vec![],
        listen: vec![ListenAddr::Tcp("127.0.0.1:8080".parse().unwrap())],
        listen_tls: vec![],
        redirect_to_https: None,
        read_timeout: seconds(10),
        body_timeout: seconds(60),
        write_timeout: seconds(30),
        keepalive_timeout: seconds(75),
        flush_interval: None,
        upgrade: vec!["websocket".to_owned()],
        max_connections: None,
        max_head_bytes: 16384,
        max_head_fields: 100,
        max_target_bytes: 8192,
        max_body_bytes: None,
        max_held_bytes: 64 << 20,
        trusted_proxies: TrustedProxies::default(),
        proxy_protocol: vec![],
        forwarded_https: vec![],
        reuse_port: false,
        workers: Workers::Number(1),
        user: None,
    }
}

fn default_streams() -> Streams {
    Streams {
        kind: None,
        always: false,
        response_timeout: None,
        first_event_timeout: None,
        early_answer: None,
        stall_timeout: None,
        idle_timeout: None,
        heartbeat: Some(seconds(15)),
        heartbeat_event: None,
        end_event: None,
        compression: Compression::Strip,
        max_age: None,
        event_max: 1 << 20,
        anti_buffering: true,
        on_outage: OnOutage::Error,
        rates_are_errors: false,
        resume: Resume::Never,
        resume_timeout: seconds(60),
        max: None,
        max_per_ip: None,
    }
}

#[test]
fn defaults() {
    let config = parse(MINIMAL);
    assert_eq!(config.server, default_server());
    let [delay, window, answers, retry_min, retry_max] = [0, 30, 30, 1, 10].map(seconds);
    assert_eq!(config.drain, Drain { delay, window, answers, retry_min, retry_max });
    assert_eq!(config.log.level, log::LevelFilter::Info);
    assert_eq!((config.log.format, config.log.access), (Form::Text, Some(Form::Text)));
    let json = parse(&format!("[log]\nformat = 'json'\n{API}")).log;
    assert_eq!((json.format, json.access), (Form::Json, Some(Form::Json)));
    assert_eq!((config.admin, config.demo), (None, None));
    let Ok([api]) = <[Api; 1]>::try_from(config.apis) else { panic!("not one api") };
    let want = Api {
        name: "events".to_owned(),
        active: true,
        hosts: vec![],
        listen_path: String::new(),
        strip_listen_path: false,
        targets: api.targets.clone(),
        upstream_tls: UpstreamTls::default(),
        preserve_host_header: false,
        host_header: None,
        rewrite_redirects: false,
        connect_timeout: seconds(5),
        response_timeout: Some(seconds(60)),
        idle_timeout: Some(seconds(60)),
        tunnel_idle_timeout: None,
        keepalive_upstream: 1024,
        send_proxy: false,
        max_upstream: None,
        queue_timeout: seconds(5),
        retry_on: RetryOn::CONNECT,
        retry_body: 0,
        sticky: None,
        share: None,
        health: Health {
            max_fails: Some(1),
            fail_timeout: seconds(10),
            checks: None,
            has_vain_keys: false,
        },
        streams: default_streams(),
        clients: Clients::default(),
        client_certificate: false,
        auth: None,
        forward_auth: None,
        request_headers: Changes::default(),
        response_headers: Changes::default(),
        cors: None,
    };
    assert_eq!(api, want);
    assert_eq!(api.target().to_string(), "http://127.0.0.1:8000/");
    assert_eq!(api.target().addresses, [Address::Tcp("127.0.0.1:8000".parse().unwrap())]);
}

/// Each line of conf/millstream.toml that sets a key can be removed without any effect, except
/// where its comment says otherwise.
#[test]
fn the_commented_file_has_the_defaults() {
    let whole = everything(&parse(EVERY_KEY));
    let lines: Vec<&str> = EVERY_KEY.lines().collect();
    let mut comment = String::new();
    for (n, line) in lines.iter().enumerate() {
        match line.strip_prefix('#') {
            Some(text) => comment.push_str(text),
            None if line.is_empty() => comment.clear(),
            None => {}
        }
        let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        assert!(!comment.is_empty(), "{key} has no comment");
        let without = [&lines[..n], &lines[n + 1..]].concat().join("\n");
        match Config::parse("x.toml", &without) {
            Ok(config) if comment.contains("No default") => {
                assert_ne!(everything(&config), whole, "{key} has a default");
            }
            Ok(config) => assert_eq!(everything(&config), whole, "{key}"),
            Err(errors) => {
                assert!(comment.contains("Required"), "{errors}");
                assert!(errors.to_string().contains(&format!("{key}: missing; write {key} = ")));
            }
        }
        comment.clear();
    }
}

/// The file has every key that the error for an unknown key lists.
#[test]
fn the_commented_file_has_every_key() {
    let mut asked = 0;
    let whole = format!("\n{EVERY_KEY}");
    let tables = ["server", "tls", "[tls.certificate]", "drain", "log", "admin", "demo", "[api]"];
    let tables = tables.into_iter().chain([
        "api.sticky",
        "api.share",
        "api.auth",
        "api.request_headers",
        "api.response_headers",
        "api.cors",
    ]);
    let headers = tables.map(|table| format!("\n[{table}]\n"));
    for header in ["\n".to_owned()].into_iter().chain(headers) {
        let (before, section) = whole.split_once(&header).unwrap();
        let errors = errors(&format!("{before}{header}xyzzy_xyzzy = 1\n{section}"));
        let (_, keys) = errors.split_once("unknown key; the keys of this table are ").unwrap();
        let end = section.find("\n[").unwrap_or(section.len());
        for key in keys.split(", ") {
            let there = match header.as_str() {
                "\n" => {
                    section.contains(&format!("\n[{key}]\n"))
                        || section.contains(&format!("\n[[{key}]]\n"))
                }
                _ if section.contains(&format!("\n[api.{key}]\n")) => true,
                "\n[api.auth]\n" if section.contains(&format!("\n[api.auth.{key}]\n")) => true,
                "\n[tls]\n" if section.contains(&format!("\n[[tls.{key}]]\n")) => true,
                _ => section[..end].contains(&format!("\n{key} = ")),
            };
            assert!(there, "{header} {key} is not in conf/millstream.toml");
            asked += 1;
        }
    }
    assert!(asked > 70, "{asked}");
}

#[test]
fn what_the_files_in_conf_do() {
    let every_key = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/millstream.toml");
    let config = Config::load(Path::new(every_key)).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.apis[0].auth.as_ref().map(|auth| auth.keys.len()), Some(2));
    let summary = |text| {
        let mut config = parse(text);
        resolver::resolve(&mut config);
        config.summary()
    };
    assert_eq!(
        summary(MINIMAL),
        "listening on 127.0.0.1:8080\n  / -> http://127.0.0.1:8000/ (events)\n",
    );
    assert_eq!(
        summary(DEMO),
        "\
listening on 127.0.0.1:8080
  /sse/ -> http://127.0.0.1:8000/ (clock, listen path stripped)
admin listener on http://127.0.0.1:9090/
demo event source on http://127.0.0.1:8000/events/
try: curl -N http://127.0.0.1:8080/sse/events/
",
    );
    assert_eq!(
        summary(TLS_DEMO),
        "\
listening on 127.0.0.1:8080
listening with TLS on 127.0.0.1:8443
  /sse/ -> http://127.0.0.1:8000/ (clock, listen path stripped)
admin listener on http://127.0.0.1:9090/
demo event source on http://127.0.0.1:8000/events/
try: curl -Nk https://127.0.0.1:8443/sse/events/
",
    );
    assert_eq!(
        summary(EVERY_KEY),
        "\
listening on 127.0.0.1:8080
  a.example/sse/ -> http://127.0.0.1:8000/ (clock, key required)
admin listener on http://127.0.0.1:9090/
demo event source on http://127.0.0.1:8000/events/
",
    );
}

/// Service managers and orchestrators wait for the process at least as long as a drain with the
/// defaults takes.
#[test]
fn stop_timeouts_are_long_enough() {
    let timeout = |text| parse(&format!("{text}\n{MINIMAL}")).drain.stop_timeout();
    assert_eq!(timeout("drain.delay = '5s'\ndrain.window = '1m'"), seconds(75));
    assert_eq!(timeout("drain.answers = '10m'"), seconds(610));
    let default = timeout("").as_secs();
    let file = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(path).unwrap()
    };
    for (path, line) in [
        ("conf/millstream.service", format!("\nTimeoutStopSec={default}s\n")),
        ("conf/openwrt/millstream.init", format!(" term_timeout {default}\n")),
        ("Dockerfile", format!(" --stop-timeout {default} ")),
    ] {
        assert!(file(path).contains(&line), "{path} has no {line:?}");
    }
}

/// The summary suggests a URL of the demo, unless there is none.
#[test]
fn the_summary_suggests_what_works() {
    let check = |listen: &str, api: &str, want: Option<&str>| {
        let config =
            parse(&format!("[server]\nlisten = {listen}\n[demo]\n[[api]]\nname = 'a'\n{api}"));
        let summary = config.summary();
        let got = summary.lines().find_map(|line| line.strip_prefix("try: curl -N "));
        assert_eq!(got, want, "{listen} {api}");
    };
    let local = "['127.0.0.1:80']";
    let [root, sse, strip] =
        ["listen_path = '/'\n", "listen_path = '/sse'\n", "strip_listen_path = true\n"];
    let target = "target_url = 'http://127.0.0.1:8000";
    check(local, &format!("{root}{target}'"), Some("http://127.0.0.1:80/events/"));
    check(local, &format!("{root}{target}/events'"), Some("http://127.0.0.1:80/"));
    check(local, &format!("{sse}{strip}{target}'"), Some("http://127.0.0.1:80/sse/events/"));
    check(local, &format!("{sse}{strip}{target}/events'"), Some("http://127.0.0.1:80/sse/"));
    check(local, &format!("{sse}{target}'"), None);
    check(local, &format!("{root}target_url = 'http://127.0.0.1:8001'"), None);
    check(local, &format!("active = false\n{root}{target}'"), None);
    check(local, &format!("host = 'a'\n{root}{target}'"), None);
    check(local, &format!("{root}{target}'\n[api.auth]"), None);
    check("['0.0.0.0:81']", &format!("{root}{target}'"), Some("http://127.0.0.1:81/events/"));
    check("['[::]:81']", &format!("{root}{target}'"), Some("http://[::1]:81/events/"));
    check("['unix:a']", &format!("{root}{target}'"), None);
}

#[test]
fn what_a_file_can_say() {
    let config = parse(
        "
        log.level = 'debug'
        log.access = 'json'
        drain.delay = '0s'
        drain.window = '5m'

        [server]
        listen = ['[::]:80', 'unix:/run/m.sock']
        flush_interval = '20ms'
        upgrade = ['websocket', 'irc/6.9']
        enable_websockets = false
        max_connections = 10
        max_head_bytes = 1024
        max_body_bytes = '1GiB'
        max_held_bytes = '1MiB'

        [demo]

        [[api]]
        name = 'a b'
        host = 'A.Example:8080'
        listen_path = '/x/'
        target_url = 'http://B.example:81/base/?key=1'

        [[api]]
        name = 'b'
        active = false
        host = ['::1', '127.0.0.1', '[0::2]:80', 'b.example.']
        listen_path = '/x'
        target_url = 'http://[::1]'
        ",
    );
    let listen: Vec<String> = config.server.listen.iter().map(ListenAddr::to_string).collect();
    assert_eq!(listen, ["[::]:80", "unix:/run/m.sock"]);
    assert_eq!(config.server.flush_interval, Some(Duration::from_millis(20)));
    assert_eq!(config.server.max_connections, Some(10));
    assert_eq!(config.server.max_target_bytes, 1024, "it is limited to that of a head");
    assert_eq!(config.server.max_body_bytes, Some(1 << 30));
    assert_eq!(config.server.max_held_bytes, 1 << 20);
    assert_eq!((config.drain.delay, config.drain.window), (seconds(0), seconds(300)));
    assert_eq!(config.log.level, log::LevelFilter::Debug);
    assert_eq!(config.log.access, Some(Form::Json));
    let demo = Demo { listen: "127.0.0.1:8000".parse().unwrap(), interval: seconds(1) };
    assert_eq!(config.demo, Some(demo));
    assert!(config.server.upgrade.is_empty(), "no websockets, and nothing else");
    let [a, b] = config.apis.as_slice() else { panic!("not two apis") };
    assert_eq!((a.hosts.as_slice(), a.listen_path.as_str()), (&["a.example".to_owned()][..], "/x"));
    assert_eq!(a.target().to_string(), "http://b.example:81/base?...");
    assert_eq!(a.target().query.as_deref(), Some("key=1"));
    assert!(a.target().addresses.is_empty(), "parsing does not resolve");
    assert_eq!(b.hosts, ["[::1]", "127.0.0.1", "[::2]", "b.example"]);
    let router = config.router();
    assert_eq!(router.find(Some("a.EXAMPLE"), b"/x/y"), Some(0));
    assert_eq!(router.find(Some("b.example"), b"/x"), None, "not active");
    assert_eq!(
        config.summary(),
        "\
listening on [::]:80
listening on unix:/run/m.sock
  a.example/x/ -> http://b.example:81/base?... (a b)
  [::1]/x/, 127.0.0.1/x/, [::2]/x/, b.example/x/ -> http://[::1]/ (b, not active)
demo event source on http://127.0.0.1:8000/events/
",
    );
}

/// The examples in tests/it/conf/wrong.txt.
#[test]
fn wrong_files_are_told_what_would_be_right() {
    let mut blocks = 0;
    for block in WRONG.split("\n\n").filter(|block| !block.starts_with('#')) {
        let (said, toml): (Vec<&str>, Vec<&str>) =
            block.lines().partition(|line| line.starts_with("> "));
        let toml = toml.join("\n");
        let text = match toml.starts_with('[') {
            true => format!("{toml}\n{API}"),
            false => format!("{API}{toml}\n"),
        };
        assert_eq!(errors(&text), said.join("\n").replace("> ", "x.toml:"), "{text}");
        blocks += 1;
    }
    assert!(blocks > 30, "{blocks}");
}

#[test]
fn what_has_to_be_there() {
    let check = |text: &str, want: &str| assert_eq!(errors(text), format!("x.toml:{want}"));
    let nothing = "api: there is nothing to serve; write an [[api]], or a [demo]";
    check("", &format!("1:1: {nothing}"));
    check("[server]", &format!("1:1: {nothing}"));
    check("api = []", "1:7: api: not a list of tables; write [[api]], two brackets");
    check("[api]\nname = 'a'", "1:1: api: not a list of tables; write [[api]], two brackets");
    check("api = [1]", "1:8: api: not a table; write [[api]], two brackets");
    let table = "server: not a table; write [server] and its keys below it";
    check(&format!("server = 1\n{API}"), &format!("1:10: {table}"));
    parse("[demo]");
    parse("[server]\nlisten = ['127.0.0.1:0']\n[demo]\nlisten = '127.0.0.1:0'");
    parse(API);
}

#[test]
fn apis_that_can_be_told_apart() {
    let check = |a: &str, b: &str| {
        let api =
            |name, rest| format!("[[api]]\nname = '{name}'\ntarget_url = 'http://a'\n{rest}\n");
        assert_eq!(parse(&[api("b", a), api("c", b)].concat()).apis.len(), 2);
    };
    check("host = 'a'\nlisten_path = '/x'", "host = 'b'\nlisten_path = '/x'");
    check("host = 'a'\nlisten_path = '/x'", "host = 'a'\nlisten_path = '/x/y'");
    check("host = 'a'\nlisten_path = '/x'", "listen_path = '/x'");
    check("listen_path = '/x'", "listen_path = '/X'");
}

#[test]
fn names_of_apis() {
    let text = |name: &str| API.replace("'a'", name);
    for name in ["'a'", "'A b-c_d.e/1 (f)'", "\"it's\""] {
        parse(&text(name));
    }
    for name in [
        "''",
        "' a'",
        "'a '",
        "'a\"b'",
        "'a\\b'",
        "\"a\\nb\"",
        "'ä'",
        &format!("'{}'", "a".repeat(65)),
    ] {
        let errors = errors(&text(name));
        assert!(
            errors.starts_with("x.toml:2:8: api[0].name: not a name; write "),
            "{name}: {errors}"
        );
    }
}

/// No text makes the parser panic. Each file in conf/ is truncated at every place, and each of its
/// bytes is damaged.
#[test]
fn damaged_files_are_judged_too() {
    let mut wrong = 0;
    for (at, _) in DEMO.char_indices() {
        wrong += usize::from(Config::parse("x", &DEMO[..at]).is_err());
        for damage in ["", "\"", "'", "[", "]", "=", "\n", "0", "ä", "\0", "."] {
            let text = format!("{}{damage}{}", &DEMO[..at], &DEMO[at + 1..]);
            if let Err(errors) = Config::parse("x", &text) {
                assert!(errors.to_string().lines().all(|line| line.starts_with("x:")), "{errors}");
                wrong += 1;
            }
        }
    }
    assert!(wrong > DEMO.len(), "{wrong}");
}

#[test]
fn depth_is_bounded() {
    let deep = 200_000;
    for text in [
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}", "{ a = ".repeat(deep)),
        format!("a{} = 1", ".a".repeat(deep)),
        format!("[a{}]", ".a".repeat(deep)),
    ] {
        assert!(errors(&text).starts_with("x.toml:1:"));
    }
}

#[test]
fn without_a_file() {
    let config = Config::to("http://127.0.0.1:8000/base", None).unwrap();
    assert_eq!(
        config.summary(),
        "listening on 127.0.0.1:8080\n  / -> http://127.0.0.1:8000/base (default)\n",
    );
    let mut config = Config::to("localhost", Some("[::1]:81")).unwrap();
    resolver::resolve(&mut config);
    assert_eq!(config.server.listen[0].to_string(), "[::1]:81");
    assert!(!config.apis[0].target().addresses.is_empty(), "resolved");
    let wrong = |url, listen, want: &str| {
        let error = Config::to(url, listen).unwrap_err().to_string();
        assert!(error.starts_with(want), "{error}");
    };
    wrong("8000", None, "--to: no host; write \"localhost:8000\"");
    wrong("http://127.0.0.1", Some(":80"), "--listen: the IP address is missing; ");
}

/// A name that the system rejects without a lookup stands for one that does not exist. It causes a
/// warning with its place in the file, and is no error.
#[test]
fn what_cannot_be_resolved_is_a_warning() {
    let mut config = parse(&API.replace("127.0.0.1", "a.example"));
    config.apis[0].targets[0].host = "a\0b".to_owned();
    resolver::resolve(&mut config);
    let [warning] = &config.warnings(None, 1)[..] else { panic!("one warning") };
    assert!(warning.starts_with("x.toml:4:14: api[0].target_url: cannot resolve a"), "{warning}");
    assert!(warning.ends_with("; requests to it fail until that succeeds"), "{warning}");
    assert!(config.apis[0].target().addresses.is_empty());
    config.apis[0].active = false;
    resolver::resolve(&mut config);
    assert!(config.warnings(None, 1).is_empty(), "warned of a target that is not in use");
}

#[test]
fn files_are_loaded() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let load = |name: &str, bytes: &[u8]| {
        let path: PathBuf = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        let loaded = Config::load(&path).map_err(|errors| errors.to_string());
        let folder = format!("{}/", folder.display());
        loaded.map(|config| config.apis.len()).map_err(|text| text.replace(&folder, ""))
    };
    assert_eq!(load("conf-good.toml", MINIMAL.as_bytes()), Ok(1));
    assert_eq!(load("conf-bom.toml", format!("\u{feff}{MINIMAL}").as_bytes()), Ok(1));
    assert_eq!(load("conf-crlf.toml", MINIMAL.replace('\n', "\r\n").as_bytes()), Ok(1));
    let error = load("conf-latin1.toml", b"# a\n# \xe4").unwrap_err();
    assert_eq!(error, "conf-latin1.toml:2:3: not UTF-8; save the file in that encoding");

    let with_keys = format!("{API}[api.auth]\nkeys_file = 'conf-keys.toml'\n");
    let key = |name: &str, digit: &str| {
        format!("[[key]]\nname = '{name}'\nsha256 = '{}'\n", digit.repeat(64))
    };
    std::fs::write(folder.join("conf-keys.toml"), key("alice", "0") + &key("bob", "1")).unwrap();
    assert_eq!(load("conf-auth.toml", with_keys.as_bytes()), Ok(1));
    let config = Config::load(&folder.join("conf-auth.toml")).unwrap();
    let names = |config: &Config| {
        let keys = &config.apis[0].auth.as_ref().unwrap().keys;
        keys.iter().map(|key| key.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&config), ["alice", "bob"]);
    std::fs::write(folder.join("conf-keys.toml"), "").unwrap();
    assert!(names(&Config::load(&folder.join("conf-auth.toml")).unwrap()).is_empty());
    let error = load("conf-auth.toml", format!("{API}[api.auth]").as_bytes()).unwrap_err();
    let want = "conf-auth.toml:5:1: api[0].auth.keys_file: cannot read the key file keys.toml: ";
    assert!(error.starts_with(want), "{error}");

    let error = Config::load(&folder.join("conf-none.toml")).unwrap_err().to_string();
    assert!(error.contains("conf-none.toml: cannot read the file: "), "{error}");
}
