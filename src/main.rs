//! The program: it parses the command line, runs the command, and sets the exit status.

use millstream::arguments::{self, Command};
use millstream::{Config, ConfigErrors, Process, Sandbox, Signals, Start, count_workers};
use millstream::{key_entry, logger, probe, reload, resolver};
use millstream::{raise_descriptor_limit, survive_file_size_limit, unix_ms};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// Exit status: the program could not start or run, or could not print what was asked for.
const FAILED: u8 = 1;
/// Exit status: the command line or the configuration is wrong.
const WRONG: u8 = 2;
/// The maximum number of bytes of a key to read, more than [`key_entry`] accepts.
const KEY_MAX: u64 = 4096;

fn main() -> ExitCode {
    let command = match arguments::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(wrong) => return fail(WRONG, &wrong.to_string()),
    };
    match command {
        Command::Help => print(arguments::HELP),
        Command::Version => print(concat!("millstream ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::HashKey { name } => hash_key(name.as_deref()),
        Command::Probe(url) => match probe(&url) {
            Ok(()) => ExitCode::SUCCESS,
            Err(what) => fail(FAILED, &what),
        },
        Command::Reload(url) => match reload(&url) {
            Ok(said) => print(&said),
            Err(what) => fail(FAILED, &what),
        },
        Command::Check { file, sandbox } => match resolver::load(&file) {
            Ok(mut config) => {
                config.server.sandbox |= sandbox;
                match config.fits(count_workers(&config)) {
                    Ok(()) => print(&checked(&config, &file)),
                    Err(wrong) => fail(WRONG, &wrong),
                }
            }
            Err(wrong) => fail(WRONG, &wrong.to_string()),
        },
        Command::Run { file, sandbox } => run(&|| Config::load(&file), Some(&file), sandbox),
        Command::To { url, listen, sandbox } => {
            let load = || -> Result<Config, ConfigErrors> {
                let mut config = Config::to(&url, listen.as_deref())?;
                config.load_tls(Path::new(""))?;
                Ok(config)
            };
            run(&load, None, sandbox)
        }
    }
}

/// Runs with the configuration that `load` reads, whose names are not resolved yet. `file` is the
/// file it is read from, if any. `sandbox` is the option on the command line.
fn run(
    load: &dyn Fn() -> Result<Config, ConfigErrors>,
    file: Option<&Path>,
    sandbox: bool,
) -> ExitCode {
    // A signal before this ends the process, or is lost if it is the first process of a container.
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(FAILED, &format!("cannot watch signals: {error}")),
    };
    let mut config = match load() {
        Ok(config) => config,
        Err(wrong) => return fail(WRONG, &wrong.to_string()),
    };
    config.server.sandbox |= sandbox;
    let workers = count_workers(&config);
    if let Err(wrong) = config.fits(workers) {
        return fail(WRONG, &wrong);
    }
    logger::start(&config.log);
    let wanted = config.server.sandbox;
    let confined = wanted.then(|| Sandbox::of_files(&config, file));
    resolver::resolve(&mut config);
    survive_file_size_limit();
    let start = Start { file: file.map(Path::to_owned), sandbox, workers, confined, signals };
    let served = Process::open(config, start)
        .and_then(|process| process.run().map_err(|error| error.to_string()));
    logger::finish();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => fail(FAILED, &wrong),
    }
}

/// The output of `--check` for a valid configuration read from `file`.
fn checked(config: &Config, file: &Path) -> String {
    let mut warnings = config.warnings(raise_descriptor_limit().ok(), count_workers(config));
    warnings.extend(config.tls.expiries(unix_ms()).into_iter().map(|expiry| expiry.text));
    warnings.extend(config.remarks());
    let lines = warnings.into_iter().map(|warning| format!("warning: {warning}\n"));
    let timeout = config.drain.stop_timeout();
    let mut summary = config.summary() + &config.told_of_lists();
    summary += &format!("stop timeout needed: {timeout:?}\n");
    let folders = config.folders(file);
    for folder in folders.iter().filter(|_| config.server.sandbox) {
        summary += &format!("in the sandbox files can be read in {}\n", folder.display());
    }
    lines.fold(summary, |text, line| text + &line)
}

/// Reads a key from a line of standard input, and prints its entry for a key file.
fn hash_key(name: Option<&str>) -> ExitCode {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        let of_owner = name.map(|name| format!(" of {name}")).unwrap_or_default();
        let _ = write!(io::stderr(), "Key{of_owner} (it is shown as you type): ");
    }
    let mut line = Vec::new();
    if let Err(error) = stdin.lock().take(KEY_MAX + 2).read_until(b'\n', &mut line) {
        return fail(FAILED, &format!("cannot read the key: {error}"));
    }
    let key = line.strip_suffix(b"\n").unwrap_or(&line);
    let key = key.strip_suffix(b"\r").unwrap_or(key);
    match key_entry(name.unwrap_or("name of the owner"), key) {
        Ok(entry) => print(&entry),
        Err(wrong) => fail(WRONG, wrong),
    }
}

/// Prints what was asked for to standard output, and returns the exit status.
fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &format!("cannot write to standard output: {error}")),
    }
}

/// Prints an error to standard error and returns the exit status.
fn fail(status: u8, what: &str) -> ExitCode {
    let mut stderr = io::stderr();
    for line in what.lines() {
        let _ = writeln!(stderr, "millstream: {line}");
    }
    ExitCode::from(status)
}
