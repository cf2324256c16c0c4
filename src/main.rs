//! The program: arguments, the logger, exit statuses. What it does is in the library.

use millstream::arguments::{self, Command};
use millstream::config::Config;
use millstream::logger;
use millstream::server::Server;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// It could not start or run.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const WRONG: u8 = 2;

fn main() -> ExitCode {
    let command = match arguments::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(wrong) => return complain(WRONG, &wrong.to_string()),
    };
    match command {
        Command::Help => say(arguments::HELP),
        Command::Version => say(concat!("millstream ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Check(path) => match Config::load(&path) {
            Ok(config) => say(&config.summary()),
            Err(wrong) => complain(WRONG, &wrong.to_string()),
        },
        Command::Run(path) => run(Config::load(&path).map_err(|e| e.to_string()), Some(path)),
        Command::To { url, listen } => {
            run(Config::to(&url, listen.as_deref()).map_err(|e| e.to_string()), None)
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
    let server = match Server::open(config, file) {
        Ok(server) => server,
        Err(wrong) => return complain(FAILED, &wrong),
    };
    say(&server.summary());
    match server.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(FAILED, &error.to_string()),
    }
}

/// Standard output may be gone; that is no reason to fail.
fn say(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn complain(status: u8, what: &str) -> ExitCode {
    let mut stderr = std::io::stderr();
    for line in what.lines() {
        let _ = writeln!(stderr, "millstream: {line}");
    }
    ExitCode::from(status)
}
