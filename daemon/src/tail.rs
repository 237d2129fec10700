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
        return append(&later, postcard::to_extend(&more, bytes)?);
    }
    if more == T::More::default() { Ok(bytes) } else { postcard::to_extend(&more, bytes) }
}

/// Reads a thing and its tail. What stands behind the tail is a later version's.
///
/// # Errors
/// It is damaged or cut short.
pub fn read<T: DeserializeOwned + Tailed>(bytes: &[u8]) -> Result<T, postcard::Error> {
    let (mut value, rest) = postcard::take_from_bytes::<T>(bytes)?;
    if rest.is_empty() || T::TAILLESS {
        return Ok(value);
    }
    let (more, rest) = postcard::take_from_bytes(rest)?;
    value.add(more);
    if !rest.is_empty() {
        value.add_later(read(rest)?);
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
        newest: Newest,
    }

    /// What was added later, and later still.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Newest {
        number: u8,
        #[serde(skip)]
        next: u16,
    }

    impl Tailed for Newest {
        type More = Next;
        type Later = ();

        fn more(&self) -> Next {
            Next(self.next)
        }

        fn later(&self) {}

        fn add(&mut self, Next(next): Next) {
            self.next = next;
        }

        fn add_later(&mut self, (): ()) {}
    }

    #[derive(Default, PartialEq, Serialize, Deserialize)]
    struct Next(u16);

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct More {
        count: u32,
        name: String,
    }

    impl Tailed for Thing {
        type More = More;
        type Later = Newest;

        fn more(&self) -> More {
            self.new.clone()
        }

        fn later(&self) -> Newest {
            self.newest.clone()
        }

        fn add(&mut self, more: More) {
            self.new = more;
        }

        fn add_later(&mut self, later: Newest) {
            self.newest = later;
        }
    }

    fn thing(count: u32) -> Thing {
        Thing {
            old: vec![1, 300],
            new: More { count, name: String::new() },
            newest: Newest::default(),
        }
    }

    fn of(number: u8, next: u16) -> Newest {
        Newest { number, next }
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
        let latest = Thing { newest: of(9, 0), ..thing(5) };
        let longer = append(&latest, Vec::new()).expect("written");
        assert_eq!(longer, [&whole[..], &[9]].concat());
        assert_eq!(read::<Thing>(&longer), Ok(latest.clone()));
        // The next octet is what 0.5 adds; whatever stands behind that is not looked at.
        let next = Thing { newest: of(9, 8), ..thing(5) };
        assert_eq!(read::<Thing>(&[&longer[..], &[8, 7, 7]].concat()), Ok(next));
    }

    #[test]
    fn what_is_newest_stands_behind_a_tail_that_says_nothing() {
        let latest = Thing { newest: of(9, 0), ..thing(0) };
        let bytes = append(&latest, Vec::new()).expect("written");
        assert_eq!(read::<Thing>(&bytes), Ok(latest));
    }

    #[test]
    fn what_was_added_last_stands_behind_that() {
        for (number, next) in [(9, 5), (0, 5)] {
            let latest = Thing { newest: of(number, next), ..thing(0) };
            let bytes = append(&latest, Vec::new()).expect("written");
            assert_eq!(read::<Thing>(&bytes), Ok(latest.clone()));
            // What comes behind that is a later version's, however long it is.
            assert_eq!(read::<Thing>(&[&bytes[..], &[7; 40]].concat()), Ok(latest));
        }
    }
}
