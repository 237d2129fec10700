//! Plans beside the best that there are, by an exact solver.
