//! Key files, and the warnings of `--check`.

use super::{API, parse};
use millstream::testing::{KeysText, Readers};

const WRONG_KEYS: &str = include_str!("wrong-keys.txt");

/// The examples in tests/it/conf/wrong-keys.txt.
#[test]
fn wrong_keys_are_told_what_would_be_right() {
    let mut config = parse(&format!("{API}[api.auth]"));
    let mut blocks = 0;
    for block in WRONG_KEYS.split("\n\n").filter(|block| !block.starts_with('#')) {
        let (said, toml): (Vec<&str>, Vec<&str>) =
            block.lines().partition(|line| line.starts_with("> "));
        let name = "keys.toml".to_owned();
        let file = KeysText { name, bytes: toml.join("\n").into(), readers: Readers::Few };
        let mut file = Some(file);
        let errors = config.load_keys(|_| Ok(file.take().unwrap())).unwrap_err().to_string();
        assert_eq!(errors, said.join("\n").replace("> ", "keys.toml:"), "{block}");
        blocks += 1;
    }
    assert!(blocks > 3, "{blocks}");
}

/// Targets that lead back to this process, at a client's or the admin listener.
#[test]
fn targets_of_this_process() {
    let warnings = |text: &str| parse(text).warnings(None, 1);
    let check = |listen: &str, want: &[&str]| {
        let text = format!("[server]\nlisten = {listen}\n{API}\n");
        assert_eq!(warnings(&text), want, "{listen}");
    };
    let back = |listener| format!("api a: target_url points back to this process, {listener}");
    check("['127.0.0.1:8000']", &[&back("127.0.0.1:8000")]);
    check("['0.0.0.0:8000']", &[&back("0.0.0.0:8000")]);
    check("['127.0.0.1:8001', '[::]:8000', '192.0.2.1:8000']", &[]);
    let admin = "api a: target_url leads to admin.listen, 127.0.0.1:8000: whoever may use this api \
        can drain and reload this process";
    let text = format!("[admin]\nlisten = '127.0.0.1:8000'\n{API}");
    assert_eq!(warnings(&text), [admin]);
}

/// A page that has made its own name resolve to this host sends no Origin with a GET.
#[test]
fn pages_that_reach_for_this_host() {
    let check = |server: &str, keys: &str, warned: bool| {
        let text = format!("[server]\n{server}\n{API}{keys}\n");
        let warnings = parse(&text).warnings(None, 1);
        let about = warnings.iter().filter(|text| text.contains("DNS rebinding"));
        assert_eq!(about.count(), usize::from(warned), "{text}{warnings:?}");
    };
    let pages = "\nallowed_origins = ['https://app.example']";
    check("", pages, true);
    check("listen = ['192.0.2.1:80', '[::1]:80']", pages, true);
    check("listen = ['192.0.2.1:80', 'unix:/run/a.sock']", pages, false);
    check("", &format!("{pages}\nhost = 'localhost'"), false);
    check("", "", false);
}

#[test]
fn what_may_not_be_meant() {
    let warnings = |text: &str, descriptors| parse(text).warnings(descriptors, 1);
    let check = |server: &str, api: &str, want: &[&str]| {
        let text = format!("[server]\n{server}\n{API}{api}\n");
        assert_eq!(warnings(&text, Some(1128)), want, "{text}");
    };
    check("", "", &[]);
    check("max_connections = 500", "max_streams = 500", &[]);
    let silent = "middleboxes close connections that are silent for a minute; write \"15s\"";
    check("", "heartbeat = '0s'", &[&format!("api a: heartbeat is off: {silent}")]);
    check("", "heartbeat = '60s'", &[&format!("api a: heartbeat: {silent}")]);
    check("", "heartbeat = '59s'", &[]);
    check("", "heartbeat = '0s'\nactive = false", &[]);
    let off = format!("api a: heartbeat is off: {silent}");
    let held = "api a: on_outage: a held stream is silent, because heartbeat is off; write \
        heartbeat = \"15s\", or on_outage = \"retry\"";
    check("", "heartbeat = '0s'\non_outage = 'hold'", &[&off, held]);
    check("", "heartbeat = '0s'\non_outage = 'retry'", &[&off]);
    let early = "api a: early_answer: a stream that is opened early is silent until the upstream \
        answers, because heartbeat is off; write heartbeat = \"15s\"";
    check("", "heartbeat = '0s'\nearly_answer = '1s'", &[&off, early]);
    check("", "early_answer = '1s'", &[]);
    let room = "there is room for 500, not for 501; raise the limit on open files (ulimit -n, or \
        LimitNOFILE= of systemd)";
    check("max_connections = 501", "", &[&format!("server.max_connections: {room}")]);
    check("", "max_streams = 501", &[&format!("api a: max_streams: {room}")]);
    assert!(warnings(&format!("[server]\nmax_connections = 501\n{API}"), None).is_empty());

    let low = "the open-file limit is 91, less than 92: admin requests and reloads may run out of \
        descriptors; raise the limit on open files (ulimit -n, or \
        LimitNOFILE= of systemd)";
    assert_eq!(warnings(API, Some(91)), [low]);
    assert!(warnings(API, Some(92)).is_empty());

    let hidden = "api a: max_streams_per_ip: all clients behind a proxy on this host share its \
        address; list it in server.trusted_proxies";
    check("", "max_streams_per_ip = 1", &[hidden]);
    check("listen = ['unix:/a']", "max_streams_per_ip = 1", &[hidden]);
    check("listen = ['0.0.0.0:80']", "max_streams_per_ip = 1", &[]);
    check("trusted_proxies = ['127.0.0.1']", "max_streams_per_ip = 1", &[]);
    let both = hidden.replace("max_streams_per_ip", "max_requests_per_ip, max_streams_per_ip");
    check("", "max_streams_per_ip = 1\nmax_requests_per_ip = '1/s'", &[&both]);
    let rates = hidden.replace("max_streams_per_ip", "max_requests_per_ip");
    check("", "max_requests_per_ip = '1/s'", &[&rates]);
    check("", "max_requests_per_ip = ''\nmax_requests = '1/s'", &[]);

    let few = "api a: max_streams: there can be only 2 upstream connections (max_upstream); \
        further streams wait in vain for one, for queue_timeout";
    check("", "max_upstream = 2\nmax_streams = 3", &[few]);
    check("", "max_upstream = 2\nmax_streams = 2", &[]);
    let other = API.replace("'a'", "'b'").replace("'/'", "'/b'");
    let apart = |name, other| {
        format!(
            "api {name}: max_upstream: api {other} leads to the same server, and its connections \
            are not counted; use one api for both, or divide what the server can take"
        )
    };
    let both = |keys: &str| warnings(&format!("{API}max_upstream = 2\n{other}{keys}\n"), None);
    assert_eq!(both(""), [apart("a", "b")]);
    assert_eq!(both("max_upstream = 2"), [apart("a", "b"), apart("b", "a")]);
    assert_eq!(both("active = false"), [""; 0]);
    let long = "api a: max_event_bytes is more than an eighth of server.max_held_bytes, the most \
        that one event may hold; raise that, or lower this";
    let held = "max_held_bytes = '1MiB'";
    check(held, "resume = true\nmax_event_bytes = '128KiB'", &[]);
    check(held, "resume = true\nmax_event_bytes = '129KiB'", &[long]);
    check("flush_interval = '1s'", "max_event_bytes = '9MiB'", &[long]);
    check("", "max_event_bytes = '9MiB'", &[]);

    let star = API.replace("'/'", "'/sse/*'");
    let want = "api a: listen_path: \"*\" is literal here; leave it out, because a listen path \
        matches everything below it";
    assert_eq!(warnings(&star, None), [want]);
}

/// The keys that have no effect on compressed streams.
#[test]
fn what_compression_costs() {
    let check = |server: &str, api: &str, want: &[&str]| {
        let remarks = parse(&format!("[server]\n{server}\n{API}{api}\n")).remarks();
        let cut = "api a: compression: a compressed stream that is ended early is cut, because its \
            events cannot be told apart";
        let want: Vec<String> = want.iter().map(|more| format!("{cut}{more}")).collect();
        assert_eq!(remarks, want, "{server} {api}");
    };
    check("", "compression = 'strip'", &[]);
    let pass = |more: &str| format!("compression = 'pass'\n{more}");
    check("", &pass("active = false"), &[]);
    check("", &pass("heartbeat = '0s'"), &[""]);
    check("", &pass(""), &["; these keys do nothing for it: heartbeat"]);
    let bytes = "; these keys do nothing for it: heartbeat; \
        these keys take its bytes for events: server.flush_interval";
    check("flush_interval = '1s'", &pass(""), &[bytes]);
    let all = "; these keys do nothing for it: heartbeat, heartbeat_event, end_event; \
        these keys take its bytes for events: first_event_timeout, stall_timeout";
    let api = "heartbeat_event = 'data: ping'\nend_event = 'data: end'\n\
        first_event_timeout = '1s'\nstall_timeout = '1s'\non_outage = 'retry'";
    check("", &pass(api), &[all]);
}

#[test]
fn retries_that_never_happen() {
    let warnings = |text: &str| parse(text).warnings(None, 1);
    let two = "target_url = ['http://127.0.0.1:1', 'http://127.0.0.1:2']";
    let api = |keys: &str| format!("{two}\n{keys}");
    let of_two = |keys: &str, want: &[&str]| {
        let want: Vec<String> = want.iter().map(|what| format!("api a: {what}")).collect();
        let text = API.replace("target_url = 'http://127.0.0.1:8000'", &api(keys));
        assert_eq!(warnings(&text), want, "{keys}");
    };
    of_two("retry_on = ['429']", &[]);
    of_two("retry_on = []", &[]);
    let in_vain = "retry_on: \"first_event_timeout\" has no effect without that key";
    of_two("retry_on = ['first_event_timeout']", &[in_vain]);
    of_two("retry_on = ['first_event_timeout']\nfirst_event_timeout = '1s'", &[]);
    let body = "retry_body has no effect: retry_on lists nothing after which a body is sent again";
    of_two("retry_body = '1KiB'", &[body]);
    of_two("retry_body = '1KiB'\nretry_on = ['503']", &[]);
    let much = "retry_body is more than an eighth of server.max_held_bytes, the most that is kept \
        of one body; raise that, or lower this";
    of_two("retry_body = '9MiB'\nretry_on = ['503']", &[much]);
    of_two("retry_body = '9MiB'\nretry_on = ['first_event_timeout']", &[much, in_vain]);
    of_two("retry_body = '9MiB'", &[much, body]);
    let only = "api a: retry_on has no effect: target_url is the only target";
    for (retry_on, want) in [("['connect', '503']", vec![only]), ("['connect']", vec![])] {
        assert_eq!(warnings(&format!("{API}retry_on = {retry_on}\n")), want);
    }
}

/// Settings of an auth server that may be mistakes.
#[test]
fn auth_servers_that_may_not_be_meant() {
    let check = |keys: &str, want: &[&str]| {
        let text = format!("[server]\nlisten = ['127.0.0.1:8001']\n{API}{keys}\n");
        let want: Vec<String> = want.iter().map(|what| format!("api a: {what}")).collect();
        assert_eq!(parse(&text).warnings(None, 1), want, "{keys}");
    };
    check("auth.url = 'http://127.0.0.1:8002/verify'", &[]);
    let back = "auth.url points back to this process, 127.0.0.1:8001";
    check("auth.url = 'http://127.0.0.1:8001/verify'", &[back]);
    let plain = "auth.upstream_tls has no effect: auth.url begins with http://, so nothing is \
        encrypted";
    check("auth = { url = 'http://b', upstream_tls = { server_name = 'c' } }", &[plain]);
    let trusts = "auth.upstream_tls.insecure_skip_verify: whoever gets in between can read and \
        change everything; name the issuer of the upstream's certificate in ca_file instead";
    check(
        "auth = { url = 'https://b', upstream_tls = { insecure_skip_verify = true } }",
        &[trusts],
    );
    let summary = parse(&format!("{API}auth.url = 'http://b/verify?c'\n")).summary();
    assert!(summary.contains(", http://b/verify?... is asked"), "{summary}");
}

/// Keys about the health of targets that have no effect.
#[test]
fn health_that_decides_nothing() {
    let check = |target: &str, api: &str, want: &[&str]| {
        let text = API.replace("'http://127.0.0.1:8000'", target);
        let warnings = parse(&format!("{text}{api}\n")).warnings(None, 1);
        let want: Vec<String> = want.iter().map(|what| format!("api a: {what}")).collect();
        assert_eq!(warnings, want, "{target} {api}");
    };
    let [one, two] = ["'http://127.0.0.1:1'", "['http://127.0.0.1:1', 'http://127.0.0.1:2']"];
    let weight = "weight has no effect: target_url is the only target";
    check("[{ url = 'http://127.0.0.1:1', weight = 2 }]", "", &[weight]);
    let fails = "max_fails and fail_timeout have no effect: target_url is the only target";
    for key in ["max_fails = 3", "max_fails = 0", "fail_timeout = '1s'"] {
        check(one, key, &[fails]);
        check(two, key, &[]);
    }
    let never = "fail_timeout has no effect: max_fails is 0";
    check(two, "max_fails = 0\nfail_timeout = '1s'", &[never]);
    let checked =
        "health_path decides nothing: target_url is the only target, and is asked in any case";
    check(one, "health_path = '/'", &[checked]);
    let unchecked = "health_interval, health_timeout, health_passes and health_fails have no \
        effect without health_path";
    check(two, "health_interval = '10s'", &[unchecked]);
    check(two, "health_fails = 1\nhealth_path = ''", &[unchecked]);
    let sticky = "sticky has no effect: target_url is the only target, and has one address";
    check(one, "[api.sticky]\nfield = 'X'", &[sticky]);
    check(two, "[api.sticky]\nfield = 'X'", &[]);
    check(two, "health_path = '/'", &[]);
}

/// Keys that have no effect beside those about proxies in front.
#[test]
fn keys_beside_those_of_proxies_in_front() {
    let check = |server: &str, api: &str, want: &[&str]| {
        let text = format!("[server]\n{server}\n{API}{api}\n");
        assert_eq!(parse(&text).warnings(None, 1), want, "{server} {api}");
    };
    let kept = "api a: keepalive_upstream has no effect: with send_proxy no connection is used \
        twice";
    check("", "send_proxy = true\nkeepalive_upstream = 5", &[kept]);
    check("", "send_proxy = true\nkeepalive_upstream = 0", &[]);
    check("", "send_proxy = true", &[]);
    let redirect = "redirect_to_https = 'https://a.example'\nforwarded_proto = 'https'\n";
    let none = "server.redirect_to_https has no effect: server.forwarded_proto says that all \
        clients have come by https";
    check(redirect, "", &[none]);
    // With a PROXY header the scheme is not always that of the listener.
    let listen = "trusted_proxies = ['10.0.0.1']\nproxy_protocol = ['127.0.0.1:8080']\n";
    check(&format!("{redirect}{listen}"), "", &[]);
}

/// Keys with which no client, or hardly any, shares a stream.
#[test]
fn sharing_in_vain() {
    let check = |api: &str, want: &[&str]| {
        let text = format!("{API}{api}\n");
        let warnings = parse(&text).warnings(None, 1);
        let want: Vec<String> = want.iter().map(|what| format!("api a: {what}")).collect();
        assert_eq!(warnings, want, "{api}");
    };
    let share = "[api.share]\njoin = 'now'";
    check(share, &[]);
    let compressed =
        "share has no effect: compression is \"pass\", so each client has its own stream";
    check(&format!("compression = 'pass'\n{share}"), &[compressed]);
    let named = "share has no effect: with send_proxy, each client has its own stream";
    check(&format!("send_proxy = true\n{share}"), &[named]);
    let judged = "share has no effect: with auth.url, each client has its own stream";
    check(&format!("auth.url = 'http://10.0.0.9/verify'\n{share}"), &[judged]);
    let answers = "share has no effect: it is for subscriptions, and kind is \"answer\"";
    check(&format!("kind = 'answer'\n{share}"), &[answers]);
    let own =
        "share.headers lists Cookie or Authorization, so nearly each client has its own stream";
    check(&format!("{share}\nheaders = ['cookie']"), &[own]);
    let keyless = "share.per_key shares among all who show no certificate: there is no [api.auth]";
    check(&format!("{share}\nper_key = true"), &[keyless]);
    let settled = "share.settle has no effect: neither share.join nor share.on_gap is \"fresh\"";
    check(&format!("{share}\nsettle = '1s'"), &[settled]);
    let event = "gap_event = 'data: gap'";
    check(&format!("{share}\nsettle = '1s'\non_gap = 'fresh'\n{event}"), &[]);
    let lost = "share.on_gap is \"end\" and share.ids \"own\": no client that comes back after a \
        restart is served";
    check(&format!("{share}\non_gap = 'end'\nids = 'own'\n{event}"), &[lost]);
    let large =
        "share: the logs may take more than 1 GiB of memory, share.log_bytes times share.max_logs";
    check(&format!("{share}\nlog_bytes = '8MiB'"), &[large]);
    check(&format!("{share}\nlog_bytes = '4MiB'"), &[]);
    let held = "max_event_bytes is more than an eighth of server.max_held_bytes, the most that one \
        event may hold; raise that, or lower this";
    check(&format!("max_event_bytes = '9MiB'\n{share}"), &[]);
    check(&format!("max_event_bytes = '9MiB'\nresume = true\n{share}"), &[held]);
    let several = format!("[server]\nworkers = 2\n{API}{share}\n");
    assert_eq!(parse(&several).warnings(None, 2), [""; 0]);
    // Each worker has its own log of each stream, and a share of the memory for held bytes.
    let check = |keys: &str, want: &str| {
        let warnings = parse(&format!("{API}{keys}\n")).warnings(None, 4);
        assert_eq!(warnings, [format!("api a: {want}")], "{keys}");
    };
    check(&format!("{share}\nlog_bytes = '4MiB'"), &format!("{large} times server.workers"));
    let held = held.replace("of server", "of a worker's part of server");
    check(&format!("max_event_bytes = '3MiB'\nresume = true\n{share}"), &held);
}

/// Keys that apply to streams of another kind.
#[test]
fn keys_for_another_kind() {
    let check = |api: &str, want: &[&str]| {
        let warnings = parse(&format!("{API}{api}\n")).warnings(None, 1);
        let want: Vec<String> = want.iter().map(|what| format!("api a: {what}")).collect();
        assert_eq!(warnings, want, "{api}");
    };
    let end = "end_event = 'data: x'";
    check(end, &[]);
    check(&format!("{end}\nkind = 'answer'"), &[]);
    let what = "end_event has no effect: it is for answers, and kind is \"subscription\"";
    check(&format!("{end}\nkind = 'subscription'"), &[what]);
    let both = "max_stream_age = '1h'\non_outage = 'retry'";
    check(&format!("{both}\nkind = 'subscription'"), &[]);
    let age = "max_stream_age has no effect: it is for subscriptions, and kind is \"answer\"";
    let outage = "on_outage has no effect: it is for subscriptions, and kind is \"answer\"";
    check(&format!("{both}\nkind = 'answer'"), &[age, outage]);
    check("on_outage = 'retry'\nkind = 'answer'", &[outage]);
    let always = "resume = \"always\" means true: \"always\" is for subscriptions, and kind is \
        \"answer\"";
    check("resume = 'always'\nkind = 'answer'", &[always]);
    check("resume = true\nkind = 'answer'", &[]);
    let alone = "resume_timeout has no effect without resume";
    check("resume_timeout = '5s'", &[alone]);
    check("resume_timeout = '5s'\nresume = true", &[]);
}

/// Fields of responses that clients do not get, though they need them to reach their target again.
#[test]
fn sticky_beside_heads_that_are_not_the_upstreams() {
    let check = |keys: &str, want: &[&str]| {
        let two = "['http://127.0.0.1:1', 'http://127.0.0.1:2']";
        let text = API.replace("'http://127.0.0.1:8000'", two);
        let warnings = parse(&format!("{text}{keys}\n")).warnings(None, 1);
        let want: Vec<String> = want.iter().map(|what| format!("api a: {what}")).collect();
        assert_eq!(warnings, want, "{keys}");
    };
    let field = "early_answer: a client that is answered early does not get the field that sticky \
        needs";
    let cookie = "early_answer: a client that is answered early does not get the cookie that \
        sticky needs";
    let held = "on_outage: a client that is held does not get the cookie that sticky needs";
    for (sticky, early, hold) in [
        ("", &[][..], &[][..]),
        ("[api.sticky]\nfield = 'X'", &[field], &[]),
        ("[api.sticky]\ncookie = 'x'", &[cookie], &[held]),
        ("[api.sticky]\nquery = 'x'", &[], &[]),
    ] {
        check(&format!("early_answer = '1s'\n{sticky}"), early);
        check(&format!("on_outage = 'hold'\n{sticky}"), hold);
        check(&format!("on_outage = 'retry'\n{sticky}"), &[]);
    }
}

/// Times that end before others begin.
#[test]
fn times_that_come_too_late() {
    let check = |api: &str, want: &[&str]| {
        let two = "['http://127.0.0.1:1', 'http://127.0.0.1:2']";
        let text = API.replace("'http://127.0.0.1:8000'", two);
        let remarks = parse(&format!("{text}{api}\n")).remarks();
        let want: Vec<String> = want.iter().map(|what| format!("api a: {what}")).collect();
        assert_eq!(remarks, want, "{api}");
    };
    check("", &[]);
    check("early_answer = '1s'\nresponse_timeout = '0s'", &[]);
    let [long, none] = [
        "early_answer: the upstream has no more than response_timeout for a POST all the same",
        "early_answer: no POST is answered early, because response_timeout is over before",
    ];
    check("early_answer = '1s'", &[long]);
    check("early_answer = '1s'\nresponse_timeout = '5m'\nstream_response_timeout = '5m'", &[]);
    check("early_answer = '60s'", &[none]);
    let get = "early_answer: no GET is answered early, because stream_response_timeout is over \
        before";
    check("early_answer = '60s'\nstream_response_timeout = '9s'", &[none, get]);
    let event = "first_event_timeout = '60s'\n";
    check(event, &[]);
    let first =
        "early_answer: nothing is answered early, because first_event_timeout is over before";
    check("early_answer = '1s'\nresponse_timeout = '5m'\nfirst_event_timeout = '1s'", &[first]);
    let event = format!("{event}retry_on = ['first_event_timeout']\n");
    let late = "retry_on: no other target is asked for the first event of a POST, because \
        response_timeout is over before first_event_timeout";
    check(&event, &[late]);
    check(&format!("{event}response_timeout = '61s'"), &[]);
}

#[test]
fn keys_that_may_not_be_meant() {
    let check = |server: &str, api: &str, readers, keys: &str, want: &[&str]| {
        let mut config = parse(&format!("[server]\n{server}\n{API}[api.auth]\n{api}\n"));
        let name = "keys.toml".to_owned();
        let file = || KeysText { name: name.clone(), bytes: keys.into(), readers };
        config.load_keys(|_| Ok(file())).unwrap();
        assert_eq!(config.warnings(None, 1), want, "{server} {api}");
    };
    let key = format!("[[key]]\nname = 'a'\nsha256 = '{}'", "0".repeat(64));
    check("", "", Readers::Few, &key, &[]);
    let public = "keys.toml: every user on this host can read it; chmod o-r it";
    let empty = "keys.toml: it has no keys, so every request is refused";
    check("", "", Readers::All, "", &[public, empty]);
    check("", "", Readers::AllOfMount, &key, &[]);
    let plain = "keys are sent to 0.0.0.0:80 unencrypted: use server.listen_tls, or put a TLS \
        terminator in front, and list it in server.trusted_proxies";
    check("listen = ['0.0.0.0:80']", "", Readers::Few, &key, &[plain]);
    check("listen = ['0.0.0.0:80']\ntrusted_proxies = ['10.0.0.0/8']", "", Readers::Few, &key, &[]);
    let cors = "[api.cors]\norigins = ['null']\n";
    let null = "api a: cors.origins: any page can get the origin \"null\" in a sandboxed frame, \
        and so read what the user's cookies give access to; leave out one or the other";
    let none =
        "api a: no page in cors.origins can send a key: that requires cors.headers, or auth.query";
    check("", cors, Readers::Few, &key, &[none]);
    check("", &format!("{cors}headers = ['*']"), Readers::Few, &key, &[none]);
    check("", &format!("{cors}headers = ['X', 'authorization']"), Readers::Few, &key, &[]);
    check("", &format!("query = 'k'\n{cors}"), Readers::Few, &key, &[]);
    check("", &format!("cookie = 'k'\n{cors}"), Readers::Few, &key, &[none]);
    check("", &format!("cookie = 'k'\n{cors}credentials = true"), Readers::Few, &key, &[null]);
    check("", &format!("header = 'X-Key'\n{cors}headers = ['*']"), Readers::Few, &key, &[]);
}

/// The mount decides who can read a mounted file, so this is remarked only once per file.
#[test]
fn keys_on_a_mount() {
    let remarks = |readers| {
        let api = |name: &str| {
            API.replace("'a'", &format!("'{name}'")).replace("'/'", &format!("'/{name}'"))
        };
        let mut config = parse(&["b", "c"].map(|name| api(name) + "[api.auth]\n").concat());
        let file = || KeysText { name: "keys.toml".to_owned(), bytes: Vec::new(), readers };
        config.load_keys(|_| Ok(file())).unwrap();
        config.remarks()
    };
    assert!(remarks(Readers::Few).is_empty() && remarks(Readers::All).is_empty());
    let said = remarks(Readers::AllOfMount);
    assert!(said.len() == 1 && said[0].starts_with("keys.toml: everybody who sees this mount"));
}
