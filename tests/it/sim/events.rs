//! Event streams in simulated worlds: what an origin sends, how it resumes from an id, and whether
//! a client received what it should have.

use super::terms::Terms;
use millstream::testing::naive;
use millstream::testing::rng::Rng;

/// A byte order mark, which the proxy may remove.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The body of an event stream, with the places at which it can be resumed.
#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) body: Vec<u8>,
    /// For each event its id, if it has one, and the start of the next event.
    ends: Vec<(Option<String>, usize)>,
}

impl Stream {
    /// Draws events for exchange `id`, each with its exchange and number, and about `size` bytes at
    /// most.
    pub(crate) fn draw(rng: &mut Rng, id: usize, size: usize) -> Stream {
        let with_ids = rng.chance(70);
        let line_end = rng.pick(&["\n", "\n", "\r\n", "\r"]);
        let mark: &[u8] = rng.pick(&[b"", b"", b"", b"", MARK, b"\xef\xbbx\n"]);
        let mut stream = Stream { body: mark.to_vec(), ends: Vec::new() };
        while stream.body.len() < size {
            let n = stream.ends.len();
            let event_id = with_ids.then(|| format!("{id}.{n}"));
            let mut lines = Vec::new();
            if rng.chance(20) {
                lines.push(": a comment of the origin".to_owned());
            }
            lines.extend(event_id.as_ref().map(|id| format!("id: {id}")));
            let padding = "x".repeat(rng.pick(&[0, 0, 10, 3000]).min(size));
            lines.push(format!("data: {id}.{n} {padding}"));
            if rng.chance(10) {
                lines.push("data".to_owned());
            }
            lines.push(String::new());
            for line in lines {
                stream.body.extend(line.bytes());
                stream.body.extend(line_end.bytes());
            }
            stream.ends.push((event_id, stream.body.len()));
        }
        stream
    }

    /// The rest of the body for a client with this last id.
    pub(crate) fn rest(&self, last_id: &str) -> Result<&[u8], String> {
        let known = self.ends.iter().find(|(id, _)| id.as_deref() == Some(last_id));
        let (_, end) =
            known.ok_or(format!("came back with an id that was never sent: {last_id}"))?;
        Ok(&self.body[*end..])
    }

    /// True if all events have ids.
    pub(crate) fn has_ids(&self) -> bool {
        self.ends.iter().all(|(id, _)| id.is_some())
    }

    /// True if a client that received this may have been sent an incomplete event although whole
    /// ones are required: it is within one, and some event is too long to be held.
    pub(crate) fn may_be_within(&self, got: &[u8], event_max: usize) -> bool {
        let got = got.strip_prefix(MARK).unwrap_or(got);
        let within = naive::read(got).boundaries.last() != Some(&got.len());
        let mut start = 0;
        let mut lengths = naive::read(&self.body).boundaries.into_iter().map(|end| {
            let length = end - start;
            start = end;
            length
        });
        within && lengths.any(|length| length > event_max)
    }

    /// Checks that `got`, from which inserted events were removed, is what a client should see of
    /// this stream. `complete` says that it was ended properly, and `unknowable` that its end could
    /// not be told from a cut.
    pub(crate) fn judge(
        &self,
        got: &[u8],
        complete: bool,
        unknowable: bool,
        terms: Terms,
    ) -> Result<(), String> {
        let (sent, heard) = (naive::events(&self.body), naive::events(got));
        if !sent.starts_with(&heard) {
            return Err(format!("not the origin's events: {}", got.escape_ascii()));
        }
        let all = heard.len() == sent.len();
        // A stream to be resumed may have to wait in the queue for longer than it is retried.
        let waits = terms.resumes && terms.scarce;
        if complete && !all && !(terms.ends || waits || unknowable || !terms.kind) {
            return Err("a stream that was ended early".to_owned());
        }
        let (added, told) = without_last_words(got, complete);
        if told && complete && !(terms.ends || terms.resumes || terms.spares || terms.early) {
            return Err("told to come back, and nobody knows why".to_owned());
        }
        let body = self.body.strip_prefix(MARK).unwrap_or(&self.body);
        let added = match added.strip_prefix(MARK) {
            Some(behind) => behind,
            None if MARK.starts_with(added) => b"",
            None => added,
        };
        // A resumed stream may repeat the origin's own comments, which belong to no event.
        let seen = |body| match terms.resumes {
            true => without_comment_lines(&same_lines(body)),
            false => same_lines(body),
        };
        if !seen(body).starts_with(&seen(added)) {
            return Err(format!("not the origin's bytes: {}", got.escape_ascii()));
        }
        let between =
            added.is_empty() || naive::read(added).boundaries.last() == Some(&added.len());
        if complete && !all && !between && (told || !unknowable) {
            return Err("ended within an event".to_owned());
        }
        Ok(())
    }
}

/// Replaces all line ends by LF. If something is inserted between CR and LF, or a stream is resumed
/// there, the difference is at most one LF.
fn same_lines(body: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut cr = false;
    for &byte in body {
        if !(byte == b'\n' && cr) {
            lines.push(if byte == b'\r' { b'\n' } else { byte });
        }
        cr = byte == b'\r';
    }
    lines
}

/// Removes all comments from a body whose lines end in LF.
fn without_comment_lines(body: &[u8]) -> Vec<u8> {
    let lines = body.split_inclusive(|&byte| byte == b'\n');
    lines.filter(|line| !line.starts_with(b":")).collect::<Vec<_>>().concat()
}

/// Removes the heartbeats inserted between events, and the event inserted before an answer is cut.
/// In an incomplete body the last of them may be truncated.
pub(crate) fn without_ours(got: &[u8], complete: bool, terms: Terms) -> Vec<u8> {
    let mut kept = without_heartbeats(got, complete, terms.heartbeat.as_bytes());
    let boundaries = naive::read(&kept).boundaries;
    let is_end = |at: usize| terms.end.as_bytes().starts_with(&kept[at..]);
    if !complete && let Some(at) = [0].into_iter().chain(boundaries).find(|at| is_end(*at)) {
        kept.truncate(at);
    }
    kept
}

/// Removes heartbeats. Unless they are an `event`, they are comments, which are followed by an
/// empty line until there is an id.
fn without_heartbeats(got: &[u8], complete: bool, event: &[u8]) -> Vec<u8> {
    let (mut kept, mut rest) = (Vec::new(), got);
    let mut has_id = false;
    while let Some((&byte, behind)) = rest.split_first() {
        let long = !has_id && rest.starts_with(b":\n\n");
        let comment: &[u8] = if long { b":\n\n" } else { b":\n" };
        let ours = if event.is_empty() { comment } else { event };
        let heard = if complete { ours } else { &ours[..ours.len().min(rest.len())] };
        let reading = || naive::read(&kept);
        if rest.starts_with(heard)
            && (kept.is_empty() || reading().boundaries.last() == Some(&kept.len()))
        {
            rest = &rest[heard.len()..];
        } else {
            kept.push(byte);
            has_id |= kept.ends_with(b"id:");
            rest = behind;
        }
    }
    kept
}

/// Removes the `retry` that is sent before a stream is ended, or the part of it that was received.
/// True if there was any. In a complete body it must be complete, so the last bytes of an origin
/// are not mistaken for its beginning.
fn without_last_words(got: &[u8], complete: bool) -> (&[u8], bool) {
    let longest = got.len().saturating_sub(LAST_WORDS_MAX);
    let said = (longest..got.len()).find(|&at| {
        let (field, rest) = got[at..].split_at((got.len() - at).min(RETRY.len()));
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if complete {
            field == RETRY && digits > 0 && rest[digits..] == *b"\n\n"
        } else {
            RETRY.starts_with(field) && b"\n\n".starts_with(&rest[digits..])
        }
    });
    said.map_or((got, false), |at| (&got[..at], true))
}

const RETRY: &[u8] = b"retry: ";

/// With the digits of the largest number.
const LAST_WORDS_MAX: usize = RETRY.len() + 20 + 2;

/// The judge has its own parser, which can have errors, too.
#[test]
fn what_is_ours_is_told_from_what_is_the_origins() {
    let check = |got: &str, complete, kept: &str, told| {
        let body = without_heartbeats(got.as_bytes(), complete, b"");
        let (body, said) = without_last_words(&body, complete);
        assert_eq!((body.escape_ascii().to_string().as_str(), said), (kept, told), "{got:?}");
    };
    check(": a comment of the or", true, ": a comment of the or", false);
    check(": a comment of the or", false, ": a comment of the o", true);
    check("retry: 1234\n\n", true, "", true);
    check("retry: 1234\n", true, "retry: 1234\\n", false);
    check("retry: 1234\n", false, "", true);
    check("data: a\n\nretry: 1\n\n", true, "data: a\\n\\n", true);
    for heard in ["", ":", ":\n", ":\n\n"] {
        check(heard, false, "", false);
        check(&format!("data: a\n\n{heard}"), false, "data: a\\n\\n", false);
    }
    check("id: 1\ndata: a\n\n:\n", true, "id: 1\\ndata: a\\n\\n", false);
    check("data: a:", false, "data: a:", false);
    let check = |got: &str, complete, kept: &str| {
        let body = without_heartbeats(got.as_bytes(), complete, b"data: ping\n\n");
        assert_eq!(body.escape_ascii().to_string(), kept, "{got:?}");
    };
    check("data: ping\n\ndata: a\n\ndata: ping\n\n", true, "data: a\\n\\n");
    check("data: a\n\ndata: p", false, "data: a\\n\\n");
    check("data: a\n\ndata: p", true, "data: a\\n\\ndata: p");
    check("data: a\ndata: ping\n\n", true, "data: a\\ndata: ping\\n\\n");
    check(":\n", true, ":\\n");
}
