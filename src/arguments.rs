//! The command line.

use lexopt::{Arg, Parser, ValueExt};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
millstream: an HTTP/1.1 reverse proxy made for Server-Sent Events

Usage:
  millstream CONFIG.toml               run
  millstream --check CONFIG.toml       say what the configuration does, or what is wrong with it
  millstream --to URL [--listen ADDR]  run without a file: everything on ADDR goes to URL
  millstream --hash-key                read a key, print what a file of keys has for it
  millstream --version | --help

Options:
  --check FILE   read FILE and all that it names, print a summary and warnings, run nothing
  --to URL       an http:// URL: a host, perhaps a port, perhaps a path that goes in front
  --listen ADDR  \"IP:PORT\" or \"unix:/path/to.sock\"; with --to only [127.0.0.1:8080]
  --hash-key     a line of standard input is the key; make one with: openssl rand -hex 32
  -V, --version  print the version
  -h, --help     print this

Example:
  millstream --to http://127.0.0.1:8000 &
  curl -N http://127.0.0.1:8080/events/

conf/millstream.toml has every key of the configuration with its default and what it does;
conf/minimal.toml has the fewest one needs. RUST_LOG=debug shows each exchange.
SIGTERM and SIGINT drain: what runs may finish, nothing new is taken. A second one ends at once.
Exit status: 0 after a drain, 1 when it could not start or run, 2 for a wrong command line or
configuration.
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
    /// Read a key and print what a file of keys has for it.
    HashKey,
    /// Read this file, print what it says, run nothing.
    Check(PathBuf),
    /// Run with this file.
    Run(PathBuf),
    /// Run without a file.
    To {
        /// Where everything goes.
        url: String,
        /// Where to listen, if it was said.
        listen: Option<String>,
    },
}

/// Why the command line cannot be followed: one line, which points to `--help`.
#[derive(Debug)]
pub struct ArgumentError(String);

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; try --help", self.0)
    }
}

impl std::error::Error for ArgumentError {}

impl From<lexopt::Error> for ArgumentError {
    fn from(error: lexopt::Error) -> ArgumentError {
        ArgumentError(error.to_string().escape_debug().to_string().replace("\\'", "'"))
    }
}

/// Reads a command line, of which the first argument is the program's name.
///
/// # Errors
/// If it is none of the lines under "Usage".
pub fn parse(
    args: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Command, ArgumentError> {
    let mut parser = Parser::from_iter(args);
    let (mut file, mut check, mut to, mut listen) = (None, None, None, None);
    let mut hash_key = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Long("check") => once("--check", &mut check, PathBuf::from(parser.value()?))?,
            Arg::Long("hash-key") => hash_key = true,
            Arg::Long("to") => once("--to", &mut to, parser.value()?.string()?)?,
            Arg::Long("listen") => once("--listen", &mut listen, parser.value()?.string()?)?,
            Arg::Value(value) => once("CONFIG.toml", &mut file, PathBuf::from(value))?,
            Arg::Short(_) | Arg::Long(_) => return Err(arg.unexpected().into()),
        }
    }
    let alone = file.is_none() && check.is_none() && to.is_none() && listen.is_none();
    let wrong = match (file, check, to, listen) {
        _ if hash_key && alone => return Ok(Command::HashKey),
        _ if hash_key => "--hash-key stands alone; the key is read from standard input",
        (Some(file), None, None, None) => return Ok(Command::Run(file)),
        (None, Some(file), None, None) => return Ok(Command::Check(file)),
        (None, None, Some(url), listen) => return Ok(Command::To { url, listen }),
        (None, None, None, None) => "what to run is missing: CONFIG.toml, or --to URL",
        (_, _, None, Some(_)) => "--listen goes with --to; a file has server.listen",
        _ => "CONFIG.toml, --check CONFIG.toml and --to URL exclude each other",
    };
    Err(ArgumentError(wrong.to_owned()))
}

fn once<T>(name: &str, slot: &mut Option<T>, value: T) -> Result<(), ArgumentError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ArgumentError(format!("{name} can be given only once"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Command, String> {
        let args = line.split(' ').filter(|word| !word.is_empty());
        parse(["millstream"].into_iter().chain(args)).map_err(|error| error.to_string())
    }

    #[test]
    fn command_lines() {
        let to = |url: &str, listen: Option<&str>| Command::To {
            url: url.to_owned(),
            listen: listen.map(str::to_owned),
        };
        let check = |line, want| assert_eq!(of(line), Ok(want), "{line}");
        check("a.toml", Command::Run("a.toml".into()));
        check("-- --a.toml", Command::Run("--a.toml".into()));
        check("--check a.toml", Command::Check("a.toml".into()));
        check("--check=a.toml", Command::Check("a.toml".into()));
        check("--to http://a", to("http://a", None));
        check("--listen [::]:80 --to http://a", to("http://a", Some("[::]:80")));
        for line in ["--help", "-h", "a.toml --help", "--to x -h"] {
            check(line, Command::Help);
        }
        check("--hash-key", Command::HashKey);
        check("--version", Command::Version);
        check("-V", Command::Version);
    }

    #[test]
    fn wrong_command_lines() {
        let check = |line, want: &str| {
            assert_eq!(of(line), Err(format!("{want}; try --help")), "{line}");
        };
        check("", "what to run is missing: CONFIG.toml, or --to URL");
        check("--listen :80", "--listen goes with --to; a file has server.listen");
        check("a.toml --listen x", "--listen goes with --to; a file has server.listen");
        check("a.toml b.toml", "CONFIG.toml can be given only once");
        check("--to a --to b", "--to can be given only once");
        let exclude = "CONFIG.toml, --check CONFIG.toml and --to URL exclude each other";
        for line in ["a.toml --to b", "--check a.toml b.toml", "--check a --to b --listen c"] {
            check(line, exclude);
        }
        let alone = "--hash-key stands alone; the key is read from standard input";
        for line in ["--hash-key secret", "a.toml --hash-key", "--listen x --hash-key"] {
            check(line, alone);
        }
        check("--to", "missing argument for option '--to'");
        check("--frobnicate", "invalid option '--frobnicate'");
        check("--fro\nb", "invalid option '--fro\\nb'");
        check("-x", "invalid option '-x'");
    }

    /// What does not fit a terminal is not read.
    #[test]
    fn help_fits_and_names_every_option() {
        assert!(HELP.lines().all(|line| line.len() <= 100));
        for option in
            ["--check", "--hash-key", "--to", "--listen", "--version", "--help", "-V", "-h"]
        {
            assert!(HELP.contains(option), "{option}");
        }
    }
}
