//! What the demo shows.

use std::io::Write as _;

/// Standard output, a line at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen;

impl Screen {
    #[expect(clippy::unused_self, reason = "who writes holds the screen")]
    pub(super) fn line(self, text: &str) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }
}
