//! Contents as WhatsApp's protobuf messages, both ways.

pub(super) mod media;
