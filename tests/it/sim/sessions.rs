//! Sessions that an origin names in its responses, where the proxy is told to heed them: what a
//! client sends with that name goes to that origin and to no other.

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

/// The name of a session that the origin at this address names.
pub(crate) fn name(address: usize, rng: &mut Rng) -> String {
    format!("{address}-{}", rng.below(1000))
}

/// Judges a request that has come to the origin at this address.
///
/// # Errors
/// It belongs to another one.
pub(crate) fn judge(head: &Head, address: usize) -> Result<(), String> {
    match head.get("x-session") {
        Some(name) if !name.starts_with(&format!("{address}-")) => {
            Err(format!("session {name} at origin {address}"))
        }
        Some(_) | None => Ok(()),
    }
}
