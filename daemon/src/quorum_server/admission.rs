//! How many connections and questions there may be, from one address and in all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::limits::{CONNECT_PAUSE, PER_ADDRESS, Rate};

/// Addresses that are remembered before those with nothing to remember are looked for.
const REMEMBERED: usize = 1_024;

/// An allowance that fills up again: the generic cell rate algorithm of ITU-T I.371. It is one
/// instant, at which it is full again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket(Option<Instant>);

impl Bucket {
    /// Takes one, if there is one.
    pub fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let full = self.0.filter(|full| *full > now).unwrap_or(now);
        if full + rate.pause > now + rate.pause * rate.burst {
            return false;
        }
        self.0 = Some(full + rate.pause);
        true
    }

    /// Nothing was taken lately.
    pub fn is_full(&self, now: Instant) -> bool {
        self.0.is_none_or(|full| full <= now)
    }
}

/// Who counts as one: an address, or the part of an IPv6 address that a network gives to one
/// machine (RFC 4291 section 2.5.4, RFC 7934).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// Why a connection is turned away as soon as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnedAway {
    /// There are too many in all.
    Full,
    /// There are too many from that address.
    AddressFull,
    /// They come too fast from that address.
    AddressFast,
}

#[derive(Debug, Default)]
struct Known {
    open: usize,
    connects: Bucket,
    questions: Bucket,
}

/// Who is connected from where.
#[derive(Debug)]
pub(super) struct Admission {
    most: usize,
    per_address: usize,
    known: Mutex<(usize, HashMap<Source, Known>)>,
}

/// A place for one connection. It is free again when this goes.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    source: Source,
}

impl Admission {
    pub fn new(most: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { most, per_address, known: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, (usize, HashMap<Source, Known>)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections there are.
    pub fn open(&self) -> usize {
        self.lock().0
    }

    /// A place for one more from there.
    pub fn enter(self: &Arc<Self>, from: IpAddr) -> Result<Place, TurnedAway> {
        let (source, now) = (Source::from(from), Instant::now());
        let burst = u32::try_from(self.per_address).unwrap_or(u32::MAX);
        let mut guard = self.lock();
        let (open, known) = &mut *guard;
        if known.len() >= REMEMBERED.max(2 * *open) && !known.contains_key(&source) {
            known.retain(|_, it| {
                it.open > 0 || !it.connects.is_full(now) || !it.questions.is_full(now)
            });
        }
        let of_source = known.entry(source).or_default();
        if !of_source.connects.take(Rate { burst, pause: CONNECT_PAUSE }, now) {
            return Err(TurnedAway::AddressFast);
        }
        if of_source.open >= self.per_address {
            return Err(TurnedAway::AddressFull);
        }
        if *open >= self.most {
            return Err(TurnedAway::Full);
        }
        of_source.open += 1;
        *open += 1;
        Ok(Place { admission: self.clone(), source })
    }
}

impl Place {
    /// Whether one more question from there is allowed now.
    pub fn may_ask(&self) -> bool {
        let mut guard = self.admission.lock();
        let known = guard.1.entry(self.source).or_default();
        known.questions.take(PER_ADDRESS, Instant::now())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guard = self.admission.lock();
        guard.0 = guard.0.saturating_sub(1);
        if let Some(known) = guard.1.get_mut(&self.source) {
            known.open = known.open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_allowance_is_used_up_and_comes_back_one_by_one() {
        let rate = Rate { burst: 3, pause: Duration::from_millis(10) };
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        let taken = (0..5).filter(|_| bucket.take(rate, now)).count();
        assert_eq!(taken, 3);
        assert!(!bucket.is_full(now));
        let later = now + Duration::from_millis(10);
        assert!(bucket.take(rate, later) && !bucket.take(rate, later));
        let long_after = now + Duration::from_secs(9);
        assert!(bucket.is_full(long_after));
        assert_eq!((0..5).filter(|_| bucket.take(rate, long_after)).count(), 3);
    }

    #[test]
    fn one_address_can_not_take_all_the_places_and_gives_them_back() {
        let admission = Admission::new(3, 2);
        let [one, two, three] = ["192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1"]
            .map(|it| it.parse::<IpAddr>().expect("an address"));
        let places = [admission.enter(one), admission.enter(three)];
        assert!(places.iter().all(Result::is_ok), "{places:?}");
        // The mapped address is the same machine.
        assert_eq!(admission.enter(one).unwrap_err(), TurnedAway::AddressFast);
        let other = admission.enter(two);
        assert!(other.is_ok());
        assert_eq!(admission.open(), 3);
        let full = admission.enter("198.51.100.1".parse().expect("an address"));
        assert_eq!(full.unwrap_err(), TurnedAway::Full);
        drop(places);
        assert_eq!(admission.open(), 1);
    }

    /// However many connections and keys they are spread over.
    #[test]
    fn questions_from_one_address_are_bounded_together_and_cost_no_other_one_anything() {
        let admission = Admission::new(9, 9);
        let enter = |text: &str| admission.enter(text.parse().expect("an address")).expect("room");
        let crowd = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(enter);
        let other = enter("2001:db8:0:1::1");
        let asked = (0..).find(|number| !crowd[number % crowd.len()].may_ask());
        assert!(asked.is_some_and(|number| number >= PER_ADDRESS.burst as usize), "{asked:?}");
        assert!(other.may_ask());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().expect("an address"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:2"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
    }
}
