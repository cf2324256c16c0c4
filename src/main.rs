//! The program: arguments, the logger, exit statuses. What it does is in the library.

use millstream::auth;
use millstream::config::Config;
use millstream::shell::arguments::{self, Command};
use millstream::shell::process::Process;
use millstream::shell::{logger, resolver, sys};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// It could not start or run.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const WRONG: u8 = 2;
/// More of a line is not read; [`auth::entry`] takes less.
const KEY_MAX: u64 = 4096;

fn main() -> ExitCode {
    let command = match arguments::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(wrong) => return complain(WRONG, &wrong.to_string()),
    };
    match command {
        Command::Help => say(arguments::HELP),
        Command::Version => say(concat!("millstream ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::HashKey { name } => hash_key(name.as_deref()),
        Command::Check(path) => match resolver::load(&path) {
            Ok(config) => say(&checked(&config)),
            Err(wrong) => complain(WRONG, &wrong.to_string()),
        },
        Command::Run(path) => run(resolver::load(&path).map_err(|e| e.to_string()), Some(path)),
        Command::To { url, listen } => {
            let mut config = Config::to(&url, listen.as_deref());
            if let Ok(config) = &mut config {
                resolver::resolve(config);
            }
            run(config.map_err(|e| e.to_string()), None)
        }
    }
}

/// Serves a configuration, which is that of `file`, if it is that of one.
fn run(config: Result<Config, String>, file: Option<PathBuf>) -> ExitCode {
    let config = match config {
        Ok(config) => config,
        Err(wrong) => return complain(WRONG, &wrong),
    };
    logger::start(config.log.level);
    sys::outlive_file_size_limit();
    let served = Process::open(config, file).and_then(|process| {
        say(&process.summary());
        process.run().map_err(|error| error.to_string())
    });
    logger::finish();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => complain(FAILED, &wrong),
    }
}

/// What `--check` prints of a configuration that is right.
fn checked(config: &Config) -> String {
    let mut warnings = config.warnings(sys::raise_descriptor_limit().ok());
    warnings.extend(config.remarks());
    let lines = warnings.into_iter().map(|warning| format!("warning: {warning}\n"));
    lines.fold(config.summary(), |text, line| text + &line)
}

/// A key is a line of standard input; what it is made of, any field, query and cookie can carry.
fn hash_key(name: Option<&str>) -> ExitCode {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        let whose = name.map(|name| format!(" of {name}")).unwrap_or_default();
        let _ = write!(io::stderr(), "The key{whose}, which will be seen as you type it: ");
    }
    let mut line = Vec::new();
    if let Err(error) = stdin.lock().take(KEY_MAX + 2).read_until(b'\n', &mut line) {
        return complain(FAILED, &format!("cannot read the key: {error}"));
    }
    let key = line.strip_suffix(b"\n").unwrap_or(&line);
    let key = key.strip_suffix(b"\r").unwrap_or(key);
    match auth::entry(name.unwrap_or("whose key this is"), key) {
        Ok(entry) => say(&entry),
        Err(wrong) => complain(WRONG, wrong),
    }
}

/// Standard output may be gone; that is no reason to fail.
fn say(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn complain(status: u8, what: &str) -> ExitCode {
    let mut stderr = io::stderr();
    for line in what.lines() {
        let _ = writeln!(stderr, "millstream: {line}");
    }
    ExitCode::from(status)
}
