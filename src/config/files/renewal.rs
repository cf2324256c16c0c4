//! Renews certificates in use: they are read at startup and at a reload, and again when their files
//! have changed. The same goes for all files that the configuration names for TLS: the certificates
//! shown to clients and to targets, and the authorities trusted for either.
//!
//! Renewing a certificate writes two files, one after the other. In between they do not match, so a
//! pair that cannot be used is not an error here: the previous one stays until the files change
//! again. At a reload it is an error, because the operator waits for the answer.

use super::readers::Readers;
use super::seen::Seen;
use crate::config::error::ConfigErrors;
use crate::config::load::read_secret;
use crate::config::tables::tls::{Certificate, Part, SessionTickets, TlsVersion};
use crate::config::tables::tls::{cannot_read, pair};
use crate::config::tables::upstream_tls::UpstreamClient;
use crate::config::tables::verify_client::{Judges, VerifyClient};
use crate::config::{Config, Tls};
use crate::net::tls::{Clients, ClientsError, Pair, Server, ServerTerms, TicketKeys, Tickets};
use crate::time::date;
use std::path::Path;
use std::sync::Arc;

/// The result of a check that found changed files.
#[derive(Debug)]
pub struct Renewal {
    /// The settings to use from now on.
    pub tls: Tls,
    /// The settings that were in use when the files were checked.
    before: Arc<Tls>,
    /// What was renewed, one line each.
    pub renewed: Vec<String>,
    /// What cannot be used, one line each. The previous version stays in use.
    pub refused: Vec<String>,
    /// Warnings about what was renewed, such as secrets that everybody can read, one line each.
    pub warnings: Vec<String>,
}

impl Renewal {
    /// True exactly when it renews the `present` settings, not those before a reload.
    pub fn is_of(&self, present: &Arc<Tls>) -> bool {
        Arc::ptr_eq(&self.before, present)
    }
}

impl Certificate {
    fn look(&self, folder: &Path) -> [Seen; 2] {
        self.files.each_ref().map(|file| Seen::of(&folder.join(file)))
    }

    /// Reads both files. If they cannot be used, the pair stays unchanged.
    fn load(&mut self, folder: &Path) -> Result<(), (Part, String)> {
        // First, so that a change during the reading leads to another one.
        self.seen = self.look(folder);
        let (pair, readers) = pair(&self.files, folder)?;
        (self.pair, self.readers) = (Some(pair), readers);
        Ok(())
    }
}

impl SessionTickets {
    /// Reads the keys, if they are in a file. If they cannot be used, the previous ones stay.
    fn load(&mut self, folder: &Path) -> Result<(), String> {
        let SessionTickets::OfFile { file, keys, readers, seen } = self else { return Ok(()) };
        *seen = Seen::of(&folder.join(&*file));
        let read = read_secret(&folder.join(&*file)).map_err(|error| cannot_read(file, &error));
        let (text, of_file) = read?;
        let read = TicketKeys::read(&text).map_err(|what| format!("{file}: {what}"))?;
        (*keys, *readers) = (Some(read), of_file);
        Ok(())
    }

    /// How clients get tickets.
    fn terms(&self) -> Tickets<'_> {
        match self {
            SessionTickets::OfFile { keys: Some(keys), .. } => Tickets::With(keys),
            SessionTickets::OfProcess => Tickets::OfProcess,
            SessionTickets::Off | SessionTickets::OfFile { keys: None, .. } => Tickets::None,
        }
    }
}

/// The results of a check so far.
#[derive(Default)]
struct Findings {
    renewed: Vec<String>,
    refused: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    /// Notes who can read a file of secrets that was read again. `key` is the key or table that
    /// names it.
    fn note_readers(&mut self, key: &str, file: &str, readers: Readers) {
        let warning = readers.warning(file);
        self.warnings.extend(warning.map(|warning| format!("{key}: {warning}")));
    }
}

impl Tls {
    /// True exactly when there are files whose changes matter.
    pub fn is_renewable(&self) -> bool {
        let mut upstreams = self.upstreams.iter();
        self.server.is_some() || upstreams.any(|own| own.settings.files().next().is_some())
    }

    /// Checks the files, and reads those that have changed. None if none has.
    pub fn look(self: &Arc<Tls>) -> Option<Renewal> {
        if !cfg!(feature = "tls") {
            return None;
        }
        let (mut tls, mut found) = (Tls::clone(self), Findings::default());
        if tls.server.is_some() {
            tls.look_at_certificates(&mut found);
            tls.look_at_tickets(&mut found);
            tls.look_at_authorities(&mut found);
        }
        if !found.renewed.is_empty()
            && tls.server == self.server
            && let Err((_, what)) = tls.serve()
        {
            found.refused.push(format!("tls: {what}"));
        }
        tls.look_at_upstreams(&mut found);
        let Findings { renewed, refused, warnings } = found;
        let any = !renewed.is_empty() || !refused.is_empty();
        any.then(|| Renewal { tls, before: Arc::clone(self), renewed, refused, warnings })
    }

    fn look_at_certificates(&mut self, found: &mut Findings) {
        let folder = self.folder.as_path();
        for own in &mut self.certificates {
            if own.look(folder) == own.seen {
                continue;
            }
            match own.load(folder) {
                Ok(()) => {
                    let told = own.pair.as_ref().map(|pair| told(&own.files[0], pair));
                    found.renewed.extend(told.map(|told| format!("tls.certificate: {told}")));
                    found.note_readers("tls.certificate", &own.files[1], own.readers);
                }
                Err((_, what)) => found.refused.push(format!("tls.certificate: {what}")),
            }
        }
    }

    fn look_at_tickets(&mut self, found: &mut Findings) {
        let SessionTickets::OfFile { file, seen, .. } = &self.session_tickets else { return };
        if Seen::of(&self.folder.join(file)) == *seen {
            return;
        }
        let key = "tls.session_tickets";
        let loaded = self.session_tickets.load(&self.folder);
        let SessionTickets::OfFile { file, readers, .. } = &self.session_tickets else { return };
        match loaded {
            Ok(()) => {
                found.renewed.push(format!("{key}: {file} was read again"));
                found.note_readers(key, file, *readers);
            }
            Err(what) => found.refused.push(format!("{key}: {what}")),
        }
    }

    fn look_at_authorities(&mut self, found: &mut Findings) {
        let folder = self.folder.as_path();
        let Some(verify) = &mut self.verify_client else { return };
        if verify.is_fresh(folder) {
            return;
        }
        let former = verify.clone();
        match verify.load(folder).and_then(|()| self.serve()) {
            Ok(()) => {
                let present = self.verify_client.as_ref();
                found.renewed.extend(present.into_iter().flat_map(|own| own.told(&former)));
                found.warnings.extend(self.about_lists());
            }
            Err((judges, what)) => {
                found.refused.push(format!("{}: {what}", judges.key()));
                self.verify_client = Some(former.kept(&self.folder));
            }
        }
    }

    fn look_at_upstreams(&mut self, found: &mut Findings) {
        let folder = self.folder.as_path();
        for own in &mut self.upstreams {
            let seen = UpstreamClient::look(&own.settings, folder);
            if seen == own.seen {
                continue;
            }
            match UpstreamClient::load(&own.settings, folder) {
                Ok(new) => {
                    found.renewed.extend(told_of_upstream(own, &new));
                    if let Some([_, key]) = &own.settings.identity {
                        found.note_readers(own.asks.table(), key, new.readers);
                    }
                    *own = new.that_asks(own.asks);
                }
                Err(what) => {
                    found.refused.push(format!("{}.{what}", own.asks.table()));
                    own.seen = seen;
                }
            }
        }
    }

    /// Keeps the former server if nothing has changed for clients, so that tickets stay valid.
    pub fn keep(&mut self, former: &Tls) {
        if former.server.is_none() {
            return;
        }
        // Equal states mean equal contents, so these need not be compared.
        let pair = |own: &Certificate| Certificate { pair: None, ..own.clone() };
        let settings = |tls: &Tls| Tls {
            certificates: tls.certificates.iter().map(pair).collect(),
            server: None,
            upstreams: Vec::new(),
            ..tls.clone()
        };
        if settings(self) == settings(former) {
            let upstreams = std::mem::take(&mut self.upstreams);
            *self = Tls { upstreams, ..former.clone() };
        }
    }

    /// Prepares to serve clients with the files that were read.
    ///
    /// # Errors
    /// If the authorities for clients' certificates or their revocation lists cannot be used.
    fn serve(&mut self) -> Result<(), (Judges, String)> {
        let pairs = self.certificates.iter().filter_map(|own| own.pair.clone());
        let pairs: Vec<Pair> = pairs.collect();
        let verify = self.verify_client.as_ref();
        let server =
            Server::new(&ServerTerms {
                pairs: &pairs,
                only_newest: self.min_version == TlsVersion::Tls13,
                clients: verify.map(|VerifyClient { authorities, revoked, optional, .. }| {
                    Clients { authorities, revoked: revoked.as_ref(), optional: *optional }
                }),
                tickets: self.session_tickets.terms(),
            });
        self.server = Some(server.map_err(|error| {
            let (judges, what) = match error {
                ClientsError::Authorities(what) => (Judges::ClientCa, what),
                ClientsError::Revoked(what) => (Judges::ClientCrl, what),
            };
            let file = verify.map_or("", |verify| match judges {
                Judges::ClientCa => &verify.client_ca,
                Judges::ClientCrl => verify.client_crl.as_deref().unwrap_or_default(),
            });
            (judges, format!("{file}: {what}"))
        })?);
        Ok(())
    }
}

impl Config {
    /// Reads the certificates for `server.listen_tls`, unless that has no addresses. `folder` is
    /// the configuration file's.
    ///
    /// # Errors
    /// If a file cannot be read or used.
    pub fn load_certificates(&mut self, folder: &Path) -> Result<(), ConfigErrors> {
        // A program without TLS cannot have any, but the compiler does not know that.
        if self.server.listen_tls.is_empty() || !cfg!(feature = "tls") {
            return Ok(());
        }
        let Config { tls, tls_locations, .. } = self;
        let mut errors = ConfigErrors::default();
        for (own, locations) in tls.certificates.iter_mut().zip(&tls_locations.certificates) {
            if let Err((part, what)) = own.load(folder) {
                errors.add(locations[part as usize].clone(), what);
            }
        }
        if let Err(what) = tls.session_tickets.load(folder) {
            errors.add(tls_locations.session_tickets.clone(), what);
        }
        let authorities = tls.verify_client.as_mut().map_or(Ok(()), |verify| verify.load(folder));
        if let Err((judges, what)) = authorities.and_then(|()| tls.serve()) {
            let location = match judges {
                Judges::ClientCa => &tls_locations.client_ca,
                Judges::ClientCrl => &tls_locations.client_crl,
            };
            errors.add(location.clone(), what);
        }
        tls.folder = folder.to_owned();
        errors.done()
    }
}

fn told(file: &str, pair: &Pair) -> String {
    let [_, last] = pair.valid();
    format!("{file} was renewed, and is valid until {}", date::day(last))
}

/// Describes which of an upstream's files have changed.
fn told_of_upstream(former: &UpstreamClient, new: &UpstreamClient) -> Vec<String> {
    let changed = |at: usize| former.seen.get(at) != new.seen.get(at);
    let (mut out, table) = (Vec::new(), former.asks.table());
    // The authorities' file comes before those of the certificate and the key.
    let place = usize::from(new.settings.ca_file.is_some());
    if let Some(file) = new.settings.ca_file.as_ref().filter(|_| changed(0)) {
        out.push(format!("{table}.ca_file: {file} was read again"));
    }
    if let (Some([file, _]), Some(pair)) = (&new.settings.identity, &new.identity)
        && (changed(place) || changed(place + 1))
    {
        out.push(format!("{table}.certificate: {}", told(file, pair)));
    }
    out
}

#[cfg(test)]
#[cfg(feature = "tls")]
mod tests {
    use super::*;
    use crate::config::files::scratch::Scratch;
    use rcgen::{CertificateParams, KeyPair};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A folder with a certificate, its key, and a file of authorities.
    struct Folder(Scratch);

    impl Folder {
        fn new() -> Folder {
            let folder = Folder(Scratch::new());
            let [certificate, key] = new_pair();
            folder.replace("chain.pem", &certificate);
            folder.replace("key.pem", &key);
            folder.replace("ca.pem", &certificate);
            folder
        }

        fn write(&self, name: &str, text: &str, mode: u32) {
            fs::write(self.0.join(name), text).unwrap();
            fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }

        /// Replaces a file as renewals should.
        fn replace(&self, name: &str, text: &str) {
            self.write("new", text, 0o600);
            fs::rename(self.0.join("new"), self.0.join(name)).unwrap();
        }

        fn load(&self, tls: &str) -> Config {
            let text = format!(
                "server.listen_tls = ['127.0.0.1:443']\n[tls]\n{tls}\n[[tls.certificate]]\n\
                certificate = 'chain.pem'\nkey = 'key.pem'\n[demo]\n"
            );
            let mut config = Config::parse("x", &text).unwrap();
            config.load_certificates(&self.0).unwrap();
            config
        }
    }

    fn new_pair() -> [String; 2] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        [params.self_signed(&key).unwrap().pem(), key.serialize_pem()]
    }

    /// Checks the files, uses the result from then on, and returns the messages in short form.
    fn look(tls: &mut Arc<Tls>) -> Vec<String> {
        let Some(renewal) = tls.look() else { return Vec::new() };
        assert!(renewal.is_of(tls));
        *tls = Arc::new(renewal.tls);
        let few = |line: String| line.split(',').next().unwrap_or_default().to_owned();
        let Renewal { renewed, refused, warnings, .. } = renewal;
        [renewed, refused, warnings].into_iter().flatten().map(few).collect()
    }

    #[test]
    fn a_pair_is_renewed_when_both_files_are() {
        let folder = Folder::new();
        let mut tls = Arc::new(folder.load("").tls);
        let (server, pair) = (tls.server.clone(), tls.certificates[0].pair.clone());
        assert!(look(&mut tls).is_empty());
        let [certificate, key] = new_pair();
        folder.replace("chain.pem", &certificate);
        let wrong = "tls.certificate: key.pem: it is not the key of the certificate";
        assert_eq!(look(&mut tls), [wrong]);
        assert!(look(&mut tls).is_empty(), "it is reported once");
        assert_eq!((&tls.server, &tls.certificates[0].pair), (&server, &pair));
        folder.replace("key.pem", &key);
        assert_eq!(look(&mut tls), ["tls.certificate: chain.pem was renewed"]);
        assert!(tls.server != server && tls.certificates[0].pair != pair);
        assert!(look(&mut tls).is_empty());
    }

    /// Certbot's files are links, whose targets it changes.
    #[test]
    fn links_are_followed() {
        let folder = Folder::new();
        let turn = |n: u32, [certificate, key]: [String; 2]| {
            for (name, text) in [("chain", certificate), ("key", key)] {
                let target = folder.0.join(format!("{name}{n}.pem"));
                let link = folder.0.join(format!("{name}.pem"));
                folder.write(&format!("{name}{n}.pem"), &text, 0o600);
                fs::remove_file(&link).unwrap();
                symlink(&target, &link).unwrap();
            }
        };
        turn(1, new_pair());
        let mut tls = Arc::new(folder.load("").tls);
        assert!(look(&mut tls).is_empty());
        turn(2, new_pair());
        assert_eq!(look(&mut tls), ["tls.certificate: chain.pem was renewed"]);
        fs::remove_file(folder.0.join("key.pem")).unwrap();
        let wrong = "tls.certificate: cannot read key.pem: No such file or directory (os error 2)";
        assert_eq!(look(&mut tls), [wrong]);
        assert!(look(&mut tls).is_empty());
    }

    #[test]
    fn authorities_are_renewed() {
        let folder = Folder::new();
        let asks = "client_ca = 'ca.pem'\nverify_client = 'require'";
        let mut tls = Arc::new(folder.load(asks).tls);
        let server = tls.server.clone();
        folder.replace("ca.pem", "nothing");
        let wrong = "tls.client_ca: ca.pem: no certificate in it; it has to be a PEM file";
        assert_eq!(look(&mut tls), [wrong]);
        assert!(look(&mut tls).is_empty());
        assert_eq!(tls.server, server);
        let [certificate, key] = new_pair();
        folder.replace("chain.pem", &certificate);
        folder.replace("key.pem", &key);
        let renewed = ["tls.certificate: chain.pem was renewed"];
        assert_eq!(look(&mut tls), renewed, "with the former authorities");
        folder.replace("ca.pem", &certificate);
        assert_eq!(look(&mut tls), ["tls.client_ca: ca.pem was read again"]);
    }

    #[test]
    fn a_handshake_takes_longer_with_rsa_and_with_certificates_of_clients() {
        let folder = Folder::new();
        let asking = "client_ca = 'ca.pem'\nverify_client = 'optional'";
        assert_eq!(folder.load("").tls.handshake_cost().as_micros(), 300);
        assert_eq!(folder.load(asking).tls.handshake_cost().as_micros(), 500);
        let key = KeyPair::from_pem(include_str!("../../../tests/it/e2e/rsa.pem")).unwrap();
        let params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        folder.replace("chain.pem", &params.self_signed(&key).unwrap().pem());
        folder.replace("key.pem", &key.serialize_pem());
        assert_eq!(folder.load("").tls.handshake_cost().as_micros(), 1000);
    }

    #[test]
    fn keys_of_tickets_are_renewed() {
        let folder = Folder::new();
        let keys = |of: &[&str]| of.iter().map(|key| key.repeat(16) + "\n").collect::<String>();
        folder.replace("tickets", &keys(&["QUJD"]));
        let mut tls = Arc::new(folder.load("session_tickets = 'tickets'").tls);
        let server = tls.server.clone();
        assert!(look(&mut tls).is_empty());
        folder.replace("tickets", "QUJD\n");
        let wrong = "tls.session_tickets: tickets: line 1 is not a key of 32 to 1024 bytes; \
            `openssl rand -base64 48` makes one";
        assert_eq!(look(&mut tls), [wrong]);
        assert!(look(&mut tls).is_empty(), "it is reported once");
        assert_eq!(tls.server, server);
        folder.replace("tickets", &keys(&["REVG", "QUJD"]));
        assert_eq!(look(&mut tls), ["tls.session_tickets: tickets was read again"]);
        assert!(tls.server != server && look(&mut tls).is_empty());
    }

    #[test]
    fn secrets_that_everybody_can_read_are_told_of() {
        let folder = Folder::new();
        let public =
            |file: &str| format!("{file}: every user on this host can read it; chmod o-r it");
        let tickets = "QUJD".repeat(16);
        folder.replace("tickets", &tickets);
        let text = "server.listen_tls = ['127.0.0.1:443']\n[tls]\nsession_tickets = 'tickets'\n\
            [[tls.certificate]]\ncertificate = 'chain.pem'\nkey = 'key.pem'\n[[api]]\nname = 'a'\n\
            listen_path = '/'\ntarget_url = 'https://a.example'\n[api.upstream_tls]\n\
            ca_file = 'ca.pem'\ncertificate = 'chain.pem'\nkey = 'shown.pem'\n";
        fs::copy(folder.0.join("key.pem"), folder.0.join("shown.pem")).unwrap();
        folder.replace("a.toml", text);
        let load = || Config::load(&folder.0.join("a.toml")).unwrap();
        let about_files = |config: Config| {
            let mut warnings = config.warnings(None, 1);
            warnings.retain(|warning| warning.contains("can read it"));
            warnings
        };
        assert!(about_files(load()).is_empty());
        let mut tls = Arc::new(load().tls);
        let keys = ["key.pem", "tickets", "shown.pem"];
        for name in keys {
            let text = fs::read_to_string(folder.0.join(name)).unwrap();
            folder.write(name, &text, 0o644);
        }
        assert_eq!(about_files(load()), keys.map(public));
        let at = ["tls.certificate", "tls.session_tickets", "api.upstream_tls"];
        let mut told = look(&mut tls);
        told.retain(|told| told.contains("can read it"));
        let want = [0, 1, 2].map(|key| format!("{}: {}", at[key], public(keys[key])));
        assert_eq!(told, want);
    }

    #[test]
    fn what_targets_are_shown_is_renewed() {
        let folder = Folder::new();
        let api = |name: &str, more: &str| {
            format!(
                "[[api]]\nname = '{name}'\nlisten_path = '/{name}'\n\
                target_url = 'https://{name}.example'\n[api.upstream_tls]\n{more}\n"
            )
        };
        let shows = "certificate = 'chain.pem'\nkey = 'key.pem'";
        let first = format!("ca_file = 'ca.pem'\n{shows}");
        let second = "ca_file = 'ca.pem'\nserver_name = 'c.example'";
        let text = [api("a", &first), api("b", second), api("c", "ca_file = 'ca.pem'")].concat();
        let mut config = Config::parse("x", &text).unwrap();
        config.load_tls(&folder.0).unwrap();
        let terms: Vec<_> = config.apis.iter().map(|api| api.upstream_tls.clone()).collect();
        let mut tls = Arc::new(config.tls);
        assert_eq!(tls.upstreams.len(), 2, "the name of the server makes no difference");
        assert!(tls.is_renewable() && look(&mut tls).is_empty());
        let clients = |tls: &Tls| {
            let of = |terms| tls.upstreams.iter().find_map(|own| own.of(terms, "x.example"));
            terms.iter().map(of).collect::<Vec<_>>()
        };
        let before = clients(&tls);
        assert!(before.iter().all(Option::is_some));
        let [certificate, key] = new_pair();
        folder.replace("chain.pem", &certificate);
        let wrong = "api.upstream_tls.key: key.pem: it is not the key of the certificate";
        assert_eq!(look(&mut tls), [wrong]);
        assert!(look(&mut tls).is_empty(), "it is reported once");
        assert_eq!(clients(&tls), before);
        folder.replace("key.pem", &key);
        let renewed = "api.upstream_tls.certificate: chain.pem was renewed";
        assert_eq!(look(&mut tls), [renewed]);
        let after = clients(&tls);
        assert!(after[0] != before[0] && after[1..] == before[1..]);
        folder.replace("ca.pem", "nothing");
        let wrong =
            "api.upstream_tls.ca_file: ca.pem: no certificate in it; it has to be a PEM file";
        assert_eq!(look(&mut tls), [wrong, wrong]);
        assert!(look(&mut tls).is_empty() && clients(&tls) == after);
        folder.replace("ca.pem", &certificate);
        let again = "api.upstream_tls.ca_file: ca.pem was read again";
        assert_eq!(look(&mut tls), [again, again]);
        assert!(clients(&tls).iter().zip(&after).all(|(new, old)| new != old));
    }

    #[test]
    fn what_auth_servers_are_shown_is_renewed() {
        let folder = Folder::new();
        let text = "[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://a.example'\n\
            [api.auth]\nurl = 'https://b.example'\n[api.auth.upstream_tls]\nca_file = 'ca.pem'\n\
            certificate = 'chain.pem'\nkey = 'key.pem'\n";
        let mut config = Config::parse("x", text).unwrap();
        config.load_tls(&folder.0).unwrap();
        let mut tls = Arc::new(config.tls);
        let [certificate, key] = new_pair();
        folder.replace("chain.pem", &certificate);
        let table = "api.auth.upstream_tls";
        let wrong = format!("{table}.key: key.pem: it is not the key of the certificate");
        assert_eq!(look(&mut tls), [wrong]);
        folder.replace("key.pem", &key);
        folder.replace("ca.pem", &certificate);
        let renewed = [
            format!("{table}.ca_file: ca.pem was read again"),
            format!("{table}.certificate: chain.pem was renewed"),
        ];
        assert_eq!(look(&mut tls), renewed);
        let expiries = tls.expiries(u64::MAX / 2);
        let expired = format!("{table}.certificate: chain.pem expired on ");
        assert!(expiries[0].text.starts_with(&expired), "{}", expiries[0].text);
        assert!(expiries[0].text.contains("so auth servers refuse it"), "{}", expiries[0].text);
    }

    #[test]
    fn what_is_equal_is_kept() {
        let folder = Folder::new();
        let former = Arc::new(folder.load("").tls);
        let keeps = |mut tls: Tls| {
            tls.keep(&former);
            tls.server == former.server
        };
        assert!(keeps(folder.load("").tls));
        assert!(!keeps(folder.load("session_tickets = false").tls));
        let [certificate, key] = new_pair();
        folder.replace("chain.pem", &certificate);
        folder.replace("key.pem", &key);
        assert!(!keeps(folder.load("").tls));
        let other = Arc::new(folder.load("").tls);
        assert!(!former.look().unwrap().is_of(&other), "a reload came between");
    }
}
