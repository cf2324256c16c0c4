//! Tests of readings: a table for each step, their combinations, and a naive closure.

use super::*;
use fastrand::Rng;

fn of(path: &str) -> Vec<String> {
    let all = readings(path.as_bytes()).unwrap();
    all.iter().map(|reading| reading.escape_ascii().to_string()).collect()
}

#[test]
fn each_step() {
    let check = |path: &str, want: &[&str]| assert_eq!(of(path), want, "{path}");
    for path in ["/", "/a/b.c/", "/a/../b", "/a b?#"] {
        check(path, &[]);
    }
    check("/%40admin/x", &["/@admin/x"]);
    check("/a%2540", &["/a%40", "/a@"]);
    check("/100%", &[]);
    check("/%4", &[]);
    check("/secret;/e", &["/secret/e", "/secret"]);
    check("/a;b=c;d", &["/a"]);
    check("/a\\b", &["/a/b"]);
    check("/a//b", &["/a/b"]);
    check("//x/secret", &["/x/secret", "/secret"]);
    check("//x", &["/x", "/"]);
    check("///x/y", &["/x/y", "/y"]);
    check("/a%3fb", &["/a?b", "/a"]);
    check("/a%23b", &["/a#b", "/a"]);
    check("/a%2500b", &["/a%00b", "/a\\x00b", "/a"]);
    check("/a%09b", &["/a\\tb", "/ab"]);
    check("/a%0a/%20b%20", &["/a\\n/ b ", "/a/ b ", "/a/b"]);
    check("/a%2fb", &["/a/b"]);
    check("/a/%252e%252e/b", &["/a/%2e%2e/b", "/a/../b", "/b"]);
    check("/%252e./a", &["/%2e./a", "/../a", "/a"]);
}

#[test]
fn steps_in_any_order() {
    let leads = |path: &str, to: &str| {
        assert!(of(path).iter().any(|reading| reading == to), "{path}: {:?}", of(path));
    };
    for path in [
        "/;a=b/secret/e",
        "//x/secret/e",
        "///secret/e",
        "//x/secret;v=1/e",
        "/%2fx/secret/e",
        "/%5cx%5csecret%5ce",
        "/%2f%2fx/secret/e",
        "/%3ba=b/secret/e",
        "/%253b/secret/e",
        "/x/%252e%252e/secret/e",
        "//u:p@x:80/secret/e",
        "/x%2f%252e.%5csecret/e",
        "/sec%0Aret/e",
        "/secret%20/e",
        "/secret/e%3f;/../x",
        "/secret/e%2523/x",
        "/%09/x/secret/e",
    ] {
        leads(path, "/secret/e");
    }
}

#[test]
fn hosts_in_paths() {
    let check = |path: &str, want| assert_eq!(authority(path.as_bytes()), want, "{path}");
    check("/a//b", None);
    check("//", None);
    check("//a.example", Some("a.example"));
    check("//a.example:80/b", Some("a.example:80"));
    check("////u:p@a.example/b@c", Some("a.example"));
}

/// Ordinary paths have few readings.
#[test]
fn usual_paths_are_within_the_bounds() {
    for (path, most) in [
        ("/files/a%20b/c%C3%A9.txt", 1),
        ("/proxy/https%3A%2F%2Fa.example%2Fb%3Fc%3Dd%23e", 8),
        ("/app;jsessionid=0123/a//b;c=d", 12),
        ("//a//b;c=1/%7Eu%20/d%252Fe", READINGS_MAX),
        ("/%E3%81%82%E3%81%84/%20%28x%29;v=1.2/", 12),
    ] {
        let got = readings(path.as_bytes()).map(|all| all.len());
        assert!(got.is_ok_and(|count| count <= most), "{path} {got:?}");
    }
}

/// Twice as many bytes take at most twice the work, whatever they are.
#[test]
fn the_work_is_bounded() {
    let hostile = [
        "%25",
        "%2525",
        "//",
        "/;",
        "%2f",
        "%5c",
        "/%2e",
        "%20/",
        "%09",
        "%3f",
        ";%3b",
        "\\",
        "/.",
        "//%2f%5c;a%3b%253b%20/%09/%252e%252e/%3f%23%2500",
    ];
    for part in hostile {
        for len in [1 << 10, 8 << 10, 64 << 10] {
            let path = format!("/{}", part.repeat(len / part.len()));
            let mut found = Readings::default();
            let within = found.find_all(path.as_bytes());
            // The last reading may exceed the bounds by the work of all its steps.
            let most = WORK_MAX[0] + (WORK_MAX[1] + 1 + STEPS.len()) * path.len();
            assert!(found.work <= most, "{part} {len} {}", found.work);
            assert!(found.all.len() <= READINGS_MAX + STEPS.len(), "{part} {len}");
            assert_eq!(within, readings(path.as_bytes()).is_ok(), "{part} {len}");
        }
    }
    let deep = format!("/%{}41", "25".repeat(80));
    assert_eq!(readings(deep.as_bytes()), Err(TooManyReadings));
}

#[test]
fn agrees_with_a_naive_closure() {
    let parts = [
        "/", "//", "a", ".", "..", "/..", "/.", ";", ";b", "%2f", "%5C", "\\", "%25", "2e", "%2E",
        "%3b", "%3F", "%23", "%00", "%09", "%0a", "%20", " ", "%41", "%", "2", "x", "%2525",
    ];
    let mut dice = Rng::with_seed(1);
    let mut counted = 0;
    for _ in 0..4_000 {
        let tail: String = (0..dice.usize(..9)).map(|_| parts[dice.usize(..parts.len())]).collect();
        let path = format!("/{tail}");
        let want = naive::readings(path.as_bytes(), READINGS_MAX);
        let Ok(got) = readings(path.as_bytes()) else {
            assert!(want.len() > READINGS_MAX, "{path} {want:?}");
            continue;
        };
        let got = got.iter().map(|reading| reading.iter().copied().map(char::from).collect());
        assert_eq!(got.collect::<std::collections::BTreeSet<String>>(), want, "{path}");
        counted += want.len();
    }
    assert!(counted > 4_000, "{counted}");
}
