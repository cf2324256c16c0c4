//! A log that many exchanges read: its events, and the state of their upstream stream.
//!
//! The feed that fills it changes its state, and each reader acts on that in its own steps. A
//! reader keeps the log alive, so one that is behind can read to the end after the feed is gone.

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

/// The state of the stream of a log.
#[derive(Clone, Copy, Debug)]
pub enum LogState {
    /// It was requested from another event loop that has it. What its log holds is not known yet.
    Asked,
    /// It is no longer awaited, because the other event loop does not have it, or its targets were
    /// replaced before they were asked. Waiting readers ask again.
    Gone,
    /// Its response is awaited.
    Awaited,
    /// Its response is awaited for long, because no upstream can serve it, for the reason in this
    /// reply.
    Held(LocalReply),
    /// It is open.
    Open,
    /// It is unavailable, for the reason in this reply.
    Failed(LocalReply),
    /// It must not be shared, for this reason.
    Private(Veto),
    /// It was open and has ended.
    Ended(Outcome),
    /// It was open, and its upstream broke it off.
    Broken,
}

impl LogState {
    /// True if the log is no longer being filled.
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

    /// True if it is or was open.
    pub const fn has_begun(&self) -> bool {
        matches!(self, LogState::Open) || self.has_ended()
    }

    /// True if it was open and is over: events that the log holds may still be read.
    pub const fn has_ended(&self) -> bool {
        matches!(self, LogState::Ended(_) | LogState::Broken)
    }
}

/// What has changed about a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There are more events.
    Events,
    /// Its state has changed, and perhaps its events.
    State,
}

/// A log that many exchanges read. See the module docs.
pub struct Log {
    /// The id of the request for its events, shared by all copies of the log.
    pub id: u64,
    events: LogCell,
    /// The ids of its events, if they are not the upstream's.
    own_ids: Option<OwnIds>,
    state: Cell<LogState>,
    /// The head of its stream: the upstream's, without the fields that concern a single message.
    head: Cell<Rc<[u8]>>,
    readers: Cell<usize>,
    /// True if all readers have missed events since the last [`Log::take_gap`].
    has_gap: Cell<bool>,
    /// What has changed since the last [`Log::take_change`].
    change: Cell<Option<Change>>,
    /// True if it has changed and not all readers have been woken.
    untold: Cell<bool>,
    /// Set when the last reader leaves.
    deserted: Rc<Cell<bool>>,
    /// Statistics about its clients.
    pub counts: Counts,
}

/// Statistics about the clients of a log.
#[derive(Debug, Default)]
pub struct Counts {
    /// Events replayed from the log to clients that joined late or came back.
    pub replayed: Counter,
    /// Clients that had missed more than the log held.
    pub gaps: Counter,
    /// Clients that got their own upstream stream.
    pub vetoes: Counter,
}

impl Log {
    /// Creates a log without events, in this state. `deserted` is set whenever its last reader
    /// leaves.
    pub fn new(limits: Limits, state: LogState, deserted: &Rc<Cell<bool>>) -> Rc<Log> {
        Log::with_ids(limits, state, (0, None), deserted)
    }

    /// The same for the request with this id, with ids of our own if there are any.
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

    /// Calls `change` with its events. The caller must wake the readers.
    pub fn change<T>(&self, change: impl FnOnce(&mut EventLog) -> T) -> T {
        self.note(self.change.get().unwrap_or(Change::Events));
        self.events.with(change)
    }

    /// Holds all events that are appended from here on, until this is called again.
    pub fn begin_portion(&self) {
        self.events.with(EventLog::begin_portion);
    }

    /// Appends a block of the upstream's stream. The caller must wake the readers.
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
        // A block that is not an event has no id of ours.
        if name.is_some() {
            let id = own.write_next(text);
            change(text, Some(&text[id]));
        } else if !text.is_empty() {
            change(text, None);
        }
    }

    /// Appends an event that tells all readers that they have missed some. The caller must wake the
    /// readers.
    pub fn append_gap(&self, event: &str, now: Tick) {
        self.change(|events| events.append_block(event.as_bytes(), None, None, now));
    }

    /// Replaces its events with those of the log in another event loop that this is a copy of. The
    /// caller must wake the readers.
    pub fn replace(&self, events: EventLog) {
        self.change(|own| *own = events);
    }

    /// Appends what was added to the log that this is a copy of. The caller must wake the readers.
    pub fn take(&self, batch: &Batch, now: Tick) {
        self.change(|events| events.take(batch, now));
    }

    /// Notes that all readers have missed events, and counts the readers in this event loop.
    pub fn note_gap(&self, stats: Option<&ApiStats>) {
        self.has_gap.set(true);
        let readers = self.readers() as u64;
        self.counts.gaps.add(readers);
        if let Some(stats) = stats {
            stats.gaps.add(readers);
        }
    }

    /// True if all readers have missed events since this was last called.
    pub const fn take_gap(&self) -> bool {
        self.has_gap.replace(false)
    }

    /// The ids of its events, if they are not the upstream's.
    pub const fn own_ids(&self) -> Option<&OwnIds> {
        self.own_ids.as_ref()
    }

    /// Drops the events that are too old.
    pub fn expire(&self, now: Tick) {
        self.events.with(|events| events.expire(now));
    }

    /// The state of its stream.
    pub const fn state(&self) -> LogState {
        self.state.get()
    }

    /// Changes the state. The caller must wake the readers.
    pub fn enter(&self, state: LogState) {
        self.note(Change::State);
        self.state.set(state);
    }

    fn note(&self, change: Change) {
        self.change.set(Some(change));
        self.untold.set(true);
    }

    /// Notes that the stream is open, with this head.
    pub fn open(&self, head: &[u8]) {
        self.set_head(head);
        self.enter(LogState::Open);
    }

    /// Sets the head of its stream.
    pub fn set_head(&self, head: &[u8]) {
        self.head.set(head.into());
    }

    /// The head of its stream.
    pub fn head(&self) -> Rc<[u8]> {
        let head = self.head.take();
        self.head.set(Rc::clone(&head));
        head
    }

    /// What has changed since this was last called, if anything has.
    pub fn take_change(&self) -> Option<Change> {
        self.change.take()
    }

    /// Notes that all readers have been woken since the last change that was taken.
    pub fn note_told(&self) {
        self.untold.set(self.change.get().is_some());
    }

    /// True if all readers have been woken since the last change.
    pub const fn is_told(&self) -> bool {
        !self.untold.get()
    }

    /// The number of its readers.
    pub const fn readers(&self) -> usize {
        self.readers.get()
    }

    /// Adds a reader.
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
