//! The fields of a response that control which pages of other origins may read it (WHATWG Fetch,
//! "HTTP-CORS protocol").
//!
//! Tested against tables.

use super::is_named;

/// The origin that may read the response, or `*`.
pub const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
/// Whether the response may be read by requests with credentials.
pub const ALLOW_CREDENTIALS: &str = "Access-Control-Allow-Credentials";
/// The response fields that those pages may read.
pub const EXPOSE_HEADERS: &str = "Access-Control-Expose-Headers";

/// The name and the value of a field.
pub type Field<'a> = (&'a str, &'a str);

/// The CORS fields that replace those of the upstream's response.
#[derive(Clone, Debug)]
pub struct OriginFields<'a> {
    /// The fields to write. Vary may be one of them and is added to the upstream's.
    pub fields: Vec<Field<'a>>,
    /// True if the upstream's [`EXPOSE_HEADERS`] is passed on.
    pub keeps_exposed: bool,
}

impl OriginFields<'_> {
    /// True if an upstream's field with this name is dropped, because it is written here or not
    /// wanted at all.
    pub fn replaces(&self, name: &str) -> bool {
        is_about_origins(name) && !(self.keeps_exposed && is_named(name, EXPOSE_HEADERS))
    }
}

/// True if `name` is a CORS response field.
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
