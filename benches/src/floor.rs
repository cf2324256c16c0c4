//! The practical lower bound: a relay that parses nothing, allocates nothing per event, and makes
//! as few system calls as possible.
//!
//! Each accepted connection gets one to the origin, and bytes are copied both ways: for an event
//! one read and one write, besides the poll. Sockets are registered once, edge-triggered. A read
//! that does not fill the buffer has drained the socket, unless its end was announced, so there is
//! no second read. What a socket does not accept is kept until it is writable, and until then
//! nothing more is read for it. With the same kernel interface a proxy in one thread cannot do
//! less; the results show how much more others do.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::args::Args;
use crate::slots::Slots;
use crate::sys::{self, Events, Outcome, Poller, Ready};

const LISTENER: usize = usize::MAX;
const ENDED: Ready = Ready::RDHUP.union(Ready::HUP).union(Ready::ERR);

/// One connection of a pair.
struct End {
    socket: TcpStream,
    /// Bytes from the other end that this socket has not accepted.
    refused: Vec<u8>,
    /// True if the kernel has reported that the peer sends no more.
    ending: bool,
    /// True if everything that the peer sent was read.
    ended: bool,
}

/// A client's connection and its connection to the origin. A token is the pair's index times two,
/// plus the side.
type Pair = [End; 2];

struct Floor {
    poller: Poller,
    origin: SocketAddr,
    pairs: Slots<Pair>,
    scratch: Vec<u8>,
}

/// `floor --listen ADDR --to ADDR`: relays until it is ended.
pub fn main(args: Args) -> Outcome<()> {
    let (mut listen, mut origin) = (None, None);
    args.each(|name, option| {
        match name {
            "listen" => listen = Some(option.parsed()?),
            "to" => origin = Some(option.parsed()?),
            _ => return option.unknown(),
        }
        Ok(())
    })?;
    let listener = sys::listen(listen.ok_or("floor: no --listen")?)?;
    let origin = origin.ok_or("floor: no --to")?;
    let scratch = vec![0; 64 * 1024];
    let mut floor = Floor {
        poller: Poller::new()?,
        origin,
        pairs: Slots::new(),
        scratch,
    };
    floor
        .poller
        .add(&listener, LISTENER, Ready::IN)
        .map_err(|error| error.to_string())?;
    let mut events = Events::new();
    loop {
        floor.poller.wait(&mut events, None)?;
        for (token, ready) in events.iter() {
            match token {
                LISTENER => floor.accept(&listener),
                token => floor.on_ready(token, ready),
            }
        }
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) {
        while let Some(client) = sys::accept(listener) {
            let Ok(origin) = sys::connect(self.origin, None) else {
                continue;
            };
            let pair = [client, origin].map(|socket| End {
                socket,
                refused: Vec::new(),
                ending: false,
                ended: false,
            });
            let index = self.pairs.insert(pair);
            let interest = Ready::IN | Ready::OUT | Ready::RDHUP | Ready::ET;
            let Some(pair) = self.pairs.get_mut(index) else {
                continue;
            };
            for (side, end) in pair.iter().enumerate() {
                if self
                    .poller
                    .add(&end.socket, index * 2 + side, interest)
                    .is_err()
                {
                    self.pairs.remove(index);
                    break;
                }
            }
        }
    }

    fn on_ready(&mut self, token: usize, ready: Ready) {
        let index = token / 2;
        let Some([client, origin]) = self.pairs.get_mut(index) else {
            return;
        };
        let (this, other) = if token.is_multiple_of(2) {
            (client, origin)
        } else {
            (origin, client)
        };
        this.ending |= ready.intersects(ENDED);
        let mut alive = true;
        if ready.contains(Ready::OUT) && !this.refused.is_empty() {
            alive =
                this.flush() && (!this.refused.is_empty() || copy(other, this, &mut self.scratch));
        }
        if alive && ready.intersects(Ready::IN.union(ENDED)) {
            alive = copy(this, other, &mut self.scratch);
        }
        if !alive {
            self.pairs.remove(index);
        }
    }
}

impl End {
    /// Writes what was not accepted before. False if the connection is broken.
    fn flush(&mut self) -> bool {
        match (&self.socket).write(&self.refused) {
            Ok(written) => {
                self.refused.drain(..written);
                true
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// Copies from `from` until it is drained or `to` does not accept more. False if the pair is done.
fn copy(from: &mut End, to: &mut End, scratch: &mut [u8]) -> bool {
    while to.refused.is_empty() {
        if from.ended {
            return false;
        }
        let read = match (&from.socket).read(scratch) {
            Ok(0) => {
                from.ended = true;
                continue;
            }
            Ok(read) => read,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        let written = match (&to.socket).write(&scratch[..read]) {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return false,
        };
        if written < read {
            to.refused.extend_from_slice(&scratch[written..read]);
        } else if read < scratch.len() && !from.ending {
            return true;
        }
    }
    true
}
