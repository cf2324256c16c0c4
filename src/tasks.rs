//! Tasks, a queue of those that may be able to make progress, and a timer for each.
//!
//! Whatever lets a task make progress (an event, a timer, another task) wakes it, and does nothing
//! else. A woken task is in the queue once and gets its turn. What a task is, and what it does in
//! its turn, is up to the owner.
//!
//! Tested against a plain list.

use crate::slab::{Key, Slab};
use crate::time::Tick;
use crate::wheel::Wheel;
use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

/// Tasks by key. See the module docs.
#[derive(Debug)]
pub struct Tasks<T> {
    tasks: Slab<T>,
    /// Tasks that were woken and have not had their turn yet. Keys of removed tasks may be among
    /// them.
    queue: VecDeque<Key<T>>,
    /// Tasks that were deferred while more urgent ones had their turn, in order.
    deferred: VecDeque<Key<T>>,
    /// True if the task with this index is in one of the queues.
    queued: Vec<bool>,
    /// One timer per task, by its index.
    timers: Wheel,
}

impl<T> Tasks<T> {
    /// Creates an empty set of tasks.
    pub fn new(now: Tick) -> Tasks<T> {
        Tasks {
            tasks: Slab::new(),
            queue: VecDeque::new(),
            deferred: VecDeque::new(),
            queued: Vec::new(),
            timers: Wheel::new(now),
        }
    }

    /// Reserves room for this many tasks. It grows if there are more.
    pub fn reserve(&mut self, tasks: usize) {
        self.tasks.reserve(tasks);
        self.queued.reserve(tasks);
        self.timers.reserve(tasks);
    }

    /// Adds a task. It is not in the queue.
    pub fn insert(&mut self, task: T) -> Key<T> {
        let key = self.tasks.insert(task);
        let index = key.index() as usize;
        if index >= self.queued.len() {
            self.queued.resize(index + 1, false);
        }
        self.queued[index] = false;
        key
    }

    /// Removes a task and its timer.
    pub fn remove(&mut self, key: Key<T>) -> Option<T> {
        let task = self.tasks.remove(key)?;
        self.timers.disarm(key.index());
        Some(task)
    }

    /// Puts an existing task into the queue, unless it is already there.
    pub fn wake(&mut self, key: Key<T>) {
        if self.tasks.get(key).is_some() && !self.is_queued(key) {
            self.queued[key.index() as usize] = true;
            self.queue.push_back(key);
        }
    }

    /// Like [`Tasks::wake`], for a task that is deferred from the beginning.
    pub fn wake_deferred(&mut self, key: Key<T>) {
        if self.tasks.get(key).is_some() && !self.is_queued(key) {
            self.defer(key);
        }
    }

    /// Wakes all tasks.
    pub fn wake_all(&mut self) {
        let keys: Vec<Key<T>> = self.tasks.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.wake(key);
        }
    }

    /// True if an existing task is in one of the queues.
    pub fn is_queued(&self, key: Key<T>) -> bool {
        self.queued[key.index() as usize]
    }

    /// Defers a task that was taken out of the queue. It comes after those already deferred.
    pub fn defer(&mut self, key: Key<T>) {
        self.queued[key.index() as usize] = true;
        self.deferred.push_back(key);
    }

    /// Takes the first deferred task. None if there is none or if it was removed.
    pub fn next_deferred(&mut self) -> Option<Key<T>> {
        let key = self.deferred.pop_front()?;
        self.tasks.get(key)?;
        self.queued[key.index() as usize] = false;
        Some(key)
    }

    /// The number of deferred tasks. Removed ones count, too.
    pub fn deferred_len(&self) -> usize {
        self.deferred.len()
    }

    /// True if a queue is not empty. Keys of removed tasks count, too.
    pub fn has_queued(&self) -> bool {
        !self.queue.is_empty() || !self.deferred.is_empty()
    }

    /// The length of the queue. Tasks woken from now on come after these.
    pub fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// Takes the next task out of the queue. None if that task was removed.
    pub fn next_queued(&mut self) -> Option<Key<T>> {
        let key = self.queue.pop_front()?;
        self.tasks.get(key)?;
        self.queued[key.index() as usize] = false;
        Some(key)
    }

    /// Arranges to wake a task at this moment or a little later, unless an earlier one is already
    /// set.
    pub fn wake_at(&mut self, key: Key<T>, at: Tick) {
        self.timers.at_most(key.index(), at);
    }

    /// When the timer of a task is due.
    #[cfg(feature = "sim")]
    pub fn timer(&self, key: Key<T>) -> Tick {
        self.timers.armed(key.index())
    }

    /// When the first timer is due.
    pub const fn next_timer(&self) -> Tick {
        self.timers.next()
    }

    /// Wakes tasks whose timers are due, at most `max` of them.
    pub fn expire(&mut self, now: Tick, max: usize) {
        let Tasks { tasks, queue, queued, timers, .. } = self;
        timers.expire(now, max, |index| {
            if let Some(key) = tasks.key_at(index)
                && !std::mem::replace(&mut queued[index as usize], true)
            {
                queue.push_back(key);
            }
        });
    }

    /// The task with this key, if it exists.
    pub fn get(&self, key: Key<T>) -> Option<&T> {
        self.tasks.get(key)
    }

    /// Mutable [`Tasks::get`].
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        self.tasks.get_mut(key)
    }

    /// The key of the task with this index, if it exists.
    pub fn key_at(&self, index: u32) -> Option<Key<T>> {
        self.tasks.key_at(index)
    }

    /// True if there is no task.
    pub fn is_empty(&self) -> bool {
        self.tasks.len() == 0
    }

    /// The number of tasks.
    #[cfg(feature = "sim")]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// All tasks.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.tasks.iter()
    }

    /// Mutable [`Tasks::iter`].
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key<T>, &mut T)> {
        self.tasks.iter_mut()
    }
}

impl<T> Index<Key<T>> for Tasks<T> {
    type Output = T;

    #[inline]
    fn index(&self, key: Key<T>) -> &T {
        &self.tasks[key]
    }
}

impl<T> IndexMut<Key<T>> for Tasks<T> {
    #[inline]
    fn index_mut(&mut self, key: Key<T>) -> &mut T {
        &mut self.tasks[key]
    }
}
