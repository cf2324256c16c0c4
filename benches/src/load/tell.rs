//! How the peer is told to drain or to read its configuration again: by a signal, or by a command.

use std::process::{Child, Command, Stdio};
use std::str::FromStr;

use rustix::process::{Pid, Signal, kill_process};

use super::watch::Watch;
use crate::sys::Outcome;

/// A signal's name, or the words of a command.
#[derive(Clone)]
pub enum Tell {
    /// For the peer's process.
    Signal(Signal),
    /// To be run, behind everything else that the core has to do.
    Command(String),
}

impl FromStr for Tell {
    type Err = String;

    fn from_str(words: &str) -> Outcome<Self> {
        Ok(match words {
            "HUP" => Self::Signal(Signal::HUP),
            "INT" => Self::Signal(Signal::INT),
            "QUIT" => Self::Signal(Signal::QUIT),
            "TERM" => Self::Signal(Signal::TERM),
            "USR1" => Self::Signal(Signal::USR1),
            "USR2" => Self::Signal(Signal::USR2),
            command => Self::Command(command.to_owned()),
        })
    }
}

impl Tell {
    /// Tells it; the command that does so, if there is one, is still running then.
    pub fn tell(&self, peer: Watch) -> Outcome<Option<Child>> {
        match self {
            Self::Signal(signal) => {
                let process = Pid::from_raw(peer.0.cast_signed()).ok_or("no process 0")?;
                kill_process(process, *signal)
                    .map_err(|error| format!("cannot signal the peer: {error}"))?;
                Ok(None)
            }
            Self::Command(words) => Command::new("nice")
                .args(["-n", "19"])
                .args(words.split(' '))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map(Some)
                .map_err(|error| format!("cannot run {words}: {error}")),
        }
    }
}
