//! Profile pictures.

/// The picture of an account or of a group.
pub(crate) struct Picture {
    pub(crate) id: String,
    /// Where the media server has it.
    pub(crate) direct_path: String,
}
