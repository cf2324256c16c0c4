//! How evenly streams are distributed over the event loops of one millstream: `bench spread`.
//!
//! Streams are long-lived, so an uneven distribution stays. The loops share one bound socket, or
//! have one each (`reuse_port`); clients connect all at once, or one per millisecond. Nothing is
//! timed, but on a busy host loops wake later than they would otherwise.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use super::number::digits;
use super::several::Several;
use super::{Folder, MILLSTREAM, markdown};
use crate::args::Args;
use crate::sys::Outcome;

/// What is measured.
struct Settings {
    millstream: PathBuf,
    workers: usize,
    streams: Vec<usize>,
    rounds: usize,
}

impl Settings {
    fn from_args(args: Args) -> Outcome<Self> {
        let mut settings = Self {
            millstream: MILLSTREAM.into(),
            workers: 4,
            streams: vec![100, 1000, 9000],
            rounds: 3,
        };
        args.each(|name, option| {
            match name {
                "millstream" => settings.millstream = option.text()?.into(),
                "workers" => settings.workers = option.number()?,
                "streams" => {
                    let numbers = option.text()?;
                    let numbers = numbers.split(',').map(str::parse);
                    let wrong = |error| format!("--streams: {error}");
                    settings.streams = numbers.collect::<Result<_, _>>().map_err(wrong)?;
                }
                "rounds" => settings.rounds = option.number()?,
                _ => return option.unknown(),
            }
            Ok(())
        })?;
        Ok(settings)
    }
}

/// `spread ...`: measures, and prints a table.
pub fn main(args: Args) -> Outcome<()> {
    let settings = Settings::from_args(args)?;
    let folder = Folder::new()?;
    let mut rows = Vec::new();
    for &streams in &settings.streams {
        for (socket, reuse_port) in [("one", false), ("one each", true)] {
            for (clients, pause) in [("at once", 0), ("one a ms", 1)] {
                let mut rounds = Vec::new();
                for round in 0..settings.rounds {
                    eprintln!(
                        "{streams} streams, {socket}, {clients}, round {}",
                        round + 1
                    );
                    let pause = Duration::from_millis(pause);
                    rounds.push(measure(&settings, streams, reuse_port, pause, &folder)?);
                }
                let told = rounds.iter().map(|counts| in_order(counts));
                let told: Vec<String> = told.collect();
                let [least, most] = extremes(&rounds).map(|share| digits(100.0 * share));
                let count = streams.to_string();
                let cells = [
                    count.as_str(),
                    socket,
                    clients,
                    &least,
                    &most,
                    &told.join("; "),
                ];
                rows.push(cells.map(str::to_owned).to_vec());
            }
        }
    }
    let heading = [
        "streams",
        "socket",
        "clients come",
        "least %",
        "most %",
        "of each loop",
    ];
    println!(
        "{} loops; the least and the most that a loop had of its fair share, in {} rounds.\n\n{}",
        settings.workers,
        settings.rounds,
        markdown::table(&heading.map(str::to_owned), &rows, 3)
    );
    Ok(())
}

/// One measurement: the number of streams in each loop.
fn measure(
    settings: &Settings,
    streams: usize,
    reuse_port: bool,
    pause: Duration,
    folder: &Folder,
) -> Outcome<Vec<usize>> {
    let keys = format!("workers = {}\nreuse_port = {reuse_port}", settings.workers);
    let several = Several::start(&settings.millstream, &keys, None, folder)?;
    let clients = open(several.front, streams, pause).map_err(|error| error.to_string())?;
    let counts = several.streams()?;
    drop(clients);
    match counts.iter().sum::<usize>() {
        sum if sum == streams && counts.len() == settings.workers => Ok(counts),
        _ => Err(format!("{streams} streams are {counts:?} of the loops")),
    }
}

/// Opens streams, and returns their connections once all have begun.
fn open(front: SocketAddr, streams: usize, pause: Duration) -> std::io::Result<Vec<TcpStream>> {
    let mut clients = Vec::new();
    for id in 0..streams {
        let mut client = TcpStream::connect(front)?;
        client.set_read_timeout(Some(Duration::from_secs(30)))?;
        let request = format!(
            "GET /burst?n=1&id={id} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n"
        );
        client.write_all(request.as_bytes())?;
        clients.push(client);
        if !pause.is_zero() {
            sleep(pause);
        }
    }
    for client in &mut clients {
        client.read_exact(&mut [0; b"HTTP/1.1 200".len()])?;
    }
    Ok(clients)
}

/// The smallest and the largest share of a loop in any round, relative to a fair share.
fn extremes(rounds: &[Vec<usize>]) -> [f64; 2] {
    let shares = rounds.iter().flat_map(|counts| {
        let all = counts.iter().sum::<usize>() as f64;
        let fair = all / counts.len() as f64;
        counts.iter().map(move |count| *count as f64 / fair)
    });
    shares.fold([f64::INFINITY, 0.0], |[least, most], share| {
        [least.min(share), most.max(share)]
    })
}

fn in_order(counts: &[usize]) -> String {
    let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
    counts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::several::counts;
    use super::*;

    #[test]
    fn what_loops_have_is_read_off_the_metrics() {
        let text = "# TYPE millstream_worker_streams gauge\n\
            millstream_worker_streams{worker=\"1\"} 30\nmillstream_worker_up{worker=\"1\"} 1\n\
            millstream_worker_streams{worker=\"2\"} 10\n";
        assert_eq!(counts(text), [30, 10]);
        assert_eq!(extremes(&[counts(text), vec![20, 20]]), [0.5, 1.5]);
    }
}
