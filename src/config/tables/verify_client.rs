//! `client_ca`, `client_crl` and `verify_client` in `[tls]`: how clients are asked for a
//! certificate, and which of them are accepted.

use super::tls::cannot_read;
use crate::config::error::Wrong;
use crate::config::files::seen::Seen;
use crate::config::load::read_file;
use crate::config::table::Table;
use crate::config::values::value::{file, text};
use crate::net::tls::RevocationLists;
use std::path::Path;
use toml::de::DeValue;

/// `client_ca`, `client_crl` and `verify_client`: how clients are asked for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyClient {
    /// The file with the certificates of the authorities that may issue it.
    pub client_ca: String,
    /// The file with the revocation lists of these authorities, if there is one.
    pub client_crl: Option<String>,
    /// Whether clients without a certificate are let in too.
    pub optional: bool,
    /// The contents of `client_ca`. Empty before
    /// [`Config::load_certificates`](crate::config::Config::load_certificates).
    pub authorities: Vec<u8>,
    /// The revocation lists. None without `client_crl`, and before
    /// [`Config::load_certificates`](crate::config::Config::load_certificates).
    pub revoked: Option<RevocationLists>,
    /// The two files as they were when they were last read.
    seen: [Seen; 2],
}

/// The values of `verify_client`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verify {
    Off,
    Optional,
    Require,
}

/// Reads how clients are asked for a certificate.
pub(crate) fn read(t: &mut Table<'_, '_>) -> Option<VerifyClient> {
    let [client_ca, client_crl] =
        ["client_ca", "client_crl"].map(|key| t.take(key, file).flatten());
    let verify = t.take("verify_client", verify).unwrap_or(Verify::Off);
    match (client_ca, verify) {
        (None, Verify::Off) if client_crl.is_none() => None,
        (Some(client_ca), Verify::Optional | Verify::Require) => Some(VerifyClient {
            client_ca,
            client_crl,
            optional: verify == Verify::Optional,
            authorities: Vec::new(),
            revoked: None,
            seen: [Seen::default(); 2],
        }),
        (client_ca, Verify::Off) => {
            let key = if client_ca.is_some() { "client_ca" } else { "client_crl" };
            let what =
                format!("it is \"off\", so {key} has no effect; write \"require\" or \"optional\"");
            t.missing("verify_client", &what);
            None
        }
        (None, Verify::Optional | Verify::Require) => {
            t.missing(
                "client_ca",
                "missing; write the file of the authorities that issue the certificates of clients",
            );
            None
        }
    }
}

fn verify(value: &DeValue<'_>) -> Result<Verify, Wrong> {
    match text(value)? {
        "off" => Ok(Verify::Off),
        "optional" => Ok(Verify::Optional),
        "require" => Ok(Verify::Require),
        _ => Err("not a verification policy; write \"off\", \"optional\" or \"require\"".into()),
    }
}

/// Which of the two files something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judges {
    ClientCa,
    ClientCrl,
}

impl Judges {
    /// The key that names the file.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Judges::ClientCa => "tls.client_ca",
            Judges::ClientCrl => "tls.client_crl",
        }
    }
}

impl VerifyClient {
    /// Its files, as configured.
    pub(crate) fn files(&self) -> impl Iterator<Item = &String> {
        [&self.client_ca].into_iter().chain(&self.client_crl)
    }

    /// True exactly when the files are as they were when they were last read.
    pub(crate) fn is_fresh(&self, folder: &Path) -> bool {
        self.look(folder) == self.seen
    }

    /// The same, but with the present state of the files as seen: they cannot be used, and are not
    /// read again until they change.
    pub(crate) fn kept(self, folder: &Path) -> VerifyClient {
        VerifyClient { seen: self.look(folder), ..self }
    }

    fn look(&self, folder: &Path) -> [Seen; 2] {
        let lists = self.client_crl.as_ref().map(|file| Seen::of(&folder.join(file)));
        [Seen::of(&folder.join(&self.client_ca)), lists.unwrap_or_default()]
    }

    /// Reads the files. Whether the authorities can be used shows only when a server is made with
    /// them.
    pub(crate) fn load(&mut self, folder: &Path) -> Result<(), (Judges, String)> {
        self.seen = self.look(folder);
        let read = |judges, file: &str| {
            read_file(&folder.join(file)).map_err(|error| (judges, cannot_read(file, &error)))
        };
        self.authorities = read(Judges::ClientCa, &self.client_ca)?;
        if let Some(file) = &self.client_crl {
            let lists = RevocationLists::read(&read(Judges::ClientCrl, file)?);
            self.revoked =
                Some(lists.map_err(|what| (Judges::ClientCrl, format!("{file}: {what}")))?);
        }
        Ok(())
    }

    /// Describes which of the files have changed.
    pub(crate) fn told(&self, former: &VerifyClient) -> impl Iterator<Item = String> {
        let read_again = |judges: Judges, file| format!("{}: {file} was read again", judges.key());
        let authorities = read_again(Judges::ClientCa, &self.client_ca);
        let lists = self.client_crl.as_ref().zip(self.revoked.as_ref()).map(|(file, lists)| {
            let number: usize = lists.all().iter().map(|list| list.revoked).sum();
            format!("{}, and revokes {number}", read_again(Judges::ClientCrl, file))
        });
        let changed = [0, 1].map(|at| self.seen[at] != former.seen[at]);
        [Some(authorities), lists]
            .into_iter()
            .zip(changed)
            .filter_map(|(told, is)| told.filter(|_| is))
    }
}
