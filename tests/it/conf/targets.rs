//! Whether the requests of an api can go to its new targets after a reload.

use super::parse;

const BEFORE: &str = "target_url = 'http://10.0.0.1/base'\nmax_upstream = 1\n";

#[test]
fn what_may_change_beside_the_hosts() {
    let api = |name: &str, keys: &str| {
        let text = format!("[[api]]\nname = '{name}'\nlisten_path = '/'\n{keys}\n");
        parse(&text).apis.remove(0)
    };
    let before = api("a", BEFORE);
    let check = |serves, name, keys: &str| {
        assert_eq!(before.serves_like(&api(name, keys)), serves, "{name}\n{keys}");
    };
    check(true, "a", BEFORE);
    check(true, "a", "target_url = ['http://10.0.0.1/base', 'http://10.0.0.2/base']");
    let times = "connect_timeout = '1s'\nqueue_timeout = '1m'\nmax_fails = 9\n";
    let all = format!("max_upstream = 2\nkeepalive_upstream = 0\n{times}");
    check(true, "a", &format!("target_url = 'https://10.0.0.3:8443/base'\n{all}"));
    check(false, "b", BEFORE);
    check(false, "a", "target_url = 'http://10.0.0.1/other'");
    check(false, "a", "target_url = 'http://10.0.0.1/base?a=b'");
    for key in ["preserve_host_header = true", "heartbeat = '1s'", "active = false"] {
        check(false, "a", &format!("{BEFORE}{key}\n"));
    }
}
