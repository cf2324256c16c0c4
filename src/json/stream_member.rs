//! Searches a JSON text (RFC 8259), as it passes, for a member `"stream": true` of its outermost
//! object.
//!
//! With this member a request to a model API asks for an event stream. Its head often does not: the
//! SDKs of OpenAI and Anthropic send `Accept: application/json`. The member may come after any
//! number of messages. So the bytes are scanned as they pass, in pieces of any size, and nothing is
//! kept but the position in the grammar.
//!
//! The text is not validated. In a text that is not JSON the member may be found or missed; its
//! recipient refuses it anyway. A name that contains an escape is never taken for the member's.
//!
//! Tested with every text cut at every byte, and on random texts whose members are known.

use crate::work;
use memchr::memchr2;

/// The name of the member.
const NAME: &[u8] = b"stream";
/// The value that asks for a stream.
const VALUE: &[u8] = b"true";

/// The search for the member. See the module docs.
#[derive(Clone, Copy, Debug)]
pub struct StreamMember {
    at: At,
    /// The number of open objects and arrays.
    depth: u32,
}

const _: () = assert!(size_of::<StreamMember>() <= 8);

/// A position in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Between two tokens. A string that begins here at depth 1 is the name of a member.
    Token,
    /// In the name of a member. This many bytes match [`NAME`]. None: it is another name.
    Name(Option<u8>),
    /// After a backslash in a name.
    NameEscape,
    /// After the name of a member. True if it is [`NAME`].
    Colon(bool),
    /// After the colon, and this many bytes of [`VALUE`]. None: it is another member or value.
    Value(Option<u8>),
    /// In a string that is not a name.
    String,
    /// After a backslash in such a string.
    StringEscape,
    /// The member was found.
    Found,
    /// The member can no longer be found.
    Over,
}

impl StreamMember {
    /// Begins the search at the start of a text.
    pub const fn new() -> StreamMember {
        StreamMember { at: At::Token, depth: 0 }
    }

    /// True if the member was in the bytes scanned so far.
    pub fn is_found(self) -> bool {
        self.at == At::Found
    }

    /// Scans the next bytes of the text.
    pub fn scan(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            if self.at == At::String {
                // Most bytes of a request are in strings.
                let skipped = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                work::note(skipped);
                rest = &rest[skipped..];
            }
            let [byte, behind @ ..] = rest else { return };
            if matches!(self.at, At::Found | At::Over) {
                return;
            }
            work::note(1);
            self.at = self.step(*byte);
            rest = behind;
        }
    }

    /// The position after this byte.
    fn step(&mut self, byte: u8) -> At {
        let blank = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match (self.at, byte) {
            (At::Token, _) if self.depth == 0 && !blank && byte != b'{' => At::Over,
            (At::Token, b'"') if self.depth == 1 => At::Name(Some(0)),
            (At::Token | At::Value(_), b'"') => At::String,
            (At::Token | At::Value(_), b'{' | b'[') => {
                self.depth = self.depth.saturating_add(1);
                At::Token
            }
            (At::Token | At::Value(_), b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 { At::Over } else { At::Token }
            }
            (At::Token, _) | (At::Value(_), b',') => At::Token,
            (At::Name(matched), b'"') => {
                At::Colon(matched.is_some_and(|matched| usize::from(matched) == NAME.len()))
            }
            (At::Name(_), b'\\') => At::NameEscape,
            (At::Name(matched), _) => At::Name(further(matched, NAME, byte)),
            (At::NameEscape, _) => At::Name(None),
            (At::Colon(is_name), b':') => At::Value(is_name.then_some(0)),
            (At::Colon(_), _) if blank => self.at,
            (At::Colon(_), _) => At::Over,
            (At::Value(Some(0)), _) if blank => self.at,
            (At::Value(matched), _) => match further(matched, VALUE, byte) {
                Some(matched) if usize::from(matched) == VALUE.len() => At::Found,
                matched => At::Value(matched),
            },
            (At::String, b'\\') => At::StringEscape,
            (At::String, b'"') => At::Token,
            (At::String | At::StringEscape, _) => At::String,
            (At::Found | At::Over, _) => self.at,
        }
    }
}

/// The number of bytes of `word` that match, including this one.
fn further(matched: Option<u8>, word: &[u8], byte: u8) -> Option<u8> {
    matched.filter(|&matched| word.get(usize::from(matched)) == Some(&byte)).map(|n| n + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pieces::in_pieces;
    use fastrand::Rng;

    /// True if the member is found. Checks that the result does not depend on where the text is
    /// cut.
    fn found(text: &str) -> bool {
        let mut whole = StreamMember::new();
        whole.scan(text.as_bytes());
        in_pieces(text.len(), |pieces| {
            let mut cut = StreamMember::new();
            for piece in pieces {
                cut.scan(&text.as_bytes()[piece.clone()]);
            }
            assert_eq!(cut.is_found(), whole.is_found(), "{text} in {pieces:?}");
        });
        whole.is_found()
    }

    #[test]
    fn texts() {
        for text in [
            r#"{"stream":true}"#,
            "\r\n\t { \"stream\" :\n true , \"a\": 1 }",
            r#"{"a":{"b":[{},[]]},"stream":true}"#,
            r#"{"a":"\"","b":"\\","stream":true}"#,
            r#"{"messages":[{"role":"user","content":"{\"stream\":false}"}],"stream":true}"#,
            r#"{"stream":false,"stream":true}"#,
            r#"{"a":[1,2,{"stream":false}],"b":null,"c":-1.5e3,"stream":true"#,
        ] {
            assert!(found(text), "{text}");
        }
        for text in [
            "",
            "true",
            r#""stream":true"#,
            r#"{"stream":false}"#,
            r#"{"stream":"true"}"#,
            r#"{"stream":tru}"#,
            r#"{"stream":null,"a":true}"#,
            r#"{"stream":[true]}"#,
            r#"{"Stream":true}"#,
            r#"{"streams":true}"#,
            r#"{"strea":true}"#,
            r#"{"a":{"stream":true}}"#,
            r#"[{"stream":true}]"#,
            r#"{"a":"\"stream\":true"}"#,
            r#"{"a":"stream","b":true}"#,
            r#"{"a\"stream":true}"#,
            r#"{"stream\u0000":true}"#,
            r#"{} {"stream":true}"#,
            r#"{"stream_options":{"include_usage":true}}"#,
        ] {
            assert!(!found(text), "{text}");
        }
    }

    /// A random value, nested at most `depth` deep.
    fn value(rng: &mut Rng, depth: u32) -> String {
        let text = |rng: &mut Rng| {
            let parts = ["stream", ":true", r#"\""#, r"\\", "{", "}", "[", "]", ",", " ", "é"];
            let parts: String =
                (0..rng.usize(..4)).map(|_| parts[rng.usize(..parts.len())]).collect();
            format!("\"{parts}\"")
        };
        match rng.u8(..if depth > 0 { 6 } else { 4 }) {
            0 => text(rng),
            1 => "true".to_owned(),
            2 => "null".to_owned(),
            3 => "-12.5e3".to_owned(),
            4 => format!("[{}]", members(rng, |rng| value(rng, depth - 1))),
            _ => {
                let member = |rng: &mut Rng| format!("\"stream\" : {}", value(rng, depth - 1));
                format!("{{{}}}", members(rng, member))
            }
        }
    }

    fn members(rng: &mut Rng, one: impl Fn(&mut Rng) -> String) -> String {
        let all: Vec<String> = (0..rng.usize(..4)).map(|_| one(rng)).collect();
        all.join(if rng.bool() { "," } else { " ,\n" })
    }

    #[test]
    fn random_texts() {
        let mut both = [0; 2];
        for seed in 0..2000 {
            let rng = &mut Rng::with_seed(seed);
            let asks = rng.bool();
            let mut all: Vec<String> = Vec::new();
            for index in 0..rng.usize(..5) {
                all.push(format!("\"x{index}\":{}", value(rng, 3)));
            }
            if asks {
                all.insert(rng.usize(..=all.len()), "\"stream\": true".to_owned());
            }
            let text = format!("{{{}}}", all.join(","));
            let mut search = StreamMember::new();
            search.scan(text.as_bytes());
            assert_eq!(search.is_found(), asks, "{seed}: {text}");
            both[usize::from(asks)] += 1;
        }
        assert!(both.iter().all(|&count| count > 500), "{both:?}");
    }
}
