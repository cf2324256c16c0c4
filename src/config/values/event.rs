//! One event of an event stream, as a value of the configuration.

use crate::config::error::Wrong;

/// Maximum length in bytes of an event, including the blank line that ends it. It has to fit behind
/// bytes that are pending.
const EVENT_MAX: usize = 1024;

const EXAMPLE: &str = "\"event: error\\ndata: {}\"";

/// Checks that `text` is exactly one event, in lines that end in LF, and returns it with the blank
/// line that ends it. Trailing line ends are dropped. It must have a `data` field, because
/// otherwise clients do not dispatch it. It must not change what a client remembers of the stream
/// (`id`, `retry`), and must have no comments, because some clients mistake them for events.
pub(crate) fn one_event(text: &str) -> Result<String, Wrong> {
    let text = text.trim_end_matches('\n');
    if text.contains('\r') {
        return Err("a carriage return; end the lines of the event with \\n alone".into());
    }
    let mut dispatched = false;
    for (n, line) in text.lines().enumerate() {
        let n = n + 1;
        let (name, _) = line.split_once(':').unwrap_or((line, ""));
        let wrong = match (line, name) {
            ("", _) if n == 1 => format!("no event; write {EXAMPLE}"),
            ("", _) => format!("line {n} is empty, which ends the event; write only one event"),
            (_, "event") => continue,
            (_, "data") => {
                dispatched = true;
                continue;
            }
            (_, "") => format!("line {n} is a comment; leave it out"),
            (_, "id") => {
                format!("line {n} would change the client's last event id; leave the id out")
            }
            (_, "retry") => {
                format!("line {n} would change when the client reconnects; leave the retry out")
            }
            _ => format!("line {n} is no field of an event; write event: or data: in front of it"),
        };
        return Err(wrong.into());
    }
    if !dispatched {
        return Err(format!("no data field, so no client sees it; write {EXAMPLE}").into());
    }
    let event = format!("{text}\n\n");
    if event.len() > EVENT_MAX {
        return Err(format!("more than {EVENT_MAX} bytes; write a shorter event").into());
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::Scanner;

    #[test]
    fn an_event_gets_its_blank_line() {
        for text in [
            "data: x",
            "data: x\n",
            "data: x\n\n",
            "data",
            "data:",
            "event: error\ndata: {\"a\":1}",
            "data: 1\ndata: 2\nevent: ping",
            "data: : not a comment",
        ] {
            let event = one_event(text).unwrap();
            assert_eq!(event, format!("{}\n\n", text.trim_end()));
            let mut scanner = Scanner::new();
            assert_eq!(scanner.scan(event.as_bytes()), Some(event.len()), "{text:?}");
            assert_eq!((scanner.events(), scanner.has_ids()), (1, false), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_line() {
        let check = |text: &str, want: &str| {
            let what = one_event(text).unwrap_err().what;
            assert!(what.starts_with(want), "{text:?}: {what}");
        };
        check("", "no data field");
        check("\n", "no data field");
        check("\ndata: x", "no event");
        check("event: error", "no data field");
        check("data: x\n\ndata: y", "line 2 is empty");
        check("data: x\r\n", "a carriage return");
        check("data: x\n: y", "line 2 is a comment");
        check("id: 1\ndata: x", "line 1 would change the client's last event id");
        check("id\ndata: x", "line 1 would change the client's last event id");
        check("data: x\nretry: 5", "line 2 would change when the client reconnects");
        check("\u{feff}data: x", "line 1 is no field");
        check(" data: x", "line 1 is no field");
        check("Data: x", "line 1 is no field");
        check("hello", "line 1 is no field");
        check(&format!("data: {}", "x".repeat(EVENT_MAX)), "more than 1024 bytes");
        assert!(one_event(&format!("data: {}", "x".repeat(EVENT_MAX - 8))).is_ok());
    }
}
