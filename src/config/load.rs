//! The files that a configuration is read from: the one that is named, and those that it names.

use super::error::{ConfigErrors, Place};
use super::{Config, keys};
use crate::auth::Keys;
use crate::descriptors;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

/// What a file of keys says, and to whom.
#[derive(Debug)]
pub struct KeysText {
    /// The file's name, for the errors.
    pub name: String,
    /// What it says; perhaps in no encoding.
    pub bytes: Vec<u8>,
    /// True exactly when everybody on this host can read it.
    pub public: bool,
}

impl Config {
    /// Reads a file and those that it names, and resolves the names in it.
    ///
    /// # Errors
    /// If a file cannot be read, or is wrong.
    pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
        let name = path.display().to_string();
        let bytes = fs::read(path).map_err(|error| {
            let what = format!("cannot read it: {}", descriptors::explain(&error));
            ConfigErrors::one(Place::whole(&name), what)
        })?;
        let mut config = Config::parse(&name, text(&name, &bytes)?)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.load_keys(|file| read_keys(&folder.join(file)))?;
        config.resolve();
        Ok(config)
    }

    /// Fills in the keys of all apis that have a file of them. `read` gives what is in a file, and
    /// is asked once for each.
    ///
    /// # Errors
    /// If a file cannot be read, or is wrong.
    pub fn load_keys(
        &mut self,
        mut read: impl FnMut(&str) -> io::Result<KeysText>,
    ) -> Result<(), ConfigErrors> {
        let names: Vec<String> = self.apis.iter().map(|api| api.name.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut errors = ConfigErrors::default();
        let mut known: BTreeMap<String, (Keys, bool)> = BTreeMap::new();
        for (api, places) in self.apis.iter_mut().zip(&self.places) {
            let Some(auth) = &mut api.auth else { continue };
            if !known.contains_key(&auth.keys_file) {
                let (keys, public) = match read(&auth.keys_file) {
                    Ok(KeysText { name, bytes, public }) => {
                        let keys = text(&name, &bytes).and_then(|t| keys::read(&name, t, &names));
                        (keys, public)
                    }
                    Err(error) => {
                        let error = descriptors::explain(&error);
                        let what = format!("cannot read the file of keys: {error}");
                        (Err(ConfigErrors::one(places.keys.clone(), what)), false)
                    }
                };
                let keys = keys.unwrap_or_else(|wrong| {
                    errors.append(wrong);
                    Arc::from([])
                });
                known.insert(auth.keys_file.clone(), (keys, public));
            }
            if let Some((keys, public)) = known.get(&auth.keys_file) {
                (auth.keys, auth.public) = (Arc::clone(keys), *public);
            }
        }
        errors.done()
    }
}

fn read_keys(path: &Path) -> io::Result<KeysText> {
    let name = path.display().to_string();
    // A pipe would be waited for, and so would everything that comes after.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut file = File::open(path)?;
    let public = file.metadata()?.permissions().mode() & 0o004 != 0;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(KeysText { name, bytes, public })
}

fn text<'b>(name: &str, bytes: &'b [u8]) -> Result<&'b str, ConfigErrors> {
    str::from_utf8(bytes).map_err(|error| {
        let place = Place::in_file(name, bytes, error.valid_up_to(), String::new());
        ConfigErrors::one(place, "not UTF-8; write the file in that encoding")
    })
}
