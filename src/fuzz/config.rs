//! Configuration files: whatever is in them is judged, and what passes can be relied upon.

use crate::config::{Api, Config};
use crate::http::target::Target;
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
    let server = &config.server;
    assert!(!server.listen.is_empty());
    assert!(server.max_target_bytes <= server.max_head_bytes);
    let router = config.router();
    for (id, api) in (0..).zip(&config.apis) {
        check_path(&api.listen_path);
        check_path(&api.target().path);
        check_target(api);
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

/// A path that a request may have too, and that is matched as it stands.
fn check_path(path: &str) {
    assert!(path.is_empty() || path.starts_with('/') && !path.ends_with('/'), "{path:?}");
    let path = format!("{path}/");
    let target = Target::parse("GET", &path).expect("a path that can be requested");
    let mut resolved = Vec::new();
    target.resolve_path(&mut resolved).unwrap_or_else(|error| panic!("{path:?}: {error:?}"));
    assert_eq!(str::from_utf8(&resolved), Ok(&*path));
}

/// The parts that are written into every request.
fn check_target(api: &Api) {
    let target = api.target();
    let mut out = Vec::new();
    let query = target.query.as_deref();
    upstream_path(&api.listen_path, false, &target.path, query, b"/", None, &mut out);
    assert!(out.iter().all(u8::is_ascii_graphic), "{out:?}");
    assert!(target.authority.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(!target.authority.is_empty());
}
