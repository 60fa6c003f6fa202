//! One page of a list, newest first, after a given id.

use std::fmt::Display;

use super::report_unreadable;

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

/// A row of a page that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRow {
    /// Its id.
    pub id: String,
}

/// The rows of a page.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// The rows that cannot be read, newest first.
    pub unreadable: Vec<UnreadableRow>,
    /// The id of the oldest row of the page, whether it can be read or not.
    pub last: Option<String>,
    /// Whether there are older rows.
    pub more: bool,
}

impl<T> Listed<T> {
    /// Returns an empty page.
    pub(crate) fn nothing() -> Self {
        Self {
            items: Vec::new(),
            unreadable: Vec::new(),
            last: None,
            more: false,
        }
    }

    /// Reads each row with `read`, without the extra row that [`Page::fetch`] asked for. `id` returns the id
    /// of a row. A row of `table` that cannot be read does not spoil the page.
    pub(crate) fn read<Row, Id: ToString, E: Display>(
        table: &'static str,
        rows: Vec<Row>,
        page: &Page<Id>,
        id: impl Fn(&Row) -> String,
        read: impl Fn(Row) -> Result<T, E>,
    ) -> Self {
        let wanted = usize::try_from(page.limit.clamp(1, PAGE_MAX)).unwrap_or(1);
        let mut listed = Self {
            items: Vec::with_capacity(rows.len().min(wanted)),
            unreadable: Vec::new(),
            last: None,
            more: rows.len() > wanted,
        };
        for row in rows.into_iter().take(wanted) {
            let id = id(&row);
            match read(row) {
                Ok(item) => listed.items.push(item),
                Err(error) => listed.leave_out(table, id.clone(), &error),
            }
            listed.last = Some(id);
        }
        listed
    }

    /// Opens each item of a page with `open`.
    pub(crate) fn open<Opened, E: Display>(
        self,
        table: &'static str,
        id: impl Fn(&T) -> String,
        open: impl Fn(T) -> Result<Opened, E>,
    ) -> Listed<Opened> {
        let mut listed = Listed {
            items: Vec::with_capacity(self.items.len()),
            unreadable: self.unreadable,
            last: self.last,
            more: self.more,
        };
        for item in self.items {
            let id = id(&item);
            match open(item) {
                Ok(opened) => listed.items.push(opened),
                Err(error) => listed.leave_out(table, id, &error),
            }
        }
        // Ids grow with time, so their order is that of the page.
        listed.unreadable.sort_by(|a, b| b.id.cmp(&a.id));
        listed
    }

    fn leave_out(&mut self, table: &'static str, id: String, error: &dyn Display) {
        report_unreadable(table, &id, error);
        self.unreadable.push(UnreadableRow { id });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(limit: i64) -> Page<String> {
        Page { limit, after: None }
    }

    fn number(row: &str) -> Result<i32, std::num::ParseIntError> {
        row.parse()
    }

    #[test]
    fn a_row_that_cannot_be_read_is_named_beside_the_others() {
        let rows = vec!["9", "x", "7", "6"];
        let listed = Listed::read("t", rows, &page(3), |row| (*row).to_owned(), number);
        assert_eq!((listed.items, listed.more), (vec![9, 7], true));
        assert_eq!(listed.unreadable, [UnreadableRow { id: "x".to_owned() }]);
        assert_eq!(listed.last.as_deref(), Some("7"));
    }

    #[test]
    fn the_next_page_begins_after_a_last_row_that_cannot_be_read() {
        let rows = vec!["9", "8", "z"];
        let listed = Listed::read(
            "t",
            rows,
            &page(2),
            |row| (*row).to_owned(),
            |row| {
                if row == "8" { Err("sealed") } else { Ok(row) }
            },
        );
        assert_eq!((listed.last.as_deref(), listed.more), (Some("8"), true));
        let opened = listed.open("t", |row| (*row).to_owned(), number);
        assert_eq!((opened.items, opened.unreadable.len()), (vec![9], 1));
        assert_eq!(opened.last.as_deref(), Some("8"));
    }
}
