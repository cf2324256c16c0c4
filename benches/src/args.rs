//! Options for the subcommands: `--name value`. Each error names the option.

use std::ffi::OsString;
use std::str::FromStr;

use lexopt::{Arg, Parser, ValueExt};

use crate::sys::Outcome;

/// The words after the subcommand.
pub struct Args {
    parser: Parser,
}

/// An option whose value is not read yet.
pub struct Opt<'a> {
    parser: &'a mut Parser,
    name: String,
    word: Option<OsString>,
}

impl Args {
    /// Parses the words of a command line.
    pub fn new(words: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            parser: Parser::from_args(words),
        }
    }

    /// Calls `read` with the name of each option. The name is empty for a word that is not an
    /// option.
    pub fn each(mut self, mut read: impl FnMut(&str, &mut Opt<'_>) -> Outcome<()>) -> Outcome<()> {
        loop {
            let (name, word) = match self.parser.next().map_err(|error| error.to_string())? {
                None => return Ok(()),
                Some(Arg::Long(name)) => (name.to_owned(), None),
                Some(Arg::Short(letter)) => (letter.to_string(), None),
                Some(Arg::Value(word)) => (String::new(), Some(word)),
            };
            read(
                &name.clone(),
                &mut Opt {
                    parser: &mut self.parser,
                    name,
                    word,
                },
            )?;
        }
    }
}

impl Opt<'_> {
    /// The option's value as text.
    pub fn text(&mut self) -> Outcome<String> {
        self.parsed()
    }

    /// The option's value as a whole number.
    pub fn number<N: FromStr<Err = std::num::ParseIntError>>(&mut self) -> Outcome<N> {
        self.parsed()
    }

    /// The option's value, parsed as any type.
    pub fn parsed<T: FromStr>(&mut self) -> Outcome<T>
    where
        T::Err: std::fmt::Display,
    {
        let name = &self.name;
        let value = self.parser.value().map_err(|error| error.to_string())?;
        let text = value.string().map_err(|error| error.to_string())?;
        text.parse()
            .map_err(|error| format!("--{name} {text}: {error}"))
    }

    /// This word and all after it.
    pub fn rest(&mut self) -> Outcome<Vec<OsString>> {
        let first = self.word.take().into_iter();
        let rest = self.parser.raw_args().map_err(|error| error.to_string())?;
        Ok(first.chain(rest).collect())
    }

    /// The error for an unknown option.
    pub fn unknown(&self) -> Outcome<()> {
        match &self.word {
            Some(word) => Err(format!("what is {word:?} here?")),
            None => Err(format!("unknown option --{}", self.name)),
        }
    }
}
