//! What will happen, in order: by time, and by the order of asking among equals.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// So many bits of an entry are the slot, and so many the order of asking: enough for a million
/// million things, of which sixteen million wait.
const SLOT: u32 = 24;

/// The things to come. The heap holds numbers only, so moving its entries is cheap however large a
/// thing is; each is one number, so that one comparison tells which is earlier.
#[derive(Debug)]
pub struct Queue<T> {
    /// From the top: time, order of asking, slot.
    heap: BinaryHeap<Reverse<u128>>,
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
        let order = self.asked << SLOT | u64::from(slot);
        self.heap.push(Reverse(u128::from(time) << 64 | u128::from(order)));
    }

    /// When the next thing is due.
    pub fn next(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse(next)| (next >> 64) as u64)
    }

    /// The next thing.
    pub fn pop(&mut self) -> Option<T> {
        let Reverse(next) = self.heap.pop()?;
        let slot = next as u32 & ((1 << SLOT) - 1);
        self.free.push(slot);
        self.slots[slot as usize].take()
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
        let due: Vec<_> = (0..4).map(|_| (queue.next(), queue.pop())).collect();
        let due = due.into_iter().map(|(time, name)| (time.unwrap(), name.unwrap()));
        assert!(due.eq([(3, "a"), (3, "b"), (5, "c"), (5, "d")]));
        queue.push(8, "again");
        assert_eq!((queue.next(), queue.pop()), (Some(8), Some("again")));
        assert_eq!((queue.next(), queue.pop()), (Some(9), Some("e")));
        assert_eq!((queue.next(), queue.pop()), (None, None));
    }
}
