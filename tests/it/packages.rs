//! What packages are made of: what `make install` installs.

use crate::tidy::files_below;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder for one test, which is empty at first.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    // It is there if the test ran before.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs a command at the root of the repository: its standard output.
fn run(command: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(command).args(arguments).current_dir(root()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command} {arguments:?}: {said}");
    output.stdout
}

/// Runs `make install` or its like, with a prefix that nothing else is in.
fn make(goal: &str, to: &Path) {
    let to = format!("DESTDIR={}", to.display());
    run("make", &["--silent", goal, &to, "PREFIX=/usr", "BINARY=Makefile"]);
}

/// Links between documents lead to what is installed, and so do the paths in the manual and in the
/// unit.
#[test]
fn what_is_installed_is_whole_and_goes_again() {
    let to = folder("install");
    make("install", &to);
    let files = files_below(&to);
    let mut links = 0;
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(file).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0) {
            let path = link.split('#').next().unwrap();
            if !path.contains("://") {
                links += 1;
                assert!(file.parent().unwrap().join(path).exists(), "{}: {link}", file.display());
            }
        }
    }
    assert!(links > 10, "{links}");
    let mut paths = 0;
    for file in ["share/man/man1/millstream.1", "lib/systemd/system/millstream.service"] {
        let text = fs::read_to_string(to.join("usr").join(file)).unwrap();
        assert!(!text.contains("/usr/local"), "{file}");
        for word in text.split(char::is_whitespace).filter(|word| word.contains("/usr/")) {
            let path = &word[word.find("/usr/").unwrap() + 1..];
            paths += 1;
            assert!(to.join(path).exists(), "{file}: {word}");
        }
    }
    assert!(paths > 6, "{paths}");
    make("uninstall", &to);
    assert!(files_below(&to).is_empty(), "{:?}", files_below(&to));
}
