//! The verdict of health checks on an address: healthy or not. It changes only when several checks
//! in a row agree.

use crate::config::Checks;

/// The verdict of health checks on an address. See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether the address is healthy. None if it was not checked yet.
    healthy: Option<bool>,
    /// The number of checks in a row that disagreed.
    against: u8,
}

impl Verdict {
    /// The verdict on an address that was not checked yet.
    pub(super) const NONE: Verdict = Verdict { healthy: None, against: 0 };

    /// The verdict on an address that was found healthy or not.
    pub(super) const fn of(is_healthy: bool) -> Verdict {
        Verdict { healthy: Some(is_healthy), against: 0 }
    }

    /// True exactly when the address was checked and is not healthy.
    pub(super) fn is_unhealthy(self) -> bool {
        self.healthy == Some(false)
    }

    /// Whether the address is healthy. None if it was not checked yet.
    pub(super) const fn is_healthy(self) -> Option<bool> {
        self.healthy
    }

    /// Notes the result of a check. Returns whether the address is healthy, if that has changed. A
    /// single check decides if it is the first.
    pub(super) fn note(&mut self, passed: bool, checks: &Checks) -> Option<bool> {
        if self.healthy == Some(passed) {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        let needed = if passed { checks.passes } else { checks.fails };
        if self.healthy.is_some() && usize::from(self.against) < needed {
            return None;
        }
        *self = Verdict::of(passed);
        Some(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// `+` is a passed check, `-` a failed one. Below each is its effect: a change to healthy (`H`)
    /// or unhealthy (`U`), or none (`.`).
    #[test]
    fn several_in_a_row_change_it() {
        let check = |passes, fails, checked: &str, want: &str| {
            let [interval, timeout] = [Duration::ZERO; 2];
            let checks = Checks { path: String::new(), interval, timeout, passes, fails };
            let mut verdict = Verdict::NONE;
            let said = checked.chars().map(|c| match verdict.note(c == '+', &checks) {
                Some(true) => 'H',
                Some(false) => 'U',
                None => '.',
            });
            assert_eq!(said.collect::<String>(), want, "{checked}");
        };
        check(1, 1, "+-+--", "HUHU.");
        check(2, 3, "++--+---", "H......U");
        check(2, 3, "-+-++", "U...H");
        check(2, 3, "--+++---", "U..H...U");
        check(100, 100, &"-".repeat(3), "U..");
        check(100, 1, &format!("-{}", "+".repeat(100)), &format!("U{}H", ".".repeat(99)));
    }
}
