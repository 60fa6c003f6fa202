//! One page of a list, newest first, found by the id it goes on after.

/// The most rows a page holds.
pub const PAGE_MAX: i64 = 100;

/// Which page is wanted.
#[derive(Debug, Clone)]
pub struct Page<Id> {
    /// Rows wanted, 1 to [`PAGE_MAX`].
    pub limit: i64,
    /// Rows older than this one; the newest when absent.
    pub after: Option<Id>,
}

impl<Id: ToString> Page<Id> {
    /// One row more than wanted, to know whether there are more.
    pub(crate) fn fetch(&self) -> i64 {
        self.limit.clamp(1, PAGE_MAX) + 1
    }

    /// The text every id of the page sorts below: `~` stands above every TypeID.
    pub(crate) fn below(&self) -> String {
        self.after
            .as_ref()
            .map_or_else(|| "~".to_owned(), ToString::to_string)
    }
}

/// A page's rows.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// Whether older ones exist.
    pub more: bool,
}

impl<T> Listed<T> {
    /// Cuts the one row too many that [`Page::fetch`] asked for.
    pub(crate) fn cut<Id: ToString>(mut items: Vec<T>, page: &Page<Id>) -> Self {
        let wanted = usize::try_from(page.limit.clamp(1, PAGE_MAX)).unwrap_or(1);
        let more = items.len() > wanted;
        items.truncate(wanted);
        Self { items, more }
    }
}
