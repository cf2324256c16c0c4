//! Configuration files: anything in them is checked, and whatever passes can be relied on.

use crate::config::{Api, Config};
use crate::cors::Grant;
use crate::http::abnf::is_token;
use crate::http::fields::is_reserved;
use crate::http::target::RequestTarget;
use crate::route::upstream_path;

/// The text of a configuration file.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let config = match Config::parse("x", &text) {
        Ok(config) => config,
        Err(errors) => {
            let errors = errors.to_string();
            assert!(!errors.is_empty());
            assert!(errors.lines().all(|line| line.starts_with("x:")), "{errors}");
            return;
        }
    };
    assert!(!config.summary().is_empty());
    let warnings = config.warnings(Some(1024), 1);
    assert!(config.tls.expiries(0).is_empty(), "no file was read");
    assert!(warnings.iter().all(|warning| !warning.contains(char::is_control)), "{warnings:?}");
    let server = &config.server;
    assert!(server.addresses().next().is_some());
    assert!(server.max_target_bytes <= server.max_head_bytes);
    let router = config.router();
    for (id, api) in (0..).zip(&config.apis) {
        check_path(&api.listen_path);
        check_path(&api.target().path);
        check_target(api);
        check_fields(api);
        let path = format!("{}/", api.listen_path);
        let hosts: Vec<Option<&str>> = match api.hosts.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().map(|host| Some(host.as_str())).collect(),
        };
        for host in hosts {
            let found = router.find(host, path.as_bytes());
            assert_eq!(found, api.active.then_some(id), "{host:?} {path:?}");
        }
    }
}

/// Checks that a path could also be in a request, and is matched as written.
fn check_path(path: &str) {
    assert!(path.is_empty() || path.starts_with('/') && !path.ends_with('/'), "{path:?}");
    let path = format!("{path}/");
    let target = RequestTarget::parse("GET", &path).expect("a path that can be requested");
    let mut resolved = Vec::new();
    target.resolve_path(&mut resolved).unwrap_or_else(|error| panic!("{path:?}: {error:?}"));
    assert_eq!(str::from_utf8(&resolved), Ok(&*path));
}

/// Checks that fields written into heads are one line each, and not reserved.
fn check_fields(api: &Api) {
    for changes in [&api.request_headers, &api.response_headers] {
        let names = changes.set.iter().map(|(name, _)| name).chain(&changes.remove);
        let free =
            |name: &str| !is_reserved(name) || name.eq_ignore_ascii_case("X-Forwarded-Prefix");
        assert!(names.clone().all(|name| is_token(name.as_bytes()) && free(name)));
        let line = |value: &str| !value.contains(['\r', '\n', '\0']);
        assert!(changes.set.iter().all(|(_, value)| line(value)), "{changes:?}");
    }
    for grant in [Grant::Any, Grant::Origin(0)] {
        let fields = api.cors.iter().flat_map(|policy| {
            policy.preflight_fields(grant).into_iter().chain(policy.fields(grant))
        });
        let line = |value: &str| value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        assert!(fields.into_iter().all(|(_, value)| line(value)), "{:?}", api.cors);
    }
}

/// Checks the parts that are written into every request.
fn check_target(api: &Api) {
    let target = api.target();
    let mut out = Vec::new();
    let query = target.query.as_deref();
    upstream_path(&api.listen_path, false, &target.path, query, b"/", None, &mut out);
    assert!(out.iter().all(u8::is_ascii_graphic), "{out:?}");
    assert!(target.authority.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(!target.authority.is_empty());
}
