//! A running millstream: started with arguments, read from, sent signals, and killed at the end.

use super::{Line, PATIENCE};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;

/// The binary under test.
pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_millstream");

/// A child process. Its output is read all the time, so no pipe ever fills.
pub(super) struct Program {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    /// Where it listens for clients; none while that is unknown, or for a Unix socket.
    address: Option<SocketAddr>,
}

/// The exit status and output of a program that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) status: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Program {
    /// Starts the program and waits until it listens.
    pub(super) fn start(arguments: &[&str]) -> Program {
        Program::serving(Command::new(BINARY).args(arguments))
    }

    /// Starts it with a configuration, and waits until it listens.
    pub(super) fn with(config: &str) -> Program {
        Program::start(&[Scratch::file(config).as_str()])
    }

    /// Starts it with a limit on descriptors, and waits until it listens.
    pub(super) fn with_descriptors(descriptors: usize, config: &Scratch) -> Program {
        let script = format!("ulimit -n {descriptors}; exec \"$0\" \"$1\"");
        Program::serving(Command::new("sh").args(["-c", &script, BINARY, config.as_str()]))
    }

    /// Runs it until it exits.
    pub(super) fn run(arguments: &[&str]) -> Ended {
        Program::spawn(Command::new(BINARY).args(arguments)).unwrap().ended()
    }

    /// Runs it until it exits, with `printf`'s output for this text as its standard input.
    pub(super) fn told(text: &str, argument: &str) -> Ended {
        let script = format!("printf '{text}' | \"$0\" {argument}");
        Program::spawn(Command::new("sh").args(["-c", &script, BINARY])).unwrap().ended()
    }

    /// Runs a command that starts it, and waits until it listens.
    pub(super) fn serving(command: &mut Command) -> Program {
        Program::serving_with(command, Stdio::null())
    }

    /// Runs a command that starts it, with this standard input, and waits until it listens.
    pub(super) fn serving_with(command: &mut Command, stdin: Stdio) -> Program {
        let mut program = Program::spawn_with(command, stdin).unwrap();
        program.address = program.says("listening on ").parse().ok();
        program
    }

    /// Starts any program.
    ///
    /// # Errors
    /// If there is no program of this name.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Program> {
        Program::spawn_with(command, Stdio::null())
    }

    /// Starts any program with this standard input.
    ///
    /// # Errors
    /// If there is no program of this name.
    pub(super) fn spawn_with(command: &mut Command, stdin: Stdio) -> io::Result<Program> {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.env("RUST_LOG", "debug").spawn()?;
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        Ok(Program { child, stdout, stderr, address: None })
    }

    /// Starts it with a pipe as its standard error that is never read.
    pub(super) fn with_unread_log(arguments: &[&str]) -> (Program, io::PipeReader) {
        let (unread, stderr) = io::pipe().unwrap();
        let mut command = Command::new(BINARY);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.env("RUST_LOG", "debug").spawn().unwrap();
        let (stdout, stderr) = (Lines::of(child.stdout.take().unwrap()), Lines::of(io::empty()));
        let mut program = Program { child, stdout, stderr, address: None };
        program.address = program.says("listening on ").parse().ok();
        (program, unread)
    }

    /// Runs a command that starts it, with a standard output that is full and is never read.
    pub(super) fn with_full_output(command: &mut Command) -> (Program, UnixStream) {
        let (unread, mut stdout) = UnixStream::pair().unwrap();
        // The program shares the flags of this socket, and its writes must block.
        stdout.set_nonblocking(true).unwrap();
        while stdout.write(&[0; 4096]).is_ok() {}
        stdout.set_nonblocking(false).unwrap();
        command.stdin(Stdio::null()).stdout(OwnedFd::from(stdout)).stderr(Stdio::piped());
        let mut child = command.env("RUST_LOG", "debug").spawn().unwrap();
        let stderr = Lines::of(child.stderr.take().unwrap());
        (Program { child, stdout: Lines::of(io::empty()), stderr, address: None }, unread)
    }

    /// Connects to it as a client.
    pub(super) fn connect(&self) -> Line {
        Line::to(self.address())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address.expect("an address")
    }

    /// Waits for a line on its standard output with this beginning, and returns the rest of that
    /// line.
    pub(super) fn says(&mut self, beginning: &str) -> String {
        let line = self.stdout.find(|line| line.starts_with(beginning));
        let line = line.unwrap_or_else(|| panic!("{beginning:?} is not said; {:?}", self.stderr));
        line[beginning.len()..].to_owned()
    }

    /// Waits until it logs a line that contains this text.
    pub(super) fn logs(&mut self, what: &str) {
        let logged = self.stderr.find(|line| line.contains(what)).is_some();
        assert!(logged, "{what:?} is not logged; {:?}", self.stderr);
    }

    /// The value of a field in its `/proc/PID/status`.
    pub(super) fn identity(&self, name: &str) -> String {
        let file = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(file).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap_or_default().to_owned()
    }

    /// The `status` file of each of its threads.
    pub(super) fn status_of_threads(&self) -> Vec<String> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let status = |thread: io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(thread?.path().join("status"))
        };
        threads.map(|thread| status(thread).unwrap()).collect()
    }

    /// Its open descriptors; none if the system does not list them.
    pub(super) fn descriptors(&self) -> Vec<usize> {
        let folder = format!("/proc/{}/fd", self.child.id());
        let names = std::fs::read_dir(folder).into_iter().flatten().map(|e| e.unwrap().file_name());
        names.filter_map(|name| name.to_str()?.parse().ok()).collect()
    }

    /// The thread with this name; none if the system does not list it.
    pub(super) fn thread(&self, name: &str) -> Option<i32> {
        let folder = format!("/proc/{}/task", self.child.id());
        let mut threads = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
        let is_it = |thread: &std::fs::DirEntry| {
            std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|is| is.trim() == name)
        };
        threads.find(is_it)?.file_name().to_str()?.parse().ok()
    }

    /// Stops reading its standard output and closes the pipe, after the next line, which
    /// `bring_about` must cause.
    pub(super) fn stop_listening(&mut self, bring_about: impl FnOnce(&Program)) {
        self.stdout.incoming = channel().1;
        bring_about(self);
        self.stdout.reader.take().unwrap().join().unwrap();
    }

    pub(super) fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits until it has exited.
    pub(super) fn ended(mut self) -> Ended {
        // The pipes close when the process exits, and reading them has a timeout.
        assert_eq!(self.stdout.find(|_| false), None);
        assert_eq!(self.stderr.find(|_| false), None);
        let status = self.child.wait().unwrap().code();
        Ended { status, stdout: self.stdout.text(), stderr: self.stderr.text() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A unique path. Whatever is there at the end is removed.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn path(extension: &str) -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, n) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let name = format!("millstream-{process}-{n}.{extension}");
        Scratch(std::env::temp_dir().join(name))
    }

    /// A configuration file with this text.
    pub(super) fn file(config: &str) -> Scratch {
        let path = Scratch::path("toml");
        std::fs::write(&path.0, config).unwrap();
        path
    }

    /// An empty folder.
    pub(super) fn folder() -> Scratch {
        let path = Scratch::path("d");
        std::fs::create_dir(&path.0).unwrap();
        path
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap()
    }

    pub(super) fn exists(&self) -> bool {
        self.0.exists()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may have been removed already.
        let _ = std::fs::remove_file(&self.0).or_else(|_| std::fs::remove_dir_all(&self.0));
    }
}

/// The lines from a pipe.
#[derive(Debug)]
struct Lines {
    incoming: Receiver<String>,
    reader: Option<JoinHandle<()>>,
    seen: Vec<String>,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Lines {
        let (sender, incoming) = channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Lines { incoming, reader: Some(reader), seen: Vec::new() }
    }

    /// The first further line that matches. None if the pipe ends before.
    fn find(&mut self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        loop {
            match self.incoming.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if wanted(&line) {
                        return Some(line);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("nothing more after {:?}", self.seen),
            }
        }
    }

    fn text(&self) -> String {
        self.seen.iter().map(|line| format!("{line}\n")).collect()
    }
}
