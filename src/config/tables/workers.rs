//! `server.workers`: how many event loops serve clients, and how limits are divided among them.

use crate::config::Config;
use crate::config::error::Wrong;
use crate::config::values::value::count;
use crate::descriptors;
use toml::de::DeValue;

/// Maximum number of event loops.
pub const WORKERS_MAX: usize = 64;

/// How many event loops serve clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// This many: at least 1.
    Number(usize),
    /// One for each core that the process may use.
    Cores,
}

impl Workers {
    /// Checks a limit that is divided among the loops, so that each gets at least 1. 0 stands for
    /// no limit.
    pub(crate) fn divide(self, limit: usize) -> Result<usize, Wrong> {
        match self {
            Workers::Number(number) if (1..number).contains(&limit) => {
                Err(format!("fewer than server.workers, {number}; write that or more").into())
            }
            Workers::Number(_) | Workers::Cores => Ok(limit),
        }
    }
}

/// Converts `server.workers`.
pub(crate) fn workers(value: &DeValue<'_>) -> Result<Workers, Wrong> {
    match value.as_str() {
        None => count(1..=WORKERS_MAX)(value).map(Workers::Number),
        Some("cores") => Ok(Workers::Cores),
        Some(_) => Err("write a whole number, or \"cores\"".into()),
    }
}

impl Config {
    /// Checks that this many event loops can serve the configuration. [`Workers::divide`] has done
    /// so for a number in the file; this is for the number of cores.
    ///
    /// # Errors
    /// The limit of which some loops would get nothing.
    pub fn fits(&self, loops: usize) -> Result<(), String> {
        let too_few = |max: usize| max < loops;
        let few = self.apis.iter().find(|api| api.max_upstream.is_some_and(too_few));
        let Some(api) = few else { return Ok(()) };
        Err(format!(
            "api {}: max_upstream: each of server.workers ({loops}) needs at least one connection",
            api.name
        ))
    }

    /// How many of these descriptors remain for the first loop and all clients, without those that
    /// the other loops need for themselves.
    pub fn descriptors_of_first(&self, descriptors: u64, loops: usize) -> u64 {
        // With `reuse_port` the first loop also holds the other loops' sockets.
        let times = if self.server.reuse_port { 2 } else { 1 };
        let listeners = times * self.server.addresses().count();
        descriptors.saturating_sub(descriptors::of_loops(loops - 1, listeners))
    }

    /// The configuration for one of several event loops, with its part of the limits that the loops
    /// cannot count together, because they are about what a loop holds. [`Config::fits`] must have
    /// succeeded.
    #[must_use]
    pub fn part_of(mut self, index: usize, loops: usize) -> Config {
        let part = |all: usize| all / loops + usize::from(index < all % loops);
        self.server.max_held_bytes = part(self.server.max_held_bytes);
        for api in &mut self.apis {
            api.max_upstream = api.max_upstream.map(part);
            api.keepalive_upstream = part(api.keepalive_upstream);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_are_the_whole() {
        let text = "[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://10.0.0.1'\n\
            max_upstream = 5\nkeepalive_upstream = 2";
        let config = Config::parse("x", text).unwrap();
        let part = |index, loops| config.clone().part_of(index, loops);
        for loops in 1..=5 {
            let parts: Vec<Config> = (0..loops).map(|index| part(index, loops)).collect();
            let sum = |of: fn(&Config) -> usize| parts.iter().map(of).sum::<usize>();
            assert_eq!(sum(|part| part.apis[0].max_upstream.unwrap()), 5);
            assert_eq!(sum(|part| part.apis[0].keepalive_upstream), 2);
            assert_eq!(sum(|part| part.server.max_held_bytes), config.server.max_held_bytes);
            assert_eq!(config.fits(loops), Ok(()));
        }
        let wrong = config.fits(6).unwrap_err();
        assert!(wrong.starts_with("api a: max_upstream: each of server.workers (6) "), "{wrong}");
    }
}
