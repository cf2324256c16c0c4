//! `retry_on`: after which failures of a target a request is sent to another one.

use crate::config::error::Wrong;
use crate::config::values::value::{list, text};
use toml::de::DeValue;

/// A failure of a target after which another one may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It cannot be connected to, so nothing of the request was sent.
    Connect,
    /// It took too long to read the request, or to send its response head.
    Timeout,
    /// It sent no event for `first_event_timeout`.
    FirstEventTimeout,
    /// It answered 429 (Too Many Requests).
    TooManyRequests,
    /// It answered 502 (Bad Gateway), closed the connection before its head was complete, or sent a
    /// malformed head. The client would get a 502 for any of these.
    BadGateway,
    /// It answered 503 (Service Unavailable).
    Unavailable,
    /// It answered 504 (Gateway Timeout).
    GatewayTimeout,
}

impl Failed {
    /// All failures.
    pub const ALL: [Failed; 7] = [
        Failed::Connect,
        Failed::Timeout,
        Failed::FirstEventTimeout,
        Failed::TooManyRequests,
        Failed::BadGateway,
        Failed::Unavailable,
        Failed::GatewayTimeout,
    ];

    /// The word in the configuration file.
    pub const fn word(self) -> &'static str {
        match self {
            Failed::Connect => "connect",
            Failed::Timeout => "timeout",
            Failed::FirstEventTimeout => "first_event_timeout",
            Failed::TooManyRequests => "429",
            Failed::BadGateway => "502",
            Failed::Unavailable => "503",
            Failed::GatewayTimeout => "504",
        }
    }

    /// The failure that a response with this status means, if any.
    pub const fn of_status(status: u16) -> Option<Failed> {
        match status {
            429 => Some(Failed::TooManyRequests),
            502 => Some(Failed::BadGateway),
            503 => Some(Failed::Unavailable),
            504 => Some(Failed::GatewayTimeout),
            _ => None,
        }
    }
}

/// A set of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn(u8);

impl RetryOn {
    /// Only if nothing of the request was sent, which is always safe.
    pub const CONNECT: RetryOn = RetryOn(1 << Failed::Connect as u8);

    /// True exactly when another target is tried after this failure.
    pub const fn has(self, failed: Failed) -> bool {
        self.0 >> failed as u8 & 1 != 0
    }

    /// True exactly when a request that was sent may be sent again after some failure.
    pub const fn repeats(self) -> bool {
        self.0 & !RetryOn::CONNECT.0 != 0
    }
}

/// Reads a list of failures.
pub(crate) fn retry_on(value: &DeValue<'_>) -> Result<RetryOn, Wrong> {
    let mut set = RetryOn(0);
    list(value, "[\"connect\"]", |value| {
        let word = text(value)?;
        let Some(failed) = Failed::ALL.into_iter().find(|failed| failed.word() == word) else {
            let words = Failed::ALL.map(Failed::word).join("\", \"");
            let what = format!("not a failure that can be retried; write some of \"{words}\"");
            return Err(what.into());
        };
        if set.has(failed) {
            return Err("this failure is already in the list; write it once".into());
        }
        set.0 |= 1 << failed as u8;
        Ok(())
    })?;
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<RetryOn, String> {
        retry_on(DeValue::parse(toml).unwrap().get_ref()).map_err(|wrong| wrong.what)
    }

    #[test]
    fn a_list_is_a_set() {
        assert_eq!(read("[\"connect\"]"), Ok(RetryOn::CONNECT));
        let none = read("[]").unwrap();
        let all = format!("{:?}", Failed::ALL.map(Failed::word));
        let all = read(&all).unwrap();
        for failed in Failed::ALL {
            assert!(all.has(failed) && !none.has(failed), "{failed:?}");
            assert_eq!(RetryOn::CONNECT.has(failed), failed == Failed::Connect, "{failed:?}");
        }
        assert!(all.repeats() && !none.repeats() && !RetryOn::CONNECT.repeats());
        let wrong = "not a failure that can be retried; write some of \"connect\", \"timeout\", \
            \"first_event_timeout\", \"429\", \"502\", \"503\", \"504\"";
        assert_eq!(read("[\"500\"]"), Err(wrong.to_owned()));
        let twice = "this failure is already in the list; write it once";
        assert_eq!(read("[\"429\", \"429\"]"), Err(twice.to_owned()));
        assert!(read("\"connect\"").unwrap_err().starts_with("not a list"));
        assert!(read("[503]").unwrap_err().starts_with("not a string"));
    }

    #[test]
    fn statuses_are_failures() {
        let found: Vec<u16> = (100..600).filter(|s| Failed::of_status(*s).is_some()).collect();
        assert_eq!(found, [429, 502, 503, 504]);
    }
}
