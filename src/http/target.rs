//! The request target (RFC 9112 section 3.2), and the path that is matched and forwarded.
//!
//! A target is parsed, never rewritten: the path that goes upstream consists of the client's own
//! bytes. Only dot segments are resolved, because a path must not escape from the api that it
//! matched. For the same reason a segment is refused if an upstream that decodes `%2f` or removes
//! `;parameters` before resolving would see a dot segment in it: `..%2fadmin`, `..;x`.
//!
//! Beyond RFC 3986, the characters ``[ ] ^ ` { | }`` are accepted, because browsers send them
//! unescaped, and in a query also `"`, `<`, `>` and `\`, because other proxies forward them. In a
//! path those four are refused. `#`, which ends a URI for some parsers, is always refused.
//!
//! Tested against tables, and against a literal implementation of RFC 3986 section 5.2.4.

mod path;

use super::authority::Authority;

/// A parsed request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTarget<'b> {
    /// The path, which begins with a slash or is `*`.
    pub path: &'b str,
    /// The part after the first `?`, which may be empty.
    pub query: Option<&'b str>,
    /// The host and port of an absolute target.
    pub authority: Option<Authority<'b>>,
    /// The scheme's default port: 443 if an absolute target begins with `https`, otherwise 80.
    pub default_port: u16,
    /// True if the target is the server as a whole (section 3.2.4).
    pub asterisk: bool,
}

/// The reason why a target was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// The target has none of the forms that section 3.2 allows for this method.
    Form,
    /// The scheme of an absolute target is neither `http` nor `https`.
    Scheme,
    /// The authority of an absolute target is not a host with an optional port.
    Authority,
    /// The target contains a character that is not allowed.
    Character,
    /// A `%` is not followed by two hexadecimal digits.
    Escape,
    /// An escape encodes a control character other than a tab or a line break.
    EncodedControl,
    /// The path leads above its root.
    Climbs,
    /// Some servers would take a segment for a dot segment, others would not.
    DisguisedDots,
}

impl TargetError {
    /// Describes the error in a phrase for the log.
    pub const fn what(self) -> &'static str {
        match self {
            TargetError::Form => "request target has a form not allowed for the method",
            TargetError::Scheme => "scheme of the request target is not http or https",
            TargetError::Authority => "malformed authority in the request target",
            TargetError::Character => "forbidden character in the request target",
            TargetError::Escape => "malformed percent escape in the path",
            TargetError::EncodedControl => "encoded control character in the path",
            TargetError::Climbs => "path leads above its root",
            TargetError::DisguisedDots => "disguised dot segment in the path",
        }
    }
}

impl<'b> RequestTarget<'b> {
    /// Parses a target. The path is not examined; see [`RequestTarget::resolve_path`].
    ///
    /// # Errors
    ///
    /// See [`TargetError`]. The authority form is for CONNECT only and is refused.
    pub fn parse(method: &str, text: &'b str) -> Result<RequestTarget<'b>, TargetError> {
        if !text.bytes().all(is_target_char) {
            return Err(TargetError::Character);
        }
        let target = match text.as_bytes() {
            // Section 3.2.4: asterisk-form.
            b"*" if method == "OPTIONS" => RequestTarget::of(text),
            // Section 3.2.1: origin-form.
            [b'/', ..] => RequestTarget::of(text),
            // Section 3.2.2: absolute-form.
            _ => RequestTarget::absolute(method, text)?,
        };
        if !target.path.bytes().all(is_path_char) {
            return Err(TargetError::Character);
        }
        Ok(target)
    }

    fn of(path_and_query: &'b str) -> RequestTarget<'b> {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        let asterisk = path == "*";
        RequestTarget { path, query, authority: None, default_port: 80, asterisk }
    }

    fn absolute(method: &str, text: &'b str) -> Result<RequestTarget<'b>, TargetError> {
        let (scheme, rest) = text.split_once("://").ok_or(TargetError::Form)?;
        let default_port = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => 80,
            _ if scheme.eq_ignore_ascii_case("https") => 443,
            _ => return Err(TargetError::Scheme),
        };
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = Authority::parse(authority.as_bytes()).ok_or(TargetError::Authority)?;
        let mut target = RequestTarget::of(rest);
        if target.path.is_empty() {
            // RFC 9110 section 4.2.3; for OPTIONS, RFC 9112 section 3.2.4.
            target.asterisk = method == "OPTIONS" && target.query.is_none();
            target.path = if target.asterisk { "*" } else { "/" };
        }
        Ok(RequestTarget { authority: Some(authority), default_port, ..target })
    }

    /// Appends the path to `out` with its dot segments resolved (RFC 3986 section 5.2.4), even if
    /// their dots are encoded. Everything else stays byte by byte: empty segments, case and
    /// escapes. The result is used both for matching and for forwarding.
    ///
    /// # Errors
    ///
    /// Those of [`TargetError`] that concern paths. `out` is then meaningless.
    pub fn resolve_path(&self, out: &mut Vec<u8>) -> Result<(), TargetError> {
        if self.asterisk {
            out.push(b'*');
            return Ok(());
        }
        path::resolve(self.path.as_bytes(), out)
    }
}

/// True if a path may contain `byte`. The four that only queries may contain are escaped in paths.
const fn is_path_char(byte: u8) -> bool {
    !matches!(byte, b'\\' | b'"' | b'<' | b'>')
}

fn is_target_char(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the parsed target, shown as `authority path ?query`.
    #[track_caller]
    fn check(method: &str, text: &str, want: Result<&str, TargetError>) {
        let got = RequestTarget::parse(method, text).map(|target| {
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
