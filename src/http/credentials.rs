//! Where a request carries its key, and how to remove it.
//!
//! A key may be in a field, a query parameter (a browser's EventSource cannot set fields) or a
//! cookie. It consists of visible ASCII characters without spaces, so it fits all three. A field
//! value that contains a space, apart from one after an optional `Bearer`, holds another scheme's
//! credentials, which are left to the upstream.
//!
//! The proxy and the servers behind it must agree on which key a request has. So a request with two
//! different keys, or with two lines of a field, is refused ([`Unclear`]). The same key in two
//! places counts as one.
//!
//! Tested against tables.

use super::abnf::is_blank;
use super::fields::{Fields, same_to_gateway};
use super::{cookie, query};
use std::borrow::Cow;

/// The names under which a key may be carried. An empty name, or none, disables that carrier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carriers {
    /// The names of fields. None of them is empty.
    pub headers: Vec<String>,
    /// The name of a query parameter.
    pub query: String,
    /// The name of a cookie.
    pub cookie: String,
}

/// The reason why it is unclear which key a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclear {
    /// A field has more than one line.
    Repeated,
    /// The request has two different keys.
    Different,
    /// The key contains a character that no key has.
    Characters,
}

impl Unclear {
    /// Describes the error in a phrase for the log.
    pub const fn what(self) -> &'static str {
        match self {
            Unclear::Repeated => "a key field has more than one line",
            Unclear::Different => "the request has two different keys",
            Unclear::Characters => "the key has an invalid character",
        }
    }
}

impl Carriers {
    /// Finds the key of a request, if it has one.
    ///
    /// # Errors
    /// See [`Unclear`].
    pub fn find<'b>(
        &self,
        fields: Fields<'_, 'b>,
        query: Option<&'b str>,
    ) -> Result<Option<Cow<'b, [u8]>>, Unclear> {
        let is_repeated = |name: &String| fields.all(name).nth(1).is_some();
        if self.headers.iter().any(is_repeated) {
            return Err(Unclear::Repeated);
        }
        let in_fields = self.headers.iter().flat_map(|name| fields.all(name)).filter_map(of_field);
        let queries = if self.query.is_empty() { None } else { query };
        let in_query = queries.into_iter().flat_map(|query| query::values(query, &self.query));
        let cookies = if self.cookie.is_empty() { None } else { Some(fields.all("Cookie")) };
        let cookies = cookies.into_iter().flatten();
        let in_cookies = cookies.flat_map(|field| cookie::values(field, &self.cookie));
        let mut found: Option<Cow<'b, [u8]>> = None;
        let all = in_fields.chain(in_cookies).map(Cow::Borrowed).chain(in_query);
        for key in all.filter(|key| !key.is_empty()) {
            if found.as_ref().is_some_and(|other| *other != key) {
                return Err(Unclear::Different);
            }
            found = Some(key);
        }
        match found {
            Some(key) if !key.iter().all(u8::is_ascii_graphic) => Err(Unclear::Characters),
            found => Ok(found),
        }
    }

    /// True if this field line carries a key, or a CGI-style gateway could think that it does.
    pub fn take_line(&self, name: &str, value: &[u8]) -> bool {
        self.headers
            .iter()
            .filter(|header| same_to_gateway(name, header))
            .any(|header| of_field(value).is_some() || !name.eq_ignore_ascii_case(header))
    }

    /// True if a field of this name carries keys, or a CGI-style gateway could think so.
    pub fn is_header(&self, name: &str) -> bool {
        self.headers.iter().any(|header| same_to_gateway(name, header))
    }

    /// Returns the value of a Cookie field without the key. None if nothing is left.
    pub fn cookies_without<'b>(&self, field: &'b [u8]) -> Option<Cow<'b, [u8]>> {
        match self.cookie.as_str() {
            "" => Some(Cow::Borrowed(field)),
            name => cookie::without(field, name),
        }
    }

    /// Returns the query without the key. None if nothing is left.
    pub fn query_without<'b>(&self, query: &'b str) -> Option<Cow<'b, str>> {
        match self.query.as_str() {
            "" => Some(Cow::Borrowed(query)),
            name => query::without(query, name),
        }
    }
}

/// The key in a field value: what follows `Bearer`, or the whole value. None if it is empty or
/// holds another scheme's credentials.
fn of_field(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"Bearer";
    let is_scheme =
        value.get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME));
    let key = match value.get(SCHEME.len()) {
        Some(&byte) if is_scheme && is_blank(byte) => value[SCHEME.len()..].trim_ascii(),
        None if is_scheme => &[],
        _ => value,
    };
    (!key.is_empty() && !key.iter().any(|&byte| is_blank(byte))).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use httparse::Header;

    fn check(carriers: [&str; 3], lines: &[(&str, &str)], query: &str, want: &str) {
        let [header, parameter, cookie] = carriers.map(str::to_owned);
        let headers = header.split_terminator(' ').map(str::to_owned).collect();
        let carriers = Carriers { headers, query: parameter, cookie };
        let lines: Vec<_> =
            lines.iter().map(|&(name, value)| Header { name, value: value.as_bytes() }).collect();
        let got = match carriers.find(Fields::of(&lines), Some(query)) {
            Ok(Some(key)) => String::from_utf8_lossy(&key).into_owned(),
            Ok(None) => "-".to_owned(),
            Err(unclear) => format!("{unclear:?}"),
        };
        assert_eq!(got, want, "{lines:?} {query}");
    }

    #[test]
    fn in_a_field() {
        let auth = ["Authorization", "", ""];
        let of = |value: &str, want: &str| check(auth, &[("authorization", value)], "", want);
        of("abc", "abc");
        of("Bearer abc", "abc");
        of("bEARER  abc", "abc");
        of("Bearer\tabc", "abc");
        of("Bearerabc", "Bearerabc");
        of("", "-");
        of("Bearer", "-");
        of("Basic abc", "-");
        of("Bearer a b", "-");
        of("Digest a=\"b\", c=d", "-");
        of("a,b", "a,b");
        of("ab\u{e9}", "Characters");
        check(auth, &[], "", "-");
        check(auth, &[("X", "a"), ("Cookie", "Authorization=a")], "Authorization=a&=b", "-");
        let twice = [("Authorization", "a"), ("authorization", "a")];
        check(auth, &twice, "", "Repeated");
        check(auth, &[("Authorization", ""), ("Authorization", "a")], "", "Repeated");
        check(["X-Key", "", ""], &[("X_Key", "a"), ("Authorization", "b")], "", "-");
    }

    /// Two APIs each have their own field for the same key.
    #[test]
    fn in_one_of_several_fields() {
        let carriers = ["Authorization X-Api-Key", "", ""];
        check(carriers, &[("x-api-key", "abc")], "", "abc");
        check(carriers, &[("Authorization", "Bearer abc")], "", "abc");
        check(carriers, &[("Authorization", "Bearer abc"), ("X-Api-Key", "abc")], "", "abc");
        check(carriers, &[("Authorization", "Bearer abc"), ("X-Api-Key", "x")], "", "Different");
        check(carriers, &[("X-Api-Key", "abc"), ("X-Api-Key", "abc")], "", "Repeated");
        check(carriers, &[("Authorization", "Basic a b"), ("X-Api-Key", "abc")], "", "abc");
        check(carriers, &[("X-Api-Keys", "abc")], "", "-");
    }

    #[test]
    fn in_a_query_or_a_cookie() {
        let all = ["Authorization", "t", "c"];
        check(all, &[], "t=abc", "abc");
        check(all, &[], "x=1&t=a%2Bb+", "a+b+");
        check(all, &[], "t=&t", "-");
        check(all, &[], "t=a%0d%0ab", "Characters");
        check(all, &[], "t=a%20b", "Characters");
        check(all, &[("Cookie", "a=1; c=k")], "", "k");
        check(all, &[("Cookie", "a=1"), ("Cookie", "c=k")], "", "k");
        check(all, &[("Cookie", "c=")], "t=", "-");
        check(["", "t", ""], &[("Authorization", "a"), ("Cookie", "=c")], "=x", "-");
    }

    #[test]
    fn one_key_or_none() {
        let all = ["Authorization", "t", "c"];
        let (field, cookie) = (("Authorization", "Bearer k"), ("Cookie", "c=k"));
        check(all, &[field, cookie], "t=k&t=%6b", "k");
        check(all, &[field], "t=x", "Different");
        check(all, &[field, ("Cookie", "c=x")], "", "Different");
        check(all, &[cookie], "t=x", "Different");
        check(all, &[], "t=k&t=x", "Different");
        check(all, &[("Cookie", "c=k; c=x")], "", "Different");
        check(all, &[("Cookie", "c=k"), ("Cookie", "c=x")], "", "Different");
        check(all, &[("Authorization", "Basic eDp5"), cookie], "t=k", "k");
    }

    #[test]
    fn lines_that_are_taken_out() {
        let of =
            |header: &str| Carriers { headers: vec![header.to_owned()], ..Carriers::default() };
        let check = |header: &str, name: &str, value: &str, want: bool| {
            assert_eq!(of(header).take_line(name, value.as_bytes()), want, "{header} {name}");
        };
        check("Authorization", "authorization", "Bearer k", true);
        check("Authorization", "Authorization", "k", true);
        check("Authorization", "Authorization", "Basic eDp5", false);
        check("X-Key", "x-key", "k", true);
        check("X-Key", "X_Key", "anything at all", true);
        check("X-Key", "X-Key2", "k", false);
        check("", "Authorization", "k", false);
    }
}
