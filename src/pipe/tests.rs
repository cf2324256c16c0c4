//! Tests of what neither half can decide alone: when the source is read.

use super::events::Holding;
use super::trial::Trial;
use super::*;

fn at(secs: u64) -> Tick {
    Tick::ZERO.after(Duration::from_secs(secs))
}

fn pump(pipe: &mut Pipe, trial: &mut Trial) -> Moved {
    let (source, sink, mut io) = trial.both();
    pipe.pump(source, sink, &mut io).unwrap()
}

fn pump_all(pipe: &mut Pipe, trial: &mut Trial) {
    while pump(pipe, trial) == Moved::Yes {}
}

fn response() -> Pipe {
    let mut pipe = Pipe::response(Tick::ZERO);
    pipe.begin(BodyLength::UntilClose, BodyLength::UntilClose, Tick::ZERO);
    pipe
}

/// A source that is not being read cannot be late.
#[test]
fn a_source_is_silent_only_while_it_is_wanted() {
    let limit = Duration::from_secs(10);
    let (mut trial, mut pipe) = (Trial::new(8, 4), response());
    trial.send(b"12345678");
    pump_all(&mut pipe, &mut trial);
    assert_eq!(pipe.silence_deadline(4, limit), at(10));
    trial.send(b"abcd");
    pump_all(&mut pipe, &mut trial);
    assert_eq!((pipe.pending_bytes(), pipe.wants_source(4)), (&b"abcd"[..], false));
    assert_eq!(pipe.silence_deadline(4, limit), Tick::NEVER);
    trial.now = at(100);
    assert_eq!(trial.hear_from_sink(), b"12345678");
    pump_all(&mut pipe, &mut trial);
    assert_eq!(trial.hear_from_sink(), b"abcd");
    assert_eq!(pipe.silence_deadline(4, limit), at(110));
    // Bytes that pass without waiting do not restart the source's clock.
    trial.now = at(105);
    pump_all(&mut pipe, &mut trial);
    assert_eq!(pipe.silence_deadline(4, limit), at(110));
}

/// More of the event would only be held as well while the sink is behind.
#[test]
fn an_event_is_read_on_when_the_sink_has_what_came_before_it() {
    let (mut trial, mut pipe) = (Trial::new(8, 100), response());
    pipe.watch_events(Terms {
        event_max: 1000,
        resumable: false,
        outlives_source: false,
        holding: Holding::WhileRoom,
        verbatim: false,
        tells_gaps: false,
    });
    for piece in ["data: a", "\n\n", "da"] {
        trial.send(piece.as_bytes());
        pump_all(&mut pipe, &mut trial);
    }
    assert_eq!((pipe.pending(), pipe.intake.events().unwrap().holds_any()), (1, true));
    assert!(!pipe.wants_source(100));
    trial.send(b"ta: b\n\n");
    assert_eq!(pump(&mut pipe, &mut trial), Moved::No);
    let mut heard = trial.hear_from_sink();
    pump_all(&mut pipe, &mut trial);
    while pipe.pending() > 0 {
        heard.extend(trial.hear_from_sink());
        pump_all(&mut pipe, &mut trial);
    }
    heard.extend(trial.hear_from_sink());
    assert_eq!(heard, b"data: a\n\ndata: b\n\n");
    assert_eq!(trial.buffers.lent(), 0);
}
