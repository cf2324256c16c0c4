//! The house rules that can be checked automatically.

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
            // Split, because this file is checked, too.
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

/// A doc block consists of whole sentences about its own item. A block that begins with a
/// lower-case letter continues that of another item; one without a full stop is continued there.
#[test]
fn docs_are_whole_sentences() {
    let mut wrong = Vec::new();
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        let mut number = 1;
        for block in lines.chunk_by(|a, b| doc_mark(a) == doc_mark(b)) {
            if doc_mark(block[0]).is_some() && !is_whole(block) {
                wrong.push(format!("{}:{number}: {}", file.display(), block[0]));
            }
            number += block.len();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn doc_mark(line: &str) -> Option<&str> {
    ["///", "//!"].into_iter().find(|mark| line.starts_with(mark))
}

fn is_whole(block: &[&str]) -> bool {
    let lines: Vec<&str> = block.iter().map(|line| line[3..].trim_end()).collect();
    let first = lines[0].trim_start();
    let capital = |c: char| c.is_uppercase() || c.is_ascii_digit() || "`[\"".contains(c);
    let begins = first.starts_with(capital) && !first.starts_with("Likewise");
    let last = lines[lines.len() - 1];
    // The last line of a list item may be indented.
    let item = lines.iter().rev().find(|line| !line.starts_with("  ")).map_or("", |l| l.trim());
    let is_list = ["- ", "* ", "|", "```"].iter().any(|mark| item.starts_with(mark));
    let is_code = lines.len() == 1 && last.ends_with('`');
    begins && (is_list || is_code || last.ends_with('.') || last.ends_with(".)"))
}

/// The compiler requires docs only for items visible outside of the crate, and the modules are
/// private. Fields may be clear from their names and types.
#[test]
fn what_is_public_has_a_doc() {
    let mut wrong = Vec::new();
    for file in sources().into_iter().filter(|file| file.starts_with(root().join("src"))) {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        for (index, line) in lines.iter().enumerate() {
            let word = line.strip_prefix("pub ").and_then(|item| item.split(' ').next());
            let kinds = ["const", "enum", "fn", "static", "struct", "trait", "type"];
            let mut above = lines[..index].iter().rev().filter(|line| !line.starts_with("#["));
            let has_doc = above.next().is_some_and(|line| line.starts_with("///"));
            if word.is_some_and(|word| kinds.contains(&word)) && !has_doc {
                wrong.push(format!("{}:{}: {line}", file.display(), index + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The part that reads a body and the part that sends it are joined elsewhere, so either can be
/// joined to something else.
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
    let benches = ["benches/src", "benches/micro/leaves"];
    let folders = ["src", "tests/it", "fuzz/fuzz_targets", "races/src"];
    for folder in folders.into_iter().chain(benches) {
        files.extend(files_below(&root().join(folder)));
    }
    files.retain(|file| file.extension().is_some_and(|e| e == "rs"));
    assert!(files.len() > 20);
    files
}

/// All files in a folder and its subfolders.
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
