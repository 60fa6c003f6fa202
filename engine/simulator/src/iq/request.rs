//! A request (`<iq>`), taken apart.

use wacore_binary::Node;

/// A request, taken apart.
pub(crate) struct IqRequest<'a> {
    pub(crate) id: String,
    /// `get` or `set`.
    pub(crate) kind: String,
    pub(crate) xmlns: String,
    /// The first child, which says what is asked.
    pub(crate) child: Option<&'a Node>,
    pub(crate) node: &'a Node,
}

impl IqRequest<'_> {
    /// Tag of the first child.
    pub(crate) fn tag(&self) -> &str {
        self.child.map_or("", |child| child.tag.as_ref())
    }
}
