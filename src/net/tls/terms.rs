//! The settings of the two sides of a secured connection. A program without TLS has these types,
//! too.

use super::{Pair, RevocationLists, TicketKeys};

/// The settings of a client.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Which certificates to trust.
    pub trust: Trust<'a>,
    /// The certificate to present to servers that ask for one.
    pub identity: Option<&'a Pair>,
}

/// Which certificates a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust<'a> {
    /// Those of the authorities that the system trusts.
    System,
    /// Those of the authorities in this PEM file.
    These(&'a [u8]),
    /// All. An attacker in between can read and change everything.
    Everybody,
}

/// The settings of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServerTerms<'a> {
    /// The certificates to present, at least one. A client gets the one for the name that it
    /// requests (SNI), or otherwise the first.
    pub pairs: &'a [Pair],
    /// True if only TLS 1.3 is spoken, not TLS 1.2.
    pub only_newest: bool,
    /// How clients are asked for a certificate. None: they are not.
    pub clients: Option<Clients<'a>>,
    /// Whether clients get tickets, which shorten the next handshake. Clients that are asked for a
    /// certificate get none: a client with a ticket presents no certificate, the one in the ticket
    /// is not verified again, and each handshake issues a new ticket. So a client whose certificate
    /// has expired would be accepted for as long as it keeps reconnecting.
    pub tickets: Tickets<'a>,
}

/// Whether clients get tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tickets<'a> {
    /// No.
    None,
    /// Yes, with keys that are only in memory.
    OfProcess,
    /// Yes, with these keys.
    With(&'a TicketKeys),
}

/// How clients are asked for a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Clients<'a> {
    /// The certificates of the authorities that may issue it, as a PEM file.
    pub authorities: &'a [u8],
    /// What these have revoked. None: revocation is not checked.
    pub revoked: Option<&'a RevocationLists>,
    /// True if clients without one are accepted, too.
    pub optional: bool,
}

/// The content of a revocation list (RFC 5280 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationList {
    /// The issuer of the list and of the certificates that it covers.
    pub issuer: String,
    /// When it was issued, and when the next list is due, in seconds since 1970.
    pub updates: [u64; 2],
    /// The number of revoked certificates.
    pub revoked: usize,
}

/// What is wrong with the settings for client certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientsError {
    /// The authorities, or something that cannot be configured.
    Authorities(String),
    /// Their revocation lists.
    Revoked(String),
}

/// What is wrong with a certificate or its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairError {
    /// The certificate, or those of its issuers.
    Certificate(String),
    /// The key.
    Key(String),
}
