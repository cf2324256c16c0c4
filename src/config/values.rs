//! The kinds of values in a configuration, and how they are written.

pub(super) mod event;
pub(super) mod networks;
pub(super) mod rate;
pub(super) mod reference;
pub(super) mod units;
pub(super) mod uri;
pub(super) mod value;
