//! The driver: puts each peer between the origin and the load, in turns, and compares.
//!
//! Every measurement has fresh processes, so memory at rest is memory at rest. Peers take turns
//! inside a round (A B C, A B C, …), so that whatever the host does meanwhile strikes all of them;
//! a ratio is taken inside its round, and the median of the rounds' ratios is told. The peer has
//! one core for itself; origin, load and driver share another.

mod peer;
mod process;
mod report;
mod scenario;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::sys::{self, Outcome};
use peer::{Peer, Place};
use process::Process;
use report::Table;
use scenario::Scenario;

/// What one measurement found, by name.
pub type Figures = BTreeMap<String, f64>;

/// The driver's command line.
pub struct Settings {
    scenarios: Vec<&'static Scenario>,
    peers: Vec<Peer>,
    rounds: usize,
    millstream: PathBuf,
    /// Words for every load, behind those of its scenario.
    overrides: Vec<String>,
    peer_core: usize,
    load_core: usize,
    out: PathBuf,
}

/// `run ...`: measures, and writes the results.
pub fn main(args: Args) -> Outcome<()> {
    let begun = sys::now();
    let mut settings = Settings::from_args(args)?;
    sys::pin_to(settings.load_core)?;
    let folder = Folder::new()?;
    let mut text = report::preamble(&mut settings.peers, &settings.millstream);
    text += &format!(
        "Peer on core {}, origin and load on core {}, ",
        settings.peer_core, settings.load_core
    );
    text += &format!("{} rounds: median (min–max).\n", settings.rounds);
    print!("{text}");
    let mut failures = 0;
    for scenario in &settings.scenarios {
        let table = compare(&settings, scenario, &folder.0)?;
        let rows = table.to_markdown();
        print!("{rows}");
        text += &rows;
        failures += table.failures();
    }
    text += &report::configurations(&settings.peers);
    fs::write(&settings.out, text)
        .map_err(|error| format!("cannot write {}: {error}", settings.out.display()))?;
    eprintln!("measured for {} s", (sys::now() - begun) / sys::SECOND);
    match failures {
        0 => Ok(()),
        _ => Err(format!("{failures} measurements failed")),
    }
}

fn compare(settings: &Settings, scenario: &'static Scenario, folder: &Path) -> Outcome<Table> {
    let mut table = Table::new(scenario, &settings.overrides);
    for round in 0..settings.rounds {
        for &peer in &settings.peers {
            eprintln!(
                "{} {}/{} {}",
                scenario.name,
                round + 1,
                settings.rounds,
                peer.name()
            );
            match measure(settings, scenario, peer, folder).transpose() {
                Some(outcome) => table.add(peer, round, outcome),
                None => eprintln!("    left out: it cannot do that"),
            }
        }
    }
    Ok(table)
}

/// One measurement: an origin, a peer, a load; the figures are the load's last line. `None` if the
/// peer cannot do what the scenario needs.
fn measure(
    settings: &Settings,
    scenario: &Scenario,
    peer: Peer,
    folder: &Path,
) -> Outcome<Option<Figures>> {
    let place = Place {
        front: free_address()?,
        origin: free_address()?,
        admin: free_address()?,
        millstream: &settings.millstream,
        folder,
        scenario,
    };
    let Some(told) = peer.told(&place) else {
        return Ok(None);
    };
    let itself = std::env::current_exe().map_err(|error| error.to_string())?;
    let (origin, front) = (place.origin.to_string(), place.front.to_string());
    let command = words(&itself, &["origin", "--listen", &origin]);
    let _origin = Process::start("origin", &command, settings.load_core, folder)?;
    process::wait_for(place.origin)?;
    let command = peer.command(&place)?;
    let mut running = None;
    let mut load = words(&itself, &["load", "--control", &origin, "--to"]);
    if command.is_empty() {
        load.push(origin);
    } else {
        load.push(front);
        let started = Process::start(peer.name(), &command, settings.peer_core, folder)?;
        process::wait_for(place.front).map_err(|error| started.last_words().unwrap_or(error))?;
        load.extend(["--watch".into(), started.id().to_string()]);
        running = Some(started);
    }
    load.extend(scenario.load.split(' ').map(str::to_owned));
    load.extend(settings.overrides.iter().cloned());
    if !told.is_empty() {
        load.extend(["--tell".into(), told]);
    }
    let line = process::output_of(&load)?;
    drop(running);
    let pairs = line
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='));
    let figures = pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
    Ok(Some(figures.collect()))
}

fn words(program: &Path, arguments: &[&str]) -> Vec<String> {
    let program = program.display().to_string();
    std::iter::once(program)
        .chain(arguments.iter().map(|&word| word.to_owned()))
        .collect()
}

/// An address of the loopback interface that nobody listens on right now.
fn free_address() -> Outcome<SocketAddr> {
    let listener = sys::listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    listener.local_addr().map_err(|error| error.to_string())
}

impl Settings {
    fn from_args(args: Args) -> Outcome<Self> {
        let mut settings = Self {
            scenarios: Vec::new(),
            peers: Vec::new(),
            rounds: 3,
            millstream: "../target/release/millstream".into(),
            overrides: Vec::new(),
            peer_core: 0,
            load_core: 1,
            out: "RESULTS.md".into(),
        };
        let (mut peers, mut scenarios) = (Peer::names(), scenario::names());
        args.each(|name, option| {
            match name {
                "scenario" | "scenarios" => scenarios = option.text()?,
                "peers" => peers = option.text()?,
                "rounds" => settings.rounds = option.number()?,
                "millstream" => settings.millstream = option.text()?.into(),
                "seconds" | "streams" | "rest" => {
                    settings
                        .overrides
                        .extend([format!("--{name}"), option.text()?]);
                }
                "peer-core" => settings.peer_core = option.number()?,
                "load-core" => settings.load_core = option.number()?,
                "out" => settings.out = option.text()?.into(),
                _ => return option.unknown(),
            }
            Ok(())
        })?;
        settings.peers = peers.split(',').map(Peer::named).collect::<Outcome<_>>()?;
        settings.scenarios = scenarios
            .split(',')
            .map(scenario::named)
            .collect::<Outcome<_>>()?;
        Ok(settings)
    }
}

/// A folder for configurations and logs, gone when the driver is done.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Outcome<Self> {
        let path = std::env::temp_dir().join(format!("millstream-bench-{}", std::process::id()));
        fs::create_dir_all(&path)
            .map_err(|error| format!("cannot create {}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}
