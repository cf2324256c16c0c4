//! The tickets that servers gave us, which shorten the next handshake.
//!
//! Each ticket of TLS 1.3 can be used once, and a server sends one or two on each connection. So as
//! many are kept as connections may be opened at once, for instance after an upstream restarts. The
//! library's own store keeps eight.

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use std::collections::{BTreeMap, VecDeque};
#[expect(
    clippy::disallowed_types,
    reason = "the library asks for it; nobody ever waits for it"
)]
use std::sync::Mutex;
use std::sync::PoisonError;

/// Maximum number of tickets of one server. Beyond that, the oldest are dropped.
const TICKETS_MAX: usize = 2048;

/// The tickets of all servers of one configuration, by server name. See the module docs.
#[expect(clippy::disallowed_types, reason = "the library asks for it; nobody ever waits for it")]
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<BTreeMap<String, OfServer>>);

#[derive(Debug, Default)]
struct OfServer {
    group: Option<NamedGroup>,
    session: Option<Tls12ClientSessionValue>,
    tickets: VecDeque<Tls13ClientSessionValue>,
}

impl Tickets {
    /// Looks up what is known about a server.
    fn at<T>(
        &self,
        server: &ServerName<'_>,
        look: impl FnOnce(&mut OfServer) -> Option<T>,
    ) -> Option<T> {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        servers.get_mut(&*server.to_str()).and_then(look)
    }

    /// Stores something about a server.
    fn note(&self, server: &ServerName<'_>, note: impl FnOnce(&mut OfServer)) {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        note(servers.entry(server.to_str().into_owned()).or_default());
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.note(&server, |of| of.group = Some(group));
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.at(server, |of| of.group)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.note(&server, |of| of.session = Some(session));
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.at(server, |of| of.session.clone())
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.at(server, |of| of.session.take());
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.note(&server, |of| {
            if of.tickets.len() == TICKETS_MAX {
                of.tickets.pop_front();
            }
            of.tickets.push_back(ticket);
        });
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.at(server, |of| of.tickets.pop_back())
    }
}
