//! Who sent the request of an exchange, and what pages of other origins may read of its response.

use super::{Asked, Exchange, LetIn};
use crate::auth;
use crate::cors::grants::Page;
use crate::cors::{Field, Grant, Policy};
use crate::http::client_address::ClientAddress;
use std::net::IpAddr;
use std::sync::Arc;

impl Exchange {
    /// The client's own address, given that its connection is from `peer`, which is None on a Unix
    /// socket.
    pub fn client(&self, peer: Option<IpAddr>) -> ClientAddress {
        let reported = self.caller.as_ref().and_then(|caller| caller.client);
        reported.unwrap_or_else(|| peer.into())
    }

    /// The key that admitted the request, if it needed one.
    pub fn key(&self) -> Option<&auth::Key> {
        self.caller.as_ref()?.key.as_deref()
    }

    /// What is kept about it if an auth server let it in.
    pub fn let_in(&self) -> Option<&LetIn> {
        self.caller.as_ref()?.let_in.as_deref()
    }

    /// The name, for logs, of the key that admitted the request.
    pub fn key_name(&self) -> Option<&Arc<str>> {
        self.key().map(|key| &key.name)
    }

    /// Who sent the request, for logs: the name of its key or, if only a certificate was required,
    /// the certificate's subject.
    pub fn caller_name(&self) -> Option<&str> {
        let of_certificate = || self.subject().filter(|_| self.is_certified());
        self.key_name().map(|name| &**name).or_else(of_certificate)
    }

    /// True if the client was admitted by its verified certificate.
    pub fn is_certified(&self) -> bool {
        self.has_certificate() && self.api().is_some_and(|api| api.client_certificate)
    }

    /// True if the client presented a certificate that was verified.
    pub fn has_certificate(&self) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.has_certificate)
    }

    /// The subject of the client's certificate, if it was asked for one.
    pub fn subject(&self) -> Option<&str> {
        self.caller.as_ref()?.subject.as_deref()
    }

    /// The CORS policy of its api, and what it grants this request. None if the upstream decides.
    pub fn cors(&self) -> Option<(&Policy, Grant)> {
        Some((self.api()?.cors.as_ref()?, self.facts.grant))
    }

    /// The CORS fields of a local reply, or of one to a preflight. None if the upstream decides.
    pub fn cors_fields(&self, preflight: bool) -> Option<Vec<Field<'_>>> {
        let (policy, grant) = self.cors()?;
        Some(if preflight { policy.preflight_fields(grant) } else { policy.fields(grant) })
    }

    /// The CORS fields in the head of an event stream that this process writes.
    pub fn stream_cors_fields(&self) -> Vec<Field<'_>> {
        let granted = || self.page().map(Page::fields);
        self.cors_fields(false).or_else(granted).unwrap_or_default()
    }

    /// What the client asked for, if redirects are rewritten for it.
    pub fn asked(&self) -> Option<&Asked> {
        self.caller.as_ref()?.asked.as_deref()
    }

    /// See [`Caller::page`](super::request::Caller::page).
    pub fn page(&self) -> Option<&Page> {
        self.caller.as_ref()?.page.as_deref()
    }

    /// Mutable [`Exchange::page`].
    pub fn page_mut(&mut self) -> Option<&mut Page> {
        self.caller.as_mut()?.page.as_deref_mut()
    }
}
