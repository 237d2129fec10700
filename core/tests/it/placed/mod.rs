//! Plans: short stories of who goes where, and what holds for every plan there is.

mod bed;
mod exact;
mod idle;
mod properties;
mod scale;
mod stories;
mod times;

use stead_core::placement::{self, Sight};
use stead_core::state::Change;

/// The next assignment of the plan of that moment.
pub fn assignment(sight: Sight<'_>) -> Option<Change> {
    placement::assignment(sight, &placement::plan(sight))
}

/// The next departure of the plan of that moment.
pub fn departure(sight: Sight<'_>) -> Option<Change> {
    placement::departure(sight, &placement::plan(sight))
}
