//! What of a service runs with each of its copies.

use alloc::vec::Vec;

/// Where a resource runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// On one node: the service's holder.
    #[default]
    Single,
    /// Wherever there is a copy: something that can be promoted needs it.
    Copied,
    /// Wherever there is a copy, and promoted on the holder.
    Promotable,
}

/// Which part each resource is, given what each needs and which can be promoted: these, and
/// whatever they need in turn, run with each copy. Needs go in no circle.
#[must_use]
pub fn parts(needs: &[Vec<usize>], promotable: &[bool]) -> Vec<Part> {
    let part = |can: &bool| if *can { Part::Promotable } else { Part::Single };
    let mut all: Vec<Part> = promotable.iter().map(part).collect();
    let mut ahead: Vec<usize> =
        (0..all.len()).filter(|place| all.get(*place) == Some(&Part::Promotable)).collect();
    while let Some(place) = ahead.pop() {
        for need in needs.get(place).into_iter().flatten() {
            if let Some(part) = all.get_mut(*need).filter(|part| **part == Part::Single) {
                *part = Part::Copied;
                ahead.push(*need);
            }
        }
    }
    all
}
