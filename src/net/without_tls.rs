//! What there is in place of TLS in a program that was built without it: nothing.

use std::convert::Infallible;

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

/// What a client would be configured with. The texts are PEM files.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Whom to trust.
    pub trust: Trust<'a>,
    /// A certificate and its key.
    pub identity: Option<[&'a [u8]; 2]>,
}

/// Whose certificates a client would accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust<'a> {
    /// Those of the authorities that the system trusts.
    System,
    /// Those of these authorities.
    These(&'a [u8]),
    /// Everybody's.
    Everybody,
}

/// What would be wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// Whom to trust.
    Trust(String),
    /// The certificate to show.
    Certificate(String),
    /// Its key.
    Key(String),
}

/// The client's side of connections. There is none.
#[derive(Clone, Debug)]
pub struct Client(Infallible);

/// The client's side of connections to one server. There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOf(Infallible);

impl Client {
    /// Never succeeds.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: Terms<'_>) -> Result<Client, ClientError> {
        Err(ClientError::Trust("this program was built without TLS".to_owned()))
    }

    /// There is nobody to ask.
    ///
    /// # Errors
    /// Never.
    pub fn of(&self, _: &str) -> Result<ClientOf, String> {
        match self.0 {}
    }
}
