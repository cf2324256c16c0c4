//! The request target (RFC 9112 section 3.2), and the path that is matched and forwarded.
//!
//! A target is taken apart, never rewritten: the path that goes upstream is made of the client's
//! own bytes. Only dot segments are resolved, because a path must not climb out of the api that it
//! was matched with. For the same reason a segment is refused that is harmless as it stands but
//! would become a dot segment for an upstream that decodes `%2f`, or cuts off `;parameters`, before
//! it resolves: `..%2fadmin`, `..;x`.
//!
//! Beyond RFC 3986, the characters ``[ ] ^ ` { | }`` pass, which browsers send as they are, and in
//! a query also `"`, `<`, `>` and `\`, which other proxies hand on. In a path those four are
//! refused, and `#`, which ends a URI for some parsers, is refused everywhere.
//!
//! Tested against tables, and against the algorithm of RFC 3986 section 5.2.4 to the letter.

mod path;

use super::authority::Authority;

/// A request target, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'b> {
    /// The path: begins with a slash, or is `*`.
    pub path: &'b str,
    /// What follows the first `?`, which may be nothing.
    pub query: Option<&'b str>,
    /// The host and port of an absolute target.
    pub authority: Option<Authority<'b>>,
    /// The port that goes without saying: 443 where an absolute target begins with `https`.
    pub default_port: u16,
    /// True exactly when the target is the server as a whole (section 3.2.4).
    pub asterisk: bool,
}

/// Why a target was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// None of the forms of section 3.2 that this method may have.
    Form,
    /// An absolute target whose scheme is neither `http` nor `https`.
    Scheme,
    /// An absolute target whose authority is no host and port.
    Authority,
    /// A character that has no place in a target.
    Character,
    /// A `%` that two hexadecimal digits do not follow.
    Escape,
    /// An escape for a control character other than a tab or a line break.
    EncodedControl,
    /// A path that leads above its root.
    Climbs,
    /// A segment that some would take for a dot segment, and others would not.
    DisguisedDots,
}

impl TargetError {
    /// What is wrong, as a phrase for the log.
    pub const fn what(self) -> &'static str {
        match self {
            TargetError::Form => "request target has no form that fits the method",
            TargetError::Scheme => "scheme of the request target is not http or https",
            TargetError::Authority => "authority of the request target is no host and port",
            TargetError::Character => "forbidden character in the request target",
            TargetError::Escape => "malformed percent escape in the path",
            TargetError::EncodedControl => "encoded control character in the path",
            TargetError::Climbs => "path leads above its root",
            TargetError::DisguisedDots => "disguised dot segment in the path",
        }
    }
}

impl<'b> Target<'b> {
    /// Takes a target apart. Paths are not looked into, see [`Target::resolve_path`].
    ///
    /// # Errors
    ///
    /// See [`TargetError`]. The authority form, which is CONNECT's, is none that fits.
    pub fn parse(method: &str, text: &'b str) -> Result<Target<'b>, TargetError> {
        if !text.bytes().all(is_target_char) {
            return Err(TargetError::Character);
        }
        let target = match text.as_bytes() {
            // Section 3.2.4: asterisk-form.
            b"*" if method == "OPTIONS" => Target::of(text),
            // Section 3.2.1: origin-form.
            [b'/', ..] => Target::of(text),
            // Section 3.2.2: absolute-form.
            _ => Target::absolute(method, text)?,
        };
        if !target.path.bytes().all(is_path_char) {
            return Err(TargetError::Character);
        }
        Ok(target)
    }

    fn of(path_and_query: &'b str) -> Target<'b> {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        let asterisk = path == "*";
        Target { path, query, authority: None, default_port: 80, asterisk }
    }

    fn absolute(method: &str, text: &'b str) -> Result<Target<'b>, TargetError> {
        let (scheme, rest) = text.split_once("://").ok_or(TargetError::Form)?;
        let default_port = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => 80,
            _ if scheme.eq_ignore_ascii_case("https") => 443,
            _ => return Err(TargetError::Scheme),
        };
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = Authority::parse(authority.as_bytes()).ok_or(TargetError::Authority)?;
        let mut target = Target::of(rest);
        if target.path.is_empty() {
            // RFC 9110 section 4.2.3; for OPTIONS, RFC 9112 section 3.2.4.
            target.asterisk = method == "OPTIONS" && target.query.is_none();
            target.path = if target.asterisk { "*" } else { "/" };
        }
        Ok(Target { authority: Some(authority), default_port, ..target })
    }

    /// Appends the path to `out`, with dot segments resolved (RFC 3986 section 5.2.4) whether or
    /// not their dots are encoded, and otherwise byte by byte as it was sent: empty segments, case
    /// and escapes stay. This path is for matching and for forwarding alike.
    ///
    /// # Errors
    ///
    /// Those of [`TargetError`] that concern paths; what `out` holds then has no meaning.
    pub fn resolve_path(&self, out: &mut Vec<u8>) -> Result<(), TargetError> {
        if self.asterisk {
            out.push(b'*');
            return Ok(());
        }
        path::resolve(self.path.as_bytes(), out)
    }
}

/// Queries have these characters, and everybody passes them; in a path they are escaped.
const fn is_path_char(byte: u8) -> bool {
    !matches!(byte, b'\\' | b'"' | b'<' | b'>')
}

fn is_target_char(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a target comes to, as `authority path ?query`.
    #[track_caller]
    fn check(method: &str, text: &str, want: Result<&str, TargetError>) {
        let got = Target::parse(method, text).map(|target| {
            assert_eq!(target.asterisk, target.path == "*");
            let authority = target.authority.map_or("-", |authority| authority.text);
            let query = target.query.map_or(String::new(), |query| format!(" ?{query}"));
            format!("{authority} {}{query}", target.path)
        });
        assert_eq!(got, want.map(str::to_owned), "{method} {text:?}");
    }

    #[test]
    fn forms() {
        check("GET", "/", Ok("- /"));
        check("GET", "/a/b?c=d?e", Ok("- /a/b ?c=d?e"));
        check("GET", "/?", Ok("- / ?"));
        check("GET", "//a.example/b", Ok("- //a.example/b"));
        check("GET", "/a:b@c://d", Ok("- /a:b@c://d"));
        check("GET", "/[]^`{|}~'()*+,;=!$&", Ok("- /[]^`{|}~'()*+,;=!$&"));
        check("GET", "/a?q=100%\\", Ok("- /a ?q=100%\\"));
        check("GET", "/q?a=b{c=\"d\"}<>", Ok("- /q ?a=b{c=\"d\"}<>"));
        check("GET", "http://a.example?\"", Ok("a.example / ?\""));
        check("OPTIONS", "*", Ok("- *"));
        check("OPTIONS", "/", Ok("- /"));
        check("GET", "http://a.example", Ok("a.example /"));
        check("GET", "HTTP://a.example:8080/b?c", Ok("a.example:8080 /b ?c"));
        check("GET", "https://[::1]?c/d", Ok("[::1] / ?c/d"));
        check("OPTIONS", "http://a.example", Ok("a.example *"));
        check("OPTIONS", "http://a.example/", Ok("a.example /"));
        check("OPTIONS", "http://a.example?", Ok("a.example / ?"));
    }

    #[test]
    fn what_is_no_target() {
        use TargetError::*;
        for text in ["", "*", "a", "a/b", "?a", "a.example:443", "http:/a", "http:a", "/a*", "**"] {
            let want = if text == "/a*" { Ok("- /a*") } else { Err(Form) };
            check("GET", text, want);
        }
        check("OPTIONS", "*?a", Err(Form));
        check("OPTIONS", "**", Err(Form));
        check("GET", "ftp://a/", Err(Scheme));
        check("GET", "://a/", Err(Scheme));
        check("GET", " http://a/", Err(Character));
        for text in ["http://", "http:///a", "http://u@a/", "http://a:x/", "http://[a/"] {
            check("GET", text, Err(Authority));
        }
        for text in
            ["/a#b", "/a\"", "/<", "/>", "/a\\b", "/\u{7f}", "/\0", "/a\tb", "/é", "http://a/\\"]
        {
            check("GET", text, Err(Character));
        }
        for text in ["/?#", "/?\t", "/?\u{7f}", "/?é", "/\"?\"", "http://a/<?b"] {
            check("GET", text, Err(Character));
        }
        check("GET", "http://a\"?b", Err(Authority));
    }
}
