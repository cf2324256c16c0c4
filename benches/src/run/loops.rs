//! The cost of an event with several event loops, compared with one: `bench loops`.
//!
//! Both are one process, with the same origin and load, and may use all cores, in turns within a
//! round. So whatever else the host does affects both, and ratios are computed within a round.

use std::path::PathBuf;

use super::number::Spread;
use super::process;
use super::several::Several;
use super::{Figures, Folder, MILLSTREAM, figures_of, markdown, words};
use crate::args::Args;
use crate::sys::Outcome;

/// The core of origin and load, which the loops may use, too.
const LOAD_CORE: usize = 1;

/// The options of the load, as in `paced`: reads keep up, so none finds several events.
const LOAD: &str = "--path /paced?rate=10&size=100";

/// What is measured.
struct Settings {
    millstream: PathBuf,
    workers: usize,
    streams: usize,
    seconds: usize,
    rounds: usize,
}

impl Settings {
    fn from_args(args: Args) -> Outcome<Self> {
        let mut settings = Self {
            millstream: MILLSTREAM.into(),
            workers: 2,
            streams: 1000,
            seconds: 8,
            rounds: 5,
        };
        args.each(|name, option| {
            match name {
                "millstream" => settings.millstream = option.text()?.into(),
                "workers" => settings.workers = option.number()?,
                "streams" => settings.streams = option.number()?,
                "seconds" => settings.seconds = option.number()?,
                "rounds" => settings.rounds = option.number()?,
                _ => return option.unknown(),
            }
            Ok(())
        })?;
        Ok(settings)
    }
}

/// `loops ...`: measures, and prints a table.
pub fn main(args: Args) -> Outcome<()> {
    let settings = Settings::from_args(args)?;
    let folder = Folder::new()?;
    let (mut costs, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    for round in 0..settings.rounds {
        let mut of_round = [0.0; 2];
        for (index, workers) in [1, settings.workers].into_iter().enumerate() {
            eprintln!("{workers} loops, round {}", round + 1);
            let figures = measure(&settings, workers, &folder)?;
            let cost = figures.get("cpu_event_us").copied();
            of_round[index] = cost.ok_or("the load tells no cost of an event")?;
            costs[index].push(of_round[index]);
        }
        ratios.push(of_round[1] / of_round[0]);
    }
    let heading = ["loops", "CPU/event µs", "× one loop"].map(str::to_owned);
    let told = |figures| Spread::of(figures).map_or_else(String::new, |spread| spread.to_string());
    let [one, several] = costs.map(told);
    let rows = [
        vec!["1".to_owned(), one, String::new()],
        vec![settings.workers.to_string(), several, told(ratios)],
    ];
    println!(
        "{} streams, 10 events of 100 bytes a second on each, {} rounds: median (min–max).\n\n{}",
        settings.streams,
        settings.rounds,
        markdown::table(&heading, &rows, 0)
    );
    Ok(())
}

/// One measurement: the results of the load for this number of loops.
fn measure(settings: &Settings, workers: usize, folder: &Folder) -> Outcome<Figures> {
    let keys = format!("workers = {workers}");
    let several = Several::start(&settings.millstream, &keys, Some(LOAD_CORE), folder)?;
    let itself = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut load = words(&itself, &["load"]);
    load.extend(LOAD.split(' ').map(str::to_owned));
    for (name, value) in [
        ("to", several.front.to_string()),
        ("control", several.origin.to_string()),
        ("watch", several.id().to_string()),
        ("core", LOAD_CORE.to_string()),
        ("streams", settings.streams.to_string()),
        ("seconds", settings.seconds.to_string()),
    ] {
        load.extend([format!("--{name}"), value]);
    }
    Ok(figures_of(&process::output_of(&load)?))
}
