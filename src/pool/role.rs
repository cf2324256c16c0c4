//! What an event loop does for the others of its process.

/// The part of an event loop among those of its process, in what concerns them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// There is no other one.
    Alone,
    /// It checks targets, and writes what the log says of them.
    First,
    /// It goes by what the first one says.
    Other,
}

impl Role {
    /// That of the event loop with this number among so many. The first has number 0.
    pub const fn of(number: usize, loops: usize) -> Role {
        match number {
            0 if loops == 1 => Role::Alone,
            0 => Role::First,
            _ => Role::Other,
        }
    }

    /// True exactly when there are others.
    pub(super) const fn has_others(self) -> bool {
        !matches!(self, Role::Alone)
    }

    /// True exactly when it checks targets.
    pub(super) const fn checks(self) -> bool {
        self.writes()
    }

    /// True exactly when the log has from it what concerns all.
    pub(super) const fn writes(self) -> bool {
        !matches!(self, Role::Other)
    }
}
