//! Who can read the files with secrets: key files, private keys, and ticket keys.

use crate::config::tables::tls::SessionTickets;
use crate::config::{Config, Tls};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// Who can read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Only its owner and perhaps a group.
    Few,
    /// Every user on this host.
    All,
    /// Every user, but the file is on a read-only mount, like the secrets of containers. Its mode
    /// is set by the mount, and often no other user can see it.
    AllOfMount,
}

impl Readers {
    pub(crate) fn of(file: &File) -> io::Result<Readers> {
        let metadata = file.metadata()?;
        if metadata.permissions().mode() & 0o004 == 0 {
            return Ok(Readers::Few);
        }
        // A service may see the whole root file system as read-only, which is not a mount for
        // secrets.
        let apart = fs::metadata("/").is_ok_and(|root| root.dev() != metadata.dev());
        let read_only = fstatvfs(file).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY));
        Ok(if apart && read_only { Readers::AllOfMount } else { Readers::All })
    }

    /// The warning about a file with these readers, if any.
    pub(crate) fn warning(self, file: &str) -> Option<String> {
        (self == Readers::All)
            .then(|| format!("{file}: every user on this host can read it; chmod o-r it"))
    }

    /// The remark about a file with these readers, if any.
    pub(crate) fn remark(self, file: &str) -> Option<String> {
        (self == Readers::AllOfMount).then(|| {
            format!(
                "{file}: everybody who sees this mount can read it; if that includes others than \
                this process, mount it with mode 0440 and a group of this process"
            )
        })
    }
}

impl Tls {
    /// The files of the private keys and ticket keys in use, as configured, and who could read each
    /// when it was read.
    fn secrets(&self) -> impl Iterator<Item = (&str, Readers)> {
        let tickets = match &self.session_tickets {
            SessionTickets::OfFile { file, readers, .. } => Some((file, *readers)),
            SessionTickets::Off | SessionTickets::OfProcess => None,
        };
        let own = self.certificates.iter().map(|own| (&own.files[1], own.readers)).chain(tickets);
        let own = own.filter(|_| self.server.is_some());
        let shown = self.upstreams.iter().filter_map(|own| {
            let [_, key] = own.settings.identity.as_ref()?;
            Some((key, own.readers))
        });
        own.chain(shown).map(|(file, readers)| (file.as_str(), readers))
    }
}

impl Config {
    /// Finds TLS secrets in files that not only [`Readers::Few`] can read.
    pub(crate) fn look_for_readers(&mut self) {
        let mut read: Vec<(String, Readers)> = Vec::new();
        for (file, readers) in self.tls.secrets() {
            if readers != Readers::Few && read.iter().all(|(known, _)| known != file) {
                read.push((file.to_owned(), readers));
            }
        }
        self.readable = read;
    }
}
