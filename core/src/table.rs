//! A small map in one piece of memory, in the order of its keys.
//!
//! For what has a few entries and is made, read and dropped many times a second, as a guard's
//! reports: a search tree asks for memory for eleven entries at once, and again for each map
//! within. On a wire it is what a map is. Looking up is a binary search; adding moves what comes
//! after, so it is not for more than some dozens of entries.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Index;
use core::slice;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map of few entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table<K, V>(Vec<(K, V)>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> Table<K, V> {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn find(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(it, _)| it.cmp(key))
    }

    /// What stands at a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.find(key).ok().map(|at| &self.0[at].1)
    }

    /// What stands at a key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find(key).ok().map(|at| &mut self.0[at].1)
    }

    /// What stands at a key; before that `make` puts something there, if nothing is.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = self.find(&key).unwrap_or_else(|at| {
            self.0.insert(at, (key, make()));
            at
        });
        &mut self.0[at].1
    }

    /// Puts something at a key, and gives what stood there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => Some(core::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes away what stands at a key.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.find(key).ok().map(|at| self.0.remove(at).1)
    }

    /// Whether something stands at a key.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    /// Keeps only what `keep` says.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keep(key, value));
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values, to be changed, in the order of their keys.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// All of it, the values to be changed, in the order of the keys.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// All of it, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl<K: Ord, V> Index<&K> for Table<K, V> {
    type Output = V;

    /// # Panics
    /// If nothing stands at the key.
    fn index(&self, key: &K) -> &V {
        self.get(key).expect("nothing stands at that key")
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Table<K, V> {
    /// Of several values for one key the last stays.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        if !entries.is_sorted_by(|(a, _), (b, _)| a < b) {
            let map: BTreeMap<_, _> = entries.into_iter().collect();
            entries = map.into_iter().collect();
        }
        Self(entries)
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Table<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<'a, K, V> IntoIterator for &'a Table<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = core::iter::Map<slice::Iter<'a, (K, V)>, fn(&'a (K, V)) -> (&'a K, &'a V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl<K: Serialize, V: Serialize> Serialize for Table<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Table<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What others send may be in any order, and name a key twice.
        Ok(BTreeMap::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn it_is_what_a_map_is() {
        let entries = [(3, 'c'), (1, 'a'), (3, 'd'), (2, 'b')];
        let mut map = BTreeMap::from(entries);
        let mut table = Table::from(entries);
        assert!(table.iter().eq(&map));
        assert_eq!((table.get(&3), table.get(&9)), (Some(&'d'), None));
        for key in [2, 0, 7] {
            *table.get_or_insert_with(key, || 'n') = 'z';
            map.insert(key, 'z');
        }
        for (key, value) in [(5, 'p'), (2, 'q'), (7, 'r')] {
            assert_eq!(table.insert(key, value), map.insert(key, value));
        }
        for key in [7, 8] {
            assert_eq!(table.remove(&key), map.remove(&key));
        }
        table.values_mut().chain(map.values_mut()).for_each(|it| *it = it.to_ascii_uppercase());
        assert!(table.iter().eq(&map));
        table.retain(|key, _| *key != 1);
        map.retain(|key, _| *key != 1);
        assert!(table.keys().eq(map.keys()) && table.values().eq(map.values()));
        let bytes = postcard::to_allocvec(&map).unwrap();
        assert_eq!(postcard::to_allocvec(&table).unwrap(), bytes);
        assert_eq!(postcard::from_bytes::<Table<i32, char>>(&bytes), Ok(table));
    }

    #[test]
    fn what_comes_unsorted_off_a_wire_is_sorted() {
        let bytes = postcard::to_allocvec(&vec![(2_u8, 5_u8), (1, 6), (2, 7)]).unwrap();
        let table: Table<u8, u8> = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(table, Table::from([(1, 6), (2, 7)]));
    }
}
