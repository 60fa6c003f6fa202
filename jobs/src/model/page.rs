//! One page of a list, newest first, after a given id.

/// The most rows a page holds.
pub const PAGE_MAX: i64 = 100;

/// Which page is wanted.
#[derive(Debug, Clone)]
pub struct Page<Id> {
    /// Rows wanted, 1 to [`PAGE_MAX`].
    pub limit: i64,
    /// Only rows older than this one; from the newest if absent.
    pub after: Option<Id>,
}

impl<Id: ToString> Page<Id> {
    /// Returns how many rows to read: one more than wanted, which shows whether there are more.
    pub(crate) fn fetch(&self) -> i64 {
        self.limit.clamp(1, PAGE_MAX) + 1
    }

    /// Returns a text above every id of the page: `~` sorts above every TypeID.
    pub(crate) fn below(&self) -> String {
        self.after
            .as_ref()
            .map_or_else(|| "~".to_owned(), ToString::to_string)
    }
}

/// The rows of a page.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// Whether there are older rows.
    pub more: bool,
}

impl<T> Listed<T> {
    /// Removes the extra row that [`Page::fetch`] asked for.
    pub(crate) fn cut<Id: ToString>(mut items: Vec<T>, page: &Page<Id>) -> Self {
        let wanted = usize::try_from(page.limit.clamp(1, PAGE_MAX)).unwrap_or(1);
        let more = items.len() > wanted;
        items.truncate(wanted);
        Self { items, more }
    }
}
