//! Values as people write them in a configuration.

pub(super) mod event;
pub(super) mod networks;
pub(super) mod rate;
pub(super) mod reference;
pub(super) mod units;
pub(super) mod uri;
pub(super) mod value;
