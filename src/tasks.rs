//! What the loop runs: tasks, the queue of those that may be able to move, and a timer for each.
//!
//! Whatever can make a task move (an event, a timer, another task) wakes it, and nothing else does
//! anything: a task that was woken stands in the queue once, and has its turn. What a task is, and
//! what its turn does, is its owner's affair.
//!
//! Tested against a plain list.

use crate::slab::{Key, Slab};
use crate::time::Tick;
use crate::wheel::Wheel;
use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

/// Tasks by their keys. See the module.
#[derive(Debug)]
pub struct Tasks<T> {
    tasks: Slab<T>,
    /// Those that were woken and have not had their turn yet; keys of tasks that are gone among
    /// them.
    queue: VecDeque<Key<T>>,
    /// Those that were put off while more urgent ones had their turn, in order.
    deferred: VecDeque<Key<T>>,
    /// True exactly when the task with this index stands in one of the queues.
    queued: Vec<bool>,
    /// One entry a task, by its index: a promise to wake it.
    timers: Wheel,
}

impl<T> Tasks<T> {
    /// No task yet.
    pub fn new(now: Tick) -> Tasks<T> {
        Tasks {
            tasks: Slab::new(),
            queue: VecDeque::new(),
            deferred: VecDeque::new(),
            queued: Vec::new(),
            timers: Wheel::new(now),
        }
    }

    /// Sets room aside for so many tasks. More of them grow it.
    pub fn reserve(&mut self, tasks: usize) {
        self.tasks.reserve(tasks);
        self.queued.reserve(tasks);
        self.timers.reserve(tasks);
    }

    /// A new task, which is not in the queue.
    pub fn insert(&mut self, task: T) -> Key<T> {
        let key = self.tasks.insert(task);
        let index = key.index() as usize;
        if index >= self.queued.len() {
            self.queued.resize(index + 1, false);
        }
        self.queued[index] = false;
        key
    }

    /// Takes a task out, with its timer.
    pub fn remove(&mut self, key: Key<T>) -> Option<T> {
        let task = self.tasks.remove(key)?;
        self.timers.disarm(key.index());
        Some(task)
    }

    /// Puts a task that is there into the queue, once.
    pub fn wake(&mut self, key: Key<T>) {
        if self.tasks.get(key).is_some() && !self.is_queued(key) {
            self.queued[key.index() as usize] = true;
            self.queue.push_back(key);
        }
    }

    /// Wakes all of them.
    pub fn wake_all(&mut self) {
        let keys: Vec<Key<T>> = self.tasks.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.wake(key);
        }
    }

    /// True exactly when a task that is there stands in one of the queues.
    pub fn is_queued(&self, key: Key<T>) -> bool {
        self.queued[key.index() as usize]
    }

    /// Puts off a task that was taken out of the queue: it stands behind the others that were.
    pub fn defer(&mut self, key: Key<T>) {
        self.queued[key.index() as usize] = true;
        self.deferred.push_back(key);
    }

    /// Takes the first of those that were put off. None if there is none, or if it is gone.
    pub fn next_deferred(&mut self) -> Option<Key<T>> {
        let key = self.deferred.pop_front()?;
        self.tasks.get(key)?;
        self.queued[key.index() as usize] = false;
        Some(key)
    }

    /// True exactly when a task stands in one of the queues, or has stood there and is gone.
    pub fn has_queued(&self) -> bool {
        !self.queue.is_empty() || !self.deferred.is_empty()
    }

    /// How long the queue is. Those who are woken from here on stand behind these.
    pub fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// Takes the task whose turn it is out of the queue. None for one that is gone.
    pub fn next_queued(&mut self) -> Option<Key<T>> {
        let key = self.queue.pop_front()?;
        self.tasks.get(key)?;
        self.queued[key.index() as usize] = false;
        Some(key)
    }

    /// Promises to wake a task at this moment, or a little later, unless that was promised for an
    /// earlier one.
    pub fn wake_at(&mut self, key: Key<T>, at: Tick) {
        self.timers.at_most(key.index(), at);
    }

    /// When a task will be woken.
    pub fn timer(&self, key: Key<T>) -> Tick {
        self.timers.armed(key.index())
    }

    /// When the first timer is due.
    pub const fn next_timer(&self) -> Tick {
        self.timers.next()
    }

    /// Wakes those whose timers are due, at most so many of them.
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

    /// The task with this key, if it is there.
    pub fn get(&self, key: Key<T>) -> Option<&T> {
        self.tasks.get(key)
    }

    /// As [`Tasks::get`], to change it.
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        self.tasks.get_mut(key)
    }

    /// The key of the task with this index, if there is one.
    pub fn key_at(&self, index: u32) -> Option<Key<T>> {
        self.tasks.key_at(index)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// True exactly when there is none.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.tasks.iter()
    }

    /// As [`Tasks::iter`], to change them.
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
