//! The origin: one thread that serves event streams of every temper, and knows when each event is
//! due.
//!
//! A request's path says what it wants (see `origin/request.rs`). A stream gets one chunk per event
//! and one write per chunk, as event sources do, except that the events of a burst share a write.
//! An event is made only when its socket has room: what a slow reader misses was never numbered, so
//! sequence numbers have no holes.

mod request;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::args::Args;
use crate::event::{self, Stamp};
use crate::slots::Slots;
use crate::sys::{self, Events, Outcome, Poller, Ready};
use request::{Request, Temper, Wanted};

const LISTENER: usize = usize::MAX;
const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
/// Rounds of events to all saturated streams between two polls.
const ROUNDS: usize = 8;

struct Client {
    socket: TcpStream,
    /// The bytes of a request that is not complete.
    request: Vec<u8>,
    /// What is being sent, and how much of it the socket took.
    output: Vec<u8>,
    sent: usize,
    stream: Option<Stream>,
}

/// A response that is made of events.
#[derive(Clone, Copy)]
struct Stream {
    temper: Temper,
    next: Stamp,
    size: usize,
    /// Tells this stream's timer from those of an earlier one in the same place.
    birth: u64,
}

struct Origin {
    poller: Poller,
    clients: Slots<Client>,
    /// When the next event is due, in which place, for the stream of which birth.
    due: BinaryHeap<Reverse<(u64, usize, u64)>>,
    /// The saturated streams whose sockets have room.
    eager: Vec<usize>,
    births: u64,
    scratch: Vec<u8>,
}

/// `origin --listen ADDR`: serves until it is ended.
pub fn main(args: Args) -> Outcome<()> {
    let mut listen = None;
    args.each(|name, option| {
        match name {
            "listen" => listen = Some(option.parsed()?),
            _ => return option.unknown(),
        }
        Ok(())
    })?;
    let listener = sys::listen(listen.ok_or("origin: no --listen")?)?;
    let poller = Poller::new()?;
    poller
        .add(&listener, LISTENER, Ready::IN)
        .map_err(|error| error.to_string())?;
    let mut origin = Origin {
        poller,
        clients: Slots::new(),
        due: BinaryHeap::new(),
        eager: Vec::new(),
        births: 0,
        scratch: vec![0; 16 * 1024],
    };
    let mut events = Events::new();
    loop {
        origin.poller.wait(&mut events, origin.deadline())?;
        for (token, ready) in events.iter() {
            match token {
                LISTENER => origin.accept(&listener),
                index => origin.on_ready(index, ready),
            }
        }
        origin.send_due();
        origin.send_eager();
    }
}

impl Origin {
    fn deadline(&self) -> Option<u64> {
        if !self.eager.is_empty() {
            return Some(0);
        }
        self.due.peek().map(|Reverse((due, ..))| *due)
    }

    fn accept(&mut self, listener: &TcpListener) {
        while let Some(socket) = sys::accept(listener) {
            let (request, output) = (Vec::new(), Vec::new());
            let index = self.clients.insert(Client {
                socket,
                request,
                output,
                sent: 0,
                stream: None,
            });
            let Some(client) = self.clients.get_mut(index) else {
                continue;
            };
            let interest = Ready::IN | Ready::OUT | Ready::RDHUP | Ready::ET;
            if self.poller.add(&client.socket, index, interest).is_err() {
                self.clients.remove(index);
            }
        }
    }

    fn on_ready(&mut self, index: usize, ready: Ready) {
        let mut alive = true;
        if ready.contains(Ready::OUT) {
            alive = self.clients.get_mut(index).is_some_and(Client::flush);
            self.be_eager(index);
        }
        while alive && ready.intersects(Ready::IN | Ready::RDHUP | Ready::HUP | Ready::ERR) {
            let Some(client) = self.clients.get_mut(index) else {
                return;
            };
            match client.socket.read(&mut self.scratch) {
                Ok(0) => alive = false,
                Ok(read) => {
                    client.request.extend_from_slice(&self.scratch[..read]);
                    alive = self.answer(index);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => alive = false,
            }
        }
        if !alive {
            self.clients.remove(index);
        }
    }

    /// Begins the response to a request that is complete; false when the connection is to be
    /// closed.
    fn answer(&mut self, index: usize) -> bool {
        let Some(client) = self.clients.get_mut(index) else {
            return false;
        };
        let request = match Request::read(&client.request) {
            Ok(Some(request)) => request,
            Ok(None) => return true,
            Err(_) => return false,
        };
        client.request.clear();
        match request.wanted {
            Wanted::Body(size) => client.send_body(size),
            Wanted::Wake => {
                client.send_body(0);
                self.wake();
            }
            Wanted::Stream(temper) => self.begin_stream(index, temper, &request),
        }
        self.clients.get_mut(index).is_some_and(Client::flush)
    }

    fn begin_stream(&mut self, index: usize, temper: Temper, request: &Request) {
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        self.births += 1;
        let next = Stamp {
            stream: request.id,
            sequence: 0,
            sent: 0,
        };
        let stream = Stream {
            temper,
            next,
            size: request.size,
            birth: self.births,
        };
        client.stream = Some(stream);
        client.output.extend_from_slice(STREAM_HEAD);
        if let Some(delay) = temper.first_delay(request.id) {
            self.due
                .push(Reverse((sys::now() + delay, index, stream.birth)));
        }
        client.flush();
        self.be_eager(index);
    }

    /// Sends a burst to every stream that waits for one.
    fn wake(&mut self) {
        for (_, client) in self.clients.iter_mut() {
            let Some(Stream {
                temper: Temper::Waiting { burst },
                ..
            }) = client.stream
            else {
                continue;
            };
            (0..burst).for_each(|_| client.write_event());
            client.flush();
        }
    }

    fn send_due(&mut self) {
        let now = sys::now();
        while let Some(&Reverse((due, index, birth))) = self.due.peek() {
            if due > now {
                return;
            }
            self.due.pop();
            let Some(client) = self.clients.get_mut(index) else {
                continue;
            };
            if client.stream.is_none_or(|stream| stream.birth != birth) {
                continue;
            }
            if let Some(gap) = client.send_timed() {
                self.due.push(Reverse((due + gap, index, birth)));
            }
        }
    }

    fn be_eager(&mut self, index: usize) {
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        let saturated = client
            .stream
            .is_some_and(|stream| stream.temper == Temper::Saturated);
        if saturated && client.output.is_empty() && !self.eager.contains(&index) {
            self.eager.push(index);
        }
    }

    fn send_eager(&mut self) {
        for _ in 0..ROUNDS {
            let clients = &mut self.clients;
            self.eager.retain(|&index| {
                let Some(client) = clients.get_mut(index) else {
                    return false;
                };
                client.write_event();
                client.flush() && client.output.is_empty()
            });
        }
    }
}

impl Client {
    /// Writes what the socket takes; false when it is broken.
    fn flush(&mut self) -> bool {
        while self.sent < self.output.len() {
            match self.socket.write(&self.output[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        self.output.clear();
        self.sent = 0;
        true
    }

    fn send_body(&mut self, size: usize) {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"
        );
        self.output.extend_from_slice(head.as_bytes());
        self.output.resize(self.output.len() + size, b'b');
    }

    /// Puts the stream's next event behind what is being sent.
    fn write_event(&mut self) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        stream.next.sent = sys::now();
        event::write_chunk(&mut self.output, stream.next, stream.size);
        stream.next.sequence = stream.next.sequence.wrapping_add(1);
    }

    /// Sends the event that is due, if there is room; the time until the next one, if there is a
    /// next one.
    fn send_timed(&mut self) -> Option<u64> {
        let temper = self.stream?.temper;
        let gap = temper.gap();
        if !self.output.is_empty() {
            return gap.map(|gap| gap.max(sys::MILLISECOND));
        }
        self.write_event();
        if matches!(temper, Temper::Counted { events, .. } if self.stream?.next.sequence >= events)
        {
            self.output.extend_from_slice(b"0\r\n\r\n");
            self.stream = None;
        }
        self.flush();
        self.stream.and(gap)
    }
}
