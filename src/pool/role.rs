//! The role of an event loop among those of the process.

/// The role of an event loop in tasks that concern all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is the only one.
    Alone,
    /// It checks targets for all, and logs what concerns them.
    First,
    /// It relies on the first one.
    Other,
}

impl Role {
    /// The role of event loop `number` among `loops`. The first has number 0.
    pub const fn of(number: usize, loops: usize) -> Role {
        match number {
            0 if loops == 1 => Role::Alone,
            0 => Role::First,
            _ => Role::Other,
        }
    }

    /// True exactly when there are other event loops.
    pub(super) const fn has_others(self) -> bool {
        !matches!(self, Role::Alone)
    }

    /// True exactly when it checks targets.
    pub(super) const fn checks(self) -> bool {
        self.writes()
    }

    /// True exactly when it logs what concerns all loops.
    pub(super) const fn writes(self) -> bool {
        !matches!(self, Role::Other)
    }
}
