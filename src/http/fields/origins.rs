//! The fields of a response that say which pages of other origins may read it (WHATWG Fetch,
//! "HTTP-CORS protocol").
//!
//! Tested against tables.

use super::is_named;

/// Which origins may read the response.
pub const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
/// Whether they may with cookies.
pub const ALLOW_CREDENTIALS: &str = "Access-Control-Allow-Credentials";
/// Which of its fields they may read.
pub const EXPOSE_HEADERS: &str = "Access-Control-Expose-Headers";

/// A field's name and value.
pub type Field<'a> = (&'a str, &'a str);

/// What a response says about other origins in place of what its upstream says.
#[derive(Clone, Debug)]
pub struct OriginFields<'a> {
    /// The fields that are written. Vary may be one of them, and is added to the upstream's.
    pub fields: Vec<Field<'a>>,
    /// True exactly when the upstream's [`EXPOSE_HEADERS`] is passed on.
    pub keeps_exposed: bool,
}

impl OriginFields<'_> {
    /// True exactly when an upstream's field of this name is not passed on, because what it says is
    /// said here, or by nobody.
    pub fn replaces(&self, name: &str) -> bool {
        is_about_origins(name) && !(self.keeps_exposed && is_named(name, EXPOSE_HEADERS))
    }
}

/// True exactly when this is one of the fields that are about other origins, of a response.
pub fn is_about_origins(name: &str) -> bool {
    const PREFIX: &str = "Access-Control-";
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_about_origins() {
        for name in ["Access-Control-Allow-Origin", "access-control-x"] {
            assert!(is_about_origins(name));
        }
        for name in ["Access-Control", "X-Access-Control-Allow-Origin", "\u{e9}".repeat(9).as_str()]
        {
            assert!(!is_about_origins(name));
        }
    }

    #[test]
    fn what_is_replaced() {
        for keeps_exposed in [false, true] {
            let ours = OriginFields { fields: Vec::new(), keeps_exposed };
            assert_eq!(ours.replaces("access-control-expose-headers"), !keeps_exposed);
            let others = ["Access-Control-Allow-Origin", "Access-Control-Expose_Headers"];
            assert!(others.iter().all(|name| ours.replaces(name)));
            assert!(!ours.replaces("Vary"));
        }
    }
}
