//! Tells the peer to drain or to reload its configuration: by a signal, or by a command.

use std::process::{Child, Command, Stdio};
use std::str::FromStr;

use rustix::process::{Pid, Signal, kill_process};

use super::watch::Watch;
use crate::sys::Outcome;

/// The name of a signal, or a command.
#[derive(Clone)]
pub enum Tell {
    /// Sent to the peer's process.
    Signal(Signal),
    /// Run with the lowest priority on its core.
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
    /// Sends the signal, or starts the command.
    pub fn tell(&self, peer: Watch) -> Outcome<Telling> {
        match self {
            Self::Signal(signal) => {
                let process = Pid::from_raw(peer.0.cast_signed()).ok_or("no process 0")?;
                kill_process(process, *signal)
                    .map_err(|error| format!("cannot signal the peer: {error}"))?;
                Ok(Telling(None))
            }
            Self::Command(words) => Command::new("nice")
                .args(["-n", "19"])
                .args(words.split(' '))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .map(|child| Telling(Some(child)))
                .map_err(|error| format!("cannot run {words}: {error}")),
        }
    }
}

/// The command, which may still be running.
pub struct Telling(Option<Child>);

impl Telling {
    /// True if nothing is running.
    pub fn is_over(&mut self) -> bool {
        let running = |child: &mut Child| matches!(child.try_wait(), Ok(None));
        !self.0.as_mut().is_some_and(running)
    }

    /// Waits for the command. If it fails, its last line says why the peer was not told.
    pub fn end(self) -> Outcome<()> {
        let Some(child) = self.0 else {
            return Ok(());
        };
        let output = child
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let words = text.lines().last().unwrap_or("no word");
        Err(format!(
            "the command that tells the peer: {}: {words}",
            output.status
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_is_an_error_with_its_last_words() {
        let end = |words: &str| {
            let told = words.parse::<Tell>()?.tell(Watch(std::process::id()))?;
            told.end()
        };
        assert_eq!(end("true"), Ok(()));
        let error = end("ls /nowhere/at/all").unwrap_err();
        assert!(error.contains("/nowhere/at/all"), "{error}");
    }
}
