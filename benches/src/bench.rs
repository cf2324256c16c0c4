//! The cost of a proxy for Server-Sent Events: processor time per event, memory per stream, delay.
//!
//! This binary provides all parts of the setup, each as a separate process:
//!
//!     load  ──►  peer  ──►  origin        core 1, core 0, core 1
//!
//! `origin` writes events that contain their stream, number and time; `load` opens streams, checks
//! each event and measures; the *peer* between them is a proxy, or `floor`, a minimal relay, or
//! nothing. `run` starts them, takes turns between the peers, and writes tables.

mod args;
mod event;
mod floor;
mod histogram;
mod load;
mod origin;
mod response;
mod run;
mod slots;
mod sys;
mod tls;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use args::Args;
use sys::Outcome;

const USAGE: &str = "\
usage: bench COMMAND [OPTION...]

  run      compare peers; tables go to standard output, and with plots to a folder
           --scenario LIST          default all; src/run/scenario.rs
           --peers LIST             default all; src/run/peer.rs
           --rounds N               default 3
           --most N                 rounds at most, if fewer do not tell proxies apart; default
                                    three times as many
           --millstream PATH        default ../target/release/millstream
           --seconds N, --streams N, --rest N
                                    instead of what the scenarios say
           --peer-core N, --load-core N
                                    default 0 and 1
           --out FOLDER             for RESULTS.md and plots/; default . if all of the above
                                    is measured as it is by default, else target/partial
  origin   --listen ADDR [--nice N] [--listen-tls ADDR --certificate FILE]
                                    serve events; the paths are told in src/origin/request.rs
  floor    --listen ADDR --to ADDR  relay, and parse nothing
  load     --to ADDR --path PATH    open streams or send requests, check, measure; more options
                                    are told in src/load/plan.rs
  spread   how evenly streams spread over the event loops of millstream, with one socket and with
           one each
           --workers N, --streams LIST, --rounds N, --millstream PATH
                                    default 4, 100,1000,9000, 3
  loops    what an event costs with several event loops of millstream, beside one
           --workers N, --streams N, --seconds N, --rounds N, --millstream PATH
                                    default 2, 1000, 8, 5
  pin      [--core N] -- COMMAND    run a command, on one core, with all descriptors there are
";

fn main() -> ExitCode {
    match command() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Outcome<()> {
    let mut words = std::env::args_os().skip(1);
    let Some(command) = words.next() else {
        return Err(format!("no command\n\n{USAGE}"));
    };
    let args = Args::new(words);
    sys::raise_descriptor_limit()?;
    match command.to_str() {
        Some("run") => run::main(args),
        Some("spread") => run::spread::main(args),
        Some("loops") => run::loops::main(args),
        Some("origin") => origin::main(args),
        Some("floor") => floor::main(args),
        Some("load") => load::main(args),
        Some("pin") => pin(args),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("unknown command {command:?}\n\n{USAGE}")),
    }
}

/// Becomes another program, optionally on one core, that ends when its parent ends.
fn pin(args: Args) -> Outcome<()> {
    let (mut core, mut program) = (None, None);
    args.each(|name, option| {
        match name {
            "core" => core = Some(option.number()?),
            "" => program = Some(option.rest()?),
            _ => return option.unknown(),
        }
        Ok(())
    })?;
    let words = program.ok_or("pin: no command after --")?;
    core.map_or(Ok(()), sys::pin_to)?;
    sys::end_with_parent()?;
    let error = Command::new(&words[0])
        .args(&words[1..])
        .env("PATH", sys::search_path())
        .exec();
    Err(format!("cannot run {:?}: {error}", words[0]))
}
