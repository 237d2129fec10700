//! cluster.toml
