//! `[tls]`: how the clients of `server.listen_tls` are served, and with which certificates.
//! `renewal` reads the files that it names.

use super::upstream_tls::UpstreamClient;
use super::verify_client::{self, VerifyClient};
use crate::config::error::{Location, Wrong};
use crate::config::files::readers::Readers;
use crate::config::files::seen::Seen;
use crate::config::load::{read_file, read_secret};
use crate::config::table::Table;
use crate::config::values::value::{count, duration, file};
use crate::descriptors;
use crate::net::tls::{Pair, PairError, Server, TicketKeys};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeValue;

/// `[tls]`: how the clients of `server.listen_tls` are served. It also has the contents of all
/// files for TLS, because these may change without the rest of a configuration. The names of files
/// are as configured, relative to the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificates. The first is the default for clients that ask for any other name, or for
    /// none.
    pub certificates: Vec<Certificate>,
    /// The oldest version that is accepted.
    pub min_version: TlsVersion,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// Maximum number of handshakes at a time: 1 to 65,535.
    pub max_handshakes: usize,
    /// How clients are asked for a certificate. None: they are not.
    pub verify_client: Option<VerifyClient>,
    /// Whether clients get session tickets, which make their next handshake a short one. Clients
    /// that are asked for a certificate get none.
    pub session_tickets: SessionTickets,
    /// How often the files are checked, and read again if they have changed. None: only a reload
    /// reads them.
    pub look_every: Option<Duration>,
    /// The TLS server. None if `listen_tls` has no address, and before
    /// [`Config::load_certificates`](crate::config::Config::load_certificates).
    pub server: Option<Server>,
    /// The TLS clients for targets with `https://`. Empty before
    /// [`Config::load_tls`](crate::config::Config::load_tls).
    pub upstreams: Vec<UpstreamClient>,
    /// The folder that the names of files are relative to.
    pub(crate) folder: PathBuf,
}

/// `[[tls.certificate]]`: a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The files of the certificate, followed by those of its issuers, and of its key.
    pub files: [String; 2],
    /// Their contents. None if `listen_tls` has no address, and before
    /// [`Config::load_certificates`](crate::config::Config::load_certificates).
    pub pair: Option<Pair>,
    /// Who could read the key when it was last read.
    pub(crate) readers: Readers,
    /// The files as they were when they were last read.
    pub(crate) seen: [Seen; 2],
}

/// `session_tickets`: whether clients get session tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionTickets {
    /// They get no tickets.
    Off,
    /// They get tickets, whose keys end with the process.
    OfProcess,
    /// They get tickets that are also valid after a restart and on other hosts.
    OfFile {
        /// The file with the keys.
        file: String,
        /// Its contents. None if `listen_tls` has no address, and before
        /// [`Config::load_certificates`](crate::config::Config::load_certificates).
        keys: Option<TicketKeys>,
        /// Who could read the file when it was last read.
        readers: Readers,
        /// The file as it was when it was last read.
        seen: Seen,
    },
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// The locations of the files that the table names.
#[derive(Clone, Debug)]
pub(crate) struct TlsLocations {
    /// The locations of each certificate's two files.
    pub(crate) certificates: Vec<[Location; 2]>,
    pub(crate) client_ca: Location,
    pub(crate) client_crl: Location,
    pub(crate) session_tickets: Location,
}

/// The default of how often the files are checked.
const LOOK_EVERY: Duration = Duration::from_secs(60);

pub(crate) fn tls(t: &mut Table<'_, '_>) -> (Tls, TlsLocations) {
    let [client_ca, client_crl, session_tickets] =
        ["client_ca", "client_crl", "session_tickets"].map(|key| t.location_of(key));
    let mut seen = Vec::new();
    let certificates = t.tables("certificate", |t| certificate(t, &mut seen));
    let (certificates, locations) = certificates.into_iter().unzip();
    let min_version = t.take("min_version", version).unwrap_or(TlsVersion::Tls12);
    let handshake_timeout = t.take("handshake_timeout", duration);
    let max_handshakes = t.take("max_handshakes", count(1..=65_535)).unwrap_or(256);
    let verify_client = verify_client::read(t);
    let tls = Tls {
        certificates,
        min_version,
        handshake_timeout: handshake_timeout.unwrap_or(Duration::from_secs(10)),
        max_handshakes,
        verify_client,
        session_tickets: t.take("session_tickets", tickets).unwrap_or(SessionTickets::OfProcess),
        look_every: t.take("certificates_on_change", look_every).unwrap_or(Some(LOOK_EVERY)),
        server: None,
        upstreams: Vec::new(),
        folder: PathBuf::new(),
    };
    (tls, TlsLocations { certificates: locations, client_ca, client_crl, session_tickets })
}

/// Reads a certificate, and the locations of its two files.
fn certificate(
    t: &mut Table<'_, '_>,
    seen: &mut Vec<String>,
) -> Option<(Certificate, [Location; 2])> {
    let locations = ["certificate", "key"].map(|key| t.location_of(key));
    let named = |value: &DeValue<'_>| match file(value)? {
        None => Err("not a file name; write one like \"fullchain.pem\"".into()),
        Some(name) => Ok(name),
    };
    let certificate = t.require("certificate", "\"fullchain.pem\"", |value| {
        let name = named(value)?;
        if seen.contains(&name) {
            return Err(Wrong::from("this certificate is already in the list; write it once"));
        }
        seen.push(name.clone());
        Ok(name)
    });
    let key = t.require("key", "\"privkey.pem\"", named);
    let seen = [Seen::default(); 2];
    let (files, readers) = ([certificate?, key?], Readers::Few);
    Some((Certificate { files, pair: None, readers, seen }, locations))
}

fn version(value: &DeValue<'_>) -> Result<TlsVersion, Wrong> {
    match value.as_str() {
        Some("1.2") => Ok(TlsVersion::Tls12),
        Some("1.3") => Ok(TlsVersion::Tls13),
        _ => Err("not a supported version; write \"1.2\" or \"1.3\"".into()),
    }
}

/// Reads whether clients get session tickets, and the file of the keys.
fn tickets(value: &DeValue<'_>) -> Result<SessionTickets, Wrong> {
    match value.as_bool() {
        Some(true) => return Ok(SessionTickets::OfProcess),
        Some(false) => return Ok(SessionTickets::Off),
        None => {}
    }
    let wrong = "not a choice; write true, false, or the file of the keys, like \"tickets.key\"";
    match value.as_str() {
        // These are not meant as files.
        None | Some("" | "true" | "false" | "on" | "off" | "yes" | "no") => Err(wrong.into()),
        Some(_) => Ok(SessionTickets::OfFile {
            file: file(value)?.ok_or_else(|| Wrong::from(wrong))?,
            keys: None,
            readers: Readers::Few,
            seen: Seen::default(),
        }),
    }
}

/// Reads how often the files are checked.
fn look_every(value: &DeValue<'_>) -> Result<Option<Duration>, Wrong> {
    match value.as_bool() {
        Some(true) => Ok(Some(LOOK_EVERY)),
        Some(false) => Ok(None),
        None if value.is_str() => duration(value).map(Some),
        None => Err("not a choice; write true, false, or how often, like \"10s\"".into()),
    }
}

impl Tls {
    /// True exactly when clients need the same certificates as with the `former` settings, whatever
    /// the file of the authorities is called. Revocation is not compared.
    pub fn verifies_clients_like(&self, former: &Tls) -> bool {
        fn asks(tls: &Tls) -> Option<(bool, &[u8])> {
            let verify = tls.verify_client.as_ref()?;
            Some((verify.optional, &verify.authorities))
        }
        asks(self) == asks(former)
    }

    /// True exactly when the same certificates of clients are revoked as with the `former`
    /// settings.
    pub fn revokes_like(&self, former: &Tls) -> bool {
        let revoked = |tls: &Tls| tls.verify_client.as_ref()?.revoked.clone();
        revoked(self) == revoked(former)
    }

    /// All its files, as configured.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        let pairs = self.certificates.iter().flat_map(|certificate| &certificate.files);
        let tickets = match &self.session_tickets {
            SessionTickets::OfFile { file, .. } => Some(file),
            SessionTickets::Off | SessionTickets::OfProcess => None,
        };
        let of_clients = self.verify_client.iter().flat_map(VerifyClient::files);
        pairs.chain(of_clients).chain(tickets).map(String::as_str)
    }
}

/// Which of a certificate's two files something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Certificate = 0,
    Key = 1,
}

impl Part {
    /// The key that names the file.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Part::Certificate => "certificate",
            Part::Key => "key",
        }
    }
}

/// Reads a certificate and its key from files in this folder. Also returns who can read the key.
///
/// # Errors
/// Which of the two cannot be read or used, and why.
pub(crate) fn pair(files: &[String; 2], folder: &Path) -> Result<(Pair, Readers), (Part, String)> {
    let [certificate, key] = files;
    let wrong = |part, file| move |error| (part, cannot_read(file, &error));
    let chain =
        read_file(&folder.join(certificate)).map_err(wrong(Part::Certificate, certificate))?;
    let (text, readers) = read_secret(&folder.join(key)).map_err(wrong(Part::Key, key))?;
    let pair = Pair::new([&chain, &text]).map_err(|error| match error {
        PairError::Certificate(what) => (Part::Certificate, format!("{certificate}: {what}")),
        PairError::Key(what) => (Part::Key, format!("{key}: {what}")),
    })?;
    Ok((pair, readers))
}

pub(crate) fn cannot_read(file: &str, error: &io::Error) -> String {
    format!("cannot read {file}: {}", descriptors::explain(error))
}
