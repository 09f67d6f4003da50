//! A list that forgets its oldest rows, and says how many it forgot.

use std::collections::VecDeque;

/// Rows by ascending number, bounded in count and in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Ring<T> {
    rows: VecDeque<Row<T>>,
    max_rows: usize,
    max_bytes: usize,
    bytes: usize,
    last: u64,
    dropped: u64,
}

#[derive(Debug, Clone)]
struct Row<T> {
    number: u64,
    bytes: usize,
    /// In a block of its own: a queue has up to twice the places that it needs.
    value: Box<T>,
}

/// How much there is in a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    /// Of memory.
    pub(crate) bytes: usize,
}

/// What each row takes in the queue, beside its value.
pub(crate) const PLACE: usize = 2 * size_of::<Row<()>>();

impl<T> Ring<T> {
    pub(crate) fn new(max_rows: usize, max_bytes: usize) -> Self {
        Self { rows: VecDeque::new(), max_rows, max_bytes, bytes: 0, last: 0, dropped: 0 }
    }

    /// The number that the next row gets when the ring counts for itself. Starts at 1.
    pub(crate) fn next_number(&self) -> u64 {
        self.last + 1
    }

    /// Adds a row under `number`, which must be higher than all before, and hands each row that
    /// had to go to `evicted`. `bytes` is what it takes in memory, all in all.
    pub(crate) fn push(&mut self, number: u64, bytes: usize, value: T, mut evicted: impl FnMut(T)) {
        debug_assert!(number > self.last, "numbers of a ring ascend");
        self.last = number;
        self.bytes += bytes;
        self.rows.push_back(Row { number, bytes, value: Box::new(value) });
        self.evict(&mut evicted);
    }

    /// A row takes so many bytes now, for which older rows may have to go.
    pub(crate) fn reweigh(&mut self, number: u64, bytes: usize, mut evicted: impl FnMut(T)) {
        let Ok(index) = self.rows.binary_search_by_key(&number, |row| row.number) else { return };
        let Some(row) = self.rows.get_mut(index) else { return };
        self.bytes = self.bytes - row.bytes + bytes;
        row.bytes = bytes;
        self.evict(&mut evicted);
    }

    fn evict(&mut self, evicted: &mut impl FnMut(T)) {
        while self.rows.len() > self.max_rows
            || (self.bytes > self.max_bytes && self.rows.len() > 1)
        {
            self.forget_oldest(&mut *evicted);
        }
    }

    /// Hands the oldest row to `evicted`, and counts it as dropped.
    pub(crate) fn forget_oldest(&mut self, evicted: impl FnOnce(T)) {
        if let Some(row) = self.rows.pop_front() {
            self.bytes -= row.bytes;
            self.dropped += 1;
            evicted(*row.value);
        }
    }

    /// Rows whose number is above `after`, oldest first.
    pub(crate) fn after(&self, after: u64) -> impl DoubleEndedIterator<Item = (u64, &T)> {
        let start = self.rows.partition_point(|row| row.number <= after);
        self.rows.range(start..).map(|row| (row.number, &*row.value))
    }

    /// The same, to be changed.
    pub(crate) fn after_mut(&mut self, after: u64) -> impl Iterator<Item = (u64, &mut T)> {
        let start = self.rows.partition_point(|row| row.number <= after);
        self.rows.range_mut(start..).map(|row| (row.number, &mut *row.value))
    }

    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        let index = self.rows.binary_search_by_key(&number, |row| row.number).ok()?;
        self.rows.get(index).map(|row| &*row.value)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let index = self.rows.binary_search_by_key(&number, |row| row.number).ok()?;
        self.rows.get_mut(index).map(|row| &mut *row.value)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows that are there.
    pub(crate) fn size(&self) -> Size {
        Size { rows: self.rows.len(), bytes: self.bytes }
    }

    /// How many rows were forgotten since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::Ring;

    #[test]
    fn the_oldest_rows_go_first_and_are_counted() {
        let mut ring = Ring::new(3, 100);
        let mut gone = Vec::new();
        for n in 1..=5 {
            ring.push(n, 1, n, |old| gone.push(old));
        }
        assert_eq!(gone, [1, 2]);
        assert_eq!(ring.dropped(), 2);
        assert_eq!(ring.after(3).map(|(n, _)| n).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(ring.get_mut(2), None);
        assert_eq!(ring.get_mut(4), Some(&mut 4));
    }

    #[test]
    fn bytes_bound_the_ring_but_the_newest_row_stays() {
        let mut ring = Ring::new(10, 10);
        ring.push(1, 6, "a", drop);
        ring.push(2, 6, "b", drop);
        assert_eq!(ring.after(0).map(|(_, v)| *v).collect::<Vec<_>>(), ["b"]);
        ring.push(3, 60, "c", drop);
        assert_eq!(ring.len(), 1);
    }

    #[test]
    fn a_row_that_grows_drives_older_ones_out() {
        let mut ring = Ring::new(10, 10);
        for (n, value) in [(1, "a"), (2, "b"), (3, "c")] {
            ring.push(n, 3, value, drop);
        }
        let mut gone = Vec::new();
        ring.reweigh(2, 6, |old| gone.push(old));
        assert_eq!(gone, ["a"]);
        ring.reweigh(2, 1, |old| gone.push(old));
        ring.push(4, 6, "d", |old| gone.push(old));
        assert_eq!((gone.as_slice(), ring.len()), (["a"].as_slice(), 3), "what shrank makes room");
        ring.reweigh(1, 99, drop);
        assert_eq!(ring.len(), 3, "a row that is gone weighs nothing");
    }
}
