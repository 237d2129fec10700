//! The driver.

pub mod handle;
pub mod view;
