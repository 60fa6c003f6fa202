//! One organisation, or somebody without a key, does what would be too much. The others are served as always.

mod door;
