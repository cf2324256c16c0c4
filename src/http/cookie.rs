//! The pairs of a Cookie field (RFC 6265 section 4.2): `name=value`, separated by `;`.
//!
//! A pair is found by its name, and can be removed. The others then keep their bytes and their
//! order.
//!
//! Tested against tables.

use crate::work;
use std::borrow::Cow;

/// The values of all pairs with this name. Quotes around a value are part of it, as they are for
/// browsers.
pub fn values<'b>(field: &'b [u8], name: &str) -> impl Iterator<Item = &'b [u8]> {
    field.split(|&byte| byte == b';').filter_map(move |pair| value(pair, name))
}

/// The value that a Set-Cookie field gives to the cookie with this name (RFC 6265 section 4.1).
/// None if it sets another cookie, or if the value is empty.
pub fn set<'b>(field: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let pair = field.split(|&byte| byte == b';').next()?;
    value(pair, name).filter(|value| !value.is_empty())
}

/// Returns the field without the pairs with this name. None if nothing is left.
pub fn without<'b>(field: &'b [u8], name: &str) -> Option<Cow<'b, [u8]>> {
    if values(field, name).next().is_none() {
        return Some(Cow::Borrowed(field));
    }
    let pairs = field.split(|&byte| byte == b';');
    let others: Vec<&[u8]> = pairs.filter(|pair| value(pair, name).is_none()).collect();
    let rest = others.join(&b';');
    let rest = rest.trim_ascii();
    (!rest.is_empty()).then(|| Cow::Owned(rest.to_vec()))
}

/// Returns the value of a pair if it has this name.
fn value<'b>(pair: &'b [u8], name: &str) -> Option<&'b [u8]> {
    work::note(pair.len() + 1);
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    let (named, value) = pair.split_at(equals);
    (named.trim_ascii() == name.as_bytes()).then(|| value[1..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set() {
        let check = |field: &str, want: Option<&str>| {
            assert_eq!(set(field.as_bytes(), "k"), want.map(str::as_bytes), "{field}");
        };
        check("k=1", Some("1"));
        check(" k = 1 ; Path=/; HttpOnly", Some("1"));
        check("k=\"1\";k=2", Some("\"1\""));
        check("k=a=b", Some("a=b"));
        for none in ["", "k", "k=", "k=; Max-Age=0", "a=1; k=2", "K=1", ";k=1"] {
            check(none, None);
        }
    }

    #[test]
    fn found_and_taken_out() {
        let check = |field: &str, found: &[&str], rest: Option<&str>| {
            let values: Vec<_> = values(field.as_bytes(), "k").collect();
            let found: Vec<_> = found.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(values, found, "{field}");
            let got = without(field.as_bytes(), "k");
            assert_eq!(got.as_deref(), rest.map(str::as_bytes), "{field}");
        };
        check("", &[], Some(""));
        check("a=1; b=2", &[], Some("a=1; b=2"));
        check("k=1", &["1"], None);
        check("k=", &[""], None);
        check("k", &[], Some("k"));
        check("k=1; a=2", &["1"], Some("a=2"));
        check("a=1; k=2", &["2"], Some("a=1"));
        check("a=1; k=2; b=3", &["2"], Some("a=1; b=3"));
        check("a=1;k=2;b=\"k=3\"", &["2"], Some("a=1;b=\"k=3\""));
        check("k=1; k=2", &["1", "2"], None);
        check(" k = 1 ;a=k", &["1"], Some("a=k"));
        check("k=a=b", &["a=b"], None);
        check("K=1; kk=2; xk=3; a=k", &[], Some("K=1; kk=2; xk=3; a=k"));
        check("a=1,k=2", &[], Some("a=1,k=2"));
        check("a=\"x;k=1\"", &["1\""], Some("a=\"x"));
    }
}
