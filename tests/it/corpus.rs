//! Replays inputs that the fuzzer found, and mutations of them, so the properties in
//! `millstream::testing::fuzz` are tested with new inputs without a nightly compiler.
//!
//! `FUZZ_MUTATIONS=100000 cargo test --test it corpus` tries more mutations than usual, and
//! `FUZZ_INPUT=file` replays one file through the target whose test is run.

use millstream::testing::fuzz::TARGETS;
use millstream::testing::rng::Rng;
use std::fs;
use std::path::{Path, PathBuf};

/// How far mutations may grow an input, in bytes.
const GROWN_MAX: usize = 4096;

/// Defines a test for each target, so they run in parallel and can be selected by name.
macro_rules! targets {
    ($($name:ident: $mutations:expr),*) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name), $mutations);
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let names = TARGETS.map(|(name, _)| name);
            assert_eq!(names, [$(stringify!($name)),*]);
            for name in names {
                let source = root().join(format!("fuzz_targets/{name}.rs"));
                let source = fs::read_to_string(source).unwrap();
                assert!(source.contains(&format!("millstream::testing::fuzz::{name}(")), "{name}");
            }
        }
    };
}

// This many take a quarter of a second.
targets! {
    head: 2000, framing: 2000, chunk: 2000, body: 2000, sse: 2000, route: 2000,
    path_readings: 1000, config: 2000, wheel: 2000, agreement: 2000, proxy: 1000, tls: 1000,
    x509: 2000, proxy_protocol: 2000, event_log: 1000
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn replay(name: &str, mutations: usize) {
    let (_, target) = TARGETS.into_iter().find(|(own, _)| *own == name).unwrap();
    if let Ok(file) = std::env::var("FUZZ_INPUT") {
        target(&fs::read(file).unwrap());
        return;
    }
    let seeds = seeds(name);
    for (file, bytes) in &seeds {
        run(name, target, bytes, &format!("{name}/{file}"));
    }
    let words = words(&seeds);
    let mutations = std::env::var("FUZZ_MUTATIONS").map_or(mutations, |n| n.parse().unwrap());
    let mut rng = Rng::new(0);
    for number in 0..mutations {
        let bytes = mutate(&mut rng, &seeds, &words);
        run(name, target, &bytes, &format!("mutation {number} of {name}"));
    }
}

/// The corpus, sorted by name.
fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = root().join("corpus").join(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut seeds: Vec<(String, Vec<u8>)> = files
        .map(|file| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() > 10, "{} has {} files", folder.display(), seeds.len());
    seeds
}

/// Runs a target. An input that fails is saved, and the command that replays it is printed.
fn run(name: &str, target: fn(&[u8]), bytes: &[u8], what: &str) {
    if std::panic::catch_unwind(|| target(bytes)).is_ok() {
        return;
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
    fs::write(&file, bytes).unwrap();
    let file = file.display();
    panic!(
        "{what} fails: {}\n  replay: FUZZ_INPUT={file} cargo test --test it corpus::{name}",
        bytes.escape_ascii()
    );
}

/// What mutations insert: lines and words of the corpus, and delimiters that parsers often get
/// wrong.
fn words(seeds: &[(String, Vec<u8>)]) -> Vec<Vec<u8>> {
    let stones = ["\r\n", "\n", "\r", "\0", " ", "\t", ":", ",", ";", "\"", "%2e", "/", "..", "0"];
    let mut words: Vec<Vec<u8>> = stones.iter().map(|stone| stone.as_bytes().to_vec()).collect();
    words.extend([b"\x7f".to_vec(), b"\x85".to_vec(), b"\xff".to_vec()]);
    for (_, bytes) in seeds {
        words.extend(bytes.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec));
        words.extend(bytes.split(u8::is_ascii_whitespace).map(<[u8]>::to_vec));
    }
    words.sort();
    words.dedup();
    words
}

fn mutate(rng: &mut Rng, seeds: &[(String, Vec<u8>)], words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[rng.size(0, seeds.len() - 1)].1.clone();
    for _ in 0..rng.between(1, 4) {
        let at = rng.size(0, bytes.len());
        let behind = (at + rng.size(0, 8)).min(bytes.len());
        match rng.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            1 => drop(bytes.drain(at..behind)),
            2 => bytes.insert(at, rng.bits().to_le_bytes()[0]),
            3 => bytes.truncate(at),
            4 => {
                let other = &seeds[rng.size(0, seeds.len() - 1)].1;
                let from = rng.size(0, other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
            _ => {
                let word = &words[rng.size(0, words.len() - 1)];
                bytes.splice(at..behind, word.iter().copied());
            }
        }
        bytes.truncate(GROWN_MAX);
    }
    bytes
}
