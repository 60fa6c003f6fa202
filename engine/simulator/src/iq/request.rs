//! The parts of a request (`<iq>`).

use wacore_binary::Node;

/// The parts of a request.
pub(crate) struct IqRequest<'a> {
    pub(crate) id: String,
    /// `get` or `set`.
    pub(crate) kind: String,
    pub(crate) xmlns: String,
    /// The first child. Its tag names the question.
    pub(crate) child: Option<&'a Node>,
    pub(crate) node: &'a Node,
}

impl IqRequest<'_> {
    /// Returns the tag of the first child.
    pub(crate) fn tag(&self) -> &str {
        self.child.map_or("", |child| child.tag.as_ref())
    }
}
