//! A millstream with several event loops, and its origin.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use super::process::{self, Process};
use super::{Folder, free_address, words};
use crate::sys::Outcome;

/// The proxy and its origin, which end when this is dropped.
pub struct Several {
    /// The address for clients.
    pub front: SocketAddr,
    /// The origin's address.
    pub origin: SocketAddr,
    admin: SocketAddr,
    proxy: Process,
    _origin: Process,
}

impl Several {
    /// Starts both, the proxy with these keys in `[server]`, and the origin on this core, if given.
    pub fn start(
        millstream: &Path,
        keys: &str,
        core: Option<usize>,
        folder: &Folder,
    ) -> Outcome<Self> {
        let [front, origin, admin] = [free_address()?, free_address()?, free_address()?];
        let itself = std::env::current_exe().map_err(|error| error.to_string())?;
        let command = words(&itself, &["origin", "--listen", &origin.to_string()]);
        let started = Process::start("origin", &command, core, &folder.0)?;
        process::wait_for(origin, None)?;
        let file = folder.0.join("several.toml");
        let configuration = format!(
            "[server]\nlisten = ['{front}']\n{keys}\n[admin]\nlisten = '{admin}'\n\
             [log]\nlevel = 'warn'\naccess = 'off'\n[drain]\nwindow = '10ms'\n\
             [[api]]\nname = 'bench'\nlisten_path = '/'\ntarget_url = 'http://{origin}'\n"
        );
        fs::write(&file, configuration).map_err(|error| error.to_string())?;
        let command = words(millstream, &[&file.display().to_string()]);
        let proxy = Process::start("millstream", &command, None, &folder.0)?;
        process::wait_for(front, None).map_err(|error| proxy.last_words().unwrap_or(error))?;
        Ok(Self {
            front,
            origin,
            admin,
            proxy,
            _origin: started,
        })
    }

    /// The proxy's process.
    pub fn id(&self) -> u32 {
        self.proxy.id()
    }

    /// The number of streams in each loop.
    pub fn streams(&self) -> Outcome<Vec<usize>> {
        let metrics = self.metrics().map_err(|error| error.to_string())?;
        Ok(counts(&metrics))
    }

    /// The proxy's metrics.
    fn metrics(&self) -> std::io::Result<String> {
        let mut operator = TcpStream::connect(self.admin)?;
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        operator.write_all(request)?;
        let mut text = String::new();
        operator.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// The number of streams in each loop, from the metrics.
pub fn counts(metrics: &str) -> Vec<usize> {
    let samples = metrics
        .lines()
        .filter(|line| line.starts_with("millstream_worker_streams{"));
    samples
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect()
}
