//! What there is in place of TLS in a program that was built without it: nothing.

#[path = "tls/terms.rs"]
mod terms;
#[path = "tls/ticket_keys.rs"]
mod ticket_keys;

use std::convert::Infallible;
pub use terms::{
    Clients, ClientsError, PairError, RevocationList, ServerTerms, Terms, Tickets, Trust,
};
pub use ticket_keys::TicketKeys;

/// A network, as it is.
pub type TlsNet<N> = N;

/// The network itself.
pub fn around<N>(inner: N, _sockets_max: usize) -> N {
    inner
}

/// The network itself.
pub const fn inner<N>(net: &mut N) -> &mut N {
    net
}

/// Nobody can have shown a certificate.
pub const fn subject_of(_certificate: &[u8]) -> String {
    String::new()
}

/// Nobody can have shown a certificate.
pub const fn last_second_of(_certificate: &[u8]) -> u64 {
    u64::MAX
}

const NO_TLS: &str = "this program was built without TLS";

/// The client's side of connections. There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client(Infallible);

/// The client's side of connections to one server. There is none.
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

    /// There is nobody to ask.
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

    /// The hosts that it is for.
    pub const fn names(&self) -> &[String] {
        match self.0 {}
    }

    /// When it is valid.
    pub const fn valid(&self) -> [u64; 2] {
        match self.0 {}
    }

    /// Whether its issuer's certificate is missing.
    pub const fn is_alone(&self) -> bool {
        match self.0 {}
    }

    /// Whether its key is an RSA key.
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

    /// What the lists say.
    pub const fn all(&self) -> &[RevocationList] {
        match self.0 {}
    }

    /// The number of bytes of the largest.
    pub const fn largest(&self) -> usize {
        match self.0 {}
    }

    /// The authorities of which there is no list.
    pub const fn missing(&self, _: &[u8]) -> Vec<String> {
        match self.0 {}
    }
}

/// The server's side of connections. There is none.
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
