//! A log that many exchanges read: its events, and how far their upstream stream is.
//!
//! Whoever fills it changes its state, and each reader acts on that in its own steps. A reader
//! holds on to it, so one that is behind reads to the end of a log that nobody fills any more.

use super::LocalReply;
use super::own_ids::OwnIds;
use crate::event_log::{Batch, EventLog, Limits, LogCell};
use crate::metrics::Counter;
use crate::sse::{Block, can_be_sent};
use crate::telemetry::{ApiStats, Outcome, Veto};
use crate::time::Tick;
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

/// How far the stream of a log is.
#[derive(Clone, Copy, Debug)]
pub enum LogState {
    /// Another event loop has it, and was asked for it. Nobody knows yet what its log holds.
    Asked,
    /// The other event loop does not have it any more. Who waits asks again.
    Gone,
    /// It is awaited.
    Awaited,
    /// It is awaited for long, because no upstream can serve it, as this reply would say.
    Held(LocalReply),
    /// It is there.
    Open,
    /// It cannot be had, as this reply says.
    Failed(LocalReply),
    /// It is not to be shared, for this reason.
    Private(Veto),
    /// It was there and is over.
    Ended(Outcome),
    /// It was there, and its upstream broke it off.
    Broken,
}

impl LogState {
    /// True exactly when nobody fills the log any more.
    pub const fn is_over(&self) -> bool {
        match self {
            LogState::Asked | LogState::Awaited | LogState::Held(_) | LogState::Open => false,
            LogState::Gone
            | LogState::Failed(_)
            | LogState::Private(_)
            | LogState::Ended(_)
            | LogState::Broken => true,
        }
    }

    /// True exactly when it was there and is over: what was held of it is still to be read.
    pub const fn has_ended(&self) -> bool {
        matches!(self, LogState::Ended(_) | LogState::Broken)
    }
}

/// What has changed of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There are more events.
    Events,
    /// Its state, and perhaps its events.
    State,
}

/// A log that many exchanges read. See the module.
pub struct Log {
    /// The id of the request for its events, which is that of all its copies.
    pub id: u64,
    events: LogCell,
    /// The ids of its events, if these are not the upstream's.
    own_ids: Option<OwnIds>,
    state: Cell<LogState>,
    /// The head of its stream: the upstream's, without what concerns one message only.
    head: Cell<Rc<[u8]>>,
    readers: Cell<usize>,
    /// True exactly when all who read it have missed some since somebody last took note.
    has_gap: Cell<bool>,
    /// What has changed since somebody last took note.
    change: Cell<Option<Change>>,
    /// True exactly when it has changed, and not all readers were woken.
    untold: Cell<bool>,
    /// Set when the last reader leaves.
    deserted: Rc<Cell<bool>>,
    /// What has become of its clients.
    pub counts: Counts,
}

/// What has become of the clients of a log, so often.
#[derive(Debug, Default)]
pub struct Counts {
    /// Events that were held for clients who came later or came back.
    pub replayed: Counter,
    /// Clients who had missed more than what was held.
    pub gaps: Counter,
    /// Clients who got an upstream stream of their own.
    pub vetoes: Counter,
}

impl Log {
    /// Creates a log without events, in this state. `deserted` is set whenever its last reader
    /// leaves.
    pub fn new(limits: Limits, state: LogState, deserted: &Rc<Cell<bool>>) -> Rc<Log> {
        Log::with_ids(limits, state, (0, None), deserted)
    }

    /// The same for the request with this id, with ids of its own if there are any.
    pub fn with_ids(
        limits: Limits,
        state: LogState,
        (id, own_ids): (u64, Option<OwnIds>),
        deserted: &Rc<Cell<bool>>,
    ) -> Rc<Log> {
        Rc::new(Log {
            id,
            events: LogCell::new(limits),
            own_ids,
            state: Cell::new(state),
            head: Cell::default(),
            readers: Cell::new(0),
            has_gap: Cell::new(false),
            change: Cell::new(None),
            untold: Cell::new(false),
            deserted: Rc::clone(deserted),
            counts: Counts::default(),
        })
    }

    /// Calls `read` with its events.
    pub fn read<T>(&self, read: impl FnOnce(&EventLog) -> T) -> T {
        self.events.with(|events| read(events))
    }

    /// Calls `change` with its events. Its readers have to be woken.
    pub fn change<T>(&self, change: impl FnOnce(&mut EventLog) -> T) -> T {
        self.note(self.change.get().unwrap_or(Change::Events));
        self.events.with(change)
    }

    /// All events that are appended from here on are held until this is called again.
    pub fn begin_portion(&self) {
        self.events.with(EventLog::begin_portion);
    }

    /// Appends a block of the upstream's stream. Its readers have to be woken.
    pub fn append(&self, block: Block<'_>, now: Tick) {
        let Block { text, id, name, retry } = block;
        let change = |text: &[u8], id: Option<&[u8]>| {
            self.change(|events| {
                events.append_block(text, id, name, now);
                if let Some(retry) = retry {
                    events.note_retry(retry);
                }
            });
        };
        let Some(own) = &self.own_ids else { return change(text, id) };
        if let Some(id) = id {
            own.note_upstream(if can_be_sent(id) { id } else { b"" });
        }
        // What is no event has no id of its own.
        if name.is_some() {
            let id = own.write_next(text);
            change(text, Some(&text[id]));
        } else if !text.is_empty() {
            change(text, None);
        }
    }

    /// Appends what tells all who read it that they have missed some. Its readers have to be woken.
    pub fn append_gap(&self, event: &str, now: Tick) {
        self.change(|events| events.append_block(event.as_bytes(), None, None, now));
    }

    /// Goes on with what a log in another event loop holds, of which this is a copy. Its readers
    /// have to be woken.
    pub fn replace(&self, events: EventLog) {
        self.change(|own| *own = events);
    }

    /// Appends what has come to the log of which this is a copy. Its readers have to be woken.
    pub fn take(&self, batch: &Batch, now: Tick) {
        self.change(|events| events.take(batch, now));
    }

    /// All who read it have missed some: counts that for those who read it here.
    pub fn note_gap(&self, stats: Option<&ApiStats>) {
        self.has_gap.set(true);
        let readers = self.readers() as u64;
        self.counts.gaps.add(readers);
        if let Some(stats) = stats {
            stats.gaps.add(readers);
        }
    }

    /// True exactly when all who read it have missed some since this was last asked.
    pub const fn take_gap(&self) -> bool {
        self.has_gap.replace(false)
    }

    /// The ids of its events, if these are not the upstream's.
    pub const fn own_ids(&self) -> Option<&OwnIds> {
        self.own_ids.as_ref()
    }

    /// Drops the events that are too old.
    pub fn expire(&self, now: Tick) {
        self.events.with(|events| events.expire(now));
    }

    /// How far its stream is.
    pub const fn state(&self) -> LogState {
        self.state.get()
    }

    /// Changes the state. Its readers have to be woken.
    pub fn enter(&self, state: LogState) {
        self.note(Change::State);
        self.state.set(state);
    }

    fn note(&self, change: Change) {
        self.change.set(Some(change));
        self.untold.set(true);
    }

    /// The stream is there, with this head.
    pub fn open(&self, head: &[u8]) {
        self.set_head(head);
        self.enter(LogState::Open);
    }

    /// The head of its stream is this.
    pub fn set_head(&self, head: &[u8]) {
        self.head.set(head.into());
    }

    /// The head of its stream.
    pub fn head(&self) -> Rc<[u8]> {
        let head = self.head.take();
        self.head.set(Rc::clone(&head));
        head
    }

    /// What has changed since this was last asked, if anything has.
    pub fn take_change(&self) -> Option<Change> {
        self.change.take()
    }

    /// All readers have been woken since the last change that was taken note of.
    pub fn note_told(&self) {
        self.untold.set(self.change.get().is_some());
    }

    /// True exactly when all readers have been woken since the last change.
    pub const fn is_told(&self) -> bool {
        !self.untold.get()
    }

    /// The number of its readers.
    pub const fn readers(&self) -> usize {
        self.readers.get()
    }

    /// Counts another reader.
    pub fn reader(self: &Rc<Log>) -> Reader {
        self.readers.set(self.readers.get() + 1);
        Reader(Rc::clone(self))
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Log { events, state, readers, .. } = self;
        write!(f, "{events:?}, {:?}, {} readers", state.get(), readers.get())
    }
}

/// A reader of a log, counted for as long as it exists.
#[derive(Debug)]
pub struct Reader(Rc<Log>);

impl Deref for Reader {
    type Target = Rc<Log>;

    fn deref(&self) -> &Rc<Log> {
        &self.0
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.readers.set(self.0.readers.get() - 1);
        if self.0.readers.get() == 0 {
            self.0.deserted.set(true);
        }
    }
}
