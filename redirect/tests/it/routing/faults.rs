//! What goes wrong has a sentence of its own.
