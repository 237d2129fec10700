//! What will happen, in order: by time, and by the order of asking among equals.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The things to come. The heap holds numbers only, so moving its entries is cheap however large a
/// thing is.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Reverse<(u64, u64, u32)>>,
    slots: Vec<Option<T>>,
    free: Vec<u32>,
    asked: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), asked: 0 }
    }
}

impl<T> Queue<T> {
    /// Has something happen at `time`, in microseconds.
    pub fn push(&mut self, time: u64, thing: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        self.slots[slot as usize] = Some(thing);
        self.asked += 1;
        self.heap.push(Reverse((time, self.asked, slot)));
    }

    /// The next thing that is due by `end`, and when.
    pub fn pop(&mut self, end: u64) -> Option<(u64, T)> {
        let Reverse((time, _, _)) = self.heap.peek()?;
        if *time > end {
            return None;
        }
        let Reverse((time, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        self.slots[slot as usize].take().map(|thing| (time, thing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_time_then_by_asking() {
        let mut queue = Queue::default();
        for (time, name) in [(5, "c"), (3, "a"), (5, "d"), (3, "b"), (9, "e")] {
            queue.push(time, name);
        }
        let due: Vec<_> = std::iter::from_fn(|| queue.pop(5)).map(|(_, name)| name).collect();
        assert_eq!(due, ["a", "b", "c", "d"]);
        queue.push(8, "again");
        assert_eq!(queue.pop(9), Some((8, "again")));
        assert_eq!(queue.pop(9), Some((9, "e")));
        assert_eq!(queue.pop(9), None);
    }
}
