//! Plans: short stories of who goes where, and what holds for every plan there is.

mod bed;
mod exact;
mod properties;
mod scale;
mod stories;
