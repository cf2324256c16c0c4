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
  millstream --check CONFIG.toml       print what the configuration does, or what is wrong with it
  millstream --to URL [--listen ADDR]  run without a file: send everything from ADDR to URL
  millstream --hash-key [NAME]         read a key and print its entry for a key file
  millstream --probe URL               exit with 0 if URL is answered with 2xx, otherwise with 1
  millstream --reload URL              have the process with this admin listener reload its file
  millstream --version | --help

Options:
  -t, --check        read the file and all files it names, print a summary and warnings
  -c FILE, -f FILE   another way to name CONFIG.toml; -c without FILE is --check
  --to URL           a host, with an optional port and base path: localhost:8000
  --sandbox          Linux: read only the folders and make only the system calls that are needed;
                     --check prints the folders
  --listen ADDR      \"IP:PORT\" or \"unix:/path/to.sock\"; only with --to [127.0.0.1:8080]
  --hash-key [NAME]  NAME is the owner of the key; the key is a line of standard input
  --probe URL        as --to, with a path: localhost:9090/readyz, unix:/path/to.sock:/readyz
  --reload URL       the address in admin.listen: 127.0.0.1:9090, unix:/path/to.sock
  -v, -V, --version  print the version
  -h, --help         print this

As with nginx: -t -c FILE checks, -c FILE runs. As with HAProxy: -c -f FILE checks, -f FILE runs.

Example:
  millstream --to localhost:8000 &
  curl -N http://127.0.0.1:8080/events/

conf/millstream.toml lists every configuration key with its default and what it does;
conf/minimal.toml is the shortest useful file. RUST_LOG=debug logs every exchange.
SIGTERM, SIGINT and SIGQUIT drain: after drain.delay the port closes, and what is open ends within
drain.window and drain.answers. A second SIGTERM or SIGINT closes everything at once. SIGHUP reloads
the configuration file. SIGUSR1 and SIGUSR2 are ignored.
Exit status: 0 after a drain, 1 if it could not start, run or print, or a probe or a reload failed,
2 for a wrong command line or configuration.
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
    /// Read a key and print its entry for a key file.
    HashKey {
        /// The name of the key's owner, if it was given.
        name: Option<String>,
    },
    /// Check a file and print a summary.
    Check {
        /// The file.
        file: PathBuf,
        /// Whether to check it for a sandbox, whatever the file says.
        sandbox: bool,
    },
    /// Check that this URL is answered with a 2xx status.
    Probe(String),
    /// Have the process with the admin listener at this URL reload its configuration.
    Reload(String),
    /// Run with a file.
    Run {
        /// The file.
        file: PathBuf,
        /// Whether to run in a sandbox, whatever the file says.
        sandbox: bool,
    },
    /// Run without a file.
    To {
        /// The upstream of all requests.
        url: String,
        /// The address to listen on, if it was given.
        listen: Option<String>,
        /// Whether to run in a sandbox.
        sandbox: bool,
    },
}

/// Why a command line is wrong: one line, which points to `--help`.
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

/// The options of a command line, before they are checked together.
#[derive(Default)]
struct Options {
    file: Option<PathBuf>,
    check: bool,
    sandbox: bool,
    to: Option<String>,
    listen: Option<String>,
    /// Whether a key is to be hashed, and the name of its owner.
    hash_key: Option<Option<String>>,
    probe: Option<String>,
    reload: Option<String>,
}

/// Parses a command line. The first argument is the program's name.
///
/// # Errors
/// If it has none of the forms under "Usage" in [`HELP`].
pub fn parse(
    args: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Command, ArgumentError> {
    let mut parser = Parser::from_iter(args);
    let mut options = Options::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('v' | 'V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Short('t') => options.check = true,
            Arg::Long("sandbox") => options.sandbox = true,
            Arg::Long("check") => {
                options.check = true;
                // The file in "--check=FILE". In "--check FILE" it is a separate argument.
                if let Some(file) = parser.optional_value() {
                    once("CONFIG.toml", &mut options.file, file.into())?;
                }
            }
            // nginx's -c is followed by the file, and HAProxy's by another option.
            Arg::Short('c') => match value_if_any(&mut parser) {
                Some(file) => once("CONFIG.toml", &mut options.file, file.into())?,
                None => options.check = true,
            },
            Arg::Short('f') => once("CONFIG.toml", &mut options.file, parser.value()?.into())?,
            Arg::Long("hash-key") => {
                let name = value_if_any(&mut parser).map(key_name).transpose()?;
                once("--hash-key", &mut options.hash_key, name)?;
            }
            Arg::Long("probe") => once("--probe", &mut options.probe, parser.value()?.string()?)?,
            Arg::Long("reload") => {
                once("--reload", &mut options.reload, parser.value()?.string()?)?
            }
            Arg::Long("to") => once("--to", &mut options.to, parser.value()?.string()?)?,
            Arg::Long("listen") => {
                once("--listen", &mut options.listen, parser.value()?.string()?)?
            }
            Arg::Value(value) => once("CONFIG.toml", &mut options.file, value.into())?,
            Arg::Short(_) | Arg::Long(_) => return Err(arg.unexpected().into()),
        }
    }
    options.command()
}

impl Options {
    fn command(mut self) -> Result<Command, ArgumentError> {
        let alone = (&self.file, &self.to, &self.listen) == (&None, &None, &None)
            && !self.check
            && !self.sandbox;
        let wrong = match (self.hash_key.take(), self.probe.take(), self.reload.take()) {
            (None, None, None) => return self.run_or_check(),
            (Some(name), None, None) if alone => return Ok(Command::HashKey { name }),
            (None, Some(url), None) if alone => return Ok(Command::Probe(url)),
            (None, None, Some(url)) if alone => return Ok(Command::Reload(url)),
            (Some(_), _, _) => {
                "--hash-key takes no other arguments; the key is read from standard input"
            }
            (None, Some(_), Some(_)) => "--probe and --reload cannot be combined",
            (None, Some(_), None) => "--probe URL takes no other arguments",
            (None, None, Some(_)) => "--reload URL takes no other arguments",
        };
        Err(ArgumentError(wrong.to_owned()))
    }

    /// A configuration, or `--to`.
    fn run_or_check(self) -> Result<Command, ArgumentError> {
        let sandbox = self.sandbox;
        let wrong = match (self.file, self.to, self.listen) {
            (Some(file), None, None) if self.check => return Ok(Command::Check { file, sandbox }),
            (Some(file), None, None) => return Ok(Command::Run { file, sandbox }),
            (None, Some(url), listen) if !self.check => {
                return Ok(Command::To { url, listen, sandbox });
            }
            (None, None, None) if self.check => {
                "nothing to check; give it a file: --check CONFIG.toml"
            }
            (None, None, None) => "nothing to run; give it CONFIG.toml or --to URL",
            (_, None, Some(_)) => {
                "--listen needs --to; a configuration file has server.listen instead"
            }
            _ => "CONFIG.toml, --check CONFIG.toml and --to URL cannot be combined",
        };
        Err(ArgumentError(wrong.to_owned()))
    }
}

/// Takes the next argument, unless it is an option.
fn value_if_any(parser: &mut Parser) -> Option<OsString> {
    let attached = parser.optional_value();
    attached.or_else(|| {
        let is_value = |next: &OsStr| !next.as_encoded_bytes().starts_with(b"-");
        parser.try_raw_args()?.next_if(is_value)
    })
}

/// Checks the name of a key's owner.
fn key_name(name: OsString) -> Result<String, ArgumentError> {
    let name = name.string()?;
    if name.len() >= KEY_DIGITS_MIN && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let wrong = "--hash-key: this looks like the key itself, which does not belong on a \
            command line; write its owner's name here, and the key to standard input";
        return Err(ArgumentError(wrong.to_owned()));
    }
    config::key_name(&name).map_err(|what| ArgumentError(format!("--hash-key: {what}")))
}

/// A name of at least this many hexadecimal digits is taken for a key.
const KEY_DIGITS_MIN: usize = 16;

/// Stores the value of an option that may be given only once.
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
            sandbox: false,
        };
        let run = |file: &str, sandbox| Command::Run { file: file.into(), sandbox };
        let check = |line, want| assert_eq!(of(line), Ok(want), "{line}");
        for line in ["a.toml", "-c a.toml", "-ca.toml", "-c=a.toml", "-f a.toml", "-fa.toml"] {
            check(line, run("a.toml", false));
        }
        check("-- --a.toml", run("--a.toml", false));
        check("-f -a.toml", run("-a.toml", false));
        for line in ["--sandbox a.toml", "a.toml --sandbox", "--sandbox -f a.toml"] {
            check(line, run("a.toml", true));
        }
        let confined = Command::To { url: "a".to_owned(), listen: None, sandbox: true };
        check("--to a --sandbox", confined);
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
            check(line, Command::Check { file: "a.toml".into(), sandbox: false });
        }
        for line in ["--check --sandbox a.toml", "--sandbox -t a.toml"] {
            check(line, Command::Check { file: "a.toml".into(), sandbox: true });
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
        for line in ["--probe a:81/readyz", "--probe=a:81/readyz"] {
            check(line, Command::Probe("a:81/readyz".to_owned()));
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
        check("", "nothing to run; give it CONFIG.toml or --to URL");
        for line in ["--check", "-t", "-c", "-t -c"] {
            check(line, "nothing to check; give it a file: --check CONFIG.toml");
        }
        check(
            "--listen :80",
            "--listen needs --to; a configuration file has server.listen instead",
        );
        check(
            "a.toml --listen x",
            "--listen needs --to; a configuration file has server.listen instead",
        );
        for line in ["a.toml b.toml", "-c a.toml b.toml", "--check a b", "-c a -f b", "-f a -f b"] {
            check(line, "CONFIG.toml can be given only once");
        }
        check("--to a --to b", "--to can be given only once");
        let exclude = "CONFIG.toml, --check CONFIG.toml and --to URL cannot be combined";
        for line in ["a.toml --to b", "--check a --to b --listen c", "-t --to b", "-c --to b"] {
            check(line, exclude);
        }
        let alone = "--hash-key takes no other arguments; the key is read from standard input";
        for line in
            ["--hash-key a b", "a.toml --hash-key", "--listen x --hash-key", "-t --hash-key"]
        {
            check(line, alone);
        }
        check("--hash-key --probe a", alone);
        for line in ["--probe a b", "-t --probe a", "--probe a --to b", "--probe a --listen b"] {
            check(line, "--probe URL takes no other arguments");
        }
        check("-t --reload a", "--reload URL takes no other arguments");
        check("--sandbox --reload a", "--reload URL takes no other arguments");
        check("--sandbox", "nothing to run; give it CONFIG.toml or --to URL");
        check("--reload a --probe b", "--probe and --reload cannot be combined");
        check("--hash-key --reload a", alone);
        check("--probe", "missing argument for option '--probe'");
        check("--probe a --probe b", "--probe can be given only once");
        check("--hash-key a --hash-key b", "--hash-key can be given only once");
        check(
            "--hash-key a\\b",
            "--hash-key: not a name; write 1 to 64 ASCII letters, digits or punctuation, \
            but no quote or backslash",
        );
        let secret = "0123456789abcdef0123456789ABCDEF";
        let error = of(&format!("--hash-key {secret}")).unwrap_err();
        assert!(error.starts_with("--hash-key: this looks like the key itself"), "{error}");
        assert!(!error.contains(secret), "{error}");
        check("--to", "missing argument for option '--to'");
        check("-f", "missing argument for option '-f'");
        check("--frobnicate", "invalid option '--frobnicate'");
        check("--fro\nb", "invalid option '--fro\\nb'");
        check("-x", "invalid option '-x'");
    }

    /// Lines that are wider than a terminal are hard to read.
    #[test]
    fn help_fits_and_names_every_option() {
        assert!(HELP.lines().all(|line| line.len() <= 100));
        for option in [
            "--check",
            "--hash-key",
            "--to",
            "--listen",
            "--probe",
            "--reload",
            "--sandbox",
            "--version",
            "--help",
        ]
        .into_iter()
        .chain(["-t", "-c FILE", "-f FILE", "-v", "-V", "-h"])
        {
            assert!(HELP.contains(option), "{option}");
        }
    }
}
