//! A session: a client's connection and its state.

use crate::conn::Conn;
use crate::exchange::Exchange;
use crate::http::head::HeadSearch;
use crate::time::Tick;
use std::net::IpAddr;

/// An index that no session has.
pub const NOBODY: u32 = u32::MAX;

/// The neighbours of a session, by index, among those that may be closed to make room
/// ([`crate::edge::row`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Links {
    /// The previous session.
    pub previous: u32,
    /// The next session.
    pub next: u32,
}

impl Links {
    /// The links of a session that is in no row.
    pub const NONE: Links = Links { previous: NOBODY, next: NOBODY };
}

/// A client's connection and its state. See the module docs.
#[derive(Debug)]
pub struct Session {
    /// The connection itself.
    pub conn: Conn,
    /// The state of the session.
    pub state: State,
    /// The service of the listener that accepted it.
    pub service: Service,
    /// True if the connection uses TLS.
    pub is_secure: bool,
    /// True if the client uses TLS, here or with a proxy in front.
    pub is_https: bool,
    /// The client's address: that of the connection, or the one in its PROXY header. None on a Unix
    /// socket.
    pub peer: Option<IpAddr>,
    /// The client's port if its PROXY header gives one, otherwise 0.
    pub port: u16,
    /// True if its PROXY header does not name the client. Then `peer` is the sender of the header,
    /// and forwarding fields in requests are not trusted.
    pub is_anonymous: bool,
    /// Whether requests are served on it.
    pub standing: Standing,
}

/// Whether requests of a connection are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They are.
    Served,
    /// They are, unless the client's certificate is among those revoked since.
    Unjudged,
    /// Its client was let in on terms that have changed since. The next request must come on
    /// another connection.
    Outdated,
    /// It was accepted only to be refused for lack of room.
    Refused,
}

/// The state of a session.
#[derive(Debug)]
pub enum State {
    /// The PROXY header that names the client is arriving. Next: `Handshake`, `Idle`, `Active` with
    /// a refusal, or closed.
    ProxyHeader {
        /// When the connection was accepted.
        since: Tick,
        /// The same links as in `Idle`.
        links: Links,
    },
    /// The TLS handshake is in progress. Next: `Idle`, `Active` with a refusal, `Lingering`, or
    /// closed.
    Handshake {
        /// When it could begin.
        since: Tick,
        /// The same links as in `Idle`.
        links: Links,
    },
    /// No request has begun. Next: `Head`, or closed.
    Idle {
        /// When this state began.
        since: Tick,
        /// True if no request was ever received.
        fresh: bool,
        /// The neighbours among the sessions that may be closed to make room.
        links: Links,
    },
    /// A request head is arriving. Next: `Active`.
    Head {
        /// The search for the end of the head.
        search: HeadSearch,
        /// When its first byte arrived.
        since: Tick,
    },
    /// A request is being served. Next: `Idle`, `Lingering`, or closed.
    Active(Box<Exchange>),
    /// Our last byte was sent and our side is shut down. What the client still sends is read and
    /// discarded: closing with unread input would reset the connection and lose the response (RFC
    /// 9112 section 9.6). Next: closed.
    Lingering {
        /// When the connection is closed in any case.
        until: Tick,
        /// The same links as in `Idle`.
        links: Links,
    },
}

impl Session {
    /// Creates the session of a connection that was just accepted at `port`.
    pub const fn new(conn: Conn, port: Port, peer: Option<IpAddr>, now: Tick) -> Session {
        let Port { service, is_secure, is_https, .. } = port;
        let state = if port.proxy_protocol {
            State::ProxyHeader { since: now, links: Links::NONE }
        } else if is_secure {
            State::handshake(now)
        } else {
            State::fresh(now)
        };
        Session {
            conn,
            state,
            service,
            is_secure,
            is_https,
            peer,
            port: 0,
            is_anonymous: false,
            standing: Standing::Served,
        }
    }

    /// True if it was accepted only to be refused for lack of room.
    pub const fn is_refused(&self) -> bool {
        matches!(self.standing, Standing::Refused)
    }

    /// True if a TLS handshake is in progress, or will be as soon as it can begin.
    pub const fn is_shaking_hands(&self) -> bool {
        match self.state {
            State::ProxyHeader { .. } => self.is_secure,
            State::Handshake { .. } => true,
            State::Idle { .. }
            | State::Head { .. }
            | State::Active(_)
            | State::Lingering { .. } => false,
        }
    }

    /// True if a client's next request is incomplete or unchecked, or is complete and its response
    /// has not begun. Requests to the admin listener are as urgent as open streams.
    pub fn is_arriving(&self) -> bool {
        let arrives = match &self.state {
            State::ProxyHeader { .. }
            | State::Handshake { .. }
            | State::Idle { .. }
            | State::Head { .. } => true,
            State::Active(exchange) => exchange.is_arriving(),
            State::Lingering { .. } => false,
        };
        arrives && !self.service.is_for_operators()
    }

    /// True if the client has left its open stream or tunnel. No one waits for that to end.
    pub fn is_leaving(&self) -> bool {
        self.is_streaming() && self.conn.hung_up()
    }

    /// True if the client has an open event stream or tunnel.
    pub fn is_streaming(&self) -> bool {
        self.exchange().is_some_and(|exchange| exchange.stage().is_endless())
    }

    /// The exchange being served, if there is one.
    pub fn exchange(&self) -> Option<&Exchange> {
        if let State::Active(exchange) = &self.state { Some(exchange) } else { None }
    }

    /// Mutable [`Session::exchange`].
    pub fn exchange_mut(&mut self) -> Option<&mut Exchange> {
        if let State::Active(exchange) = &mut self.state { Some(exchange) } else { None }
    }
}

impl State {
    /// The state of a connection that begins a TLS handshake.
    pub const fn handshake(now: Tick) -> State {
        State::Handshake { since: now, links: Links::NONE }
    }

    /// The state of a connection that may send its first request.
    pub const fn fresh(now: Tick) -> State {
        State::Idle { since: now, fresh: true, links: Links::NONE }
    }

    /// The state of a connection whose last request has been served.
    pub const fn idle(now: Tick) -> State {
        State::Idle { since: now, fresh: false, links: Links::NONE }
    }

    /// The links, in a state that may be closed to make room.
    pub const fn links_mut(&mut self) -> Option<&mut Links> {
        match self {
            State::ProxyHeader { links, .. }
            | State::Handshake { links, .. }
            | State::Idle { links, .. }
            | State::Lingering { links, .. } => Some(links),
            State::Head { .. } | State::Active(_) => None,
        }
    }

    /// Immutable [`State::links_mut`].
    #[cfg(feature = "sim")]
    pub const fn links(&self) -> Option<Links> {
        match self {
            State::ProxyHeader { links, .. }
            | State::Handshake { links, .. }
            | State::Idle { links, .. }
            | State::Lingering { links, .. } => Some(*links),
            State::Head { .. } | State::Active(_) => None,
        }
    }
}

/// The protocol and the service of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The service that it belongs to.
    pub service: Service,
    /// True if it uses TLS.
    pub is_secure: bool,
    /// True if each connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// True if clients use TLS, here or with a proxy in front. On a port without TLS, a PROXY
    /// header may override this.
    pub is_https: bool,
    /// True if other event loops, if there are any, accept at the same socket.
    pub is_shared: bool,
}

impl Port {
    /// A plain HTTP listener.
    pub const fn plain(service: Service) -> Port {
        Port { service, is_secure: false, proxy_protocol: false, is_https: false, is_shared: false }
    }

    /// A TLS listener.
    pub const fn secure(service: Service) -> Port {
        Port { is_secure: true, is_https: true, ..Port::plain(service) }
    }
}

/// The service that a listener belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The proxy's apis.
    Apis,
    /// The built-in event source.
    Demo,
    /// The admin listener.
    Admin,
    /// Probes: those requests of the admin listener that ask for the health of the process.
    Probes,
}

impl Service {
    /// True if it serves the operator instead of clients: it has its own descriptors, comes first,
    /// and stays until a drain is over.
    pub const fn is_for_operators(self) -> bool {
        matches!(self, Service::Admin | Service::Probes)
    }
}
