//! Describes what a reload has added and removed, for the log.

use super::{Config, ListenAddr};
use std::collections::BTreeSet;
use std::fmt::Write;

/// The names of a configuration's apis and the addresses of its listeners, in its order.
#[derive(Debug)]
pub struct Names {
    apis: Vec<String>,
    listeners: Vec<String>,
}

impl Config {
    /// The names of what it serves.
    pub fn names(&self) -> Names {
        let Config { server, apis, .. } = self;
        let listeners = server.listen.iter().chain(&server.listen_tls);
        Names {
            apis: apis.iter().map(|api| api.name.clone()).collect(),
            listeners: listeners.map(ListenAddr::to_string).collect(),
        }
    }
}

impl Names {
    /// The apis and listeners that this configuration adds to the one `before`, and those that it
    /// removes, to be appended to a sentence. Empty if there are none.
    pub fn changes_since(&self, before: &Names) -> String {
        let mut out = String::new();
        list(&mut out, "added", "api", &self.apis, &before.apis);
        list(&mut out, "removed", "api", &before.apis, &self.apis);
        list(&mut out, "added", "listener", &self.listeners, &before.listeners);
        list(&mut out, "removed", "listener", &before.listeners, &self.listeners);
        out
    }
}

/// Maximum number of names of one kind.
const NAMES_MAX: usize = 10;

/// Appends the names that only the first list has.
fn list(out: &mut String, verb: &str, noun: &str, these: &[String], those: &[String]) {
    let known: BTreeSet<&String> = those.iter().collect();
    let new: Vec<&str> =
        these.iter().filter(|name| !known.contains(name)).map(String::as_str).collect();
    if new.is_empty() {
        return;
    }
    let separator = if out.is_empty() { ": " } else { "; " };
    let plural = if new.len() == 1 { "" } else { "s" };
    let shown = new[..new.len().min(NAMES_MAX)].join(", ");
    // Writing to a string cannot fail.
    let _ = write!(out, "{separator}{verb} {noun}{plural} {shown}");
    if new.len() > NAMES_MAX {
        let _ = write!(out, " and {} more", new.len() - NAMES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_and_removed_is_named() {
        let config = |listen: &str, names: &[String]| {
            let mut text = format!("[server]\nlisten = [{listen}]\n");
            for name in names {
                let keys = format!("name = '{name}'\nlisten_path = '/{name}'");
                text += &format!("[[api]]\n{keys}\ntarget_url = 'http://10.0.0.1'\n");
            }
            Config::parse("x", &text).unwrap_or_else(|errors| panic!("{errors}")).names()
        };
        let (one, two) = ("'127.0.0.1:1'", "'127.0.0.1:2', 'unix:/run/x'");
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let many: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        let (ab, bc) = (config(one, &names(&["a", "b"])), config(one, &names(&["b", "c"])));
        let (b, all) = (config(two, &names(&["b"])), config(one, &many));
        assert_eq!(ab.changes_since(&ab), "");
        assert_eq!(bc.changes_since(&ab), ": added api c; removed api a");
        let listeners = "added listeners 127.0.0.1:2, unix:/run/x; removed listener 127.0.0.1:1";
        assert_eq!(b.changes_since(&ab), format!(": removed api a; {listeners}"));
        let first = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more";
        let want = format!(": added apis {first}; removed apis a, b");
        assert_eq!(all.changes_since(&ab), want);
    }
}
