//! What replaces TLS in a program that was built without it: nothing.

#[path = "tls/terms.rs"]
mod terms;
#[path = "tls/ticket_keys.rs"]
mod ticket_keys;

use std::convert::Infallible;
pub use terms::{
    Clients, ClientsError, PairError, RevocationList, ServerTerms, Terms, Tickets, Trust,
};
pub use ticket_keys::TicketKeys;

/// The network itself.
pub type TlsNet<N> = N;

/// The network itself.
pub fn around<N>(inner: N, _sockets_max: usize) -> N {
    inner
}

/// The network itself.
pub const fn inner<N>(net: &mut N) -> &mut N {
    net
}

/// No peer can have presented a certificate.
pub const fn subject_of(_certificate: &[u8]) -> String {
    String::new()
}

/// No peer can have presented a certificate.
pub const fn last_second_of(_certificate: &[u8]) -> u64 {
    u64::MAX
}

const NO_TLS: &str = "this program was built without TLS";

/// The client side of connections. There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client(Infallible);

/// The client side of connections to one server. There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOf(Infallible);

impl Client {
    /// Never succeeds.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: Terms<'_>) -> Result<Client, String> {
        Err(NO_TLS.to_owned())
    }

    /// Cannot be called: there is no client side.
    ///
    /// # Errors
    /// Never.
    pub fn of(&self, _: &str) -> Result<ClientOf, String> {
        match self.0 {}
    }
}

/// A certificate and its key. There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair(Infallible);

impl Pair {
    /// Never succeeds.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: [&[u8]; 2]) -> Result<Pair, PairError> {
        Err(PairError::Certificate(NO_TLS.to_owned()))
    }

    /// The host names that it is valid for.
    pub const fn names(&self) -> &[String] {
        match self.0 {}
    }

    /// The period in which it is valid.
    pub const fn valid(&self) -> [u64; 2] {
        match self.0 {}
    }

    /// True if its issuer's certificate is missing.
    pub const fn is_alone(&self) -> bool {
        match self.0 {}
    }

    /// True if its key is an RSA key.
    pub const fn has_rsa_key(&self) -> bool {
        match self.0 {}
    }
}

/// Lists of revoked certificates. There are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationLists(Infallible);

impl RevocationLists {
    /// Never succeeds.
    ///
    /// # Errors
    /// Always.
    pub fn read(_: &[u8]) -> Result<RevocationLists, String> {
        Err(NO_TLS.to_owned())
    }

    /// The content of the lists.
    pub const fn all(&self) -> &[RevocationList] {
        match self.0 {}
    }

    /// The size of the largest list in bytes.
    pub const fn largest(&self) -> usize {
        match self.0 {}
    }

    /// The maximum number of times that a handshake verifies the lists of its issuers.
    pub const fn times(&self) -> usize {
        match self.0 {}
    }

    /// The authorities without a list.
    pub const fn missing(&self, _: &[u8]) -> Vec<String> {
        match self.0 {}
    }
}

/// The server side of connections. There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server(Infallible);

impl Server {
    /// Never succeeds.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: &ServerTerms<'_>) -> Result<Server, ClientsError> {
        Err(ClientsError::Authorities(NO_TLS.to_owned()))
    }
}
