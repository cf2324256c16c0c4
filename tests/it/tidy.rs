//! The house rules, as far as a machine can judge them.

mod layers;

use std::fs;
use std::path::{Path, PathBuf};

const LINE_MAX: usize = 100;
const FILE_MAX: usize = 600;

#[test]
fn every_source_file_is_tidy() {
    let mut wrong = Vec::new();
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        let mut complain = |what: String| wrong.push(format!("{}: {what}", file.display()));
        if !text.starts_with("//! ") {
            complain("its first line does not say why it exists (//!)".to_owned());
        }
        if !text.ends_with('\n') {
            complain("no line end at its end".to_owned());
        }
        let lines = text.lines().count();
        if lines > FILE_MAX {
            complain(format!("{lines} lines, more than {FILE_MAX}"));
        }
        for (number, line) in (1..).zip(text.lines()) {
            // Put together here, or this file would not be tidy.
            let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
            if line.chars().count() > LINE_MAX {
                complain(format!("line {number} is longer than {LINE_MAX}"));
            }
            if line.contains('\t') || line.ends_with(' ') {
                complain(format!("line {number}: a tab, or a space at its end"));
            }
            if marks.iter().any(|mark| line.contains(mark)) {
                complain(format!("line {number}: unfinished"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What takes a body in and what gives it out are joined elsewhere, so that either can be joined to
/// something else.
#[test]
fn neither_half_of_a_pipe_names_the_other() {
    for (half, other) in [("intake.rs", "outlet"), ("outlet.rs", "intake")] {
        let text = fs::read_to_string(root().join("src/pipe").join(half)).unwrap();
        assert!(!text.contains(other), "src/pipe/{half} names {other}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let folders = ["src", "tests/it", "fuzz/fuzz_targets", "benches/src", "benches/micro/leaves"];
    for folder in folders {
        files.extend(files_below(&root().join(folder)));
    }
    files.retain(|file| file.extension().is_some_and(|e| e == "rs"));
    assert!(files.len() > 20);
    files
}

/// All files in a folder, and in those within it.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return files;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}
