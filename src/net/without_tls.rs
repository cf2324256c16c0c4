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

/// Nobody can have shown a certificate.
pub const fn subject_of(_certificate: &[u8]) -> String {
    String::new()
}

const NO_TLS: &str = "this program was built without TLS";

/// What a client would be configured with.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Whom to trust.
    pub trust: Trust<'a>,
    /// A certificate and its key.
    pub identity: Option<&'a Pair>,
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

/// What would be wrong with a certificate or its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairError {
    /// The certificate.
    Certificate(String),
    /// The key.
    Key(String),
}

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

/// What the server's side would be configured with.
#[derive(Clone, Copy, Debug)]
pub struct ServerTerms<'a> {
    /// The certificates to show.
    pub pairs: &'a [Pair],
    /// Whether only TLS 1.3 is spoken.
    pub only_newest: bool,
    /// Whether clients are asked for a certificate.
    pub clients: Option<Clients<'a>>,
    /// Whether clients get tickets.
    pub tickets: bool,
}

/// How clients would be asked for a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Clients<'a> {
    /// The authorities that may have issued it.
    pub authorities: &'a [u8],
    /// Whether whoever has none is let in all the same.
    pub optional: bool,
}

/// The server's side of connections. There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server(Infallible);

impl Server {
    /// Never succeeds.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: &ServerTerms<'_>) -> Result<Server, String> {
        Err(NO_TLS.to_owned())
    }
}
