//! A connection of the origin: its request, and what is sent to it.

use std::io::{ErrorKind, Read, Write};

use super::request::{Request, Temper};
use crate::event::{self, Stamp};
use crate::sys::{self, Outcome};
use crate::tls::Socket;

const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

/// An accepted connection.
pub struct Client {
    /// The connection.
    pub socket: Socket,
    /// The event stream in progress.
    pub stream: Option<Stream>,
    /// The number of events so far, in all streams.
    pub events: u64,
    /// The bytes of an incomplete request.
    request: Vec<u8>,
    /// What is being sent, and how much of it the socket has accepted.
    output: Vec<u8>,
    sent: usize,
}

/// An event stream.
#[derive(Clone, Copy)]
pub struct Stream {
    /// When its events are sent.
    pub temper: Temper,
    /// Distinguishes this stream's timer from those of earlier streams with the same index.
    pub birth: u64,
    /// True if the next event waits for room in the socket, and not for a timer.
    pub blocked: bool,
    /// When the next event is due, if events have fixed times.
    due: u64,
    next: Stamp,
    size: usize,
}

impl Client {
    /// A connection without a request.
    pub fn new(socket: Socket) -> Self {
        Self {
            socket,
            stream: None,
            events: 0,
            request: Vec::new(),
            output: Vec::new(),
            sent: 0,
        }
    }

    /// Reads once. Returns a request if one is complete; `None` if the socket is empty.
    pub fn read(&mut self, scratch: &mut [u8]) -> Outcome<Option<Option<Request>>> {
        match self.socket.read(scratch) {
            Ok(0) => return Err("the client is gone".into()),
            Ok(read) => self.request.extend_from_slice(&scratch[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.to_string()),
        }
        let request = Request::read(&self.request)?;
        if request.is_some() {
            self.request.clear();
        }
        Ok(Some(request))
    }

    /// True if the socket has accepted everything.
    pub fn has_room(&self) -> bool {
        self.output.is_empty() && !self.socket.is_full()
    }

    /// Writes what the socket accepts. False if it is broken.
    pub fn flush(&mut self) -> bool {
        while self.sent < self.output.len() {
            match self.socket.write(&self.output[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        self.output.clear();
        self.sent = 0;
        self.socket.flush().is_ok()
    }

    /// Appends a response with a short body to what is being sent.
    pub fn write_body(&mut self, body: &str) {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
        );
        self.output.extend_from_slice(head.as_bytes());
        self.output.extend_from_slice(body.as_bytes());
    }

    /// Begins a stream. Its first event is due after the first delay of its temper.
    pub fn begin_stream(&mut self, temper: Temper, request: &Request, birth: u64) {
        let next = Stamp {
            stream: request.id,
            sequence: 0,
            sent: 0,
        };
        self.stream = Some(Stream {
            temper,
            birth,
            blocked: false,
            due: sys::now() + temper.first_delay(request.id).unwrap_or(0),
            next,
            size: request.size,
        });
        if request.room > 0 {
            let _kernels_choice = sys::limit_send_buffer(&self.socket, request.room);
        }
        self.output.extend_from_slice(STREAM_HEAD);
    }

    /// Appends the stream's next event to what is being sent.
    pub fn write_event(&mut self, sent: u64) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        stream.next.sent = sent;
        event::write_chunk(&mut self.output, stream.next, stream.size);
        stream.next.sequence = stream.next.sequence.wrapping_add(1);
        self.events += 1;
    }

    /// Sends all events that are due, while there is room, and returns when the next one is due;
    /// `None` if it waits for room, or has no time.
    ///
    /// An event that had to wait for room has the time at which it was due. One that is late
    /// because this process was busy has the time of its writing, because the peer did not cause
    /// that.
    pub fn send_due(&mut self) -> Option<u64> {
        loop {
            let room = self.has_room();
            let stream = self.stream.as_mut()?;
            let gap = stream.temper.gap(stream.next)?;
            if !room {
                stream.blocked = true;
                return None;
            }
            let (now, due) = (sys::now(), stream.due);
            if due > now {
                stream.blocked = false;
                return Some(due);
            }
            stream.due += gap;
            let sent = if stream.blocked { due } else { now };
            self.write_event(sent);
            self.end_if_complete();
            self.flush();
        }
    }

    fn end_if_complete(&mut self) {
        let complete = |stream: Stream| match stream.temper {
            Temper::Counted { events, .. } => stream.next.sequence >= events,
            _ => false,
        };
        if self.stream.is_some_and(complete) {
            self.output.extend_from_slice(b"0\r\n\r\n");
            self.stream = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{MILLISECOND, SECOND};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    /// A client of a stream with an event each millisecond, and the other end of its connection.
    fn paced() -> (Client, TcpStream) {
        let listener: TcpListener = sys::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = std::iter::repeat_with(|| sys::accept(&listener)).flatten();
        let mut client = Client::new(Socket::plain(socket.take(1).next().unwrap()));
        let request = Request::read(b"GET /paced?rate=1000 HTTP/1.1\r\n\r\n");
        let temper = Temper::Paced {
            period: MILLISECOND,
        };
        client.begin_stream(temper, &request.unwrap().unwrap(), 1);
        (client, reader)
    }

    fn stamp_of_last(client: &mut Client) -> u64 {
        client.stream.unwrap().next.sent
    }

    #[test]
    fn an_event_that_waited_for_room_carries_the_time_at_which_it_was_due() {
        let (mut client, _reader) = paced();
        assert!(!client.has_room());
        assert_eq!(client.send_due(), None, "sent without room");
        assert!(client.stream.unwrap().blocked);
        let due = sys::now() - SECOND / 10;
        client.stream.as_mut().unwrap().due = due;
        assert!(client.flush());
        let next = client.send_due().unwrap();
        assert!(client.events >= 100, "all are sent");
        assert_eq!(stamp_of_last(&mut client), next - MILLISECOND);
        assert!(!client.stream.unwrap().blocked);
    }

    #[test]
    fn an_event_that_is_late_by_itself_carries_the_time_of_its_writing() {
        let (mut client, _reader) = paced();
        assert!(client.flush());
        let before = sys::now();
        client.stream.as_mut().unwrap().due = before - MILLISECOND / 2;
        client.send_due().unwrap();
        assert!(client.events >= 1 && stamp_of_last(&mut client) >= before);
    }
}
