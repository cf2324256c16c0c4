//! Who can read the files of secrets: those of keys, of private keys, and of the keys of tickets.

use super::tls::SessionTickets;
use super::{Config, Tls};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Who can read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Only its owner and perhaps a group.
    Few,
    /// Every user on this host.
    All,
    /// Every user, but the file is on a read-only mount, like the secrets of containers. Whoever
    /// mounts it decides on its mode, and often no other user can see it.
    AllOfMount,
}

impl Readers {
    pub(super) fn of(file: &File) -> io::Result<Readers> {
        let metadata = file.metadata()?;
        if metadata.permissions().mode() & 0o004 == 0 {
            return Ok(Readers::Few);
        }
        // A service may see the whole root file system as read-only, which is not a mount of
        // secrets.
        let apart = fs::metadata("/").is_ok_and(|root| root.dev() != metadata.dev());
        let read_only = fstatvfs(file).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY));
        Ok(if apart && read_only { Readers::AllOfMount } else { Readers::All })
    }

    /// What to warn of.
    pub(super) fn warning(self, file: &str) -> Option<String> {
        (self == Readers::All)
            .then(|| format!("{file}: every user on this host can read it; chmod o-r it"))
    }

    /// What to remark.
    pub(super) fn remark(self, file: &str) -> Option<String> {
        (self == Readers::AllOfMount).then(|| {
            format!(
                "{file}: everybody who sees this mount can read it; if that includes others than \
                this process, mount it with mode 0440"
            )
        })
    }
}

/// Warns of a file of the configuration in this folder that everybody can read now. One that cannot
/// be read at all is for others to complain about.
pub(super) fn warning(folder: &Path, file: &str) -> Option<String> {
    let opened = File::open(folder.join(file)).ok()?;
    Readers::of(&opened).ok()?.warning(file)
}

impl Tls {
    /// The files of private keys and of the keys of tickets that are in use, as configured.
    fn secrets(&self) -> impl Iterator<Item = &str> {
        let tickets = match &self.session_tickets {
            SessionTickets::OfFile { file, .. } => Some(file),
            SessionTickets::Off | SessionTickets::OfProcess => None,
        };
        let own = self.certificates.iter().map(|own| &own.files[1]).chain(tickets);
        let own = own.filter(|_| self.server.is_some());
        let shown = self.upstreams.iter().filter_map(|own| own.settings.identity.as_ref());
        own.chain(shown.map(|[_, key]| key)).map(String::as_str)
    }
}

impl Config {
    /// Looks for secrets in files that were read and that not only few can read.
    pub(super) fn look_for_readers(&mut self, folder: &Path) {
        let mut read: Vec<(String, Readers)> = Vec::new();
        for file in self.tls.secrets() {
            let readers = File::open(folder.join(file)).and_then(|file| Readers::of(&file));
            if let Ok(readers @ (Readers::All | Readers::AllOfMount)) = readers
                && read.iter().all(|(known, _)| known != file)
            {
                read.push((file.to_owned(), readers));
            }
        }
        self.readable = read;
    }
}
