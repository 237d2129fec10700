//! The replicated state behind the log: how changes and states are written down.
//!
//! Every encoded thing begins with the version of its format, for it outlives the program that
//! wrote it: on disk, and on the way to a member of another version.

use stead_core::id::Index;
use stead_core::state::{Change, Outcome, Refusal, State, Unsound};
use stead_core::tail::Tailed;
use stead_edge::chain;
use stead_log::{Grants, Machine, NO_GRANTS, RestoreError, SnapshotError};

use crate::tail;

/// The version of the encoding of changes, outcomes and states.
const FORMAT: u8 = 1;

/// Bytes that are none of ours.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Of another version.
    #[error("format {0} of another version of stead, this one reads {FORMAT}")]
    Version(u8),
    /// Damaged.
    #[error("damaged or incomplete")]
    Damaged(#[from] postcard::Error),
    /// Nothing at all.
    #[error("empty")]
    Empty,
    /// Readable, and yet not what any cluster agreed on.
    #[error("damaged")]
    Unsound(#[from] Unsound),
}

/// Encodes a value of the log.
///
/// # Errors
/// It can't be encoded, which only a bug explains.
pub fn encode<T: serde::Serialize + Tailed>(value: &T) -> Result<Vec<u8>, FormatError> {
    Ok(tail::append(value, vec![FORMAT])?)
}

/// Encodes a value for whoever waits for it. What could not be encoded is told as no bytes at all,
/// which is no value in any version: [`decode`] refuses it as [`FormatError::Empty`], and the one
/// that reads takes the fate of what it asked for as unknown. It is never less safe than the truth,
/// and only a bug explains it: all that is told is plain data of known length.
pub(super) fn told<T: serde::Serialize + Tailed>(what: &'static str, value: &T) -> Vec<u8> {
    encode(value).unwrap_or_else(|error| {
        tracing::error!(error = chain(&error), "{what} can't be told; its fate is unknown there");
        Vec::new()
    })
}

/// Decodes a value of the log.
///
/// # Errors
/// See [`FormatError`].
pub fn decode<T: serde::de::DeserializeOwned + Tailed>(bytes: &[u8]) -> Result<T, FormatError> {
    match bytes.split_first() {
        None => Err(FormatError::Empty),
        Some((&FORMAT, value)) => Ok(tail::read(value)?),
        Some((version, _)) => Err(FormatError::Version(*version)),
    }
}

/// Reads a state that another run or another node wrote.
///
/// # Errors
/// See [`FormatError`]; the present state is not touched.
pub(super) fn restored(bytes: &[u8]) -> Result<State, FormatError> {
    let state: State = decode(bytes)?;
    state.check()?;
    Ok(state)
}

/// The state that the log applies to.
#[derive(Default)]
pub(super) struct Replica {
    state: State,
}

impl Machine for Replica {
    fn apply(&mut self, index: Index, change: &[u8]) -> Vec<u8> {
        let outcome = match decode::<Change>(change) {
            Ok(change) => self.state.apply(index, change),
            // Every member of this version refuses it alike; nothing has changed.
            Err(_) => Outcome::Refused(Refusal::Stale),
        };
        // The change is made, whatever becomes of the word about it. An error here would stop the
        // log on every member in turn.
        told("the outcome of a change", &outcome)
    }

    fn grants(&self) -> Grants {
        |change| match decode::<Change>(change) {
            Ok(Change::Enrol { .. } | Change::Configure { .. }) => Some(NO_GRANTS),
            Ok(change) => change.grant(),
            Err(_) => None,
        }
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        encode(&self.state).map_err(|error| SnapshotError(error.to_string()))
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        self.state = restored(bytes).map_err(|error| RestoreError(chain(&error)))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stead_core::id::NodeId;
    use stead_core::state::Visit;

    use super::*;

    /// A value that no encoding takes.
    struct Untellable;

    impl serde::Serialize for Untellable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("untellable"))
        }
    }

    stead_core::tailless!(Untellable);

    #[test]
    fn what_cannot_be_told_is_no_value_for_anyone() {
        assert!(encode(&Untellable).is_err());
        let told = told("a thing", &Untellable);
        assert!(matches!(decode::<Outcome>(&told), Err(FormatError::Empty)));
        assert!(matches!(decode::<Change>(&told), Err(FormatError::Empty)));
    }

    #[test]
    fn what_holds_for_a_while_travels_with_a_state() {
        let mut state = State::default();
        let plain = encode(&state).unwrap();
        let times = &mut state.later.fencing.times;
        times.open.insert("night".to_owned());
        let visit =
            Visit { node: NodeId(2), until: 1_800_000_000, back: Some(NodeId(1)), once: false };
        times.visits.insert("web".into(), visit);
        let bytes = encode(&state).unwrap();
        assert_eq!(restored(&bytes).unwrap(), state);
        // What says nothing of it is written as 0.6 did.
        state.later.fencing.times = Default::default();
        assert_eq!(encode(&state).unwrap(), plain);
    }

    #[test]
    fn what_is_no_change_is_refused_and_changes_nothing() {
        let mut replica = Replica::default();
        for bytes in [&b""[..], b"\x01", b"\x02\x00", b"\x01\xff\xff\xff", &[1; 40]] {
            let outcome: Outcome = decode(&replica.apply(Index(1), bytes)).unwrap();
            assert!(matches!(outcome, Outcome::Refused(_)));
        }
        assert!(replica.state.cluster.is_none());
        assert!(replica.restore(b"\x07").is_err());
        let snapshot = replica.snapshot().unwrap();
        assert!(replica.restore(&snapshot).is_ok());
    }
}
