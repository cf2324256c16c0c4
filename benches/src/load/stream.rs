//! One connection of the load: its request and its response.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use super::Tally;
use super::check::Check;
use super::plan::Plan;
use crate::response::{Piece, Response};
use crate::sys::{self, Outcome};

/// The receive buffer of a client that reads nothing, so that the kernel does not read for it.
const SMALL_BUFFER: usize = 16 * 1024;

/// A connection and the response that is being read from it.
pub struct Stream {
    /// The connection.
    pub socket: TcpStream,
    response: Response,
    check: Check,
    /// When the request was begun.
    begun: u64,
    /// True exactly when this connection, or the one that it replaces, has brought a head.
    pub open: bool,
}

impl Stream {
    /// Begins a connection to the peer.
    pub fn connect(plan: &Plan, number: usize) -> Outcome<Self> {
        let begun = sys::now();
        let socket = sys::connect(plan.to, plan.deaf.then_some(SMALL_BUFFER))
            .map_err(|error| format!("cannot connect to {}: {error}", plan.to))?;
        let check = Check::new(number as u32);
        Ok(Self {
            socket,
            response: Response::new(),
            check,
            begun,
            open: false,
        })
    }

    /// Sends the request; it fits into an empty socket.
    pub fn ask(&mut self, request: &[u8]) -> Outcome<()> {
        let written = self
            .socket
            .write(request)
            .map_err(|error| self.broken(&error.to_string()))?;
        if written < request.len() {
            return Err(self.broken("a socket that takes no whole request"));
        }
        Ok(())
    }

    /// Begins the next response on the same connection.
    pub fn renew(&mut self) {
        self.response = Response::new();
        self.check = Check::new(self.check.stream);
        self.begun = sys::now();
    }

    /// Reads once, and checks and counts what came; true at the end of the response.
    pub fn read(&mut self, scratch: &mut [u8], plan: &Plan, tally: &mut Tally) -> Outcome<bool> {
        let bytes = match self.socket.read(scratch) {
            Ok(0) => return Err(self.broken("the connection ended")),
            Ok(read) => &scratch[..read],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(self.broken(&error.to_string())),
        };
        self.hear(bytes, plan, tally)
            .map_err(|words| self.broken(&words))
    }

    fn hear(&mut self, mut bytes: &[u8], plan: &Plan, tally: &mut Tally) -> Outcome<bool> {
        let now = sys::now();
        let mut ended = false;
        while let Some(piece) = self.response.next(&mut bytes)? {
            match piece {
                Piece::Head => self.open = true,
                Piece::Body(body) => {
                    tally.bytes += body.len() as u64;
                    if !plan.raw {
                        self.check.read(body, now, tally)?;
                    }
                }
                Piece::End => {
                    self.check.end((!plan.raw).then_some(plan.events))?;
                    tally.responses += 1;
                    tally.times.add(now - self.begun);
                    ended = true;
                }
            }
        }
        Ok(ended)
    }

    fn broken(&self, what: &str) -> String {
        format!("stream {}: {what}", self.check.stream)
    }
}
