//! The whole arrangement, small: real processes, real sockets, a second for each measurement.

use std::process::Command;

#[test]
fn the_floor_passes_everything_on() {
    let out = std::env::temp_dir().join(format!("bench-whole-{}.md", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args([
            "run",
            "--peers",
            "floor",
            "--scenario",
            "paced,burst,short,churn",
        ])
        .args([
            "--rounds",
            "1",
            "--seconds",
            "1",
            "--streams",
            "5",
            "--load-core",
            "0",
        ])
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    let text = std::fs::read_to_string(&out).unwrap();
    std::fs::remove_file(&out).unwrap();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(text.matches("| floor | ").count(), 4, "{text}");
}
