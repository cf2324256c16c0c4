//! The command line.

use crate::config;
use lexopt::{Arg, Parser, ValueExt};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
millstream: an HTTP/1.1 reverse proxy made for Server-Sent Events

Usage:
  millstream CONFIG.toml               run
  millstream --check CONFIG.toml       say what the configuration does, or what is wrong with it
  millstream --to URL [--listen ADDR]  run without a file: everything on ADDR goes to URL
  millstream --hash-key [NAME]         read a key, print what a file of keys has for it
  millstream --version | --help

Options:
  -t, --check        read the file and all that it names, print a summary and warnings, run nothing
  -c FILE, -f FILE   another way to name CONFIG.toml; -c without FILE is --check
  --to URL           a host, perhaps a port, perhaps a path that goes in front: localhost:8000
  --listen ADDR      \"IP:PORT\" or \"unix:/path/to.sock\"; with --to only [127.0.0.1:8080]
  --hash-key [NAME]  NAME says whose key it is; the key is a line of standard input
  -v, -V, --version  print the version
  -h, --help         print this

As with nginx: -t -c FILE checks, -c FILE runs. As with HAProxy: -c -f FILE checks, -f FILE runs.

Example:
  millstream --to localhost:8000 &
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
    HashKey {
        /// Whose key it is, if that was said.
        name: Option<String>,
    },
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

/// What a command line says, before it is judged as a whole.
#[derive(Default)]
struct Said {
    file: Option<PathBuf>,
    check: bool,
    to: Option<String>,
    listen: Option<String>,
    /// A key is to be hashed; perhaps that of somebody.
    hash_key: Option<Option<String>>,
}

/// Reads a command line, of which the first argument is the program's name.
///
/// # Errors
/// If it is none of the lines under "Usage".
pub fn parse(
    args: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Command, ArgumentError> {
    let mut parser = Parser::from_iter(args);
    let mut said = Said::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('v' | 'V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Short('t') => said.check = true,
            Arg::Long("check") => {
                said.check = true;
                // That of "--check=FILE"; another one is an argument like any.
                if let Some(file) = parser.optional_value() {
                    once("CONFIG.toml", &mut said.file, file.into())?;
                }
            }
            // nginx's is followed by the file, HAProxy's by another option.
            Arg::Short('c') => match value_if_any(&mut parser) {
                Some(file) => once("CONFIG.toml", &mut said.file, file.into())?,
                None => said.check = true,
            },
            Arg::Short('f') => once("CONFIG.toml", &mut said.file, parser.value()?.into())?,
            Arg::Long("hash-key") => {
                let name = value_if_any(&mut parser).map(key_name).transpose()?;
                once("--hash-key", &mut said.hash_key, name)?;
            }
            Arg::Long("to") => once("--to", &mut said.to, parser.value()?.string()?)?,
            Arg::Long("listen") => once("--listen", &mut said.listen, parser.value()?.string()?)?,
            Arg::Value(value) => once("CONFIG.toml", &mut said.file, value.into())?,
            Arg::Short(_) | Arg::Long(_) => return Err(arg.unexpected().into()),
        }
    }
    said.command()
}

impl Said {
    fn command(self) -> Result<Command, ArgumentError> {
        let alone = (&self.file, &self.to, &self.listen) == (&None, &None, &None) && !self.check;
        let wrong = match (self.file, self.to, self.listen) {
            _ if self.hash_key.is_some() && !alone => {
                "--hash-key stands alone; the key is read from standard input"
            }
            _ if let Some(name) = self.hash_key => return Ok(Command::HashKey { name }),
            (Some(file), None, None) if self.check => return Ok(Command::Check(file)),
            (Some(file), None, None) => return Ok(Command::Run(file)),
            (None, Some(url), listen) if !self.check => return Ok(Command::To { url, listen }),
            (None, None, None) if self.check => "what to check is missing: --check CONFIG.toml",
            (None, None, None) => "what to run is missing: CONFIG.toml, or --to URL",
            (_, None, Some(_)) => "--listen goes with --to; a file has server.listen",
            _ => "CONFIG.toml, --check CONFIG.toml and --to URL exclude each other",
        };
        Err(ArgumentError(wrong.to_owned()))
    }
}

/// The next argument, unless it is an option.
fn value_if_any(parser: &mut Parser) -> Option<OsString> {
    let attached = parser.optional_value();
    attached.or_else(|| {
        let is_value = |next: &OsStr| !next.as_encoded_bytes().starts_with(b"-");
        parser.try_raw_args()?.next_if(is_value)
    })
}

fn key_name(name: OsString) -> Result<String, ArgumentError> {
    let name = name.string()?;
    if name.len() >= KEY_DIGITS_MIN && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let wrong = "--hash-key: this looks like the key itself, which nobody must see here; \
            write whose it is, and the key into standard input";
        return Err(ArgumentError(wrong.to_owned()));
    }
    config::key_name(&name).map_err(|what| ArgumentError(format!("--hash-key: {what}")))
}

/// So many hexadecimal digits are nobody's name.
const KEY_DIGITS_MIN: usize = 16;

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
        for line in ["a.toml", "-c a.toml", "-ca.toml", "-c=a.toml", "-f a.toml", "-fa.toml"] {
            check(line, Command::Run("a.toml".into()));
        }
        check("-- --a.toml", Command::Run("--a.toml".into()));
        check("-f -a.toml", Command::Run("-a.toml".into()));
        for line in [
            "--check a.toml",
            "--check=a.toml",
            "a.toml --check",
            "-t a.toml",
            "a.toml -t",
            "-t -c a.toml",
            "-c a.toml -t",
            "-tc a.toml",
            "-t -f a.toml",
            "-c -f a.toml",
            "-f a.toml -c",
            "-c -- a.toml",
            "-t -c -f a.toml",
        ] {
            check(line, Command::Check("a.toml".into()));
        }
        check("--to http://a", to("http://a", None));
        check("--to localhost:8000", to("localhost:8000", None));
        check("--listen [::]:80 --to http://a", to("http://a", Some("[::]:80")));
        for line in ["--help", "-h", "a.toml --help", "--to x -h"] {
            check(line, Command::Help);
        }
        check("--hash-key", Command::HashKey { name: None });
        for line in ["--hash-key alice", "--hash-key=alice"] {
            check(line, Command::HashKey { name: Some("alice".to_owned()) });
        }
        for line in ["--version", "-V", "-v", "-vv", "-c -v", "a.toml -v"] {
            check(line, Command::Version);
        }
    }

    #[test]
    fn wrong_command_lines() {
        let check = |line, want: &str| {
            assert_eq!(of(line), Err(format!("{want}; try --help")), "{line}");
        };
        check("", "what to run is missing: CONFIG.toml, or --to URL");
        for line in ["--check", "-t", "-c", "-t -c"] {
            check(line, "what to check is missing: --check CONFIG.toml");
        }
        check("--listen :80", "--listen goes with --to; a file has server.listen");
        check("a.toml --listen x", "--listen goes with --to; a file has server.listen");
        for line in ["a.toml b.toml", "-c a.toml b.toml", "--check a b", "-c a -f b", "-f a -f b"] {
            check(line, "CONFIG.toml can be given only once");
        }
        check("--to a --to b", "--to can be given only once");
        let exclude = "CONFIG.toml, --check CONFIG.toml and --to URL exclude each other";
        for line in ["a.toml --to b", "--check a --to b --listen c", "-t --to b", "-c --to b"] {
            check(line, exclude);
        }
        let alone = "--hash-key stands alone; the key is read from standard input";
        for line in
            ["--hash-key a b", "a.toml --hash-key", "--listen x --hash-key", "-t --hash-key"]
        {
            check(line, alone);
        }
        check("--hash-key a --hash-key b", "--hash-key can be given only once");
        check(
            "--hash-key a\\b",
            "--hash-key: not a name; write 1 to 64 ASCII letters, digits or signs, \
            but no quote and no backslash",
        );
        let secret = "0123456789abcdef0123456789ABCDEF";
        let said = of(&format!("--hash-key {secret}")).unwrap_err();
        assert!(said.starts_with("--hash-key: this looks like the key itself"), "{said}");
        assert!(!said.contains(secret), "{said}");
        check("--to", "missing argument for option '--to'");
        check("-f", "missing argument for option '-f'");
        check("--frobnicate", "invalid option '--frobnicate'");
        check("--fro\nb", "invalid option '--fro\\nb'");
        check("-x", "invalid option '-x'");
    }

    /// What does not fit a terminal is not read.
    #[test]
    fn help_fits_and_names_every_option() {
        assert!(HELP.lines().all(|line| line.len() <= 100));
        for option in ["--check", "--hash-key", "--to", "--listen", "--version", "--help"]
            .into_iter()
            .chain(["-t", "-c FILE", "-f FILE", "-v", "-V", "-h"])
        {
            assert!(HELP.contains(option), "{option}");
        }
    }
}
