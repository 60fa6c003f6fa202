//! Deleting is erasing, and what is kept is kept to oneself.
//!
//! | page | what it shows |
//! |---|---|
//! | `sessions` | of a deleted session nothing is left, and nobody waits for that |
//! | `messages` | what a contact deletes for everybody is gone from events, too |
//! | `traces` | signed links are in no log; files are private |
//! | `tables` | who owns the rows of each table, and how they end |

mod messages;
pub(crate) mod sessions;
mod tables;
mod traces;
