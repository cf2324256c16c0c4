//! Who asks for an exchange, and what pages of other origins may read of it.

use super::Exchange;
use crate::auth;
use crate::cors::grants::Page;
use crate::cors::{Field, Grant, Policy};
use std::net::IpAddr;
use std::sync::Arc;

impl Exchange {
    /// The client's own address, behind a connection from `peer`; none on a Unix socket.
    pub fn client(&self, peer: Option<IpAddr>) -> Option<IpAddr> {
        self.caller.as_ref().and_then(|caller| caller.client).or(peer)
    }

    /// The key that let it in, if it needed one.
    pub fn key(&self) -> Option<&auth::Key> {
        self.caller.as_ref()?.key.as_deref()
    }

    /// The name of the key that let it in: for logs.
    pub fn key_name(&self) -> Option<&Arc<str>> {
        self.key().map(|key| &key.name)
    }

    /// What its api says about other origins, and what it grants this request; none if that is the
    /// upstream's affair.
    pub fn cors(&self) -> Option<(&Policy, Grant)> {
        Some((self.api()?.cors.as_ref()?, self.facts.grant))
    }

    /// What a local reply says about other origins, or one to a preflight; none if that is the
    /// upstream's affair.
    pub fn cors_fields(&self, preflight: bool) -> Option<Vec<Field<'_>>> {
        let (policy, grant) = self.cors()?;
        Some(if preflight { policy.preflight_fields(grant) } else { policy.fields(grant) })
    }

    /// What the head of an event stream of ours says about other origins.
    pub fn stream_cors_fields(&self) -> Vec<Field<'_>> {
        let granted = || self.page().map(Page::fields);
        self.cors_fields(false).or_else(granted).unwrap_or_default()
    }

    /// See [`Caller::page`](super::request::Caller::page).
    pub fn page(&self) -> Option<&Page> {
        self.caller.as_ref()?.page.as_deref()
    }

    /// As [`Exchange::page`], to note what the upstream grants.
    pub fn page_mut(&mut self) -> Option<&mut Page> {
        self.caller.as_mut()?.page.as_deref_mut()
    }
}
