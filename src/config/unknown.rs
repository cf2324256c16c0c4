//! Suggestions for unknown keys: the table they belong to, or the key that was probably meant.
//!
//! Keys of other programs are recognised by name.

/// The counterpart here of another program's key.
#[derive(Debug)]
pub(super) enum Meant {
    /// A key with the path of its table: `api.auth.header`.
    Key(&'static str),
    /// An explanation, if there is no single counterpart.
    Say(&'static str),
}

use Meant::{Key, Say};

const LISTEN: Meant = Say("write listen = [\"127.0.0.1:8080\"] in [server]");
const TARGETS: Meant = Say("write target_url in [[api]]; it may be a list of targets");
const AUTH: Meant = Say("[api.auth] wants a key of keys_file, or asks an auth server (url)");
const TLS: Meant = Say(
    "for clients, write listen_tls in [server], and certificate and key in [[tls.certificate]]; \
    for targets, write https:// in target_url",
);
const TICKETS: Meant = Key("tls.session_tickets");
const IDENTITY: Meant = Say("write certificate and key in [api.upstream_tls]");
const TIMEOUTS: Meant =
    Say("read_timeout, body_timeout and write_timeout in [server] are for clients, \
    connect_timeout, response_timeout and idle_timeout in [[api]] for upstreams, window and \
    answers in [drain] for the end of the process");
const RATES: Meant = Say(
    "max_requests and max_requests_per_ip in [[api]], and max_requests of a key, limit how fast \
    requests come; max_streams and max_streams_per_ip limit open streams",
);
const ORIGINS: Meant = Say(
    "origins in [api.cors] says which pages may read responses, allowed_origins in [[api]] which \
    ones may send requests at all",
);
const NO_CACHE: Meant = Say("nothing is cached here; leave it out");
const LEFT_OUT: Meant = Say(NOTHING);
/// What is suggested for keys that have no equivalent here.
pub(super) const NOTHING: &str = "there is no equivalent; leave it out";

/// Keys of other programs with their counterparts here.
pub(super) type Hints = [(&'static [&'static str], Meant)];

/// Keys of Tyk's files, both the gateway's and api definitions, in lower case.
pub(super) const TYK: &Hints = &[
    (&["listen_port", "listen_address"], LISTEN),
    (
        &["http_server_options"],
        Say("write read_timeout, write_timeout, flush_interval and enable_websockets in [server]"),
    ),
    (
        &["proxy"],
        Say("write listen_path, target_url, strip_listen_path and preserve_host_header \
            in [[api]] itself"),
    ),
    (&["use_keyless"], Say("leave it out: without an [api.auth] table no key is needed")),
    (&["use_standard_auth", "auth_configs", "use_basic_auth", "use_oauth2", "use_openid"], AUTH),
    (&["enable_jwt", "enable_signature_checking", "enable_coprocess_auth"], AUTH),
    (&["use_mutual_tls_auth"], Key("api.auth.client_certificate")),
    (&["auth_header_name"], Key("api.auth.header")),
    (&["use_param", "param_name"], Key("api.auth.query")),
    (&["use_cookie", "cookie_name"], Key("api.auth.cookie")),
    (
        &["strip_auth_data"],
        Say("leave it out: a key goes upstream only with forward in [api.auth]"),
    ),
    (&["api_id", "org_id", "slug"], Say("leave it out: an api is known by its name")),
    (&["domain"], Key("api.host")),
    (&["allowed_ips", "enable_ip_whitelisting"], Key("api.allow")),
    (&["blacklisted_ips", "enable_ip_blacklisting"], Key("api.deny")),
    (&["enable_load_balancing", "target_list", "service_discovery"], TARGETS),
    (&["allowed_origins"], ORIGINS),
    (&["allowed_methods"], Key("api.cors.methods")),
    (&["allowed_headers"], Key("api.cors.headers")),
    (&["exposed_headers", "expose_headers"], Key("api.cors.expose")),
    (&["allow_credentials"], Key("api.cors.credentials")),
    (&["global_headers"], Key("api.request_headers.set")),
    (&["global_headers_remove"], Key("api.request_headers.remove")),
    (&["global_response_headers"], Key("api.response_headers.set")),
    (&["global_response_headers_remove"], Key("api.response_headers.remove")),
    (&["proxy_default_timeout"], Key("api.response_timeout")),
    (&["hard_timeouts", "global_enforce_timeout"], Key("api.response_timeout")),
    (&["max_request_body_size"], Key("server.max_body_bytes")),
    (&["max_idle_connections_per_host"], Key("api.keepalive_upstream")),
    (&["graceful_shutdown_timeout_duration"], Key("drain.answers")),
    (&["graceful_shutdown_delay_seconds"], Key("drain.delay")),
    (
        &["health_check_endpoint_name", "control_api_port"],
        Say("write an [admin] table: /healthz and /readyz are on its listener"),
    ),
    (&["enable_strict_routes"], Say("leave it out: a listen_path matches whole segments")),
    (&["global_rate_limit", "global_rate_limit_disabled", "disable_rate_limit"], RATES),
    (&["disable_quota", "enforce_org_quotas", "rate", "per", "quota_max"], RATES),
    (&["use_ssl", "certificates", "ssl_certificates", "ssl_force_common_name_check"], TLS),
    (&["client_certificates"], Key("tls.client_ca")),
    (&["upstream_certificates"], IDENTITY),
    (&["proxy_ssl_insecure_skip_verify"], Key("api.upstream_tls.insecure_skip_verify")),
    (&["cache_options", "enable_cache"], NO_CACHE),
    (&["secret", "node_secret"], Say("leave it out: whoever connects to admin.listen is trusted")),
    (&["log_level"], Key("log.level")),
    (&["pid_file_location"], Say("no PID file is written; leave it out")),
    (&["version_data", "definition", "config_data", "custom_middleware"], LEFT_OUT),
    (&["app_path", "template_path", "tyk_js_path", "middleware_path", "policies"], LEFT_OUT),
    (&["storage", "use_db_app_configs", "db_app_conf_options", "hash_keys"], LEFT_OUT),
    (&["enable_analytics", "analytics_config", "do_not_track"], LEFT_OUT),
    (&["uptime_tests"], Key("api.health_path")),
    (&["circuit_breakers"], Key("api.max_fails")),
    (&["session_lifetime", "tags", "enable_context_vars"], LEFT_OUT),
];

/// Keys of what Tyk adds to OpenAPI documents, in lower case. [`TYK`] has those that are the same
/// in other definitions.
pub(super) const TYK_OAS: &Hints = &[
    (&["server"], Say("write listen_path, strip_listen_path, host and active in [[api]] itself")),
    (&["upstream"], Say("write target_url and preserve_host_header in [[api]] itself")),
    (&["listenpath"], Key("api.listen_path")),
    (&["strip"], Key("api.strip_listen_path")),
    (&["url"], Key("api.target_url")),
    (&["loadbalancing", "targets", "servicediscovery"], TARGETS),
    (&["preservehostheader"], Key("api.preserve_host_header")),
    (&["id", "dbid", "orgid"], Say("leave it out: an api is known by its name")),
    (&["customdomain"], Key("api.host")),
    (&["authentication", "securityschemes", "jwt", "oidc", "oauth", "hmac", "basic"], AUTH),
    (&["header"], Key("api.auth.header")),
    (&["query"], Key("api.auth.query")),
    (&["cookie"], Key("api.auth.cookie")),
    (
        &["stripauthorizationdata"],
        Say("leave it out: a key goes upstream only with forward in [api.auth]"),
    ),
    (&["clientcertificates"], Key("tls.client_ca")),
    (&["mutualtls"], IDENTITY),
    (&["insecureskipverify"], Key("api.upstream_tls.insecure_skip_verify")),
    (&["ipaccesscontrol"], Say("write allow and deny in [[api]]")),
    (&["block"], Key("api.deny")),
    (&["allowedorigins"], ORIGINS),
    (&["allowedmethods"], Key("api.cors.methods")),
    (&["allowedheaders"], Key("api.cors.headers")),
    (&["exposedheaders"], Key("api.cors.expose")),
    (&["allowcredentials"], Key("api.cors.credentials")),
    (&["maxage"], Key("api.cors.max_age")),
    (&["optionspassthrough"], Say("leave out [api.cors]: then preflights go upstream")),
    (&["transformrequestheaders"], Say("write set and remove in [api.request_headers]")),
    (&["transformresponseheaders"], Say("write set and remove in [api.response_headers]")),
    (&["requestsizelimit"], Key("api.max_body_bytes")),
    (&["ratelimit"], RATES),
    (&["uptimetests"], Key("api.health_path")),
    (&["cache"], NO_CACHE),
    (&["port"], LISTEN),
    (&["versioning", "operations", "pluginconfig", "gatewaytags", "eventhandlers"], LEFT_OUT),
    (&["contextvariables", "trafficlogs", "detailedactivitylogs", "detailedtracing"], LEFT_OUT),
];

/// Wrong keys that people write in a key file.
pub(super) const OF_KEYS: &Hints = &[(
    &["key", "secret", "token", "value", "hash", "api_key", "password"],
    Say("write sha256: millstream --hash-key prints it for a key"),
)];

/// Keys of other proxies, and ones that people guess, in lower case.
pub(super) const OTHERS: &Hints = &[
    (&["port", "bind", "addr", "address", "listen_addr", "listen_port", "listener"], LISTEN),
    (&["listeners", "entrypoints", "frontend"], LISTEN),
    (&["proxy_pass", "reverse_proxy", "backend", "backends", "upstream", "upstreams"], TARGETS),
    (&["target", "targets", "url", "servers", "origin"], TARGETS),
    (&["hostname", "domains", "vhost"], Key("api.host")),
    (
        &["accept_proxy", "expect_proxy", "use_proxy_protocol", "accept_proxy_protocol"],
        Key("server.proxy_protocol"),
    ),
    (&["location", "path", "prefix", "path_prefix", "base_path"], Key("api.listen_path")),
    (&["strip_prefix", "strip_path"], Key("api.strip_listen_path")),
    (&["preserve_host", "pass_host_header"], Key("api.preserve_host_header")),
    (&["host_rewrite", "host_rewrite_literal", "upstream_host"], Key("api.host_header")),
    (&["proxy_redirect", "redirects"], Key("api.rewrite_redirects")),
    (&["ip_allow_list", "allow_list", "whitelist", "source_range"], Key("api.allow")),
    (&["ip_deny_list", "deny_list", "blacklist", "block"], Key("api.deny")),
    (&["apis", "routes", "services"], Say("write an [[api]] for each, with two brackets")),
    (&["ssl", "https", "tls_cert", "tls_key", "tls_certificate", "tls_private_key"], TLS),
    (&["ssl_certificate", "ssl_certificate_key", "ssl_cert", "ssl_key", "crt", "acme"], TLS),
    (&["cert", "cert_file", "key_file", "cert_path", "key_path"], TLS),
    (&["ssl_protocols", "tls_min_version", "min_tls_version"], Key("tls.min_version")),
    (&["ssl_client_certificate", "client_ca_file", "ca_file_client"], Key("tls.client_ca")),
    (&["ssl_crl", "crl_file", "crl"], Key("tls.client_crl")),
    (&["ssl_verify_client", "client_auth"], Key("tls.verify_client")),
    (&["ssl_session_tickets", "ssl_session_cache", "ssl_session_ticket_key"], TICKETS),
    (&["tls_ticket_keys", "ticket_keys"], TICKETS),
    (
        &["proxy_ssl_trusted_certificate", "tls_trusted_ca_certs", "root_ca", "ca_cert"],
        Key("api.upstream_tls.ca_file"),
    ),
    // It is a key of [api.upstream_tls] here, but nginx users expect the name of a virtual host.
    (&["server_name"], Key("api.host")),
    (&["proxy_ssl_name", "sni", "tls_server_name"], Key("api.upstream_tls.server_name")),
    (&["proxy_ssl_certificate", "proxy_ssl_certificate_key", "tls_client_auth"], IDENTITY),
    (
        &["proxy_ssl_verify", "skip_verify", "tls_insecure_skip_verify"],
        Key("api.upstream_tls.insecure_skip_verify"),
    ),
    (&["http2", "http3", "quic"], Say("only HTTP/1.1 is supported; leave it out")),
    (&["timeout", "timeouts", "request_timeout", "proxy_timeout"], TIMEOUTS),
    (&["client_header_timeout"], Key("server.read_timeout")),
    (&["client_body_timeout"], Key("server.body_timeout")),
    (&["send_timeout", "proxy_send_timeout"], Key("server.write_timeout")),
    (&["proxy_connect_timeout", "dial_timeout"], Key("api.connect_timeout")),
    (
        &["proxy_read_timeout", "timeout_server"],
        Say(
            "response_timeout in [[api]] is how long a head may take, idle_timeout how long a body \
            may pause, stream_idle_timeout how long an event stream may be silent",
        ),
    ),
    (&["client_max_body_size", "max_body_size"], Key("server.max_body_bytes")),
    (&["max_header_bytes", "max_header_size"], Key("server.max_head_bytes")),
    (&["worker_connections", "maxconn"], Key("server.max_connections")),
    (&["worker_processes", "threads", "nbthread"], Key("server.workers")),
    (
        &["daemon", "pid", "pid_file", "pidfile"],
        Say("millstream stays in the foreground and writes no PID file; leave it out"),
    ),
    (&["group"], Say("leave it out: the groups are those of server.user")),
    (
        &[
            "proxy_buffering",
            "proxy_buffers",
            "buffering",
            "buffer_size",
            "proxy_request_buffering",
        ],
        Say("nothing is buffered; leave it out"),
    ),
    (&["proxy_cache", "cache"], NO_CACHE),
    (
        &["gzip", "brotli", "compress", "encode"],
        Say(
            "nothing is compressed here; leave it out. What a server compresses passes, also event \
            streams with compression = \"pass\" in [[api]]",
        ),
    ),
    (&["websocket", "websockets"], Key("server.enable_websockets")),
    (&["set_real_ip_from", "trusted_ips", "real_ip_from"], Key("server.trusted_proxies")),
    (&["max_conns", "max_upstream_connections"], Key("api.max_upstream")),
    (&["timeout_queue"], Key("api.queue_timeout")),
    (&["keepalive"], Key("api.keepalive_upstream")),
    (&["proxy_next_upstream", "option_redispatch", "retries"], Key("api.retry_on")),
    (
        &["ping", "ping_interval", "keepalive_interval", "heartbeat_interval", "keep_alive"],
        Key("api.heartbeat"),
    ),
    (&["ping_event", "nchan_eventsource_ping_event"], Key("api.heartbeat_event")),
    (&["rate_limit", "ratelimit", "limit_req", "limit_conn", "limit_rps", "quota"], RATES),
    (&["health_check", "healthcheck", "health_checks", "health_uri"], Key("api.health_path")),
    (&["fall"], Key("api.health_fails")),
    (&["rise"], Key("api.health_passes")),
    (&["fail_duration", "base_ejection_time", "fail_window"], Key("api.fail_timeout")),
    (&["consecutive_5xx", "max_failed_attempts"], Key("api.max_fails")),
    (
        &["stick", "session_affinity", "affinity", "sticky_session", "sticky_cookie", "ip_hash"],
        Say("write an [api.sticky] table"),
    ),
    (
        &["weight", "backup"],
        Say("write it in the list of targets: target_url = [{ url = \"...\", weight = 2 }]"),
    ),
    (&["keys"], Key("api.auth.keys_file")),
    (&["api_key", "api_keys", "token", "tokens", "users", "basic_auth", "jwt"], AUTH),
    (&["allow_origins", "allow_origin", "access_control_allow_origin"], Key("api.cors.origins")),
    (&["allow_methods"], Key("api.cors.methods")),
    (&["allow_headers"], Key("api.cors.headers")),
    (&["add_header", "response_header"], Key("api.response_headers.set")),
    (&["proxy_set_header", "headers_up", "request_header"], Key("api.request_headers.set")),
    (
        &["access_log", "error_log", "log_file", "logfile", "file"],
        Say("the access log goes to standard output and the log to standard error; \
            the [log] table controls both"),
    ),
    (&["loglevel", "verbosity"], Key("log.level")),
    (
        &["grace", "graceful_timeout", "shutdown_timeout", "drain_timeout", "grace_period"],
        Key("drain.answers"),
    ),
    (&["shutdown_delay", "drain_delay", "predrain", "pre_stop", "lame_duck"], Key("drain.delay")),
    (
        &["metrics", "prometheus", "dashboard", "stats"],
        Say("write an [admin] table: /metrics and a live page are on its listener"),
    ),
    (&["include", "includes", "import"], Say("a configuration is one file; leave it out")),
];

/// The tables and keys of a file, for suggestions.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) tables: Vec<Known>,
    /// Tyk's keys that have a counterpart in this file.
    pub(super) tyk: &'static Hints,
    /// Other programs' keys that have a counterpart in this file.
    pub(super) others: &'static Hints,
}

/// A table and its keys.
#[derive(Debug)]
pub(super) struct Known {
    /// The names in its header: `api.auth`. Empty for the file itself.
    pub(super) header: String,
    /// True exactly when the table may be repeated: `[[api]]`.
    pub(super) is_list: bool,
    pub(super) keys: Vec<&'static str>,
}

impl Schema {
    /// Suggests what an unknown key may mean, in a table with the keys `own`.
    pub(super) fn what_is_meant(&self, key: &str, own: &[&'static str]) -> String {
        let word = as_written_here(key);
        if !own.contains(&word.as_str())
            && let Some(said) = self.elsewhere(&word, &[self.tyk, self.others])
        {
            return said;
        }
        if let Some(near) = nearest(&word, own) {
            return format!("did you mean \"{near}\"?");
        }
        let near = self.tables.iter().filter_map(|t| Some((nearest(&word, &t.keys)?, t)));
        match near.min_by_key(|(near, _)| edits(word.as_bytes(), near.as_bytes())) {
            Some((near, table)) => format!("did you mean \"{near}\" in {}?", table.shown()),
            None => format!("the keys of this table are {}", own.join(", ")),
        }
    }

    /// Suggests what to write instead of a key of one of Tyk's files, if it has a counterpart.
    /// `of_file` are the hints for this kind of file.
    pub(super) fn in_place_of_tyks(&self, key: &str, of_file: &Hints) -> Option<String> {
        self.elsewhere(&as_written_here(key), &[of_file, self.tyk])
    }

    /// Suggests what to write instead of a key that has a meaning elsewhere, but not in this table.
    fn elsewhere(&self, word: &str, hints: &[&Hints]) -> Option<String> {
        let hint = hints.iter().copied().flatten().find(|(words, _)| words.contains(&word));
        if let Some((_, meant)) = hint {
            return Some(match meant {
                Say(sentence) => (*sentence).to_owned(),
                Key(path) => self.write(path),
            });
        }
        if let Some(table) = self.tables.iter().find(|t| t.name() == word && !word.is_empty()) {
            return Some(format!("this is a separate table; write {}", table.shown()));
        }
        let homes = self.tables.iter().filter(|table| table.keys.contains(&word));
        let homes: Vec<String> = homes.map(Known::shown).collect();
        (!homes.is_empty()).then(|| format!("it belongs to {}", homes.join(" or ")))
    }

    /// The suggestion to write the key with this path.
    fn write(&self, path: &str) -> String {
        let (header, key) = path.rsplit_once('.').unwrap_or(("", path));
        let table = self.tables.iter().find(|table| table.header == header);
        format!("write {key} in {}", table.map_or_else(|| format!("[{header}]"), Known::shown))
    }
}

impl Known {
    /// The table's header as it appears in a file.
    fn shown(&self) -> String {
        match (self.header.as_str(), self.is_list) {
            ("", _) => "the top of the file".to_owned(),
            (header, true) => format!("[[{header}]]"),
            (header, false) => format!("[{header}]"),
        }
    }

    fn name(&self) -> &str {
        self.header.rsplit('.').next().unwrap_or_default()
    }
}

fn as_written_here(key: &str) -> String {
    key.to_ascii_lowercase().replace('-', "_")
}

/// The word in `known` that is closest to `word`. None if none is close.
fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    // The limit is one edit for every four letters, plus one.
    let far = |known: &str| known.len().min(word.len()) / 4 + 1;
    known
        .iter()
        .filter(|known| known.len().abs_diff(word.len()) <= far(known))
        .map(|known| (edits(word.as_bytes(), known.as_bytes()), *known))
        .filter(|&(edits, known)| edits <= far(known))
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, known)| known)
}

/// The number of bytes to insert, remove or change to turn `a` into `b` (the Levenshtein distance),
/// computed row by row: each prefix of `a` against all prefixes of `b`.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;
    use std::fs;
    use std::path::Path;

    /// The definition, which takes exponential time.
    fn edits_by_definition(a: &[u8], b: &[u8]) -> usize {
        match (a, b) {
            (rest, []) | ([], rest) => rest.len(),
            ([x, a @ ..], [y, b @ ..]) if x == y => edits_by_definition(a, b),
            ([_, a_rest @ ..], [_, b_rest @ ..]) => {
                let changed = edits_by_definition(a_rest, b_rest);
                let removed = edits_by_definition(a_rest, b);
                let inserted = edits_by_definition(a, b_rest);
                1 + changed.min(removed).min(inserted)
            }
        }
    }

    #[test]
    fn edits_are_the_fewest() {
        let mut words = vec![vec![]];
        for n in 0..40 {
            let mut longer: Vec<u8> = words[n / 3].clone();
            longer.push(b"abc"[n % 3]);
            words.push(longer);
        }
        for a in &words {
            for b in &words {
                assert_eq!(edits(a, b), edits_by_definition(a, b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn near_keys_are_suggested() {
        let known = ["listen", "listen_path", "name", "host", "active"];
        let check = |word, want| assert_eq!(nearest(word, &known), want, "{word}");
        check("listen_pth", Some("listen_path"));
        check("listen-path", Some("listen_path"));
        check("lisen", Some("listen"));
        check("hots", Some("host"));
        check("Name", Some("name"));
        check("hostname", None);
        check("q", None);
        check("", None);
        check(&"listen".repeat(100_000), None);
    }

    /// No hint is for a key that exists here, and every key that a hint names exists. A few words
    /// are keys of one table, and have a hint for all other tables.
    #[test]
    fn what_is_named_is_there() {
        let Schema { tables, .. } = file::schema();
        for (words, _) in [TYK, OTHERS].into_iter().flatten() {
            for word in *words {
                let home = tables.iter().find(|table| table.keys.contains(word));
                let ours = match *word {
                    "url" | "timeout" => "api.auth",
                    "server_name" => "api.upstream_tls",
                    "allowed_origins" => "api",
                    _ => "",
                };
                let is_both = home.is_some_and(|home| home.header == ours);
                assert!(home.is_none() || is_both, "{word} is a key: {home:?}");
            }
        }
        for (words, meant) in [TYK, TYK_OAS, OTHERS].into_iter().flatten() {
            assert!(words.iter().all(|word| *word == as_written_here(word)), "{words:?}");
            if let Key(path) = meant {
                let (header, key) = path.rsplit_once('.').unwrap();
                let is_there = |table: &Known| table.header == header && table.keys.contains(&key);
                assert!(tables.iter().any(is_there), "{path}");
            }
        }
    }

    /// The pages about other programs name the same keys as these hints. `OTHERWISE` lists words
    /// that mean something else in one program.
    #[test]
    fn pages_name_the_same_keys() {
        const OTHERWISE: [(&str, &str); 4] = [
            ("ingress-nginx", "use_proxy_protocol"),
            ("ingress-nginx", "keep_alive"),
            ("traefik", "server_name"),
            ("traefik", "ping"),
        ];
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/from");
        let mut compared = 0;
        for page in ["caddy", "haproxy", "ingress-nginx", "nginx", "traefik", "tyk"] {
            let hints: [&Hints; 2] = if page == "tyk" { [TYK, TYK_OAS] } else { [OTHERS, &[]] };
            let text = fs::read_to_string(folder.join(format!("{page}.md"))).unwrap();
            for row in text.lines().filter_map(|line| line.strip_prefix("| ")) {
                let (theirs, ours) = row.rsplit_once(" | ").unwrap();
                let ours = ours.split('`').skip(1).step_by(2);
                let is_between = |c: char| !c.is_ascii_lowercase() && c != '_';
                let named: Vec<&str> = ours.flat_map(|code| code.split(is_between)).collect();
                for code in theirs.split('`').skip(1).step_by(2) {
                    let code = code.rsplit('.').next().unwrap();
                    let words = [in_snake_case(code), as_written_here(code)];
                    let mut all = hints.into_iter().flatten();
                    let hint = all
                        .find(|(known, _)| words.iter().any(|word| known.contains(&word.as_str())));
                    let Some((known, Key(path))) = hint else { continue };
                    if OTHERWISE.iter().any(|(of, word)| *of == page && known.contains(word)) {
                        continue;
                    }
                    compared += 1;
                    let key = path.rsplit('.').next().unwrap();
                    assert!(named.contains(&key), "{page}.md does not name {path} in {row}");
                }
            }
        }
        assert!(compared > 50, "{compared}");
    }

    /// `passHostHeader` as `pass_host_header`.
    fn in_snake_case(word: &str) -> String {
        let (mut snake, mut before) = (String::new(), ' ');
        for c in word.chars() {
            if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
                snake.push('_');
            }
            snake.push(c);
            before = c;
        }
        as_written_here(&snake)
    }
}
