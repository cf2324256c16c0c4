//! Processes that end when their owner ends, however that happens, and their last output.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use rustls::ClientConfig;

use crate::sys::Outcome;
use crate::tls::Socket;

/// A process started here.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command on one core, or on all, with its output in a file in `folder`.
    pub fn start(
        name: &str,
        command: &[String],
        core: Option<usize>,
        folder: &Path,
    ) -> Outcome<Self> {
        let failed = |error: std::io::Error| format!("cannot start {name}: {error}");
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).map_err(failed)?;
        let itself = std::env::current_exe().map_err(failed)?;
        let child = Command::new(itself)
            .arg("pin")
            .args(core.map(|core| format!("--core={core}")))
            .arg("--")
            .args(command)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output)
            .spawn()
            .map_err(failed)?;
        Ok(Self { child, log })
    }

    /// The process's id, which stays the same when `pin` becomes the program.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The last line that the process wrote.
    pub fn last_words(&self) -> Option<String> {
        let text = fs::read_to_string(&self.log).ok()?;
        text.lines()
            .rfind(|line| !line.is_empty())
            .map(str::to_owned)
    }
}

impl Drop for Process {
    /// Asks the process to end, twice, because a proxy may drain first, and then kills it.
    fn drop(&mut self) {
        let ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        for _ in 0..2 {
            if ended(&mut self.child) {
                return;
            }
            let _sent = kill_process(Pid::from_child(&self.child), Signal::TERM);
            for _ in 0..100 {
                if ended(&mut self.child) {
                    return;
                }
                sleep(Duration::from_millis(10));
            }
        }
        // The whole process group, because workers do not end with their master.
        let _killed = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _status = self.child.wait();
    }
}

/// Waits until a request to an address gets status 200: a listening process may not have begun to
/// serve, may not have allocated the memory that it serves with, and may have no origin yet.
pub fn wait_for(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Outcome<()> {
    let answered = || -> std::io::Result<bool> {
        let connection = TcpStream::connect(address)?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut connection = Socket::client(connection, tls).map_err(std::io::Error::other)?;
        connection.write_all(b"GET /short HTTP/1.1\r\nHost: bench\r\n\r\n")?;
        let mut status = [0; b"HTTP/1.1 200".len()];
        connection.read_exact(&mut status)?;
        Ok(status == *b"HTTP/1.1 200")
    };
    for _ in 0..250 {
        if answered().is_ok_and(|well| well) {
            return Ok(());
        }
        sleep(Duration::from_millis(20));
    }
    Err(format!("nobody answers with 200 on {address} after 5 s"))
}

/// Runs a command to its end. Returns its last line of output, or of errors if it failed.
pub fn output_of(command: &[String]) -> Outcome<String> {
    let output = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", command[0]))?;
    let text = if output.status.success() {
        &output.stdout
    } else {
        &output.stderr
    };
    let text = String::from_utf8_lossy(text);
    let last = text.lines().last().unwrap_or("no word").to_owned();
    if output.status.success() {
        Ok(last)
    } else {
        Err(last)
    }
}
