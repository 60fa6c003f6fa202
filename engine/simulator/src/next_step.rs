//! What a connection does after a stanza.

use std::time::Duration;

use wacore_binary::Node;

/// What the sender's connection does next.
#[derive(Debug)]
pub(crate) enum NextStep {
    /// Send this stanza.
    Reply(Node),
    /// Send this stanza after a delay.
    Later(Duration, Node),
    /// Send nothing.
    Silence,
    /// Close the connection without a stanza.
    Cut,
    /// Send this stanza and close the connection.
    Goodbye(Node),
}
