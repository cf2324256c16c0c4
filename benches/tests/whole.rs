//! The whole setup at a small scale: real processes, real sockets, a second for each measurement.

use std::process::Command;

/// Runs scenarios, and returns the report.
fn run(name: &str, arguments: &[&str]) -> std::io::Result<String> {
    let out = std::env::temp_dir().join(format!("bench-{name}-{}", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["run", "--rounds", "1", "--seconds", "1", "--load-core", "0"])
        .args(arguments)
        .arg("--out")
        .arg(&out)
        .output()?;
    let text = std::fs::read_to_string(out.join("RESULTS.md"))?;
    let plots = std::fs::read_dir(out.join("plots"))?.count();
    std::fs::remove_dir_all(&out)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{complaint}");
    assert_eq!(plots, text.matches("](plots/").count(), "{text}");
    Ok(text)
}

/// The cells of the floor's rows.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with("| floor |"));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// Runs scenarios with the floor and a few streams.
fn floor(name: &str, scenarios: &str, more: &[&str]) -> std::io::Result<String> {
    let usual = [
        "--peers",
        "floor",
        "--streams",
        "5",
        "--scenario",
        scenarios,
    ];
    run(name, &[&usual[..], more].concat())
}

#[test]
fn the_floor_passes_everything_on() {
    let scenarios = "tokens,burst,short,crowd,pool,fresh,bulk,churn";
    let text = floor("floor", scenarios, &[]).unwrap();
    let rows = rows(&text);
    assert_eq!(rows.len(), 8, "{text}");
    let empty = |row: &Vec<&str>| row.contains(&"–");
    assert!(!rows.iter().any(empty), "{text}");
    let left_open = rows[7].last().unwrap();
    assert_eq!(*left_open, "0", "{text}");
}

#[test]
fn clients_of_one_stream_come_and_stall() {
    let text = floor("shared", "shared,shared-idle,replay,stalled", &[]).unwrap();
    assert_eq!(rows(&text).len(), 4, "{text}");
}

#[test]
fn streams_beside_slow_readers_go_on() {
    let text = floor("slow", "slow", &[]).unwrap();
    assert_eq!(rows(&text).len(), 1, "{text}");
}

#[test]
fn streams_go_on_while_clients_come() {
    let text = floor("arrivals", "visits,storm", &[]).unwrap();
    let rows = rows(&text);
    assert_eq!(rows.len(), 2, "{text}");
    let empty = |row: &Vec<&str>| row.contains(&"–");
    assert!(!rows.iter().any(empty), "{text}");
}

#[test]
fn clients_that_come_with_tls_get_the_same() {
    let text = floor("tls", "tls-idle,tls-fresh,tls-churn", &["--rest", "1"]).unwrap();
    let rows = rows(&text);
    assert_eq!(rows.len(), 3, "{text}");
    let empty = |row: &Vec<&str>| row.contains(&"–");
    assert!(!rows.iter().any(empty), "{text}");
    let left_open = rows[2].last().unwrap();
    assert_eq!(*left_open, "0", "{text}");
}

#[test]
fn a_peer_that_just_ends_cuts_all_streams_at_once() {
    let peers = "direct,floor";
    let text = run(
        "drain",
        &["--peers", peers, "--streams", "50", "--scenario", "drain"],
    )
    .unwrap();
    let rows = rows(&text);
    let [_, _, _, _, inside, cut, open, _] = rows[0][..] else {
        panic!("{text}");
    };
    assert_eq!((inside, open), ("0", "0"));
    assert_eq!(cut, "50.0", "{text}");
    assert!(!text.contains("\n| direct |"), "it cannot drain: {text}");
}
