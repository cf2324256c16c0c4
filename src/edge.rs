//! Where clients come in: listeners, how many connections there may be, and who is let in.

pub mod admission;
pub mod authz;
pub mod listeners;
pub mod reclaim;
pub mod row;

use crate::auth::Hash;
use crate::descriptors::{self, Budget};
use crate::quota::Quota;
use crate::session::{Service, Session};
use listeners::Listeners;
use reclaim::Reclaimable;

/// See the module.
#[derive(Debug)]
pub struct Edge {
    /// The listening sockets.
    pub listeners: Listeners,
    /// Sessions that may be closed to make room for others.
    pub reclaimable: Reclaimable,
    /// Event streams that are open, by their keys; where that is limited.
    pub key_streams: Quota<Hash>,
    budget: Budget,
    /// Client connections, those that are refused included.
    clients: usize,
    /// Client connections that are being refused for want of room.
    refused: usize,
    /// Connections to the admin listener.
    operators: usize,
}

impl Edge {
    /// Listeners for these services, in order, each open already, and no connection yet. `budget`
    /// says how many there may be.
    pub fn new(services: &[Service], budget: Budget) -> Edge {
        Edge {
            listeners: Listeners::new(services),
            reclaimable: Reclaimable::default(),
            key_streams: Quota::default(),
            budget,
            clients: 0,
            refused: 0,
            operators: 0,
        }
    }

    /// From here on there may be so many connections.
    pub const fn update(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// Client connections, but for those to the admin listener.
    pub const fn clients(&self) -> usize {
        self.clients
    }

    /// How many connections to upstreams there may be. Each client has a descriptor for one of its
    /// own; idle ones only have those that are not in use.
    pub const fn upstream_connections_max(&self) -> usize {
        self.budget.connections.saturating_sub(self.clients - self.refused)
    }

    /// Client connections that there may be.
    pub const fn clients_max(&self) -> usize {
        self.budget.clients
    }

    /// True exactly when there may be another client connection.
    pub const fn has_room(&self) -> bool {
        self.clients - self.refused < self.budget.clients
    }

    /// True exactly when another client may be told that there is no room.
    pub const fn may_refuse(&self) -> bool {
        self.refused < self.budget.refusals
    }

    /// True exactly when the admin listener has as many connections as it may have.
    pub const fn is_full_of_operators(&self) -> bool {
        self.operators >= descriptors::OPERATOR
    }

    /// A session has begun.
    pub fn note_begun(&mut self, session: &Session) {
        if session.service == Service::Admin {
            self.operators += 1;
        } else {
            self.clients += 1;
        }
        self.refused += usize::from(session.refused);
    }

    /// A session is over.
    pub fn note_over(&mut self, session: &Session) {
        if session.service == Service::Admin {
            self.operators -= 1;
        } else {
            self.clients -= 1;
        }
        self.refused -= usize::from(session.refused);
    }
}
