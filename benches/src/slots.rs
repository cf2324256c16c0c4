//! The storage of connections: a vector whose indices are the tokens of the poller, and a list of
//! the free ones.
//!
//! An index is reused soon after it was freed, so an event of the same batch may reach the wrong
//! connection. That is harmless here, because it finds nothing to do.

/// A vector with free places.
pub struct Slots<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Slots<T> {
    /// An empty vector.
    pub fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Puts a value into a free place, and returns its index.
    pub fn insert(&mut self, value: T) -> usize {
        if let Some(index) = self.free.pop() {
            self.places[index] = Some(value);
            return index;
        }
        self.places.push(Some(value));
        self.places.len() - 1
    }

    /// The value at an index, unless it was removed.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.places.get_mut(index)?.as_mut()
    }

    /// Removes a value.
    pub fn remove(&mut self, index: usize) -> Option<T> {
        let value = self.places.get_mut(index)?.take()?;
        self.free.push(index);
        Some(value)
    }

    /// All values with their indices.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.places
            .iter_mut()
            .enumerate()
            .filter_map(|(index, place)| Some((index, place.as_mut()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_index_is_used_again() {
        let mut slots = Slots::new();
        assert_eq!((slots.insert('a'), slots.insert('b')), (0, 1));
        assert_eq!(slots.remove(0), Some('a'));
        assert_eq!(slots.remove(0), None);
        assert_eq!(slots.get_mut(0), None);
        assert_eq!(slots.insert('c'), 0);
        let all: Vec<(usize, char)> = slots
            .iter_mut()
            .map(|(index, value)| (index, *value))
            .collect();
        assert_eq!(all, [(0, 'c'), (1, 'b')]);
    }
}
