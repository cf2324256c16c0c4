//! Warnings of `--check` about apis on the same server, where one api gives access to paths that
//! another one protects.

use super::parse;
use millstream::resolver;

/// An api that strips its listen path.
const STRIP: &str = "listen_path = '/pub'\nstrip_listen_path = true";

/// The end of a warning if the protected api requires a key.
const WITH_KEY: &str = " requires a key";

fn api(name: &str, lines: &str) -> String {
    format!("[[api]]\nname = '{name}'\n{lines}\n")
}

fn to(target: &str) -> String {
    format!("\ntarget_url = '{target}'")
}

fn here() -> String {
    to("http://127.0.0.1:8000")
}

/// An api that requires a key.
fn keyed() -> String {
    format!("listen_path = '/secret'{}\n[api.auth]", here())
}

/// The warning that `path` leads to `upstream` on the server.
fn reaches(path: &str, upstream: &str, how: &str) -> String {
    format!(
        "api open: its path {path} leads to {upstream} on a server where api \
        shut{how}; protect both alike, or give them separate servers"
    )
}

#[track_caller]
fn check(open: &str, guarded: &str, want: &[&str]) {
    let text = api("open", open) + &api("shut", guarded);
    let mut config = parse(&text);
    resolver::resolve(&mut config);
    let warnings = config.warnings(None, 1);
    let warnings = warnings.iter().filter(|text| text.contains("on a server where api"));
    assert_eq!(warnings.collect::<Vec<_>>(), want, "{text}");
}

/// If a certificate is enough, the warning does not mention keys.
#[test]
fn an_api_that_wants_a_certificate_guards_too() {
    let here = here();
    let guarded = format!(
        "listen_path = '/secret'{here}\n[api.auth]\nclient_certificate = true\n\
         [server]\nlisten_tls = ['127.0.0.1:443']\n[tls]\nclient_ca = 'ca.pem'\n\
         verify_client = 'optional'\n[[tls.certificate]]\ncertificate = 'a.pem'\nkey = 'b.pem'"
    );
    let secret = reaches("/pub/secret", "/secret", " requires a client certificate");
    check(&format!("{STRIP}{here}"), &guarded, &[&secret]);
}

/// A list of addresses or pages guards against apis that do not have the same one.
#[test]
fn an_api_that_lists_its_clients_guards_too() {
    let here = here();
    let open = format!("{STRIP}{here}");
    let guarded = |lines: &str| format!("listen_path = '/secret'{here}\n{lines}");
    let allow = "allow = ['10.0.0.0/8']";
    let secret = |how: &str| reaches("/pub/secret", "/secret", how);
    check(&open, &guarded(allow), &[&secret(" has its own allow")]);
    let deny = "deny = ['192.0.2.0/24']";
    check(&open, &guarded(deny), &[&secret(" has its own deny")]);
    let pages = "allowed_origins = ['https://app.example']";
    let all = format!("{allow}\n{deny}\n{pages}");
    let how = " has its own allow and deny and allowed_origins";
    check(&open, &guarded(&all), &[&secret(how)]);
    check(&format!("{open}\n{allow}"), &guarded(allow), &[]);
    // Both have a list that the other does not have.
    let reverse = |lists: &str| {
        format!(
            "api shut: its path /secret leads to /secret on a server where api open has its own \
            {lists}; protect both alike, or give them separate servers"
        )
    };
    let others = reverse("deny and allowed_origins");
    check(&format!("{open}\n{all}"), &guarded(allow), &[&others]);
    let both = [reverse("deny"), secret(" has its own allow")];
    check(&format!("{open}\n{deny}"), &guarded(allow), &[&both[0], &both[1]]);
    check(&open, &guarded(&format!("{allow}\n[api.auth]")), &[&secret(WITH_KEY)]);
    let both = format!("{open}\n[api.auth]");
    check(&both, &guarded(&format!("{allow}\n[api.auth]")), &[&secret(" has its own allow")]);
    check(&format!("{open}\nactive = false"), &guarded(allow), &[]);
}

#[test]
fn an_api_that_strips_reaches_what_another_one_guards() {
    let here = here();
    let secret = reaches("/pub/secret", "/secret", WITH_KEY);
    check(&format!("{STRIP}{here}"), &keyed(), &[&secret]);
    // Neither strips its path, or neither gives access to the paths of the other.
    check(&format!("listen_path = '/'{here}"), &keyed(), &[]);
    let all = format!("listen_path = '/'{here}\n[api.auth]");
    check(&format!("listen_path = '/health'{here}"), &all, &[]);
    check(&format!("{STRIP}{}", to("http://127.0.0.1:8001")), &keyed(), &[]);
    check(&format!("{STRIP}{here}\n[api.auth]"), &keyed(), &[]);
    check(&format!("{STRIP}{here}\nactive = false"), &keyed(), &[]);
    // The api between them takes the path.
    let between = "listen_path = '/pub/secret'\nstrip_listen_path = true";
    let between = format!("{between}{}\n[api.auth]", to("http://127.0.0.1:8000/secret"));
    check(&format!("{STRIP}{here}\n{}", api("between", &between)), &keyed(), &[]);
}

#[test]
fn one_server_has_several_names() {
    let secret = reaches("/pub/secret", "/secret", WITH_KEY);
    // The same server in different notations.
    for other in ["localhost", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]", "[::1]"]
    {
        check(&format!("{STRIP}{}", to(&format!("http://{other}:8000"))), &keyed(), &[&secret]);
    }
    let escaped = to("http://127.0.0.1:8000/%73ecret");
    let below = reaches("/pub", "/secret", WITH_KEY);
    check(&format!("{STRIP}{escaped}"), &keyed(), &[&below]);
    let two = "\ntarget_url = ['http://127.0.0.1:8001', 'http://127.0.0.1:8000']";
    check(&format!("{STRIP}{two}"), &keyed(), &[&secret]);
    let socket = keyed().replace("http://127.0.0.1:8000", "unix:/run/a.sock");
    for other in ["unix:/run/a.sock", "unix:/run/./a.sock", "unix://run//a.sock"] {
        check(&format!("{STRIP}{}", to(other)), &socket, &[&secret]);
    }
    check(&format!("{STRIP}{}", to("unix:/run/b.sock")), &socket, &[]);
}

#[test]
fn base_paths() {
    let here = here();
    let based = to("http://127.0.0.1:8000/base");
    let below =
        format!("listen_path = '/secret'{}\n[api.auth]", to("http://127.0.0.1:8000/base/in"));
    let deep = reaches("/pub/in/secret", "/base/in/secret", WITH_KEY);
    check(&format!("{STRIP}{based}"), &below, &[&deep]);
    check(&format!("{STRIP}{based}"), &keyed(), &[]);
    check(&format!("{STRIP}{}", to("http://127.0.0.1:8000/secrets")), &keyed(), &[]);
    let inner = reaches("/pub", "/secret/x", WITH_KEY);
    check(&format!("{STRIP}{}", to("http://127.0.0.1:8000/secret/x")), &keyed(), &[&inner]);
    check(
        &format!("listen_path = '/a'{based}"),
        &format!("listen_path = '/base'{here}\n[api.auth]"),
        &[&reaches("/a", "/base/a", WITH_KEY)],
    );
    check(
        &format!("listen_path = '/'{here}"),
        &format!("listen_path = '/admin'\nstrip_listen_path = true{here}\n[api.auth]"),
        &[&reaches("/", "/", WITH_KEY)],
    );
}

/// An inactive api serves no client, with or without a key.
#[test]
fn an_api_that_is_not_active() {
    let here = here();
    let inactive = format!("listen_path = '/secret'{here}\nactive = false");
    let to_nobody = reaches("/pub/secret", "/secret", ", which is not active, serves nobody");
    check(&format!("{STRIP}{here}"), &inactive, &[&to_nobody]);
    check(&format!("{STRIP}{here}\n[api.auth]"), &inactive, &[&to_nobody]);
    check(&format!("listen_path = '/'{here}"), &inactive, &[]);
    // The inactive api covers the whole server; the other one serves a part of it on purpose.
    check(&format!("listen_path = '/a'{here}"), &format!("{STRIP}{here}\nactive = false"), &[]);
}

#[test]
fn hosts_and_sites() {
    let here = here();
    let hosted = keyed().replace("listen_path", "host = 'a.example'\nlisten_path");
    let secret = reaches("/secret", "/secret", WITH_KEY);
    check(&format!("listen_path = '/'{here}"), &hosted, &[&secret]);
    let other = format!("host = 'b.example'\nlisten_path = '/'{here}");
    check(&other, &hosted, &[&secret]);
    // A server that gets the client's Host may have one site per host.
    let site = |text: &str| format!("preserve_host_header = true\n{text}");
    check(&site(&other), &site(&hosted), &[]);
    check(&site(&other), &hosted, &[&secret]);
}
