//! Configuration files of Tyk given instead of one for this program.

use super::errors;

/// In an OAS definition, only the keys of Tyk's own extension get hints.
#[test]
fn oas_definitions_are_told_what_to_write() {
    let json = r#"{
  "openapi": "3.0.3",
  "info": { "title": "E" },
  "servers": [{ "url": "http://gateway/sse" }],
  "x-tyk-api-gateway": {
    "info": { "name": "E", "state": { "active": true } },
    "server": {
      "listenPath": { "value": "/sse", "strip": true },
      "authentication": { "securitySchemes": { "token": { "query": { "name": "key" } } } }
    },
    "middleware": {
      "global": { "cors": { "allowedHeaders": ["X-A"] } },
      "operations": { "a": { "allow": { "enabled": true } } }
    },
    "upstream": { "url": "http://h:8000" }
  },
  "tags": [{ "name": "E", "cookie": "" }]
}
"#;
    let said = errors(json);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].contains("this is an API definition of Tyk; docs/from/tyk.md"), "{said}");
    let wanted = [
        "6:15: name: it belongs to [[api]]",
        "6:39: active: it belongs to [[api]]",
        "7:5: server: write listen_path, strip_listen_path, host and active in [[api]] itself",
        "8:7: listenPath: write listen_path in [[api]]",
        "8:40: strip: write strip_listen_path in [[api]]",
        "9:7: authentication: ",
        "9:27: securitySchemes: ",
        "9:59: query: write query in [api.auth]",
        "12:19: cors: this is a separate table; write [api.cors]",
        "12:29: allowedHeaders: write headers in [api.cors]",
        "13:7: operations: there is no equivalent; leave it out",
        "15:5: upstream: write target_url and preserve_host_header in [[api]] itself",
        "15:19: url: write target_url in [[api]]",
    ];
    assert_eq!(lines.len() - 1, wanted.len(), "{said}");
    for (line, want) in lines[1..].iter().zip(wanted) {
        assert!(line.starts_with(&format!("x.toml:{want}")), "{want}\n{said}");
    }
}

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
x.toml:9:13: allowed_origins: origins in [api.cors] says which pages may read responses, \
    allowed_origins in [[api]] which ones may send requests at all"
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
