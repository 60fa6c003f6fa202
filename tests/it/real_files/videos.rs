//! Videos as cameras and phones write them.
