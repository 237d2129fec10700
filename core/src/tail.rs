//! What a later version adds to a thing that earlier ones write and read.
//!
//! Everything on a wire or a disk has the form that the first version gave it: fields in their
//! order, without names. None may be put in between, for nodes of two versions talk to each other
//! while a cluster is upgraded, and each reads what the other wrote. So what is new stands *behind*
//! the thing, in its tail. Versions up to 0.2 read a thing and don't look behind it; where they
//! wrote it there is no tail, and what would be in it is what it was then: the default.
//!
//! A tail that says nothing but the default is not written at all. A cluster that uses nothing new
//! therefore writes what it always wrote, to the octet. What 0.4 adds stands behind the tail of 0.3
//! in the same way: that one reads its own part and doesn't look behind it. And that part may have
//! a tail of its own: what 0.5 adds stands there.
//!
//! What must not be overlooked by an older member (it would then decide otherwise than the rest)
//! may not be sent to one: that is checked where it is proposed (`daemon/src/api/features.rs`).

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A thing with a tail. In the thing itself its fields are skipped by serde.
pub trait Tailed {
    /// No version known here has added anything: what stands behind it is a later one's.
    const TAILLESS: bool = false;

    /// What stands in the tail, from 0.3 on.
    type More: Serialize + DeserializeOwned + Default + PartialEq;
    /// What stands behind that, from 0.4 on. Its own tail is what 0.5 adds.
    type Later: Tailed + Serialize + DeserializeOwned + Default + PartialEq;

    /// What to write there.
    fn more(&self) -> Self::More;

    /// What to write behind that.
    fn later(&self) -> Self::Later;

    /// Takes what was read there.
    fn add(&mut self, more: Self::More);

    /// Takes what was read behind that.
    fn add_later(&mut self, later: Self::Later);
}

/// Says of a thing that no later version has added anything to it.
#[macro_export]
macro_rules! tailless {
    ($($thing:ty),* $(,)?) => {$(
        impl $crate::tail::Tailed for $thing {
            const TAILLESS: bool = true;

            type More = ();
            type Later = ();

            fn more(&self) {}

            fn later(&self) {}

            fn add(&mut self, (): ()) {}

            fn add_later(&mut self, (): ()) {}
        }
    )*};
}

tailless!(());
