//! Event streams, and their bodies as sent by an upstream.

/// An event of this size, including its empty line.
pub fn event(size: usize) -> Vec<u8> {
    let data = "x".repeat(size - "data: \n\n".len());
    format!("data: {data}\n\n").into_bytes()
}

/// An event of this size, with an id of ten digits.
pub fn event_with_id(number: usize, size: usize) -> Vec<u8> {
    let id = format!("id: {number:010}\n");
    [id.as_bytes(), &event(size - id.len())].concat()
}

/// Each event in its own chunk, without the last chunk.
pub fn chunked(events: &[Vec<u8>]) -> Vec<u8> {
    let chunk = |event: &Vec<u8>| {
        let size = format!("{:x}\r\n", event.len());
        [size.as_bytes(), event, b"\r\n"].concat()
    };
    events.iter().flat_map(chunk).collect()
}
