//! Configuration files of Tyk given instead of one for this program.

use super::errors;

/// The error for a Tyk file names the corresponding keys.
#[test]
fn json_is_told_what_to_write() {
    let json = r#"{
  "name": "Clock",
  "api_id": "1",
  "use_keyless": true,
  "proxy": {
    "listen_path": "/sse/", "target_url": "http://127.0.0.1:8000"
  },
  "version_data": { "Default": { "name": "Default" } },
  "CORS": { "allowed_origins": ["*"] },
  "something_else": {}
}
"#;
    assert_eq!(
        errors(json),
        "\
x.toml:1:1: not TOML: this is an API definition of Tyk; docs/from/tyk.md says what to write instead
x.toml:2:3: name: it belongs to [[api]]
x.toml:3:3: api_id: leave it out: an api is known by its name
x.toml:4:3: use_keyless: leave it out: without an [api.auth] table no key is needed
x.toml:5:3: proxy: write listen_path, target_url, strip_listen_path and preserve_host_header \
    in [[api]] itself
x.toml:6:5: listen_path: it belongs to [[api]]
x.toml:6:29: target_url: it belongs to [[api]]
x.toml:8:3: version_data: there is no equivalent; leave it out
x.toml:9:3: CORS: this is a separate table; write [api.cors]
x.toml:9:13: allowed_origins: origins in [api.cors] is which pages may read responses, \
    allowed_origins in [[api]] which pages may send requests at all"
    );
    let json = r#"{"listen_port": 8080, "http_server_options": {"read_timeout": 10}}"#;
    let said = errors(json);
    let what = "this is the configuration of a Tyk gateway; docs/from/tyk.md says what to write";
    assert!(said.starts_with(&format!("x.toml:1:1: not TOML: {what} instead\n")), "{said}");
    assert!(said.contains("1:2: listen_port: write listen = [\"127.0.0.1:8080\"] in [server]"));
    assert!(said.contains("1:47: read_timeout: it belongs to [server]"), "{said}");
    // Parts that are left out have no errors of their own.
    let json =
        r#"{"node_secret": "a", "storage": {"type": "}", "host": "b"}, "log_level": "info"}"#;
    let said = errors(json);
    assert!(!said.contains(" host: ") && said.contains("1:61: log_level: "), "{said}");
    assert!(errors("[{}]").starts_with("x.toml:1:2: not TOML: this is JSON; "));
    assert!(errors("{").starts_with("x.toml:1:1: not TOML: this is JSON; "));
}
