//! A failing seed made short: as few of its acts as still fail.
