//! Sessions named by an origin in its responses, if the proxy is configured to follow them:
//! requests with that name go only to that origin.

use super::message::Head;
use millstream::testing::rng::Rng;

/// The field with the name of a session.
pub(crate) const FIELD: &str = "X-Session";

/// Draws keys for an api.
pub(crate) fn draw(rng: &mut Rng, text: &mut String) {
    if rng.chance(40) {
        *text += &format!("sticky = {{ field = \"{FIELD}\", age = \"8760h\" }}\n");
    }
}

/// Draws a session name for the origin at this address.
pub(crate) fn name(address: usize, rng: &mut Rng) -> String {
    format!("{address}-{}", rng.below(1000))
}

/// Judges a request that has reached the origin at this address.
///
/// # Errors
/// If it belongs to the other one.
pub(crate) fn judge(head: &Head, address: usize) -> Result<(), String> {
    match head.get("x-session") {
        Some(name) if !name.starts_with(&format!("{address}-")) => {
            Err(format!("session {name} at origin {address}"))
        }
        Some(_) | None => Ok(()),
    }
}
