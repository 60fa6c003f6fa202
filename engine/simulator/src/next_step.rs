//! What a stanza leads to.

use std::time::Duration;

use wacore_binary::Node;

/// What the sender's connection does next.
#[derive(Debug)]
pub(crate) enum NextStep {
    /// Send this.
    Reply(Node),
    /// Send this, later.
    Later(Duration, Node),
    /// Nothing.
    Silence,
    /// End the connection without a word.
    Cut,
    /// Send this and end the connection.
    Goodbye(Node),
}
