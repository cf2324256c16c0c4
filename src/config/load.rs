//! Loads a configuration: the file itself, and the files that it names.

use super::error::{ConfigErrors, Location};
use super::files::keys;
use super::files::readers::Readers;
use super::files::seen::Seen;
use super::files::sources::folders_of;
use super::values::reference::{self, Reference, Resolve};
use super::{Config, Sources, Tls, UpstreamTls};
use crate::auth::Keys;
use crate::confines;
use crate::descriptors;
use nix::unistd::{Gid, Uid, User, getgrouplist};
use std::collections::{BTreeMap, BTreeSet};
use std::env::{self, VarError};
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The contents of a key file, and who can read it.
#[derive(Debug)]
pub struct KeysText {
    /// The name of the file, for errors.
    pub name: String,
    /// The contents, which may not be valid UTF-8.
    pub bytes: Vec<u8>,
    /// Who can read the file.
    pub readers: Readers,
}

impl Config {
    /// Reads a file and the files that it names. Host names in it are not resolved.
    ///
    /// # Errors
    /// If a file cannot be read or is invalid.
    pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
        let mut sources = Sources::of(path);
        match Config::load_from(path, &mut sources) {
            Ok(config) => Ok(config),
            Err(errors) => Err(errors.in_files(sources)),
        }
    }

    /// Adds to `sources` the files that the configuration names, before each of them is read.
    fn load_from(path: &Path, sources: &mut Sources) -> Result<Config, ConfigErrors> {
        let name = path.display().to_string();
        let bytes = read_file(path).map_err(|error| {
            let what = format!("cannot read the file: {}", descriptors::explain(&error));
            ConfigErrors::one(Location::whole(&name), what)
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut referenced = Vec::new();
        let mut resolve = |reference: Reference<'_>| match reference {
            Reference::Variable(name) => variable(name),
            Reference::File(file) => {
                referenced.push((file.to_owned(), Seen::of(&folder.join(file))));
                contents(file, folder)
            }
        };
        let parsed = text(&name, &bytes).and_then(|text| {
            let mut config = Config::parse_with(&name, text, &mut resolve)?;
            let read_keys = |file: &str| {
                sources.add(&folder.join(file), Seen::of(&folder.join(file)));
                read_keys(&folder.join(file))
            };
            config.load_keys_with(read_keys, &mut resolve)?;
            Ok(config)
        });
        for (file, seen) in &referenced {
            sources.add(&folder.join(file), *seen);
        }
        let mut config = parsed?;
        config.referenced = referenced.into_iter().map(|(file, _)| file).collect();
        config.sources = sources.clone();
        // Those of TLS are renewed separately, once they have been loaded.
        for file in config.files() {
            sources.add(&folder.join(file), Seen::of(&folder.join(file)));
        }
        config.load_tls(folder)?;
        config.load_certificates(folder)?;
        config.look_for_hidden_files(path);
        config.look_for_readers();
        Ok(config)
    }

    /// Checks that the user to which the process switches exists, and finds files that this user
    /// may not read, judging by their modes. `path` is the configuration file.
    fn look_for_hidden_files(&mut self, path: &Path) {
        let user = self.server.user.as_ref();
        let reader = user.and_then(|name| Reader::named(name));
        self.has_unknown_user = user.is_some() && reader.is_none();
        let Some(reader) = reader.filter(|reader| reader.user != ROOT) else { return };
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut hidden = Vec::new();
        for file in self.files() {
            if !reader.can_read(&folder.join(file)) && !hidden.iter().any(|other| other == file) {
                hidden.push(file.to_owned());
            }
        }
        if !reader.can_read(path) {
            hidden.push(path.display().to_string());
        }
        self.hidden = hidden;
    }

    /// The folders in which files can be read in a sandbox: those in
    /// [`sandbox_folders`](super::Server::sandbox_folders), and those of the configuration's files.
    pub fn folders(&self, path: &Path) -> BTreeSet<PathBuf> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let named = self.server.sandbox_folders.iter().map(|named| folder.join(named));
        let mut folders = self.folders_of_files(path);
        folders.extend(named.flat_map(fs::canonicalize));
        folders
    }

    /// The folders of the configuration file at `path`, of all files that it names, and of the
    /// links on the way to them. Each is absolute and free of links.
    pub(super) fn folders_of_files(&self, path: &Path) -> BTreeSet<PathBuf> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut folders = folders_of(path);
        self.files().for_each(|file| folders.extend(folders_of(&folder.join(file))));
        // Links and ".." may give the same folder several paths.
        folders.iter().flat_map(fs::canonicalize).collect()
    }

    /// All files that the configuration names, as configured.
    fn files(&self) -> impl Iterator<Item = &str> {
        let keys = self.apis.iter().filter_map(|api| Some(api.auth.as_ref()?.keys_file.as_str()));
        let active = self.apis.iter().filter(|api| api.active);
        let upstreams = active.flat_map(|api| {
            let auth_server = api.forward_auth.iter().map(|auth| (&auth.target[0], &auth.tls));
            [(api.target(), &api.upstream_tls)].into_iter().chain(auth_server)
        });
        let upstreams = upstreams.filter(|(target, _)| target.is_secure).map(|(_, tls)| tls);
        let served = Some(&self.tls).filter(|_| !self.server.listen_tls.is_empty());
        let referenced = self.referenced.iter().map(String::as_str);
        keys.chain(referenced)
            .chain(upstreams.flat_map(UpstreamTls::files))
            .chain(served.into_iter().flat_map(Tls::files))
    }

    /// Loads the keys of all apis that have a key file. `read` returns the contents of a file, and
    /// is called once per file.
    ///
    /// # Errors
    /// If a file cannot be read or is invalid.
    pub fn load_keys(
        &mut self,
        read: impl FnMut(&str) -> io::Result<KeysText>,
    ) -> Result<(), ConfigErrors> {
        self.load_keys_with(read, &mut reference::nothing)
    }

    fn load_keys_with(
        &mut self,
        mut read: impl FnMut(&str) -> io::Result<KeysText>,
        resolve: &mut Resolve<'_>,
    ) -> Result<(), ConfigErrors> {
        let names: Vec<String> = self.apis.iter().map(|api| api.name.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut errors = ConfigErrors::default();
        let mut known: BTreeMap<String, (Keys, Readers)> = BTreeMap::new();
        for (api, locations) in self.apis.iter_mut().zip(&self.locations) {
            let Some(auth) = &mut api.auth else { continue };
            if !known.contains_key(&auth.keys_file) {
                let (keys, readers) = match read(&auth.keys_file) {
                    Ok(KeysText { name, bytes, readers }) => {
                        let keys = text(&name, &bytes);
                        let keys = keys.and_then(|t| keys::read(&name, t, &names, resolve));
                        (keys, readers)
                    }
                    Err(error) => {
                        let error = descriptors::explain(&error);
                        let file = &auth.keys_file;
                        let what = format!("cannot read the key file {file}: {error}");
                        (Err(ConfigErrors::one(locations.keys.clone(), what)), Readers::Few)
                    }
                };
                let keys = keys.unwrap_or_else(|wrong| {
                    errors.append(wrong);
                    Arc::from([])
                });
                known.insert(auth.keys_file.clone(), (keys, readers));
            }
            if let Some((keys, readers)) = known.get(&auth.keys_file) {
                (auth.keys, auth.readers) = (Arc::clone(keys), *readers);
            }
        }
        errors.done()
    }
}

/// The value of an environment variable.
fn variable(name: &str) -> Result<String, String> {
    match env::var(name) {
        Ok(value) => Ok(value),
        Err(VarError::NotPresent) => Err(format!("the environment has no variable {name}")),
        Err(VarError::NotUnicode(_)) => Err(format!("the variable {name} is not UTF-8")),
    }
}

/// Maximum length in bytes of a file to which a string refers.
const REFERENCED_MAX: usize = 64 << 10;

/// The text in a file, without its final line end.
fn contents(file: &str, folder: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    open(&folder.join(file))
        .and_then(|opened| opened.take(REFERENCED_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {file}: {}", descriptors::explain(&error)))?;
    if bytes.len() > REFERENCED_MAX {
        return Err(format!("{file} is longer than 64 KiB"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| format!("{file} is not UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
        text.truncate(text.strip_suffix('\r').map_or(text.len(), str::len));
    }
    Ok(text)
}

fn read_keys(path: &Path) -> io::Result<KeysText> {
    let (bytes, readers) = read_secret(path)?;
    Ok(KeysText { name: path.display().to_string(), bytes, readers })
}

/// Reads a file of secrets, and returns who else can read it. It is opened only once, so both are
/// about the same file.
pub(super) fn read_secret(path: &Path) -> io::Result<(Vec<u8>, Readers)> {
    let mut file = open(path)?;
    let readers = Readers::of(&file)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((bytes, readers))
}

/// Reads a regular file.
pub(super) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a regular file. Opening a pipe would block everything that follows, and a device may have
/// no end.
fn open(path: &Path) -> io::Result<File> {
    confines::may_read(path)?;
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file; write the path of one"));
    }
    File::open(path)
}

/// A user that may be allowed to read files.
struct Reader {
    user: Uid,
    groups: Vec<Gid>,
}

const ROOT: Uid = Uid::from_raw(0);

impl Reader {
    fn named(name: &str) -> Option<Reader> {
        let user = User::from_name(name).ok()??;
        let groups = getgrouplist(&CString::new(name).ok()?, user.gid).ok()?;
        Some(Reader { user: user.uid, groups })
    }

    /// True if the user can read a file, judging by its mode and those of the folders on the way.
    fn can_read(&self, path: &Path) -> bool {
        let (Ok(written), Ok(real)) = (std::path::absolute(path), fs::canonicalize(path)) else {
            return false;
        };
        let folders = written.ancestors().skip(1).chain(real.ancestors().skip(1));
        self.may(path, 4) && folders.into_iter().all(|folder| self.may(folder, 1))
    }

    /// True if the bits of a mode that apply to the user include `bit`.
    fn may(&self, path: &Path, bit: u32) -> bool {
        let Ok(metadata) = fs::metadata(path) else { return false };
        let is_of_group = || self.groups.contains(&Gid::from_raw(metadata.gid()));
        let shift = match metadata.uid() == self.user.as_raw() {
            true => 6,
            false if is_of_group() => 3,
            false => 0,
        };
        metadata.mode() >> shift & bit != 0
    }
}

fn text<'b>(name: &str, bytes: &'b [u8]) -> Result<&'b str, ConfigErrors> {
    str::from_utf8(bytes).map_err(|error| {
        let location = Location::in_file(name, bytes, error.valid_up_to(), String::new());
        ConfigErrors::one(location, "not UTF-8; save the file in that encoding")
    })
}
