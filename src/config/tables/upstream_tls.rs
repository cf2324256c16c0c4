//! `[api.upstream_tls]`: the TLS settings for an api's targets with `https://`, and
//! `[api.auth.upstream_tls]`: those for its `auth.url`.

use super::tls::{cannot_read, pair};
use crate::config::error::{ConfigErrors, Location, Wrong};
use crate::config::files::readers::Readers;
use crate::config::files::seen::Seen;
use crate::config::load::read_file;
use crate::config::table::Table;
use crate::config::values::uri;
use crate::config::values::value::{file, flag, text};
use crate::config::{Api, Config, ForwardAuth, Target};
use crate::net::tls::{Client, ClientOf, Pair, Terms, Trust};
use std::path::Path;
use toml::de::DeValue;

/// `[api.upstream_tls]`, or `[api.auth.upstream_tls]`: the TLS settings for targets with
/// `https://`. The names of files are as configured, relative to the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The file with the certificates of trusted authorities. None: those that the system trusts.
    pub ca_file: Option<String>,
    /// The name that certificates must be for, and that is sent as SNI. None: the target's host.
    pub server_name: Option<String>,
    /// The files of the certificate to show to targets that ask for one, and of its key.
    pub identity: Option<[String; 2]>,
    /// Whether any certificate is accepted.
    pub insecure_skip_verify: bool,
}

impl UpstreamTls {
    /// All its files, as configured: those of the authorities, the certificate and its key.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        let pair = self.identity.iter().flatten();
        self.ca_file.iter().chain(pair).map(String::as_str)
    }

    /// The same settings without the server name.
    fn for_any_name(&self) -> UpstreamTls {
        UpstreamTls { server_name: None, ..self.clone() }
    }
}

/// The TLS client made from `[api.upstream_tls]` and the files that it names. All apis share it
/// whose settings differ only in the server name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamClient {
    /// The settings, without the server name.
    pub(crate) settings: UpstreamTls,
    /// The certificate that it shows, and its key.
    pub(crate) identity: Option<Pair>,
    /// Who could read the key when it was read.
    pub(crate) readers: Readers,
    /// The TLS client.
    client: Client,
    /// The files as they were when they were last read.
    pub(crate) seen: Vec<Seen>,
    /// What it is for, according to its first use in the configuration.
    pub(crate) asks: Asks,
}

/// What kind of server is connected to by TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// The targets of an api.
    Targets,
    /// An auth server.
    AuthServer,
}

impl Asks {
    /// The table with its settings.
    pub(crate) const fn table(self) -> &'static str {
        match self {
            Asks::Targets => "api.upstream_tls",
            Asks::AuthServer => "api.auth.upstream_tls",
        }
    }
}

impl UpstreamClient {
    /// Reads the files.
    pub(crate) fn load(settings: &UpstreamTls, folder: &Path) -> Result<UpstreamClient, String> {
        // First, so that a change during the reading leads to another one.
        let seen = UpstreamClient::look(settings, folder);
        let (client, identity, readers) = client(settings, folder)?;
        let asks = Asks::Targets;
        Ok(UpstreamClient { settings: settings.clone(), identity, readers, client, seen, asks })
    }

    /// The same client, for this kind of server.
    pub(crate) fn that_asks(self, asks: Asks) -> UpstreamClient {
        UpstreamClient { asks, ..self }
    }

    /// The present state of the files.
    pub(crate) fn look(settings: &UpstreamTls, folder: &Path) -> Vec<Seen> {
        settings.files().map(|file| Seen::of(&folder.join(file))).collect()
    }

    /// The client for a target with this host and these settings. None if it has other settings.
    pub fn of(&self, terms: &UpstreamTls, host: &str) -> Option<ClientOf> {
        let is_of = terms.for_any_name() == self.settings;
        let name = terms.server_name.as_deref().unwrap_or(host);
        is_of.then(|| self.client.of(name).ok()).flatten()
    }
}

pub(crate) fn upstream_tls(t: &mut Table<'_, '_>) -> Option<UpstreamTls> {
    let ca_file = t.take("ca_file", file).flatten();
    let server_name = t.take("server_name", server_name).flatten();
    let certificate = t.take("certificate", file).flatten();
    let key = t.take("key", file).flatten();
    let insecure_skip_verify = t.take("insecure_skip_verify", flag).unwrap_or(false);
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some([certificate, key]),
        (None, None) => None,
        (Some(_), None) => {
            t.missing("key", "missing; a certificate cannot be used without its key");
            None
        }
        (None, Some(_)) => {
            t.missing("certificate", "missing; a key cannot be used without its certificate");
            None
        }
    };
    Some(UpstreamTls { ca_file, server_name, identity, insecure_skip_verify })
}

/// Reads a name that a certificate can be for. An empty string means none.
fn server_name(value: &DeValue<'_>) -> Result<Option<String>, Wrong> {
    let name = text(value)?;
    if name.is_empty() {
        return Ok(None);
    }
    let host = uri::host(name)?;
    Ok(Some(host.trim_start_matches('[').trim_end_matches(']').to_owned()))
}

impl Config {
    /// Reads what targets with `https://` need: the files of [`UpstreamTls`], and the authorities
    /// that the system trusts. `folder` is the configuration file's.
    ///
    /// # Errors
    /// If a file cannot be read or used.
    pub fn load_tls(&mut self, folder: &Path) -> Result<(), ConfigErrors> {
        folder.clone_into(&mut self.tls.folder);
        self.secure_with(|settings| UpstreamClient::load(settings, folder))
    }

    /// Prepares TLS for all targets with `https://`. `client` is called once for settings that
    /// differ only in the server name.
    ///
    /// # Errors
    /// Any error of `client`.
    pub fn secure(
        &mut self,
        mut client: impl FnMut(&UpstreamTls) -> Result<Client, String>,
    ) -> Result<(), ConfigErrors> {
        self.secure_with(|settings| {
            let client = client(settings)?;
            let (settings, readers, asks) = (settings.clone(), Readers::Few, Asks::Targets);
            let (identity, seen) = (None, Vec::new());
            Ok(UpstreamClient { settings, identity, readers, client, seen, asks })
        })
    }

    fn secure_with(
        &mut self,
        mut load: impl FnMut(&UpstreamTls) -> Result<UpstreamClient, String>,
    ) -> Result<(), ConfigErrors> {
        if !cfg!(feature = "tls") {
            // There cannot be any, but the compiler does not know that.
            return Ok(());
        }
        let mut errors = ConfigErrors::default();
        let known = &mut self.tls.upstreams;
        let active = self.apis.iter_mut().zip(&self.locations).filter(|(api, _)| api.active);
        let upstreams = active.flat_map(|(api, locations)| {
            let Api { targets, upstream_tls, forward_auth, .. } = api;
            let auth_server = forward_auth.iter_mut().map(|auth| {
                let ForwardAuth { target, tls, .. } = auth;
                (target.as_mut_slice(), &*tls, &locations.auth[1], Asks::AuthServer)
            });
            [(targets.as_mut_slice(), &*upstream_tls, &locations.tls, Asks::Targets)]
                .into_iter()
                .chain(auth_server)
        });
        for (targets, terms, location, asks) in upstreams {
            if !targets.iter().any(|target| target.is_secure) {
                continue;
            }
            let settings = terms.for_any_name();
            let place = known.iter().position(|known| known.settings == settings);
            let made = match place {
                Some(place) => Ok(place),
                None => load(&settings).map(|own| {
                    known.push(own.that_asks(asks));
                    known.len() - 1
                }),
            };
            let secured = made.and_then(|place| secure(targets, terms, &known[place].client));
            if let Err(what) = secured {
                errors.append(ConfigErrors::one(Location::clone(location), what));
            }
        }
        errors.done()
    }
}

fn secure(targets: &mut [Target], terms: &UpstreamTls, client: &Client) -> Result<(), String> {
    for target in targets {
        let name = terms.server_name.as_ref().unwrap_or(&target.host);
        target.tls = Some(client.of(name)?);
    }
    Ok(())
}

/// Creates a TLS client with these settings. Also returns the certificate that it shows, and who
/// can read its key.
fn client(tls: &UpstreamTls, folder: &Path) -> Result<(Client, Option<Pair>, Readers), String> {
    let of_file = |what: String| match &tls.ca_file {
        Some(file) => format!("ca_file: {file}: {what}"),
        None => format!("ca_file: {what}"),
    };
    let roots = tls.ca_file.as_ref().map(|file| {
        let read = read_file(&folder.join(file));
        read.map_err(|error| format!("ca_file: {}", cannot_read(file, &error)))
    });
    let roots = roots.transpose()?;
    let identity = tls.identity.as_ref().map(|files| pair(files, folder)).transpose();
    let (identity, readers) = identity
        .map_err(|(part, what)| format!("{}: {what}", part.key()))?
        .map_or((None, Readers::Few), |(pair, readers)| (Some(pair), readers));
    let trust = match &roots {
        _ if tls.insecure_skip_verify => Trust::Everybody,
        Some(roots) => Trust::These(roots),
        None => Trust::System,
    };
    let client = Client::new(Terms { trust, identity: identity.as_ref() }).map_err(of_file)?;
    Ok((client, identity, readers))
}
