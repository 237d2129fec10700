//! The octets of a thing and, behind them, of its tail (`stead_core::tail`): one way for wires,
//! disks and the door between guard and daemon.

use serde::Serialize;
use serde::de::DeserializeOwned;
use stead_core::tail::Tailed;

/// Appends a thing, and its tail if that says anything.
///
/// # Errors
/// It can't be encoded, which only a bug explains.
pub fn append<T: Serialize + Tailed>(value: &T, to: Vec<u8>) -> Result<Vec<u8>, postcard::Error> {
    let bytes = postcard::to_extend(value, to)?;
    let (more, later) = (value.more(), value.later());
    if later != T::Later::default() {
        return postcard::to_extend(&later, postcard::to_extend(&more, bytes)?);
    }
    if more == T::More::default() { Ok(bytes) } else { postcard::to_extend(&more, bytes) }
}

/// Reads a thing and its tail. What stands behind the tail is a later version's.
///
/// # Errors
/// It is damaged or cut short.
pub fn read<T: DeserializeOwned + Tailed>(bytes: &[u8]) -> Result<T, postcard::Error> {
    let (mut value, rest) = postcard::take_from_bytes::<T>(bytes)?;
    if rest.is_empty() {
        return Ok(value);
    }
    let (more, rest) = postcard::take_from_bytes(rest)?;
    value.add(more);
    if !rest.is_empty() {
        value.add_later(postcard::from_bytes(rest)?);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// A thing as it was, and what was added to it.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Thing {
        old: Vec<u16>,
        #[serde(skip)]
        new: More,
        #[serde(skip)]
        newest: u8,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct More {
        count: u32,
        name: String,
    }

    impl Tailed for Thing {
        type More = More;
        type Later = u8;

        fn more(&self) -> More {
            self.new.clone()
        }

        fn later(&self) -> u8 {
            self.newest
        }

        fn add(&mut self, more: More) {
            self.new = more;
        }

        fn add_later(&mut self, later: u8) {
            self.newest = later;
        }
    }

    fn thing(count: u32) -> Thing {
        Thing { old: vec![1, 300], new: More { count, name: String::new() }, newest: 0 }
    }

    #[test]
    fn a_thing_without_news_is_written_as_it_always_was() {
        let bytes = append(&thing(0), vec![7]).expect("written");
        assert_eq!(bytes[1..], postcard::to_allocvec(&vec![1_u16, 300]).expect("written"));
        assert_eq!(read::<Thing>(&bytes[1..]), Ok(thing(0)));
    }

    #[test]
    fn news_come_back_and_an_older_reader_does_not_see_them() {
        let bytes = append(&thing(5), Vec::new()).expect("written");
        assert_eq!(read::<Thing>(&bytes), Ok(thing(5)));
        assert_eq!(postcard::from_bytes::<Vec<u16>>(&bytes), Ok(vec![1, 300]));
    }

    #[test]
    fn a_tail_cut_short_is_an_error_and_a_longer_one_is_read_as_far_as_it_is_known() {
        let whole = append(&thing(5), Vec::new()).expect("written");
        let plain = append(&thing(0), Vec::new()).expect("written").len();
        for length in (0..plain).chain(plain + 1..whole.len()) {
            assert!(read::<Thing>(&whole[..length]).is_err(), "{length} octets");
        }
        let latest = Thing { newest: 9, ..thing(5) };
        let longer = append(&latest, Vec::new()).expect("written");
        assert_eq!(longer, [&whole[..], &[9]].concat());
        assert_eq!(read::<Thing>(&longer), Ok(latest.clone()));
        assert_eq!(read::<Thing>(&[&longer[..], &[9, 9]].concat()), Ok(latest));
    }

    #[test]
    fn what_is_newest_stands_behind_a_tail_that_says_nothing() {
        let latest = Thing { newest: 9, ..thing(0) };
        let bytes = append(&latest, Vec::new()).expect("written");
        assert_eq!(read::<Thing>(&bytes), Ok(latest));
    }
}
