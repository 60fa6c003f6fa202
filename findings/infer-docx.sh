#!/usr/bin/env bash
# infer 0.22.0: documents of python-docx and presentations of python-pptx are plain ZIP archives.
#
# With: infer 0.22.0, python-docx 1.2.0, python-pptx 1.0.2, openpyxl 3.1.5
# Expected: docx, xlsx and pptx are in its list of supported types, so a document is named as one whoever wrote it.
# Seen: it looks at the first four files of the archive; these two libraries put `word/` and `ppt/` later.
#     a.docx: application/zip
#     a.pptx: application/zip
#     a.xlsx: application/vnd.openxmlformats-officedocument.spreadsheetml.sheet
# It needs cargo, and Python with venv.
# Exits 0 while this is so, 1 when it has changed, 2 when it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 2' ERR
cd "$work"

mkdir src
cat >Cargo.toml <<'END'
[package]
name = "infer-docx"
edition = "2024"

[dependencies]
infer = "=0.22.0"
END
cat >src/main.rs <<'END'
fn main() {
    for path in ["a.docx", "a.pptx", "a.xlsx"] {
        let kind = infer::get_from_path(path).expect("the file was just written");
        println!("{path}: {}", kind.map_or("unknown", |kind| kind.mime_type()));
    }
}
END
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check python-docx==1.2.0 python-pptx==1.0.2 openpyxl==3.1.5
venv/bin/python - <<END
import docx, openpyxl, pptx

document = docx.Document()
document.add_paragraph("An invoice")
document.save("a.docx")
pptx.Presentation().save("a.pptx")
openpyxl.Workbook().save("a.xlsx")
END
cargo run -q | tee seen
grep -q "^a.docx: application/zip" seen || exit 1
