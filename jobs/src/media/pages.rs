//! Counts the pages of a document, which a phone shows before it loads the file.

use hayro_syntax::{
    Pdf,
    object::{Dict, dict::keys},
};
use passerelle_engine::media::SealedFile;

/// The longest PDF whose pages are counted, in bytes: it is held in memory.
const SIZE_MAX: u64 = 16 * 1024 * 1024;
/// A document with more pages is not counted.
const PAGES_MAX: u32 = 100_000;

/// Returns whether the pages of such a file are counted.
pub(super) fn counts(mime_type: &str, file: &SealedFile) -> bool {
    mime_type == "application/pdf" && file.size <= SIZE_MAX
}

/// Returns the number of pages of a PDF; `None` if it is encrypted, damaged or inconsistent. May take
/// any time and memory, or crash: call it only in a confined process.
pub(super) fn count(pdf: Vec<u8>) -> Option<u32> {
    let pdf = Pdf::new(pdf).ok()?;
    let found = u32::try_from(pdf.pages().len()).ok()?;
    // A file that the parser repaired by guessing may have other pages than it says.
    let root: Dict<'_> = pdf.xref().get(pdf.xref().root_id())?;
    let said: u32 = root.get::<Dict<'_>>(keys::PAGES)?.get(keys::COUNT)?;
    (found > 0 && found == said && found <= PAGES_MAX).then_some(found)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    /// Returns a PDF with that many pages (ISO 32000-1, 7.5).
    fn pdf(pages: usize) -> Vec<u8> {
        let kids = (0..pages).fold(String::new(), |kids, n| format!("{kids}{} 0 R ", n + 3));
        let mut objects = vec![
            "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
            format!("<< /Type /Pages /Count {pages} /Kids [ {kids}] >>"),
        ];
        let page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Resources << >> >>";
        objects.extend(std::iter::repeat_n(page.to_owned(), pages));
        let (mut text, mut table) = ("%PDF-1.4\n".to_owned(), String::new());
        for (n, object) in (1..).zip(&objects) {
            writeln!(table, "{:010} 00000 n ", text.len()).unwrap();
            write!(text, "{n} 0 obj\n{object}\nendobj\n").unwrap();
        }
        let (at, size) = (text.len(), objects.len() + 1);
        write!(
            text,
            "xref\n0 {size}\n0000000000 65535 f \n{table}\
             trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{at}\n%%EOF\n"
        )
        .unwrap();
        text.into_bytes()
    }

    #[test]
    fn pages_are_counted() {
        for pages in [1, 2, 40] {
            let counted = count(pdf(pages));
            assert_eq!(counted, Some(u32::try_from(pages).unwrap()));
        }
        assert_eq!(count(pdf(0)), None);
        assert_eq!(count(b"%PDF-1.7\n".to_vec()), None);
        assert_eq!(count(Vec::new()), None);
    }

    #[test]
    fn one_that_is_cut_off_has_the_pages_it_says_or_none() {
        let whole = pdf(9);
        for end in 0..whole.len() {
            let counted = count(whole[..end].to_vec());
            assert!(matches!(counted, None | Some(9)), "{end}: {counted:?}");
        }
    }

    proptest! {
        /// Whatever byte was changed, counting ends with an answer.
        #[test]
        fn a_bent_document_is_counted_or_not(
            bends in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bent = pdf(5);
            for (at, byte) in bends {
                let at = at.index(bent.len());
                bent[at] = byte;
            }
            bent.truncate(cut.index(bent.len()) + 1);
            let _ = count(bent);
        }

        #[test]
        fn noise_has_no_pages(noise in prop::collection::vec(any::<u8>(), 0..4096)) {
            let mut told = b"%PDF-1.7\n".to_vec();
            told.extend(noise);
            prop_assert_eq!(count(told), None);
        }
    }
}
