//! Fields that the operator sets or removes on the way through.
//!
//! A field that is set replaces every line with its name or with a name that CGI-style gateways
//! would confuse with it.

use super::fields::{same_to_gateway, write_line};

/// Fields to set or remove. Their names and values are valid on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Names and values to set. No name occurs twice.
    pub set: Vec<(String, String)>,
    /// Names to remove.
    pub remove: Vec<String>,
}

impl Changes {
    /// True if a line with this name is not passed on.
    pub fn stop(&self, name: &str) -> bool {
        let mut removed = self.remove.iter();
        self.sets(name) || removed.any(|field| same_to_gateway(name, field))
    }

    /// True if a field of this name is set.
    pub fn sets(&self, name: &str) -> bool {
        self.set.iter().any(|(field, _)| same_to_gateway(name, field))
    }

    /// The names of all fields that are set or removed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.set.iter().map(|(name, _)| name).chain(&self.remove).map(String::as_str)
    }

    /// Appends the lines to set.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.set {
            write_line(out, name, value.as_bytes());
        }
    }

    /// The number of bytes that [`Changes::write`] appends.
    pub fn bytes(&self) -> usize {
        self.set.iter().map(|(name, value)| name.len() + value.len() + ": \r\n".len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_and_what_is_written() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let set = vec![pair("X-Env", "prod"), pair("Empty", "")];
        let changes = Changes { set, remove: vec!["Cookie".to_owned(), "X-Old".to_owned()] };
        for name in ["X-Env", "x-env", "X_Env", "empty", "cookie", "X.OLD"] {
            assert!(changes.stop(name), "{name}");
        }
        for name in ["XEnv", "X-Env2", "Cookie2", "Set-Cookie", "X-Olé"] {
            assert!(!changes.stop(name), "{name}");
        }
        assert!(changes.sets("X-ENV") && !changes.sets("Cookie"));
        let mut out = Vec::new();
        changes.write(&mut out);
        assert_eq!(out, b"X-Env: prod\r\nEmpty: \r\n");
        assert_eq!(changes.bytes(), out.len());
        assert!(changes.names().eq(["X-Env", "Empty", "Cookie", "X-Old"]));
        assert_eq!(Changes::default().bytes(), 0);
    }
}
