//! What must work before what: places in a list instead of names, and no circles.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::state::config::ResourceConfig;

/// Resources that can't be brought into an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderError {
    /// Two have the same name.
    Twice(String),
    /// One needs another that there is not.
    Unknown {
        /// Which needs it.
        by: String,
        /// What it names.
        needs: String,
    },
    /// They need each other, in a circle; each the next, the last one the first.
    Circle(Vec<String>),
}

/// What each resource needs, by places in the list.
///
/// # Errors
/// Says which names can't be.
pub fn order(resources: &[ResourceConfig]) -> Result<Vec<Vec<usize>>, OrderError> {
    let named = |it: &ResourceConfig| (it.name.clone(), it.needs.iter().cloned().collect());
    order_of(&resources.iter().map(named).collect::<Vec<_>>())
}

/// The same of whatever has names and needs others.
///
/// # Errors
/// Says which names can't be.
pub fn order_of(named: &[(String, Vec<String>)]) -> Result<Vec<Vec<usize>>, OrderError> {
    let mut places = BTreeMap::new();
    for (place, (name, _)) in named.iter().enumerate() {
        if places.insert(name.as_str(), place).is_some() {
            return Err(OrderError::Twice(name.clone()));
        }
    }
    let mut all = Vec::new();
    for (by, names) in named {
        let mut needs = Vec::new();
        for name in names {
            let unknown = || OrderError::Unknown { by: by.clone(), needs: name.clone() };
            needs.push(*places.get(name.as_str()).ok_or_else(unknown)?);
        }
        all.push(needs);
    }
    match circle(&all) {
        Some(circle) => {
            let name = |place: &usize| named.get(*place).map(|(name, _)| name.clone());
            Err(OrderError::Circle(circle.iter().filter_map(name).collect()))
        }
        None => Ok(all),
    }
}

/// A circle among them, if there is one.
fn circle(needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    // Takes away whatever needs nothing that is left, until nothing changes.
    let mut left: BTreeSet<usize> = (0..needs.len()).collect();
    let held = |place: usize, left: &BTreeSet<usize>| {
        needs.get(place).and_then(|it| it.iter().copied().find(|need| left.contains(need)))
    };
    while let Some(free) = left.iter().copied().find(|place| held(*place, &left).is_none()) {
        left.remove(&free);
    }
    // Each of the rest needs another of the rest: following them comes back to somewhere.
    let mut way: Vec<usize> = Vec::new();
    let mut next = left.first().copied()?;
    while !way.contains(&next) {
        way.push(next);
        next = held(next, &left)?;
    }
    let begin = way.iter().position(|place| *place == next)?;
    Some(way.split_off(begin))
}
