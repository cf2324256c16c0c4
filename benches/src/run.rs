//! The driver: runs each peer between the origin and the load, in turns, and compares them.
//!
//! Every measurement uses new processes, so memory at rest is not affected by earlier ones. Peers
//! take turns within a round (A B C, A B C, …), so whatever else the host does affects all of them.
//! Ratios are computed within a round, and the median of all rounds' ratios is reported. The peer
//! has its own core; origin, load and driver share another.

mod caption;
mod column;
pub mod loops;
mod markdown;
mod number;
mod peer;
mod plot;
mod process;
mod report;
mod scenario;
mod several;
pub mod spread;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::sys::{self, Outcome};
use crate::tls;
use peer::{Peer, Place};
use process::Process;
use scenario::Scenario;
use table::Table;

/// The results of a measurement, by name.
pub type Figures = BTreeMap<String, f64>;

/// The default number of rounds.
const ROUNDS: usize = 3;
/// By default, peers without a clear difference are measured this many times as often.
const MORE: usize = 3;

/// The file in the folder of a run with the certificate and key of every TLS server.
const CERTIFICATE: &str = "certificate.pem";
/// The path of millstream.
const MILLSTREAM: &str = "../target/release/millstream";

/// The driver's command line.
pub struct Settings {
    scenarios: Vec<&'static Scenario>,
    peers: Vec<Peer>,
    rounds: usize,
    /// The maximum number of rounds, if there is no clear difference in fewer.
    most: usize,
    millstream: PathBuf,
    /// Options for every load, after those of its scenario.
    overrides: Vec<String>,
    peer_core: usize,
    load_core: usize,
    /// The folder for the results, if given.
    out: Option<PathBuf>,
    /// True if less than the default is measured, or another program, or something failed.
    partial: bool,
}

/// `run ...`: measures, and writes the results.
pub fn main(args: Args) -> Outcome<()> {
    let begun = sys::now();
    let mut settings = Settings::from_args(args)?;
    sys::pin_to(settings.load_core)?;
    let folder = Folder::new()?;
    tls::write_certificate(&folder.0.join(CERTIFICATE))?;
    let wanted = settings.peers.len();
    let mut setup = report::setup(&mut settings.peers, &settings.millstream);
    settings.partial |= settings.peers.len() < wanted;
    setup += &format!(
        "Peer on core {}, origin and load on core {}. Rounds: {}, and up to {} of those that are \
         not shown to differ, as median (min–max).\n",
        settings.peer_core, settings.load_core, settings.rounds, settings.most
    );
    print!("{setup}");
    let mut tables = Vec::new();
    for scenario in &settings.scenarios {
        let table = compare(&settings, scenario, &folder.0)?;
        print!("{}", report::section(&table, ""));
        tables.push(table);
    }
    print!("\n{}", report::summary(&tables, &settings.peers));
    let failures: usize = tables.iter().map(|table| table.failures.len()).sum();
    settings.partial |= tables.iter().any(Table::has_gaps);
    eprintln!("measured for {} s", (sys::now() - begun) / sys::SECOND);
    let out = settings.out();
    report::write(&out, &setup, &tables, &settings.peers)?;
    let out = fs::canonicalize(&out).unwrap_or(out);
    println!(
        "\nPlots and tables are in {}",
        out.join("RESULTS.md").display()
    );
    match failures {
        0 => Ok(()),
        _ => Err(format!("{failures} measurements failed")),
    }
}

fn compare(settings: &Settings, scenario: &'static Scenario, folder: &Path) -> Outcome<Table> {
    let mut table = Table::new(scenario, &settings.peers, &settings.overrides);
    for round in 0..settings.most {
        let peers = match round < settings.rounds {
            true => settings.peers.clone(),
            false => table.unclear(),
        };
        for peer in peers {
            eprintln!("{} round {} {}", scenario.name, round + 1, peer.name());
            match measure(settings, scenario, peer, folder).transpose() {
                Some(outcome) => table.add(peer, round, outcome),
                None => eprintln!("    left out: it cannot do that"),
            }
        }
    }
    Ok(table)
}

/// One measurement with an origin, a peer and a load. The results are in the load's last line.
/// `None` if the peer cannot do what the scenario needs.
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
    let nice = scenario.origin_nice.to_string();
    let mut command = words(&itself, &["origin", "--nice", &nice]);
    let mut control = place.origin;
    if peer.asks_with_tls(scenario) {
        control = free_address()?;
        let file = folder.join(CERTIFICATE).display().to_string();
        command.extend(["--listen-tls", &origin, "--certificate", &file].map(str::to_owned));
    }
    command.extend(["--listen".into(), control.to_string()]);
    let _origin = Process::start("origin", &command, Some(settings.load_core), folder)?;
    process::wait_for(control, None)?;
    let command = peer.command(&place)?;
    let mut running = None;
    let mut load = words(
        &itself,
        &["load", "--control", &control.to_string(), "--to"],
    );
    if command.is_empty() {
        load.push(origin);
    } else {
        load.push(front);
        let started = Process::start(peer.name(), &command, Some(settings.peer_core), folder)?;
        let tls = scenario.tls.then(tls::client).transpose()?;
        process::wait_for(place.front, tls.as_ref())
            .map_err(|error| started.last_words().unwrap_or(error))?;
        load.extend(["--watch".into(), started.id().to_string()]);
        running = Some(started);
    }
    if scenario.tls {
        load.push("--tls".into());
    }
    load.extend(scenario.load.split(' ').map(str::to_owned));
    load.extend(settings.overrides.iter().cloned());
    if !told.is_empty() {
        load.extend(["--tell".into(), told]);
    }
    let line = process::output_of(&load)?;
    drop(running);
    Ok(Some(figures_of(&line)))
}

/// The results in the load's last line.
fn figures_of(line: &str) -> Figures {
    let pairs = line
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='));
    let figures = pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
    figures.collect()
}

fn words(program: &Path, arguments: &[&str]) -> Vec<String> {
    let program = program.display().to_string();
    std::iter::once(program)
        .chain(arguments.iter().map(|&word| word.to_owned()))
        .collect()
}

/// A loopback address without a listener at present.
fn free_address() -> Outcome<SocketAddr> {
    let listener = sys::listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    listener.local_addr().map_err(|error| error.to_string())
}

impl Settings {
    fn from_args(args: Args) -> Outcome<Self> {
        let mut settings = Self {
            scenarios: Vec::new(),
            peers: Vec::new(),
            rounds: ROUNDS,
            most: 0,
            millstream: MILLSTREAM.into(),
            overrides: Vec::new(),
            peer_core: 0,
            load_core: 1,
            out: None,
            partial: false,
        };
        let (mut peers, mut scenarios, mut most) = (Peer::names(), scenario::names(), None);
        args.each(|name, option| {
            match name {
                "scenario" | "scenarios" => scenarios = option.text()?,
                "peers" => peers = option.text()?,
                "rounds" => settings.rounds = option.number()?,
                "most" => most = Some(option.number()?),
                "millstream" => settings.millstream = option.text()?.into(),
                "seconds" | "streams" | "rest" => {
                    settings
                        .overrides
                        .extend([format!("--{name}"), option.text()?]);
                }
                "peer-core" => settings.peer_core = option.number()?,
                "load-core" => settings.load_core = option.number()?,
                "out" => settings.out = Some(option.text()?.into()),
                _ => return option.unknown(),
            }
            Ok(())
        })?;
        settings.most = most.unwrap_or(settings.rounds * MORE).max(settings.rounds);
        let lacks =
            |all: &str, some: &str| all.split(',').any(|one| !some.split(',').any(|s| s == one));
        settings.partial = lacks(&Peer::names(), &peers)
            || lacks(&scenario::names(), &scenarios)
            || !settings.overrides.is_empty()
            || settings.rounds < ROUNDS
            || settings.millstream != Path::new(MILLSTREAM);
        settings.peers = peers.split(',').map(Peer::named).collect::<Outcome<_>>()?;
        settings.peers.sort_unstable();
        settings.peers.dedup();
        settings.scenarios = scenarios
            .split(',')
            .map(scenario::named)
            .collect::<Outcome<_>>()?;
        Ok(settings)
    }

    /// The folder for the results. Partial results must not replace complete ones.
    fn out(&self) -> PathBuf {
        let default = if self.partial { "target/partial" } else { "." };
        self.out.clone().unwrap_or_else(|| default.into())
    }
}

/// A folder for configurations and logs, removed when the driver ends.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_does_not_take_the_place_of_the_whole() {
        for (words, out) in [
            ("", "."),
            ("--rounds 9", "."),
            (&format!("--scenario {}", scenario::names()), "."),
            ("--scenario paced", "target/partial"),
            ("--peers floor,millstream", "target/partial"),
            ("--seconds 1", "target/partial"),
            ("--rounds 2", "target/partial"),
            ("--millstream /bin/other", "target/partial"),
            ("--streams 9", "target/partial"),
            ("--scenario paced --out there", "there"),
        ] {
            let args = Args::new(words.split_whitespace().map(Into::into));
            let settings = Settings::from_args(args).unwrap();
            assert_eq!(settings.out(), Path::new(out), "{words}");
        }
    }
}
