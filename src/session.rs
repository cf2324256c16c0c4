//! A session: a client's connection and its state.

use crate::conn::Conn;
use crate::exchange::Exchange;
use crate::http::head::HeadSearch;
use crate::time::Tick;
use std::net::IpAddr;

/// An index that no session has.
pub const NOBODY: u32 = u32::MAX;

/// The neighbours, by index, of a session among those that may be closed to make room
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

/// A client's connection and its state. See the module.
#[derive(Debug)]
pub struct Session {
    /// The connection itself.
    pub conn: Conn,
    /// The state of the session.
    pub state: State,
    /// The service of the listener that accepted it.
    pub service: Service,
    /// True exactly when TLS is spoken on the connection.
    pub is_secure: bool,
    /// True exactly when the client speaks TLS, here or with who passes its connection on.
    pub is_https: bool,
    /// The client's address: where the connection comes from, or what its PROXY header says. None
    /// on a Unix socket.
    pub peer: Option<IpAddr>,
    /// The client's port, if its PROXY header says that. Otherwise 0.
    pub port: u16,
    /// True exactly when its PROXY header does not say whose connection it is. Then `peer` is who
    /// sent the header, and what requests say of their client is not its word.
    pub is_anonymous: bool,
    /// Whether requests are served on it.
    pub standing: Standing,
}

/// Whether requests of a connection are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They are.
    Served,
    /// They are if the certificate that its client has shown is not among those that were revoked
    /// since.
    Unjudged,
    /// Its client was let in on terms that have changed since. The next request has to come on
    /// another connection.
    Outdated,
    /// It was accepted only to be told that there is no room.
    Refused,
}

/// The state of a session.
#[derive(Debug)]
pub enum State {
    /// The PROXY header is arriving that says whose connection it is. Next: `Handshake`, `Idle`,
    /// `Active` with a refusal, or closed.
    ProxyHeader {
        /// When the connection was accepted.
        since: Tick,
        /// The same links as in `Idle`.
        links: Links,
    },
    /// The TLS handshake is under way. Next: `Idle`, or `Active` with a refusal, or `Lingering`, or
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
        /// True exactly when no request was ever received.
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
    /// Our last byte is out and our side is shut down. What the client still sends is read and
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

    /// True exactly when it was accepted only to be told that there is no room.
    pub const fn is_refused(&self) -> bool {
        matches!(self.standing, Standing::Refused)
    }

    /// True exactly when a TLS handshake is under way, or is going to be as soon as it can begin.
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

    /// True exactly when a client's next request is incomplete or unchecked, or is complete and its
    /// response has not begun. Requests to the admin listener are as urgent as open streams.
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

    /// True exactly when the client has left what is open. Nobody waits for the end of that.
    pub fn is_leaving(&self) -> bool {
        self.is_streaming() && self.conn.hung_up()
    }

    /// True exactly when the client has an open event stream or tunnel.
    pub fn is_streaming(&self) -> bool {
        self.exchange().is_some_and(|exchange| exchange.stage().is_endless())
    }

    /// The exchange that is being served, if one is.
    pub fn exchange(&self) -> Option<&Exchange> {
        if let State::Active(exchange) = &self.state { Some(exchange) } else { None }
    }

    /// Mutable [`Session::exchange`].
    pub fn exchange_mut(&mut self) -> Option<&mut Exchange> {
        if let State::Active(exchange) = &mut self.state { Some(exchange) } else { None }
    }
}

impl State {
    /// The state of a connection on which hands are to be shaken.
    pub const fn handshake(now: Tick) -> State {
        State::Handshake { since: now, links: Links::NONE }
    }

    /// The state of a connection on which a first request may come.
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

/// What is spoken at a listener, and whom it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The service that it belongs to.
    pub service: Service,
    /// True exactly when TLS is spoken.
    pub is_secure: bool,
    /// True exactly when each connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// True exactly when clients speak TLS, here or with who passes their connections on. Where it
    /// is not spoken here, a PROXY header may say otherwise.
    pub is_https: bool,
    /// True exactly when other event loops accept at the same socket, if there are any.
    pub is_shared: bool,
}

impl Port {
    /// A listener where clients speak plain HTTP.
    pub const fn plain(service: Service) -> Port {
        Port { service, is_secure: false, proxy_protocol: false, is_https: false, is_shared: false }
    }

    /// A listener where clients speak TLS.
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
    /// Probes: of the admin listener's requests those that tell how the process is.
    Probes,
}

impl Service {
    /// True exactly when it serves the operator and no clients: it has descriptors of its own,
    /// comes first, and is there until a drain is over.
    pub const fn is_for_operators(self) -> bool {
        matches!(self, Service::Admin | Service::Probes)
    }
}
