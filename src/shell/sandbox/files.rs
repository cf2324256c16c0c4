//! What may be opened, enforced by Landlock.
//!
//! Rules are for folders, because editors and certificate renewals replace a file with another one.
//! A rule also covers everything below its folder. Only files directly in `/etc` have rules of
//! their own: that folder holds the configuration of everything else on the host, and what the
//! resolver reads there is rarely replaced. When it is, the log says so ([`confines::replaced`]).
//!
//! A file's metadata (`stat`), its name and the target of a link can be read everywhere.

use crate::config::{Config, folders_of};
use crate::confines::{self, Confines};
use landlock::{
    ABI, Access, AccessFs, RestrictSelfAttr, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The configuration of the resolvers of glibc and musl.
const RESOLVER: [&str; 5] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf"];

/// What glibc loads when it resolves the first name: a module for each source of names, and the
/// libraries that these need. A static program loads none.
const LIBRARIES: [&str; 7] =
    ["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib"];

/// What else these modules and startup read: users, caches, and the number of processors. Nothing
/// is lost if these files are replaced.
const DATA: [&str; 8] = [
    "/etc/passwd",
    "/etc/group",
    "/etc/services",
    "/etc/ld.so.cache",
    "/etc/machine-id",
    "/var/lib/sss",
    "/run/systemd/resolve",
    "/sys/devices/system/cpu/online",
];

/// Where distributions keep the certificates of certificate authorities. They are always readable,
/// because a reloaded configuration may be the first to need them.
const AUTHORITIES: [&str; 12] = [
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/pki",
    "/usr/share/ssl",
    "/var/lib/ca-certificates",
    "/system/etc/security/cacerts",
];

/// Lets this thread and all threads it starts open only what is needed. Returns the folders of the
/// configuration, for the log.
///
/// # Errors
/// If the system cannot, why not.
pub(super) fn confine(config: &Config, file: Option<&Path>) -> Result<String, String> {
    let own = file.map_or_else(BTreeSet::new, |file| config.folders(file));
    let mut readable = own.clone();
    let mut pinned = Vec::new();
    for name in RESOLVER {
        let path = Path::new(name);
        match fs::canonicalize(path).ok().and_then(|real| Some((real.parent()?.to_owned(), real))) {
            Some((folder, _)) if is_apart(&folder) => {
                readable.insert(folder);
            }
            Some((_, real)) => {
                readable.insert(real);
                pinned.push(confines::known(path.to_owned()));
            }
            // It may be created later, which is worth logging.
            None => pinned.push((path.to_owned(), None)),
        }
    }
    let libraries = if cfg!(target_feature = "crt-static") { &[][..] } else { &LIBRARIES };
    let system = libraries.iter().chain(&DATA).chain(&AUTHORITIES).map(PathBuf::from);
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(std::env::var_os);
    let named = named.iter().flatten().flat_map(std::env::split_paths);
    for path in system.chain(named) {
        readable.extend(fs::canonicalize(&path));
        if path.is_file() {
            readable.extend(folders_of(&path).into_iter().filter(|folder| is_apart(folder)));
        }
    }
    let sockets = config.socket_files().into_iter().map(|path| match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        folder => folder.unwrap_or(path),
    });
    let sockets: BTreeSet<PathBuf> = sockets.flat_map(fs::canonicalize).collect();
    match enforce(&readable, &sockets) {
        Ok(RulesetStatus::NotEnforced) => {
            Err("it needs Landlock, which is in Linux since 5.13, and can be switched off".into())
        }
        Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => {
            let names: Vec<String> = own.iter().map(|path| path.display().to_string()).collect();
            let known = |set: BTreeSet<PathBuf>| set.into_iter().map(confines::known).collect();
            let [readable, sockets] = [readable, sockets].map(known);
            confines::set(Confines { readable, sockets, pinned });
            let none = "no folder but the system's";
            Ok(if names.is_empty() { none.to_owned() } else { names.join(", ") })
        }
        Err(error) => Err(error.to_string()),
    }
}

/// True exactly when a folder serves a single purpose, so that all of it may be read. Folders
/// directly below `/` do not.
fn is_apart(folder: &Path) -> bool {
    folder.components().count() > 2
}

fn enforce(
    readable: &BTreeSet<PathBuf>,
    sockets: &BTreeSet<PathBuf>,
) -> Result<RulesetStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let bind = AccessFs::MakeSock | AccessFs::RemoveFile;
    // Older systems know only some of these rights, and enforce those.
    let mut rules = Ruleset::default().handle_access(AccessFs::from_all(ABI::V5))?;
    // Denies connecting to other processes' abstract sockets, unless the service manager listens on
    // one.
    let manager = std::env::var_os("NOTIFY_SOCKET");
    if manager.is_none_or(|name| !name.as_encoded_bytes().starts_with(b"@")) {
        rules = rules.scope(Scope::AbstractUnixSocket)?;
    }
    let status = rules
        .create()?
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules(sockets, bind))?
        .all_threads(true)?
        .restrict_self()?;
    Ok(status.ruleset)
}
