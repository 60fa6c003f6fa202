//! Automatic replies: rules of an organisation that answer inbound messages.
//!
//! | page | what it holds |
//! |---|---|
//! | [`rules`] | rules from a tenant's view: create, read, list, replace, delete |
//! | [`trial`] | what the rules would do with a message |
//! | `check` | whether a rule can be stored |
//! | `matching`, `text`, `hours` | whether a rule fires at a message |
//! | `breaker` | whether another machine answers |
//! | `template` | the text of an answer |
//! | `cache`, `sealed` | rules in memory, and in the store |
//! | `foreseen` | what regular expressions find, before that transaction |
//! | `run` | what the rules do, in the transaction of an inbound message |

mod breaker;
pub(crate) mod cache;
pub mod check;
pub(crate) mod foreseen;
mod hours;
mod matching;
pub mod rules;
pub(crate) mod run;
mod sealed;
mod template;
mod text;
pub mod trial;
