//! A connection of the load: its request and its response.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

use super::check::Check;
use super::tally::Tally;
use crate::response::{Piece, Response};
use crate::sys::{self, Outcome};
use crate::tls::Socket;

/// The receive buffer of a slow client, small enough that the kernel does not read ahead much.
const SMALL_BUFFER: usize = 16 * 1024;

/// A connection and the response that it receives.
pub struct Stream {
    /// The connection.
    pub socket: Socket,
    /// The purpose of the connection.
    pub role: Role,
    /// The checks of its events.
    pub check: Check,
    /// True if this connection, or the one that it replaces, has received a head.
    pub open: bool,
    /// The state of the connection.
    pub state: State,
    response: Response,
    /// When the request was sent.
    asked: u64,
}

/// The purpose of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The main streams of the plan.
    Main,
    /// It reads little, at fixed times.
    Slow,
    /// It opens a stream at fixed times, and leaves after its first event.
    Visitor,
    /// It opens a stream together with many others.
    Newcomer,
    /// It sends short requests at fixed times; some may fail.
    Short,
}

/// The state of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No request was sent, or its response is complete.
    Idle,
    /// A response is due.
    Asked,
    /// The connection has ended.
    Gone,
}

/// The result of a read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Not at an end.
    More,
    /// The end of the response.
    Whole,
    /// The end of the connection.
    Cut,
}

impl Stream {
    /// Starts connecting to the peer, with TLS if there is a configuration.
    pub fn connect(
        to: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
        role: Role,
        check: Check,
    ) -> Outcome<Self> {
        let buffer = (role == Role::Slow).then_some(SMALL_BUFFER);
        let socket =
            sys::connect(to, buffer).map_err(|error| format!("cannot connect to {to}: {error}"))?;
        Ok(Self {
            socket: Socket::client(socket, tls)?,
            role,
            check,
            open: false,
            state: State::Idle,
            response: Response::new(),
            asked: 0,
        })
    }

    /// Sends the request whose response is read next. It fits into an empty socket.
    pub fn ask(&mut self, request: &[u8]) -> Outcome<()> {
        self.response = Response::new();
        self.check = self.check.anew();
        self.state = State::Asked;
        self.asked = sys::now();
        let written = self
            .socket
            .write(request)
            .map_err(|error| self.broken(&error.to_string()))?;
        if written < request.len() {
            return Err(self.broken("a socket that takes no whole request"));
        }
        Ok(())
    }

    /// Reads once, and checks and counts the data. `raw` says that the body is the origin's short
    /// one.
    pub fn read(&mut self, scratch: &mut [u8], raw: bool, tally: &mut Tally) -> Outcome<Heard> {
        let bytes = match self.socket.read(scratch) {
            Ok(0) => return Ok(Heard::Cut),
            Ok(read) => &scratch[..read],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Heard::More),
            Err(_) => return Ok(Heard::Cut),
        };
        self.hear(bytes, raw, tally)
            .map_err(|words| self.broken(&words))
    }

    fn hear(&mut self, mut bytes: &[u8], raw: bool, tally: &mut Tally) -> Outcome<Heard> {
        let now = sys::now();
        let mut heard = Heard::More;
        while let Some(piece) = self.response.next(&mut bytes)? {
            match piece {
                Piece::Head => self.open = true,
                Piece::Body(body) => {
                    tally.bytes += body.len() as u64;
                    if raw {
                        self.check.read_short(body)?;
                    } else {
                        let before = self.check.next;
                        self.check.read(body, now, tally)?;
                        if before == 0 && self.check.next > 0 {
                            tally.firsts.add(now - self.asked);
                        }
                    }
                }
                Piece::End => {
                    if raw {
                        self.check.end_short()?;
                    }
                    self.state = State::Idle;
                    heard = Heard::Whole;
                }
            }
        }
        Ok(heard)
    }

    /// Closes the connection, whatever the peer still has to send.
    pub fn leave(&mut self) -> Outcome<()> {
        self.state = State::Gone;
        let ended = self.socket.shutdown();
        ended.map_err(|error| self.broken(&error.to_string()))
    }

    /// True if this is a short request whose response is still due.
    pub fn is_unanswered(&self) -> bool {
        self.role == Role::Short && self.state == State::Asked
    }

    /// The text of an error of this stream.
    pub fn broken(&self, what: &str) -> String {
        format!("stream {}: {what}", self.check.stream)
    }
}
