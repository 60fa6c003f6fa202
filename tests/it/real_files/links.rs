//! Links in texts, as people write them.
