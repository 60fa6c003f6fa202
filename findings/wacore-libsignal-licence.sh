#!/usr/bin/env bash
# wacore-libsignal 0.7.0: the manifest says MIT, 31 of its source files say AGPL-3.0-only.
#
# With: wacore-libsignal 0.7.0
# Expected: tools that check licences read `license` of the manifest, and it holds for the source files.
# Seen: it does not.
#     manifest: MIT
#     31 of 43 files: // SPDX-License-Identifier: AGPL-3.0-only
# It needs cargo and python3.
# Exits 0 while this is so, 1 when it has changed, 2 when it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 2' ERR
cd "$work"

mkdir src
touch src/lib.rs
cat >Cargo.toml <<'END'
[package]
name = "wacore-libsignal-licence"
edition = "2024"

[dependencies]
wacore-libsignal = { version = "=0.7.0", default-features = false }
END
cargo metadata -q --format-version 1 >metadata.json
python3 - <<'END' | tee seen
import json
from pathlib import Path

packages = json.load(open("metadata.json"))["packages"]
package = next(one for one in packages if one["name"] == "wacore-libsignal")
files = list((Path(package["manifest_path"]).parent / "src").rglob("*.rs"))
said = [line for file in files for line in file.read_text().splitlines()[:10] if "SPDX-License-Identifier" in line]
print("manifest:", package["license"])
for line in sorted(set(said)):
    print(f"{said.count(line)} of {len(files)} files: {line}")
END
grep -q 'manifest: MIT' seen || exit 1
grep -q 'AGPL-3.0-only' seen || exit 1
