//! Tests of what needs no agent: `meta` reads what agents say of themselves, `called` is about
//! names, environments, codes and the safety of agents. Agents run in `daemon/tests/it/ocf.rs`.

mod called;
mod meta;
