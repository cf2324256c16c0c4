//! Query parameters as forms encode them (WHATWG URL section 5.1): `name=value`, separated by `&`.
//!
//! A parameter is found by its name, however that is percent-encoded, and can be removed. The
//! others then keep their bytes and their order. `+` is literal, not a space: the values wanted
//! here contain no spaces, and often an unescaped `+`.
//!
//! Tested against tables, and by removing what is not there.

use super::escape::decode;
use crate::work;
use std::borrow::Cow;

/// The values of all parameters with this name, decoded.
pub fn values<'q>(query: &'q str, name: &str) -> impl Iterator<Item = Cow<'q, [u8]>> {
    let named = query.split('&').filter(move |parameter| is(parameter, name));
    named.map(|parameter| {
        decode(parameter.split_once('=').map_or("", |(_, value)| value).as_bytes())
    })
}

/// Returns the query without the parameters with this name. None if nothing is left.
pub fn without<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    if !query.split('&').any(|parameter| is(parameter, name)) {
        return Some(Cow::Borrowed(query));
    }
    let others: Vec<&str> = query.split('&').filter(|parameter| !is(parameter, name)).collect();
    (!others.is_empty()).then(|| Cow::Owned(others.join("&")))
}

/// Takes the one parameter with this name out of a query: its value, decoded, and the rest. None if
/// there is no such parameter.
///
/// # Errors
/// If there are several.
pub fn take<'q>(query: &'q str, name: &str) -> Result<Option<Taken<'q>>, Repeated> {
    let mut values = values(query, name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Repeated);
    }
    Ok(Some(Taken { value, rest: without(query, name) }))
}

/// What was taken out of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken<'q> {
    /// The value, decoded.
    pub value: Cow<'q, [u8]>,
    /// The rest of the query. None if nothing is left.
    pub rest: Option<Cow<'q, str>>,
}

/// A parameter occurs more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated;

/// True if the parameter has this name after decoding.
fn is(parameter: &str, name: &str) -> bool {
    work::note(parameter.len() + 1);
    let written = parameter.split_once('=').map_or(parameter, |(name, _)| name);
    written == name || written.contains('%') && *decode(written.as_bytes()) == *name.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_and_taken_out() {
        let check = |query: &str, found: &[&str], rest: Option<&str>| {
            let values: Vec<_> = values(query, "k").map(|value| value.into_owned()).collect();
            let found: Vec<_> = found.iter().map(|value| value.as_bytes().to_vec()).collect();
            assert_eq!(values, found, "{query}");
            assert_eq!(without(query, "k").as_deref(), rest, "{query}");
            let taken = take(query, "k");
            assert_eq!(taken.is_err(), found.len() > 1, "{query}");
            if let Ok(taken) = taken {
                assert_eq!(taken.is_some(), found.len() == 1, "{query}");
                let [value, left] = [found.first().cloned(), rest.map(|r| r.as_bytes().to_vec())];
                if let Some(taken) = taken {
                    assert_eq!(Some(taken.value.into_owned()), value, "{query}");
                    assert_eq!(taken.rest.map(|r| r.as_bytes().to_vec()), left, "{query}");
                }
            }
        };
        check("", &[], Some(""));
        check("a=1&b", &[], Some("a=1&b"));
        check("k=1", &["1"], None);
        check("k", &[""], None);
        check("k=", &[""], None);
        check("k=a=b", &["a=b"], None);
        check("a=1&k=2&b=3", &["2"], Some("a=1&b=3"));
        check("k=2&a=1", &["2"], Some("a=1"));
        check("a=1&k=2", &["2"], Some("a=1"));
        check("k=1&k=2", &["1", "2"], None);
        check("&&k=1&", &["1"], Some("&&"));
        check("%6b=%31%2f+", &["1/+"], None);
        check("%6B=%3", &["%3"], None);
        check("k%=1&K=2&kk=3&xk=4&k[]=5", &[], Some("k%=1&K=2&kk=3&xk=4&k[]=5"));
        check("a=%6b&k=%zz%", &["%zz%"], Some("a=%6b"));
        check("a=1;k=2", &[], Some("a=1;k=2"));
        check("a%26k=1", &[], Some("a%26k=1"));
    }

    /// Compares with the simplest implementation, over all short queries of the relevant
    /// characters.
    #[test]
    fn what_stays_is_what_is_not_named() {
        let mut queries = vec![String::new()];
        for n in 0..2000 {
            let mut longer: String = queries[n / 5].clone();
            longer.push(['k', '=', '&', 'a', '%'][n % 5]);
            queries.push(longer);
        }
        for query in &queries {
            let parts: Vec<&str> = query.split('&').collect();
            let name = |part: &&str| part.split('=').next() == Some("k");
            let rest: Vec<&str> = parts.iter().copied().filter(|part| !name(part)).collect();
            let want = if rest.is_empty() { None } else { Some(rest.join("&")) };
            assert_eq!(without(query, "k").as_deref(), want.as_deref(), "{query}");
            let left = values(without(query, "k").as_deref().unwrap_or(""), "k").count();
            assert_eq!(left, 0, "{query}");
        }
    }
}
