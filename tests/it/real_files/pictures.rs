//! Pictures as cameras, phones and programs write them.
