//! The model's searches with bounds that fit a test: nothing bad with all rules, and each rule that
//! is needed shown so. `docs/concepts/model.md` tells of wider ones.

mod lease;
mod ties;
