//! Trials of the core's two machines together: a simulated cluster with virtual time (`world`),
//! short stories in text files (`golden`), random faults from seeds (`random`), and what each part
//! promises alone.

mod desk;
mod parts;
mod state;
mod wire;
