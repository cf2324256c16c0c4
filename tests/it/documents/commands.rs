//! The commands shown in README.md and docs/ do what the text says: `tests/documents/run`.

use super::root;
use crate::e2e::skip;
use std::process::Command;

#[test]
fn commands_do_what_is_shown() {
    let runner = root().join("tests/documents/run");
    let mut command = Command::new("python3");
    command.arg("-B").arg(runner).args(["--binary", env!("CARGO_BIN_EXE_millstream")]);
    let curl = Command::new("curl").arg("--version").output();
    let said = match (command.output(), curl) {
        (Ok(said), Ok(_)) => said,
        _ => return skip("documents", "there is no Python 3, or no curl"),
    };
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    match said.status.code() {
        Some(0) => {}
        Some(77) => skip("documents", text.trim()),
        _ => panic!("{text}{}", String::from_utf8_lossy(&said.stderr)),
    }
}
