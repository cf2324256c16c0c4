//! The origin: one thread that serves event streams of all kinds, and knows when each event is due.
//!
//! The path of a request says what it asks for (see `origin/request.rs`). A stream gets one chunk
//! per event and one write per chunk, as from typical event sources, except that the events of a
//! burst or a batch share a write. An event that is due while its socket has no room is not
//! skipped: it is sent as soon as there is room, with the time at which it was due
//! (`origin/client.rs`). In a saturated stream no event is due at any time; they are made when
//! there is room. So sequence numbers have no gaps.

mod client;
mod request;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::args::Args;
use crate::slots::Slots;
use crate::sys::{self, Events, Outcome, Poller, Ready};
use crate::tls::{self, Socket};
use client::{Client, Stream};
use request::{Request, Temper, Wanted};

/// The body of `/short`.
pub const SHORT_BODY: &str = "a short body\n";
/// The token of the listener. The next one is that of the TLS listener.
const LISTENER: usize = usize::MAX - 1;
/// Rounds of events to all saturated streams between two polls.
const ROUNDS: usize = 8;

/// A listener, with the configuration for TLS, if it is used.
struct Listener {
    socket: TcpListener,
    tls: Option<Arc<ServerConfig>>,
}

/// Counts of clients.
#[derive(Clone, Copy, Default)]
struct Sums {
    events: u64,
    handshakes: u64,
    resumed: u64,
}

struct Origin {
    poller: Poller,
    clients: Slots<Client>,
    /// When the next event is due, with the index and birth of its stream.
    due: BinaryHeap<Reverse<(u64, usize, u64)>>,
    /// The saturated streams whose sockets have room.
    eager: Vec<usize>,
    births: u64,
    /// The counts of clients that are gone.
    gone: Sums,
    scratch: Vec<u8>,
}

/// `origin --listen ADDR --nice N --listen-tls ADDR --certificate FILE`: serves until it is ended.
pub fn main(args: Args) -> Outcome<()> {
    let (mut listen, mut nice) = (None, 0);
    let (mut listen_tls, mut certificate) = (None, PathBuf::new());
    args.each(|name, option| {
        match name {
            "listen" => listen = Some(option.parsed()?),
            "nice" => nice = option.number()?,
            "listen-tls" => listen_tls = Some(option.parsed()?),
            "certificate" => certificate = option.text()?.into(),
            _ => return option.unknown(),
        }
        Ok(())
    })?;
    let mut listeners = vec![Listener {
        socket: sys::listen(listen.ok_or("origin: no --listen")?)?,
        tls: None,
    }];
    if let Some(address) = listen_tls {
        listeners.push(Listener {
            socket: sys::listen(address)?,
            tls: Some(tls::server(&certificate)?),
        });
    }
    sys::sharpen_timers()?;
    sys::give_way(nice)?;
    let poller = Poller::new()?;
    for (token, listener) in (LISTENER..=usize::MAX).zip(&listeners) {
        poller
            .add(&listener.socket, token, Ready::IN)
            .map_err(|error| error.to_string())?;
    }
    let mut origin = Origin {
        poller,
        clients: Slots::new(),
        due: BinaryHeap::new(),
        eager: Vec::new(),
        births: 0,
        gone: Sums::default(),
        scratch: vec![0; 16 * 1024],
    };
    let mut events = Events::new();
    loop {
        origin.poller.wait(&mut events, origin.deadline())?;
        for (token, ready) in events.iter() {
            match token {
                LISTENER.. => origin.accept(&listeners[token - LISTENER]),
                index => origin.on_ready(index, ready),
            }
        }
        origin.send_due();
        origin.send_eager();
    }
}

impl Sums {
    fn add(&mut self, client: &Client) {
        let resumed = client.socket.resumed();
        self.events += client.events;
        self.handshakes += u64::from(resumed.is_some());
        self.resumed += u64::from(resumed == Some(true));
    }
}

impl Origin {
    fn deadline(&self) -> Option<u64> {
        if !self.eager.is_empty() {
            return Some(0);
        }
        self.due.peek().map(|Reverse((due, ..))| *due)
    }

    fn accept(&mut self, listener: &Listener) {
        while let Some(socket) = sys::accept(&listener.socket) {
            let socket = match &listener.tls {
                Some(tls) => Socket::server(socket, tls),
                None => Ok(Socket::plain(socket)),
            };
            let Ok(socket) = socket else {
                continue;
            };
            let index = self.clients.insert(Client::new(socket));
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
            self.use_room(index);
        }
        while alive && ready.intersects(Ready::IN | Ready::RDHUP | Ready::HUP | Ready::ERR) {
            let Some(client) = self.clients.get_mut(index) else {
                return;
            };
            match client.read(&mut self.scratch) {
                Ok(None) => break,
                Ok(Some(None)) => {}
                Ok(Some(Some(request))) => alive = self.answer(index, &request),
                Err(_) => alive = false,
            }
        }
        if !alive && let Some(client) = self.clients.remove(index) {
            self.gone.add(&client);
        }
    }

    /// Begins the response to a request. False if the connection must be closed.
    fn answer(&mut self, index: usize, request: &Request) -> bool {
        let tally = match request.wanted {
            Wanted::Tally => self.tally(),
            _ => String::new(),
        };
        let Some(client) = self.clients.get_mut(index) else {
            return false;
        };
        match request.wanted {
            Wanted::Short => client.write_body(SHORT_BODY),
            Wanted::Tally => client.write_body(&tally),
            Wanted::Wake => {
                client.write_body("");
                self.wake();
            }
            Wanted::Stream(temper) => {
                self.births += 1;
                client.begin_stream(temper, request, self.births);
                client.flush();
                self.use_room(index);
                self.send_and_arm(index);
            }
        }
        self.clients.get_mut(index).is_some_and(Client::flush)
    }

    /// The number of open streams, and the numbers of events, handshakes and resumed handshakes so
    /// far.
    fn tally(&mut self) -> String {
        let (mut open, mut sums) = (0, self.gone);
        for (_, client) in self.clients.iter_mut() {
            open += usize::from(client.stream.is_some());
            sums.add(client);
        }
        let Sums {
            events,
            handshakes,
            resumed,
        } = sums;
        format!("open={open} events={events} handshakes={handshakes} resumed={resumed}")
    }

    /// Sends a burst to every waiting stream.
    fn wake(&mut self) {
        for (_, client) in self.clients.iter_mut() {
            let Some(Stream {
                temper: Temper::Waiting { burst },
                ..
            }) = client.stream
            else {
                continue;
            };
            (0..burst).for_each(|_| client.write_event(sys::now()));
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
            let stream = self.clients.get_mut(index).and_then(|client| client.stream);
            if stream.is_some_and(|stream| stream.birth == birth) {
                self.send_and_arm(index);
            }
        }
    }

    /// Sends the events of a stream that are due, and sets a timer for the next one.
    fn send_and_arm(&mut self, index: usize) {
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        if let Some(due) = client.send_due()
            && let Some(stream) = client.stream
        {
            self.due.push(Reverse((due, index, stream.birth)));
        }
    }

    /// Continues a stream that may have waited for room in its socket.
    fn use_room(&mut self, index: usize) {
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        let Some(stream) = client.stream.filter(|_| client.has_room()) else {
            return;
        };
        let saturated = matches!(stream.temper, Temper::Saturated { .. });
        if saturated && !self.eager.contains(&index) {
            self.eager.push(index);
        }
        if stream.blocked {
            self.send_and_arm(index);
        }
    }

    fn send_eager(&mut self) {
        for _ in 0..ROUNDS {
            let clients = &mut self.clients;
            self.eager.retain(|&index| {
                let Some(client) = clients.get_mut(index) else {
                    return false;
                };
                let Some(Stream {
                    temper: Temper::Saturated { batch },
                    ..
                }) = client.stream
                else {
                    return false;
                };
                (0..batch).for_each(|_| client.write_event(sys::now()));
                client.flush() && client.has_room()
            });
        }
    }
}
