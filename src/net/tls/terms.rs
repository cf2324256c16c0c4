//! What the two sides of a secured connection are configured with. A program without TLS has these
//! types as well.

use super::{Pair, RevocationLists, TicketKeys};

/// What a client is configured with.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Whom to trust.
    pub trust: Trust<'a>,
    /// The certificate to show to servers that ask for one.
    pub identity: Option<&'a Pair>,
}

/// Whose certificates a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust<'a> {
    /// Those of the authorities that the system trusts.
    System,
    /// Those of the authorities in this PEM file.
    These(&'a [u8]),
    /// Everybody's. Whoever can get in between can read and change all.
    Everybody,
}

/// What the server's side is configured with.
#[derive(Clone, Copy, Debug)]
pub struct ServerTerms<'a> {
    /// The certificates to show, at least one. A client gets the one that is for the name that it
    /// asks for (SNI). The first one is for all others.
    pub pairs: &'a [Pair],
    /// Whether only TLS 1.3 is spoken, and not also TLS 1.2.
    pub only_newest: bool,
    /// Whether clients are asked for a certificate. None: they are not.
    pub clients: Option<Clients<'a>>,
    /// Whether clients get tickets, with which the next handshake is a short one. Those that are
    /// asked for a certificate get none: whoever comes with a ticket shows no certificate, the one
    /// in the ticket is not judged again, and each handshake brings a new ticket. So somebody whose
    /// certificate has expired would be let in for as long as they come back.
    pub tickets: Tickets<'a>,
}

/// Whether clients get tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tickets<'a> {
    /// They get none.
    None,
    /// They do, and the keys of these are in memory only.
    OfProcess,
    /// They do, with these keys.
    With(&'a TicketKeys),
}

/// How clients are asked for a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Clients<'a> {
    /// The certificates of the authorities that may have issued it, as a PEM file.
    pub authorities: &'a [u8],
    /// What these have revoked. None: that is not asked.
    pub revoked: Option<&'a RevocationLists>,
    /// Whether whoever has none is let in all the same.
    pub optional: bool,
}

/// What a list of revoked certificates says (RFC 5280 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationList {
    /// Who has issued it, and the certificates that it is about.
    pub issuer: String,
    /// When it was issued, and when the next one is due, in seconds since 1970.
    pub updates: [u64; 2],
    /// How many certificates are revoked.
    pub revoked: usize,
}

/// What is wrong with how clients are to be asked for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientsError {
    /// The authorities, or anything that nobody has configured.
    Authorities(String),
    /// The lists of what they have revoked.
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
